/** Training rows as questions to the history, one for each distinct entity, time and category. Pure. */
import type { PastValue, Question } from "./point-in-time.ts";
import {
  type TrainingColumn,
  type TrainingRow,
  type TrainingValue,
  trainingValue,
} from "./training-answers.ts";
import type { AskedRows } from "./training-request.ts";

export type ValueIn = (row: TrainingRow, column: TrainingColumn) => TrainingValue;

interface TrainingQuestions {
  questions: Question[];
  /** @param found The answers, in the order of the questions. */
  valuesIn: (found: readonly ReadonlyMap<string, PastValue>[]) => ValueIn;
}

const questionKey = (row: TrainingRow, category: string) => JSON.stringify([row.entityId, row.at, category]);

export function trainingQuestions({ entityType, columns, rows }: AskedRows): TrainingQuestions {
  const byCategory = Map.groupBy(
    columns.filter(({ category }) => category !== null),
    ({ category }) => category ?? "",
  );
  const questions: Question[] = [];
  const positionOf = new Map<string, number>();
  for (const row of rows) {
    for (const [category, wanted] of byCategory) {
      const key = questionKey(row, category);
      if (positionOf.has(key)) continue;
      positionOf.set(key, questions.length);
      const features = [...new Set(wanted.map(({ stored }) => stored))];
      questions.push({ entityType, entityValue: row.entityId, category, at: row.at, features });
    }
  }
  const valuesIn: TrainingQuestions["valuesIn"] = (found) => (row, column) => {
    const { category, stored } = column;
    const position = category === null ? undefined : positionOf.get(questionKey(row, category));
    return trainingValue(column, position === undefined ? undefined : found[position]?.get(stored), row.at);
  };
  return { questions, valuesIn };
}
