/** Every answer that is not a handler's: unknown paths, problems, and errors that nobody expected. */
import type { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { Problem, type ProblemStatus } from "../errors.ts";
import { problemAnswer, toResponse } from "./answer.ts";
import { ANSWER_HEADERS } from "./browser.ts";
import type { AppContext, AppEnv } from "./context.ts";

export function onError(error: Error, c: AppContext): Response {
  return answerOf(c, problemOf(error, c));
}

function problemOf(error: Error, c: AppContext): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HTTPException && error.status < 500) {
    return new Problem(error.status as ProblemStatus, error.message);
  }
  // Its message may hold SQL or values: the operator gets it, the caller a fixed text.
  c.var.log.error("unexpected error", error, {
    request_id: c.var.requestId,
    route: c.var.route ?? "unknown",
  });
  return new Problem(500, "an unexpected error; the request id finds it in the logs");
}

function answerOf(c: AppContext, problem: Problem): Response {
  return toResponse(problemAnswer(problem, c.var.requestId), ANSWER_HEADERS);
}

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/** 405 with `Allow` where the path exists for other methods, else 404. */
export function notFound(app: Hono<AppEnv>) {
  return (c: AppContext): Response => {
    const allowed = METHODS.filter((method) => isRouted(app, method, c.req.path));
    if (allowed.length === 0) return answerOf(c, new Problem(404, "there is no such path"));
    const headers = { allow: allowed.join(", ") };
    return answerOf(c, new Problem(405, `this path takes ${allowed.join(", ")}`, { headers }));
  };
}

function isRouted(app: Hono<AppEnv>, method: string, path: string): boolean {
  const [matches] = app.router.match(method, path);
  // Middleware of the whole app matches everything; routes are mounted for one method.
  return matches.some(([[, route]]) => (route as { method: string }).method === method);
}
