/** What browsers need: cross-origin rules by environment, and headers that keep them from guessing. */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { secureHeaders } from "hono/secure-headers";
import type { AppEnv } from "./context.ts";

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

/** Only for requests that come from a browser's page: all others carry no `Origin`. */
export const crossOrigin: MiddlewareHandler<AppEnv> = async (c, next) =>
  c.req.header("origin") === undefined ? next() : allowOrigins(c, next);

export const securityHeaders: MiddlewareHandler<AppEnv> = secureHeaders({
  crossOriginResourcePolicy: "cross-origin",
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false,
  xFrameOptions: "DENY",
});
