/** A computation that its request could not write whole goes on as a job of the queue. */
import { nowMicros } from "../timestamps.ts";
import { insertJob, type Job } from "./compute-store.ts";
import type { Skips } from "./vectors.ts";

export async function startJob(
  env: Env,
  key: { tenant: string; featureId: number; version: number; jobId: string; tableId: number },
  { total, skipped, skippedCount }: { total: number } & Skips,
): Promise<Job> {
  const now = nowMicros();
  const job: Job = {
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
  };
  await insertJob(env.DB, job);
  await env.FEATURE_COMPUTE.send({
    kind: "job",
    tenant_id: key.tenant,
    job_id: key.jobId,
    table_id: key.tableId,
  });
  return job;
}
