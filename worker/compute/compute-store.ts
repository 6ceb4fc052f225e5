/**
 * Raw tables, jobs and the state of computations in D1. What comes back is parsed. Every query names the tenant, but one
 * of the cron.
 */
import { and, asc, eq, inArray, lt, notExists, sql } from "drizzle-orm";
import * as z from "zod";
import { primary } from "../db/primary.ts";
import { computations, features, featureVersions, jobs, rawTables } from "../db/schema.ts";
import { MAX_RAW_TABLES_PER_TENANT } from "../limits.ts";
import type { RegisteredFeature } from "../registry/registry-store.ts";
import { MICROS_PER_SECOND, type Micros } from "../timestamps.ts";
import { ENDED_JOB_TTL_SECONDS, JOBS_PER_CLEANING } from "../timings.ts";
import { COLUMN_TYPES, type RawSchema } from "./raw-columns.ts";
import type { Skips } from "./vectors.ts";

export type RegisteredTable = Pick<
  typeof rawTables.$inferSelect,
  "tableId" | "name" | "description" | "retentionDays" | "createdAt"
> & { schema: RawSchema };
export type Job = Omit<typeof jobs.$inferSelect, "skipped"> & { skips: Skips };
type ComputationRow = typeof computations.$inferSelect;

const storedColumns = z.array(z.tuple([z.string(), z.enum(COLUMN_TYPES)]));

function toTable(row: typeof rawTables.$inferSelect): RegisteredTable {
  const { tableId, name, description, columns, timestampColumn, retentionDays, createdAt } = row;
  const schema = { columns: storedColumns.parse(JSON.parse(columns)), timestampColumn };
  return { tableId, name, description, schema, retentionDays, createdAt };
}

const storedSkips = z.object({
  skipped: z.array(z.object({ row: z.int(), reason: z.string() })),
  skippedCount: z.int(),
});

export async function insertRawTable(
  db: D1Database,
  tenant: string,
  { name, description, schema, retentionDays }: Omit<RegisteredTable, "tableId" | "createdAt">,
  now: Micros,
): Promise<{ added: RegisteredTable } | { namesake: RegisteredTable } | "too many"> {
  const orm = primary(db);
  const isBelow = sql`(SELECT count(*) FROM ${rawTables} AS own WHERE own.tenant_id = ${tenant}) < ${MAX_RAW_TABLES_PER_TENANT}`;
  const values = orm.select({
    tableId: sql<number>`NULL`.as("table_id"),
    tenantId: sql<string>`${tenant}`.as("tenant_id"),
    name: sql<string>`${name}`.as("name"),
    description: sql<string | null>`${description}`.as("description"),
    columns: sql<string>`${JSON.stringify(schema.columns)}`.as("columns"),
    timestampColumn: sql<string | null>`${schema.timestampColumn}`.as("timestamp_column"),
    createdAt: sql<number>`${now}`.as("created_at"),
    retentionDays: sql<number | null>`${retentionDays}`.as("retention_days"),
  });
  const [row] = await orm
    .insert(rawTables)
    .select(values.from(sql`(SELECT 1)`).where(isBelow))
    .onConflictDoNothing()
    .returning();
  if (row) return { added: toTable(row) };
  const [namesake] = await orm
    .select()
    .from(rawTables)
    .where(and(eq(rawTables.tenantId, tenant), eq(rawTables.name, name)));
  return namesake ? { namesake: toTable(namesake) } : "too many";
}

export async function selectRawTables(db: D1Database, tenant: string): Promise<RegisteredTable[]> {
  const rows = await primary(db)
    .select()
    .from(rawTables)
    .where(eq(rawTables.tenantId, tenant))
    .orderBy(asc(rawTables.tableId));
  return rows.map(toTable);
}

/** @param table Its id, or its name. */
export async function findRawTable(
  db: D1Database,
  tenant: string,
  table: number | string,
): Promise<RegisteredTable | null> {
  const isAsked = typeof table === "number" ? eq(rawTables.tableId, table) : eq(rawTables.name, table);
  const [row] = await primary(db)
    .select()
    .from(rawTables)
    .where(and(eq(rawTables.tenantId, tenant), isAsked));
  return row ? toTable(row) : null;
}

/** @returns the table as it is now; null when there is none. */
export async function setRetention(
  db: D1Database,
  { tenant, tableId }: { tenant: string; tableId: number },
  retentionDays: number | null,
): Promise<RegisteredTable | null> {
  const [row] = await primary(db)
    .update(rawTables)
    .set({ retentionDays })
    .where(and(eq(rawTables.tenantId, tenant), eq(rawTables.tableId, tableId)))
    .returning();
  return row ? toTable(row) : null;
}

/**
 * Unless features are computed from it: the condition is part of the statement, as the table is of that which inserts
 * such a feature.
 *
 * @returns whether it was there and is gone.
 */
export async function removeRawTable(db: D1Database, tenant: string, tableId: number): Promise<boolean> {
  const orm = primary(db);
  const dependent = orm
    .select({ featureId: features.featureId })
    .from(features)
    .where(and(eq(features.tenantId, tenant), eq(features.rawTableId, tableId)));
  const gone = await orm
    .delete(rawTables)
    .where(and(eq(rawTables.tenantId, tenant), eq(rawTables.tableId, tableId), notExists(dependent)))
    .returning({ tableId: rawTables.tableId });
  return gone.length > 0;
}

/** A version that is recomputed as rows arrive. */
export interface StreamingVersion {
  featureId: number;
  name: string;
  version: number;
  entityKey: string;
  sql: string;
  ttlSeconds: number | null;
}

/** The active versions of features that are recomputed when rows of the table arrive. */
export async function streamingVersions(
  db: D1Database,
  tenant: string,
  tableId: number,
): Promise<StreamingVersion[]> {
  const rows = await primary(db)
    .select({
      featureId: features.featureId,
      name: features.name,
      version: featureVersions.version,
      entityKey: features.entityKey,
      sql: featureVersions.computationLogic,
      ttlSeconds: featureVersions.ttlSeconds,
    })
    .from(features)
    .innerJoin(
      featureVersions,
      and(eq(featureVersions.tenantId, features.tenantId), eq(featureVersions.featureId, features.featureId)),
    )
    .where(
      and(
        eq(features.tenantId, tenant),
        eq(features.rawTableId, tableId),
        eq(features.materialize, "on_ingest"),
        eq(featureVersions.status, "active"),
      ),
    );
  return rows.flatMap(({ entityKey, sql, ...row }) =>
    entityKey === null || sql === null ? [] : { ...row, entityKey, sql },
  );
}

/** The features that are computed from a table, for who wants to drop it. */
export async function featuresOfTable(db: D1Database, tenant: string, tableId: number): Promise<string[]> {
  const rows = await primary(db)
    .select({ name: features.name })
    .from(features)
    .where(and(eq(features.tenantId, tenant), eq(features.rawTableId, tableId)));
  return rows.map(({ name }) => name);
}

/** @param error In words for the tenant; null after a success. */
export async function noteComputation(
  db: D1Database,
  key: { tenant: string; featureId: number; version: number },
  error: string | null,
  now: Micros,
): Promise<void> {
  const outcome = error === null ? { computedAt: now, lastError: null } : { failedAt: now, lastError: error };
  await primary(db)
    .insert(computations)
    .values({ tenantId: key.tenant, featureId: key.featureId, version: key.version, ...outcome })
    .onConflictDoUpdate({
      target: [computations.tenantId, computations.featureId, computations.version],
      set: outcome,
    });
}

/** How the versions of these features were computed last, of any number of features. */
export async function computationsOf(
  db: D1Database,
  tenant: string,
  of: readonly Pick<RegisteredFeature, "featureId" | "kind">[],
): Promise<ComputationRow[]> {
  const computed = of.filter(({ kind }) => kind === "computed");
  if (computed.length === 0) return [];
  const ids = JSON.stringify(computed.map(({ featureId }) => featureId));
  return primary(db)
    .select()
    .from(computations)
    .where(
      and(
        eq(computations.tenantId, tenant),
        inArray(computations.featureId, sql`(SELECT value FROM json_each(${ids}))`),
      ),
    );
}

export async function insertJob(db: D1Database, { skips, ...job }: Job): Promise<void> {
  await primary(db)
    .insert(jobs)
    .values({ ...job, skipped: JSON.stringify(skips) });
}

export async function findJob(db: D1Database, tenant: string, jobId: string): Promise<Job | null> {
  const [row] = await primary(db)
    .select()
    .from(jobs)
    .where(and(eq(jobs.tenantId, tenant), eq(jobs.jobId, jobId)));
  if (!row) return null;
  const { skipped, ...job } = row;
  return { ...job, skips: storedSkips.parse(JSON.parse(skipped)) };
}

/**
 * Notes a page, if the job is as far as it was found: of two that write the same page one counts, and an end is an end.
 *
 * @returns false when it has moved on.
 */
export async function advanceJob(
  db: D1Database,
  { tenantId, jobId, computed }: Pick<Job, "tenantId" | "jobId" | "computed">,
  { skips, ...change }: Pick<Job, "status" | "computed" | "skips" | "error" | "updatedAt">,
): Promise<boolean> {
  const advanced = await primary(db)
    .update(jobs)
    .set({ ...change, skipped: JSON.stringify(skips) })
    .where(
      and(
        eq(jobs.tenantId, tenantId),
        eq(jobs.jobId, jobId),
        inArray(jobs.status, ["queued", "running"]),
        eq(jobs.computed, computed),
      ),
    )
    .returning({ jobId: jobs.jobId });
  return advanced.length > 0;
}

/** Removes ended jobs whose time is over, for all tenants; one run looks only at the oldest jobs. */
export async function removeEndedJobs(db: D1Database, now: Micros): Promise<void> {
  const oldest = primary(db).select().from(jobs).orderBy(sql`rowid`).limit(JOBS_PER_CLEANING).as("oldest");
  const limit = now - ENDED_JOB_TTL_SECONDS * MICROS_PER_SECOND;
  const ended = primary(db)
    .select({ jobId: oldest.jobId })
    .from(oldest)
    .where(and(inArray(oldest.status, ["done", "failed"]), lt(oldest.updatedAt, limit)));
  await primary(db).delete(jobs).where(inArray(jobs.jobId, ended));
}
