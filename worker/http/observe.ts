/** The outermost layer: request id in and out, and one log line for each request. */
import type { MiddlewareHandler } from "hono";
import { settings } from "../env.ts";
import { Log } from "../log.ts";
import type { AppEnv } from "./context.ts";

const REQUEST_ID = /^[\w.:-]{1,128}$/;
/** A request slower than this is worth a warning: far over what a read or a write takes. */
const SLOW_MS = 1_000;

export const observe: MiddlewareHandler<AppEnv> = async (c, next) => {
  const startedMs = Date.now();
  const own = settings(c.env);
  const given = c.req.header("x-request-id");
  const requestId = given !== undefined && REQUEST_ID.test(given) ? given : crypto.randomUUID();
  const log = new Log("http", { level: own.logLevel, readable: own.isDevelopment });
  c.set("requestId", requestId);
  c.set("settings", own);
  c.set("log", log);
  await next();
  c.res.headers.set("x-request-id", requestId);
  const durationMs = Date.now() - startedMs;
  const isSlow = durationMs > SLOW_MS;
  if (!log.enabled(isSlow ? "WARNING" : "INFO")) return;
  log[isSlow ? "warning" : "info"](isSlow ? "slow request" : "request", {
    request_id: requestId,
    // Undefined on public routes and for requests that were refused.
    tenant_id: (c.var as Partial<AppEnv["Variables"]>).principal?.tenant,
    method: c.req.method,
    route: c.var.route ?? "unknown",
    status: c.res.status,
    duration_ms: durationMs,
  });
};
