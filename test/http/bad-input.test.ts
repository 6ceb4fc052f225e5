/** Whatever comes in, the answer is a problem that says what is wrong, never a 5xx, and never the values sent. */
import { beforeAll, describe, expect, test, vi } from "vitest";
import {
  MAX_BODY_BYTES,
  MAX_CATEGORY_BYTES,
  MAX_IDEMPOTENCY_KEY_CHARACTERS,
  MAX_WRITE_BYTES,
} from "../../worker/limits.ts";
import { BAD_JSON, BAD_SEGMENTS, changed, deep, INSIDES, SECRET } from "../setup/hostile.ts";
import {
  type Answer,
  ask,
  type BatchWritten,
  entry,
  expectProblem,
  faultPlaces,
  get,
  itemPath,
  itemsBody,
  type ProblemBody,
  post,
  readDocument,
  readItem,
  readItems,
  remove,
  secondsAgo,
  upsert,
  WRITER,
} from "../setup/http.ts";
import { concretePath, type Described, exampleBody, operationsOf, placesOf } from "../setup/openapi.ts";

// The generated tests ask hundreds of times each.
vi.setConfig({ testTimeout: 60_000 });

const document = await readDocument();
const operations = operationsOf(document);
const withBody = operations.filter(({ operation }) => operation.requestBody);
const root = (path: string) => `/${path}`;

/** What holds for every answer to anything. */
function expectNoHarm(answer: Answer<unknown>, what: string): void {
  expect(answer.status, `${what}: ${answer.text.slice(0, 300)}`).toBeLessThan(500);
  expect(answer.headers.get("x-request-id"), what).toBeTruthy();
  expect(answer.headers.get("cache-control"), what).toMatch(/no-store|must-revalidate/);
  expect(answer.headers.get("x-content-type-options"), what).toBe("nosniff");
  if (answer.status < 400) return;
  const shown = `${what}: ${answer.text.slice(0, 300)}`;
  expectProblem(answer, answer.status, what);
  expect(answer.text, shown).not.toContain(SECRET);
  expect(answer.text, shown).not.toMatch(INSIDES);
}

async function inTurns<T>(things: readonly T[], ask: (thing: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < things.length; i += 25) await Promise.all(things.slice(i, i + 25).map(ask));
}

describe("any operation", () => {
  // What the examples speak of should exist: else most of what follows is refused with 404 before it is looked at.
  beforeAll(async () => {
    for (const each of withBody) {
      await ask(each.method, root(concretePath(document, each)), { body: exampleBody(document, each) });
    }
  });

  test("there are operations to test, with bodies and without", () => {
    expect(withBody.length).toBeGreaterThan(3);
    expect(operations.length).toBeGreaterThan(withBody.length);
  });

  test.each(withBody.map((each) => [each.title, each] as const))(
    "%s: what is not JSON is 400",
    async (_, each) => {
      const path = root(concretePath(document, each));
      for (const body of [
        "{",
        "nul",
        "{'a':1}",
        `{"a":1,}`,
        `{"a":NaN}`,
        `{"a":01}`,
        "\u0000",
        "[1] 2",
        `{"a":"\n"}`,
      ]) {
        const problem = expectProblem(await ask(each.method, path, { body }), 400, body);
        expect(problem.errors).toMatchObject([{ loc: ["body"], type: "json_invalid" }]);
      }
    },
  );

  test.each(withBody.map((each) => [each.title, each] as const))(
    "%s: a body of another content type is 415",
    async (_, each) => {
      const path = root(concretePath(document, each));
      const body = JSON.stringify(exampleBody(document, each));
      const types = [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "json",
        "x",
      ];
      for (const type of [...types, "multipart/form-data; boundary=x"]) {
        expectProblem(await ask(each.method, path, { body, headers: { "content-type": type } }), 415, type);
      }
      expectProblem(await ask(each.method, path, { body, headers: { "content-type": "" } }), 415);
    },
  );

  const withPath = operations.filter(({ path }) => path.includes("{"));

  test.each(withPath.map((each) => [each.title, each] as const))(
    "%s: no path parameter harms",
    async (title, each) => {
      const body = each.operation.requestBody && exampleBody(document, each);
      for (const [, name = ""] of each.path.matchAll(/\{(\w+)\}/g)) {
        await inTurns(BAD_SEGMENTS, async (segment) => {
          const path = root(concretePath(document, each, { [name]: segment }));
          const answer = await ask(each.method, path, body ? { body } : {});
          expectNoHarm(answer, `${title} with ${name} = ${segment.slice(0, 40)}`);
          if (/%00|%0a|%7f|%C2%85/.test(segment)) expect([404, 422], segment).toContain(answer.status);
        });
      }
    },
  );

  const BAD_TEXTS = [
    "",
    SECRET,
    "\u0000",
    "a\u0007",
    "__proto__",
    "'; DROP TABLE x; --",
    "-1",
    "1e999",
    "x".repeat(4_000),
    "💥",
  ];
  const withQuery = operations.filter(({ operation }) =>
    operation.parameters?.some((each) => each.in === "query"),
  );

  test.each(withQuery.map((each) => [each.title, each] as const))(
    "%s: no query parameter harms",
    async (title, each) => {
      const body = each.operation.requestBody && exampleBody(document, each);
      for (const { name } of each.operation.parameters?.filter((parameter) => parameter.in === "query") ??
        []) {
        const queries = [
          ...BAD_TEXTS.map((text) => `${name}=${encodeURIComponent(text)}`),
          `${name}`,
          `${name}=%ff`,
          `${name}=%`,
          `${name}[]=a&${name}[__proto__]=b`,
          `${name}=a&${name}=b`,
        ];
        await inTurns(queries, async (query) => {
          const path = root(`${concretePath(document, each)}?${query}`);
          expectNoHarm(await ask(each.method, path, body ? { body } : {}), `${title}?${query.slice(0, 60)}`);
        });
      }
    },
  );

  test.each(operations.map((each) => [each.title, each] as const))(
    "%s: no header harms",
    async (title, each) => {
      const own =
        each.operation.parameters?.filter((parameter) => parameter.in === "header").map(({ name }) => name) ??
        [];
      const body = each.operation.requestBody && exampleBody(document, each);
      const texts = ["", "%00", "__proto__", "'; DROP TABLE x; --", "x".repeat(4_000), "null", "e30="];
      // Every other one in a header, and those between them in the next.
      for (const [place, name] of [
        ...own,
        "x-request-id",
        "accept",
        "origin",
        "if-none-match",
        "range",
        "content-encoding",
      ].entries()) {
        const some = texts.filter((_, i) => (place + i) % 2 === 0);
        await inTurns(some, async (text) => {
          const headers = { [name]: text, ...(body !== undefined && { "content-type": "application/json" }) };
          const answer = await ask(each.method, root(concretePath(document, each)), {
            ...(body !== undefined && { body }),
            headers,
          });
          expectNoHarm(answer, `${title} with ${name}: ${text.slice(0, 40)}`);
        });
      }
    },
  );

  const isPublic = ({ operation }: Described) => operation.security?.length === 0;

  test("a made-up key is 401 everywhere that a key is needed", async () => {
    const guarded = operations.filter((each) => !isPublic(each));
    expect(guarded.length).toBeGreaterThan(5);
    for (const each of guarded) {
      const body = each.operation.requestBody && exampleBody(document, each);
      for (const headers of [
        { "x-api-key": "made-up" },
        { "x-api-key": "" },
        { "x-api-key": "fs_0123456789abcdef_0123456789abcdef" },
        { "x-api-key": `fs_${"x".repeat(5_000)}_y` },
        { "x-api-key": "fs_'; DROP TABLE api_keys; --_x" },
        { authorization: "Bearer made-up" },
        { authorization: "bearer fs_default_x" },
        { authorization: "Bearer made up" },
        { authorization: "Bearer " },
        { authorization: "Basic bWFkZTp1cA==" },
      ]) {
        const answer = await ask(each.method, root(concretePath(document, each)), {
          ...(body ? { body } : {}),
          headers,
        });
        expectProblem(answer, 401, `${each.title} ${JSON.stringify(headers).slice(0, 60)}`);
        expect(answer.headers.get("www-authenticate")).toBeTruthy();
      }
    }
  });

  test("what is public needs no key, and a made-up one does not harm", async () => {
    const open = operations.filter(
      (each) => isPublic(each) && each.method === "GET" && !each.path.includes("{"),
    );
    expect(open.map(({ path }) => path)).toContain("/health");
    for (const each of open) {
      expect(
        (await ask("GET", root(each.path), { headers: { "x-api-key": "made-up" } })).status,
        each.title,
      ).toBe(200);
    }
  });

  const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

  test("another method of a known path is 405, with the methods that it takes in Allow", async () => {
    const matchers = operations.map(({ method, path }) => ({
      method,
      pattern: new RegExp(`^${path.replaceAll(/[.]/g, "\\$&").replaceAll(/\{\w+\}/g, "[^/]+")}$`),
    }));
    for (const each of operations) {
      const path = concretePath(document, each);
      const taken = new Set(matchers.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method));
      for (const method of [...METHODS, "PROPFIND", "OPTIONS"].filter((name) => !taken.has(name))) {
        const answer = await ask(method, root(path));
        expectProblem(answer, 405, `${method} ${path}`);
        const allow = answer.headers.get("allow")?.split(", ");
        expect(new Set(allow), `${method} ${path}`).toEqual(
          new Set([...taken].flatMap((name) => (name === "GET" ? ["GET", "HEAD"] : name))),
        );
      }
    }
  });

  // Last: what of it is accepted stays, and makes the entities and features of the others more.
  test.each(withBody.map((each) => [each.title, each] as const))(
    "%s: no change of its body harms",
    async (title, each) => {
      const path = root(concretePath(document, each));
      const body = exampleBody(document, each);
      const schema = each.operation.requestBody?.content["application/json"]?.schema ?? {};
      // Every other one in a place, and those between them in the next.
      const bodies = placesOf(document, schema, body).flatMap((at, place) =>
        [...BAD_JSON, null]
          .filter((_, i) => (place + i) % 2 === 0)
          .map((json) => [`${at.join(".")} = ${json?.slice(0, 60)}`, changed(body, at, json)] as const),
      );
      let refused = 0;
      await inTurns(bodies, async ([what, text]) => {
        const answer = await ask(each.method, path, { body: text });
        expectNoHarm(answer, `${title} with ${what}`);
        expect(Object.keys(each.operation.responses), `${what} is documented`).toContain(
          String(answer.status),
        );
        if (answer.status >= 400) refused += 1;
      });
      // Else the service takes anything, or the table above tests nothing.
      expect(refused).toBeGreaterThan(bodies.length / 4);
    },
  );
});

describe("paths that nobody has", () => {
  test.each([
    "/",
    "//api",
    "//api/v2/health",
    "/nothing",
    "/items/a/b",
    "/get/item",
    "//../etc/passwd",
    "/%00",
    "//%ff",
    "//__proto__",
  ])("%s is 404", async (path) => {
    for (const method of ["GET", "POST"]) {
      expectProblem(
        await ask(method, path, method === "POST" ? { body: "{" } : {}),
        404,
        `${method} ${path}`,
      );
    }
  });
});

describe("system A's requests", () => {
  const item = (change: Record<string, unknown>) => ({
    data: itemsBody("bad", [entry("c", { a: 1 })]).data,
    metadata: WRITER,
    ...change,
  });
  const data = (change: Record<string, unknown>) => item({ data: { ...item({}).data, ...change } });
  const listed = (change: Record<string, unknown>) =>
    data({ feature_list: [{ ...entry("c", { a: 1 }), ...change }] });
  const meta = (change: Record<string, unknown>) => item({ metadata: { ...WRITER, ...change } });
  const meta2 = (change: Record<string, unknown>) => ({
    ...meta({ mode: "replace" }),
    meta: { ...WRITER, ...change },
  });
  const asked = (change: Record<string, unknown>) => ({
    data: { entity_value: "bad", feature_list: ["c:a"], ...change },
  });

  const table: [path: string, what: string, body: unknown, places: string[]][] = [
    ["/items", "null", null, ["body"]],
    ["/items", "a list", [], ["body"]],
    ["/items", "a text", '"text"', ["body"]],
    ["/items", "no data", { metadata: WRITER }, ["body.data"]],
    ["/items", "data null", item({ data: null }), ["body.data"]],
    ["/items", "metadata as a text", item({ metadata: "prediction_service" }), ["body.metadata"]],
    ["/items", "no entity_value", data({ entity_value: undefined }), ["body.data.entity_value"]],
    ["/items", "an empty entity_value", data({ entity_value: "" }), ["body.data.entity_value"]],
    ["/items", "a number as entity_value", data({ entity_value: 7 }), ["body.data.entity_value"]],
    ["/items", "a NUL in entity_value", data({ entity_value: "a\u0000" }), ["body.data.entity_value"]],
    ["/items", "a line break in entity_value", data({ entity_value: "a\nb" }), ["body.data.entity_value"]],
    ["/items", "DEL in entity_value", data({ entity_value: "a\u007f" }), ["body.data.entity_value"]],
    ["/items", "a C1 control in entity_value", data({ entity_value: "a\u0085" }), ["body.data.entity_value"]],
    [
      "/items",
      "half a surrogate pair in entity_value",
      data({ entity_value: "a\ud83d" }),
      ["body.data.entity_value"],
    ],
    ["/items", "no feature_list", data({ feature_list: undefined }), ["body.data.feature_list"]],
    ["/items", "an empty feature_list", data({ feature_list: [] }), ["body.data.feature_list"]],
    [
      "/items",
      "an object as feature_list",
      data({ feature_list: { c: { a: 1 } } }),
      ["body.data.feature_list"],
    ],
    ["/items", "no category", listed({ category: undefined }), ["body.data.feature_list.0.category"]],
    ["/items", "an empty category", listed({ category: "" }), ["body.data.feature_list.0.category"]],
    ["/items", "a colon in a category", listed({ category: "a:b" }), ["body.data.feature_list.0.category"]],
    [
      "/items",
      "a control character in a category",
      listed({ category: "a\tb" }),
      ["body.data.feature_list.0.category"],
    ],
    ["/items", "no features", listed({ features: undefined }), ["body.data.feature_list.0.features"]],
    ["/items", "a list as features", listed({ features: [1] }), ["body.data.feature_list.0.features"]],
    ["/items", "null as features", listed({ features: null }), ["body.data.feature_list.0.features"]],
    ["/items", "a text as features", listed({ features: "a" }), ["body.data.feature_list.0.features"]],
    [
      "/items",
      "a control character in a feature name",
      listed({ features: { "a\u0001": 1 } }),
      ["body.data.feature_list.0.features.a\u0001"],
    ],
    [
      "/items",
      "half a surrogate pair in a feature name",
      listed({ features: { "\udc00": 1 } }),
      ["body.data.feature_list.0.features.\udc00"],
    ],
    ["/items", "an unknown mode", listed({ mode: "append" }), ["body.data.feature_list.0.mode"]],
    ["/items", "an unknown mode for all", meta({ mode: 1 }), ["body.metadata.mode"]],
    [
      "/items",
      "a timestamp without a zone",
      listed({ event_timestamp: "2025-10-13T09:15:51" }),
      ["body.data.feature_list.0.event_timestamp"],
    ],
    [
      "/items",
      "a timestamp without a zone for all",
      meta({ event_timestamp: "2025-10-13 09:15:51.358632" }),
      ["body.metadata.event_timestamp"],
    ],
    [
      "/items",
      "a date alone",
      listed({ event_timestamp: "2025-10-13" }),
      ["body.data.feature_list.0.event_timestamp"],
    ],
    [
      "/items",
      "a day that is none",
      listed({ event_timestamp: "2025-02-30T00:00:00Z" }),
      ["body.data.feature_list.0.event_timestamp"],
    ],
    [
      "/items",
      "a number as timestamp",
      listed({ event_timestamp: 1760346951 }),
      ["body.data.feature_list.0.event_timestamp"],
    ],
    ["/items", "a zero TTL", listed({ ttl_seconds: 0 }), ["body.data.feature_list.0.ttl_seconds"]],
    ["/items", "a negative TTL", listed({ ttl_seconds: -1 }), ["body.data.feature_list.0.ttl_seconds"]],
    ["/items", "a text as TTL", meta({ ttl_seconds: "60" }), ["body.metadata.ttl_seconds"]],
    [
      "/items",
      "a TTL beyond all reason",
      listed({ ttl_seconds: 1e300 }),
      ["body.data.feature_list.0.ttl_seconds"],
    ],
    ["/items", "a number as compute_id", listed({ compute_id: 5 }), ["body.data.feature_list.0.compute_id"]],
    ["/items", "a text as if_revision", data({ if_revision: "1" }), ["body.data.if_revision"]],
    ["/items", "a negative if_revision", data({ if_revision: -1 }), ["body.data.if_revision"]],
    ["/items", "a fraction as if_revision", data({ if_revision: 1.5 }), ["body.data.if_revision"]],
    ["/items/batch", "an object as data", item({}), ["body.data"]],
    ["/items/batch", "no rows", item({ data: [] }), ["body.data"]],
    ["/items/batch", "null as a row", item({ data: [null] }), ["body.data.0"]],
    [
      "/items/batch",
      "a row without entity_value",
      item({ data: [item({}).data, data({ entity_value: undefined }).data] }),
      ["body.data.1.entity_value"],
    ],
    ["/items/bad", "a list", [], ["body"]],
    ["/items/bad", "a number", 7, ["body"]],
    ["/items/bad", "nothing to write", {}, ["body"]],
    ["/items/bad", "null as a category's features", { c: null }, ["body.c"]],
    ["/items/bad", "a value in place of features", { c: 1 }, ["body.c"]],
    ["/items/bad", "a colon in a category", { "a:b": { a: 1 } }, ["body.a:b"]],
    ["/items/bad", "an empty category", { "": { a: 1 } }, ["body."]],
    ["/items/%00", "a NUL in the path", { c: { a: 1 } }, ["path.entity_value"]],
    ["/get/items", "null", null, ["body"]],
    ["/get/items", "no data", {}, ["body.data"]],
    ["/get/items", "no entity_value", asked({ entity_value: undefined }), ["body.data.entity_value"]],
    ["/get/items", "no feature_list", asked({ feature_list: undefined }), ["body.data.feature_list"]],
    ["/get/items", "an empty feature_list", asked({ feature_list: [] }), ["body.data.feature_list"]],
    ["/get/items", "a text as feature_list", asked({ feature_list: "c:a" }), ["body.data.feature_list"]],
    [
      "/get/items",
      "a number as reference",
      asked({ feature_list: ["c:a", 1] }),
      ["body.data.feature_list.1"],
    ],
    [
      "/get/items",
      "a reference without a colon",
      asked({ feature_list: ["c"] }),
      ["body.data.feature_list.0"],
    ],
    [
      "/get/items",
      "a control character in a reference",
      asked({ feature_list: ["c:a\u0000"] }),
      ["body.data.feature_list.0"],
    ],
    ["/get/items", "a list as meta", { ...asked({}), meta: [] }, ["body.meta"]],
    // Passed over, each of these would make it another request than was meant.
    ["/items", "mode in data", data({ mode: "merge" }), ["body.data.mode"]],
    ["/items", "event_timestamp in data", data({ event_timestamp: "x" }), ["body.data.event_timestamp"]],
    ["/items", "compute_id in data", data({ compute_id: "x" }), ["body.data.compute_id"]],
    ["/items", "ttl_seconds in data", data({ ttl_seconds: 1 }), ["body.data.ttl_seconds"]],
    ["/items", "table_type in data", data({ table_type: "account_id" }), ["body.data.table_type"]],
    ["/items", "event_time in an entry", listed({ event_time: 1 }), ["body.data.feature_list.0.event_time"]],
    ["/items", "ttl in an entry", listed({ ttl: 1 }), ["body.data.feature_list.0.ttl"]],
    [
      "/items",
      "if_revision in an entry",
      listed({ if_revision: 1 }),
      ["body.data.feature_list.0.if_revision"],
    ],
    ["/items", "if_revision in metadata", meta({ if_revision: 1 }), ["body.metadata.if_revision"]],
    ["/items", "mode beside data", item({ mode: "merge" }), ["body.mode"]],
    ["/items", "if_revision beside data", item({ if_revision: 1 }), ["body.if_revision"]],
    ["/items/batch", "mode beside data", item({ mode: "merge", data: [item({}).data] }), ["body.mode"]],
    ["/items", "ttl_hours in an entry", listed({ ttl_hours: 1 }), ["body.data.feature_list.0.ttl_hours"]],
    ["/items", "ttl_hours in metadata", meta({ ttl_hours: 1 }), ["body.metadata.ttl_hours"]],
    ["/get/items", "consistency beside data", { ...asked({}), consistency: "strong" }, ["body.consistency"]],
    [
      "/get/items",
      "consistency in meta",
      { ...asked({}), meta: { consistency: "strong" } },
      ["body.meta.consistency"],
    ],
    ["/get/items?consistency=x", "a consistency in the query that is none", asked({}), ["query.consistency"]],
    [
      "/get/items?consistency=strong",
      "another consistency in the query",
      asked({ consistency: "edge" }),
      ["query.consistency"],
    ],
    ["/items", "metadata and meta that disagree", meta2({ mode: "merge" }), ["body.meta.mode"]],
    ["/get/items", "table_type in data", asked({ table_type: "account_id" }), ["body.data.table_type"]],
    ["/items?mode=merge", "an option of the body in the query", item({}), ["query.mode"]],
    [
      "/items/batch?ttl_seconds=1",
      "an option of the body in the query",
      item({ data: [item({}).data] }),
      ["query.ttl_seconds"],
    ],
    ["/items/bad?mode=merge", "an option of the longer form", { c: { a: 1 } }, ["query.mode"]],
    ["/get/item/bad", "a list", ["c"], ["body"]],
    ["/get/item/bad", "nothing asked for", {}, ["body"]],
    ["/get/item/bad", "a text in place of names", { c: "a" }, ["body.c"]],
    ["/get/item/bad", "a number as a name", { c: ["a", 1] }, ["body.c.1"]],
    ["/get/item/bad", "a colon in a category", { "a:b": ["a"] }, ["body.a:b"]],
    ["/get/item/%0a", "a line break in the path", { c: ["a"] }, ["path.entity_value"]],
  ];

  test.each(table)("POST %s: %s is 422, naming the place", async (path, _, body, places) => {
    const problem = expectProblem(await post(path, body), 422);
    expect(faultPlaces(problem)).toEqual(places);
    // For those who read no further than the detail.
    expect(problem.detail).toContain(places[0]?.slice(0, 20));
  });

  test("a number alone is no object, however long it is", async () => {
    for (const body of ["9007199254740993", "-123456789012345678901234567890"])
      expect(faultPlaces(expectProblem(await post("/items/bad", body), 422))).toEqual(["body"]);
  });

  test("all faults of a request are named at once", async () => {
    const list = [entry("", {}), entry("c", 1, { mode: "x" })];
    const problem = expectProblem(await upsert("", list, { data: { if_revision: "x" } }), 422);
    expect(faultPlaces(problem).toSorted()).toEqual([
      "body.data.entity_value",
      "body.data.feature_list.0.category",
      "body.data.feature_list.1.features",
      "body.data.feature_list.1.mode",
      "body.data.if_revision",
    ]);
  });

  test("nothing of a refused request is kept", async () => {
    await post(
      "/items",
      data({ entity_value: "half", feature_list: [entry("good", { a: 1 }), entry("bad", 1)] }),
    );
    await post("/items/half", { good: { a: 1 }, bad: 1 });
    const rows = ["half", ""].map((value) => itemsBody(value, [entry("good", { a: 1 })]).data);
    await post("/items/batch", { metadata: WRITER, data: rows });
    expectProblem(await readItem("half", "good"), 404);
  });

  test.each(["1e999", "-1e999", "1.5E+400", "9".repeat(400), `1${"0".repeat(300)}e99`])(
    "a number that no type can hold is 422: %s",
    async (number) => {
      for (const [path, body] of [
        ["/items/bad", `{"c":{"a":${number}}}`],
        ["/items/bad", `{"c":{"a":[{"b":${number}}]}}`],
        ["/items", JSON.stringify(item({})).replace("1", () => number)],
      ] as const) {
        expectProblem(await post(path, body), 422);
      }
      expectProblem(await readItem("bad", "c"), 404);
    },
  );

  test("feature values nest 32 levels deep, and not one more", async () => {
    const nested = (levels: number) => `{"c":{"a":${deep(levels)}}}`;
    expect((await post("/items/deep-32", nested(32))).status).toBe(200);
    expect((await readItem("deep-32", "c")).text).toContain(deep(32));
    const problem = expectProblem(await post("/items/deep-33", nested(33)), 422);
    expect(problem.detail).toMatch(/\b32\b/);
  });

  test("GET /get/item: what a name cannot be is 422, naming the part of the path", async () => {
    for (const [path, place] of [
      ["/get/item/%00/c", "path.entity_value"],
      ["/get/item/a/%00", "path.category"],
      ["/get/item/a/b%3Ac", "path.category"],
      ["/get/item/a/c?consistency=x", "query.consistency"],
      ["/get/item/a/c?entity_type=", "query.entity_type"],
      ["/get/item/a/c?entity_type=bright_uid&table_type=account_id", "query.table_type"],
    ]) {
      expect(faultPlaces(expectProblem(await get(path ?? ""), 422, path))).toEqual([place]);
    }
  });

  test("DELETE /entities: a category in the query deletes nothing", async () => {
    await upsert("keep", [entry("c", { a: 1 }), entry("d", { a: 1 })]);
    const problem = expectProblem(await remove("/entities/bright_uid/keep?category=c"), 422);
    expect(faultPlaces(problem)).toEqual(["query.category"]);
    expect((await readItem("keep", "d")).status).toBe(200);
  });

  test("DELETE /entities: what a name cannot be is 422, naming the part of the path", async () => {
    for (const [path, place] of [
      ["/entities/bright_uid/%00", "path.entity_value"],
      ["/entities/bright_uid/a/b%3Ac", "path.category"],
      ["/entities/%01/a", "path.entity_type"],
      ["/entities/martian/a", "path.entity_type"],
    ]) {
      expect(faultPlaces(expectProblem(await remove(path ?? ""), 422, path))).toEqual([place]);
    }
  });

  test("no refusal repeats a value, whatever is wrong", async () => {
    const secret = { a: SECRET, b: [SECRET], c: { d: SECRET } };
    const big = { a: SECRET.repeat(80_000) };
    const registration = {
      name: "secret_number",
      dtype: "int64",
      entity_type: "bright_uid",
      category: "typed",
    };
    expect((await post("/features/register", registration)).status).toBe(201);
    await upsert("secret", [entry("c", secret)]);
    const refusals = [
      await upsert("secret", [entry("c", secret)], { data: { if_revision: 9 } }),
      await upsert("secret", [entry("c", { ...secret, "\u0000": SECRET })]),
      await upsert("secret", [entry("c", big)]),
      await upsert("secret", [entry("c", [SECRET])]),
      await upsert("secret", [entry("c", secret, { mode: SECRET })]),
      await upsert("secret", [entry("c", secret, { event_timestamp: SECRET })]),
      await upsert("secret", [entry("c", secret, { ttl_seconds: SECRET })]),
      await upsert("secret", [entry("c", secret)], { data: { entity_type: SECRET } }),
      await upsert("secret", [entry("c", secret)], { metadata: { source: SECRET } }),
      await post("/items", `{"metadata":{"source":"prediction_service"},"data":{"x":"${SECRET}`),
      await post("/items/secret", { c: SECRET }),
      await post("/items/secret", { typed: { secret_number: SECRET } }),
      await upsert("secret", [entry("typed", { secret_number: SECRET })]),
      await post("/features/register", { ...registration, version: 2, default_value: SECRET }),
      await post("/items/batch", {
        metadata: WRITER,
        data: [{ ...itemsBody("s", []).data, feature_list: SECRET }],
      }),
      await readItems("secret", ["c:*"], { consistency: SECRET }),
      await readItem("secret", "c", `?consistency=${SECRET}`),
      await readItem("secret", "c", `?entity_type=${SECRET}`),
      await readItem("secret", "c", `?table_type=${SECRET}`),
      await get(itemPath("secret", "c"), { "x-consistency-token": SECRET }),
      await get(itemPath("secret", "c"), { "x-api-key": SECRET }),
      await get(itemPath("secret", "c"), { authorization: `Bearer ${SECRET}` }),
    ];
    for (const [position, answer] of refusals.entries()) {
      expect(answer.status, String(position)).toBeGreaterThanOrEqual(400);
      expectNoHarm(answer, String(position));
    }
  });
});

test("no cache on the way may keep an answer, whatever its form; a browser may keep a file of the documents", async () => {
  await upsert("uncached", [entry("c", { n: 1 })]);
  const rows = { entity_ids: ["uncached"], feature_names: ["c:n"], timestamp: "2026-01-01T00:00:00Z" };
  const answers = {
    json: await get("/get/item/uncached/c"),
    problem: await get("/get/item/nobody/c"),
    ndjson: await post("/features/batch", rows, { accept: "application/x-ndjson" }),
    parquet: await post("/features/batch", rows, { accept: "application/vnd.apache.parquet" }),
    page: await get("//docs"),
  };
  for (const [form, { headers }] of Object.entries(answers))
    expect(headers.get("cache-control"), form).toBe("no-store");
  expect((await get("//docs/swagger-ui.css")).headers.get("cache-control")).not.toContain("no-store");
});

describe("x-request-id", () => {
  const paths = ["/get/item/nobody/c", "/nothing", "//health", "//docs", "/get/item/%00/c"];

  test("one that comes in goes out, in the header and in the problem", async () => {
    for (const path of paths) {
      for (const id of ["abc", "5f0c3f0e-7e3c-4d6b-9a39-5a9f1a7c2b11", "A.b:c_d-9"]) {
        const answer = await get(path, { "x-request-id": id });
        expect(answer.headers.get("x-request-id"), path).toBe(id);
        if (answer.status >= 400) expect((answer.body as ProblemBody).request_id).toBe(id);
      }
    }
  });

  test("a malformed one is replaced", async () => {
    for (const path of paths) {
      for (const id of ["a b", "x".repeat(1_000), "<script>", "a\tb", "a,b", "'"]) {
        const own = (await get(path, { "x-request-id": id })).headers.get("x-request-id") ?? "";
        expect(own, path).toMatch(/^[\w.:-]{8,128}$/);
      }
    }
  });

  test("without one each request gets its own", async () => {
    const ids = await Promise.all(paths.map(async (path) => (await get(path)).headers.get("x-request-id")));
    expect(new Set(ids).size).toBe(paths.length);
  });
});

describe("cross-origin requests in development", () => {
  const origin = "https://somewhere.example";

  test("any origin may read any answer, errors too", async () => {
    for (const [path, headers] of [
      ["//health", {}],
      ["/get/item/nobody/c", {}],
      ["/get/item/%00/c", {}],
      ["/nothing", {}],
      ["/get/item/nobody/c", { "x-api-key": "made-up" }],
    ] as const) {
      const answer = await get(path, { ...headers, origin });
      expect(["*", origin], path).toContain(answer.headers.get("access-control-allow-origin"));
      const exposed = answer.headers.get("access-control-expose-headers")?.toLowerCase() ?? "";
      for (const name of ["x-request-id", "x-consistency-token"]) expect(exposed, path).toContain(name);
    }
  });

  test("a preflight needs no key and allows the methods and headers of the API", async () => {
    const wanted = [
      "content-type",
      "x-api-key",
      "authorization",
      "idempotency-key",
      "x-consistency-token",
      "x-request-id",
    ];
    for (const [method, path] of [
      ["POST", "/items"],
      ["DELETE", "/entities/bright_uid/x"],
      ["GET", "/get/item/x/c"],
    ] as const) {
      const answer = await ask("OPTIONS", path, {
        headers: {
          origin,
          "access-control-request-method": method,
          "access-control-request-headers": wanted.join(","),
        },
      });
      expect([200, 204]).toContain(answer.status);
      expect(["*", origin]).toContain(answer.headers.get("access-control-allow-origin"));
      expect(answer.headers.get("access-control-allow-methods")).toContain(method);
      const allowed = answer.headers.get("access-control-allow-headers")?.toLowerCase() ?? "";
      for (const name of wanted) expect(allowed).toContain(name);
    }
  });

  test("credentials are never allowed along with any origin", async () => {
    const answer = await get("//health", { origin });
    expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
  });
});

describe("limits, at the edge and one past it", () => {
  /** Refused for its size, with words that name the limit. */
  function expectOver(answer: Answer<unknown>, limit: number): void {
    expect([413, 422], answer.text.slice(0, 200)).toContain(answer.status);
    const { detail } = expectProblem(answer, answer.status);
    expect(detail.replaceAll(/[,_](?=\d{3})/g, "")).toMatch(new RegExp(`\\b${limit}\\b`));
  }
  const categories = (count: number, from = 0) =>
    Array.from({ length: count }, (_, i) => entry(`c${from + i}`, { n: from + i }));
  const short = (count: number) =>
    Object.fromEntries(categories(count).map((each) => [each.category, each.features]));

  test("a body has at most 10 MiB, whether or not its length is announced", async () => {
    expect(MAX_BODY_BYTES).toBe(10 * 1024 * 1024);
    const sized = (bytes: number) => `{"c":{"a":1}}${" ".repeat(bytes - 13)}`;
    const streamed = (bytes: number) => new Blob([sized(bytes)]).stream();
    expect((await post("/items/body", sized(MAX_BODY_BYTES))).status).toBe(200);
    expect((await post("/items/body-streamed", streamed(MAX_BODY_BYTES))).status).toBe(200);
    for (const body of [sized(MAX_BODY_BYTES + 1), streamed(MAX_BODY_BYTES + 1)]) {
      const over = await post("/items/body-over", body);
      expectProblem(over, 413);
      expectOver(over, MAX_BODY_BYTES);
    }
    expectProblem(await readItem("body-over", "c"), 404);
  });

  const wide = "語";
  const numbers = `[${"1e20,".repeat(45_000)}1e20]`;
  const names = Array.from({ length: 1_950 }, (_, i) => `"${`${i}`.padStart(509, "n")}${wide}":1`).join();
  test.each([
    ["numbers are longer than they were sent", `{"a":${numbers},"b":"${wide}"}`, 16, 15],
    ["names come twice, and in two bytes a character", `{${names}}`, 10, 9],
  ])(
    "a body whose %s on the way to a writer is refused before it is asked",
    async (_, features, most, fewer) => {
      const body = (count: number) =>
        `{${Array.from({ length: count }, (_, i) => `"c${i}":${features}`).join()}}`;
      const over = await post("/items/longer", body(most));
      expectProblem(over, 413);
      expectOver(over, MAX_WRITE_BYTES);
      const value = `longer-${most}`;
      expect((await post(`/items/${value}`, body(fewer - 2))).status).toBe(200);
      expectProblem(await readItem("longer", "c0"), 404);
    },
  );

  test("a body with more faults than anybody counts is refused as one with few", async () => {
    const wrong = Array.from({ length: 700 }, () => ({
      entity_type: "bright_uid",
      entity_value: "faulty",
      feature_list: Array.from({ length: 200 }, () => ({ category: "a:b", features: {} })),
    }));
    expectProblem(await post("/items/batch", { metadata: WRITER, data: wrong }), 422);
    const names = Array.from({ length: 200_000 }, (_, i) => `c${i}`);
    const categories = Object.fromEntries(names.map((name) => [name, 0]));
    for (const path of ["/items/faulty", "/get/item/faulty"])
      expectProblem(await post(path, categories), 422);
    const key = { name: "k", scopes: names };
    expectProblem(await post("/admin/tenants/default/keys", key), 422);
  });

  test("a request has at most 1,000 entities", async () => {
    const rows = (count: number) => ({
      metadata: WRITER,
      data: Array.from({ length: count }, (_, i) => itemsBody(`row-${count}-${i}`, [entry("c", { i })]).data),
    });
    const { status, body } = await post<BatchWritten>("/items/batch", rows(1_000));
    expect(status).toBe(200);
    expect(new Set(body.results.map(({ outcome }) => outcome))).toEqual(new Set(["applied"]));
    expect(body.results.map(({ entity_value }) => entity_value)).toEqual(
      Array.from({ length: 1_000 }, (_, i) => `row-1000-${i}`),
    );
    expectOver(await post("/items/batch", rows(1_001)), 1_000);
    expectProblem(await readItem("row-1001-0", "c"), 404);
  });

  test("a read has at most 1,000 entities or rows", async () => {
    const timestamp = "2025-10-13T09:15:51Z";
    const reads = (count: number) => {
      const entity_ids = Array.from({ length: count }, (_, i) => `reader-${i}`);
      const rows = entity_ids.map((entity_id) => ({ entity_id, timestamp }));
      const feature_names = ["c:a"];
      return [
        ["/features/online", { entity_ids, feature_names }],
        ["/features/batch", { entity_ids, feature_names, timestamp }],
        ["/features/batch", { rows, feature_names }],
      ] as const;
    };
    for (const [path, body] of reads(1_000)) expect((await post(path, body)).status, path).toBe(200);
    for (const [path, body] of reads(1_001)) expectOver(await post(path, body), 1_000);
  });

  test("one write has at most 200 categories", async () => {
    expect((await upsert("cat-1", categories(200))).body.categories_updated).toHaveLength(200);
    const { body } = await readItems(
      "cat-1",
      categories(200).map(({ category }) => `${category}:*`),
    );
    expect(Object.keys(body.items)).toHaveLength(200);
    expectOver(await upsert("cat-2", categories(201)), 200);
    expect((await post("/items/cat-3", short(200))).status).toBe(200);
    expectOver(await post("/items/cat-4", short(201)), 200);
    for (const value of ["cat-2", "cat-4"]) expectProblem(await readItem(value, "c0"), 404);
  });

  test("an entity has at most 200 categories, however many writes they come in", async () => {
    expect((await upsert("sum-1", categories(150))).status).toBe(200);
    expect((await upsert("sum-1", categories(50, 150))).status).toBe(200);
    const over = [entry("c0", { changed: true }), entry("one-more", { a: 1 })];
    expectOver(await upsert("sum-1", over), 200);
    expectOver(await post("/items/sum-1", { "one-more": { a: 1 } }), 200);
    const bulk = await post<BatchWritten>("/items/batch", {
      metadata: WRITER,
      data: [itemsBody("sum-1", over).data, itemsBody("sum-2", over).data],
    });
    expect(bulk.body.results.map(({ outcome }) => outcome)).toEqual(["rejected", "applied"]);
    expect(JSON.stringify(bulk.body.results[0]?.reason)).toMatch(/\b200\b/);
    const { body } = await readItems("sum-1", ["c0:*", "one-more:*"]);
    expect(body.items.c0?.features.data).toEqual({ n: 0 });
    expect(body).toMatchObject({ unavailable_feature_categories: ["one-more"], revision: 2 });
    // What is there may still change, and what goes makes room.
    expect((await upsert("sum-1", [entry("c0", { changed: true })])).status).toBe(200);
    expect((await remove("/entities/bright_uid/sum-1/c1")).status).toBe(200);
    expect((await upsert("sum-1", [entry("one-more", { a: 1 })])).status).toBe(200);
    expectOver(await upsert("sum-1", [entry("two-more", { a: 1 })]), 200);
  });

  test("a category has at most 1 MB as JSON, in bytes", async () => {
    expect([1_000_000, 1_048_576]).toContain(MAX_CATEGORY_BYTES);
    const room = MAX_CATEGORY_BYTES - `{"a":""}`.length;
    const texts = { ascii: ["x".repeat(room), "x"], wide: ["\u00e9".repeat(room / 2), "x"] };
    for (const [name, [text = "", more]] of Object.entries(texts)) {
      expect((await upsert(`mb-${name}`, [entry("c", { a: text })])).status, name).toBe(200);
      expect((await readItem(`mb-${name}`, "c")).body.features.data.a === text, name).toBe(true);
      expectOver(await upsert(`mb-${name}-over`, [entry("c", { a: text + more })]), MAX_CATEGORY_BYTES);
      expectOver(await post(`/items/mb-${name}-over`, { c: { a: text + more } }), MAX_CATEGORY_BYTES);
      expectProblem(await readItem(`mb-${name}-over`, "c"), 404);
    }
  });

  test("a category has at most 1 MB, however many writes it comes in", async () => {
    const half = "x".repeat(MAX_CATEGORY_BYTES / 2);
    expect((await upsert("mb-sum", [entry("c", { a: half })])).status).toBe(200);
    const second = entry("c", { b: half }, { mode: "merge" });
    expectOver(await upsert("mb-sum", [second]), MAX_CATEGORY_BYTES);
    const rows = [itemsBody("mb-sum", [second]).data, itemsBody("mb-sum-2", [second]).data];
    const bulk = await post<BatchWritten>("/items/batch", { metadata: WRITER, data: rows });
    expect(bulk.body.results.map(({ outcome }) => outcome)).toEqual(["rejected", "applied"]);
    expect(JSON.stringify(bulk.body.results[0]?.reason)).toContain(String(MAX_CATEGORY_BYTES));
    const { body } = await readItem("mb-sum", "c");
    expect([Object.keys(body.features.data), body.revision]).toEqual([["a"], 1]);
  });

  // An emoji is one character, in a body as well as percent-encoded in a path.
  test.each(["n", "é", "語", "💥"])(
    "names have at most 512 characters, such as %s: entity value, category, feature, compute_id",
    async (one) => {
      const [most, over] = [one.repeat(512), one.repeat(513)];
      expect((await upsert(most, [entry(most, { [most]: 1 }, { compute_id: most })])).status).toBe(200);
      const read = await readItem(most, most);
      expect(read.body).toMatchObject({
        bright_uid: most,
        category: most,
        features: { data: { [most]: 1 }, meta: { compute_id: most } },
      });
      expect((await readItems(most, [`${most}:${most}`])).body.items[most]?.features.data).toEqual({
        [most]: 1,
      });
      const feature_names = [`${most}:${most}`];
      const found = { [`${most}:${most}`]: { value: 1, status: "PRESENT" } };
      const online = { entity_ids: [most], feature_names };
      for (const source of ["the database", "a cache"]) {
        expect((await post("/features/online", online)).body, source).toMatchObject({
          results: [{ entity_id: most, features: found }],
        });
      }
      const past = { rows: [{ entity_id: most, timestamp: secondsAgo(-60) }], feature_names };
      expect((await post("/features/batch", past)).body).toMatchObject({ rows: [{ features: found }] });
      const bulk = { metadata: WRITER, data: [itemsBody(most, [entry(most, { [most]: 1 })]).data] };
      expect((await post<BatchWritten>("/items/batch", bulk)).body.results).toMatchObject([
        { entity_value: most, outcome: "applied", revision: 2 },
      ]);
      expect((await post(`/items/${most}`, { [most]: { [most]: 2 } })).status).toBe(200);
      expect((await remove(`/cache/invalidate/${most}`)).status).toBe(200);
      expect((await readItem(most, most, "?consistency=strong")).body.features.data).toEqual({ [most]: 2 });
      expect((await post(`/get/item/${most}`, { [most]: [most] })).status).toBe(200);
      expect((await remove(`/entities/bright_uid/${most}/${most}`)).status).toBe(200);
      expectProblem(await readItem(most, most), 404);
      for (const answer of [
        await upsert(over, [entry("c", { a: 1 })]),
        await upsert("long", [entry(over, { a: 1 })]),
        await upsert("long", [entry("c", { [over]: 1 })]),
        await upsert("long", [entry("c", { a: 1 }, { compute_id: over })]),
        await upsert("long", [entry("c", { a: 1 })], { metadata: { compute_id: over } }),
        await post("/items/batch", {
          metadata: WRITER,
          data: [itemsBody(over, [entry("c", { a: 1 })]).data],
        }),
        await post(`/items/${over}`, { c: { a: 1 } }),
        await post("/items/long", { [over]: { a: 1 } }),
        await post("/items/long", { c: { [over]: 1 } }),
        await readItem(over, "c"),
        await readItem("long", over),
        await readItems(over, ["c:*"]),
        await post(`/get/item/${over}`, { c: ["a"] }),
        await post("/get/item/long", { [over]: ["a"] }),
        await post("/get/item/long", { c: [over] }),
        await remove(`/entities/bright_uid/${over}`),
        await remove(`/entities/bright_uid/long/${over}`),
      ]) {
        expectOver(answer, 512);

        const msg = expect.stringMatching(/must have at most 512 characters, has 513$/);
        for (const fault of (answer.body as ProblemBody).errors ?? []) expect(fault.msg).toEqual(msg);
      }
      expectProblem(await readItem("long", "c"), 404);
    },
  );

  test("an Idempotency-Key has at most 255 characters, and at least one", async () => {
    expect(MAX_IDEMPOTENCY_KEY_CHARACTERS).toBe(255);
    const write = (key: string) =>
      upsert("key", [entry("c", { a: 1 })], { headers: { "idempotency-key": key } });
    expect((await write("k".repeat(255))).body.revision).toBe(1);
    expect((await write("k".repeat(255))).body.revision).toBe(1);
    expectOver(await write("k".repeat(256)), 255);
    expectProblem(await write(""), 422);
    expect((await readItem("key", "c")).body.revision).toBe(1);
  });
});
