/** What browsers need: cross-origin rules by environment, and headers that keep them from guessing. */
import type { Context } from "hono";
import { cors } from "hono/cors";
import { settings } from "../env.ts";
import type { Around } from "./observe.ts";

const allowOrigins = cors({
  origin: (origin, c: Context<{ Bindings: Env }>) => {
    const { corsOrigins: allowed } = settings(c.env);
    if (allowed === "*") return "*";
    return allowed.includes(origin) ? origin : null;
  },
  allowMethods: ["GET", "POST", "PATCH", "DELETE"],
  exposeHeaders: ["x-request-id", "x-consistency-token", "idempotency-replayed", "retry-after"],
  maxAge: 86_400,
});

/** Only what comes from a browser's page carries an `Origin`. */
export function isFromPage(request: Request): boolean {
  return request.headers.has("origin");
}

/** Adds the headers that the origin needs to an answer; a preflight request is answered with those headers alone. */
export function crossOrigin(c: Context): Around {
  return async (answered) => {
    const preflight = await allowOrigins(c, async () => {
      c.res = await answered();
    });
    return preflight ?? c.res;
  };
}

/** For pages, which add their own rules for what they may load. */
export const PAGE_SECURITY_HEADERS = {
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=15552000; includeSubDomains",
  "x-frame-options": "DENY",
};
