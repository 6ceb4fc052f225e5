/** The judge of the fuzz run: what it lets pass, and everything that it must not. */
import { parquetWriteBuffer } from "hyparquet-writer";
import { describe, expect, test } from "vitest";
import { SECRET } from "../setup/hostile.ts";
import type { OpenApi, Schema } from "../setup/openapi.ts";
import { judgeOf } from "./answers.ts";
import { NDJSON, PARQUET } from "./forms.ts";
import type { FuzzAnswer, FuzzRequest } from "./send.ts";

const problem: Schema = {
  type: "object",
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    request_id: { type: "string" },
    errors: {
      type: "array",
      items: {
        type: "object",
        properties: {
          loc: { type: "array" },
          msg: { type: "string" },
          type: { type: "string" },
        },
        required: ["loc", "msg", "type"],
      },
    },
  },
  required: ["type", "title", "status", "detail", "request_id"],
};
const problems = (...statuses: number[]) =>
  Object.fromEntries(
    statuses.map((status) => [status, { content: { "application/problem+json": { schema: problem } } }]),
  );
const thing: Schema = { type: "object", properties: { id: { type: "integer" } }, required: ["id"] };
const document: OpenApi = {
  openapi: "3.1.1",
  paths: {
    "/things/{thing_id}": {
      put: {
        parameters: [
          { name: "thing_id", in: "path", required: true, schema: { type: "string" } },
          { name: "deep", in: "query", schema: { type: "string" } },
        ],
        requestBody: { content: { "application/json": { schema: {} } } },
        responses: {
          200: { content: { "application/json": { schema: thing } } },
          ...problems(401, 404, 422, 503),
        },
      },
    },
  },
};

const row: Schema = { type: "object", properties: { id: { type: "integer" } }, required: ["id"] };
const rowsAnswer: Schema = {
  type: "object",
  properties: { rows: { type: "array", items: row }, count: { type: "integer" } },
  required: ["rows", "count"],
};
document.paths["/rows"] = {
  post: {
    requestBody: { content: { "application/json": { schema: {} } } },
    responses: {
      200: { content: { "application/json": { schema: rowsAnswer }, [NDJSON]: {}, [PARQUET]: {} } },
    },
  },
};

const judge = judgeOf(document, new Set(["fs_key_secret"]));
const request = (some: Partial<FuzzRequest> = {}): FuzzRequest => ({
  kind: "valid",
  method: "PUT",
  path: "/things/1?deep=x",
  headers: {},
  body: `{"list":[{"a":1}]}`,
  ...some,
});
const answer = (status: number, body: unknown, headers: Record<string, string> = {}): FuzzAnswer => ({
  status,
  headers: { "x-request-id": "r1", "content-type": "application/json", ...headers },
  text: typeof body === "string" ? body : JSON.stringify(body),
  bytes: new Uint8Array(),
});
const refusal = (status: number, some: object = {}, headers: Record<string, string> = {}) =>
  answer(
    status,
    { type: "about:blank", title: "t", status, detail: "d", request_id: "r1", ...some },
    { "content-type": "application/problem+json", ...headers },
  );
const at = (...loc: (string | number)[]) => refusal(422, { errors: [{ loc, msg: "m", type: "t" }] });

describe("passes", () => {
  test.each<[string, FuzzAnswer]>([
    ["an answer as documented", answer(200, { id: 1 })],
    ["a problem as documented", refusal(404)],
    ["a fault at what is there", at("body", "list", 0, "a")],
    ["a fault at what is missing", at("body", "list", 0, "b")],
    ["a fault at a parameter", at("path", "thing_id")],
    ["a fault at a query parameter", at("query", "deep")],
  ])("%s", (_, given) => {
    expect(judge.faultOf(request(), given)).toBeNull();
  });

  test("the request's own id, whatever it is", () => {
    const own = refusal(404, { request_id: SECRET }, { "x-request-id": SECRET });
    expect(judge.faultOf(request(), own)).toBeNull();
  });

  test("what an earlier request has named", () => {
    const given = refusal(404, { detail: `${SECRET} uses it` });
    expect(judge.faultOf(request(), given)).toBeNull();
    expect(judge.faultOf(request({ headers: { accept: `${SECRET}-header` } }), given)).toBeNull();
  });

  test("a 404 for a path that nobody has", () => {
    expect(judge.faultOf(request({ path: "/things/a/b" }), refusal(404))).toBeNull();
  });
});

describe("does not pass", () => {
  test.each<[string, FuzzAnswer, RegExp]>([
    ["a 500", answer(500, ""), /error of the service/],
    ["a 503 that is documented", refusal(503, {}, { "retry-after": "1" }), /error of the service/],
    ["an answer without x-request-id", { ...answer(200, { id: 1 }), headers: {} }, /x-request-id/],
    ["a status that is not documented", answer(201, { id: 1 }), /201 is not documented/],
    [
      "a content type that is not documented",
      answer(200, "x", { "content-type": "text/html" }),
      /text\/html is not/,
    ],
    ["a body that does not fit", answer(200, { id: "1" }), /not as documented/],
    ["a property that is not documented", answer(200, { id: 1, more: 1 }), /not as documented/],
    ["what is no JSON", answer(200, "{"), /not as documented/],
    ["a problem without its title", refusal(404, { title: undefined }), /not as documented/],
    ["a refusal that is no problem", answer(404, { id: 1 }), /not documented/],
    ["a problem with another's status", refusal(404, { status: 422 }), /another status/],
    ["a problem with another's request id", refusal(404, { request_id: "r2" }), /another request id/],
    ["a 401 that does not say how to authenticate", refusal(401), /www-authenticate/],
    ["a fault at a place that is not there", at("body", "list", 5, "a"), /no place/],
    ["a fault at a parameter that nobody has declared", at("query", "wide"), /no place/],
    ["a key", answer(200, { id: 1, note: "fs_key_secret" }), /key is told/],
    ["SQL", refusal(422, { detail: "near SELECT a FROM b" }), /insides/],
  ])("%s", (_, given, fault) => {
    expect(judge.faultOf(request(), given)).toMatch(fault);
  });

  test("a value of the request that is repeated", () => {
    const given = refusal(422, { detail: `got ${SECRET}` });
    expect(judge.faultOf(request({ body: JSON.stringify({ a: SECRET }) }), given)).toMatch(/repeated/);
    expect(judge.faultOf(request({ path: `/things/${SECRET}` }), given)).toMatch(/repeated/);
  });

  test("an answer of a path that nobody has", () => {
    expect(judge.faultOf(request({ path: "/things/a/b" }), answer(200, { id: 1 }))).toMatch(/nobody has/);
  });
});

describe("answers in another form", () => {
  const asked = (accept: string) =>
    request({ method: "POST", path: "/rows", headers: { accept }, body: `{"rows":[{},{}]}` });
  const lines = (text: string) => answer(200, text, { "content-type": NDJSON });
  const file = (rows: number) => {
    const data = Array.from({ length: rows }, (_, i) => i);
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData: [{ name: "id", data, type: "INT32" }] }));
    return { ...answer(200, "", { "content-type": PARQUET }), bytes };
  };

  test("pass when they are what the same rows are as JSON", () => {
    expect(judge.faultOf(asked(NDJSON), lines(`{"id":1}\n{"id":2}\n`))).toBeNull();
    expect(judge.faultOf(asked(PARQUET), file(2))).toBeNull();
  });

  test.each<[string, string, FuzzAnswer, RegExp]>([
    ["a line of another schema", NDJSON, lines(`{"id":1}\n{"id":"2"}\n`), /no row/],
    ["a property that is not documented", NDJSON, lines(`{"id":1}\n{"id":2,"more":1}\n`), /no row/],
    ["half a line", NDJSON, lines(`{"id":1}\n{"id":`), /does not end/],
    ["a row too few", NDJSON, lines(`{"id":1}\n`), /2 rows were asked for, 1/],
    ["a file that is cut off", PARQUET, { ...file(2), bytes: file(2).bytes.slice(0, -3) }, /no Parquet/],
    ["a file with a row too many", PARQUET, file(3), /2 rows were asked for, 3/],
    ["another form than was asked for", PARQUET, answer(200, { rows: [], count: 0 }), /was asked for/],
  ])("do not pass: %s", (_, accept, given, fault) => {
    expect(judge.faultOf(asked(accept), given)).toMatch(fault);
  });
});
