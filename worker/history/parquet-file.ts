/** Parquet files in memory: columns of one type each, Snappy pages. The same columns make the same bytes. Pure. */
import { parquetWriteBuffer } from "hyparquet-writer";
import type { Micros } from "../timestamps.ts";

/** `TIMESTAMP` counts microseconds since 1970 in UTC; `JSON` is a text that holds JSON. */
export const COLUMN_TYPES = ["INT64", "DOUBLE", "FLOAT", "BOOLEAN", "STRING", "TIMESTAMP", "JSON"] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

export type ColumnValue = bigint | number | boolean | string | null;

export interface Column {
  name: string;
  type: ColumnType;
  /** One for each row; null where the row has none. */
  values: ColumnValue[];
}

export const PARQUET_TYPE = "application/vnd.apache.parquet";

const PHYSICAL = {
  INT64: { type: "INT64" },
  DOUBLE: { type: "DOUBLE" },
  FLOAT: { type: "FLOAT" },
  BOOLEAN: { type: "BOOLEAN" },
  STRING: { type: "BYTE_ARRAY", converted_type: "UTF8" },
  // The writer would parse a column of its own JSON type, and round what it holds.
  JSON: { type: "BYTE_ARRAY", converted_type: "UTF8" },
  TIMESTAMP: {
    type: "INT64",
    converted_type: "TIMESTAMP_MICROS",
    logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MICROS" },
  },
} as const;

/** In the file's metadata: a JSON list of the names of the columns whose texts hold JSON. */
const JSON_COLUMNS = "json_columns";

/** @param columns At least one, of equal length, with names that differ. */
export function parquetFile(columns: readonly Column[]): Uint8Array<ArrayBuffer> {
  const schema = columns.map(({ name, type }) => ({
    name,
    repetition_type: "OPTIONAL" as const,
    ...PHYSICAL[type],
  }));
  const jsonColumns = columns.filter(({ type }) => type === "JSON").map(({ name }) => name);
  return new Uint8Array(
    parquetWriteBuffer({
      schema: [{ name: "root", num_children: columns.length }, ...schema],
      columnData: columns.map(({ name, values }) => ({ name, data: values })),
      kvMetadata: [{ key: JSON_COLUMNS, value: JSON.stringify(jsonColumns) }],
      createdBy: "edge-feature-store",
    }),
  );
}

export const timeValue = (time: Micros | null): bigint | null => (time === null ? null : BigInt(time));
