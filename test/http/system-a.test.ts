/** System A: the routes of its two documents, with the answers that they show and the details of the contract. */
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type BatchWritten,
  entry,
  expectProblem,
  faultPlaces,
  get,
  type Item,
  type Items,
  itemPath,
  itemsBody,
  post,
  readItem,
  readItems,
  remove,
  secondsAgo,
  TIMESTAMP,
  upsert,
  WRITER,
  type Written,
} from "../setup/http.ts";
import { sleep } from "../setup/waiting.ts";

const aSource = expect.stringMatching(/^(memory|kv|d1)$/);
const aTimestamp = expect.stringMatching(TIMESTAMP);

afterEach(() => vi.restoreAllMocks());

describe("GET /health", () => {
  test.each(["/health", "//health"])("%s says what answers and which tables there are", async (path) => {
    const { status, body } = await get(path);
    expect(status).toBe(200);
    expect(body).toEqual({
      status: "healthy",
      database_connection: true,
      tables_available: ["bright_uid", "account_id"],
      timestamp: aTimestamp,
      checks: expect.any(Object),
    });
  });

  test("/ready answers 200 when requests can be served", async () => {
    expect((await get("//ready")).status).toBe(200);
  });
});

describe("GET /get/item", () => {
  test("answers the category exactly as the document shows, with revision and source beside it", async () => {
    await upsert("item-1", [entry("user_features", { age: 30, income: 60000, city: "SF" })], {
      metadata: { compute_id: "compute-123" },
    });
    const { status, headers, body } = await readItem("item-1", "user_features", "?entity_type=bright_uid");
    expect(status).toBe(200);
    expect(headers.get("content-type")).toMatch(/^application\/json/);
    expect(body).toEqual({
      bright_uid: "item-1",
      category: "user_features",
      features: {
        data: { age: 30, income: 60000, city: "SF" },
        meta: { created_at: aTimestamp, updated_at: aTimestamp, compute_id: "compute-123" },
      },
      revision: 1,
      source: aSource,
    });
  });

  test("bright_uid is the entity type when none is named", async () => {
    await upsert("item-2", [entry("c", { a: 1 })]);
    expect((await readItem("item-2", "c")).body).toMatchObject({ bright_uid: "item-2" });
  });

  test.each(["entity_type", "table_type"])("%s names the entity type", async (parameter) => {
    await upsert("item-3", [entry("c", { of: "account" })], { data: { entity_type: "account_id" } });
    const { status, body } = await readItem("item-3", "c", `?${parameter}=account_id`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ account_id: "item-3", features: { data: { of: "account" } } });
    expect(body).not.toHaveProperty("bright_uid");
  });

  test("an entity type nobody declared is 422, naming the parameter", async () => {
    for (const parameter of ["entity_type", "table_type"]) {
      const problem = expectProblem(await readItem("item-1", "c", `?${parameter}=martian`), 422);
      expect(faultPlaces(problem)).toEqual([`query.${parameter}`]);
    }
  });

  test("an entity or a category that is not there is 404", async () => {
    await upsert("item-4", [entry("c", { a: 1 })]);
    expectProblem(await readItem("item-4", "other"), 404);
    expectProblem(await readItem("never-written", "c"), 404);
    expectProblem(await readItem("item-4", "c", "?entity_type=account_id"), 404);
  });

  test("compute_id is null when nobody gave one", async () => {
    await upsert("item-5", [entry("c", { a: 1 })]);
    expect((await readItem("item-5", "c")).body.features.meta.compute_id).toBeNull();
  });
});

describe("POST /get/items", () => {
  const written = () =>
    upsert("items-1", [
      entry("user_features", { age: 30, income: 60000, city: "SF" }, { compute_id: "compute-123" }),
      entry("transaction_features", { total_transactions: 150, avg_transaction_value: 250.5 }),
    ]);

  test.each(["meta", "metadata"])("answers as the document shows, with the request's %s", async (name) => {
    await written();
    const { status, body } = await post("/get/items", {
      [name]: { source: "api" },
      data: {
        entity_type: "bright_uid",
        entity_value: "items-1",
        feature_list: ["user_features:age", "user_features:income", "transaction_features:*"],
      },
    });
    expect(status).toBe(200);
    expect(body).toEqual({
      entity_value: "items-1",
      entity_type: "bright_uid",
      items: {
        user_features: {
          features: {
            data: { age: 30, income: 60000 },
            metadata: { created_at: aTimestamp, updated_at: aTimestamp, compute_id: "compute-123" },
          },
        },
        transaction_features: {
          features: {
            data: { total_transactions: 150, avg_transaction_value: 250.5 },
            metadata: { created_at: aTimestamp, updated_at: aTimestamp, compute_id: null },
          },
        },
      },
      unavailable_feature_categories: [],
      unavailable_features: {},
      revision: expect.any(Number),
      source: aSource,
    });
  });

  test("needs neither meta nor metadata", async () => {
    await written();
    const asked = { entity_value: "items-1", feature_list: ["user_features:age"] };
    expect((await post("/get/items", { data: asked })).status).toBe(200);
  });

  test("names categories that are not there, each once, and answers the others", async () => {
    await written();
    const { status, body } = await readItems("items-1", ["user_features:age", "gone:a", "gone:b", "lost:*"]);
    expect(status).toBe(200);
    expect(Object.keys(body.items)).toEqual(["user_features"]);
    expect(body.unavailable_feature_categories).toEqual(["gone", "lost"]);
    expect(body.unavailable_features).toEqual({});
  });

  test("names features that a known category does not have", async () => {
    await written();
    const { body } = await readItems("items-1", ["user_features:age", "user_features:x", "user_features:y"]);
    expect(body.items.user_features?.features.data).toEqual({ age: 30 });
    expect(body.unavailable_features).toEqual({ user_features: ["x", "y"] });
    expect(body.unavailable_feature_categories).toEqual([]);
  });

  test("a known category asked only for unknown names is present with empty data", async () => {
    await written();
    const { status, body } = await readItems("items-1", ["user_features:x"]);
    expect(status).toBe(200);
    expect(body.items.user_features?.features).toEqual({ data: {}, metadata: expect.any(Object) });
    expect(body.unavailable_features).toEqual({ user_features: ["x"] });
  });

  test("a wildcard beside a name answers the whole category", async () => {
    await written();
    for (const list of [
      ["user_features:age", "user_features:*"],
      ["user_features:*", "user_features:age"],
    ]) {
      const { body } = await readItems("items-1", list);
      expect(body.items.user_features?.features.data).toEqual({ age: 30, income: 60000, city: "SF" });
    }
  });

  test("the same reference twice is one answer", async () => {
    await written();
    const { body } = await readItems("items-1", [
      "user_features:age",
      "user_features:age",
      "gone:a",
      "gone:a",
    ]);
    expect(body.items.user_features?.features.data).toEqual({ age: 30 });
    expect(body.unavailable_feature_categories).toEqual(["gone"]);
  });

  test("a null value is a value", async () => {
    await upsert("items-2", [entry("c", { nothing: null })]);
    const { body } = await readItems("items-2", ["c:nothing"]);
    expect(body.items.c?.features.data).toEqual({ nothing: null });
    expect(body.unavailable_features).toEqual({});
  });

  test("all missing is 404", async () => {
    await written();
    expectProblem(await readItems("items-1", ["gone:a", "lost:*"]), 404);
    expectProblem(await readItems("never-written", ["user_features:*"]), 404);
  });

  test("an unknown entity type is 422", async () => {
    const problem = expectProblem(await readItems("items-1", ["c:*"], { entity_type: "martian" }), 422);
    expect(faultPlaces(problem)).toEqual(["body.data.entity_type"]);
  });

  test("a reference without a category or without a feature is 422, naming its place", async () => {
    for (const reference of ["age", ":age", "user_features:", ""]) {
      const problem = expectProblem(
        await readItems("items-1", ["user_features:*", reference]),
        422,
        reference,
      );
      expect(faultPlaces(problem)).toEqual(["body.data.feature_list.1"]);
    }
  });
});

describe("POST /items", () => {
  test("answers as the document shows; the first revision is 1", async () => {
    const { status, headers, body } = await upsert("up-1", [
      entry("user_features", { age: 30, income: 60000, city: "SF" }),
      entry("credit_features", { credit_score: 750, num_accounts: 3 }),
    ]);
    expect(status).toBe(200);
    expect(body).toEqual({
      entity_value: "up-1",
      entity_type: "bright_uid",
      categories_updated: ["user_features", "credit_features"],
      timestamp: aTimestamp,
      revision: 1,
      outcome: "applied",
    });
    expect(headers.get("x-consistency-token")).toMatch(/^[\x21-\x7e]+$/);
  });

  test("the revision is one higher with every applied write, whatever the category", async () => {
    for (const revision of [1, 2, 3]) {
      expect((await upsert("up-2", [entry(`c${revision}`, { a: revision })])).body.revision).toBe(revision);
    }
    expect((await readItem("up-2", "c1")).body.revision).toBe(3);
  });

  test.each([
    ["another", { source: "api" }],
    ["null", { source: null }],
    ["a number as", { source: 1 }],
    ["an array as", { source: ["prediction_service"] }],
    ["the right one in other letters as", { source: "Prediction_Service" }],
  ])("%s source is 403, and nothing is written", async (_, metadata) => {
    const data = { entity_type: "bright_uid", entity_value: "up-403", feature_list: [entry("c", { a: 1 })] };
    expectProblem(await post("/items", { metadata, data }), 403);
    expectProblem(await post("/items/batch", { metadata, data: [data] }), 403);
    expectProblem(await readItem("up-403", "c"), 404);
  });

  test("no metadata at all is 403", async () => {
    const data = { entity_type: "bright_uid", entity_value: "up-403", feature_list: [entry("c", { a: 1 })] };
    expectProblem(await post("/items", { data }), 403);
    expectProblem(await post("/items/batch", { data: [data] }), 403);
    expectProblem(await readItem("up-403", "c"), 404);
  });

  test("`meta` is another spelling of `metadata`", async () => {
    const { metadata, data } = itemsBody("up-meta", [entry("c", { a: 1 })], {
      metadata: { compute_id: "x" },
    });
    expect((await post("/items", { meta: metadata, data })).status).toBe(200);
    expect((await readItem("up-meta", "c")).body.features.meta.compute_id).toBe("x");
  });

  test("each of the two may hold a part of it, or both the same", async () => {
    await upsert("up-parts", [entry("c", { z: 1 })]);
    const { metadata, data } = itemsBody("up-parts", [entry("c", { a: 1 })]);
    const meta = { ...metadata, compute_id: "x", mode: "merge" };
    expect((await post("/items", { metadata, meta, data })).status).toBe(200);
    const { features } = (await readItem("up-parts", "c")).body;
    expect([features.data, features.meta.compute_id]).toEqual([{ z: 1, a: 1 }, "x"]);
    expectProblem(await post("/items", { metadata, meta: { source: "api" }, data }), 422);
  });

  test("created_at stays that of the first write, updated_at moves", async () => {
    await upsert("up-3", [entry("c", { a: 1 })]);
    const { meta: first } = (await readItem("up-3", "c")).body.features;
    for (const mode of ["replace", "merge"]) {
      await sleep(3);
      const before = (await readItem("up-3", "c")).body.features.meta;
      await upsert("up-3", [entry("c", { a: mode }, { mode })]);
      const { meta } = (await readItem("up-3", "c")).body.features;
      expect(meta.created_at).toBe(first.created_at);
      expect(meta.updated_at > before.updated_at).toBe(true);
    }
  });

  test("created_at is when the store first learned of the category, not the event time", async () => {
    const startedAt = secondsAgo(0);
    await upsert("up-4", [entry("c", { a: 1 }, { event_timestamp: secondsAgo(86_400) })]);
    const { created_at } = (await readItem("up-4", "c")).body.features.meta;
    expect(Date.parse(created_at)).toBeGreaterThanOrEqual(Date.parse(startedAt));
  });

  test("replaces the category by default, and only the categories that are named", async () => {
    await upsert("up-5", [entry("c", { a: 1, b: 1 }), entry("d", { a: 1 })]);
    await upsert("up-5", [entry("c", { b: 2 })]);
    expect((await readItem("up-5", "c")).body.features.data).toEqual({ b: 2 });
    expect((await readItem("up-5", "d")).body.features.data).toEqual({ a: 1 });
  });

  test("`merge` touches only the features that it names", async () => {
    await upsert("up-6", [entry("c", { a: 1, b: 1 })]);
    await upsert("up-6", [entry("c", { b: 2, n: 3 }, { mode: "merge" })]);
    expect((await readItem("up-6", "c")).body.features.data).toEqual({ a: 1, b: 2, n: 3 });
  });

  test("metadata give the mode, compute_id and event time of all entries, an entry its own", async () => {
    await upsert("up-7", [entry("c", { a: 1 }), entry("d", { a: 1 })]);
    await upsert(
      "up-7",
      [entry("c", { b: 2 }), entry("d", { b: 2 }, { mode: "replace", compute_id: "own" })],
      {
        metadata: { mode: "merge", compute_id: "all" },
      },
    );
    const { items } = (await readItems("up-7", ["c:*", "d:*"])).body;
    expect(items.c?.features).toMatchObject({ data: { a: 1, b: 2 }, metadata: { compute_id: "all" } });
    expect(items.d?.features.data).toEqual({ b: 2 });
    expect(items.d?.features.metadata.compute_id).toBe("own");
    // An hour old: too late for `c`, which takes it from the metadata, but not for `d`.
    const { body } = await upsert(
      "up-7",
      [entry("c", { z: 3 }), entry("d", { z: 3 }, { event_timestamp: secondsAgo(0) })],
      {
        metadata: { event_timestamp: secondsAgo(3_600) },
      },
    );
    expect(body.outcome).toBe("applied");
    const after = (await readItems("up-7", ["c:*", "d:*"])).body.items;
    expect(after.c?.features.data).toEqual({ a: 1, b: 2 });
    expect(after.d?.features.data).toEqual({ z: 3 });
  });

  test("a write older than what is there is stale: 200, and neither values nor revision change", async () => {
    await upsert("up-8", [entry("c", { a: "new" })]);
    const late = await upsert("up-8", [entry("c", { a: "old" }, { event_timestamp: secondsAgo(60) })]);
    expect(late.status).toBe(200);
    expect(late.body).toEqual({
      entity_value: "up-8",
      entity_type: "bright_uid",
      categories_updated: expect.any(Array),
      timestamp: aTimestamp,
      revision: 1,
      outcome: "stale",
    });
    expect((await readItem("up-8", "c")).body).toMatchObject({
      revision: 1,
      features: { data: { a: "new" } },
    });
  });

  test("an older replacement cannot bring a dropped feature back, nor can an older merge", async () => {
    await upsert("up-9", [entry("c", { dropped: 1, kept: 1 }, { event_timestamp: secondsAgo(30) })]);
    await upsert("up-9", [entry("c", { kept: 2 }, { event_timestamp: secondsAgo(20) })]);
    for (const mode of ["merge", "replace"]) {
      const { body } = await upsert("up-9", [
        entry("c", { dropped: 9 }, { mode, event_timestamp: secondsAgo(25) }),
      ]);
      expect(body).toMatchObject({ outcome: "stale", revision: 2 });
    }
    expect((await readItem("up-9", "c")).body.features.data).toEqual({ kept: 2 });
  });

  test("the newest event time wins for each feature on its own", async () => {
    await upsert("up-10", [entry("c", { a: "at 20" }, { mode: "merge", event_timestamp: secondsAgo(20) })]);
    const { body } = await upsert("up-10", [
      entry("c", { a: "at 30", b: "at 30" }, { mode: "merge", event_timestamp: secondsAgo(30) }),
    ]);
    expect(body).toMatchObject({ outcome: "applied", revision: 2 });
    expect((await readItem("up-10", "c")).body.features.data).toEqual({ a: "at 20", b: "at 30" });
  });

  test("the very same write again is a duplicate and changes nothing", async () => {
    const list = [entry("c", { a: 1 }, { event_timestamp: secondsAgo(10) })];
    await upsert("up-11", list);
    const { status, body } = await upsert("up-11", list);
    expect(status).toBe(200);
    expect(body).toMatchObject({ outcome: "duplicate", revision: 1 });
  });

  test("event times are taken in any ISO 8601 form with a zone", async () => {
    const forms = [
      "2025-10-13T09:15:51Z",
      "2025-10-13T09:15:51.3z",
      "2025-10-13T14:45:51.358632+05:30",
      "2025-10-13T09:15:51,358632999+00",
      "20251013T091551.358633Z",
      "2025-10-13T08:16-01:00",
    ];
    for (const [position, event_timestamp] of forms.entries()) {
      const { body } = await upsert("up-12", [entry("c", { position }, { event_timestamp })]);
      expect(body.outcome, event_timestamp).toMatch(/applied|stale|duplicate/);
    }
    // The last is the newest of them: 09:16 in UTC.
    expect((await readItem("up-12", "c")).body.features.data).toEqual({ position: forms.length - 1 });
  });

  test("a microsecond decides between two event times", async () => {
    const at = (digits: string) => ({ event_timestamp: `2025-10-13T09:15:51.${digits}+00:00` });
    await upsert("up-13", [entry("c", { a: "newer" }, at("358633"))]);
    expect((await upsert("up-13", [entry("c", { a: "older" }, at("358632"))])).body.outcome).toBe("stale");
    expect((await upsert("up-13", [entry("c", { a: "newest" }, at("358634"))])).body.outcome).toBe("applied");
  });

  test("if_revision lets a write through only at that revision, else 409 and nothing is written", async () => {
    const list = [entry("c", { a: 1 })];
    expectProblem(await upsert("up-14", list, { data: { if_revision: 1 } }), 409);
    expectProblem(await readItem("up-14", "c"), 404);
    expect((await upsert("up-14", list, { data: { if_revision: 0 } })).body.revision).toBe(1);
    expectProblem(await upsert("up-14", [entry("c", { a: "lost" })], { data: { if_revision: 0 } }), 409);
    expectProblem(await upsert("up-14", [entry("c", { a: "lost" })], { data: { if_revision: 2 } }), 409);
    expect((await readItem("up-14", "c")).body).toMatchObject({ revision: 1, features: { data: { a: 1 } } });
    expect((await upsert("up-14", [entry("c", { a: 2 })], { data: { if_revision: 1 } })).body.revision).toBe(
      2,
    );
  });

  test("of many writers that saw the same revision one wins", async () => {
    await upsert("up-15", [entry("c", { a: 0 })]);
    const writers = Array.from({ length: 8 }, (_, a) =>
      upsert("up-15", [entry("c", { a })], { data: { if_revision: 1 } }),
    );
    const statuses = (await Promise.all(writers)).map(({ status }) => status).sort();
    expect(statuses).toEqual([200, 409, 409, 409, 409, 409, 409, 409]);
    expect((await readItem("up-15", "c")).body.revision).toBe(2);
  });

  test("no update is lost among many at the same time", async () => {
    const writes = Array.from({ length: 40 }, (_, i) =>
      upsert("up-16", [entry("c", { [`f${i}`]: i }, { mode: "merge" })]),
    );
    const revisions = (await Promise.all(writes)).map(({ body }) => body.revision).sort((a, b) => a - b);
    expect(revisions).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    const { data } = (await readItem("up-16", "c")).body.features;
    expect(data).toEqual(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, i])));
  });

  test("an unknown entity type is 422", async () => {
    const answer = await upsert("up-17", [entry("c", { a: 1 })], { data: { entity_type: "martian" } });
    expect(faultPlaces(expectProblem(answer, 422))).toEqual(["body.data.entity_type"]);
  });

  test("account_id and bright_uid of the same value are two entities", async () => {
    await upsert("up-18", [entry("c", { of: "uid" })]);
    const { body } = await upsert("up-18", [entry("c", { of: "account" })], {
      data: { entity_type: "account_id" },
    });
    expect(body).toMatchObject({ entity_type: "account_id", revision: 1 });
    expect((await readItem("up-18", "c")).body.features.data).toEqual({ of: "uid" });
    const account = await readItems("up-18", ["c:of"], { entity_type: "account_id" });
    expect(account.body).toMatchObject({
      entity_type: "account_id",
      items: { c: { features: { data: { of: "account" } } } },
    });
  });

  test("a category twice in one write is 422: which one holds would be a guess", async () => {
    const answer = await upsert("up-19", [entry("c", { a: 1 }), entry("c", { a: 2 })]);
    expectProblem(answer, 422);
    expectProblem(await readItem("up-19", "c"), 404);
  });
});

describe("POST /items/batch", () => {
  const row = (value: string, list: unknown[], more: Record<string, unknown> = {}) => ({
    entity_type: "bright_uid",
    entity_value: value,
    feature_list: list,
    ...more,
  });
  const batch = (data: unknown[], metadata: Record<string, unknown> = {}) =>
    post<BatchWritten>("/items/batch", { metadata: { ...WRITER, ...metadata }, data });

  test("answers one result per row, in the order of the request", async () => {
    const values = Array.from({ length: 30 }, (_, i) => `batch-${(i * 7) % 30}`);
    const { status, headers, body } = await batch(values.map((value) => row(value, [entry("c", { value })])));
    expect(status).toBe(200);
    expect(body).toEqual({
      results: values.map((value) => ({
        entity_type: "bright_uid",
        entity_value: value,
        outcome: "applied",
        revision: 1,
        categories_updated: ["c"],
      })),
      timestamp: aTimestamp,
    });
    expect(headers.get("x-consistency-token")).toBeTruthy();
    for (const value of values.slice(0, 5)) {
      expect((await readItem(value, "c")).body.features.data).toEqual({ value });
    }
  });

  test("rejected rows say why, and the others apply", async () => {
    await upsert("mix-stale", [entry("c", { a: "new" })]);
    const { status, body } = await batch([
      row("mix-1", [entry("c", { a: 1 })]),
      row("mix-2", [entry("c", { a: 1 })], { if_revision: 7 }),
      row("mix-3", [entry("c", { a: 1 })], { entity_type: "martian" }),
      row("mix-stale", [entry("c", { a: "old" }, { event_timestamp: secondsAgo(60) })]),
      row("mix-4", [entry("c", { a: 1 })], { entity_type: "account_id" }),
    ]);
    expect(status).toBe(200);
    expect(body.results.map(({ outcome }) => outcome)).toEqual([
      "applied",
      "rejected",
      "rejected",
      "stale",
      "applied",
    ]);
    expect(body.results.map(({ reason }) => reason !== undefined)).toEqual([false, true, true, false, false]);
    expect(body.results[1]).toMatchObject({ entity_value: "mix-2", categories_updated: [] });
    expect(JSON.stringify(body.results[1]?.reason)).toMatch(/revision/);
    expect(JSON.stringify(body.results[2]?.reason)).toMatch(/entity.type/);
    expect(body.results[3]).toMatchObject({ revision: 1 });
    expectProblem(await readItem("mix-2", "c"), 404);
    expect((await readItem("mix-1", "c")).status).toBe(200);
    expect((await readItem("mix-4", "c", "?entity_type=account_id")).status).toBe(200);
    expect((await readItem("mix-stale", "c")).body.features.data).toEqual({ a: "new" });
  });

  test("all rows rejected is still an answer of one result per row", async () => {
    const { status, body } = await batch([
      row("none-1", [entry("c", { a: 1 })], { entity_type: "martian" }),
      row("none-2", [entry("c", { a: 1 })], { entity_type: "venusian" }),
    ]);
    expect(status).toBe(200);
    expect(body.results.map(({ outcome }) => outcome)).toEqual(["rejected", "rejected"]);
    expect(body.timestamp).toMatch(TIMESTAMP);
  });

  test("the same entity several times is written in order, each with its own revision", async () => {
    const { body } = await batch([
      row("same", [entry("c", { a: 1, b: 1 })]),
      row("between", [entry("c", { a: 1 })]),
      row("same", [entry("c", { a: 2 }, { mode: "merge" })]),
      row("same", [entry("d", { a: 3 })], { if_revision: 2 }),
      row("same", [entry("d", { a: 4 })], { if_revision: 2 }),
    ]);
    expect(body.results.map(({ revision }) => revision).slice(0, 4)).toEqual([1, 1, 2, 3]);
    expect(body.results[4]?.outcome).toBe("rejected");
    const { items, revision } = (await readItems("same", ["c:*", "d:*"])).body;
    expect(items.c?.features.data).toEqual({ a: 2, b: 1 });
    expect(items.d?.features.data).toEqual({ a: 3 });
    expect(revision).toBe(3);
  });

  test("metadata hold for all rows, an entry's own come first", async () => {
    await batch([row("defaults", [entry("c", { a: 1 })])]);
    await batch([row("defaults", [entry("c", { b: 2 }), entry("d", { b: 2 }, { compute_id: "own" })])], {
      mode: "merge",
      compute_id: "all",
    });
    const { items } = (await readItems("defaults", ["c:*", "d:*"])).body;
    expect(items.c?.features).toMatchObject({ data: { a: 1, b: 2 }, metadata: { compute_id: "all" } });
    expect(items.d?.features.metadata.compute_id).toBe("own");
  });
});

describe("system A's shorter routes (001)", () => {
  const write = (id: string, body: unknown, query = "") => post<Written>(`/items/${id}${query}`, body);
  const read = (id: string, body: unknown, query = "") => post<Items>(`/get/item/${id}${query}`, body);

  test("POST /items/{id} writes without a source and answers feature counts", async () => {
    const { status, body } = await write("short-1", { c1: { f1: "value1" }, c2: { f2: 123, f3: null } });
    expect(status).toBe(200);
    expect(body).toEqual({
      entity_value: "short-1",
      entity_type: "bright_uid",
      categories_updated: ["c1", "c2"],
      timestamp: aTimestamp,
      revision: 1,
      outcome: "applied",
      feature_counts: { c1: 1, c2: 2 },
    });
    expect((await readItem("short-1", "c2")).body.features.data).toEqual({ f2: 123, f3: null });
  });

  test("POST /items/{id} replaces each category that it names, and keeps created_at", async () => {
    await write("short-2", { c: { a: 1, b: 1 }, d: { a: 1 } });
    const { created_at } = (await readItem("short-2", "c")).body.features.meta;
    await sleep(3);
    await write("short-2", { c: { b: 2 } });
    const { items } = (await readItems("short-2", ["c:*", "d:*"])).body;
    expect(items.c?.features.data).toEqual({ b: 2 });
    expect(items.c?.features.metadata.created_at).toBe(created_at);
    expect(items.d?.features.data).toEqual({ a: 1 });
  });

  test("POST /get/item/{id} answers the named features in the shape of POST /get/items", async () => {
    await write("short-3", {
      category1: { feature1: 1, feature2: 2, feature9: 9 },
      category2: { feature3: 3 },
    });
    const { status, body } = await read(
      "short-3",
      { category1: ["feature1", "feature2", "nope"], category2: ["feature3"], category3: ["x"] },
      "?table_type=bright_uid",
    );
    expect(status).toBe(200);
    const metadata = { created_at: aTimestamp, updated_at: aTimestamp, compute_id: null };
    expect(body).toEqual({
      entity_value: "short-3",
      entity_type: "bright_uid",
      items: {
        category1: { features: { data: { feature1: 1, feature2: 2 }, metadata } },
        category2: { features: { data: { feature3: 3 }, metadata } },
      },
      unavailable_feature_categories: ["category3"],
      unavailable_features: { category1: ["nope"] },
      revision: 1,
      source: aSource,
    });
  });

  test.each(["table_type", "entity_type"])("%s=account_id names the account table on both", async (name) => {
    await write(`short-${name}`, { c: { a: 1 } }, `?${name}=account_id`);
    const { body } = await read(`short-${name}`, { c: ["a"] }, `?${name}=account_id`);
    expect(body).toMatchObject({ entity_type: "account_id", items: { c: { features: { data: { a: 1 } } } } });
    expectProblem(await read(`short-${name}`, { c: ["a"] }), 404);
  });

  test("an unknown entity type is 422 on both", async () => {
    expectProblem(await write("short-4", { c: { a: 1 } }, "?table_type=martian"), 422);
    expectProblem(await read("short-4", { c: ["a"] }, "?table_type=martian"), 422);
  });

  test("all missing is 404", async () => {
    expectProblem(await read("short-never", { c: ["a"] }), 404);
  });
});

describe("DELETE /entities", () => {
  interface Deleted {
    categories_removed: string[];
    removed: Record<string, number>;
    revision: number;
  }
  const path = (value: string, more = "") => `/entities/bright_uid/${encodeURIComponent(value)}${more}`;

  async function rowsOf(value: string) {
    const history = "SELECT count(*) AS n FROM feature_history WHERE entity_value = ?";
    const current = "SELECT count(*) AS n FROM bright_uid WHERE bright_uid = ? AND data IS NOT NULL";
    const [h, c] = await env.DB.batch<{ n: number }>([
      env.DB.prepare(history).bind(value),
      env.DB.prepare(current).bind(value),
    ]);
    const documents = await env.HOT.list();
    const cached = documents.keys.filter(({ name }) => name.endsWith(`/${encodeURIComponent(value)}`));
    return { history: h?.results[0]?.n, current: c?.results[0]?.n, cached: cached.length };
  }

  test("an entity goes with its history and cache; the answer names categories and counts", async () => {
    await upsert("del-1", [entry("c", { a: 1 }), entry("d", { a: 1 })]);
    await upsert("del-1", [entry("c", { a: 2 })]);
    await readItem("del-1", "c");
    await expect.poll(() => rowsOf("del-1")).toEqual({ history: 3, current: 2, cached: 1 });
    const { status, body } = await remove<Deleted>(path("del-1"));
    expect(status).toBe(200);
    expect(body).toMatchObject({ entity_type: "bright_uid", entity_value: "del-1", revision: 3 });
    expect(body.categories_removed.toSorted()).toEqual(["c", "d"]);
    expect(body.removed).toMatchObject({ current: 2, history: 3, cache: 1 });
    await expect
      .poll(() => rowsOf("del-1"), { timeout: 5_000 })
      .toEqual({ history: 0, current: 0, cached: 0 });
  });

  test("what was deleted is 404 in every read, and a second deletion is 404", async () => {
    await upsert("del-2", [entry("c", { a: 1 })]);
    await readItem("del-2", "c");
    await remove(path("del-2"));
    for (const query of ["", "?consistency=strong"]) expectProblem(await readItem("del-2", "c", query), 404);
    expectProblem(await readItems("del-2", ["c:*"]), 404);
    expectProblem(await post("/get/item/del-2", { c: ["a"] }), 404);
    expectProblem(await remove(path("del-2")), 404);
  });

  test("a write whose clock was ahead cannot be sent again either, and holds up no other category", async () => {
    const inAMinute = new Date(Date.now() + 60_000).toISOString();
    const body = (category: string, event_timestamp?: string) => ({
      metadata: { source: "prediction_service" },
      data: {
        entity_type: "bright_uid",
        entity_value: "ahead",
        feature_list: [{ category, features: { n: 1 }, ...(event_timestamp && { event_timestamp }) }],
      },
    });
    await post("/items", body("a", inAMinute));
    await post("/items", body("b"));
    expect((await remove<{ removed: unknown }>("/entities/bright_uid/ahead")).body.removed).toMatchObject({
      current: 2,
      history: 2,
    });
    expect((await post("/items", body("a", inAMinute))).body).toMatchObject({
      outcome: "stale",
      revision: 3,
    });
    expect((await post("/items", body("b"))).body).toMatchObject({ outcome: "applied", revision: 4 });
    expect((await get("/get/item/ahead/a?consistency=strong")).status).toBe(404);
    expect((await remove("/entities/bright_uid/ahead")).status).toBe(200);
    expect((await post("/items", body("a", inAMinute))).body).toMatchObject({
      outcome: "stale",
      revision: 5,
    });
  });

  test.each(["", "/c"])("dated now it ends what a mistaken time has kept out (of %s)", async (scope) => {
    const value = `mistaken${scope}`;
    const whole = { a: 1, b: 2 };
    await upsert(value, [
      entry("c", whole, { event_timestamp: "2062-01-01T00:00:00Z" }),
      entry("d", { n: 1 }),
    ]);
    await readItem(value, "c");
    const again = () => upsert(value, [entry("c", { a: 2 })]);
    expect((await again()).body).toMatchObject({ outcome: "stale", revision: 1 });
    expect((await remove<Deleted>(path(value, "/c"))).body.categories_removed).toEqual(["c"]);
    expect((await again()).body).toMatchObject({ outcome: "stale", revision: 2 });
    expectProblem(await remove(path(value, "/c")), 404);
    const corrected = await remove<Deleted>(path(value, `${scope}?dated=now`));
    expect([corrected.status, corrected.body.revision]).toEqual([200, 3]);
    expect(corrected.body.categories_removed).toEqual(scope ? [] : ["d"]);
    expectProblem(await remove(path(value, `${scope}?dated=now`)), 404);
    expect((await again()).body).toMatchObject({ outcome: "applied", revision: 4 });
    for (const query of ["", "?consistency=strong"])
      expect((await readItem(value, "c", query)).body).toMatchObject({
        revision: 4,
        features: { data: { a: 2 } },
      });
    expect((await rowsOf(value)).history).toBe(scope ? 2 : 1);
    // Of the values, not of a tombstone.
    await upsert(value, [entry("c", whole, { event_timestamp: "2062-01-01T00:00:00Z" })]);
    expect((await remove<Deleted>(path(value, "/c?dated=now"))).body.removed.history).toBe(2);
    expect((await again()).body).toMatchObject({ outcome: "applied", revision: 7 });
    const fault = expectProblem(await remove(path(value, "/c?dated=later")), 422);
    expect(faultPlaces(fault)).toEqual(["query.dated"]);
  });

  test("a late write cannot resurrect it; a new one begins anew, at a higher revision", async () => {
    await upsert("del-3", [entry("c", { a: "before" })]);
    const deleted = await remove<Deleted>(path("del-3"));
    expect(deleted.body.revision).toBe(2);
    for (const mode of ["replace", "merge"]) {
      const late = await upsert("del-3", [
        entry("c", { a: "late" }, { mode, event_timestamp: secondsAgo(60) }),
      ]);
      expect(late.status).toBe(200);
      expect(late.body).toMatchObject({ outcome: "stale", revision: 2 });
      const other = await upsert("del-3", [
        entry("new", { a: "late" }, { mode, event_timestamp: secondsAgo(60) }),
      ]);
      expect(other.body).toMatchObject({ outcome: "stale", revision: 2 });
    }
    expectProblem(await readItem("del-3", "c"), 404);
    expectProblem(await readItem("del-3", "new"), 404);
    await sleep(3);
    expect((await upsert("del-3", [entry("c", { b: 1 })])).body).toMatchObject({
      outcome: "applied",
      revision: 3,
    });
    expect((await readItem("del-3", "c")).body.features.data).toEqual({ b: 1 });
  });

  test("one category goes, the others stay", async () => {
    await upsert("del-4", [entry("c", { a: 1 }), entry("d", { a: 1 })]);
    const { status, body } = await remove<Deleted>(path("del-4", "/c"));
    expect(status).toBe(200);
    expect(body.categories_removed).toEqual(["c"]);
    expect(body.removed).toMatchObject({ current: 1, history: 1 });
    expect(body.revision).toBe(2);
    expectProblem(await readItem("del-4", "c"), 404);
    expect((await readItem("del-4", "d")).body).toMatchObject({ revision: 2, features: { data: { a: 1 } } });
    expect((await readItems("del-4", ["c:*", "d:*"])).body.unavailable_feature_categories).toEqual(["c"]);
    expect(await rowsOf("del-4")).toMatchObject({ history: 1, current: 1 });
    expectProblem(await remove(path("del-4", "/c")), 404);
    const late = await upsert("del-4", [entry("c", { a: 9 }, { event_timestamp: secondsAgo(60) })]);
    expect(late.body).toMatchObject({ outcome: "stale", revision: 2 });
    expectProblem(await readItem("del-4", "c"), 404);
  });

  test("what never was is 404, an unknown entity type 422", async () => {
    expectProblem(await remove(path("del-never")), 404);
    expectProblem(await remove(path("del-never", "/c")), 404);
    expectProblem(await remove("/entities/martian/x"), 422);
    expectProblem(await remove("/entities/martian/x/c"), 422);
  });

  test("deleting an entity of one type leaves that of the other", async () => {
    await upsert("del-5", [entry("c", { a: 1 })]);
    await upsert("del-5", [entry("c", { a: 1 })], { data: { entity_type: "account_id" } });
    expect((await remove("/entities/account_id/del-5")).status).toBe(200);
    expectProblem(await readItem("del-5", "c", "?entity_type=account_id"), 404);
    expect((await readItem("del-5", "c")).status).toBe(200);
  });
});

describe("TTL", () => {
  const over = { event_timestamp: secondsAgo(3_600), ttl_seconds: 60 };

  test("a category whose TTL is over is 404 in a single read", async () => {
    expect((await upsert("ttl-1", [entry("c", { a: 1 }, over)])).body.outcome).toBe("applied");
    expectProblem(await readItem("ttl-1", "c"), 404);
    expectProblem(await readItem("ttl-1", "c", "?consistency=strong"), 404);
  });

  test("it is unavailable in a multi-read, and 404 when nothing else was asked for", async () => {
    await upsert("ttl-2", [entry("gone", { a: 1 }, over), entry("here", { a: 1 })]);
    const { status, body } = await readItems("ttl-2", ["gone:a", "here:*"]);
    expect(status).toBe(200);
    expect(Object.keys(body.items)).toEqual(["here"]);
    expect(body.unavailable_feature_categories).toEqual(["gone"]);
    const short = await post<Items>("/get/item/ttl-2", { gone: ["a"], here: ["a"] });
    expect(short.body.unavailable_feature_categories).toEqual(["gone"]);
    expectProblem(await readItems("ttl-2", ["gone:*"]), 404);
  });

  test("it counts from the event time", async () => {
    await upsert("ttl-3", [entry("c", { a: 1 }, { event_timestamp: secondsAgo(3_600), ttl_seconds: 7_200 })]);
    expect((await readItem("ttl-3", "c")).status).toBe(200);
  });

  test("metadata give the TTL of all entries, an entry its own", async () => {
    await upsert("ttl-4", [entry("short", { a: 1 }), entry("long", { a: 1 }, { ttl_seconds: 7_200 })], {
      metadata: over,
    });
    const { body } = await readItems("ttl-4", ["short:*", "long:*"]);
    expect(body.unavailable_feature_categories).toEqual(["short"]);
    expect(Object.keys(body.items)).toEqual(["long"]);
  });

  test("a newer write brings an expired category back, with its first created_at", async () => {
    await upsert("ttl-5", [entry("c", { a: 1 }, over)]);
    const first = await env.DB.prepare("SELECT created_at FROM bright_uid WHERE bright_uid = 'ttl-5'").first<{
      created_at: number;
    }>();
    await sleep(3);
    await upsert("ttl-5", [entry("c", { a: 2 })]);
    const { body } = await readItem("ttl-5", "c");
    expect(body.features.data).toEqual({ a: 2 });
    expect(Date.parse(body.features.meta.created_at)).toBe(Math.floor((first?.created_at ?? 0) / 1_000));
  });

  test("no cache answers past it", async () => {
    // The clock stands still: however long the machine takes, it is remembered until it is over.
    const clock = vi.spyOn(Date, "now").mockReturnValue(Date.now());
    await upsert("ttl-6", [entry("c", { a: 1 }, { ttl_seconds: 0.8 })]);
    expect((await readItem("ttl-6", "c")).status).toBe(200);
    expect((await readItem("ttl-6", "c")).body.source).toBe("memory");
    clock.mockReturnValue(Date.now() + 790);
    expect((await readItem("ttl-6", "c")).body.source).toBe("memory");
    clock.mockReturnValue(Date.now() + 20);
    expectProblem(await readItem("ttl-6", "c"), 404);
  });
});

describe("names and values", () => {
  const values = [
    "__proto__",
    "constructor",
    "toString",
    "日本語 ☃",
    "\u{1F600}".repeat(100),
    "a b",
    " padded ",
    "a/b",
    "a%2Fb",
    "100%",
    "%",
    "a+b",
    "a?b=c&d#e",
    "a\\b",
    `"quoted" 'and' \`ticked\``,
    "'; DROP TABLE bright_uid; --",
    "e\u0301",
    "\u00e9",
    "Case",
    "case",
    "x".repeat(512),
    "\ufeffbom",
  ];

  test("any text without control characters names an entity, and no two share one", async () => {
    for (const value of values) {
      const { status, body } = await upsert(value, [entry("c", { is: value })]);
      expect([status, body.entity_value, body.revision], value).toEqual([200, value, 1]);
    }
    for (const value of values) {
      for (const query of ["", "?consistency=strong"]) {
        const { status, body } = await readItem(value, "c", query);
        expect(status, value).toBe(200);
        expect(body, value).toMatchObject({
          bright_uid: value,
          features: { data: { is: value } },
          revision: 1,
        });
      }
      const many = await readItems(value, ["c:is"]);
      expect(many.body, value).toMatchObject({
        entity_value: value,
        items: { c: { features: { data: { is: value } } } },
      });
    }
  });

  test("the same names work in the shorter routes and in deletions", async () => {
    for (const value of values) {
      const name = encodeURIComponent(value);
      const written = await post<Written>(`/items/${name}?table_type=account_id`, { c: { is: value } });
      expect([written.status, written.body.entity_value], value).toEqual([200, value]);
      const { body } = await post<Items>(`/get/item/${name}?table_type=account_id`, { c: ["is"] });
      expect(body.items, value).toMatchObject({ c: { features: { data: { is: value } } } });
      expect((await remove(`/entities/account_id/${name}`)).status, value).toBe(200);
      expectProblem(await readItem(value, "c", "?table_type=account_id"), 404, value);
    }
  });

  test("a dot or two are an entity's name like any other, where no URL takes them for a path", async () => {
    for (const value of [".", ".."]) {
      await upsert(value, [entry("c", { is: value })]);
      expect((await readItems(value, ["c:is"])).body.items.c?.features.data).toEqual({ is: value });
    }
  });

  test("categories have any name without a colon", async () => {
    const names = ["__proto__", "constructor", "日本語", "a/b", "a%2Fb", "100%", "a b", "'; --", "*"];
    for (const name of names) {
      await upsert(`category ${name}`, [entry(name, { is: name }), entry("other", { is: "other" })]);
      const { body } = await readItem(`category ${name}`, name);
      expect(body, name).toMatchObject({ category: name, features: { data: { is: name } } });
      const many = await readItems(`category ${name}`, [`${name}:is`]);
      expect(Object.entries(many.body.items)).toMatchObject([[name, { features: { data: { is: name } } }]]);
    }
    expectProblem(await upsert("colon", [entry("a:b", { a: 1 })]), 422);
  });

  test("an entity without a category called constructor does not have one", async () => {
    await upsert("plain", [entry("c", { a: 1 })]);
    for (const name of ["constructor", "__proto__", "toString"]) {
      expectProblem(await readItem("plain", name), 404);
      const { body } = await readItems("plain", ["c:a", `c:${name}`, `${name}:*`]);
      expect(body.items.c?.features.data).toEqual({ a: 1 });
      expect(body.unavailable_feature_categories).toEqual([name]);
      expect(body.unavailable_features).toEqual({ c: [name] });
    }
  });

  const oddFeatures = `{"__proto__":{"polluted":1},"constructor":"c","toString":null,"a:b":1,"日本語":2,"a b":3}`;

  test("features called __proto__, constructor or a:b are data like any other", async () => {
    const body = JSON.stringify(itemsBody("odd-features", [entry("c", "HERE")]));
    expect((await post("/items", body.replace(`"HERE"`, oddFeatures))).status).toBe(200);
    expect((await readItem("odd-features", "c")).text).toContain(`"data":${oddFeatures}`);
    const { text } = await readItems("odd-features", ["c:__proto__", "c:constructor", "c:a:b"]);
    expect(text).toContain(`"data":{"__proto__":{"polluted":1},"constructor":"c","a:b":1}`);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test("they survive a merge, the shorter routes and a bulk write", async () => {
    const features = `{"__proto__":{"polluted":1},"constructor":"c"}`;
    expect((await post("/items/odd-short", `{"__proto__":${features},"c":${features}}`)).status).toBe(200);
    expect((await readItem("odd-short", "__proto__")).text).toContain(`"data":${features}`);
    const merge = itemsBody("odd-short", [entry("c", { later: 1 }, { mode: "merge" })]);
    await post("/items/batch", { metadata: WRITER, data: [merge.data] });
    expect((await readItem("odd-short", "c")).body.features.data).toHaveProperty("later", 1);
    expect((await readItem("odd-short", "c")).text).toContain(`"__proto__":{"polluted":1}`);
    const { text } = await post(
      "/get/item/odd-short",
      `{"__proto__":["__proto__","toString"],"c":["constructor"]}`,
    );
    expect(text).toContain(`"__proto__":{"features":{"data":{"__proto__":{"polluted":1}}`);
    expect(text).toContain(`"unavailable_features":{"__proto__":["toString"]}`);
  });

  const integers = [
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
  ];

  test("integers beyond 2^53 are answered digit for digit, from every route and source", async () => {
    const data = `{${integers.map((digits, i) => `"i${i}":${digits}`).join(",")},"deep":{"list":[${integers}]}}`;
    const body = JSON.stringify(itemsBody("big", [entry("c", "HERE")])).replace(`"HERE"`, data);
    expect((await post("/items", body)).status).toBe(200);
    for (const query of ["?consistency=strong", "", ""]) {
      expect((await readItem("big", "c", query)).text).toContain(`"data":${data}`);
    }
    const one = (await readItems("big", ["c:i0", "c:deep"])).text;
    expect(one).toContain(`"data":{"i0":9007199254740993,"deep":{"list":[${integers}]}}`);
    await upsert("big", [entry("c", { later: 1 }, { mode: "merge" })]);
    const merged = (await readItem("big", "c")).text;
    for (const [i, digits] of integers.entries()) expect(merged).toContain(`"i${i}":${digits}`);
    expect((await post("/items/big-short", `{"c":${data}}`)).status).toBe(200);
    expect((await post("/get/item/big-short", { c: ["i1"] })).text).toContain(
      `"data":{"i1":-9007199254740993}`,
    );
  });

  test("values of every JSON type come back as they were", async () => {
    const data = {
      null: null,
      true: true,
      false: false,
      zero: 0,
      fraction: 0.1,
      tiny: 5e-324,
      huge: 1.7976931348623157e308,
      "16 digits": 1234567890.1234567,
      empty: "",
      text: 'quote " backslash \\ newline \n nul \u0000 separator \u2028 emoji \u{1F600}',
      list: [1, [2, [3, []]], {}],
      object: { a: { b: { c: {} } } },
    };
    await upsert("types", [entry("c", data)]);
    expect((await readItem("types", "c")).body.features.data).toEqual(data);
    const references = Object.keys(data).map((name) => `c:${name}`);
    expect((await readItems("types", references)).body.items.c?.features.data).toEqual(data);
  });

  test("a category may be empty", async () => {
    await upsert("empty", [entry("c", {})]);
    expect((await readItem("empty", "c")).body.features.data).toEqual({});
  });

  test("every timestamp of every answer has six digits and +00:00", async () => {
    const texts = [
      (await upsert("stamps", [entry("c", { a: 1 })])).text,
      (await get<Item>(itemPath("stamps", "c"))).text,
      (await readItems("stamps", ["c:*"])).text,
      (await post("/items/batch", { metadata: WRITER, data: [itemsBody("stamps", [entry("c", {})]).data] }))
        .text,
      (await post("/items/stamps", { c: { a: 1 } })).text,
      (await remove("/entities/bright_uid/stamps")).text,
      (await get("/health")).text,
    ];
    for (const text of texts) {
      const found = [...text.matchAll(/"(\d{4}-\d\d-\d\d[^"]*)"/g)].map(([, stamp]) => stamp);
      expect(found.length, text).toBeGreaterThan(0);
      for (const stamp of found) expect(stamp).toMatch(TIMESTAMP);
    }
  });
});
