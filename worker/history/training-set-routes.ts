/** Training sets: training data of more rows than an answer holds, as Parquet files in the archive's bucket. */
import * as z from "zod";
import { Problem, unavailable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { type AppContext, requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { wholeNumber } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_TRAINING_SET_ROWS, MAX_TRAINING_SETS_PER_TENANT, TRAINING_SET_FILE_ROWS } from "../limits.ts";
import { newId } from "../new-id.ts";
import { MICROS_PER_MS, nowMicros } from "../timestamps.ts";
import { RETRY_AFTER_SECONDS, TRAINING_SET_STALLED_MS } from "../timings.ts";
import { PARQUET_TYPE } from "./parquet-file.ts";
import { assertColumnNames } from "./training-parquet.ts";
import { askedRows, assertFound, trainingRequest } from "./training-request.ts";
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
  insertTrainingSet,
  putRequest,
  selectTrainingSets,
  touchTrainingSet,
} from "./training-set-store.ts";
import { announceTrainingSet, endDeletion } from "./write-training-set.ts";

const createTrainingSet = endpoint(
  {
    method: "post",
    path: "/api/v1/training-sets",
    tag: TRAINING_SETS,
    summary: "Have a training set of many rows written into Parquet files",
    description: `As \`POST /api/v1/features/batch\`, for up to ${MAX_TRAINING_SET_ROWS} rows. They are written behind the answer, in files of ${TRAINING_SET_FILE_ROWS} rows or fewer with the same columns, in the order of the request. A name that is found in no row, since it is not registered, is refused. Without \`known_at\` it is the time of the request, so that all files know the same. The files stay until the set is deleted.`,
    scope: "read",
    request: { json: trainingRequest(MAX_TRAINING_SET_ROWS) },
    answers: { 202: { description: "It is being written.", schema: trainingSetSchema } },
    problems: [409],
  },
  async (c, { json }) => {
    const bucket = bucketOf(c);
    const context = requestContext(c);
    const asked = await askedRows(context, json);
    assertFound(asked.columns, json.feature_names);
    assertColumnNames(asked.columns);
    context.metrics?.about(asked.entityType, asked.rows.length);
    const now = nowMicros();
    const set: TrainingSet = {
      trainingSetId: newId("ts_"),
      tenantId: context.tenant,
      entityType: asked.entityType,
      featureNames: asked.columns.map((column) => column.asked),
      status: "queued",
      total: asked.rows.length,
      written: 0,
      step: 0,
      tries: 0,
      // What is ingested while it is written would be in some of its rows only.
      knownAt: Math.min(json.known_at ?? now, now),
      files: [],
      types: [],
      error: null,
      createdAt: now,
      updatedAt: now,
    };
    if ((await insertTrainingSet(c.env.DB, set)) === "too many") {
      const detail = `a tenant may have ${MAX_TRAINING_SETS_PER_TENANT} training sets; delete one first`;
      throw new Problem(409, detail);
    }
    try {
      await putRequest(bucket, set, asked);
      await announceTrainingSet(c.env, set);
    } catch (cause) {
      c.log.error("a training set could not be begun", cause, { request_id: c.requestId });
      await endDeletion(c.env.DB, bucket, set).catch((again: unknown) => {
        c.log.warning("what was begun of a training set is left", { request_id: c.requestId }, again);
      });
      throw unavailable("the training set could not be begun; try again", RETRY_AFTER_SECONDS);
    }
    return jsonAnswer(trainingSetAnswer(set), 202);
  },
);

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
    request: { param: trainingSetParam.extend({ file: wholeNumber(0).meta({ example: 0 }) }) },
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

function bucketOf({ env }: AppContext): R2Bucket {
  if (env.ARCHIVE) return env.ARCHIVE;
  throw new Problem(503, "training sets need a bucket, and none is bound as ARCHIVE to this deployment");
}

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
