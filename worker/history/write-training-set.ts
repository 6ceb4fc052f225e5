/**
 * Writes training sets, one file with each message of the queue. What is left to do stands in D1, a message only says
 * whose turn it is: a repeated one writes the same file again or finds nothing to do, of two at once one goes on, and
 * a lost one is sent again when somebody asks how far the set is.
 */
import type { ComputeMessage } from "../compute/compute-message.ts";
import { assert } from "../errors.ts";
import { TRAINING_SET_FILE_CHARACTERS, TRAINING_SET_FILE_ROWS } from "../limits.ts";
import { readPast } from "./point-in-time.ts";
import type { TrainingRow } from "./training-answers.ts";
import { trainingParquet } from "./training-parquet.ts";
import { trainingQuestions, type ValueIn } from "./training-questions.ts";
import type { AskedRows } from "./training-request.ts";
import { afterFile, type NextFile, nextFile, type TrainingSet } from "./training-set.ts";
import {
  changeTrainingSet,
  deleteFiles,
  findTrainingSet,
  getRequest,
  putFile,
  type TrainingSetKey,
} from "./training-set-store.ts";

/** Rows that are read with one query. */
const ROWS_PER_QUERY = 1_000;

type TrainingSetMessage = Extract<ComputeMessage, { kind: "training_set" }>;

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
export async function writeTrainingSet(env: Env, message: TrainingSetMessage): Promise<void> {
  const key = { tenantId: message.tenant_id, trainingSetId: message.training_set_id };
  const { DB: db, ARCHIVE: bucket } = env;
  if (!bucket) throw new Error("the binding ARCHIVE is gone");
  const set = await findTrainingSet(db, key);
  // Deleted: what an earlier step has put since is nobody's.
  if (!set) return deleteFiles(bucket, key);
  const next = nextFile(set);
  if (set.status === "done" || set.status === "failed" || !next) return;
  const asked = await getRequest(bucket, key);
  if (!asked) {
    const error = "what it asks for did not arrive; create it again";
    await changeTrainingSet(db, set, { status: "failed", error });
    return;
  }
  const { rows, valueIn } = await readRows(db.withSession("first-primary"), asked, { set, next });
  const { file, types } = trainingParquet(asked.columns, rows, valueIn, set.types);
  await putFile(bucket, key, { position: next.position, file });
  const change = afterFile(set, next, { rows: rows.length, bytes: file.length, types });
  const isOurs = await changeTrainingSet(db, set, change);
  if (isOurs && change.status === "running") await announceTrainingSet(env, key);
  if (!isOurs && !(await findTrainingSet(db, key))) await deleteFiles(bucket, key);
}

/** The rows of a file, which ends early where its values are many. */
async function readRows(
  db: D1DatabaseSession,
  asked: AskedRows,
  { set, next }: { set: Pick<TrainingSet, "tenantId" | "knownAt">; next: NextFile },
): Promise<{ rows: TrainingRow[]; valueIn: ValueIn }> {
  const end = Math.min(next.from + (next.rows ?? TRAINING_SET_FILE_ROWS), asked.rows.length);
  const read = new Map<TrainingRow, ValueIn>();
  let characters = 0;
  const isFull = () => next.rows === null && characters >= TRAINING_SET_FILE_CHARACTERS;
  for (let start = next.from; start < end && !isFull(); start += ROWS_PER_QUERY) {
    const rows = asked.rows.slice(start, Math.min(start + ROWS_PER_QUERY, end));
    const { questions, valuesIn } = trainingQuestions({ ...asked, rows });
    const valueIn = valuesIn(await readPast(db, set.tenantId, questions, set.knownAt));
    for (const row of rows) {
      read.set(row, valueIn);
      for (const column of asked.columns) characters += valueIn(row, column).json.length;
    }
  }
  const valueIn: ValueIn = (row, column) => {
    const own = read.get(row);
    assert(own, "a file has the rows that were read for it");
    return own(row, column);
  };
  return { rows: [...read.keys()], valueIn };
}
