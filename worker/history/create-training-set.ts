/** Asking for a training set. */
import * as z from "zod";
import { Problem, unavailable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { type AppContext, requestContext } from "../http/context.ts";
import { createOnce } from "../http/create-once.ts";
import { endpoint } from "../http/endpoint.ts";
import { type Checked, fieldsOfBody } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_TRAINING_SET_ROWS, MAX_TRAINING_SETS_PER_TENANT, TRAINING_SET_FILE_ROWS } from "../limits.ts";
import { newId } from "../new-id.ts";
import { type Micros, nowMicros } from "../timestamps.ts";
import { RETRY_AFTER_SECONDS } from "../timings.ts";
import { IDEMPOTENCY_HEADER } from "../writing/submit-changes.ts";
import { replayedHeader, writeRequestHeaders } from "../writing/submit-request.ts";
import { bucketOf } from "./set-bucket.ts";
import { assertColumnNames } from "./training-parquet.ts";
import { type AskedRows, askedRows, assertFound, trainingRequest } from "./training-request.ts";
import type { TrainingSet } from "./training-set.ts";
import { TRAINING_SETS, trainingSetAnswer, trainingSetSchema } from "./training-set-schemas.ts";
import {
  findTrainingSet,
  hasRequest,
  insertTrainingSet,
  putRequest,
  touchTrainingSet,
} from "./training-set-store.ts";
import { announceTrainingSet, endDeletion } from "./write-training-set.ts";

const request = lazily(() => trainingRequest(MAX_TRAINING_SET_ROWS));

export const createTrainingSet = endpoint(
  {
    method: "post",
    path: "/api/v1/training-sets",
    tag: TRAINING_SETS,
    summary: "Have a training set of many rows written into Parquet files",
    description: `As \`POST /api/v1/features/batch\`, for up to ${MAX_TRAINING_SET_ROWS} rows. They are written behind the answer, in files of ${TRAINING_SET_FILE_ROWS} rows or fewer with the same columns, in the order of the request. A name that is found in no row, since it is not registered, is refused. Without \`known_at\` it is the time of the request, so that all files know the same. The files stay until the set is deleted.`,
    scope: "read",
    request: { query: () => z.object(fieldsOfBody("is a field of the body")), json: request },
    requestHeaders: writeRequestHeaders,
    answers: {
      202: { description: "It is being written.", schema: trainingSetSchema, headers: replayedHeader },
    },
    problems: [409],
  },
  async (c, { json }) => {
    const bucket = bucketOf(c);
    const asked = lazily(() => checkedRows(c, json));
    const { made, isNew, headers } = await createOnce<TrainingSet>(c, {
      make: async () => newSet(c.principal.tenant, await asked(), json.known_at),
      insert: (set, once) => insertTrainingSet(c.env.DB, set, once),
      refusal: () => {
        const detail = `a tenant may have ${MAX_TRAINING_SETS_PER_TENANT} training sets; delete one first`;
        return new Problem(409, detail);
      },
    });
    try {
      await (isNew ? begin(c, bucket, made, asked) : beginAgain(c, bucket, made, asked));
    } catch (cause) {
      throw await notBegun(c, bucket, made, cause);
    }
    return jsonAnswer(trainingSetAnswer(made), 202, headers);
  },
);

/** @throws Problem 422 naming what does not fit. */
async function checkedRows(c: AppContext, json: Checked<typeof request>): Promise<AskedRows> {
  const context = requestContext(c);
  const asked = await askedRows(context, json);
  assertFound(asked.columns, json.feature_names);
  assertColumnNames(asked.columns);
  context.metrics?.about(asked.entityType, asked.rows.length);
  return asked;
}

function newSet(tenantId: string, asked: AskedRows, knownAt: Micros | undefined): TrainingSet {
  const now = nowMicros();
  return {
    trainingSetId: newId("ts_"),
    tenantId,
    entityType: asked.entityType,
    featureNames: asked.columns.map((column) => column.asked),
    status: "queued",
    total: asked.rows.length,
    written: 0,
    step: 0,
    tries: 0,
    // What is ingested while it is written would be in some of its rows only.
    knownAt: Math.min(knownAt ?? now, now),
    files: [],
    types: [],
    error: null,
    createdAt: now,
    updatedAt: now,
  };
}

type Asked = () => Promise<AskedRows>;

async function begin(c: AppContext, bucket: R2Bucket, set: TrainingSet, asked: Asked): Promise<void> {
  await putRequest(bucket, set, await asked());
  await announceTrainingSet(c.env, set);
}

/** What an earlier request has made, it may have failed to begin. Of many that come again at once one does, mostly. */
async function beginAgain(c: AppContext, bucket: R2Bucket, made: TrainingSet, asked: Asked): Promise<void> {
  const set = await findTrainingSet(c.env.DB, made);
  if (set?.status !== "queued" || set.tries > 0) return;
  const isThere = await hasRequest(bucket, set);
  if (!isThere) await putRequest(bucket, set, await asked());
  const isTouched = await touchTrainingSet(c.env.DB, set);
  // Where it was deleted meanwhile, who reads the message removes what was put.
  if (isTouched || !isThere) await announceTrainingSet(c.env, set);
}

/** A request that comes again with its key goes on with the set. Any other makes another one, so that this one goes. */
async function notBegun(c: AppContext, bucket: R2Bucket, set: TrainingSet, cause: unknown): Promise<Problem> {
  if (cause instanceof Problem) return cause;
  c.log.error("a training set could not be begun", cause, { request_id: c.requestId });
  if (c.header(IDEMPOTENCY_HEADER) === undefined) {
    await endDeletion(c.env.DB, bucket, set).catch((again: unknown) => {
      c.log.warning("what was begun of a training set is left", { request_id: c.requestId }, again);
    });
  }
  return unavailable("the training set could not be begun; try again", RETRY_AFTER_SECONDS);
}
