/** Writes the entities of a job, a page with each message of the queue. How far it is stands in its row. */

import type { TenantContext } from "../http/context.ts";
import { JOB_PAGE_ENTITIES, MAX_NAMED_SKIPS } from "../limits.ts";
import { findFeature, isRegistered } from "../registry/registry-store.ts";
import { nowMicros } from "../timestamps.ts";
import type { ComputeMessage } from "./compute-message.ts";
import { advanceJob, FEATURE_REMOVED, findJob, type Job, noteComputation } from "./compute-store.ts";
import { rawTableObject } from "./raw-table-access.ts";
import { findRawTable } from "./registered-tables.ts";
import type { Skipped, Skips } from "./vectors.ts";
import { computeAgainWhereOvertaken, vectorTarget, writeVectors } from "./write-vectors.ts";

type JobMessage = Extract<ComputeMessage, { kind: "job" }>;

/** Writes the next page of a job, and has the one behind it written. */
export async function writeJobPage(
  context: Omit<TenantContext, "tenant">,
  message: JobMessage,
): Promise<void> {
  const { env } = context;
  const { tenant_id: tenant, job_id: jobId, table_id: tableId } = message;
  const [job, table] = await Promise.all([
    findJob(env.DB, tenant, jobId),
    findRawTable(env.DB, tenant, tableId),
  ]);
  const feature = job && (await findFeature(env.DB, tenant, String(job.featureId)));
  const version = feature?.versions.find((each) => each.version === job?.version);
  const object = table && rawTableObject(env, tenant, table);
  if (!job || !feature || !version || !object || job.status === "done" || job.status === "failed") {
    // One that was begun while its feature was being removed.
    if (job) await advanceJob(env.DB, job, ended(job, FEATURE_REMOVED));
    await object?.dropJob(jobId, job ? "ended" : "forgotten");
    return;
  }
  const follower = { featureId: job.featureId, version: job.version, entityKey: feature.entityType };
  const pageId = crypto.randomUUID();
  const page = { pageId, follower, offset: job.computed, limit: JOB_PAGE_ENTITIES };
  const { rows, seq, isRepeated, whyNot } = await object.jobPage(jobId, page);
  const computed = { table, id: pageId, follower, computed: rows, seq };
  const again = <W>(writing: Promise<W>) =>
    computeAgainWhereOvertaken({ ...context, tenant }, computed, writing);
  if (whyNot !== null) {
    // By one who could not say so.
    if (isRepeated) await again(Promise.resolve());
    const error = whyNot === "overtaken" ? OVERTAKEN : ERASED;
    if (await advanceJob(env.DB, job, ended(job, error))) await object.dropJob(jobId, "ended");
    return;
  }
  const key = { tenant, featureId: job.featureId, version: job.version };
  if (!(await isRegistered(env.DB, key))) {
    // Who has removed it has ended the job.
    await again(Promise.resolve());
    await object.dropJob(jobId, "ended");
    return;
  }
  // Times and compute id are those of the rows: a page that is written again is a duplicate, not a new write. It is a
  // single round, which the table has just allowed.
  const target = vectorTarget(feature, version, `compute-${jobId}`);
  const writing = writeVectors({ ...context, tenant }, rows, target);
  const { skipped } = await again(writing);
  const advanced = afterPage(job, { rows: rows.length, skipped });
  // Another one has written the page, and goes on.
  if (!(await advanceJob(env.DB, job, advanced))) return;
  if (advanced.status === "running") {
    await env.FEATURE_COMPUTE.send(message);
    return;
  }
  await noteComputation(env.DB, key, advanced.error, nowMicros());
  await object.dropJob(jobId, "ended");
}

const OVERTAKEN = "it was computed again from later rows; nothing more of this is written";

const ERASED =
  "rows were erased from its table; nothing more of this is written, and it is computed again from what is left";

function ended({ computed, skips }: Job, error: string) {
  return { status: "failed", computed, skips, error, updatedAt: nowMicros() } as const;
}

function afterPage(job: Job, page: { rows: number; skipped: Skipped[] }) {
  const position = job.computed + page.rows;
  const skips: Skips = {
    skipped: [...job.skips.skipped, ...page.skipped].slice(0, MAX_NAMED_SKIPS),
    skippedCount: job.skips.skippedCount + page.skipped.length,
  };
  const isComplete = position >= (job.total ?? 0);
  const isLost = page.rows === 0 && !isComplete;
  return {
    status: isComplete ? "done" : isLost ? "failed" : "running",
    computed: position,
    skips,
    error: isLost ? "it was not finished in time; compute it again" : null,
    updatedAt: nowMicros(),
  } as const;
}
