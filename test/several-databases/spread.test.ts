/** Tenants whose entities are spread over three databases, through the real service. */
import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { parquetReadObjects } from "hyparquet";
import { beforeAll, describe, expect, test } from "vitest";
import { bindingOf, entityDatabases } from "../../worker/db/entity-databases.ts";
import { refill } from "../../worker/events/refill.ts";
import { startOf } from "../../worker/events/replay.ts";
import { SubscriberState } from "../../worker/events/subscriber-state.ts";
import { SubscriberStore } from "../../worker/events/subscriber-store.ts";
import worker from "../../worker/index.ts";
import { databaseOf } from "../../worker/keys.ts";
import { Log } from "../../worker/log.ts";
import { decodeToken } from "../../worker/serving/consistency.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { nowMicros } from "../../worker/timestamps.ts";
import { compute, ingest, newFeature, newTable, row, vectorOf } from "../compute/tables.ts";
import { inSubscriber, storedSubscription } from "../events/receiving.ts";
import { freshName as freshFeature, registered } from "../registry/features.ts";
import { ask, type BatchWritten, entry, get, post, remove, upsert, WRITER } from "../setup/http.ts";
import { until } from "../setup/waiting.ts";
import { ask as askAs, storedKey, storedTenant } from "../tenants/service.ts";

const log = new Log("test", { level: "ERROR", readable: false });
const TYPE = "bright_uid";
const DAY_MS = 86_400_000;
const idsOf = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);

/** How many of these entities are in each database, by their current rows and by their history. */
async function placesOf(
  prefix: string,
  tenant = "default",
): Promise<{ current: string[][]; history: string[][] }> {
  const idsIn = (table: string, column: string) =>
    Promise.all(
      entityDatabases(env).map(async (db) => {
        const { results } = await db
          .prepare(
            `SELECT DISTINCT ${column} AS id FROM ${table} WHERE tenant_id = ? AND ${column} LIKE ? || '-%' ORDER BY id`,
          )
          .bind(tenant, prefix)
          .all<{ id: string }>();
        return results.map(({ id }) => id);
      }),
    );
  // The key of a built-in type's table is the type's own name.
  return { current: await idsIn(TYPE, TYPE), history: await idsIn("feature_history", "entity_value") };
}

const expectedPlaces = (ids: readonly string[]) =>
  [0, 1, 2].map((database) =>
    ids.filter((id) => databaseOf({ entityType: TYPE, entityValue: id }, 3) === database).toSorted(),
  );

const batchBody = (ids: readonly string[], features: (i: number) => object, over: object = {}) => ({
  metadata: WRITER,
  data: ids.map((entity_value, i) => ({
    entity_type: TYPE,
    entity_value,
    feature_list: [entry("c", features(i), { ...over })],
  })),
});

async function writeAll(
  ids: readonly string[],
  features: (i: number) => object,
  over: object = {},
  headers = {},
) {
  const answer = await post<BatchWritten>("/items/batch", batchBody(ids, features, over), headers);
  expect(answer.status, answer.text).toBe(200);
  return answer;
}

/** The bindings themselves, and where each session of a database was asked to begin. */
function watchingSessions(): { own: Env; startsOf: (binding: string) => string[] } {
  const starts = new Map<string, string[]>();
  const startsOf = (binding: string) => starts.get(binding) ?? [];
  const watched = entityDatabases(env).map((db, number) => {
    const binding = bindingOf(number);
    const withSession = (start: string) => {
      starts.set(binding, [...startsOf(binding), start]);
      return db.withSession(start);
    };
    return [
      binding,
      new Proxy(db, { get: (real, name) => (name === "withSession" ? withSession : bound(real, name)) }),
    ];
  });
  return { own: { ...env, ...Object.fromEntries(watched) }, startsOf };
}

function bound(real: D1Database, name: string | symbol): unknown {
  const value: unknown = Reflect.get(real, name);
  return typeof value === "function" ? value.bind(real) : value;
}

interface Online {
  results: { entity_id: string; features: Record<string, { value: unknown }>; source: string }[];
}

const online = (entity_ids: readonly string[], over: object = {}, headers = {}) =>
  post<Online>(
    "/features/online",
    { entity_ids, feature_names: ["c:n"], entity_type: TYPE, ...over },
    headers,
  );
const valuesOf = ({ body }: { body: Online }) => body.results.map(({ features }) => features["c:n"]?.value);

beforeAll(() => {
  expect(entityDatabases(env)).toHaveLength(3);
});

describe("entities", () => {
  const ids = idsOf("spread", 60);

  test("are each in the database of their hash, with their history, and found there by every read", async () => {
    const { headers, body } = await writeAll(ids, (i) => ({ n: i }));
    expect(body.results.map(({ outcome }) => outcome)).toEqual(ids.map(() => "applied"));
    const expected = expectedPlaces(ids);
    expect(Math.min(...expected.map((own) => own.length))).toBeGreaterThan(5);
    expect(await placesOf("spread")).toEqual({ current: expected, history: expected });
    const shuffled = [...ids].sort((a, b) => Number(a.slice(-1)) - Number(b.slice(-1)));
    const wanted = shuffled.map((id) => ids.indexOf(id));
    const token = headers.get("x-consistency-token") ?? "";
    expect([...(decodeToken(token)?.bookmarks.keys() ?? [])].toSorted()).toEqual([0, 1, 2]);
    isolateMemory.clear();
    expect(valuesOf(await online(shuffled, { consistency: "strong" }))).toEqual(wanted);
    isolateMemory.clear();
    expect(valuesOf(await online(shuffled, {}, { "x-consistency-token": token }))).toEqual(wanted);
    isolateMemory.clear();
    expect(valuesOf(await online(shuffled))).toEqual(wanted);
    // Whoever was read gets a document, from the writer of its database.
    await until("all are read from KV", async () => {
      isolateMemory.clear();
      const { body: again } = await online(ids);
      return again.results.every(({ source }) => source === "kv");
    });
  });

  test("of one request with a key are answered again, whatever database they are in", async () => {
    const headers = { "idempotency-key": "spread-key" };
    const first = await writeAll(ids, (i) => ({ n: 100 + i }), {}, headers);
    const again = await writeAll(ids, (i) => ({ n: 100 + i }), {}, headers);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(again.body).toEqual(first.body);
  });

  test("are read after a write by its token, in any database", async () => {
    for (const id of ids.slice(0, 12)) {
      const { headers, status, text } = await upsert(id, [entry("c", { n: id })]);
      expect(status, text).toBe(200);
      const token = headers.get("x-consistency-token") ?? "";
      const database = databaseOf({ entityType: TYPE, entityValue: id }, 3);
      expect([...(decodeToken(token)?.bookmarks.keys() ?? [])]).toEqual([database]);
      isolateMemory.clear();
      // Of another database too.
      const both = await online([id, ids[20] ?? ""], {}, { "x-consistency-token": token });
      expect(valuesOf(both)).toEqual([id, 120]);
    }
  });

  test("are read past the write of a token where it was made, and elsewhere at the primary", async () => {
    // Nobody has read them: no cache has them, or is just being given them.
    const [[first = ""], [second = ""], [third = ""]] = expectedPlaces(idsOf("spread-unread", 30)) as [
      string[],
      string[],
      string[],
    ];
    const { headers } = await upsert(second, [entry("c", { n: 1 })]);
    const token = headers.get("x-consistency-token") ?? "";
    const bookmark = decodeToken(token)?.bookmarks.get(1) ?? "none";
    const feature_names = ["c:n"];
    const timestamp = new Date().toISOString();
    for (const path of ["features/online", "features/batch"]) {
      isolateMemory.clear();
      const { own, startsOf } = watchingSessions();
      const body = {
        entity_ids: [first, second, third],
        feature_names,
        entity_type: TYPE,
        ...(path.endsWith("batch") && { timestamp }),
      };
      const asked = { env: own, body, headers: { "x-consistency-token": token } };
      const { status, text } = await askAs(`POST /api/v1/${path}`, asked);
      expect(status, text).toBe(200);
      expect([startsOf("DB_1"), startsOf("DB_2")], path).toEqual([[bookmark], ["first-primary"]]);
      expect(new Set(startsOf("DB")), path).toEqual(new Set(["first-primary"]));
    }
  });

  test("are deleted where they are", async () => {
    for (const id of ids.slice(0, 9)) {
      const { status, text, body } = await remove(`/entities/${TYPE}/${id}`);
      expect(status, text).toBe(200);
      expect(body).toMatchObject({ categories_removed: ["c"], removed: { current: 1 } });
    }
    const left = (await placesOf("spread")).history.flat().filter((id) => ids.includes(id));
    expect(left.toSorted()).toEqual(ids.slice(9).toSorted());
    expect(valuesOf(await online(ids.slice(7, 11), { consistency: "strong" }))).toEqual([
      null,
      null,
      "spread-9",
      "spread-10",
    ]);
  });
});

describe("the past", () => {
  const ids = idsOf("past", 30);
  const T0 = Date.UTC(2026, 9, 1);
  const at = (day: number) => new Date(T0 + day * DAY_MS).toISOString();
  const rows = ids.flatMap((entity_id) => [0, 1, 2].map((day) => ({ entity_id, timestamp: at(day + 0.5) })));
  const wanted = ids.flatMap((_, i) => [i, 1_000 + i, 2_000 + i]);

  beforeAll(async () => {
    for (const day of [0, 1, 2])
      await writeAll(ids, (i) => ({ n: 1_000 * day + i }), { event_timestamp: at(day) });
  });

  test("is told for rows in their order", async () => {
    const asked = { rows, feature_names: ["c:n"], entity_type: TYPE };
    const { status, text, body } = await post<{
      rows: { entity_id: string; features: Record<string, { value: number }> }[];
    }>("/features/batch", asked);
    expect(status, text).toBe(200);
    expect(body.rows.map(({ features }) => features["c:n"]?.value)).toEqual(wanted);
    expect(body.rows.map(({ entity_id }) => entity_id)).toEqual(rows.map(({ entity_id }) => entity_id));
  });

  test("is written into training sets", async () => {
    const created = await post<{ training_set_id: string }>("/training-sets", {
      rows,
      feature_names: ["c:n"],
      entity_type: TYPE,
    });
    expect(created.status, created.text).toBe(202);
    interface Set {
      status: string;
      files: { url: string }[];
    }
    const read = async () => (await get<Set>(`/training-sets/${created.body.training_set_id}`)).body;
    await until("the set is written", async () => (await read()).status === "done");
    const { files } = await read();
    const { bytes } = await get(files[0]?.url.replace("/api/v1", "") ?? "");
    const found = (await parquetReadObjects({ file: bytes })) as Record<string, unknown>[];
    expect(found.map((one) => Number(one["c:n"]))).toEqual(wanted);
  });

  test("is let go by the cron in every database", async () => {
    const old = idsOf("old", 30);
    for (const days of [120, 110]) {
      await writeAll(old, (i) => ({ n: i }), {
        event_timestamp: new Date(Date.now() - days * DAY_MS).toISOString(),
      });
    }
    for (const db of entityDatabases(env)) {
      await db
        .prepare("UPDATE feature_history SET ingested_at = event_time WHERE entity_value LIKE 'old-%'")
        .run();
    }
    const count = async () =>
      (
        await Promise.all(
          entityDatabases(env).map((db) =>
            db
              .prepare("SELECT count(*) AS n FROM feature_history WHERE entity_value LIKE 'old-%'")
              .first<number>("n"),
          ),
        )
      ).map(Number);
    expect((await count()).reduce((a, b) => a + b)).toBe(60);
    await worker.scheduled(createScheduledController(), env);
    expect(await count()).toEqual(expectedPlaces(old).map((own) => own.length));
  });
});

test("what is written is counted for its feature, and computed vectors are written, whatever database they are in", async () => {
  const name = freshFeature("counted");
  await registered(name, { dtype: "int64", category: "c", entity_type: TYPE });
  await writeAll(idsOf("stat", 30), (i) => ({ [name]: i }));
  await until("all values are counted", async () => {
    const { body } = await get<{ totals: { values: number } }>(`/features/${name}/stats`);
    return body.totals.values === 30;
  });
  const table = await newTable();
  const feature = await newFeature(table);
  await ingest(
    table,
    idsOf("vector", 20).map((id) => row(id, 5)),
  );
  expect((await compute(feature.name)).body).toMatchObject({ computed: 20 });
  for (const id of idsOf("vector", 20)) expect(await vectorOf(id, feature.name)).toMatchObject({ total: 5 });
});

test("a replay of the history tells of all databases, and one of an entity of its own", async () => {
  const tenantId = await storedTenant("replays");
  const [all, one] = [await storedSubscription({ tenantId }), await storedSubscription({ tenantId })];
  // They have what is replayed, and nothing of what is announced.
  await env.DB.prepare("DELETE FROM subscriptions WHERE tenant_id = ?").bind(tenantId).run();
  const { key } = await storedKey(tenantId, ["write"]);
  const ids = idsOf("again", 30);
  const body = batchBody(ids, () => ({ n: 1 }));
  const written = await askAs("POST /api/v1/items/batch", { key, env, body });
  expect(written.status, written.text).toBe(200);
  // What a move has left behind of an entity that was deleted in its new database.
  const moved =
    idsOf("moved", 20).find((id) => databaseOf({ entityType: TYPE, entityValue: id }, 3) > 0) ?? "";
  await env.DB.prepare(
    `INSERT INTO feature_history (tenant_id, entity_type, entity_value, category, event_time, revision, mode, data, ingested_at, event_id)
     VALUES (?, ?, ?, 'c', 1, 1, 'replace', '{"n":0}', 1, 'left-behind')`,
  )
    .bind(tenantId, TYPE, moved)
    .run();
  for (const [subscription, entityId] of [
    [all, null],
    [one, ids[3] ?? ""],
  ] as const) {
    const told = await inSubscriber(subscription, async ({ state: { storage } }) => {
      const store = new SubscriberStore(storage.sql);
      const state = new SubscriberState(store);
      const entityType = entityId === null ? null : TYPE;
      const range = { from: 0, to: nowMicros(), entityType, entityId, category: null };
      state.setReplay({ kind: "history", id: "r", range, place: startOf(range) });
      for (let steps = 0; state.replay !== null && steps < 10; steps++)
        await refill({ env, log, store, state, subscription });
      expect(state.replay).toBeNull();
      return storage.sql
        .exec<{ entity: string }>("SELECT entity FROM deliveries")
        .toArray()
        .map(({ entity }) => entity.split("/")[1]);
    });
    expect(told.toSorted()).toEqual((entityId === null ? ids : [entityId]).toSorted());
  }
});

describe("a tenant", () => {
  const spreadIn = (tenant: string) =>
    env.DB.prepare("SELECT databases FROM tenants WHERE tenant_id = ?")
      .bind(tenant)
      .first<number>("databases");
  const read = (key: string) => askAs(`GET /api/v1/get/item/user-1/c?entity_type=${TYPE}`, { key, env });

  test("is spread over all that are bound when it is first used, and over no more later", async () => {
    await storedTenant("first-used");
    const { key } = await storedKey("first-used", ["read"]);
    expect(await spreadIn("first-used")).toBeNull();
    expect((await read(key)).status).toBe(404);
    expect(await spreadIn("first-used")).toBe(3);
  });

  test("that has entities since before there were several keeps to the first", async () => {
    await storedTenant("older");
    await env.DB.prepare(
      `INSERT INTO bright_uid (tenant_id, bright_uid, category, data, event_time, created_at, updated_at, revision)
       VALUES ('older', 'user-1', 'c', '{"n":7}', 1, 1, 1, 1)`,
    ).run();
    const { key } = await storedKey("older", ["read"]);
    expect((await read(key)).text).toContain('"n":7');
    expect(await spreadIn("older")).toBe(1);
  });
});

describe("the service", () => {
  test("is healthy only when every database has its tables", async () => {
    expect((await get("//health")).status).toBe(200);
    const [, second] = entityDatabases(env);
    await second?.prepare("ALTER TABLE feature_history RENAME TO another").run();
    expect((await get<{ checks: object }>("//health")).body.checks).toMatchObject({ schema: { ok: false } });
    await second?.prepare("ALTER TABLE another RENAME TO feature_history").run();
    expect((await get("//health")).status).toBe(200);
  });

  test("says how large each is", async () => {
    const { text } = await ask("GET", "//metrics");
    for (const database of ["DB", "DB_1", "DB_2"])
      expect(text).toMatch(
        new RegExp(`^feature_store_database_bytes\\{database="${database}"\\} [1-9]`, "m"),
      );
  });
});
