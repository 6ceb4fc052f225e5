/** Training rows with their values, read with one query; in several where D1 or an isolate could not hold the answer. */
import { askEach } from "../db/entity-databases.ts";
import { assert } from "../errors.ts";
import { MAX_PAST_BYTES } from "../limits.ts";
import type { Micros } from "../timestamps.ts";
import { type PastValue, type Question, readPast } from "./point-in-time.ts";
import type { TrainingColumn, TrainingRow, TrainingValue } from "./training-answers.ts";
import { trainingQuestions, type ValueIn } from "./training-questions.ts";
import type { AskedRows } from "./training-request.ts";

/** Rows that follow each other in what was asked for. */
export interface ReadRows {
  rows: readonly TrainingRow[];
  valueIn: ValueIn;
}

/** Of each column its values, in the order of the rows: what a file is made of. */
export type ColumnValues = Map<TrainingColumn, TrainingValue[]>;

export function noValues(columns: readonly TrainingColumn[]): ColumnValues {
  return new Map(columns.map((column) => [column, []]));
}

/** Adds the values of the rows that follow. @returns their characters. */
export function addValues(values: ColumnValues, { rows, valueIn }: ReadRows): number {
  let characters = 0;
  for (const [column, all] of values) {
    for (const row of rows) {
      const value = valueIn(row, column);
      characters += value.json.length;
      all.push(value);
    }
  }
  return characters;
}

export type ReadQuestions = (
  questions: readonly Question[],
  mostBytes: number,
) => Promise<Map<string, PastValue>[] | null>;

/**
 * @param sessions Of each of the tenant's databases.
 * @param knownAt Only what had been ingested by then; null: all.
 */
export function fromHistory(
  sessions: readonly D1DatabaseSession[],
  tenant: string,
  knownAt: Micros | null,
): ReadQuestions {
  return async (questions, mostBytes) => {
    const most = { knownAt, mostBytes: Math.floor(mostBytes / sessions.length) };
    const each = { databases: sessions.length, refOf: (question: Question) => question };
    const found = await askEach(questions, each, async (database, some) => {
      const session = sessions[database];
      assert(session, "a question is of one of the tenant's databases");
      return (await readPast(session, tenant, some, most)) ?? some.map(() => null);
    });
    const fitting = found.filter((one) => one !== null);
    return fitting.length === found.length ? fitting : null;
  };
}

/** All rows in their order. What is too large is asked for by halves; one row alone is always read. */
export async function* readTrainingRows(asked: AskedRows, read: ReadQuestions): AsyncGenerator<ReadRows> {
  const { rows } = asked;
  const { questions, valuesIn } = trainingQuestions(asked);
  const found = await read(questions, rows.length > 1 ? MAX_PAST_BYTES : Number.MAX_SAFE_INTEGER);
  if (found) {
    yield { rows, valueIn: valuesIn(found) };
    return;
  }
  const half = Math.ceil(rows.length / 2);
  yield* readTrainingRows({ ...asked, rows: rows.slice(0, half) }, read);
  yield* readTrainingRows({ ...asked, rows: rows.slice(half) }, read);
}
