/** A computation that its request could not write whole goes on as a job of the queue. */
import type { ServiceContext } from "../env.ts";
import { nowMicros } from "../timestamps.ts";
import { askToCompute } from "./ask-to-compute.ts";
import { insertJob, type Job } from "./compute-store.ts";
import type { Skips } from "./vectors.ts";

export async function startJob(
  context: Pick<ServiceContext, "env" | "log">,
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
  await insertJob(context.env.DB, job);
  const { tenant: tenant_id, jobId: job_id, tableId: table_id } = key;
  await askToCompute(context, { kind: "job", tenant_id, job_id, table_id });
  return job;
}
