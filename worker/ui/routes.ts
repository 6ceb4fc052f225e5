/** The catalog for people: features, how they do, and what is known of an entity. `browser/` is what runs in the page. */
import { html } from "hono/html";
import { fileEndpoint, pageEndpoint } from "../http/page.ts";

const page = html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Edge feature store</title>
    <link rel="stylesheet" href="/ui/app.css" />
    <link rel="icon" href="/docs/favicon-32x32.png" />
  </head>
  <body>
    <noscript>This page needs JavaScript; the API does not.</noscript>
    <div id="app"></div>
    <script type="module" src="/ui/app.js"></script>
  </body>
</html>`;

export const uiEndpoints = [
  pageEndpoint({
    path: "/ui",
    // Where a browser goes that was given the service's address.
    aliases: ["/"],
    tag: "documents",
    summary: "The catalog of features, for people",
    body: page,
    // It holds a key: nothing runs in it, is loaded or asked that is not ours.
    contentSecurityPolicy:
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  }),
  fileEndpoint("ui", { tag: "documents", summary: "A file of the catalog's page", example: "app.js" }),
];
