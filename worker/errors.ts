/**
 * Errors as the caller sees them: RFC 9457 `application/problem+json`.
 *
 * The caller's faults are thrown as {@link Problem} near the check. Anything else that is thrown is unknown: logged
 * with its cause by `http/failures.ts`, and answered by a fixed text, because its message may hold SQL or values.
 */

/** One fault in a request, in the form FastAPI gives it: where it is, what is wrong, and a machine word for it. */
export interface Fault {
  loc: (string | number)[];
  msg: string;
  type: string;
}

const TITLES = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
} as const;

export type ProblemStatus = keyof typeof TITLES;

interface ProblemExtras {
  errors?: Fault[];
  headers?: Record<string, string>;
}

/** An expected error with its answer. */
export class Problem extends Error {
  readonly status: ProblemStatus;
  readonly extras: ProblemExtras;

  constructor(status: ProblemStatus, detail: string, extras: ProblemExtras = {}) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.extras = extras;
  }

  /** The body of the answer. */
  document(requestId: string): Record<string, unknown> {
    return {
      type: "about:blank",
      title: TITLES[this.status],
      status: this.status,
      detail: this.message,
      request_id: requestId,
      ...(this.extras.errors && { errors: this.extras.errors }),
    };
  }
}

/** 422 for one fault; the detail says it too, for those who read no further. */
export function unprocessable(fault: Fault, detail = `${fault.loc.join(".")}: ${fault.msg}`): Problem {
  return new Problem(422, detail, { errors: [fault] });
}

/** 503: what the caller asked for may work in a moment. */
export function unavailable(detail: string, retryAfterSeconds: number): Problem {
  return new Problem(503, detail, { headers: { "retry-after": String(retryAfterSeconds) } });
}

/** States that cannot be, unless the code is wrong. */
export function assert(condition: unknown, sentence: string): asserts condition {
  if (!condition) throw new Error(`impossible: ${sentence}`);
}
