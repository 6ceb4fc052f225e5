/**
 * Tenants that are spread over more databases while they are in use. All moves of this file run at the same time: each waits
 * some seconds until every isolate would have learnt of it.
 */
import { createScheduledController, evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { below, randomOf } from "../../scripts/random.ts";
import { entityDatabases } from "../../worker/db/entity-databases.ts";
import { settings } from "../../worker/env.ts";
import worker from "../../worker/index.ts";
import { databaseOf, documentKey, type EntityRef, partitionOf, writerName } from "../../worker/keys.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { findMove, updateMove } from "../../worker/tenants/moving/move-store.ts";
import { sleep } from "../../worker/waits.ts";
import { writerOf } from "../../worker/writing/writer-access.ts";
import { failAfter, failBefore, watched } from "../setup/faults.ts";
import { until } from "../setup/waiting.ts";
import { write } from "../setup/writer.ts";
import { ask, production, setSpread, storedKey, storedTenant } from "../tenants/service.ts";

const TYPE = "bright_uid";
const WRITER = { source: "prediction_service" };
const LAYOUT = { databases: 1, partitions: settings(env).writerPartitions };

interface Spread {
  databases: number;
  bound: number;
  move: { databases: number; phase: string; rows_copied: number; cleaning_from: string | null } | null;
}

let admin: string;
beforeAll(async () => {
  ({ key: admin } = await storedKey("default", ["admin"]));
});

async function spread(tenant: string, body: object = {}, own: Env = production) {
  const asked = { key: admin, body, env: own };
  const { status, text, json } = await ask(`POST /api/v1/admin/tenants/${tenant}/spread`, asked);
  return { status, text, body: json as unknown as Spread };
}

/** Sends it again until all can be read in the new databases. */
async function moveWhole(tenant: string, own: Env = production): Promise<Spread> {
  for (;;) {
    const { status, text, body } = await spread(tenant, {}, own);
    // 503: a fault of the test; 409: another request goes on with the move.
    if (status === 503 || status === 409) continue;
    expect(status, text).toBe(200);
    if (!body.move || body.move.phase === "cleaning") return body;
  }
}

interface Client {
  tenant: string;
  key: string;
}

/** A tenant whose entities are all in the first database. */
async function narrowTenant(tenant: string): Promise<Client> {
  await storedTenant(tenant);
  await setSpread(tenant, 1);
  const { key } = await storedKey(tenant, ["read", "write"]);
  return { tenant, key };
}

const idsOf = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
const ref = (entityValue: string): EntityRef => ({ entityType: TYPE, entityValue });
const newPlaceOf = (id: string) => databaseOf(ref(id), 3);

const put = ({ key }: Client, id: string, features: object, over: { type?: string; meta?: object } = {}) =>
  ask("POST /api/v1/items", {
    key,
    body: {
      metadata: { ...WRITER, ...over.meta },
      data: {
        entity_type: over.type ?? TYPE,
        entity_value: id,
        feature_list: [{ category: "c", features }],
      },
    },
  });

const putAll = ({ key }: Client, ids: readonly string[], features: (i: number) => object) =>
  ask("POST /api/v1/items/batch", {
    key,
    body: {
      metadata: WRITER,
      data: ids.map((entity_value, i) => ({
        entity_type: TYPE,
        entity_value,
        feature_list: [{ category: "c", features: features(i) }],
      })),
    },
  });

interface Read {
  revision: number;
  source: string;
  features: Record<string, { value: unknown; status: string }>;
}

async function readAll({ key }: Client, ids: readonly string[], over: object = {}): Promise<Read[]> {
  const body = { entity_type: TYPE, entity_ids: ids, feature_names: ["c:n"], consistency: "strong", ...over };
  const { status, text, json } = await ask("POST /api/v1/features/online", { key, body });
  expect(status, text).toBe(200);
  return (json as unknown as { results: Read[] }).results.map(({ revision, source, features }) => ({
    revision,
    source,
    features: Object.fromEntries(
      Object.entries(features).map(([name, { value, status }]) => [name, { value, status }]),
    ),
  }));
}
const featureN = ({ features }: Read) => features["c:n"]?.value;

/** The entities that have rows in each database, by table. */
async function placesOf(tenant: string): Promise<{ current: string[][]; history: string[][] }> {
  const idsIn = (table: string, column: string) =>
    Promise.all(
      entityDatabases(env).map(async (db) => {
        const { results } = await db
          .prepare(`SELECT DISTINCT ${column} AS id FROM ${table} WHERE tenant_id = ? ORDER BY id`)
          .bind(tenant)
          .all<{ id: string }>();
        return results.map(({ id }) => id);
      }),
    );
  return { current: await idsIn(TYPE, TYPE), history: await idsIn("feature_history", "entity_value") };
}

/** As if the time had come at which what has moved may be removed from where it was. */
async function cleanNow(tenant: string): Promise<void> {
  const found = await findMove(env.DB, tenant);
  if (!found?.move || found.text === null) throw new Error(`nothing of ${tenant} is to be cleaned`);
  await updateMove(env.DB, tenant, { text: found.text, move: { ...found.move, cleanAtMs: 0 } });
  await worker.scheduled(createScheduledController(), env);
}

describe("a tenant that is written, read and deleted from all the time", () => {
  const CLIENTS = 8;
  const ENTITIES = 8;
  let client: Client;
  let isOver = false;
  const refused: number[] = [];
  /** By entity: how many writes were acknowledged, the last value, null for a deletion. */
  const acknowledged = new Map<string, { value: number | null; revision: number }>();

  async function writeUntilOver(number: number): Promise<void> {
    const random = randomOf(number + 1);
    const own = idsOf(`busy-${number}`, ENTITIES);
    for (let n = 1; !isOver; n++) {
      const id = own[below(random, ENTITIES)] ?? "";
      const before = acknowledged.get(id);
      const isDeletion = before !== undefined && before.value !== null && random() < 0.1;
      const answer = isDeletion
        ? await ask(`DELETE /api/v1/entities/${TYPE}/${id}`, { key: client.key })
        : await put(client, id, { n });
      if (answer.status === 503) {
        refused.push(Date.now());
        await sleep(100);
        // Not acknowledged is not "did not happen", but while a move is under way nothing fails half way here.
        continue;
      }
      expect(answer.status, answer.text).toBe(200);
      const { revision } = answer.json as unknown as { revision: number };
      // Nothing was lost in between, and nothing happened twice.
      expect(revision, id).toBe((before?.revision ?? 0) + 1);
      acknowledged.set(id, { value: isDeletion ? null : n, revision });
    }
  }

  async function readUntilOver(number: number): Promise<void> {
    const random = randomOf(number + 100);
    while (!isOver) {
      const ids = idsOf(`busy-${below(random, CLIENTS)}`, ENTITIES);
      const atLeast = ids.map((id) => acknowledged.get(id)?.revision ?? 0);
      const found = await readAll(client, ids);
      for (const [i, { revision }] of found.entries()) {
        expect(revision, ids[i]).toBeGreaterThanOrEqual(atLeast[i] ?? 0);
      }
      await sleep(20);
    }
  }

  beforeAll(async () => {
    client = await narrowTenant("busy");
    const load = [
      ...Array.from({ length: CLIENTS }, (_, i) => writeUntilOver(i)),
      ...Array.from({ length: 3 }, (_, i) => readUntilOver(i)),
    ];
    await sleep(500);
    // Every twentieth call of whoever moves the entities fails, before or after it was done.
    const random = randomOf(7);
    const failing = watched({
      database: (call, run) => {
        const isOfMove = call.sql.some((text) =>
          /tenant_moves|maintenance|feature_history|bright_uid/.test(text),
        );
        if (!isOfMove || random() > 0.05) return run();
        return random() < 0.5 ? failBefore() : failAfter(call, run);
      },
    });
    const all = Promise.all(load);
    const moved = await Promise.race([moveWhole("busy", { ...failing.env, ENVIRONMENT: "production" }), all]);
    expect(moved).toMatchObject({ databases: 3 });
    await sleep(1_000);
    isOver = true;
    await all;
  });

  test("has lost nothing, and did nothing twice", async () => {
    expect(acknowledged.size).toBe(CLIENTS * ENTITIES);
    const ids = [...acknowledged.keys()];
    const found = await readAll(client, ids);
    expect(found.map((read) => ({ value: featureN(read), revision: read.revision }))).toEqual(
      ids.map((id) => acknowledged.get(id)),
    );
  });

  test("has taken writes but for the last seconds", () => {
    expect(refused.length).toBeGreaterThan(0);
    const lasted = Math.max(...refused) - Math.min(...refused);
    expect(lasted).toBeLessThan(30_000);
  });

  test("has all rows where they belong, once what was left behind is removed", async () => {
    await cleanNow("busy");
    const { current, history } = await placesOf("busy");
    for (const [database, ids] of [...current.entries(), ...history.entries()]) {
      expect(ids.filter((id) => newPlaceOf(id) !== database)).toEqual([]);
    }
    expect(current.flat().toSorted()).toEqual([...acknowledged.keys()].toSorted());
    expect(await findMove(env.DB, "busy")).toEqual({ databases: 3, move: null, text: null });
  });
});

describe("what a tenant has", () => {
  const ids = idsOf("kept", 40);
  let client: Client;
  let before: unknown[];
  const past = "2026-10-01T00:00:00+00:00";

  /** Its training data, as it is now and as it was known before the move. */
  async function trainingData(known_at: string): Promise<unknown> {
    const body = {
      entity_type: TYPE,
      entity_ids: ids,
      feature_names: ["c:n"],
      timestamp: known_at,
      known_at,
    };
    const { status, text, json } = await ask("POST /api/v1/features/batch", { key: client.key, body });
    expect(status, text).toBe(200);
    const { features } = json as unknown as { features: unknown };
    return features;
  }

  let knownAt: string;
  const typed = [
    { type: "account_id", id: "acc-1" },
    { type: "account_id", id: "acc-2" },
    { type: "shop", id: "shop-1" },
    { type: "shop", id: "shop-2" },
    { type: "shop", id: "shop-3" },
  ];
  const readTyped = () =>
    Promise.all(
      typed.map(async ({ type, id }) => {
        const path = `GET /api/v1/get/item/${id}/c?entity_type=${type}&consistency=strong`;
        return (await ask(path, { key: client.key })).json;
      }),
    );

  beforeAll(async () => {
    client = await narrowTenant("kept");
    const { key } = await storedKey("kept", ["write"]);
    const registered = await ask("POST /api/v1/features/register", {
      key,
      body: { name: "size", entity_type: "shop", dtype: "int64", category: "c" },
    });
    expect(registered.status, registered.text).toBe(201);
    for (const { type, id } of typed) {
      const { status, text } = await put(client, id, { [type === "shop" ? "size" : "n"]: 5 }, { type });
      expect(status, text).toBe(200);
    }
    await putAll(client, ids, (i) => ({ n: i }));
    await putAll(client, ids, (i) => ({ n: 100 + i }));
    await Promise.all(ids.map((id) => put(client, id, { n: -1 }, { meta: { event_timestamp: past } })));
    const yesterday = (Date.now() - 86_400_000) * 1_000;
    // What one call cannot copy: many rows of one entity, and large ones.
    const [long = "", large = ""] = ids.filter((id) => newPlaceOf(id) === 1);
    await env.DB.prepare(
      `INSERT INTO feature_history (tenant_id, entity_type, entity_value, category, event_time, revision, mode, data, ingested_at)
       SELECT 'kept', ?1, ?2, 'c', value, 1, 'replace', '{"n":0}', value FROM json_each(?3)`,
    )
      .bind(TYPE, long, JSON.stringify(Array.from({ length: 4_500 }, (_, i) => yesterday + i)))
      .run();
    for (let i = 0; i < 9; i++) {
      const { status } = await put(client, large, { n: 9, text: "x".repeat(1_000_000) });
      expect(status).toBe(200);
    }
    for (const id of ids.slice(30)) {
      await ask(`DELETE /api/v1/entities/${TYPE}/${id}`, { key: client.key });
    }
    knownAt = new Date().toISOString();
    before = [await trainingData(knownAt), await readAll(client, ids), await readTyped(), await counts(0)];
    // Everybody who is read has a document in the hot cache.
    await until("documents are there", async () => {
      isolateMemory.clear();
      const found = await readAll(client, ids.slice(0, 10), { consistency: "edge" });
      return found.every(({ source }) => source === "kv");
    });
    // An earlier move came to nothing and left a row that nobody has any more.
    await entityDatabases(env)[1]?.batch([strayRow(ids[35] ?? ""), strayRow("never-there")]);
    expect(await moveWhole("kept")).toMatchObject({ databases: 3, bound: 3, move: { databases: 3 } });
  });

  const strayRow = (id: string) =>
    (entityDatabases(env)[1] as D1Database)
      .prepare(
        `INSERT INTO bright_uid (tenant_id, bright_uid, category, data, event_time, created_at, updated_at, revision)
         VALUES ('kept', ?, 'old', '{"n":1}', 1, 1, 1, 1)`,
      )
      .bind(id);

  /** Rows of the tenant in a database. */
  const counts = async (database: number) =>
    await Promise.all(
      ["feature_history", "bright_uid", "account_id", "entities"].map((table) =>
        entityDatabases(env)
          [database]?.prepare(`SELECT count(*) AS n FROM ${table} WHERE tenant_id = 'kept'`)
          .first<number>("n"),
      ),
    );

  test("is the same as before: values, revisions, deletions and the past", async () => {
    isolateMemory.clear();
    const after = [await trainingData(knownAt), await readAll(client, ids), await readTyped()];
    expect(after).toEqual(before.slice(0, 3));
  });

  test("is in its new databases whole, and nothing else", async () => {
    await cleanNow("kept");
    const all = await Promise.all([0, 1, 2].map(counts));
    const sums = all.reduce((a, b) => a.map((n, i) => (n ?? 0) + (b[i] ?? 0)));
    expect(sums).toEqual(before[3]);
    expect(Math.min(...all.map(([history]) => history ?? 0))).toBeGreaterThan(0);
    const { current } = await placesOf("kept");
    expect(current).toEqual([0, 1, 2].map((n) => ids.filter((id) => newPlaceOf(id) === n).toSorted()));
  });

  test("goes on from its revision, and what is deleted stays so", async () => {
    const moved = ids.slice(0, 30).filter((id) => newPlaceOf(id) > 0);
    for (const id of moved.slice(0, 3)) {
      const [{ revision } = { revision: 0 }] = await readAll(client, [id]);
      expect((await put(client, id, { n: 7 })).json).toMatchObject({
        revision: revision + 1,
        outcome: "applied",
      });
    }
    const gone = ids.slice(30).find((id) => newPlaceOf(id) > 0) ?? "";
    const late = await put(client, gone, { n: 1 }, { meta: { event_timestamp: past } });
    expect(late.json).toMatchObject({ outcome: "stale" });
    expect((await readAll(client, [gone])).map(featureN)).toEqual([null]);
  });

  test("is kept current in the hot cache by its new writer", async () => {
    const id = ids.slice(0, 10).find((one) => newPlaceOf(one) > 0) ?? "";
    const key = documentKey("kept", LAYOUT.partitions, ref(id));
    const [{ revision } = { revision: 0 }] = await readAll(client, [id]);
    await put(client, id, { n: 55 });
    await until("the document shows the write", async () => {
      const text = await env.HOT.get(key, "text");
      return text?.includes(`${revision + 1}`) === true && text.includes("55");
    });
  });
});

describe("whoever knows of fewer databases", () => {
  test("writes nothing where an entity was, and reads where it is", async () => {
    const client = await narrowTenant("stale");
    const id = idsOf("stale", 20).find((one) => newPlaceOf(one) === 2) ?? "";
    await put(client, id, { n: 1 });
    await moveWhole("stale");
    const context = { env, settings: settings(env), tenant: "stale" };
    const { writer, identity } = writerOf(context, partitionOf(ref(id), LAYOUT), LAYOUT);
    const rows = [write(id, { c: { n: 2 } })];
    const reply = await writer.change(identity, { rows, positions: [0], idempotency: null });
    expect(reply).toEqual({ kind: "unavailable" });
    expect((await readAll(client, [id])).map(featureN)).toEqual([1]);
  });
});

describe("a move whose pause nobody renews", () => {
  test("does not happen: the writers go on, and the next one begins from what they have changed", async () => {
    const client = await narrowTenant("given-up");
    const ids = idsOf("given", 20);
    await putAll(client, ids, () => ({ n: 1 }));
    // It stops once all writers pause.
    const dying = watched({
      database: async (call, run) => {
        const isLast = call.sql.some((text) => text.includes("UPDATE tenants SET databases"));
        return isLast ? failBefore() : run();
      },
    });
    const paused = async () => (await findMove(env.DB, "given-up"))?.move?.phase === "paused";
    while (!(await paused())) await spread("given-up", {}, { ...dying.env, ENVIRONMENT: "production" });
    const id = ids.find((one) => newPlaceOf(one) === 1) ?? "";
    expect((await put(client, id, { n: 2 })).status).toBe(503);
    for (let partition = 0; partition < LAYOUT.partitions; partition++) {
      const writer = env.ENTITY_WRITER.getByName(writerName("given-up", LAYOUT.partitions, partition));
      await endPauseOf(writer);
    }
    const written = await put(client, id, { n: 3 });
    expect(written.status, written.text).toBe(200);
    expect((await findMove(env.DB, "given-up"))?.move?.phase).toBe("following");
    expect(await moveWhole("given-up")).toMatchObject({ databases: 3 });
    expect((await readAll(client, [id])).map(featureN)).toEqual([3]);
    expect((await put(client, id, { n: 4 })).json).toMatchObject({ revision: 3 });
  });

  /** As if its time were over: after a restart it knows what stands in its own database. */
  async function endPauseOf(writer: DurableObjectStub<import("../../worker/index.ts").EntityWriter>) {
    const { runInDurableObject } = await import("cloudflare:test");
    await runInDurableObject(
      writer,
      (_, state) => void state.storage.sql.exec("UPDATE move SET paused_until = 1"),
    );
    await evictDurableObject(writer);
  }
});

describe("one that cannot be made", () => {
  test("is refused, saying why", async () => {
    const { key: other } = await storedKey((await narrowTenant("other")).tenant, ["admin"]);
    const line = "POST /api/v1/admin/tenants/other/spread";
    expect(await ask(line, { key: other, body: {} })).toMatchObject({ status: 403 });
    expect(await spread("nobody")).toMatchObject({ status: 404 });
    expect(await spread("other", { databases: 4 })).toMatchObject({
      status: 422,
      text: expect.stringContaining("at most 3"),
    });
    expect(await spread("other", { databases: 0 })).toMatchObject({ status: 422 });
    await setSpread("other", 2);
    expect(await spread("other", { databases: 1 })).toMatchObject({ status: 422 });
    expect(await spread("other", { databases: 2 })).toMatchObject({
      status: 200,
      body: { databases: 2, bound: 3, move: null },
    });
  });

  test("of a tenant that was never used needs none", async () => {
    await storedTenant("unused");
    expect((await spread("unused")).body).toEqual({
      tenant_id: "unused",
      databases: 3,
      bound: 3,
      move: null,
    });
    const { json } = await ask("GET /api/v1/admin/tenants/unused/spread", { key: admin });
    expect(json).toEqual({ tenant_id: "unused", databases: 3, bound: 3, move: null });
  });
});
