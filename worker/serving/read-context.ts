/** How a request says how fresh its answer must be. */
import * as z from "zod";
import { unprocessable } from "../errors.ts";
import { type AppContext, requestContext } from "../http/context.ts";
import { fieldsOfBody } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { CONSISTENCIES, type Consistency, type ConsistencyToken, decodeToken } from "./consistency.ts";
import type { ReadContext } from "./read-entities.ts";

export const TOKEN_HEADER = "x-consistency-token";

export const consistency = z.enum(CONSISTENCIES).meta({
  description:
    "`edge` (default): memory, KV or a replica. `session`: never older than the write whose `x-consistency-token` is sent. `strong`: the primary database.",
});

export const consistencyQuery = lazily(() => z.object({ consistency: consistency.optional() }));

/** The query of routes whose body may name the consistency, too. */
export const queryBesideBody = lazily(() =>
  consistencyQuery().extend(fieldsOfBody("is a field of the body")),
);

/** @throws Problem 422 where query and body disagree. */
export function oneConsistency(
  query: Consistency | undefined,
  body: Consistency | undefined,
): Consistency | undefined {
  if (query === undefined || body === undefined || query === body) return body ?? query;
  throw unprocessable({
    loc: ["query", "consistency"],
    msg: "must be the same as in the body when it is in both",
    type: "conflicting_parameters",
  });
}

/**
 * How the request wants to read. A token alone asks for `session`.
 *
 * @throws Problem 422 for a token that is none of ours, or `session` without one.
 */
export function readContext(c: AppContext, asked: Consistency | undefined): ReadContext {
  const text = c.header(TOKEN_HEADER);
  const token = text === undefined ? null : readToken(text);
  if (asked === "session" && !token) {
    throw unprocessable(
      { loc: ["header", TOKEN_HEADER], msg: "is needed for consistency `session`", type: "missing" },
      `consistency \`session\` needs the header ${TOKEN_HEADER} of a write`,
    );
  }
  const { env, settings, tenant, log, nowMs, metrics, after } = requestContext(c);
  const consistency = asked ?? (token ? "session" : "edge");
  return { env, settings, tenant, log, nowMs, metrics, after, consistency, token };
}

function readToken(text: string): ConsistencyToken {
  const token = decodeToken(text);
  if (token) return token;
  throw unprocessable({
    loc: ["header", TOKEN_HEADER],
    msg: "is not a token that a write has returned",
    type: "invalid_token",
  });
}
