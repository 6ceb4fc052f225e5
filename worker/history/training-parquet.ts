/**
 * Training rows as a Parquet file: `entity_id` and `timestamp`, and of each name asked for its value under that name,
 * with its event time in `<name>__timestamp` and its status in `<name>__status`. Pure.
 */
import { unprocessable } from "../errors.ts";
import { CONTROL_CHARACTER } from "../http/fields.ts";
import type { Resolved } from "../registry/resolve-references.ts";
import { valueColumn } from "./column-types.ts";
import { type Column, parquetFile, timeValue } from "./parquet-file.ts";
import type { TrainingRow, TrainingValue } from "./training-answers.ts";

/** @throws Problem 422 when two columns would have one name, or one a name that no feature can have. */
export function trainingParquet(
  resolved: readonly Resolved[],
  rows: readonly TrainingRow[],
  valueIn: (row: TrainingRow, one: Resolved) => TrainingValue,
): Uint8Array<ArrayBuffer> {
  const columns: Column[] = [
    { name: "entity_id", type: "STRING", values: rows.map(({ entityId }) => entityId) },
    { name: "timestamp", type: "TIMESTAMP", values: rows.map(({ at }) => timeValue(at)) },
    ...resolved.flatMap((one) =>
      featureColumns(
        one,
        rows.map((row) => valueIn(row, one)),
      ),
    ),
  ];
  const names = new Set<string>();
  for (const { name } of columns) {
    if (names.has(name)) throw twice(name);
    if (CONTROL_CHARACTER.test(name) || !name.isWellFormed()) throw impossible();
    names.add(name);
  }
  return parquetFile(columns);
}

function featureColumns({ asked, version }: Resolved, values: readonly TrainingValue[]): Column[] {
  return [
    valueColumn(
      asked,
      values.map(({ json }) => json),
      version?.dtype ?? null,
    ),
    {
      name: `${asked}__timestamp`,
      type: "TIMESTAMP",
      values: values.map(({ eventTime }) => timeValue(eventTime)),
    },
    { name: `${asked}__status`, type: "STRING", values: values.map(({ status }) => status) },
  ];
}

function twice(name: string) {
  return unprocessable({
    loc: ["body", "feature_names"],
    msg: `would make two columns \`${name}\` in Parquet; ask for them one by one, or as JSON`,
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
