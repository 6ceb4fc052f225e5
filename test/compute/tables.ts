/** Raw tables and computed features, as the tests of `compute/` make and ask them. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { rawTableObject } from "../../worker/compute/raw-table-access.ts";
import type { RawTableRef } from "../../worker/keys.ts";
import { ask, get, post } from "../setup/http.ts";
import { until } from "../setup/waiting.ts";

/** Requests without a key are of this one. */
export const TENANT = "default";

export interface Table {
  id: number;
  name: string;
  schema_definition: Record<string, string>;
  timestamp_column: string | null;
  retention_days: number | null;
  row_count: number;
  size_bytes: number;
  max_rows: number;
}

export interface Version {
  feature_version_id: number;
  version: number;
  status: string;
  computation_logic: string;
  computation: { computed_at: string | null; failed_at: string | null; last_error: string | null } | null;
}

export interface Feature {
  feature_id: number;
  name: string;
  version: number | null;
  materialize: string;
  computation_logic: string;
  versions: Version[];
}

export interface Computed {
  computed: number;
  skipped: { row: number; reason: string }[];
  skipped_count: number;
}

export interface Job extends Computed {
  job_id: string;
  status: string;
  total: number;
  error: string | null;
}

export interface Vector {
  entity_id: string;
  feature_name: string;
  version: number;
  feature_version_id: number;
  vector: Record<string, unknown>;
  event_timestamp: string;
  created_at: string;
  updated_at: string;
  revision: number;
  source: string;
}

let made = 0;
export const freshName = (what: string) => `${what}_${++made}`;

export const COLUMNS = { user_id: "string", amount: "integer", at: "timestamp" };
export const SUMS = "SELECT user_id, sum(amount) AS total, count(*) AS n FROM data GROUP BY user_id";

/** A row of {@link COLUMNS}. @param second Of a fixed minute. */
export const row = (user_id: string | null, amount: unknown, second = 0) => ({
  user_id,
  amount,
  at: `2026-01-01T00:00:${String(second).padStart(2, "0")}Z`,
});

export const eventTime = (second: number) =>
  `2026-01-01T00:00:${String(second).padStart(2, "0")}.000000+00:00`;

export async function newTable(
  schema_definition: Record<string, string> = COLUMNS,
  options: Record<string, unknown> = "at" in schema_definition ? { timestamp_column: "at" } : {},
): Promise<Table> {
  const body = { name: freshName("raw"), schema_definition, ...options };
  const answer = await post<Table>("/raw-tables", body);
  expect(answer.status, answer.text).toBe(201);
  await noteObject(answer.body.id);
  return answer.body;
}

export const ingest = (table: Pick<Table, "id">, data: unknown, headers: Record<string, string> = {}) =>
  post<{ rows_ingested: number; row_count: number }>("/ingest", { raw_table_id: table.id, data }, headers);

export const createFeature = (table: { id: number | string }, body: Record<string, unknown> = {}) =>
  post<Feature>("/features", {
    name: freshName("sums"),
    raw_table_id: table.id,
    computation_logic: SUMS,
    entity_key: "user_id",
    ...body,
  });

export const addVersion = (feature: string | number, body: Record<string, unknown>) =>
  post<Version>(`/features/${feature}/versions`, body);

/** A feature with an active version 1. */
export async function newFeature(
  table: Pick<Table, "id">,
  body: Record<string, unknown> = {},
): Promise<Feature & { versionId: number }> {
  const feature = await createFeature(table, body);
  expect(feature.status, feature.text).toBe(201);
  const version = await addVersion(feature.body.name, { version: "v1", status: "active" });
  expect(version.status, version.text).toBe(201);
  return { ...feature.body, versionId: version.body.feature_version_id };
}

/** One that is recomputed as rows arrive. */
export const streaming = (table: Pick<Table, "id">, body: Record<string, unknown> = {}) =>
  newFeature(table, { materialize: "on_ingest", ...body });

export const compute = <T = Computed>(feature: string | number, rows?: unknown, query = "") =>
  ask<T>("POST", `/features/${feature}/compute${query}`, rows === undefined ? {} : { body: rows });

export const vector = (entity: string, feature: string) =>
  get<Vector>(`/feature-vectors?entity_id=${encodeURIComponent(entity)}&feature_name=${feature}`);

export async function vectorOf(entity: string, feature: string): Promise<Record<string, unknown> | null> {
  const { status, body } = await vector(entity, feature);
  return status === 200 ? body.vector : null;
}

/** By id: no answer shows it. */
const nonces = new Map<number, string | null>();

export async function noteObject(id: number): Promise<void> {
  const row = env.DB.prepare("SELECT object_nonce FROM raw_tables WHERE table_id = ?").bind(id);
  nonces.set(id, await row.first<string>("object_nonce"));
}

export function refOf({ id }: Pick<Table, "id">): RawTableRef {
  const objectNonce = nonces.get(id);
  if (objectNonce === undefined) throw new Error(`table ${id} was not made by newTable`);
  return { tableId: id, objectNonce };
}

/** The object of a table, as the store finds it. */
export const objectOf = (table: Pick<Table, "id">) => rawTableObject(env, TENANT, refOf(table));

/** A new instance over the same storage: its leases are gone. */
export const evict = (table: Pick<Table, "id">) => evictDurableObject(objectOf(table));
/** @returns whether one was set. */
export const alarm = (table: Pick<Table, "id">) => runDurableObjectAlarm(objectOf(table));

/** What SQL of ours finds in a table's object. */
export const inside = (table: Pick<Table, "id">, sql: string) =>
  runInDurableObject(objectOf(table), (_, { storage }) => storage.sql.exec(sql).toArray());

/** Waits until its streaming features have computed all that was touched. */
export const caughtUp = (table: Pick<Table, "id">) =>
  until("all that was touched is computed", async () => {
    const [left] = await inside(table, "SELECT count(*) AS n FROM fs_touched");
    return left?.n === 0;
  });
