/**
 * The type of a column of feature values, and the values in it: by what the feature is registered as, else by what the
 * values are. Nothing is rounded but float32, to itself: what does not fit its type makes the column one of JSON texts.
 * Pure.
 */
import type { CatalogVersion } from "../registry/catalog.ts";
import { int64Of } from "../registry/dtypes.ts";
import { parseTimestamp } from "../timestamps.ts";
import { type Column, type ColumnType, type ColumnValue, timeValue } from "./parquet-file.ts";

/** All other types are JSON. */
const OF_DTYPE: Partial<Record<CatalogVersion["dtype"], ColumnType>> = {
  int64: "INT64",
  float64: "DOUBLE",
  float32: "FLOAT",
  string: "STRING",
  boolean: "BOOLEAN",
  timestamp: "TIMESTAMP",
};

/**
 * @param texts The values as JSON; `null` where there is none.
 * @param dtype Null: not registered.
 * @param known The type of the same column in another file, since all files shall have one type; null: none.
 * @returns `known` if the values fit it, else a wider type; null for a column that has no values and no type yet.
 */
export function columnType(
  texts: readonly string[],
  dtype: CatalogVersion["dtype"] | null,
  known: ColumnType | null = null,
): ColumnType | null {
  const present = texts.filter((text) => text !== "null");
  const own = dtype === null ? typeOf(present) : (OF_DTYPE[dtype] ?? "JSON");
  if (own === null) return known;
  const fitsType = (type: ColumnType) => present.every((text) => fits(type, text, dtype));
  const tried = known === null ? [own] : known === "DOUBLE" && own === "INT64" ? [known, own] : [known];
  return tried.find(fitsType) ?? "JSON";
}

export function valueColumn(name: string, texts: readonly string[], type: ColumnType): Column {
  return { name, type, values: texts.map((text) => (text === "null" ? null : toValue(type, text))) };
}

/** The type of values that are not registered: all numbers are float64, unless that would round one of them. */
function typeOf(present: readonly string[]): ColumnType | null {
  const [first] = present;
  if (first === undefined) return null;
  if (isString(first)) return "STRING";
  if (isBoolean(first)) return "BOOLEAN";
  if (!isNumber(first)) return "JSON";
  return present.every((text) => fits("DOUBLE", text, null)) ? "DOUBLE" : "INT64";
}

function fits(type: ColumnType, text: string, dtype: CatalogVersion["dtype"] | null): boolean {
  switch (type) {
    case "INT64":
      return isWhole(text) && int64Of(text) !== null;
    case "DOUBLE":
      // A fraction is written as the shortest text of its float64, which is exact; a whole number as it came, and so
      // as that text too where it came for a float64.
      if (isWhole(text)) return isExact(text) || (dtype === "float64" && String(Number(text)) === text);
      return isNumber(text);
    case "FLOAT":
      return isNumber(text) && Number.isFinite(Math.fround(Number(text)));
    case "BOOLEAN":
      return isBoolean(text);
    case "STRING":
      // Half a surrogate pair has no UTF-8; JSON writes it as an escape.
      return isString(text) && JSON.parse(text).isWellFormed();
    case "TIMESTAMP":
      return isString(text) && parseTimestamp(JSON.parse(text)) !== null;
    case "JSON":
      return true;
  }
}

function toValue(type: ColumnType, text: string): ColumnValue {
  switch (type) {
    case "INT64":
      return BigInt(text);
    case "DOUBLE":
    case "FLOAT":
      return Number(text);
    case "BOOLEAN":
      return text === "true";
    case "STRING":
      return JSON.parse(text);
    case "TIMESTAMP":
      return timeValue(parseTimestamp(JSON.parse(text)));
    case "JSON":
      return text;
  }
}

const isString = (text: string) => text.startsWith('"');
const isBoolean = (text: string) => text === "true" || text === "false";
const isNumber = (text: string) => /^[-\d]/.test(text);
const isWhole = (text: string) => /^-?\d+$/.test(text);
const isExact = (whole: string) =>
  Number.isSafeInteger(Number(whole)) || BigInt(Number(whole)) === BigInt(whole);
