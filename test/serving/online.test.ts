/** Online reads of system B: values with their status, of one and of many entities. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { settings } from "../../worker/env.ts";
import { documentKey, type EntityRef } from "../../worker/keys.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import {
  entry,
  expectProblem,
  faultPlaces,
  get,
  type Item,
  type ProblemBody,
  post,
  remove,
  secondsAgo,
  TIMESTAMP,
  upsert,
  WRITER,
} from "../setup/http.ts";
import { sleep } from "../setup/waiting.ts";
import { countedRead } from "./counted-read.ts";
import { type Many, online, register, valuesOf, write } from "./online-asks.ts";

const aTimestamp = expect.stringMatching(TIMESTAMP);

beforeAll(async () => {
  await register("age", { dtype: "int64" });
  await register("score", { category: "model", ttl_hours: 1, default_value: 0.5 });
  await register("score", { category: "model", version: 2, dtype: "string", status: "draft" });
  await register("brief", { ttl_seconds: 600, default_value: -1 });
  await register("balance", { entity_type: "account_id" });
});

describe("the read of one entity", () => {
  test("answers each value with its status, time, freshness and version", async () => {
    await write("one", [
      entry("default", { age: 34, x: null }, { event_timestamp: "2025-10-13T09:15:51.358632Z" }),
      entry("model", { score: 0.9 }, { event_timestamp: secondsAgo(20) }),
    ]);
    const { status, headers, body } = await online({
      ...{ entity_id: "one", feature_names: ["score", "age", "default:x", "brief", "nobody", "default:y"] },
    });
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("application/json");
    const nothing = { status: "NOT_FOUND", timestamp: null, freshness_seconds: null };
    const old = { timestamp: "2025-10-13T09:15:51.358632+00:00", freshness_seconds: expect.any(Number) };
    expect(body).toEqual({
      entity_id: "one",
      features: {
        score: {
          value: 0.9,
          status: "PRESENT",
          timestamp: aTimestamp,
          freshness_seconds: expect.any(Number),
          version: 1,
        },
        age: { value: 34, status: "PRESENT", ...old, version: 1 },
        "default:x": { value: null, status: "NULL_VALUE", ...old, version: null },
        brief: { value: -1, ...nothing, version: 1 },
        nobody: { value: null, ...nothing, version: null },
        "default:y": { value: null, ...nothing, version: null },
      },
      ...{ revision: 1, source: expect.stringMatching(/^(memory|kv|d1)$/), cache_hit: expect.any(Boolean) },
      timestamp: aTimestamp,
    });
    const { freshness_seconds: freshness, timestamp } = body.features.score ?? {};
    expect(freshness).toBeGreaterThanOrEqual(20);
    expect(freshness).toBeLessThan(30);
    expect(Date.parse(body.timestamp) - Date.parse(timestamp ?? "")).toBe(
      Math.round((freshness ?? 0) * 1_000),
    );
  });

  test("mixes bare names, versions, category:feature and category:*", async () => {
    const features = { score: 0.1, "score@2": "high", extra: 1, __proto__x: 2 };
    await write("mixed", [entry("model", features), entry("default", { age: 1 })]);
    const names = [
      "score",
      "score@1",
      "score@v2",
      "score@9",
      "model:extra",
      "model:score",
      "model:score@2",
      "age",
    ];
    expect(await valuesOf("mixed", names)).toEqual([
      ...["0.1 PRESENT 1", "0.1 PRESENT 1", '"high" PRESENT 2', "null NOT_FOUND null", "1 PRESENT null"],
      ...["0.1 PRESENT 1", '"high" PRESENT 2', "1 PRESENT 1"],
    ]);
    const { body } = await online({
      entity_id: "mixed",
      feature_names: ["model:*", "gone:*", "age"],
      entity_type: "user",
    });
    expect(Object.keys(body.features)).toEqual([
      ...["model:score", "model:score@2", "model:extra", "model:__proto__x", "gone:*", "age"],
    ]);
    expect(body.features["model:score@2"]).toMatchObject({ value: "high", version: 2 });
    expect(body.features["gone:*"]).toMatchObject({ value: null, status: "NOT_FOUND" });
  });

  test("names a feature once that is asked for by its name and by its category", async () => {
    await write("once", [entry("model", { score: 0.1, extra: 1 })]);
    for (const feature_names of [
      ["model:extra", "model:*"],
      ["model:*", "model:extra"],
    ]) {
      const { text, body } = await online({ entity_id: "once", feature_names, entity_type: "user" });
      expect(Object.keys(body.features).sort()).toEqual(["model:extra", "model:score"]);
      expect(text.split('"model:extra"')).toHaveLength(2);
    }
  });

  test("a feature called `*` is one of its category", async () => {
    await write("starred", [entry("model", { score: 0.1, "*": 2 }), entry("stars", { "*": null })]);
    const feature_names = ["model:*", "stars:*"];
    const { body } = await online({ entity_id: "starred", feature_names, entity_type: "user" });
    expect(body.features).toMatchObject({
      "model:score": { value: 0.1 },
      "model:*": { value: 2, status: "PRESENT" },
      "stars:*": { value: null, status: "NULL_VALUE" },
    });
  });

  test("of one that was never written finds nothing, at revision 0", async () => {
    const { status, body } = await online({ entity_id: "never", feature_names: ["age", "score"] });
    expect(status).toBe(200);
    expect(body).toMatchObject({ entity_id: "never", revision: 0, source: "d1", cache_hit: false });
    expect(body.features.age).toMatchObject({ value: null, status: "NOT_FOUND" });
    expect(body.features.score).toMatchObject({ value: 0.5, status: "NOT_FOUND" });
  });

  test("treats __proto__ and constructor as names like any other", async () => {
    const raw =
      '{"metadata":{"source":"prediction_service"},"data":{"entity_type":"user","entity_value":"__proto__","feature_list":[{"category":"__proto__","features":{"__proto__":1,"constructor":2}}]}}';
    expect((await post("/items", raw)).status).toBe(200);
    const names = ["__proto__:__proto__", "__proto__:constructor", "__proto__:toString", "constructor"];
    expect(await valuesOf("__proto__", names)).toEqual([
      ...["1 PRESENT null", "2 PRESENT null", "null NOT_FOUND null", "null NOT_FOUND null"],
    ]);
  });
});

describe("a value's age", () => {
  test("is judged when it is read: beyond the registered TTL there is no value, however it is asked for", async () => {
    await write("aged", [entry("default", { brief: 1, age: 2 }, { event_timestamp: secondsAgo(500) })]);
    const names = ["brief", "brief@1", "default:brief", "age"];
    expect(await valuesOf("aged", names)).toEqual([...Array(3).fill("1 PRESENT 1"), "2 PRESENT 1"]);
    await write("older", [entry("default", { brief: 1, age: 2 }, { event_timestamp: secondsAgo(601) })]);
    const tooOld = "null OUTSIDE_MAX_AGE 1";
    expect(await valuesOf("older", names)).toEqual([tooOld, tooOld, tooOld, "2 PRESENT 1"]);
    const { body } = await online({ entity_id: "older", feature_names: ["default:*"], entity_type: "user" });
    const wanted = { value: null, status: "OUTSIDE_MAX_AGE", timestamp: aTimestamp };
    expect(body.features["default:brief"]).toMatchObject(wanted);
    expect(body.features["default:age"]).toMatchObject({ value: 2, status: "PRESENT" });
  });

  test("is that of the feature, not of its category", async () => {
    await write("merged", [entry("default", { brief: 1, age: 1 }, { event_timestamp: secondsAgo(700) })]);
    await write("merged", [
      entry("default", { age: 2 }, { event_timestamp: secondsAgo(100), mode: "merge" }),
    ]);
    expect(await valuesOf("merged", ["brief", "age"])).toEqual(["null OUTSIDE_MAX_AGE 1", "2 PRESENT 1"]);
    expect(await valuesOf("merged", ["age"], { max_age_seconds: 500 })).toEqual(["2 PRESENT 1"]);
  });

  test("may be limited by the request, which never lengthens a TTL", async () => {
    await write("limited", [entry("default", { brief: 1, age: null }, { event_timestamp: secondsAgo(300) })]);
    const under = (seconds: number) => valuesOf("limited", ["brief", "age"], { max_age_seconds: seconds });
    expect(await under(1_000)).toEqual(["1 PRESENT 1", "null NULL_VALUE 1"]);
    expect(await under(299)).toEqual(Array(2).fill("null OUTSIDE_MAX_AGE 1"));
    expect(await under(0)).toEqual(Array(2).fill("null OUTSIDE_MAX_AGE 1"));
    await write("limited-2", [entry("default", { brief: 1 }, { event_timestamp: secondsAgo(601) })]);
    const longer = await valuesOf("limited-2", ["brief"], { max_age_seconds: 1_000 });
    expect(longer).toEqual(["null OUTSIDE_MAX_AGE 1"]);
  });

  test("is over with the TTL of its write, which a later write of other features does not lengthen", async () => {
    const [options, names] = [{ event_timestamp: secondsAgo(300) }, ["age", "default:age", "model:a"]];
    await write("category", [
      entry("default", { age: 1 }, { ...options, ttl_seconds: 299 }),
      entry("model", { a: 1 }, { ...options, ttl_seconds: 900 }),
    ]);
    const values = ["null OUTSIDE_MAX_AGE 1", "null OUTSIDE_MAX_AGE 1", "1 PRESENT null"];
    expect(await valuesOf("category", names)).toEqual(values);
    await write("category", [entry("default", { other: 1 }, { mode: "merge" })]);
    expect(await valuesOf("category", names)).toEqual(values);
  });

  test("is judged anew in memory: a value that was cached young is not answered old", async () => {
    const nowMs = Date.now();
    const clock = vi.spyOn(Date, "now").mockReturnValue(nowMs);
    const event_timestamp = new Date(nowMs - 600_000).toISOString();
    await write("cached", [entry("default", { brief: 1 }, { event_timestamp })]);
    expect(await valuesOf("cached", ["brief"])).toEqual(["1 PRESENT 1"]);
    clock.mockReturnValue(nowMs + 1);
    const { body } = await online({ entity_id: "cached", feature_names: ["brief"] });
    clock.mockRestore();
    expect(body.source).toBe("memory");
    expect(body.features.brief).toMatchObject({ value: null, status: "OUTSIDE_MAX_AGE" });
  });
});

describe("the read of many entities", () => {
  test("answers 1,000, duplicates and unknown ones too, in the order of the request", async () => {
    const ids = Array.from({ length: 600 }, (_, i) => `many-${(i * 7_919) % 600}`);
    const data = ids.map((id, i) => ({
      entity_type: "user",
      entity_value: id,
      feature_list: [entry("default", { age: i }), entry("model", { score: i / 2 })],
    }));
    expect((await post("/items/batch", { metadata: WRITER, data })).status).toBe(200);
    const asked = [...ids.toReversed(), "many-unknown", ...ids.slice(0, 399)];
    const { status, body } = await online<Many>({ entity_ids: asked, feature_names: ["age", "score"] });
    expect([status, body.results.length]).toEqual([200, 1_000]);
    expect(body.results.map(({ entity_id }) => entity_id)).toEqual(asked);
    const values = body.results.map(({ features: { age, score } }) => [age?.value, score?.value]);
    const wanted = asked.map((id) => [ids.indexOf(id), ids.indexOf(id) / 2]);
    expect(values).toEqual(wanted.map(([age, score]) => (age === -1 ? [null, 0.5] : [age, score])));
    expect(new Set([...body.results.map(({ timestamp }) => timestamp), body.timestamp]).size).toBe(1);
  });

  test("answers results for a list of one", async () => {
    const { body } = await online<Many>({ entity_ids: ["one"], feature_names: ["age"] });
    expect(body).toEqual({ results: [expect.objectContaining({ entity_id: "one" })], timestamp: aTimestamp });
  });

  test.each([
    ["1,001 entities", { entity_ids: Array(1_001).fill("a"), feature_names: ["age"] }, "body.entity_ids"],
    ["no entities", { entity_ids: [], feature_names: ["age"] }, "body.entity_ids"],
    ["neither one nor several", { feature_names: ["age"] }, "body.entity_id"],
    ["one and several", { entity_id: "a", entity_ids: ["a"], feature_names: ["age"] }, "body.entity_id"],
    ["no names", { entity_id: "a", feature_names: [] }, "body.feature_names"],
    ["a name that is none", { entity_id: "a", feature_names: ["age", "a b"] }, "body.feature_names.1"],
    ["version 0", { entity_id: "a", feature_names: ["age@0"] }, "body.feature_names.0"],
    [
      "a negative age",
      { entity_id: "a", feature_names: ["age"], max_age_seconds: -1 },
      "body.max_age_seconds",
    ],
    [
      "an unknown entity type",
      { entity_id: "a", feature_names: ["age"], entity_type: "martian" },
      "body.entity_type",
    ],
    ["features of several types", { entity_id: "a", feature_names: ["age", "balance"] }, "body.entity_type"],
    [
      "an unknown consistency",
      { entity_id: "a", feature_names: ["age"], consistency: "eventual" },
      "body.consistency",
    ],
    [
      "a session without a token",
      { entity_id: "a", feature_names: ["age"], consistency: "session" },
      "header.x-consistency-token",
    ],
  ])("refuses %s with 422", async (_, asked, place) => {
    expect(faultPlaces(expectProblem(await online(asked), 422))).toEqual([place]);
  });

  test("of features of several types finds those of the type asked for", async () => {
    await upsert("both", [entry("default", { balance: 10, age: 99 })], {
      data: { entity_type: "account_id" },
    });
    const names = ["age", "balance"];
    // What is registered for users is not for accounts: it has no version there, and no default.
    expect(await valuesOf("both", names, { entity_type: "account_id" })).toEqual([
      "null NOT_FOUND null",
      "10 PRESENT 1",
    ]);
  });

  test("of a registered feature is about its type by whatever reference", async () => {
    await write("typed", [entry("default", { age: 7 })]);
    expect(await valuesOf("typed", ["default:age"])).toEqual(["7 PRESENT 1"]);
  });

  test("of more than an answer can hold is refused, whatever repeats in it", async () => {
    const value = "x".repeat(1_000_000);
    await upsert("huge", [entry("c", { a: value })]);
    const asked = (count: number) =>
      post<ProblemBody>("/features/online", {
        entity_ids: Array(count).fill("huge"),
        feature_names: ["c:a"],
      });
    expect((await asked(20)).status).toBe(200);
    const { errors } = expectProblem(await asked(40), 422);
    expect(errors?.map(({ type }) => type)).toEqual(["answer_too_large"]);
  });

  test("of entities that are too large together is refused, whatever is asked of them and wherever they are", async () => {
    // As bytes: three each.
    const large = { text: "日".repeat(167_000), a: 1 };
    const ids = Array.from({ length: 60 }, (_, i) => `large-${i}`);
    await Promise.all(ids.map((id) => upsert(id, [entry("c", large)])));
    const asked = (entity_ids: string[], consistency: string) =>
      post<ProblemBody>("/features/online", { entity_ids, feature_names: ["c:a"], consistency });
    for (const consistency of ["strong", "edge", "edge"]) {
      expect((await asked(ids.slice(0, 40), consistency)).status).toBe(200);
      expect((await asked(ids.slice(20), consistency)).status).toBe(200);
      const { errors } = expectProblem(await asked(ids, consistency), 422);
      expect(errors?.map(({ type }) => type)).toEqual(["answer_too_large"]);
    }
  });

  test("without a registered name is about bright_uid", async () => {
    await upsert("plain", [entry("c", { a: 1 })]);
    expect((await online({ entity_id: "plain", feature_names: ["c:a"] })).body.features["c:a"]).toMatchObject(
      { value: 1 },
    );
  });
});

describe("consistency", () => {
  test("strong reads the database, session is never older than the write, edge may be cached", async () => {
    // Memory forgets after a second; here none passes.
    const clock = vi.spyOn(Date, "now").mockReturnValue(Date.now());
    const first = await write("fresh", [entry("default", { age: 1 })]);
    const asked = { entity_id: "fresh", feature_names: ["age"] };
    expect((await online({ ...asked, consistency: "strong" })).body).toMatchObject({
      source: "d1",
      cache_hit: false,
    });
    expect((await online(asked)).body).toMatchObject({ source: "memory", cache_hit: true, revision: 1 });
    clock.mockRestore();
    const { headers, body } = await write("fresh", [entry("default", { age: 2 })]);
    expect(body.revision).toBe(first.body.revision + 1);
    // In the query as in the body.
    for (const [path, body] of [
      ["/features/online?consistency=strong", asked],
      [
        "/get/items?consistency=strong",
        { data: { entity_type: "user", entity_value: "fresh", feature_list: ["default:age"] } },
      ],
    ] as const)
      expect((await post<{ source: string }>(path, body)).body.source, path).toBe("d1");
    const token = { "x-consistency-token": headers.get("x-consistency-token") ?? "" };
    const session = (await online({ ...asked, consistency: "session" }, token)).body;
    expect(session.revision).toBe(2);
    expect(session.features.age).toMatchObject({ value: 2 });
  });
});

describe("what a read costs", () => {
  const refs = (count: number): EntityRef[] =>
    Array.from({ length: count }, (_, i) => ({ entityType: "user", entityValue: `cost-${i}` }));

  beforeAll(async () => {
    const data = refs(250).map(({ entityType, entityValue }, i) => ({
      ...{ entity_type: entityType, entity_value: entityValue },
      feature_list: ["a", "b", "c"].map((category) => entry(category, { age: i })),
    }));
    expect((await post("/items/batch", { metadata: WRITER, data })).status).toBe(200);
    isolateMemory.clear();
  });

  test("cold: one bulk KV read for every 100, and one D1 query for all of them; then KV alone", async () => {
    const cold = await countedRead(refs(250), 0);
    expect(cold).toMatchObject({ counts: { kv: 3, d1: 1, statements: 1 }, found: 250 });
    // Filled behind the answer, by one call of each writer.
    expect(cold.counts.fills).toBeLessThanOrEqual(settings(env).writerPartitions);
    const warm = await countedRead(refs(250), 0);
    expect(warm).toEqual({
      counts: { kv: 3, d1: 0, statements: 0, fills: 0 },
      sources: new Set(["kv"]),
      found: 250,
    });
    expect((await countedRead(refs(100), 0)).counts).toMatchObject({ kv: 1, d1: 0 });
  });

  test("hot: one KV read for one entity whatever its categories, and none once it is in memory", async () => {
    const [one] = refs(1);
    if (!one) throw new Error("there is one");
    expect((await countedRead([one, one], 0)).counts).toEqual({ kv: 1, d1: 0, statements: 0, fills: 0 });
    isolateMemory.clear();
    expect((await countedRead([one], 1_000)).counts).toMatchObject({ kv: 1, d1: 0 });
    expect(await countedRead([one, one], 1_000)).toMatchObject({
      counts: { kv: 0, d1: 0 },
      sources: new Set(["memory"]),
    });
  });

  test("ids that do not exist: one KV read and one D1 query, and no writer is asked", async () => {
    const nobody = Array.from({ length: 100 }, (_, i) => ({
      entityType: "user",
      entityValue: `nobody-${i}`,
    }));
    expect(await countedRead(nobody, 0)).toMatchObject({
      counts: { kv: 1, d1: 1, statements: 1, fills: 0 },
      found: 0,
    });
  });
});

describe("DELETE /cache/invalidate", () => {
  const keyOf = (entityType: string, entityValue: string) =>
    documentKey("default", settings(env).writerPartitions, { entityType, entityValue });

  /** Reads until the document that a read asks for is there. */
  async function warm(type: string, id: string): Promise<void> {
    await get(`/get/item/${id}/c?entity_type=${type}`);
    for (let i = 0; i < 50 && (await env.HOT.get(keyOf(type, id))) === null; i++) await sleep(20);
    expect(await env.HOT.get(keyOf(type, id))).not.toBeNull();
  }

  const invalidate = (id: string, query = "") =>
    remove<{ status: string; entity_id: string; invalidated_count: number }>(
      `/cache/invalidate/${id}${query}`,
    );

  test("counts the documents removed, 0 when nothing was cached, and the next read is of the database", async () => {
    await write("inv-1", [entry("c", { a: 1 })]);
    const answer = (count: number) => ({ status: "success", entity_id: "inv-1", invalidated_count: count });
    expect((await invalidate("inv-1")).body).toEqual(answer(0));
    await warm("user", "inv-1");
    const { status, body } = await invalidate("inv-1");
    expect([status, body]).toEqual([200, answer(1)]);
    expect(await env.HOT.get(keyOf("user", "inv-1"))).toBeNull();
    expect((await invalidate("inv-1")).body).toEqual(answer(0));
    const read = await get<Item>("/get/item/inv-1/c?entity_type=user");
    expect(read.body).toMatchObject({ source: "d1", features: { data: { a: 1 } } });
    expect((await invalidate("nobody-at-all")).body.invalidated_count).toBe(0);
  });

  test("is about the entity of every type, or of the one named", async () => {
    for (const type of ["bright_uid", "account_id", "user"]) {
      await upsert("inv-2", [entry("c", { a: 1 })], { data: { entity_type: type } });
      await warm(type, "inv-2");
    }
    expect((await invalidate("inv-2", "?entity_type=account_id")).body.invalidated_count).toBe(1);
    expect((await invalidate("inv-2", "?table_type=account_id")).body.invalidated_count).toBe(0);
    expect((await invalidate("inv-2", "?table_type=user")).body.invalidated_count).toBe(1);
    expect((await invalidate("inv-2")).body.invalidated_count).toBe(1);
    for (const query of [
      "?entity_type=martian",
      "?table_type=martian",
      "?entity_type=user&table_type=account_id",
    ]) {
      expectProblem(await invalidate("inv-2", query), 422);
    }
  });
});

test("answers for many entities that are made at once hold what each was asked for", async () => {
  const ids = Array.from({ length: 12 }, (_, i) => `at-once-${i}`);
  await Promise.all(ids.map((id, i) => write(id, [entry("default", { x: `é${"v".repeat(i * 40)}` })])));
  const asked = ids.map((_, i) => [...ids.slice(i), ...ids.slice(0, i)]);
  for (let time = 0; time < 3; time++) {
    const answers = await Promise.all(
      asked.map((ids) =>
        online<Many>({ entity_ids: ids, feature_names: ["default:x"], entity_type: "user" }),
      ),
    );
    for (const [i, { body, text }] of answers.entries()) {
      expect(
        body?.results.map(({ entity_id }) => entity_id),
        text,
      ).toEqual(asked[i]);
      for (const { entity_id, features } of body.results) {
        expect(features["default:x"]?.value).toBe(`é${"v".repeat(ids.indexOf(entity_id) * 40)}`);
      }
    }
  }
});

test("a Response has a copy of its bytes: they may be written over at once", async () => {
  const bytes = new TextEncoder().encode("before");
  const response = new Response(bytes);
  bytes.fill(0);
  expect(await response.text()).toBe("before");
});
