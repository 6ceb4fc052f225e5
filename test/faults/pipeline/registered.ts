/** What is registered before a schedule begins, put into D1 at once: a key, a raw table, its features, a subscription. */
import { env } from "cloudflare:workers";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import {
  apiKeys,
  brightUid,
  computations,
  entities,
  featureHistory,
  features,
  featureVersions,
  jobs,
  rawTables,
  registryStamps,
  subscriptions,
  tenants,
} from "../../../worker/db/schema.ts";
import { newTenantKey } from "../key.ts";
import type { Spread } from "../spread.ts";
import { tenantOf } from "../tenant.ts";
import { START_MS } from "../world.ts";
import type { TableColumn } from "./columns.ts";
import { addressOf } from "./receivers.ts";
import { FEATURES, type FeatureName, type Schedule } from "./schedule.ts";
import { SQL } from "./vectors.ts";

export interface Registered {
  tenant: string;
  key: string;
  tableId: number;
  /** The first subscription. */
  subscription: { id: string; path: string };
}

const NOW = START_MS * 1_000;
/** Of table and features: far from those of other files. */
const FIRST_ID = 3_000_000_000;
export const COLUMNS: readonly TableColumn[] = [
  ["user", "string"],
  ["amount", "integer"],
  ["at", "timestamp"],
];

const versionsOf = (feature: FeatureName) =>
  Object.entries(SQL[feature]).flatMap(([version, sql]) =>
    sql === "" ? [] : { version: Number(version), sql },
  );

/** @param made How many there were before. */
export async function register({ seed, table, spread }: Schedule, made: number): Promise<Registered> {
  const tenant = `pipeline-${seed}-${made}`;
  const { key, row } = newTenantKey(tenant, NOW);
  const id = FIRST_ID + 10 * made;
  const subscription = { id: `sub_${made.toString(16).padStart(16, "0")}`, path: "s0" };
  const [first, ...others] = boundDatabases(spread);
  // The same seed makes the same ids.
  const emptied = (all: DrizzleD1Database) => [entities, brightUid].map((table) => all.delete(table));
  for (const database of others) {
    const all = drizzle(database);
    await all.batch([all.delete(featureHistory), ...emptied(all)]);
  }
  const all = drizzle(first);
  await all.batch([
    all.delete(featureHistory),
    ...emptied(all),
    ...[computations, jobs, subscriptions].map((table) => all.delete(table)),
    all.insert(apiKeys).values(row),
    ...(spread ? [all.insert(tenants).values(tenantOf(tenant, spread))] : []),
    all.insert(rawTables).values({
      tableId: id,
      tenantId: tenant,
      name: "rows",
      description: null,
      columns: JSON.stringify(COLUMNS),
      timestampColumn: table.isTimed ? "at" : null,
      createdAt: NOW,
      retentionDays: table.retentionDays,
    }),
    ...(table.hasFeatures ? computedFeatures(all, tenant, id) : []),
    all.insert(registryStamps).values({ tenantId: tenant, stamp: "first" }),
    all.insert(subscriptions).values({
      subscriptionId: subscription.id,
      tenantId: tenant,
      kind: "webhook",
      url: addressOf(subscription.path),
      format: "json",
      status: "active",
      secretNonce: "00",
      createdAt: NOW,
      updatedAt: NOW,
    }),
  ]);
  return { tenant, key, tableId: id, subscription };
}

/** In their order. */
export function boundDatabases(spread: Spread | null): [D1Database, ...D1Database[]] {
  const { DB, DB_1, DB_2 } = env;
  if (!DB_1 || !DB_2) throw new Error("these schedules need all databases of vitest.config.ts");
  return [DB, ...[DB_1, DB_2].slice(0, (spread?.bound ?? 1) - 1)];
}

function computedFeatures(all: DrizzleD1Database, tenant: string, id: number) {
  const words = { description: null, owner: null, tags: null, createdAt: NOW, updatedAt: NOW };
  return [
    all.insert(features).values(
      FEATURES.map((name, i) => ({
        ...words,
        featureId: id + i,
        tenantId: tenant,
        name,
        entityType: "user",
        category: name,
        kind: "computed" as const,
        rawTableId: id,
        entityKey: "user",
        materialize: name === "stream" ? ("on_ingest" as const) : ("manual" as const),
        computationLogic: SQL[name][1],
        tags: "[]",
      })),
    ),
    all.insert(featureVersions).values(
      FEATURES.flatMap((name, i) =>
        versionsOf(name).map(({ version, sql }) => ({
          ...words,
          tenantId: tenant,
          featureId: id + i,
          version,
          dtype: "vector" as const,
          computationLogic: sql,
          status: version === 1 ? ("active" as const) : ("draft" as const),
        })),
      ),
    ),
  ];
}
