/**
 * Writes training sets, one file with each message of the queue. What is left to do stands in D1, a message only says
 * whose turn it is: a repeated one writes the same file again or finds nothing to do, of two at once one goes on, and
 * a lost one is sent again when somebody asks how far the set is.
 */
import type { ComputeMessage } from "../compute/compute-message.ts";
import { databasesOf } from "../db/entity-databases.ts";
import { eachInTurn } from "../each-in-turn.ts";
import type { ServiceContext } from "../env.ts";
import {
  MAX_TRAINING_SET_TRIES,
  TRAINING_SET_FILE_CHARACTERS,
  TRAINING_SET_FILE_ROWS,
  TRAINING_SET_FILE_VALUES,
} from "../limits.ts";
import { spreadOf } from "../tenants/spread.ts";
import {
  addValues,
  type ColumnValues,
  fromHistory,
  noValues,
  type ReadQuestions,
  readTrainingRows,
} from "./read-training-rows.ts";
import type { TrainingColumn, TrainingRow } from "./training-answers.ts";
import { trainingParquet } from "./training-parquet.ts";
import type { AskedRows } from "./training-request.ts";
import { afterFile, type NextFile, nextFile, rowsOfQuery } from "./training-set.ts";
import {
  beginTry,
  changeTrainingSet,
  deleteFile,
  deleteFiles,
  findTrainingSet,
  forgetTrainingSet,
  getRequest,
  hiddenTrainingSets,
  newFileName,
  putFile,
  type TrainingSetKey,
} from "./training-set-store.ts";

export type TrainingSetMessage = Extract<ComputeMessage, { kind: "training_set" }>;

export const keyOfSet = (message: TrainingSetMessage): TrainingSetKey => ({
  tenantId: message.tenant_id,
  trainingSetId: message.training_set_id,
});

/** Has the next file of a set written. */
export async function announceTrainingSet(
  env: Env,
  { tenantId, trainingSetId }: TrainingSetKey,
): Promise<void> {
  await env.FEATURE_COMPUTE.send({
    kind: "training_set",
    tenant_id: tenantId,
    training_set_id: trainingSetId,
  } satisfies TrainingSetMessage);
}

/** Writes the next file of a set, and has the one behind it written. */
export async function writeTrainingSet(
  { env, log }: Pick<ServiceContext, "env" | "log">,
  message: TrainingSetMessage,
): Promise<void> {
  const key = keyOfSet(message);
  const { DB: db, ARCHIVE: bucket } = env;
  if (!bucket) throw new Error("the binding ARCHIVE is gone");
  // First: a try that the platform ends counts too.
  const tries = await beginTry(db, key);
  const set = await findTrainingSet(db, key);
  if (!set) return endDeletion(db, bucket, key);
  const next = nextFile(set);
  if (tries === null || !next) return;
  const fail = (error: string) => changeTrainingSet(db, set, { status: "failed", error });
  if (tries > MAX_TRAINING_SET_TRIES) {
    await fail(`it could not be written in ${MAX_TRAINING_SET_TRIES} tries; ask for fewer rows or features`);
    return;
  }
  const asked = await getRequest(bucket, key);
  if (!asked) {
    await fail("what it asks for did not arrive; create it again");
    return;
  }
  const databases = databasesOf(env, await spreadOf({ env, log }, set.tenantId));
  const read = fromHistory(
    databases.map((one) => one.withSession("first-primary")),
    set.tenantId,
    set.knownAt,
  );
  const { rows, values } = await readRows(read, asked, next);
  const valuesOf = (column: TrainingColumn) => values.get(column) ?? [];
  const { file, types } = trainingParquet(asked.columns, rows, valuesOf, set.types);
  const name = newFileName(next.position);
  await putFile(bucket, key, { name, file });
  const change = afterFile(set, next, { name, rows: rows.length, bytes: file.length, types });
  const isOurs = await changeTrainingSet(db, set, change);
  // The one that was written anew, or ours that came too late.
  const unneeded = isOurs ? set.files[next.position]?.name : name;
  if (unneeded !== undefined) await deleteFile(bucket, key, unneeded);
  if (isOurs && change.status === "running") await announceTrainingSet(env, key);
}

/** Deleted, or never there: what an earlier step has put since is nobody's. */
export async function endDeletion(db: D1Database, bucket: R2Bucket, key: TrainingSetKey): Promise<void> {
  await deleteFiles(bucket, key);
  await forgetTrainingSet(db, key);
}

/** By the cron: where who deleted it gave up, and its message was lost. @throws the first failure; it ends no other. */
export async function endDeletions({ DB: db, ARCHIVE: bucket }: Env): Promise<void> {
  if (bucket) await eachInTurn(await hiddenTrainingSets(db), (key) => endDeletion(db, bucket, key));
}

/** The rows of a file, which ends early where its values are many or large. */
async function readRows(
  read: ReadQuestions,
  asked: AskedRows,
  next: NextFile,
): Promise<{ rows: TrainingRow[]; values: ColumnValues }> {
  const values = noValues(asked.columns);
  const categories = new Set(asked.columns.flatMap(({ category }) => category ?? [])).size;
  const byValues = Math.floor(TRAINING_SET_FILE_VALUES / asked.columns.length);
  const most = next.rows ?? Math.min(TRAINING_SET_FILE_ROWS, byValues);
  const end = Math.min(next.from + most, asked.rows.length);
  let [at, characters] = [next.from, 0];
  const isFull = () => next.rows === null && characters >= TRAINING_SET_FILE_CHARACTERS;
  while (at < end && !isFull()) {
    const before = { rows: at - next.from, characters };
    const rows = asked.rows.slice(at, Math.min(at + rowsOfQuery(categories, before), end));
    for await (const part of readTrainingRows({ ...asked, rows }, read)) {
      characters += addValues(values, part);
      at += part.rows.length;
      if (isFull()) break;
    }
  }
  return { rows: asked.rows.slice(next.from, at), values };
}
