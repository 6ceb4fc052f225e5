/** A computation as it is answered: what it skipped and, of a job, how far it is. Pure. */
import * as z from "zod";
import { WORK_STATUSES } from "../db/column-values.ts";
import { answeredTimestamp } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_NAMED_SKIPS } from "../limits.ts";
import { formatTimestamp } from "../timestamps.ts";
import type { Job } from "./compute-store.ts";

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
      status: z.enum(WORK_STATUSES),
      total: z.int().nullable(),
      computed: z
        .int()
        .meta({ description: "Entities of `total` that it is through with, skipped ones too." }),
      ...answeredSkips(),
      error: z.string().nullable(),
      created_at: answeredTimestamp,
      updated_at: answeredTimestamp,
    })
    .meta({ id: "Job" }),
);

export function jobAnswer(job: Job) {
  return {
    job_id: job.jobId,
    feature_id: job.featureId,
    version: job.version,
    status: job.status,
    total: job.total,
    computed: job.computed,
    skipped: job.skips.skipped,
    skipped_count: job.skips.skippedCount,
    error: job.error,
    created_at: formatTimestamp(job.createdAt),
    updated_at: formatTimestamp(job.updatedAt),
  };
}
