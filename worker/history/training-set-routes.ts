/** Training sets: training data of more rows than an answer holds, as Parquet files in the archive's bucket. */
import * as z from "zod";
import { Problem, unavailable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { wholeNumber } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MICROS_PER_MS, nowMicros } from "../timestamps.ts";
import { RETRY_AFTER_SECONDS, TRAINING_SET_STALLED_MS } from "../timings.ts";
import { createTrainingSet } from "./create-training-set.ts";
import { PARQUET_TYPE } from "./parquet-file.ts";
import { bucketOf } from "./set-bucket.ts";
import type { TrainingSet } from "./training-set.ts";
import {
  TRAINING_SETS,
  trainingSetAnswer,
  trainingSetParam,
  trainingSetSchema,
} from "./training-set-schemas.ts";
import {
  findTrainingSet,
  getFile,
  hideTrainingSet,
  selectTrainingSets,
  touchTrainingSet,
} from "./training-set-store.ts";
import { announceTrainingSet, endDeletion } from "./write-training-set.ts";

const listTrainingSets = endpoint(
  {
    method: "get",
    path: "/api/v1/training-sets",
    tag: TRAINING_SETS,
    summary: "List training sets",
    scope: "read",
    request: {},
    answers: {
      200: {
        description: "All of them, the newest first.",
        schema: lazily(() =>
          z.object({ training_sets: z.array(trainingSetSchema()) }).meta({ id: "TrainingSets" }),
        ),
      },
    },
  },
  async (c) => {
    const sets = await selectTrainingSets(c.env.DB, c.principal.tenant);
    return jsonAnswer({ training_sets: sets.map(trainingSetAnswer) });
  },
);

const getTrainingSet = endpoint(
  {
    method: "get",
    path: "/api/v1/training-sets/{training_set_id}",
    tag: TRAINING_SETS,
    summary: "How far a training set is, and its files",
    scope: "read",
    request: { param: trainingSetParam },
    answers: { 200: { description: "The training set.", schema: trainingSetSchema } },
    problems: [404],
  },
  async (c, { param }) => {
    const set = await existingTrainingSet(c, param.training_set_id);
    if (isStalled(set)) c.after(wake(c, set));
    return jsonAnswer(trainingSetAnswer(set));
  },
);

const getTrainingSetFile = endpoint(
  {
    method: "get",
    path: "/api/v1/training-sets/{training_set_id}/files/{file}",
    tag: TRAINING_SETS,
    summary: "A file of a training set that is done",
    scope: "read",
    request: { param: () => trainingSetParam().extend({ file: wholeNumber(0).meta({ example: 0 }) }) },
    answers: { 200: { description: "The file, streamed.", contentType: PARQUET_TYPE } },
    problems: [404, 409],
  },
  async (c, { param }) => {
    const bucket = bucketOf(c);
    const set = await existingTrainingSet(c, param.training_set_id);
    if (set.status !== "done")
      throw new Problem(409, `the training set is ${set.status}: its files are there when it is done`);
    const file = set.files[param.file];
    const stored = file && (await getFile(bucket, set, file.name));
    if (!stored) throw new Problem(404, "the training set has no such file");
    const name = `${set.trainingSetId}-${param.file}.parquet`;
    return new Response(stored.body, {
      headers: {
        "content-type": PARQUET_TYPE,
        "content-length": String(stored.size),
        "content-disposition": `attachment; filename="${name}"`,
      },
    });
  },
);

const deleteTrainingSet = endpoint(
  {
    method: "delete",
    path: "/api/v1/training-sets/{training_set_id}",
    tag: TRAINING_SETS,
    summary: "Delete a training set and its files",
    scope: "read",
    request: { param: trainingSetParam },
    answers: {
      200: {
        description: "Deleted.",
        schema: lazily(() =>
          z
            .object({ training_set_id: z.string(), status: z.literal("deleted") })
            .meta({ id: "DeletedTrainingSet" }),
        ),
      },
    },
    problems: [404],
  },
  async (c, { param }) => {
    const bucket = bucketOf(c);
    const key = { tenantId: c.principal.tenant, trainingSetId: param.training_set_id };
    if (!(await hideTrainingSet(c.env.DB, key))) throw noSuchTrainingSet();
    try {
      // Should this end before its files are gone, who reads the message goes on.
      await announceTrainingSet(c.env, key);
      await endDeletion(c.env.DB, bucket, key);
    } catch (cause) {
      c.log.error("a training set was not deleted whole", cause, { request_id: c.requestId });
      throw unavailable("not all of its files could be deleted; try again", RETRY_AFTER_SECONDS);
    }
    return jsonAnswer({ training_set_id: key.trainingSetId, status: "deleted" });
  },
);

/** @throws Problem 404 for another tenant's as for none. */
async function existingTrainingSet(c: AppContext, trainingSetId: string): Promise<TrainingSet> {
  const set = await findTrainingSet(c.env.DB, { tenantId: c.principal.tenant, trainingSetId });
  if (!set) throw noSuchTrainingSet();
  return set;
}

const noSuchTrainingSet = () => new Problem(404, "there is no such training set");

function isStalled({ status, updatedAt }: TrainingSet): boolean {
  const isUnderWay = status === "queued" || status === "running";
  return isUnderWay && nowMicros() - updatedAt > TRAINING_SET_STALLED_MS * MICROS_PER_MS;
}

/** Sends the message of a set once more; when many ask at once, only one of them does. */
async function wake(c: AppContext, set: TrainingSet): Promise<void> {
  try {
    if (await touchTrainingSet(c.env.DB, set)) await announceTrainingSet(c.env, set);
  } catch (cause) {
    c.log.warning("a training set could not be woken", { request_id: c.requestId }, cause);
  }
}

export const trainingSetEndpoints = [
  createTrainingSet,
  listTrainingSets,
  getTrainingSet,
  getTrainingSetFile,
  deleteTrainingSet,
];
