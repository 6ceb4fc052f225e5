/** Every answer that is not a handler's: unknown paths, problems, and errors that nobody expected. */
import type { Hono } from "hono";
import { Problem, unavailable } from "../errors.ts";
import { RETRY_AFTER_SECONDS } from "../timings.ts";
import { type Answer, problemAnswer } from "./answer.ts";
import { isStoreAway } from "./away.ts";
import type { AppContext } from "./context.ts";

export function answerOfFailure(error: unknown, c: AppContext): Answer {
  return problemAnswer(problemOf(error, c), c.requestId);
}

function problemOf(error: unknown, c: AppContext): Problem {
  if (error instanceof Problem) return error;
  // Its message may hold SQL or values: the operator gets it, the caller a fixed text.
  const about = { request_id: c.requestId, route: c.route };
  if (isStoreAway(error)) {
    c.log.error("a store did not answer", error, about);
    return unavailable("a store of the service does not answer; try again", RETRY_AFTER_SECONDS);
  }
  c.log.error("unexpected error", error, about);
  return new Problem(500, "an unexpected error; the request id finds it in the logs");
}

const METHODS = ["GET", "POST", "PATCH", "DELETE"];

/** 405 with `Allow` where the path exists for other methods, else 404. */
export function problemOfNoRoute(app: Hono<{ Bindings: Env }>, path: string): Problem {
  const allowed = METHODS.filter((method) => isRouted(app, method, path));
  if (allowed.length === 0) return new Problem(404, "there is no such path");
  // Whoever may GET may ask for the headers alone.
  const headers = {
    allow: allowed.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : method)).join(", "),
  };
  return new Problem(405, `this path takes ${allowed.join(", ")}`, { headers });
}

/** Every handler of the app is mounted for one path and method. */
function isRouted(app: Hono<{ Bindings: Env }>, method: string, path: string): boolean {
  const [handlers] = app.router.match(method, path);
  return handlers.length > 0;
}
