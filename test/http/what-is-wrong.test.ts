/** What a refusal says: what is wrong, where, and what was expected. */
import { expect, test } from "vitest";
import { SECRET } from "../setup/hostile.ts";
import { ask, entry, expectProblem, get, post, upsert } from "../setup/http.ts";

const MISSING = { msg: "is needed", type: "missing" };

test.each([
  ["POST", "/ingest", {}, ["raw_table_id", "data"]],
  ["POST", "/items", {}, ["data"]],
  [
    "POST",
    "/items",
    { data: { feature_list: [{}] } },
    ["data.entity_type", "data.entity_value", "data.feature_list.0.category", "data.feature_list.0.features"],
  ],
  ["POST", "/get/items", { data: {} }, ["data.entity_value", "data.feature_list"]],
  ["POST", "/features/register", {}, ["name", "dtype", "entity_type"]],
  ["POST", "/raw-tables", {}, ["name", "schema_definition"]],
  ["POST", "/features", {}, ["name", "raw_table_id", "computation_logic", "entity_key"]],
  ["POST", "/features/online", { entity_id: "a" }, ["feature_names"]],
  ["POST", "/features/batch", { rows: [{}] }, ["rows.0.entity_id", "feature_names"]],
  ["POST", "/admin/tenants", {}, ["name"]],
  ["POST", "/admin/tenants/default/keys", {}, ["name", "scopes"]],
  ["POST", "/subscriptions", {}, ["url"]],
])("%s %s with %j: each missing field is named", async (method, path, body, fields) => {
  const { errors } = expectProblem(await ask(method, path, { body }), 422);
  expect(errors).toEqual(fields.map((field) => ({ loc: ["body", ...steps(field)], ...MISSING })));
});

/** `data.0.name` → `["data", 0, "name"]`. */
const steps = (place: string) => place.split(".").map((step) => (/^\d+$/.test(step) ? Number(step) : step));

test.each([
  ["/features/online?entity_type=user", "query.entity_type: is a field of the body"],
  ["/features/online?table_type=user", "query.table_type: is a field of the body"],
  ["/features/online?max_age_seconds=1", "query.max_age_seconds: is a field of the body"],
  ["/features/batch?known_at=2020-01-01T00:00:00Z", "query.known_at: is a field of the body"],
  ["/training-sets?entity_type=user", "query.entity_type: is a field of the body"],
  ["/get/items?entity_type=account_id", "query.entity_type: is a field of the body"],
  ["/items?entity_type=account_id", "query.entity_type: stands in the body, in `data`"],
  [
    "/items/batch?table_type=account_id",
    "query.table_type: is called `entity_type`, and stands in the body, in `data`",
  ],
])("POST %s means another entity or time than is read: %s", async (path, detail) => {
  expect(expectProblem(await post(path, {}), 422).detail).toBe(detail);
});

test("an entity type beside `data` is not passed over: the entity of another would be read", async () => {
  const data = { entity_value: "a", feature_list: ["c:*"] };
  const { detail } = expectProblem(await post("/get/items", { entity_type: "account_id", data }), 422);
  expect(detail).toBe("body.entity_type: stands in `data`");
});

test("a missing parameter is named in the same way", async () => {
  const { errors } = expectProblem(await get("/feature-vectors?feature_name=a"), 422);
  expect(errors).toEqual([{ loc: ["query", "entity_id"], ...MISSING }]);
});

const NO_NAME = "must be letters, digits, `_`, `.` and `-`, beginning with a letter or `_`";

test.each([
  ["/features?limit=abc", "query.limit", "must be a whole number from 1 to 1000"],
  ["/features?limit=0", "query.limit", "must be a whole number from 1 to 1000"],
  ["/features?limit=1.5", "query.limit", "must be a whole number from 1 to 1000"],
  ["/features?limit=1&limit=2", "query.limit", "must be given once, is given 2 times"],
  ["/features?q=a&q=b&q=c", "query.q", "must be given once, is given 3 times"],
  ["/admin/tenants?limit=x", "query.limit", "must be a whole number from 1 to 1000"],
  ["/subscriptions?limit=x", "query.limit", "must be a whole number from 1 to 1000"],
  ["/raw-tables/0", "path.table_id", "must be the id or the name of a raw table"],
  ["/raw-tables/0x1", "path.table_id", NO_NAME],
  ["/raw-tables/a:b", "path.table_id", NO_NAME],
  ["/features?limit=1e2", "query.limit", "must be a whole number from 1 to 1000"],
  [
    "/feature-vectors?entity_id=a&feature_version_id=abc",
    "query.feature_version_id",
    "must be a whole number from 1",
  ],
  ["/features/a/stats?hours=abc", "query.hours", "must be a whole number from 1 to 744"],
])("GET %s: %s %s", async (path, place, msg) => {
  expect(expectProblem(await get(path), 422).detail).toBe(`${place}: ${msg}`);
});

const AT = "2025-10-13T09:15:51Z";
const ONE = { entity_id: "a", timestamp: AT };
const RANGE = { from: AT, to: AT };

test.each([
  ["POST /features/online", {}, "entity_id", "entity_id", "entity_ids"],
  ["POST /features/online", { entity_id: "a", entity_ids: ["a"] }, "entity_id", "entity_id", "entity_ids"],
  ["POST /features/batch", { timestamp: AT }, "rows", "entity_ids", "rows"],
  ["POST /features/batch", { timestamp: AT, entity_ids: ["a"], rows: [ONE] }, "rows", "entity_ids", "rows"],
  ["GET /feature-vectors?entity_id=a", undefined, "feature_name", "feature_name", "feature_version_id"],
  [
    "GET /feature-vectors?entity_id=a&feature_name=a&feature_version_id=1",
    undefined,
    "feature_name",
    "feature_name",
    "feature_version_id",
  ],
  ["POST /subscriptions/x/replay", {}, "from", "delivery_ids", "dead", "from with to"],
  ["POST /subscriptions/x/replay", { dead: true, ...RANGE }, "from", "delivery_ids", "dead", "from with to"],
  [
    "POST /subscriptions/x/replay",
    { dead: true, delivery_ids: ["1"] },
    "from",
    "delivery_ids",
    "dead",
    "from with to",
  ],
])(
  "%s with %j: none of several is needed, more than one is too many",
  async (request, body, field, ...names) => {
    const [method = "", path = ""] = request.split(" ");
    const asked = body && (path.startsWith("/features") ? { feature_names: ["a:b"], ...body } : body);
    const { errors } = expectProblem(await ask(method, path, { body: asked }), 422);
    const given = body ? Object.keys(body).length > 1 : path.includes("&");
    const loc = [body ? "body" : "query", field];
    const fault = given
      ? { msg: `give one of ${names.join(", ")}, not several`, type: "conflicting_fields" }
      : { msg: `either ${names.join(" or ")} is needed`, type: "missing" };
    expect(errors).toEqual([{ loc, ...fault }]);
  },
);

test("a registered name that means nothing is refused with the reason", async () => {
  const definition = { dtype: "int64", entity_type: "bright_uid" };
  for (const name of ["has_no_active", "of_others"]) {
    const type = name === "of_others" ? { entity_type: "user" } : {};
    const { status } = await post("/features/register", { ...definition, ...type, name });
    expect(status).toBe(201);
  }
  await ask("PATCH", "/features/has_no_active/versions/1", { body: { status: "deprecated" } });
  for (const [name, msg] of [
    ["has_no_active", "has no active version"],
    ["has_no_active@2", "has no such version"],
    ["of_others", "is not a registered feature of this entity type"],
    ["never_registered", "is not a registered feature of this entity type"],
  ]) {
    const asked = { data: { entity_value: "a", feature_list: ["c:a", name] } };
    const { errors } = expectProblem(await post("/get/items", asked), 422, name);
    expect(errors).toEqual([{ loc: ["body", "data", "feature_list", 1], msg, type: "unknown_feature" }]);
  }
});

const NAMED = { feature_names: ["a:b"] };
const TABLE_TYPE = "is called `entity_type` in a body";
const PAST = "is taken by `POST /api/v1/features/batch`: here is what is true now";
const OF_ALL_ROWS = "stands beside `rows`, for all of them: `entity_type`, `known_at`";
const AGE = "is taken by `POST /api/v1/features/online`: here the TTLs of the values and features hold";
const NO_HEADERS = "cannot be chosen; what the receiver wants as `Authorization` is `authorization`";

test.each([
  ["/features/online", { ...NAMED, entity_id: "a", table_type: "user" }, "table_type", TABLE_TYPE],
  ["/features/online", { ...NAMED, entity_id: "a", timestamp: AT }, "timestamp", PAST],
  ["/features/online", { ...NAMED, entity_id: "a", known_at: AT }, "known_at", PAST],
  ["/features/batch", { ...NAMED, rows: [ONE], table_type: "user" }, "table_type", TABLE_TYPE],
  ["/features/batch", { ...NAMED, rows: [ONE], max_age_seconds: 1 }, "max_age_seconds", AGE],
  [
    "/features/batch",
    { ...NAMED, rows: [{ ...ONE, entity_type: "user" }] },
    "rows.0.entity_type",
    OF_ALL_ROWS,
  ],
  ["/features/batch", { ...NAMED, rows: [{ ...ONE, known_at: AT }] }, "rows.0.known_at", OF_ALL_ROWS],
  [
    "/features/batch",
    { ...NAMED, rows: [{ entity_id: "a", event_timestamp: AT }], timestamp: AT },
    "rows.0.event_timestamp",
    "is called `timestamp`",
  ],
  ["/training-sets", { ...NAMED, rows: [ONE], table_type: "user" }, "table_type", TABLE_TYPE],
  ["/subscriptions", { url: "https://receiver.example/", headers: {} }, "headers", NO_HEADERS],
  [
    "/subscriptions",
    { url: "https://receiver.example/", category: "a" },
    "category",
    "is called `categories`, and is a list",
  ],
])("POST %s with %j: what would be passed over is refused", async (path, body, field, msg) => {
  const { errors } = expectProblem(await post(path, body), 422);
  expect(errors).toEqual([{ loc: ["body", ...steps(field)], msg, type: "invalid_type" }]);
});

const UPSERT = { entity_type: "bright_uid", entity_value: "near" };

test.each([
  ["/features/online", { ...NAMED, entity_id: "a", max_age: 60 }, "max_age", "max_age_seconds"],
  ["/features/online", { ...NAMED, entity_id: "a", entityType: "user" }, "entityType", "entity_type"],
  ["/features/batch", { ...NAMED, rows: [ONE], know_at: AT }, "know_at", "known_at"],
  ["/features/register", { name: "near", dtype: "int64", entity_type: "user", ttl: 60 }, "ttl", "ttl_hours"],
  [
    "/items",
    {
      metadata: { source: "prediction_service" },
      data: { ...UPSERT, feature_list: [{ category: "a", features: { a: 1 }, event_timestmp: AT }] },
    },
    "data.feature_list.0.event_timestmp",
    "event_timestamp",
  ],
])("POST %s with %j: what is nearly a field is refused, naming that", async (path, body, field, meant) => {
  const { errors } = expectProblem(await post(path, body), 422);
  const msg = `is not known here: is \`${meant}\` meant?`;
  expect(errors).toEqual([{ loc: ["body", ...steps(field)], msg, type: "unknown_field" }]);
  const other = await post(path, { ...body, [field]: undefined, something_else: 1, label: "kept" });
  expect(other.status === 422 ? other.text : "").not.toContain("something_else");
});

test("a parameter that is nearly one is refused, naming that", async () => {
  const { errors } = expectProblem(await get("/get/item/near/any?consistancy=strong"), 422);
  const msg = "is not known here: is `consistency` meant?";
  expect(errors).toEqual([{ loc: ["query", "consistancy"], msg, type: "unknown_field" }]);
  expectProblem(await get("/get/item/near/any?something=else"), 404);
});

test.each([
  ["int64", `"34.0"`, "a string that is no whole number"],
  ["int64", "34.5", "a number that is not whole"],
  ["int64", "true", "boolean"],
  ["timestamp", `"2024-01-01T00:00:00"`, "a timestamp without a zone"],
  ["timestamp", `"soon"`, "a string that is no ISO 8601 date and time"],
  ["timestamp", `"0001-01-01T00:00:00Z"`, "a timestamp out of range, which is the years 1700 to 2199"],
])("a registered %s written with %s: what is wrong with it is said", async (dtype, value, found) => {
  const feature = { name: `of_${dtype}`, dtype, entity_type: "bright_uid", category: "typed" };
  expect([200, 201]).toContain((await post("/features/register", feature)).status);
  const answer = await post("/items/typed", `{"typed":{"of_${dtype}":${value}}}`);
  const msg = `feature \`of_${dtype}\` is of type ${dtype}, found ${found}`;
  const { errors } = expectProblem(answer, 422);
  expect(errors).toEqual([{ loc: ["body", "typed", `of_${dtype}`], msg, type: "type_mismatch" }]);
});

test.each(["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip"])(
  "a body with Content-Encoding %s is 415, naming it",
  async (encoding) => {
    const compressed = new Blob([`{"c":{"a":1}}`]).stream().pipeThrough(new CompressionStream("gzip"));
    const body = new Uint8Array(await new Response(compressed).arrayBuffer());
    const answer = await post("/items/compressed", body, { "content-encoding": encoding });
    const named = encoding.toLowerCase().split(", ").at(-1);
    expect(expectProblem(answer, 415).detail).toBe(
      `Content-Encoding \`${named}\` is not supported: send the body uncompressed`,
    );
    expect(answer.headers.get("accept-encoding")).toBe("identity");
  },
);

test("an unknown Content-Encoding is 415 and not repeated; identity, or none, is as without it", async () => {
  const body = { c: { a: 1 } };
  const refused = await post("/items/compressed", body, { "content-encoding": SECRET });
  expect(expectProblem(refused, 415).detail).not.toContain(SECRET);
  for (const encoding of ["identity", "Identity", ""]) {
    expect((await post("/items/compressed", body, { "content-encoding": encoding })).status, encoding).toBe(
      200,
    );
  }
  // A request without a body has nothing that could be compressed.
  const computed = await ask("POST", "/features/nothing/compute", {
    headers: { "content-encoding": "gzip" },
  });
  expectProblem(computed, 404);
});

test("an integer beyond 2^53 is called a number, where no such one is taken and where none is", async () => {
  const big = "9007199254740993";
  const range = "must be a number from -9007199254740991 to 9007199254740991";
  const entity =
    '"entity_type":"bright_uid","entity_value":"a","feature_list":[{"category":"c","features":{}}]';
  for (const [path, body, detail] of [
    ["/items", `{"data":{${entity},"if_revision":${big}}}`, `body.data.if_revision: ${range}`],
    [
      "/ingest",
      `{"raw_table_id":${big},"data":[{}]}`,
      "body.raw_table_id: must be the id or the name of a raw table",
    ],
    ["/items", `{"data":${big}}`, "body.data: must be an object, found integer"],
    ["/items", big, "body: must be an object, found integer"],
    [
      "/get/items",
      `{"data":{"entity_value":${big},"feature_list":["a:b"]}}`,
      "body.data.entity_value: must be a string, found integer",
    ],
  ] as const) {
    expect(expectProblem(await post(path, body), 422, path).detail).toBe(detail);
  }
  const refused = await upsert("big", [entry("c", { a: 1 })], { data: { if_revision: "1" } });
  expect(expectProblem(refused, 422).detail).toBe("body.data.if_revision: must be a number, found string");
});

test.each([
  "1.5",
  "null",
  "true",
  "99999999999999999999",
  "1e300",
  "0",
  "-1",
  "1000001",
  `"v"`,
  `"1.0"`,
  `""`,
  "{}",
  "[1]",
])("a version %s is refused with what a version is", async (version) => {
  const feature = { name: "with_versions", dtype: "int64", entity_type: "bright_uid" };
  expect([200, 201]).toContain((await post("/features/register", feature)).status);
  const form = 'must be a version: a whole number from 1 to 1000000, as 1, "1" or "v1"';
  for (const [path, body] of [
    ["/features/with_versions/versions", {}],
    ["/features/register", { ...feature, name: "another" }],
  ] as const) {
    const text = JSON.stringify({ ...body, version: "@" }).replace('"@"', () => version);
    const { errors = [] } = expectProblem(await post(path, text), 422, path);
    expect(errors).toEqual([{ loc: ["body", "version"], msg: form, type: expect.any(String) }]);
    expect(errors[0]?.type).not.toContain("union");
  }
  const patched = await ask("PATCH", `/features/with_versions/versions/x${encodeURIComponent(version)}`, {
    body: { status: "active" },
  });
  expect(expectProblem(patched, 422).detail).toBe(`path.version: ${form}`);
});

test("a version that is missing is needed", async () => {
  const { errors } = expectProblem(await post("/features/with_versions/versions", {}), 422);
  expect(errors).toEqual([{ loc: ["body", "version"], ...MISSING }]);
});

test("bytes that are no UTF-8 are refused, U+FFFD itself is a character like any other", async () => {
  const bytesOf = (value: unknown, [from, to]: [string, number[]]) => {
    const [before = "", after = ""] = JSON.stringify(value).split(from);
    const encode = (text: string) => new TextEncoder().encode(text);
    return new Uint8Array([...encode(before), ...to, ...encode(after)]);
  };
  const sent = (path: string, body: Uint8Array, isDeclared: boolean) =>
    post(path, body, isDeclared ? { "content-length": String(body.byteLength) } : {});
  const written = (name: string) => ({
    metadata: { source: "prediction_service" },
    data: { entity_type: "bright_uid", entity_value: "bytes", feature_list: [entry("c", { [name]: 1 })] },
  });
  const asked = { data: { entity_value: "bytes", feature_list: ["c:a\ufffdb"] } };
  const isWrong = async (path: string, value: unknown, bytes: number[], isDeclared: boolean) => {
    const answer = await sent(path, bytesOf(value, ["\ufffd", bytes]), isDeclared);
    expect(expectProblem(answer, 400).detail, `${path} ${bytes}`).toBe("the body is not UTF-8");
  };
  for (const isDeclared of [true, false]) {
    for (const wrong of [[0xff], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80]]) {
      await isWrong("/get/items", asked, wrong, isDeclared);
      await isWrong("/items", written("a\ufffdb"), wrong, isDeclared);
    }
    await isWrong("/items", written("a\ufffdb"), [0xf0, 0x9f, 0x98], isDeclared);
    const itself: [string, number[]] = ["\ufffd", [0xef, 0xbf, 0xbd]];
    expect((await sent("/items", bytesOf(written("a\ufffdb"), itself), isDeclared)).status).toBe(200);
    const read = await sent("/get/items", bytesOf(asked, itself), isDeclared);
    expect(read.body).toMatchObject({ items: { c: { features: { data: { "a\ufffdb": 1 } } } } });
    const marked = new Uint8Array([0xef, 0xbb, 0xbf, ...bytesOf(asked, itself)]);
    expect((await sent("/get/items", marked, isDeclared)).status).toBe(200);
  }
});
