/** Pages for browsers, and the files that they load: assets of the deployment, served as endpoints are. */
import type { HtmlEscapedString } from "hono/utils/html";
import * as z from "zod";
import { Problem } from "../errors.ts";
import { PAGE_SECURITY_HEADERS } from "./browser.ts";
import { type Endpoint, endpoint } from "./endpoint.ts";

interface Page {
  path: string;
  /** Other paths of the same page. */
  aliases?: string[];
  tag: string;
  summary: string;
  body: HtmlEscapedString | Promise<HtmlEscapedString>;
  /** What it may load; nothing else. */
  contentSecurityPolicy: string;
}

export function pageEndpoint({
  path,
  aliases = [],
  tag,
  summary,
  body,
  contentSecurityPolicy,
}: Page): Endpoint {
  const headers = {
    "content-type": "text/html; charset=UTF-8",
    ...PAGE_SECURITY_HEADERS,
    "content-security-policy": contentSecurityPolicy,
  };
  return endpoint(
    {
      method: "get",
      path,
      aliases,
      tag,
      summary,
      scope: "public",
      request: {},
      answers: { 200: { description: "A page.", contentType: "text/html" } },
    },
    async () => new Response(String(await body), { headers }),
  );
}

/** @param folder In the assets, and in the address: `/<folder>/{file}`. */
export function fileEndpoint(
  folder: string,
  about: { tag: string; summary: string; example: string },
): Endpoint {
  const { tag, summary, example } = about;
  return endpoint(
    {
      method: "get",
      path: `/${folder}/{file}`,
      tag,
      summary,
      scope: "public",
      request: {
        param: () =>
          z.object({
            file: z
              .string()
              .regex(/^[\w.-]+$/)
              .meta({ example }),
          }),
      },
      answers: { 200: { description: "The file.", contentType: "*/*" } },
      problems: [404],
    },
    async (c) => {
      const found = await c.env.ASSETS.fetch(c.request);
      if (!found.ok && found.status !== 304) throw new Problem(404, "there is no such file");
      return new Response(found.body, found);
    },
  );
}
