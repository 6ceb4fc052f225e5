/** Computations too large for one request, and how far they are. A route of system C. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredTimestamp, textUpTo } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_NAME_CHARACTERS, MAX_NAMED_SKIPS } from "../limits.ts";
import { formatTimestamp, nowMicros } from "../timestamps.ts";
import { findJob, insertJob, type JobRow } from "./compute-store.ts";
import type { Skips } from "./vectors.ts";

export const answeredSkips = lazily(() => ({
  skipped: z.array(z.object({ row: z.int(), reason: z.string() })).meta({
    description: `Rows of the result that no vector was written of, from 0; the first ${MAX_NAMED_SKIPS}.`,
    example: [],
  }),
  skipped_count: z.int().meta({ description: "How many rows were skipped in all.", example: 0 }),
}));

export const jobSchema = lazily(() =>
  z
    .object({
      job_id: z.string(),
      feature_id: z.int(),
      version: z.int(),
      status: z.enum(["queued", "running", "done", "failed"]),
      total: z.int().nullable(),
      computed: z.int(),
      ...answeredSkips(),
      error: z.string().nullable(),
      created_at: answeredTimestamp,
      updated_at: answeredTimestamp,
    })
    .meta({ id: "Job" }),
);

export const getJob = endpoint(
  {
    method: "get",
    path: "/api/v1/jobs/{job_id}",
    tag: "computed features",
    summary: "The progress of a computation",
    scope: "read",
    request: { param: z.object({ job_id: textUpTo(MAX_NAME_CHARACTERS) }) },
    answers: { 200: { description: "The job.", schema: jobSchema } },
    problems: [404],
  },
  async (c, { param }) => {
    const job = await findJob(c.env.DB, c.principal.tenant, param.job_id);
    if (!job) throw new Problem(404, "there is no such job");
    return jsonAnswer(jobAnswer(job));
  },
);

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
    skipped: JSON.stringify({ skipped, skippedCount } satisfies Skips),
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

function jobAnswer(job: JobRow) {
  const { skipped, skippedCount: count } = JSON.parse(job.skipped) as Skips;
  return {
    job_id: job.jobId,
    feature_id: job.featureId,
    version: job.version,
    status: job.status,
    total: job.total,
    computed: job.computed,
    skipped,
    skipped_count: count,
    error: job.error,
    created_at: formatTimestamp(job.createdAt),
    updated_at: formatTimestamp(job.updatedAt),
  };
}

export const jobEndpoints = [getJob];
