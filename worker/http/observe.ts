/** The outermost layer of every request: its id in and out, its failure made an answer, one log line, one metric record. */
import { type Settings, settings } from "../env.ts";
import { Log } from "../log.ts";
import { RequestMetrics } from "../monitoring/request-metrics.ts";
import { type Answer, NO_SNIFFING, toResponse } from "./answer.ts";
import type { Principal } from "./auth.ts";
import { crossOrigin } from "./browser.ts";
import type { AppContext } from "./context.ts";
import { answerOfFailure } from "./failures.ts";

const REQUEST_ID = /^[\w.:-]{1,128}$/;
/** A request slower than this is worth a warning: far over what a read or a write takes. */
const SLOW_MS = 1_000;

/** @param route The pattern that was matched, such as `/api/v1/items`; null where none was. */
export async function observed(
  c: AppContext,
  route: string | null,
  work: () => Promise<Answer | Response>,
): Promise<Response> {
  const startedMs = Date.now();
  const own = settings(c.env);
  const given = c.req.header("x-request-id");
  const requestId = given !== undefined && REQUEST_ID.test(given) ? given : crypto.randomUUID();
  const log = logOf(own);
  c.set("requestId", requestId);
  c.set("settings", own);
  c.set("log", log);
  c.set("route", route ?? "unknown");
  if (own.metrics === "on") c.set("metrics", new RequestMetrics());
  let status = 500;
  try {
    // Only what comes from a browser's page carries an `Origin`.
    const isForPage = c.req.header("origin") !== undefined;
    const answered = () => respond(c, requestId, work);
    const response = await (isForPage ? crossOrigin(c, answered) : respond(c, requestId, work));
    status = response.status;
    return response;
  } finally {
    const durationMs = Date.now() - startedMs;
    countRequest(c, status, durationMs);
    logRequest(c, status, durationMs);
  }
}

let logs: { of: Settings; log: Log } | undefined;

/** One for all requests: it holds nothing of any. */
function logOf(own: Settings): Log {
  if (logs?.of !== own) {
    logs = { of: own, log: new Log("http", { level: own.logLevel, readable: own.isDevelopment }) };
  }
  return logs.log;
}

function countRequest(c: AppContext, status: number, durationMs: number): void {
  c.get("metrics")?.finish({
    env: c.env,
    tenant: tenantOf(c) ?? "",
    endpoint: c.get("route"),
    method: c.req.method,
    status,
    durationMs,
    after: (work) => c.executionCtx.waitUntil(work),
  });
}

/** Undefined on public routes and for requests that were refused. */
function tenantOf(c: AppContext): string | undefined {
  return (c.get("principal") as Principal | undefined)?.tenant;
}

async function respond(
  c: AppContext,
  requestId: string,
  work: () => Promise<Answer | Response>,
): Promise<Response> {
  let answer: Answer | Response;
  try {
    answer = await work();
  } catch (cause) {
    answer = answerOfFailure(cause, c);
  }
  if (!(answer instanceof Response)) return toResponse(answer, requestId);
  const own = { ...NO_SNIFFING, "x-request-id": requestId };
  for (const [name, value] of Object.entries(own)) answer.headers.set(name, value);
  return answer;
}

function logRequest(c: AppContext, status: number, durationMs: number): void {
  const log = c.get("log");
  const isSlow = durationMs > SLOW_MS;
  if (!log.enabled(isSlow ? "WARNING" : "INFO")) return;
  log[isSlow ? "warning" : "info"](isSlow ? "slow request" : "request", {
    request_id: c.get("requestId"),
    tenant_id: tenantOf(c),
    method: c.req.method,
    route: c.get("route"),
    status,
    duration_ms: durationMs,
    ...c.get("metrics")?.facts,
  });
}
