/**
 * Training rows as a Parquet file: `entity_id` and `timestamp`, and of each name asked for its value under that name,
 * with its event time in `<name>__timestamp` and its status in `<name>__status`. Pure.
 */
import { unprocessable } from "../errors.ts";
import { CONTROL_CHARACTER } from "../http/fields.ts";
import { columnType, valueColumn } from "./column-types.ts";
import { type Column, type ColumnType, parquetFile, timeValue } from "./parquet-file.ts";
import type { TrainingColumn, TrainingRow, TrainingValue } from "./training-answers.ts";

/** The types of the columns of values, in the order of the features; null while one has no values. */
export type ValueTypes = (ColumnType | null)[];

/**
 * @param valuesOf One value for each row, in their order.
 * @param known Types in other files of the same set, which the columns have too as long as their values fit.
 */
export function trainingParquet(
  columns: readonly TrainingColumn[],
  rows: readonly TrainingRow[],
  valuesOf: (column: TrainingColumn) => readonly TrainingValue[],
  known: ValueTypes = [],
): { file: Uint8Array<ArrayBuffer>; types: ValueTypes } {
  const types: ValueTypes = [];
  const features = columns.flatMap((column, position) => {
    const values = valuesOf(column);
    const type = columnType(
      values.map(({ json }) => json),
      column.version?.dtype ?? null,
      known[position],
    );
    types.push(type);
    return featureColumns(column.asked, values, type ?? "STRING");
  });
  const file = parquetFile([
    { name: "entity_id", type: "STRING", values: rows.map(({ entityId }) => entityId) },
    { name: "timestamp", type: "TIMESTAMP", values: rows.map(({ at }) => timeValue(at)) },
    ...features,
  ]);
  return { file, types };
}

const timestampName = (asked: string) => `${asked}__timestamp`;
const statusName = (asked: string) => `${asked}__status`;

function featureColumns(asked: string, values: readonly TrainingValue[], type: ColumnType): Column[] {
  return [
    valueColumn(
      asked,
      values.map(({ json }) => json),
      type,
    ),
    {
      name: timestampName(asked),
      type: "TIMESTAMP",
      values: values.map(({ eventTime }) => timeValue(eventTime)),
    },
    { name: statusName(asked), type: "STRING", values: values.map(({ status }) => status) },
  ];
}

/** @throws Problem 422 when two columns would have one name, or one a name that no feature can have. */
export function assertColumnNames(columns: readonly TrainingColumn[]): void {
  const names = new Set(["entity_id", "timestamp"]);
  for (const name of columns.flatMap(({ asked }) => [asked, timestampName(asked), statusName(asked)])) {
    if (names.has(name)) throw twice(name);
    if (CONTROL_CHARACTER.test(name) || !name.isWellFormed()) throw impossible();
    names.add(name);
  }
}

function twice(name: string) {
  return unprocessable({
    loc: ["body", "feature_names"],
    msg: `would make two columns \`${name}\` in Parquet; ask for them one by one, or in an answer of JSON`,
    type: "duplicate_column",
  });
}

function impossible() {
  return unprocessable({
    loc: ["body", "feature_names"],
    msg: "names of columns must be well-formed text without control characters",
    type: "invalid_column",
  });
}
