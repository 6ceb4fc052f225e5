/** Training sets as they are answered. */
import * as z from "zod";
import { WORK_STATUSES } from "../db/column-values.ts";
import { answeredTimestamp, textUpTo } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { formatTimestamp } from "../timestamps.ts";
import type { TrainingSet } from "./training-set.ts";

export const TRAINING_SETS = "training sets";

export const trainingSetParam = lazily(() =>
  z.object({
    training_set_id: textUpTo(MAX_NAME_CHARACTERS).meta({ example: "ts_5f0c3f0e7e3c4d6b" }),
  }),
);

export const trainingSetSchema = lazily(() =>
  z
    .object({
      training_set_id: z.string().meta({ example: "ts_5f0c3f0e7e3c4d6b" }),
      status: z.enum(WORK_STATUSES),
      entity_type: z.string().meta({ example: "user" }),
      feature_names: z.array(z.string()).meta({ example: ["user_age"] }),
      known_at: answeredTimestamp.meta({ description: "Only what had been ingested by then is in it." }),
      total: z.int().meta({ description: "Rows asked for.", example: 25000 }),
      written: z.int().meta({ description: "Rows that are in the files.", example: 25000 }),
      files: z
        .array(z.object({ url: z.string(), rows: z.int(), bytes: z.int() }))
        .meta({ description: "In the order of the rows; empty until the set is done." }),
      error: z.string().nullable().meta({ example: null }),
      created_at: answeredTimestamp,
      updated_at: answeredTimestamp,
    })
    .meta({ id: "TrainingSet" }),
);

export function trainingSetAnswer(set: TrainingSet) {
  const { trainingSetId, status, files } = set;
  const url = (position: number) => `/api/v1/training-sets/${trainingSetId}/files/${position}`;
  const isDone = status === "done";
  return {
    training_set_id: trainingSetId,
    status,
    entity_type: set.entityType,
    feature_names: set.featureNames,
    known_at: formatTimestamp(set.knownAt),
    total: set.total,
    written: set.written,
    files: isDone ? files.map(({ rows, bytes }, position) => ({ url: url(position), rows, bytes })) : [],
    error: set.error,
    created_at: formatTimestamp(set.createdAt),
    updated_at: formatTimestamp(set.updatedAt),
  };
}
