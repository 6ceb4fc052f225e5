/** The outermost layer of every request: its failure made an answer, one log line, one metric record. */
import { SLOW_REQUEST_MS } from "../timings.ts";
import { type Answer, toResponse, USUAL_HEADERS } from "./answer.ts";
import type { AppContext } from "./context.ts";
import { answerOfFailure } from "./failures.ts";

/** A layer around the answer, such as the cross-origin rules of `browser.ts`. */
export type Around = (answered: () => Promise<Response>) => Promise<Response>;

/** @param around Null for most requests: few need a layer around their answer. */
export async function observed(
  c: AppContext,
  work: () => Promise<Answer | Response>,
  around?: Around | null,
): Promise<Response> {
  let status = 500;
  try {
    const response = await (around ? around(() => respond(c, work)) : respond(c, work));
    status = response.status;
    return response;
  } finally {
    const durationMs = Date.now() - c.startedMs;
    countRequest(c, status, durationMs);
    logRequest(c, status, durationMs);
    // The last context is kept alive (see `hidden-classes.ts`); its body, which may be large, need not be.
    c.bodyText = null;
  }
}

function countRequest(c: AppContext, status: number, durationMs: number): void {
  c.metrics?.finish({
    env: c.env,
    tenant: c.tenant ?? "",
    endpoint: c.route,
    method: c.request.method,
    status,
    durationMs,
    after: c.after,
  });
}

async function respond(c: AppContext, work: () => Promise<Answer | Response>): Promise<Response> {
  let answer: Answer | Response;
  try {
    answer = await work();
  } catch (cause) {
    answer = answerOfFailure(cause, c);
  }
  if (!(answer instanceof Response)) return toResponse(answer, c.requestId);
  for (const [name, value] of Object.entries(USUAL_HEADERS)) {
    if (!answer.headers.has(name)) answer.headers.set(name, value);
  }
  answer.headers.set("x-request-id", c.requestId);
  return answer;
}

function logRequest(c: AppContext, status: number, durationMs: number): void {
  const isSlow = durationMs > SLOW_REQUEST_MS;
  if (!c.log.enabled(isSlow ? "WARNING" : "INFO")) return;
  c.log[isSlow ? "warning" : "info"](isSlow ? "slow request" : "request", {
    request_id: c.requestId,
    tenant_id: c.tenant,
    key_id: c.keyId,
    method: c.request.method,
    route: c.route,
    status,
    duration_ms: durationMs,
    ...c.metrics?.facts,
  });
}
