/** What a handler answers, before it is a Response: so that all headers of an answer are made in one go. */

import type { Problem } from "../errors.ts";

export interface Answer {
  status: number;
  body: string | Uint8Array<ArrayBuffer>;
  contentType: string;
  headers: Record<string, string>;
}

/** @param body Anything that JSON can hold; numbers that `parseJson` kept are written digit for digit. */
export function jsonAnswer(body: unknown, status = 200, headers: Record<string, string> = NONE): Answer {
  return jsonTextAnswer(JSON.stringify(body), status, headers);
}

/** An answer whose JSON is there already, as text or in UTF-8. */
export function jsonTextAnswer(
  body: Answer["body"],
  status = 200,
  headers: Record<string, string> = NONE,
): Answer {
  return { status, body, contentType: "application/json", headers };
}

export function problemAnswer(problem: Problem, requestId: string): Answer {
  return {
    status: problem.status,
    body: JSON.stringify(problem.document(requestId)),
    contentType: "application/problem+json",
    headers: problem.extras.headers ?? NONE,
  };
}

const NONE: Record<string, string> = {};

/**
 * Of every answer that says nothing else. A cache on the way does not know that what it keeps belongs to who has the
 * `X-API-Key`; a browser must not guess another content type.
 */
export const USUAL_HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

export function toResponse({ status, body, contentType, headers }: Answer, requestId: string): Response {
  const all: Record<string, string> = {
    "content-type": contentType,
    ...USUAL_HEADERS,
    "x-request-id": requestId,
  };
  if (headers !== NONE) Object.assign(all, headers);
  return new Response(body, { status, headers: all });
}
