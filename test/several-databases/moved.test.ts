/** What a tenant has once it was spread over more databases. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { entityDatabases } from "../../worker/db/entity-databases.ts";
import { settings } from "../../worker/env.ts";
import { documentKey, entityRef, partitionOf, writerName } from "../../worker/keys.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { writerOf } from "../../worker/writing/writer-access.ts";
import { until } from "../setup/waiting.ts";
import { write } from "../setup/writer.ts";
import { ask, setSpread, storedKey, storedTenant } from "../tenants/service.ts";
import {
  adminKey,
  type Client,
  cleanNow,
  featureN,
  idsOf,
  LAYOUT,
  moveWhole,
  narrowTenant,
  newPlaceOf,
  placesOf,
  put,
  putAll,
  readAll,
  ref,
  spread,
  TYPE,
} from "./moves.ts";

const stale = { client: { tenant: "", key: "" }, id: "" };

async function moveStale(): Promise<void> {
  stale.client = await narrowTenant("stale");
  stale.id = idsOf("stale", 20).find((one) => newPlaceOf(one) === 2) ?? "";
  await put(stale.client, stale.id, { n: 1 });
  await moveWhole("stale");
}

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
    const [moved] = await Promise.all([moveWhole("kept"), moveStale()]);
    expect(moved).toMatchObject({ databases: 3, bound: 3, move: { databases: 3 } });
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
    // And by nobody else: its old writer knows of it no more.
    for (let partition = 0; partition < LAYOUT.partitions; partition++) {
      const writer = env.ENTITY_WRITER.getByName(writerName("kept", LAYOUT.partitions, partition));
      const entities = await runInDurableObject(writer, (_, { storage }) =>
        storage.sql.exec<{ entity: string }>("SELECT entity FROM documents").toArray(),
      );
      for (const { entity } of entities) expect(newPlaceOf(entityRef(entity).entityValue)).toBe(0);
    }
  });
});

describe("whoever knows of fewer databases", () => {
  test("writes nothing where an entity was, and reads where it is", async () => {
    const { client, id } = stale;
    const context = { env, settings: settings(env), tenant: "stale" };
    const { writer, identity } = writerOf(context, partitionOf(ref(id), LAYOUT), LAYOUT);
    const rows = [write(id, { c: { n: 2 } })];
    const reply = await writer.change(identity, { rows, positions: [0], idempotency: null });
    expect(reply).toEqual({ kind: "moving" });
    expect((await readAll(client, [id])).map(featureN)).toEqual([1]);
  });
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
    const { json } = await ask("GET /api/v1/admin/tenants/unused/spread", { key: await adminKey() });
    expect(json).toEqual({ tenant_id: "unused", databases: 3, bound: 3, move: null });
  });
});
