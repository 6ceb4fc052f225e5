/** A computation that its request could not write whole goes on as a job of the queue. */
import type { AppContext } from "../http/context.ts";
import { nowMicros } from "../timestamps.ts";
import { insertJob } from "./compute-store.ts";
import { jobAnswer } from "./job-answers.ts";
import type { Skips } from "./vectors.ts";

/** @returns the job as it is answered. */
export async function startJob(
  c: AppContext,
  key: { tenant: string; featureId: number; version: number; jobId: string; tableId: number },
  { total, skipped, skippedCount }: { total: number } & Skips,
) {
  const now = nowMicros();
  const job = {
    jobId: key.jobId,
    tenantId: key.tenant,
    featureId: key.featureId,
    version: key.version,
    status: "queued",
    total,
    computed: 0,
    skips: { skipped, skippedCount },
    error: null,
    createdAt: now,
    updatedAt: now,
  } as const;
  await insertJob(c.env.DB, job);
  await c.env.FEATURE_COMPUTE.send({
    kind: "job",
    tenant_id: key.tenant,
    job_id: key.jobId,
    table_id: key.tableId,
  });
  return jobAnswer(job);
}
