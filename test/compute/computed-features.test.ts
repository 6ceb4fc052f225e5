/** Features by SQL: creating them, computing them, and reading their vectors wherever a value is read. */
import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { insertJob } from "../../worker/compute/compute-store.ts";
import { RawTableStore } from "../../worker/compute/raw-table-store.ts";
import { availabilityMessage, type FeatureAvailable } from "../../worker/events/feature-available.ts";
import worker from "../../worker/index.ts";
import {
  MAX_INLINE_ENTITIES,
  MAX_STREAMING_VERSIONS_PER_TABLE,
  MAX_UNFINISHED_JOBS,
} from "../../worker/limits.ts";
import { MICROS_PER_SECOND, nowMicros } from "../../worker/timestamps.ts";
import { ENDED_JOB_TTL_SECONDS } from "../../worker/timings.ts";
import {
  ask,
  expectProblem,
  faultPlaces,
  get,
  type Item,
  itemPath,
  post,
  TIMESTAMP,
  WRITER,
} from "../setup/http.ts";
import { sleep, until } from "../setup/waiting.ts";
import { SCHEMA } from "./racing.ts";
import {
  addVersion,
  type Computed,
  compute,
  createFeature,
  eventTime,
  type Feature,
  freshName,
  ingest,
  inside,
  type Job,
  newFeature,
  newTable,
  objectOf,
  row,
  SUMS,
  streaming,
  TENANT,
  type Vector,
  vector,
  vectorOf,
} from "./tables.ts";

afterEach(() => vi.restoreAllMocks());

const ROWS = [row("u", 1, 1), row("v", 10, 2), row("u", 2, 3)];

async function computed(rows: unknown[] = ROWS, body: Record<string, unknown> = {}) {
  const table = await newTable();
  await ingest(table, rows);
  const feature = await newFeature(table, body);
  const answer = await compute(feature.name);
  expect(answer.status, answer.text).toBe(200);
  return { table, ...feature };
}

describe("creating", () => {
  test("answers the feature without a version; its versions keep their SQL", async () => {
    const table = await newTable();
    const { status, body } = await createFeature(table, { description: "d", tags: ["t"] });
    expect([status, body]).toMatchObject([201, { version: null, computation_logic: SUMS, versions: [] }]);
    await addVersion(body.feature_id, { version: "v1", status: "active" });
    const other = "SELECT user_id, max(amount) AS most FROM data GROUP BY user_id";
    const second = await addVersion(body.name, { version: 2, computation_logic: other });
    expect([second.status, second.body]).toMatchObject([201, { computation_logic: other, status: "draft" }]);
    const third = await addVersion(body.name, { version: 3 });
    expect(third.body.computation_logic).toBe(other);
    const { body: feature } = await get<Feature>(`/features/${body.name}`);
    expect(feature.versions.map((each) => each.computation_logic)).toEqual([SUMS, other, other]);
    expect(feature.computation_logic).toBe(SUMS);
  });

  test("the same version again changes nothing, other SQL under its number is 409", async () => {
    const { name } = await newFeature(await newTable());
    expect((await addVersion(name, { version: 1, status: "active" })).status).toBe(200);
    const other = "SELECT user_id, 1 AS one FROM data";
    expectProblem(await addVersion(name, { version: 1, computation_logic: other }), 409);
  });

  test.each([
    ["a column that is not there", { computation_logic: "SELECT user_id, nope FROM data" }],
    ["a misspelt column in double quotes", { computation_logic: 'SELECT user_id, "amuont" AS a FROM data' }],
    ["no entity key in the result", { computation_logic: "SELECT amount, at FROM data" }],
    ["nothing but the entity key", { computation_logic: "SELECT user_id FROM data" }],
    ["two columns of one name", { computation_logic: "SELECT user_id, amount AS x, at AS x FROM data" }],
    ["another statement", { computation_logic: `${SUMS}; DROP TABLE data` }],
    [
      "new rows that touch no entity",
      {
        entity_key: "uid",
        computation_logic: "SELECT user_id AS uid, amount FROM data",
        materialize: "on_ingest",
      },
    ],
  ])("is 422 for %s", async (_, body) => {
    expectProblem(await createFeature(await newTable(), body), 422);
  });

  test("streaming is 422 where the entity key is not the column itself, in a later version too", async () => {
    const table = await newTable();
    const lower = "SELECT lower(user_id) AS user_id, sum(amount) AS s FROM data GROUP BY 1";
    const streaming = { computation_logic: lower, materialize: "on_ingest" };
    const problem = expectProblem(await createFeature(table, streaming), 422);
    expect(problem.errors?.[0]).toMatchObject({
      loc: ["body", "computation_logic"],
      msg: expect.stringMatching(
        /`user_id` must be that column, unchanged.*select the column itself, or use manual/,
      ),
      type: "not_streamable",
    });
    expect((await createFeature(table, { computation_logic: lower })).status).toBe(201);
    const { name } = await newFeature(table, { materialize: "on_ingest" });
    expectProblem(await addVersion(name, { version: 2, computation_logic: lower }), 422);
    expect((await addVersion(name, { version: 2 })).status).toBe(201);
  });

  test.each([
    [
      /a subquery reads `data`/,
      "SELECT user_id, AVG(amount) / (SELECT AVG(amount) FROM data) AS ratio FROM data GROUP BY user_id",
    ],
    [/AVG\(…\) OVER is without `user_id`/, "SELECT user_id, AVG(amount) OVER () AS mean FROM data"],
    [/LIMIT/, "SELECT user_id, amount FROM data LIMIT 1"],
    [
      /MAX\(…\) without GROUP BY/,
      "WITH m AS (SELECT MAX(at) AS at FROM data) SELECT user_id, amount FROM data JOIN m USING (at)",
    ],
    [
      /`b` is not joined/,
      "SELECT a.user_id, COUNT(*) AS n FROM data a JOIN data b ON a.at = b.at GROUP BY a.user_id",
    ],
  ])(
    "streaming is 422 where the SQL looks at other entities, in a later version too: %s",
    async (words, sql) => {
      const table = await newTable();
      const others = { computation_logic: sql, materialize: "on_ingest" };
      const problem = expectProblem(await createFeature(table, others), 422);
      expect(problem.errors?.[0]).toMatchObject({
        loc: ["body", "computation_logic"],
        msg: expect.stringMatching(words),
        type: "not_streamable",
      });
      expect(problem.errors?.[0]?.msg).toContain('can be computed on request ("materialize": "manual")');
      expect((await createFeature(table, { computation_logic: sql })).status).toBe(201);
      const { name } = await streaming(table);
      const later = expectProblem(await addVersion(name, { version: 2, computation_logic: sql }), 422);
      expect(later.errors?.[0]?.msg).toMatch(words);
    },
  );

  test("versions that are recomputed from one raw table may be active up to a limit, however many come at once", async () => {
    const most = MAX_STREAMING_VERSIONS_PER_TABLE;
    const table = await newTable();
    const { name } = await streaming(table);
    const added = await Promise.all(
      Array.from({ length: most + 3 }, (_, i) => addVersion(name, { version: i + 2, status: "active" })),
    );
    const refused = added.filter(({ status }) => status !== 201);
    expect(refused).toHaveLength(4);
    const words = `of the features that are computed from one raw table on_ingest, ${most} versions may be active`;
    for (const one of refused) expect(expectProblem(one, 409).detail).toContain(words);
    // Drafts, other tables and what is computed by hand are none of them; of the same table another feature is one.
    expect((await addVersion(name, { version: 99, status: "draft" })).status).toBe(201);
    await newFeature(table);
    await streaming(await newTable());
    const other = await createFeature(table, { materialize: "on_ingest" });
    expectProblem(await addVersion(other.body.name, { version: 1, status: "active" }), 409);
    expectProblem(await addVersion(other.body.name, { version: 1 }), 409);
    const setTo = (version: number, status: string) =>
      ask("PATCH", `/features/${name}/versions/${version}`, { body: { status } });
    expect(expectProblem(await setTo(99, "active"), 409).detail).toBe(words);
    // What is active stays so, and makes room.
    expect((await setTo(1, "active")).status).toBe(200);
    expect((await addVersion(name, { version: 1, status: "active" })).status).toBe(200);
    expect((await setTo(1, "deprecated")).status).toBe(200);
    expect((await setTo(99, "active")).status).toBe(200);
  });

  test("the SQL of a version is checked like that of a feature", async () => {
    const { name } = await newFeature(await newTable());
    const wrong = { version: 2, computation_logic: "SELECT user_id, nope FROM data" };
    expectProblem(await addVersion(name, wrong), 422);
    expectProblem(await addVersion(name, { version: 2, dtype: "int64" }), 422);
  });

  test("again in the same way is 200 with the feature as it is, and changes nothing", async () => {
    const table = await newTable();
    const name = freshName("same");
    const body = { name, description: "d", owner: "o", tags: ["t"] };
    const first = await createFeature(table, body);
    const second = await createFeature(table, body);
    expect([second.status, second.text]).toEqual([200, first.text]);
    // Words about it that are left out are as they were.
    expect((await createFeature(table, { name })).status).toBe(200);
    const other = "SELECT user_id, 1 AS one FROM data";
    await addVersion(name, { version: 1, computation_logic: other, status: "active" });
    await compute(name, ROWS);
    const third = await createFeature(table, body);
    expect([third.status, third.body.version]).toEqual([200, 1]);
    expect(third.text).toBe((await get(`/features/${name}`)).text);
  });

  test("again as it was first is 200 also once its words have been changed, and leaves them so", async () => {
    const table = await newTable();
    const body = { name: freshName("edited"), description: "d", tags: ["t"] };
    await createFeature(table, body);
    await addVersion(body.name, { version: 1, status: "active" });
    const change = { description: "e", owner: "me" };
    await ask("PATCH", `/features/${body.name}`, { body: { description: "between", tags: ["u"] } });
    await ask("PATCH", `/features/${body.name}`, { body: { tags: ["t"] } });
    const edited = await ask<Feature>("PATCH", `/features/${body.name}`, { body: change });
    expect([edited.status, edited.body]).toMatchObject([200, { ...change, tags: ["t"], versions: [change] }]);
    for (const same of [body, { ...body, ...change }]) {
      const again = await createFeature(table, same);
      expect([again.status, again.text]).toEqual([200, edited.text]);
    }
    const other = expectProblem(await createFeature(table, { ...body, description: "f" }), 409);
    expect(faultPlaces(other)).toEqual(["body.description"]);
  });

  test("the same computation with the same key is one, another with it is 422", async () => {
    const { name } = await newFeature(await newTable());
    await addVersion(name, { version: 1 });
    const headers = { "Idempotency-Key": freshName("key") };
    const ask = (amount: number) =>
      post<Computed>(`/features/${name}/compute?version=1`, [row("once", amount)], headers);
    const first = await ask(1);
    const revision = async () => (await vector("once", name)).body.revision;
    expect([first.status, await revision()]).toEqual([200, 1]);
    const again = await ask(1);
    expect([again.status, again.text]).toEqual([200, first.text]);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(again.headers.get("x-consistency-token")).toBe(first.headers.get("x-consistency-token"));
    expect(faultPlaces(expectProblem(await ask(2), 422))).toEqual(["header.Idempotency-Key"]);
    expect(await revision()).toBe(1);
    // Though no writer knows of the first use any more, as after a change of their number.
    const own = await newTable();
    const other = await newFeature(own);
    await addVersion(other.name, { version: 1 });
    await objectOf(own).keepAnswer({ key: "used", fingerprint: "another" }, "{}");
    const used = { "Idempotency-Key": "used" };
    expectProblem(await post(`/features/${other.name}/compute?version=1`, [row("u", 1)], used), 422);
    // What was refused was not answered: it is tried again.
    const failing = { "Idempotency-Key": freshName("key") };
    const refused = () => post(`/features/${name}/compute?version=1`, [{ user_id: 1 }], failing);
    expectProblem(await refused(), 400);
    expectProblem(await refused(), 400);
  });

  test("the same computation with the same key at once is one, with its vectors or as a job", async () => {
    const { name } = await newFeature(await newTable());
    await addVersion(name, { version: 1 });
    for (const size of [1, MAX_INLINE_ENTITIES + 1]) {
      const headers = { "Idempotency-Key": freshName("key") };
      const rows = Array.from({ length: size }, (_, i) => row(`at-once-${size}-${i}`, i));
      const ask = () => post(`/features/${name}/compute?version=1`, rows, headers);
      const answers = await Promise.all([ask(), ask(), ask()]);
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
      expect(answers[0]?.status).toBe(size === 1 ? 200 : 202);
      const replayed = answers.map(({ headers: own }) => own.get("idempotency-replayed"));
      expect(replayed.toSorted()).toEqual([null, "true", "true"].toSorted());
    }
    expect((await vector("at-once-1-0", name)).body.revision).toBe(1);
  });

  test("vectors that are too large together are refused, though their numbers are not", async () => {
    const columns = Array.from({ length: 38 }, (_, i) => `1 AS "${"x".repeat(500)}${i}"`);
    const { name } = await newFeature(await newTable(), {
      computation_logic: `SELECT user_id, ${columns.join(", ")} FROM data`,
    });
    await addVersion(name, { version: 1 });
    const rows = (count: number) => Array.from({ length: count }, (_, i) => row(`u${i}`, 1));
    const { errors } = expectProblem(await compute(name, rows(1_400), "?version=1"), 422);
    expect(errors).toMatchObject([{ loc: ["computation_logic"], type: "too-many-bytes" }]);
    expect((await compute<Computed>(name, rows(10), "?version=1")).body.computed).toBe(10);
  });

  test("a category is a vector, or holds registered features: whatever comes second is 409", async () => {
    const table = await newTable();
    const scalar = (category: string, entity_type = "user_id") =>
      post("/features/register", { name: freshName("scalar"), dtype: "float64", entity_type, category });
    for (const suffix of ["", "@2"]) {
      const name = freshName("taken");
      expect((await scalar(`${name}${suffix}`)).status).toBe(201);
      expect(faultPlaces(expectProblem(await createFeature(table, { name }), 409))).toEqual(["body.name"]);
    }
    const { name } = await newFeature(table);
    for (const category of [name, `${name}@3`])
      expect(faultPlaces(expectProblem(await scalar(category), 409))).toEqual(["body.category"]);
    expect((await scalar(name, "another_id")).status).toBe(201);
    expect((await scalar(`${name}@x`)).status).toBe(201);
    const beside = freshName("beside");
    expect((await scalar(`${beside}@x`)).status).toBe(201);
    expect((await createFeature(table, { name: beside })).status).toBe(201);
    const both = freshName("both");
    const answers = await Promise.all([createFeature(table, { name: both }), scalar(both)]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409]);
  });

  test("of the name of one whose values are written, or the reverse, is 409 and says just that", async () => {
    const table = await newTable();
    const written = (name: string) =>
      post("/features/register", {
        name,
        dtype: "float64",
        entity_type: "user_id",
        category: freshName("c"),
      });
    const { name } = await newFeature(table);
    const other = freshName("written");
    expect((await written(other)).status).toBe(201);
    for (const [answer, what] of [
      [await written(name), "which is computed"],
      [await createFeature(table, { name: other }), "whose values are written"],
    ] as const) {
      const { errors } = expectProblem(answer, 409);
      expect(errors).toEqual([
        { loc: ["body", "name"], msg: `this name is that of a registered feature ${what}`, type: "conflict" },
      ]);
    }
  });

  test.each([["ttl_hours"], ["ttl_seconds"], ["version"], ["status"]])(
    "%s is a version's, not its own",
    async (field) => {
      const problem = expectProblem(await createFeature(await newTable(), { [field]: 1 }), 422);
      expect(faultPlaces(problem)).toEqual([`body.${field}`]);
    },
  );

  test("two of one name at once are one feature", async () => {
    const table = await newTable();
    const name = freshName("twins");
    const answers = await Promise.all([createFeature(table, { name }), createFeature(table, { name })]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 201]);
    expect(answers[0]?.body.feature_id).toBe(answers[1]?.body.feature_id);
  });

  test.each([
    ["computation_logic", { computation_logic: "SELECT user_id, 1 AS one FROM data" }],
    ["materialize", { materialize: "on_ingest" }],
    ["entity_key", { entity_key: "n", computation_logic: "SELECT user_id, 1 AS n FROM data" }],
    ["description", { description: "another" }],
    ["owner", { owner: "another" }],
    ["tags", { tags: ["another"] }],
  ])("again with another %s is 409, naming it, and changes nothing", async (field, over) => {
    const table = await newTable();
    const { name } = await newFeature(table, { description: "d", owner: "o", tags: ["t"] });
    const before = (await get(`/features/${name}`)).text;
    const problem = expectProblem(await createFeature(table, { name, ...over }), 409);
    expect(problem.errors?.map(({ loc }) => loc)).toContainEqual(["body", field]);
    expect((await get(`/features/${name}`)).text).toBe(before);
  });

  test("names its raw table by id or by name, as an ingest does, and is the same feature either way", async () => {
    const table = await newTable();
    const kept = await post("/ingest", { raw_table_id: table.name, data: ROWS });
    expect([kept.status, kept.body]).toMatchObject([200, { raw_table_id: table.id, row_count: 3 }]);
    const name = freshName("by_name");
    const [first, again] = [
      await createFeature({ id: table.name }, { name }),
      await createFeature(table, { name }),
    ];
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(first.body).toMatchObject({ raw_table_id: table.id });
    expectProblem(await post("/ingest", { raw_table_id: "nobody_made_it", data: ROWS }), 404);
    const wrong = await post("/ingest", { raw_table_id: "no name", data: ROWS });
    expect(faultPlaces(expectProblem(wrong, 422))).toEqual(["body.raw_table_id"]);
  });

  test("of a name that is taken otherwise is 409, of a table that there is not 404", async () => {
    const table = await newTable();
    const { name } = await newFeature(table);
    expectProblem(await createFeature(await newTable(), { name }), 409);
    const taken = freshName("scalar");
    await post("/features/register", { name: taken, dtype: "int64", entity_type: "user" });
    expectProblem(await createFeature(table, { name: taken }), 409);
    expectProblem(await createFeature({ id: 999_999 }), 404);
    const scalar = { name, version: 2, dtype: "int64", entity_type: "user_id", category: name };
    expectProblem(await post("/features/register", scalar), 409);
  });
});

describe("computing", () => {
  test("over the rows of the body leaves the ingested ones alone", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 100)]);
    const { name, feature_id } = await newFeature(table);
    const answer = await compute(name, ROWS, "?version=v1");
    expect(answer.body).toEqual({
      feature_id,
      version: 1,
      computed: 2,
      skipped: [],
      skipped_count: 0,
      duration_ms: expect.any(Number),
    });
    expect(await vectorOf("u", name)).toEqual({ total: 3, n: 2 });
    expect((await get(`/raw-tables/${table.id}`)).body).toMatchObject({ row_count: 1 });
  });

  test.each([
    ["no body", undefined],
    ["no rows", []],
  ])("%s means the ingested rows", async (_, body) => {
    const table = await newTable();
    await ingest(table, ROWS);
    const { name } = await newFeature(table);
    expect((await compute(name, body)).body.computed).toBe(2);
    expect(await vectorOf("v", name)).toEqual({ total: 10, n: 1 });
  });

  test("rows of the body are checked against the table", async () => {
    const { name } = await newFeature(await newTable());
    const problem = expectProblem(await compute(name, [row("u", 1), row("u", "x")]), 400);
    expect(problem.errors?.[0]?.loc).toEqual(["body", 1, "amount"]);
  });

  test("an event time is the newest of the entity's rows, else now", async () => {
    const { name } = await computed([...ROWS, { ...row("w", 1), at: null }]);
    expect((await vector("u", name)).body.event_timestamp).toBe(eventTime(3));
    expect((await vector("v", name)).body.event_timestamp).toBe(eventTime(2));
    const now = Date.parse((await vector("w", name)).body.event_timestamp);
    expect(Math.abs(now - Date.now())).toBeLessThan(10_000);
  });

  test.each([
    ["integer", ["9223372036854775807", "7"]],
    ["float", ["1", "0.1", "1e+21", "-2.5"]],
  ])("an event time is found of entities in a column of type %s", async (type, ids) => {
    const table = await newTable({ id: type, at: "timestamp" });
    const data = ids.map((id) => [1, 2].map((second) => `{"id":${id},"at":"${eventTime(second)}"}`));
    const headers = { "content-type": "application/json" };
    await post("/ingest", `{"raw_table_id":${table.id},"data":[${data.flat()}]}`, headers);
    const sql = "SELECT id, count(*) AS n, 9007199254740993 AS big FROM data GROUP BY id";
    const { name } = await newFeature(table, { computation_logic: sql, entity_key: "id" });
    expect((await compute(name)).body.computed).toBe(ids.length);
    for (const id of ids) expect((await vector(id, name)).body.event_timestamp).toBe(eventTime(2));
  });

  test("event times are looked up of the result's entities alone, and of none before the query has run", async () => {
    const lookUps = vi.spyOn(RawTableStore.prototype, "newestTimestamps");
    const { name } = await computed(ROWS, {
      computation_logic: "SELECT 'u' AS user_id, count(*) AS n FROM data",
    });
    expect(lookUps.mock.results.map(({ value }) => value)).toEqual([new Map([["u", eventTime(3)]])]);
    const joins = Array.from({ length: 20 }, (_, i) => `data AS d${i}`);
    const sql = `SELECT 'u' AS user_id, count(*) AS n FROM ${joins}`;
    await addVersion(name, { version: 2, computation_logic: sql });
    const problem = expectProblem(await compute(name, undefined, "?version=2"), 422);
    expect(problem.errors?.[0]?.type).toBe("too-costly");
    expect(lookUps).toHaveBeenCalledTimes(1);
  });

  test.each([
    ["fails", "SELECT user_id, json_extract(user_id, '$') AS j FROM data", { kind: "refused" }],
    ["has an entity twice", "SELECT user_id, amount FROM data", { kind: "entity_twice" }],
    ["succeeds", SUMS, { kind: "computed" }],
  ])("a query that %s tells what it was estimated to take", async (_, sql, reply) => {
    const table = await newTable();
    await ingest(table, ROWS);
    const source = { kind: "ingested" } as const;
    const request = { schema: SCHEMA, sql, entityKey: "user_id", source, job: null };
    const told = await objectOf(table).compute(request);
    expect(told).toMatchObject(reply);
    expect(told.steps).toBeGreaterThan(0);
  });

  test("two rows of one entity are 400 naming it, and nothing is kept", async () => {
    const table = await newTable();
    await ingest(table, ROWS);
    const { name } = await newFeature(table, { computation_logic: "SELECT user_id, amount FROM data" });
    const problem = expectProblem(await compute(name), 400);
    expect(problem.detail).toContain("`u`");
    expect(problem.errors?.[0]).toMatchObject({ loc: ["result", 2], type: "entity_twice" });
    expect(await vectorOf("v", name)).toBeNull();
  });

  test("that fails shows in the feature when and why, until it succeeds", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1), row("u", 2)]);
    const { name } = await newFeature(table, { computation_logic: "SELECT user_id, amount FROM data" });
    expectProblem(await compute(name), 400);
    const computation = async () => (await get<Feature>(`/features/${name}`)).body.versions[0]?.computation;
    expect(await computation()).toEqual({
      computed_at: null,
      failed_at: expect.stringMatching(TIMESTAMP),
      last_error: "the result has two rows for the entity `u`",
    });
    const sql = "SELECT user_id, sum(9223372036854775807) AS a FROM data GROUP BY user_id";
    await addVersion(name, { version: 2, computation_logic: sql, status: "active" });
    const overflow = expectProblem(await compute(name), 422);
    expect(overflow.detail).toBe("the SQL failed: integer overflow");
    expect(overflow.errors?.[0]).toMatchObject({ msg: "integer overflow", type: "engine" });
    const { body } = await get<Feature>(`/features/${name}`);
    expect(body.versions[1]?.computation?.last_error).toBe("integer overflow");
    await compute(name, [row("u", 1)], "?version=1");
    expect(await computation()).toMatchObject({ computed_at: expect.any(String), last_error: null });
  });

  test("shows when it went, and how, on every route that answers the version", async () => {
    const { table, name } = await computed();
    const other = await newFeature(table);
    const path = `/features/${name}`;
    const { computation } = (await get<Feature>(path)).body.versions[0] ?? {};
    expect(computation?.computed_at).toMatch(TIMESTAMP);
    const listed = (await get<{ features: Feature[] }>(`/features?q=${name}`)).body.features;
    expect(listed.map(({ versions }) => versions[0]?.computation)).toEqual([computation]);
    const all = (await get<{ features: Feature[] }>("/features?limit=1000")).body.features;
    expect(all.find((each) => each.name === other.name)?.versions[0]?.computation).toBeNull();
    const again = await addVersion(name, { version: 1 });
    const changed = await ask("PATCH", `${path}/versions/1`, { body: { status: "active" } });
    expect([again.body, changed.body]).toMatchObject([{ computation }, { computation }]);
    expect((await addVersion(name, { version: 2 })).body.computation).toBeNull();
  });

  test("rows without an entity are skipped with the reason", async () => {
    const table = await newTable();
    const long = "x".repeat(600);
    await ingest(table, [row(null, 1), row("", 1), row(long, 1), row("u\n", 1), row("ok", 1)]);
    const { name } = await newFeature(table, {
      computation_logic: "SELECT user_id, amount FROM data ORDER BY rowid",
    });
    const refused = await compute(name);
    expect(refused.body).toMatchObject({
      computed: 1,
      skipped: [
        { row: 0, reason: "user_id is null" },
        { row: 1, reason: "user_id is empty" },
        { row: 2, reason: "user_id has more than 512 characters" },
        { row: 3, reason: "user_id has characters that no entity may have" },
      ],
      skipped_count: 4,
    });
  });

  test("a row older than the value that is there is skipped with the reason", async () => {
    const { name } = await computed([row("u", 1, 30)]);
    const { body } = await compute(name, [row("u", 2, 20)]);
    expect(body).toMatchObject({
      computed: 0,
      skipped: [{ row: 0, reason: "there is a value with a newer event time" }],
    });
    expect(await vectorOf("u", name)).toEqual({ total: 1, n: 1 });
  });

  test("integers keep every digit, as values and as entities", async () => {
    const table = await newTable({ id: "integer", amount: "integer" });
    const data =
      '[{"id":9223372036854775807,"amount":-9007199254740993},{"id":9223372036854775806,"amount":9007199254740995}]';
    await post("/ingest", `{"raw_table_id":${table.id},"data":${data}}`, {
      "content-type": "application/json",
    });
    const sql = `SELECT id, amount, 'i1' AS text, 0.5 AS half, max("amount") FROM data GROUP BY id -- digits;`;
    const { name } = await newFeature(table, { computation_logic: sql, entity_key: "id" });
    const answer = await compute(name);
    expect(answer.body, answer.text).toMatchObject({ computed: 2 });
    const { text } = await vector("9223372036854775807", name);
    const digits = "-9007199254740993";
    expect(text).toContain(`{"amount":${digits},"text":"i1","half":0.5,"max(\\"amount\\")":${digits}}`);
    expect((await vector("9223372036854775806", name)).text).toContain('"amount":9007199254740995');
  });

  test("again keeps created_at, moves updated_at, refreshes every cache and sends events", async () => {
    const events: FeatureAvailable[] = [];
    const check = availabilityMessage.safeParse;
    vi.spyOn(availabilityMessage, "safeParse").mockImplementation((body, ...rest) => {
      events.push(...(body as FeatureAvailable[]));
      return check(body, ...rest);
    });
    const { table, name } = await computed([row("again", 1, 1), row("again", 2, 2)]);
    const before = (await vector("again", name)).body;
    // Until it stands in KV too.
    await until("a cache has it", async () => (await vector("again", name)).body.source !== "d1");
    await ingest(table, [row("again", 4, 9)]);
    const { headers } = await compute(name);
    const after = (await vector("again", name)).body;
    expect(after).toMatchObject({ vector: { total: 7, n: 3 }, created_at: before.created_at, revision: 2 });
    expect(after.updated_at > before.updated_at).toBe(true);
    const token = headers.get("x-consistency-token") ?? "";
    const path = `/feature-vectors?entity_id=again&feature_name=${name}&consistency=session`;
    expect((await get(path, { "x-consistency-token": token })).body).toMatchObject({ revision: 2 });
    const own = () => events.filter((event) => event.resource_name === name && event.entity_id === "again");
    await until("both are announced", () => new Set(own().map(({ revision }) => revision)).size === 2);
    expect(own()[0]).toMatchObject({
      entity_type: "user_id",
      features: ["total", "n"],
      tenant_id: "default",
    });
  });

  test("what there is not is 404, and a feature that has no SQL 422", async () => {
    const { name } = await newFeature(await newTable());
    expectProblem(await compute("nope"), 404);
    expectProblem(await compute(name, [], "?version=v9"), 404);
    expectProblem(await compute(name, [], "?version=x"), 422);
    const scalar = freshName("scalar");
    await post("/features/register", { name: scalar, dtype: "int64", entity_type: "user" });
    expectProblem(await compute(scalar), 422);
  });
});

describe("more entities than a request writes", () => {
  test("become a job that ends with all of them written, of given rows too", async () => {
    const { name } = await newFeature(await newTable());
    const rows = Array.from({ length: 2_500 }, (_, i) => row(`u${i}`, i, i % 60));
    const started = await compute<Job>(name, [...rows, row(null, 1)]);
    expect([started.status, started.body]).toMatchObject([
      202,
      { status: "queued", total: 2_500, computed: 0, skipped_count: 1, error: null },
    ]);
    const ask = async () => (await get<Job>(`/jobs/${started.body.job_id}`)).body;
    await until("the job is done", async () => (await ask()).status === "done", 30_000);
    expect(await ask()).toMatchObject({ computed: 2_500, total: 2_500, skipped_count: 1 });
    for (const i of [0, 999, 1_000, 2_499]) expect(await vectorOf(`u${i}`, name)).toEqual({ total: i, n: 1 });
    expect((await get<Feature>(`/features/${name}`)).body.versions[0]?.computation).toMatchObject({
      computed_at: expect.stringMatching(TIMESTAMP),
      last_error: null,
    });
  });

  test("a page that comes again changes nothing", async () => {
    const { name } = await newFeature(await newTable({ user_id: "string", amount: "integer" }));
    const rows = Array.from({ length: 2_001 }, (_, i) => ({ user_id: `page${i}`, amount: i }));
    const { body: job } = await compute<Job>(name, rows);
    const tableId = (await get<{ raw_table_id: number }>(`/features/${name}`)).body.raw_table_id;
    const message = { kind: "job", tenant_id: "default", job_id: job.job_id, table_id: tableId };
    for (let times = 0; times < 3; times++) await env.FEATURE_COMPUTE.send(message);
    const ask = async () => (await get<Job>(`/jobs/${job.job_id}`)).body;
    await until("the job is done", async () => (await ask()).status === "done", 30_000);
    await env.FEATURE_COMPUTE.send(message);
    const { body } = await vector("page5", name);
    expect([body.vector, body.revision]).toEqual([{ total: 5, n: 1 }, 1]);
    expect(await ask()).toMatchObject({ computed: 2_001, status: "done" });
  });

  test("are 409 while too many wait to be written, naming the limit", async () => {
    const table = await newTable();
    const { name } = await newFeature(table);
    const rows = Array.from({ length: MAX_INLINE_ENTITIES + 1 }, (_, i) => row(`w${i}`, i));
    for (let jobs = 0; jobs < MAX_UNFINISHED_JOBS; jobs++) {
      const kept = await objectOf(table).compute({
        schema: SCHEMA,
        sql: SUMS,
        entityKey: "user_id",
        source: { kind: "given", parts: [`[["u",1,"${eventTime(1)}"]]`], count: 1, longestText: 40 },
        job: { jobId: crypto.randomUUID(), moreThan: 0, table: { tenant: TENANT, tableId: table.id } },
      });
      expect(kept.kind).toBe("kept");
    }
    const { detail } = expectProblem(await compute(name, rows), 409);
    expect(detail).toContain(`at most ${MAX_UNFINISHED_JOBS}`);
    expect((await compute(name, rows.slice(1))).status).toBe(200);
    const [{ jobId } = { jobId: "" }] = await inside(table, 'SELECT job_id AS "jobId" FROM fs_jobs');
    await objectOf(table).dropJob(String(jobId), "ended");
    expect((await compute(name, rows)).status).toBe(202);
  });

  test("are forgotten some time after their end", async () => {
    const { feature_id: featureId } = await newFeature(await newTable());
    const now = nowMicros();
    const longAgo = now - ENDED_JOB_TTL_SECONDS * MICROS_PER_SECOND - 1;
    const jobs = [
      ["done", longAgo, 404],
      ["failed", longAgo, 404],
      ["running", longAgo, 200],
      ["done", now, 200],
    ] as const;
    const made = jobs.map(([status, updatedAt, after]) => ({
      jobId: crypto.randomUUID(),
      status,
      updatedAt,
      after,
    }));
    for (const { after: _, ...job } of made) {
      const rest = { tenantId: TENANT, featureId, version: 1, total: 1, computed: 1, error: null };
      const skips = { skipped: [], skippedCount: 0 };
      await insertJob(env.DB, { ...rest, ...job, skips, createdAt: longAgo });
    }
    await worker.scheduled(createScheduledController(), env);
    for (const { jobId, after } of made) expect((await get(`/jobs/${jobId}`)).status).toBe(after);
  });

  test("a job that there is not is 404", async () => {
    expectProblem(await get(`/jobs/${crypto.randomUUID()}`), 404);
  });
});

describe("reading", () => {
  test("one store: the same values by all routes", async () => {
    const { name, versionId } = await computed();
    const expected = { total: 3, n: 2 };
    expect(await vectorOf("u", name)).toEqual(expected);
    const byVersion = await get(`/feature-vectors?entity_id=u&feature_version_id=${versionId}`);
    expect(byVersion.body).toMatchObject({ vector: expected, version: 1, feature_name: name });
    const item = await get<Item>(itemPath("u", name, "?entity_type=user_id"));
    expect(item.body.features.data).toEqual(expected);
    const online = await post<Online>("/features/online", {
      entity_id: "u",
      feature_names: [name, `${name}:n`],
    });
    expect(online.body.features[name]).toMatchObject({ value: expected, status: "PRESENT", version: 1 });
    expect(online.body.features[name]?.timestamp).toBe(eventTime(3));
    const one = { entity_id: "u", feature_names: [`${name}:n`] };
    expect((await post<Online>("/features/online", one)).body.features[`${name}:n`]?.value).toBe(2);
  });

  test("point in time has each vector from its event time on", async () => {
    const { table, name } = await computed();
    await ingest(table, [row("u", 4, 30)]);
    await compute(name);
    const rows = [0, 3, 29, 30].map((second) => ({ entity_id: "u", timestamp: eventTime(second) }));
    const answer = await post<{ rows: { features: Online["features"] }[] }>("/features/batch", {
      rows,
      feature_names: [name],
    });
    expect(answer.body.rows.map(({ features }) => features[name]?.value)).toEqual([
      null,
      { total: 3, n: 2 },
      { total: 3, n: 2 },
      { total: 7, n: 3 },
    ]);
  });

  test("a vector into which something was merged is whole at each time, without what is over, on every route", async () => {
    const { name } = await computed();
    const merge = async (features: object, second: number, ttl_seconds?: number) => {
      const entry = {
        category: name,
        mode: "merge",
        features,
        event_timestamp: eventTime(second),
        ttl_seconds,
      };
      const data = { entity_type: "user_id", entity_value: "u", feature_list: [entry] };
      expect((await post("/items", { metadata: WRITER, data })).status).toBe(200);
    };
    const past = async (over = {}) => {
      const rows = [5, 15, 22, 26].map((second) => ({ entity_id: "u", timestamp: eventTime(second) }));
      const asked = { rows, feature_names: [name], ...over };
      return post<{ rows: { features: Online["features"] }[] }>("/features/batch", asked);
    };
    await merge({ total: 30 }, 10);
    await merge({ extra: 1, brief: 2 }, 20, 5);
    const [before, after] = [
      { total: 3, n: 2 },
      { total: 30, n: 2 },
    ];
    const vectors = [before, after, { ...after, extra: 1, brief: 2 }, after];
    const first = await past();
    expect(first.body.rows.map(({ features }) => features[name]?.value)).toEqual(vectors);
    expect(await vectorOf("u", name)).toEqual(after);
    const online = await post<Online>("/features/online", { entity_id: "u", feature_names: [name] });
    expect(online.body.features[name]).toMatchObject({ value: after, timestamp: eventTime(20) });
    const known_at = new Date(Date.now() + 10).toISOString();
    const known = await past({ known_at });
    expect(known.text).toBe(first.text);
    await sleep(20);
    // Its current values are of another time from now on.
    await post("/items", {
      metadata: WRITER,
      data: {
        ...{ entity_type: "user_id", entity_value: "u" },
        feature_list: [{ category: name, features: { total: 0 } }],
      },
    });
    expect([(await past()).text === first.text, (await past({ known_at })).text === first.text]).toEqual([
      true,
      true,
    ]);
  });

  test("a new version is filled as a draft, and reads switch when it is activated", async () => {
    const { name } = await computed();
    const sql = "SELECT user_id, max(amount) AS most FROM data GROUP BY user_id";
    const second = await addVersion(name, { version: 2, computation_logic: sql });
    expect((await compute<Computed>(name, undefined, "?version=2")).body.computed).toBe(2);
    expect(await vectorOf("u", name)).toEqual({ total: 3, n: 2 });
    const id = second.body.feature_version_id;
    const byId = await get(`/feature-vectors?entity_id=u&feature_version_id=${id}`);
    expect(byId.body).toMatchObject({ vector: { most: 2 }, version: 2 });
    await addVersion(name, { version: 3, status: "active" });
    await compute(name);
    expect(await vectorOf("u", name)).toEqual({ most: 2 });
    const old = await post<Online>("/features/online", { entity_id: "u", feature_names: [`${name}@1`] });
    expect(old.body.features[`${name}@1`]?.value).toEqual({ total: 3, n: 2 });
  });

  test("a reference to a version reads exactly that, a draft too", async () => {
    const { name } = await computed();
    const sql = "SELECT user_id, max(amount) AS most FROM data GROUP BY user_id";
    await addVersion(name, { version: 2, computation_logic: sql });
    await compute(name, undefined, "?version=2");
    for (const [version, expected] of [
      ["1", { total: 3, n: 2 }],
      ["v1", { total: 3, n: 2 }],
      ["2", { most: 2 }],
      ["v2", { most: 2 }],
    ] as const) {
      const { body } = await vector("u", `${name}@${version}`);
      expect([body.vector, body.feature_name, body.version]).toEqual([
        expected,
        name,
        Number(version.at(-1)),
      ]);
      const beside = await get<Vector>(
        `/feature-vectors?entity_id=u&feature_name=${name}&version=${version}`,
      );
      expect(beside.body.vector).toEqual(expected);
    }
    const both = (asked: string, version: string) =>
      get(`/feature-vectors?entity_id=u&feature_name=${name}${asked}&version=${version}`);
    expect((await both("@2", "v2")).status).toBe(200);
    for (const [asked, version] of [
      ["@1", "2"],
      ["", "x"],
    ] as const)
      expect(faultPlaces(expectProblem(await both(asked, version), 422))).toEqual(["query.version"]);
    expectProblem(await both("", "3"), 404);
    expect((await vector("u", name)).body.version).toBe(1);
    for (const version of ["3", "v0", "x", ""]) expectProblem(await vector("u", `${name}@${version}`), 404);
  });

  test("without a vector says of which version there is none, and whether it was there", async () => {
    const { name, feature_id } = await computed();
    const whyNot = async (entity: string) => expectProblem(await vector(entity, name), 404).detail;
    expect(await whyNot("nobody")).toBe("there is no vector of this entity, in version 1");
    await addVersion(feature_id, { version: 2, status: "active", ttl_seconds: 60 });
    expect(await whyNot("u")).toBe("there is no vector of this entity, in version 2");
    expect((await compute(name)).status).toBe(200);
    expect(await whyNot("u")).toBe("the TTL of the vector of this entity is over, in version 2");
  });

  test("what there is not is 404, and what is not said 422", async () => {
    const { name } = await computed();
    expectProblem(await vector("nobody", name), 404);
    expectProblem(await vector("u", "nope"), 404);
    expectProblem(await get("/feature-vectors?entity_id=u&feature_version_id=999999"), 404);
    expectProblem(await get("/feature-vectors?entity_id=u"), 422);
    expectProblem(await get(`/feature-vectors?entity_id=u&feature_name=${name}&feature_version_id=1`), 422);
    expectProblem(await get("/feature-vectors?entity_id=u&feature_version_id=1&version=1"), 422);
  });
});

interface Online {
  features: Record<string, { value: unknown; status: string; version: number | null; timestamp: string }>;
}
