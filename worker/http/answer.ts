/** What a handler answers, before it is a Response: so that all headers of an answer are made in one go. */

import type { Problem } from "../errors.ts";

export interface Answer {
  status: number;
  body: string;
  contentType: string;
  headers: Record<string, string>;
}

/** @param body Anything that JSON can hold; numbers that `parseJson` kept are written digit for digit. */
export function jsonAnswer(body: unknown, status = 200, headers: Record<string, string> = NONE): Answer {
  return jsonTextAnswer(JSON.stringify(body), status, headers);
}

/** An answer whose JSON is there already. */
export function jsonTextAnswer(body: string, status = 200, headers: Record<string, string> = NONE): Answer {
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

/** @param own Headers that every answer carries. */
export function toResponse(
  { status, body, contentType, headers }: Answer,
  own: Record<string, string>,
): Response {
  return new Response(body, { status, headers: { "content-type": contentType, ...own, ...headers } });
}
