/** Training sets: training data of more rows than an answer holds, as Parquet files in the archive's bucket. */
import { randomBytes } from "node:crypto";
import * as z from "zod";
import { Problem, unavailable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { type AppContext, requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredTimestamp, textUpTo, wholeNumber } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import {
  MAX_NAME_CHARACTERS,
  MAX_TRAINING_SET_ROWS,
  MAX_TRAINING_SETS_PER_TENANT,
  RETRY_AFTER_SECONDS,
  TRAINING_SET_FILE_ROWS,
  TRAINING_SET_STALLED_MS,
} from "../limits.ts";
import { formatTimestamp, MICROS_PER_MS, nowMicros } from "../timestamps.ts";
import { PARQUET_TYPE } from "./parquet-file.ts";
import { assertColumnNames } from "./training-parquet.ts";
import { askedRows, trainingRequest } from "./training-request.ts";
import type { TrainingSet } from "./training-set.ts";
import {
  changeTrainingSet,
  deleteFiles,
  fileName,
  findTrainingSet,
  forgetTrainingSet,
  getFile,
  hideTrainingSet,
  insertTrainingSet,
  listTrainingSets,
  putRequest,
} from "./training-set-store.ts";
import { announceTrainingSet } from "./write-training-set.ts";

const TAG = "training sets";
const ID_BYTES = 8;

const trainingSetParam = z.object({
  training_set_id: textUpTo(MAX_NAME_CHARACTERS).meta({ example: "ts_5f0c3f0e7e3c4d6b" }),
});

const trainingSetSchema = lazily(() =>
  z
    .object({
      training_set_id: z.string().meta({ example: "ts_5f0c3f0e7e3c4d6b" }),
      status: z.enum(["queued", "running", "done", "failed"]),
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

const createTrainingSet = endpoint(
  {
    method: "post",
    path: "/api/v1/training-sets",
    tag: TAG,
    summary: "Have a training set of many rows written into Parquet files",
    description: `As \`POST /api/v1/features/batch\`, for up to ${MAX_TRAINING_SET_ROWS} rows. They are written behind the answer, in files of ${TRAINING_SET_FILE_ROWS} rows or fewer with the same columns, in the order of the request. Without \`known_at\` it is the time of the request, so that all files know the same. The files stay until the set is deleted.`,
    scope: "read",
    request: { json: trainingRequest(MAX_TRAINING_SET_ROWS) },
    answers: { 202: { description: "It is being written.", schema: trainingSetSchema } },
    problems: [409],
  },
  async (c, { json }) => {
    const bucket = bucketOf(c);
    const context = requestContext(c);
    const asked = await askedRows(context, json);
    assertColumnNames(asked.columns);
    context.metrics?.about(asked.entityType, asked.rows.length);
    const now = nowMicros();
    const set: TrainingSet = {
      trainingSetId: `ts_${randomBytes(ID_BYTES).toString("hex")}`,
      tenantId: context.tenant,
      entityType: asked.entityType,
      featureNames: asked.columns.map((column) => column.asked),
      status: "queued",
      total: asked.rows.length,
      written: 0,
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
      await forgetTrainingSet(c.env.DB, set);
      throw unavailable("the training set could not be begun; try again", RETRY_AFTER_SECONDS);
    }
    return jsonAnswer(trainingSetAnswer(set), 202);
  },
);

const getTrainingSets = endpoint(
  {
    method: "get",
    path: "/api/v1/training-sets",
    tag: TAG,
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
    const sets = await listTrainingSets(c.env.DB, c.principal.tenant);
    return jsonAnswer({ training_sets: sets.map(trainingSetAnswer) });
  },
);

const getTrainingSet = endpoint(
  {
    method: "get",
    path: "/api/v1/training-sets/{training_set_id}",
    tag: TAG,
    summary: "How far a training set is, and its files",
    scope: "read",
    request: { param: trainingSetParam },
    answers: { 200: { description: "The training set.", schema: trainingSetSchema } },
    problems: [404],
  },
  async (c, { param }) => {
    const set = await ownTrainingSet(c, param.training_set_id);
    if (isStalled(set)) c.after(wake(c, set));
    return jsonAnswer(trainingSetAnswer(set));
  },
);

const getTrainingSetFile = endpoint(
  {
    method: "get",
    path: "/api/v1/training-sets/{training_set_id}/files/{file}",
    tag: TAG,
    summary: "A file of a training set that is done",
    scope: "read",
    request: { param: trainingSetParam.extend({ file: wholeNumber(0).meta({ example: 0 }) }) },
    answers: { 200: { description: "The file, streamed.", contentType: PARQUET_TYPE } },
    problems: [404, 409],
  },
  async (c, { param }) => {
    const bucket = bucketOf(c);
    const set = await ownTrainingSet(c, param.training_set_id);
    if (set.status !== "done")
      throw new Problem(409, `the training set is ${set.status}: its files are there when it is done`);
    const stored = set.files[param.file] && (await getFile(bucket, set, param.file));
    if (!stored) throw new Problem(404, "the training set has no such file");
    const name = `${set.trainingSetId}-${fileName(param.file)}`;
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
    tag: TAG,
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
    if (!(await hideTrainingSet(c.env.DB, key))) throw notFound();
    await deleteFiles(bucket, key);
    await forgetTrainingSet(c.env.DB, key);
    return jsonAnswer({ training_set_id: key.trainingSetId, status: "deleted" });
  },
);

function bucketOf({ env }: AppContext): R2Bucket {
  if (env.ARCHIVE) return env.ARCHIVE;
  throw new Problem(503, "training sets need a bucket, and none is bound as ARCHIVE to this deployment");
}

/** @throws Problem 404 for another tenant's as for none. */
async function ownTrainingSet(c: AppContext, trainingSetId: string): Promise<TrainingSet> {
  const set = await findTrainingSet(c.env.DB, { tenantId: c.principal.tenant, trainingSetId });
  if (!set) throw notFound();
  return set;
}

const notFound = () => new Problem(404, "there is no such training set");

function isStalled({ status, updatedAt }: TrainingSet): boolean {
  const isUnderWay = status === "queued" || status === "running";
  return isUnderWay && nowMicros() - updatedAt > TRAINING_SET_STALLED_MS * MICROS_PER_MS;
}

/** Of many that ask at once, one sends the message. */
async function wake(c: AppContext, set: TrainingSet): Promise<void> {
  try {
    if (await changeTrainingSet(c.env.DB, set, {})) await announceTrainingSet(c.env, set);
  } catch (cause) {
    c.log.warning("a training set could not be woken", { request_id: c.requestId }, cause);
  }
}

function trainingSetAnswer(set: TrainingSet) {
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

export const trainingSetEndpoints = [
  createTrainingSet,
  getTrainingSets,
  getTrainingSet,
  getTrainingSetFile,
  deleteTrainingSet,
];
