/** Moves of tenants to more databases, as an admin asks for them, and what there is before and after. */
import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { entityDatabases } from "../../worker/db/entity-databases.ts";
import { settings } from "../../worker/env.ts";
import worker from "../../worker/index.ts";
import { databaseOf, type EntityRef } from "../../worker/keys.ts";
import { findMove, updateMove } from "../../worker/tenants/moving/move-store.ts";
import { ask, production, setSpread, storedKey, storedTenant } from "../tenants/service.ts";

export const TYPE = "bright_uid";
export const WRITER = { source: "prediction_service" };
export const LAYOUT = { databases: 1, partitions: settings(env).writerPartitions };

export interface Spread {
  databases: number;
  bound: number;
  move: { databases: number; phase: string; rows_copied: number; cleaning_from: string | null } | null;
}

export const adminKey = async () => (await storedKey("default", ["admin"])).key;

export async function spread(tenant: string, body: object = {}, own: Env = production) {
  const asked = { key: await adminKey(), body, env: own };
  const { status, text, json } = await ask(`POST /api/v1/admin/tenants/${tenant}/spread`, asked);
  return { status, text, body: json as unknown as Spread };
}

/** Sends it again until all can be read in the new databases. */
export async function moveWhole(tenant: string, own: Env = production): Promise<Spread> {
  for (;;) {
    const { status, text, body } = await spread(tenant, {}, own);
    // 503: a fault of the test; 409: another request goes on with the move.
    if (status === 503 || status === 409) continue;
    expect(status, text).toBe(200);
    if (!body.move || body.move.phase === "cleaning") return body;
  }
}

export interface Client {
  tenant: string;
  key: string;
  /** What is known of a tenant's databases is known by the bindings: of others, as in another isolate, nothing. */
  env?: Env;
}

/** A tenant whose entities are all in the first database. */
export async function narrowTenant(tenant: string): Promise<Client> {
  await storedTenant(tenant);
  await setSpread(tenant, 1);
  const { key } = await storedKey(tenant, ["read", "write"]);
  return { tenant, key };
}

export const idsOf = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
export const ref = (entityValue: string): EntityRef => ({ entityType: TYPE, entityValue });
export const newPlaceOf = (id: string) => databaseOf(ref(id), 3);

export const put = (
  { key, env: own = production }: Client,
  id: string,
  features: object,
  over: { type?: string; meta?: object } = {},
) =>
  ask("POST /api/v1/items", {
    key,
    env: own,
    body: {
      metadata: { ...WRITER, ...over.meta },
      data: {
        entity_type: over.type ?? TYPE,
        entity_value: id,
        feature_list: [{ category: "c", features }],
      },
    },
  });

export const putAll = ({ key }: Client, ids: readonly string[], features: (i: number) => object) =>
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

export interface Read {
  revision: number;
  source: string;
  features: Record<string, { value: unknown; status: string }>;
}

export async function readAll(
  { key, env: own = production }: Client,
  ids: readonly string[],
  over: object = {},
): Promise<Read[]> {
  const body = { entity_type: TYPE, entity_ids: ids, feature_names: ["c:n"], consistency: "strong", ...over };
  const { status, text, json } = await ask("POST /api/v1/features/online", { key, body, env: own });
  expect(status, text).toBe(200);
  return (json as unknown as { results: Read[] }).results.map(({ revision, source, features }) => ({
    revision,
    source,
    features: Object.fromEntries(
      Object.entries(features).map(([name, { value, status }]) => [name, { value, status }]),
    ),
  }));
}
export const featureN = ({ features }: Read) => features["c:n"]?.value;

/** The entities that have rows in each database, by table. */
export async function placesOf(tenant: string): Promise<{ current: string[][]; history: string[][] }> {
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
export async function cleanNow(tenant: string): Promise<void> {
  const found = await findMove(env.DB, tenant);
  if (!found?.move || found.text === null) throw new Error(`nothing of ${tenant} is to be cleaned`);
  await updateMove(env.DB, tenant, { text: found.text, move: { ...found.move, cleanAtMs: 0 } });
  await worker.scheduled(createScheduledController(), env);
}
