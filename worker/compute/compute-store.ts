/** Raw tables, jobs and the state of computations in D1. Every query names the tenant, but one of the cron. */
import { and, asc, eq, inArray, lt, notExists, sql } from "drizzle-orm";
import { primary } from "../db/primary.ts";
import { computations, features, featureVersions, jobs, rawTables } from "../db/schema.ts";
import { ENDED_JOB_TTL_SECONDS, JOBS_PER_CLEANING } from "../limits.ts";
import { MICROS_PER_SECOND, type Micros } from "../timestamps.ts";
import type { RawSchema } from "./raw-columns.ts";

export type RawTableRow = typeof rawTables.$inferSelect;
export type JobRow = typeof jobs.$inferSelect;
export type ComputationRow = typeof computations.$inferSelect;

/** Null when the tenant has a table of this name. */
export async function insertRawTable(
  db: D1Database,
  tenant: string,
  table: { name: string; description: string | null } & RawSchema,
  now: Micros,
): Promise<RawTableRow | null> {
  const { name, description, columns, timestampColumn } = table;
  const [row] = await primary(db)
    .insert(rawTables)
    .values({
      tenantId: tenant,
      name,
      description,
      columns: JSON.stringify(columns),
      timestampColumn,
      createdAt: now,
    })
    .onConflictDoNothing()
    .returning();
  return row ?? null;
}

export function listRawTables(db: D1Database, tenant: string): Promise<RawTableRow[]> {
  return primary(db)
    .select()
    .from(rawTables)
    .where(eq(rawTables.tenantId, tenant))
    .orderBy(asc(rawTables.tableId));
}

export async function findRawTable(
  db: D1Database,
  tenant: string,
  tableId: number,
): Promise<RawTableRow | null> {
  const [row] = await primary(db)
    .select()
    .from(rawTables)
    .where(and(eq(rawTables.tenantId, tenant), eq(rawTables.tableId, tableId)));
  return row ?? null;
}

/**
 * Unless features are computed from it: the condition is part of the statement, as the table is of that which inserts
 * such a feature.
 *
 * @returns whether it was there and is gone.
 */
export async function deleteRawTable(db: D1Database, tenant: string, tableId: number): Promise<boolean> {
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

export function schemaOf({ columns, timestampColumn }: RawTableRow): RawSchema {
  return { columns: JSON.parse(columns) as RawSchema["columns"], timestampColumn };
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

export function computationsOf(db: D1Database, tenant: string, featureId: number): Promise<ComputationRow[]> {
  return primary(db)
    .select()
    .from(computations)
    .where(and(eq(computations.tenantId, tenant), eq(computations.featureId, featureId)));
}

export async function insertJob(db: D1Database, job: JobRow): Promise<void> {
  await primary(db).insert(jobs).values(job);
}

export async function findJob(db: D1Database, tenant: string, jobId: string): Promise<JobRow | null> {
  const [row] = await primary(db)
    .select()
    .from(jobs)
    .where(and(eq(jobs.tenantId, tenant), eq(jobs.jobId, jobId)));
  return row ?? null;
}

/**
 * Notes a page, if the job is as far as it was found: of two that write the same page one counts, and an end is an end.
 *
 * @returns false when it has moved on.
 */
export async function advanceJob(
  db: D1Database,
  { tenantId, jobId, computed }: Pick<JobRow, "tenantId" | "jobId" | "computed">,
  change: Pick<JobRow, "status" | "computed" | "skipped" | "error" | "updatedAt">,
): Promise<boolean> {
  const advanced = await primary(db)
    .update(jobs)
    .set(change)
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

/** Of all tenants: ended jobs for which nobody asks any more, among those that have been there longest. */
export async function removeEndedJobs(db: D1Database, now: Micros): Promise<void> {
  const oldest = primary(db).select().from(jobs).orderBy(sql`rowid`).limit(JOBS_PER_CLEANING).as("oldest");
  const limit = now - ENDED_JOB_TTL_SECONDS * MICROS_PER_SECOND;
  const ended = primary(db)
    .select({ jobId: oldest.jobId })
    .from(oldest)
    .where(and(inArray(oldest.status, ["done", "failed"]), lt(oldest.updatedAt, limit)));
  await primary(db).delete(jobs).where(inArray(jobs.jobId, ended));
}
