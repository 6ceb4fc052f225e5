/** Features that are recomputed as rows arrive. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { STORE_FAULT } from "../../worker/compute/compute-store.ts";
import {
  computeAgainWhereOvertaken,
  vectorTarget,
  writeVectors,
} from "../../worker/compute/write-vectors.ts";
import { settings } from "../../worker/env.ts";
import { MAX_OWN_FAULT_TRIES } from "../../worker/limits.ts";
import { Log } from "../../worker/log.ts";
import { FOLLOWER_LEASE_MS, TRAINING_SETS_BATCH_MS } from "../../worker/timings.ts";
import { databaseWatchedBy } from "../events/receiving.ts";
import { failBefore } from "../setup/faults.ts";
import { ask, expectProblem, get, post, remove } from "../setup/http.ts";
import { sleep, until } from "../setup/waiting.ts";
import {
  arrived,
  consume,
  followerOf,
  ingestUnannounced,
  SCHEMA,
  withoutQueue,
  withStubs,
} from "./racing.ts";
import {
  addVersion,
  caughtUp,
  compute,
  createFeature,
  eventTime,
  type Feature,
  freshName,
  ingest,
  inside,
  newFeature,
  newTable,
  objectOf,
  refOf,
  row,
  SUMS,
  streaming,
  type Table,
  TENANT,
  vector,
  vectorOf,
} from "./tables.ts";

afterEach(() => vi.restoreAllMocks());

const computationOf = async (feature: string) =>
  (await get<Feature>(`/features/${feature}`)).body.versions[0]?.computation ?? null;

describe("an ingest", () => {
  test("recomputes the touched entities alone, within five seconds, over all their rows", async () => {
    const table = await newTable();
    const { name } = await streaming(table);
    const [a, b] = [freshName("a"), freshName("b")];
    await ingest(table, [row(a, 1, 1), row(b, 5, 1)]);
    await until("both are there", async () => (await vectorOf(b, name)) !== null, 5_000);
    await ingest(table, [row(a, 2, 7), row(a, 3, 4)]);
    await until("it is fresh", async () => (await vectorOf(a, name))?.total === 6, 5_000);
    await caughtUp(table);
    const ofA = (await vector(a, name)).body;
    expect([ofA.vector, ofA.event_timestamp, ofA.revision]).toEqual([{ total: 6, n: 3 }, eventTime(7), 2]);
    expect((await vector(b, name)).body).toMatchObject({ vector: { total: 5, n: 1 }, revision: 1 });
    expect(await computationOf(name)).toMatchObject({ last_error: null, computed_at: expect.any(String) });
  });

  test("recomputes active versions of streaming features, and nothing else", async () => {
    const table = await newTable();
    const entity = freshName("e");
    const manual = await newFeature(table);
    const { name } = await streaming(table);
    const counts = "SELECT user_id, count(*) AS n FROM data GROUP BY user_id";
    await addVersion(name, { version: 2, computation_logic: counts, status: "active" });
    const draft = await addVersion(name, { version: 3 });
    await ingest(table, [row(entity, 1)]);
    await until("it is there", async () => (await vectorOf(entity, name)) !== null);
    await caughtUp(table);
    expect(await vectorOf(entity, name)).toEqual({ n: 1 });
    expect(await vectorOf(entity, manual.name)).toBeNull();
    const ofDraft = `/feature-vectors?entity_id=${entity}&feature_version_id=${draft.body.feature_version_id}`;
    expectProblem(await get(ofDraft), 404);
  });

  test("of rows without an entity touches nothing", async () => {
    const table = await newTable();
    const { name } = await streaming(table);
    const entity = freshName("e");
    await ingest(table, [row(null, 1), row("", 1), row(entity, 2)]);
    await until("the entity is there", async () => (await vectorOf(entity, name)) !== null);
    await caughtUp(table);
    expect(await computationOf(name)).toMatchObject({ last_error: null });
  });
});

describe("beside a streaming feature", () => {
  const EVERYTHING = {
    "a count": "SELECT 'all' AS user_id, COUNT(*) AS n FROM data",
    "a share":
      "SELECT user_id, COUNT(*) * 1.0 / (SELECT COUNT(*) FROM data) AS share FROM data GROUP BY user_id",
    "a join": "SELECT a.user_id, COUNT(*) AS n FROM data a, data b GROUP BY a.user_id",
    "a look-up": "SELECT user_id, COUNT(*) AS n FROM data WHERE CAST(user_id AS TEXT) = 'all' GROUP BY 1",
    "all entities in their order": "SELECT user_id, amount FROM data ORDER BY CAST(user_id AS TEXT)",
  };

  test.each(Object.entries(EVERYTHING))("%s over the whole table is computed as before", async (_, sql) => {
    const table = await newTable();
    const { name } = await newFeature(table, { computation_logic: sql });
    await ingest(table, [row("all", 1, 1), row("u", 2, 2)]);
    const before = await compute(name);
    await streaming(table);
    await ingest(table, [row("v", 3, 3)]);
    await caughtUp(table);
    const after = await compute(name);
    expect([before.status, after.status], after.text).toEqual([200, 200]);
    expect(await vectorOf("all", name)).not.toBeNull();
    // What finds the rows of an entity is there again.
    expect(await inside(table, "SELECT name FROM sqlite_schema WHERE name LIKE 'fs_by%'")).toHaveLength(1);
  });

  test("the tables of the object cannot be read", async () => {
    const table = await newTable();
    await streaming(table);
    await ingest(table, [row("u", 1)]);
    await caughtUp(table);
    for (const name of ["fs_touched", "fs_rows", "fs_by_user_id", "sqlite_schema"]) {
      const sql = `SELECT 'u' AS user_id, COUNT(*) AS n FROM "${name}"`;
      const problem = expectProblem(await createFeature(table, { computation_logic: sql }), 422);
      expect(problem.errors?.[0]?.type).toBe("reserved-name");
    }
  });
});

describe("the consumer", () => {
  test("computes an entity once for all ingests of a batch", async () => {
    const table = await newTable();
    const { name, feature_id } = await streaming(table);
    const entity = freshName("e");
    for (let i = 0; i < 5; i++) await ingestUnannounced(table, [followerOf({ feature_id })], [entity]);
    const result = await consume(Array.from({ length: 5 }, () => arrived(table)));
    expect(result.explicitAcks).toHaveLength(5);
    expect((await vector(entity, name)).body).toMatchObject({ vector: { total: 5, n: 5 }, revision: 1 });
    // A message that comes again finds nothing to do.
    await consume([arrived(table)]);
    expect((await vector(entity, name)).body.revision).toBe(1);
  });

  test("two at once leave the value of all rows", async () => {
    const table = await newTable();
    const { name, feature_id } = await streaming(table);
    const entity = freshName("e");
    const rounds = Array.from({ length: 6 }, async (_, i) => {
      await sleep(i * 5);
      await ingestUnannounced(table, [followerOf({ feature_id })], [entity]);
      await consume([arrived(table)]);
    });
    await Promise.all(rounds);
    expect(await vectorOf(entity, name)).toEqual({ total: 6, n: 6 });
  });

  test("one at a time computes a feature; another takes over when it is too slow", async () => {
    const table = await newTable();
    const { feature_id } = await streaming(table);
    const follower = { featureId: feature_id, version: 1, entityKey: "user_id" };
    const claim = (holder: string) => objectOf(table).claim(follower, holder, 10);
    await ingestUnannounced(table, [followerOf({ feature_id })], ["a"]);
    expect(await claim("one")).toEqual({ kind: "entities", entities: ["a"], upTo: 1 });
    await ingestUnannounced(table, [followerOf({ feature_id })], ["b"]);
    expect(await claim("two")).toEqual({ kind: "busy" });
    await objectOf(table).followed(follower, "one", { entities: ["a"], upTo: 1, isWritten: true });
    expect(await claim("one")).toEqual({ kind: "entities", entities: ["b"], upTo: 2 });
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 61_000);
    expect(await claim("two")).toEqual({ kind: "entities", entities: ["b"], upTo: 2 });
    await objectOf(table).followed(follower, "two", { entities: ["b"], upTo: 2, isWritten: true });
    expect(await claim("two")).toEqual({ kind: "nothing" });
    expect(await claim("one")).toEqual({ kind: "nothing" });
    // It may have written last.
    await objectOf(table).followed(follower, "one", { entities: ["b"], upTo: 2, isWritten: true });
    expect(await claim("one")).toEqual({ kind: "entities", entities: ["b"], upTo: 3 });
  });

  test("a feature that fails does not stop the others; it is tried again and shows why", async () => {
    const table = await newTable();
    const sql = "SELECT user_id, sum(json_extract(user_id, '$.a')) AS a FROM data GROUP BY user_id";
    const bad = await streaming(table, { computation_logic: sql });
    const twice = await streaming(table, { computation_logic: "SELECT user_id, amount FROM data" });
    const good = await streaming(table);
    const entity = freshName("not json");
    await ingest(table, [row(entity, 1), row(entity, 2)]);
    await until("the good one is there", async () => (await vectorOf(entity, good.name)) !== null);
    await until("the bad ones have failed", async () => (await computationOf(twice.name)) !== null);
    expect(await computationOf(bad.name)).toMatchObject({ last_error: "malformed JSON", computed_at: null });
    expect((await computationOf(twice.name))?.last_error).toContain(`two rows for the entity \`${entity}\``);
    expect(await computationOf(good.name)).toMatchObject({ last_error: null, failed_at: null });
    expect(await vectorOf(entity, twice.name)).toBeNull();
    const result = await consume([arrived(table), arrived(await newTable())]);
    expect([result.retryMessages.map(({ msgId }) => msgId), result.explicitAcks]).toEqual([["m0"], ["m1"]]);
    expect((await vector(entity, good.name)).body.revision).toBe(1);
    // In the end its message is given up, and the alarm does not bring it back.
    expect((await consume([arrived(table)], env, MAX_OWN_FAULT_TRIES)).explicitAcks).toEqual(["m0"]);
    await runDurableObjectAlarm(objectOf(table));
    expect(await runDurableObjectAlarm(objectOf(table))).toBe(false);
    expect(await vectorOf(entity, bad.name)).toBeNull();
  });

  test("a version that a store has kept waiting says so until nothing is left to compute", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const table = await newTable();
    const feature = await streaming(table);
    await ingestUnannounced(table, [followerOf(feature)], [freshName("e")]);
    let claims = 0;
    // It has been computed by then, and nobody has noted it.
    const claim = (real: () => Promise<unknown>) => (++claims > 1 ? failBefore() : real());
    await consume([arrived(table)], withStubs("RAW_TABLE", { claim }));
    expect(await computationOf(feature.name)).toMatchObject({ last_error: STORE_FAULT, computed_at: null });
    await consume([arrived(table)], env, 2);
    expect(await computationOf(feature.name)).toMatchObject({
      last_error: null,
      computed_at: expect.any(String),
    });
  });

  test("a version that is no longer active is not asked for again", async () => {
    const table = await newTable();
    const { name, feature_id } = await streaming(table);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf({ feature_id })], [entity]);
    const body = { status: "deprecated" };
    expect((await ask("PATCH", `/features/${name}/versions/1`, { body })).status).toBe(200);
    expect((await consume([arrived(table)])).explicitAcks).toEqual(["m0"]);
    await runDurableObjectAlarm(objectOf(table));
    expect(await runDurableObjectAlarm(objectOf(table))).toBe(false);
  });

  test("computes nothing more of a feature that is removed, and its table forgets what it owed", async () => {
    const table = await newTable();
    const { name, feature_id } = await streaming(table);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf({ feature_id })], [entity]);
    expect((await remove(`/features/${name}?force=true`)).status).toBe(200);
    await caughtUp(table);
    expect(await inside(table, "SELECT * FROM fs_followers")).toEqual([]);
    await ingest(table, [row(entity, 1)]);
    expect((await consume([arrived(table)])).explicitAcks).toEqual(["m0"]);
    const { status } = await get(`/get/item/${entity}/${name}?entity_type=user_id`);
    expect(status).toBe(404);
    await runDurableObjectAlarm(objectOf(table));
    expect(await runDurableObjectAlarm(objectOf(table))).toBe(false);
    // Nothing is computed from it any more.
    expect((await remove(`/raw-tables/${table.id}`)).status).toBe(200);
  });

  test("that gets no answer comes again and again, each time later, however often", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const DB = databaseWatchedBy(() => {
      throw new Error("the database does not answer");
    });
    const delays = [];
    for (const attempts of [1, 2, 3, 20]) {
      delays.push(...(await consume([arrived({ id: 1 })], { ...env, DB }, attempts)).delays);
    }
    expect(delays).toEqual([2, 4, 8, 60]);
  });

  test("begins no further file of a training set once its batch has lasted long, but always one", async () => {
    let [now, asked] = [Date.now(), 0];
    vi.spyOn(Date, "now").mockImplementation(() => now);
    const DB = databaseWatchedBy((sql) => {
      if (!sql.includes("training_sets")) return;
      asked += 1;
      now += TRAINING_SETS_BATCH_MS;
    });
    const sets = ["one", "two", "three"].map((id) => ({
      kind: "training_set",
      tenant_id: TENANT,
      training_set_id: id,
    }));
    const { own, sent } = withoutQueue();
    const { explicitAcks, delays } = await consume(sets, { ...own, DB });
    // The others go on as messages that have not been tried.
    expect([explicitAcks, delays]).toEqual([["m0", "m1", "m2"], []]);
    expect(sent).toEqual(sets.slice(1));
    expect(asked).toBeGreaterThan(0);
  });

  test("messages that are none go back, and those of a table that is gone are done", async () => {
    const result = await consume([null, { kind: "ingest" }, arrived({ id: 999_999 } as Table)]);
    expect(result.retryMessages.map(({ msgId }) => msgId)).toEqual(["m0", "m1"]);
    expect(result.explicitAcks).toEqual(["m2"]);
  });
});

describe("a computation by hand", () => {
  test("that is written after the stream has computed from newer rows does not stand", async () => {
    const table = await newTable();
    const { name, feature_id } = await streaming(table);
    const entity = freshName("e");
    await ingest(table, [row(entity, 1, 1)]);
    await caughtUp(table);
    const reply = await objectOf(table).compute({
      schema: SCHEMA,
      sql: SUMS,
      entityKey: "user_id",
      source: { kind: "ingested" },
      job: null,
    });
    if (reply.kind !== "computed" || reply.seq === null) throw new Error(`not computed: ${reply.kind}`);
    // Of the same time, so that the later write wins.
    await ingest(table, [row(entity, 1, 1)]);
    await caughtUp(table);
    const context = {
      env,
      settings: settings(env),
      tenant: TENANT,
      log: new Log("test", { level: "ERROR", readable: false }),
    };
    const feature = { name, entityType: "user_id" };
    const target = vectorTarget(feature, { version: 1, ttlSeconds: null }, "by-hand");
    const writing = writeVectors(context, reply.computed, target);
    await writing;
    expect(await vectorOf(entity, name)).toEqual({ total: 1, n: 1 });
    const follower = { featureId: feature_id, version: 1, entityKey: "user_id" };
    const of = { table: refOf(table), id: "by-hand", follower, ...reply };
    await computeAgainWhereOvertaken(context, of, writing);
    await until("it is of all rows", async () => (await vectorOf(entity, name))?.n === 2);
  });
});

describe("a lost message", () => {
  test("is made up for by the table's alarm", async () => {
    const table = await newTable();
    const { name, feature_id } = await streaming(table);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf({ feature_id })], [entity]);
    expect(await vectorOf(entity, name)).toBeNull();
    expect(await runDurableObjectAlarm(objectOf(table))).toBe(true);
    await until("it is computed", async () => (await vectorOf(entity, name)) !== null);
    await caughtUp(table);
    // Nothing is left to ask for: the last alarm sets no other.
    expect(await runDurableObjectAlarm(objectOf(table))).toBe(true);
    expect(await runDurableObjectAlarm(objectOf(table))).toBe(false);
  });
});

describe("what a table still has of a feature whose id is another's now, since D1 was put back", () => {
  test("does not keep it from asking for what the other one owes", async () => {
    const table = await newTable();
    const { name, feature_id } = await streaming(table);
    await inside(table, `INSERT INTO fs_followers VALUES (${feature_id}, 1, 'at', 0, 0)`);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf({ feature_id })], [entity]);
    expect(await runDurableObjectAlarm(objectOf(table))).toBe(true);
    await until("it is computed", async () => (await vectorOf(entity, name)) !== null);
    await caughtUp(table);
  });

  test("is not computed when the other one has no such version", async () => {
    const table = await newTable();
    const { feature_id } = await streaming(table);
    await inside(table, `INSERT INTO fs_debts VALUES (${feature_id}, 7, 1)`);
    expect((await consume([arrived(table)])).explicitAcks).toEqual(["m0"]);
    expect(await inside(table, "SELECT * FROM fs_debts")).toEqual([]);
  });

  test("is not computed when the other one is of another table, or of none", async () => {
    const [table, other] = [await newTable(), await newTable()];
    const entity = freshName("e");
    await ingest(table, [row(entity, 1)]);
    const { name, feature_id } = await newFeature(other);
    const scalar = { name: freshName("scalar"), dtype: "int64", entity_type: "user" };
    const { body } = await post<{ feature_id: number }>("/features/register", scalar);
    for (const id of [feature_id, body.feature_id])
      await inside(table, `INSERT INTO fs_debts VALUES (${id}, 1, 1)`);
    expect((await consume([arrived(table)])).explicitAcks).toEqual(["m0"]);
    expect(await inside(table, "SELECT * FROM fs_debts")).toEqual([]);
    expect(await vectorOf(entity, name)).toBeNull();
  });
});

test("a claim brings the table's next look no nearer than its lease: what fails again and again is asked for ever later", async () => {
  const table = await newTable();
  const { feature_id } = await streaming(table);
  const follower = followerOf({ feature_id });
  await ingestUnannounced(table, [follower], [freshName("e")]);
  const hourMs = 60 * 60 * 1_000;
  await runInDurableObject(objectOf(table), (_, { storage }) => storage.setAlarm(Date.now() + hourMs));
  expect((await objectOf(table).claim(follower, "holder", 10)).kind).toBe("entities");
  const alarm = await runInDurableObject(objectOf(table), (_, { storage }) => storage.getAlarm());
  expect(alarm).toBeGreaterThan(Date.now() + FOLLOWER_LEASE_MS / 2);
  expect(alarm).toBeLessThanOrEqual(Date.now() + FOLLOWER_LEASE_MS);
});

describe("any order", () => {
  const USERS = ["x", "y", "z"];
  const someRows = fc.uniqueArray(
    fc.record({
      user: fc.constantFrom(...USERS),
      amount: fc.integer({ min: -1_000, max: 1_000 }),
      second: fc.integer({ min: 0, max: 59 }),
    }),
    { minLength: 1, maxLength: 12, selector: ({ user, second }) => `${user}${second}` },
  );
  const SQL = `WITH ranked AS (SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY at DESC) AS place FROM data)
    SELECT user_id, sum(amount) AS total, max(amount) AS most, count(*) AS n,
      max(CASE place WHEN 1 THEN amount END) AS latest FROM ranked GROUP BY user_id`;

  test("streaming recomputation ends in the vectors of one computation over all rows", async () => {
    const cases = fc.record({
      rows: someRows,
      order: fc.infiniteStream(fc.nat()),
      size: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, order, size }) => {
        const prefix = freshName("case");
        const all = rows.map(({ user, amount, second }) => row(`${prefix}-${user}`, amount, second));
        const shuffled = all
          .map((one) => ({ one, key: order.next().value }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ one }) => one);
        const [table, whole] = [await newTable(), await newTable()];
        const streamed = await streaming(table, { computation_logic: SQL });
        const once = await newFeature(whole, { computation_logic: SQL });
        for (let i = 0; i < shuffled.length; i += size) await ingest(table, shuffled.slice(i, i + size));
        await ingest(whole, all);
        await compute(once.name);
        await caughtUp(table);
        for (const user of USERS) {
          const [a, b] = await Promise.all(
            [streamed, once].map(async ({ name }) => (await vector(`${prefix}-${user}`, name)).body),
          );
          expect([a?.vector, a?.event_timestamp]).toEqual([b?.vector, b?.event_timestamp]);
        }
      }),
      { numRuns: 12 },
    );
  });
});
