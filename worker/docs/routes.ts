/** The API documents: the OpenAPI document, Swagger UI and Redoc. Their assets are ours, so they work offline. */
import { html } from "hono/html";
import { version } from "../../package.json";
import { jsonAnswer } from "../http/answer.ts";
import { type Endpoint, endpoint } from "../http/endpoint.ts";
import { fileEndpoint, pageEndpoint } from "../http/page.ts";
import { openApiDocument } from "./openapi.ts";

/** Swagger UI and Redoc style themselves inline, and Redoc searches in a worker of its own. */
const contentSecurityPolicy =
  "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const swaggerPage = html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Edge feature store: API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css" />
    <link rel="icon" href="/docs/favicon-32x32.png" />
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script>
      SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
    </script>
  </body>
</html>`;

const redocPage = html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Edge feature store: API reference</title>
    <link rel="icon" href="/docs/favicon-32x32.png" />
  </head>
  <body style="margin: 0">
    <redoc spec-url="/openapi.json" disable-search="false"></redoc>
    <script src="/docs/redoc.standalone.js"></script>
  </body>
</html>`;

/** @param described The endpoints that the document describes, beside its own. */
export function docsEndpoints(described: readonly Endpoint[]): Endpoint[] {
  let document: ReturnType<typeof openApiDocument> | undefined;
  const page = (path: string, summary: string, body: typeof swaggerPage) =>
    pageEndpoint({ path, tag: "documents", summary, body, contentSecurityPolicy });
  const own: Endpoint[] = [
    endpoint(
      {
        method: "get",
        path: "/openapi.json",
        tag: "documents",
        summary: "This document",
        scope: "public",
        request: {},
        answers: { 200: { description: "OpenAPI 3.1." } },
      },
      () => {
        // Made at the first request: a read that serves features never pays for it.
        document ??= openApiDocument([...described, ...own], version);
        return jsonAnswer(document);
      },
    ),
    page("/docs", "Swagger UI", swaggerPage),
    page("/redoc", "Redoc", redocPage),
    fileEndpoint("docs", {
      tag: "documents",
      summary: "A file of Swagger UI or Redoc",
      example: "swagger-ui.css",
    }),
  ];
  return own;
}
