/** The columns of raw tables, and whether rows fit them. Pure. */
import type { Fault } from "../errors.ts";
import { isJsonObject, kindOf, rawDigits } from "../json.ts";
import {
  MAX_CELL_CHARACTERS,
  MAX_COLUMN_NAME_CHARACTERS,
  MAX_INGEST_FAULTS,
  MAX_RAW_ROW_CHARACTERS,
} from "../limits.ts";
import { formatTimestamp, parseTimestamp } from "../timestamps.ts";

export const COLUMN_TYPES = ["string", "float", "integer", "boolean", "timestamp", "json"] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

/** Other spellings of the types. */
const SPELLINGS: ReadonlyMap<string, ColumnType> = new Map([
  ["str", "string"],
  ["text", "string"],
  ["double", "float"],
  ["number", "float"],
  ["float32", "float"],
  ["float64", "float"],
  ["int", "integer"],
  ["int64", "integer"],
  ["bool", "boolean"],
  ["datetime", "timestamp"],
  ["object", "json"],
]);

/** How a column may be called. */
export const COLUMN_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Null when it is no type, in any spelling. */
export function columnType(written: string): ColumnType | null {
  const name = written.toLowerCase();
  return COLUMN_TYPES.find((type) => type === name) ?? SPELLINGS.get(name) ?? null;
}

/** `optional`: it was added later, so rows may lack it. All others stand in every row, though they may be null. */
export type Column = [name: string, type: ColumnType, presence?: "optional" | undefined];
export type Columns = readonly Column[];

export interface RawSchema {
  /** In the order of registration. */
  columns: Columns;
  timestampColumn: string | null;
}

/** Those whose names the others have not. */
export function without(columns: Columns, others: readonly (readonly [string, ...unknown[]])[]): Column[] {
  const names = new Set(others.map(([name]) => name));
  return columns.filter(([name]) => !names.has(name));
}

/** A name as an SQL identifier. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The affinity of a column in SQLite. */
function sqliteType(type: ColumnType): "TEXT" | "REAL" | "INTEGER" {
  if (type === "float") return "REAL";
  return type === "integer" || type === "boolean" ? "INTEGER" : "TEXT";
}

/** The column list of a `CREATE TABLE`. */
export function columnDefinitions(columns: Columns): string {
  return columns.map(([name, type]) => `${quoted(name)} ${sqliteType(type)}`).join(", ");
}

/** Rows as they are stored: cells in the order of the columns. `longestText` in bytes. */
type CheckedRows = { ok: true; rows: unknown[][]; longestText: number } | { ok: false; faults: Fault[] };

/**
 * Checks every row before anything is kept.
 *
 * @param loc Where the rows stand in the request; a fault's place is that, the row from 0, and the column.
 */
export function checkRows(
  schema: RawSchema,
  rows: readonly unknown[],
  loc: (string | number)[],
): CheckedRows {
  const faults: Fault[] = [];
  const checked: unknown[][] = [];
  const known = new Set(schema.columns.map(([name]) => name));
  let longestText = 0;
  for (const [position, row] of rows.entries()) {
    if (faults.length >= MAX_INGEST_FAULTS) break;
    const at = [...loc, position];
    if (!isJsonObject(row)) {
      faults.push({
        loc: at,
        msg: `expected an object of columns, found ${numberOrKindOf(row)}`,
        type: "row_type",
      });
      continue;
    }
    const given = new Map(Object.entries(row));
    for (const name of given.keys()) {
      if (known.has(name)) continue;
      const column = name.slice(0, MAX_COLUMN_NAME_CHARACTERS);
      faults.push({ loc: [...at, column], msg: "is not a column of this table", type: "unknown_column" });
    }
    let characters = 0;
    const cells: unknown[] = [];
    for (const [name, type, presence] of schema.columns) {
      const value = given.get(name);
      const cell = checkCell(type, value === undefined && presence === "optional" ? null : value);
      if (!cell.ok) {
        const msg = `expected ${type}, found ${cell.found}`;
        faults.push({ loc: [...at, name], msg, type: "column_type" });
        continue;
      }
      if (typeof cell.value === "string") {
        longestText = longerOf(longestText, cell.value);
        characters += cell.value.length;
      }
      cells.push(cell.value);
    }
    checked.push(cells);
    if (characters > MAX_RAW_ROW_CHARACTERS) {
      const msg = `expected at most ${MAX_RAW_ROW_CHARACTERS} characters of text, found ${characters}`;
      faults.push({ loc: at, msg, type: "row_too_large" });
    }
  }
  return faults.length > 0
    ? { ok: false, faults: faults.slice(0, MAX_INGEST_FAULTS) }
    : { ok: true, rows: checked, longestText };
}

const encoder = new TextEncoder();

/** A character is at most three bytes: most texts need not be encoded to be found shorter. */
function longerOf(longestBytes: number, text: string): number {
  return text.length * 3 <= longestBytes ? longestBytes : Math.max(longestBytes, encoder.encode(text).length);
}

type Cell = { ok: true; value: unknown } | { ok: false; found: string };

function checkCell(type: ColumnType, value: unknown): Cell {
  if (value === undefined) return { ok: false, found: "nothing" };
  if (value === null) return { ok: true, value };
  switch (type) {
    case "string":
      return typeof value === "string" ? fitting(value) : mismatch(value);
    case "float": {
      const number = rawDigits(value) === null ? value : Number(rawDigits(value));
      return typeof number === "number" ? { ok: true, value: number } : mismatch(value);
    }
    case "integer":
      return checkInteger(value);
    case "boolean":
      return typeof value === "boolean" ? { ok: true, value } : mismatch(value);
    case "timestamp": {
      if (typeof value !== "string") return mismatch(value);
      const time = parseTimestamp(value);
      return time === null
        ? { ok: false, found: "no ISO 8601 timestamp with a zone" }
        : { ok: true, value: formatTimestamp(time) };
    }
    case "json":
      return fitting(JSON.stringify(value));
  }
}

function checkInteger(value: unknown): Cell {
  const digits = rawDigits(value);
  if (digits === null) {
    if (typeof value !== "number") return mismatch(value);
    return Number.isSafeInteger(value)
      ? { ok: true, value }
      : { ok: false, found: "a number that is not whole, or not exact" };
  }
  const integer = BigInt(digits);
  return integer === BigInt.asIntN(64, integer)
    ? { ok: true, value }
    : { ok: false, found: "an integer beyond 64 bits" };
}

function fitting(text: string): Cell {
  if (text.length > MAX_CELL_CHARACTERS) {
    return { ok: false, found: `${text.length} characters of at most ${MAX_CELL_CHARACTERS}` };
  }
  return text.isWellFormed()
    ? { ok: true, value: text }
    : { ok: false, found: "text that is not well-formed Unicode" };
}

function mismatch(value: unknown): Cell {
  return { ok: false, found: numberOrKindOf(value) };
}

/** JSON has one kind of number; which values are whole is the matter of a column of integers alone. */
function numberOrKindOf(value: unknown): string {
  const kind = kindOf(value);
  return kind === "integer" ? "number" : kind;
}
