/** A store that is away for now is 503 with Retry-After, on routes that have no words of their own for it. */
import { createExecutionContext } from "cloudflare:test";
import { DrizzleQueryError } from "drizzle-orm";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { app } from "../../worker/app.ts";
import { isStoreAway } from "../../worker/http/away.ts";
import { Log } from "../../worker/log.ts";
import { watched } from "../setup/faults.ts";
import { ORIGIN } from "../setup/http.ts";

const wrapped = (cause: unknown) => new Error("Failed query: select …\nparams: a value", { cause });
const having = (message: string, properties: object) => Object.assign(new Error(message), properties);

test.each<[boolean, string, unknown]>([
  [true, "D1 lost the connection", new Error("D1_ERROR: Network connection lost.")],
  [true, "D1 is overloaded", new Error("D1_ERROR: D1 DB is overloaded. Requests queued for too long.")],
  [true, "the same, wrapped twice", wrapped(wrapped(new Error("D1_ERROR: Internal error in D1 storage.")))],
  [true, "the database is full", new Error("D1_ERROR: database or disk is full: SQLITE_FULL")],
  [true, "the database is busy", new Error("D1_ERROR: database is locked: SQLITE_BUSY")],
  [true, "an object that may be asked again", having("Network connection lost.", { retryable: true })],
  [true, "an object with too much to do", having("overloaded", { overloaded: true, retryable: false })],
  [false, "SQL that is wrong", wrapped(new Error("D1_ERROR: no such column: x: SQLITE_ERROR"))],
  [false, "a broken rule", new Error("D1_ERROR: UNIQUE constraint failed: t.a: SQLITE_CONSTRAINT")],
  [false, "an error of our own", new TypeError("x is not a function")],
  [false, "an object's own error", having("broken", { remote: true, retryable: false })],
  [false, "what is no error", "D1_ERROR: Network connection lost."],
  [false, "nothing", undefined],
])("%s: %s", (isAway, _, error) => expect(isStoreAway(error)).toBe(isAway));

test("what is logged of a failed query is what the database said, with no SQL and no value", () => {
  const logged = vi.spyOn(console, "error").mockReturnValue();
  const cause = new Error("D1_ERROR: Network connection lost.");
  const failed = new DrizzleQueryError("select * from t where a = ?", ["a value"], cause);
  new Log("http", { level: "ERROR", readable: false }).error("a store did not answer", failed);
  const [text] = logged.mock.calls[0] ?? [];
  expect(text).toContain(cause.message);
  expect(text).not.toMatch(/select|a value/);
});

describe("while D1 is away", () => {
  beforeEach(() => void vi.spyOn(console, "error").mockReturnValue());

  test.each([
    ["GET", "/features"],
    ["GET", "/features/any_feature"],
    ["GET", "/raw-tables"],
    ["GET", "/training-sets"],
    ["POST", "/raw-tables"],
  ])("%s %s is 503, which says nothing of the inside", async (method, path) => {
    const lost = () => Promise.reject(new Error("D1_ERROR: Network connection lost."));
    const body = JSON.stringify({ name: "away_table", schema_definition: { a: "string" } });
    const request = new Request(`${ORIGIN}/api/v1${path}`, {
      method,
      ...(method === "POST" && { body, headers: { "content-type": "application/json" } }),
    });
    const answer = await app.fetch(request, watched({ database: lost }).env, createExecutionContext());
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await answer.json()).toMatchObject({
      detail: "a store of the service does not answer; try again",
    });
  });
});
