/**
 * Jobs and the state of computations in D1. What comes back is parsed. Every query names the tenant, but one of the
 * cron.
 */
import { and, eq, inArray, lt, sql } from "drizzle-orm";
import * as z from "zod";
import { primary } from "../db/primary.ts";
import { computations, featureVersions, jobs } from "../db/schema.ts";
import type { RegisteredFeature } from "../registry/registry-store.ts";
import { MICROS_PER_SECOND, type Micros } from "../timestamps.ts";
import { ENDED_JOB_TTL_SECONDS, JOBS_PER_CLEANING } from "../timings.ts";
import type { Skips } from "./vectors.ts";

export type Job = Omit<typeof jobs.$inferSelect, "skipped"> & { skips: Skips };
type ComputationRow = typeof computations.$inferSelect;

const storedSkips = z.object({
  skipped: z.array(z.object({ row: z.int(), reason: z.string() })),
  skippedCount: z.int(),
});

/** Why a job ends of a feature that is no more. */
export const FEATURE_REMOVED = "the feature was removed; nothing more of this is written";

/** Of a version that is still there. @param error In words for the tenant; null after a success. */
export async function noteComputation(
  db: D1Database,
  key: { tenant: string; featureId: number; version: number },
  error: string | null,
  now: Micros,
): Promise<void> {
  const orm = primary(db);
  const outcome = error === null ? { computedAt: now, lastError: null } : { failedAt: now, lastError: error };
  const { tenantId, featureId, version } = featureVersions;
  await orm
    .insert(computations)
    .select(
      orm
        .select({
          ...{ tenantId, featureId, version },
          computedAt: sql<number | null>`${outcome.computedAt ?? null}`.as("computed_at"),
          failedAt: sql<number | null>`${outcome.failedAt ?? null}`.as("failed_at"),
          lastError: sql<string | null>`${outcome.lastError}`.as("last_error"),
        })
        .from(featureVersions)
        .where(and(eq(tenantId, key.tenant), eq(featureId, key.featureId), eq(version, key.version))),
    )
    .onConflictDoUpdate({
      target: [computations.tenantId, computations.featureId, computations.version],
      set: outcome,
    });
}

/** In words for the tenant. */
export const STORE_FAULT = "a store did not answer; it is tried again";

/** What was to be tried again has been, and nothing is left to compute. */
export async function noteRecovery(
  db: D1Database,
  key: { tenant: string; featureId: number; version: number },
  now: Micros,
): Promise<void> {
  await primary(db)
    .update(computations)
    .set({ computedAt: now, lastError: null })
    .where(
      and(
        eq(computations.tenantId, key.tenant),
        eq(computations.featureId, key.featureId),
        eq(computations.version, key.version),
        eq(computations.lastError, STORE_FAULT),
      ),
    );
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
