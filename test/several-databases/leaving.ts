/** Tenants with data of every kind, and what there is of them anywhere. */
import { listDurableObjectIds, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { assert, expect } from "vitest";
import { entityDatabases } from "../../worker/db/entity-databases.ts";
import { settings } from "../../worker/env.ts";
import { Log } from "../../worker/log.ts";
import { SCOPES } from "../../worker/tenants/api-key.ts";
import { continueDeletion } from "../../worker/tenants/deleting/continue-deletion.ts";
import { beginDeletion, findDeletion, updateDeletion } from "../../worker/tenants/deleting/deletion-store.ts";
import { newMove } from "../../worker/tenants/moving/move.ts";
import { MOVED_TABLES } from "../../worker/tenants/moving/moved-rows.ts";
import { changeStatus, insertTenant } from "../../worker/tenants/tenant-store.ts";
import { nowMicros } from "../../worker/timestamps.ts";
import { samples } from "../tenants/samples.ts";
import { ask, setSpread, storedKey } from "../tenants/service.ts";

export const LONG_MS = 120_000;
/** Lines of the samples that make things of most kinds. */
export const OF_MOST_KINDS = [
  "POST /api/v1/items",
  "DELETE /api/v1/features/{feature}",
  "GET /api/v1/feature-vectors",
  "GET /api/v1/training-sets/{training_set_id}",
  "GET /api/v1/subscriptions/{subscription_id}",
];

const log = new Log("test", { level: "ERROR", readable: false });

/** A tenant whose entities are in three databases. @param lines The samples that are asked; without it all. */
export async function tenantWithData(tenantId: string, lines: readonly string[] | null = null) {
  await insertTenant(env.DB, { tenantId, name: `Of ${tenantId}`, createdAt: nowMicros() });
  await setSpread(tenantId, 3);
  const { key } = await storedKey(tenantId, [...SCOPES]);
  let count = 0;
  for (const [line, { owner, request }] of Object.entries(samples)) {
    if (owner !== undefined || (lines && !lines.includes(line))) continue;
    const asked = await request((own, body) => ask(own, { key, body }), `${tenantId}_${++count}`);
    const answer = await ask(asked.line, { key, body: asked.body });
    expect(answer.status, `${line} ${answer.text}`).toBeLessThan(300);
  }
  const ids = Array.from({ length: 30 }, (_, i) => `${tenantId}_u${i}`);
  const data = ids.map((entity_value) => ({
    entity_type: "account_id",
    entity_value,
    feature_list: [{ category: "c", features: { n: tenantId } }],
  }));
  const body = { metadata: { source: "prediction_service" }, data };
  expect((await ask("POST /api/v1/items/batch", { key, body })).status).toBe(200);
  // So that they are in KV.
  const asked = { entity_type: "account_id", entity_ids: ids, feature_names: ["c:n"] };
  expect((await ask("POST /api/v1/features/online", { key, body: asked })).status).toBe(200);
  await env.ARCHIVE?.put(`${tenantId}/history/2026-01-31/5f0c.parquet`, tenantId);
  return { tenantId, key, ids };
}

export const tablesOf = async (db: D1Database) => {
  const { results } = await db
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    .all<{ name: string }>();
  return results.map(({ name }) => name).filter((name) => !/^(sqlite_|_cf_|d1_)/.test(name));
};

interface Column {
  name: string;
  type: string;
  notnull: number;
  pk: number;
}

const columnsOf = async (db: D1Database, table: string) =>
  (await db.prepare(`PRAGMA table_info(${table})`).all<Column>()).results;

const OF_ENTITIES = MOVED_TABLES.map(({ name }) => name);

/**
 * A row in each table that has a column for the tenant, whatever else is in it: in tables of tomorrow too. Databases beside
 * the first have those of entities.
 *
 * @returns the tables.
 */
export async function rowsInEveryTable(tenant: string): Promise<string[]> {
  const filled = new Set<string>();
  for (const [number, db] of entityDatabases(env).entries()) {
    for (const table of number === 0 ? await tablesOf(db) : OF_ENTITIES) {
      const columns = await columnsOf(db, table);
      if (table === "tenants" || !columns.some(({ name }) => name === "tenant_id")) continue;
      filled.add(table);
      const there = await db.prepare(`SELECT 1 FROM ${table} WHERE tenant_id = ?`).bind(tenant).first();
      if (!there) await insertAnyRow(db, table, { tenant, columns });
    }
  }
  return [...filled];
}

async function insertAnyRow(
  db: D1Database,
  table: string,
  { tenant, columns }: { tenant: string; columns: readonly Column[] },
): Promise<void> {
  const given = columns.filter(({ notnull, pk }) => notnull === 1 || pk > 0);
  const values = given.map(({ name, type }) => {
    if (name === "tenant_id") return tenant;
    if (name === "move") return JSON.stringify(newMove(1, 3, 4));
    return /int|real/i.test(type) ? 7_000_000_001 : "[]";
  });
  const named = given.map(({ name }) => name).join(", ");
  await db
    .prepare(`INSERT INTO ${table} (${named}) VALUES (${given.map(() => "?").join(", ")})`)
    .bind(...values)
    .run();
}

/** All rows of all databases that have the text in any column, by their table. */
export async function rowsWith(pattern: RegExp): Promise<{ table: string; row: Record<string, unknown> }[]> {
  const found = [];
  for (const db of entityDatabases(env)) {
    for (const table of await tablesOf(db)) {
      const { results } = await db.prepare(`SELECT * FROM ${table}`).all();
      for (const row of results) if (pattern.test(JSON.stringify(row))) found.push({ table, row });
    }
  }
  return found;
}

export async function documentsWith(pattern: RegExp): Promise<string[]> {
  const { keys, list_complete } = await env.HOT.list();
  assert(list_complete, "tests have few documents");
  return keys.map(({ name }) => name).filter((name) => pattern.test(name));
}

export async function filesWith(pattern: RegExp): Promise<string[]> {
  const found = await env.ARCHIVE?.list();
  assert(found && !found.truncated, "tests have few files");
  return found.objects.map(({ key }) => key).filter((key) => pattern.test(key));
}

const NAMESPACES = ["ENTITY_WRITER", "RAW_TABLE", "SUBSCRIBER", "FEATURE_STATS"] as const;

/** What stands in the storages of all objects, as text, where it has the pattern. */
export async function storedInObjects(pattern: RegExp): Promise<string[]> {
  const found: string[] = [];
  for (const name of NAMESPACES) {
    const namespace = env[name] as DurableObjectNamespace;
    for (const id of await listDurableObjectIds(namespace)) {
      await runInDurableObject(namespace.get(id), async (_, { storage }) => {
        const tables = storage.sql
          .exec<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'")
          .toArray()
          .filter((table) => !/^(sqlite_|_cf_)/.test(table.name));
        for (const table of tables) {
          const text = JSON.stringify(storage.sql.exec(`SELECT * FROM ${table.name}`).toArray());
          if (pattern.test(text)) found.push(`${name} ${table.name} ${text}`);
        }
      });
    }
  }
  return found;
}

/** What an object finds out by itself, some time later. */
export async function runAlarmsOfTables(): Promise<void> {
  for (const id of await listDurableObjectIds(env.RAW_TABLE))
    await runDurableObjectAlarm(env.RAW_TABLE.get(id));
}

/** Everything, anywhere. */
export async function allWith(pattern: RegExp) {
  return {
    rows: await rowsWith(pattern),
    documents: await documentsWith(pattern),
    files: await filesWith(pattern),
    objects: await storedInObjects(pattern),
  };
}

/** Of a tenant that has gone. */
export const onlyTheId = (tenantId: string) => ({
  rows: [
    {
      table: "tenants",
      row: expect.objectContaining({ tenant_id: tenantId, name: "", status: "deleted" }),
    },
  ],
  documents: [],
  files: [],
  objects: [],
});

export async function beginToDelete(tenant: string): Promise<void> {
  await changeStatus(env.DB, tenant, "suspended");
  await beginDeletion(env.DB, tenant);
}

const context = (tenant: string, own: Env) => ({ env: own, settings: settings(own), log, tenant });

/** Goes on with it as long as there is anything to do now. */
export const deleteNow = (tenant: string, own: Env = env, forMs = LONG_MS) =>
  continueDeletion(context(tenant, own), Date.now() + forMs);

/** As if it were time for the next sweep. */
export async function comeLater(tenant: string): Promise<void> {
  const found = await findDeletion(env.DB, tenant);
  assert(found && found.deletion.fromMs > Date.now(), "it waits for the next sweep");
  await updateDeletion(env.DB, tenant, { ...found, deletion: { ...found.deletion, fromMs: 0 } });
}

/** @returns how many sweeps it took. */
export async function deleteWhole(tenant: string, own: Env = env): Promise<number> {
  for (let sweeps = 1; ; sweeps++) {
    if ((await deleteNow(tenant, own)) === null) return sweeps;
    await comeLater(tenant);
  }
}
