/** The outermost layer of every request: its id in and out, its failure made an answer, and one log line. */
import { settings } from "../env.ts";
import { Log } from "../log.ts";
import { type Answer, toResponse } from "./answer.ts";
import { ANSWER_HEADERS, crossOrigin } from "./browser.ts";
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
  const log = new Log("http", { level: own.logLevel, readable: own.isDevelopment });
  c.set("requestId", requestId);
  c.set("settings", own);
  c.set("log", log);
  c.set("route", route ?? "unknown");
  const answered = () => respond(c, requestId, work);
  // Only what comes from a browser's page carries an `Origin`.
  const response = await (c.req.header("origin") === undefined ? answered() : crossOrigin(c, answered));
  logRequest(c, response.status, Date.now() - startedMs);
  return response;
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
  const own = { ...ANSWER_HEADERS, "x-request-id": requestId };
  if (!(answer instanceof Response)) return toResponse(answer, own);
  for (const [name, value] of Object.entries(own)) answer.headers.set(name, value);
  return answer;
}

function logRequest(c: AppContext, status: number, durationMs: number): void {
  const log = c.get("log");
  const isSlow = durationMs > SLOW_MS;
  if (!log.enabled(isSlow ? "WARNING" : "INFO")) return;
  log[isSlow ? "warning" : "info"](isSlow ? "slow request" : "request", {
    request_id: c.get("requestId"),
    // Undefined on public routes and for requests that were refused.
    tenant_id: (c.get("principal") as { tenant: string } | undefined)?.tenant,
    method: c.req.method,
    route: c.get("route"),
    status,
    duration_ms: durationMs,
  });
}
