/** What browsers need: cross-origin rules by environment, and headers that keep them from guessing. */
import { cors } from "hono/cors";
import type { AppContext, AppEnv } from "./context.ts";

const allowOrigins = cors({
  origin: (origin, c) => {
    const allowed: AppEnv["Variables"]["settings"]["corsOrigins"] = c.var.settings.corsOrigins;
    if (allowed === "*") return "*";
    return allowed.includes(origin) ? origin : null;
  },
  allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
  exposeHeaders: ["x-request-id", "x-consistency-token", "idempotency-replayed", "retry-after"],
  maxAge: 86_400,
});

/** The answer with the headers that its origin needs; of a preflight request the rules alone. */
export async function crossOrigin(c: AppContext, answer: () => Promise<Response>): Promise<Response> {
  const preflight = await allowOrigins(c, async () => {
    c.res = await answer();
  });
  return preflight ?? c.res;
}

/** Of a page, beside its own rules for what it may load. */
export const PAGE_SECURITY_HEADERS = {
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=15552000; includeSubDomains",
  "x-frame-options": "DENY",
};
