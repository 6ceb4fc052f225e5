/**
 * A training set on its way into its files. Pure.
 *
 * All files of a set have the same columns with the same types. What a feature is registered as decides, else the
 * values that come; when a file brings values which the type of the others does not hold, the type becomes a wider one,
 * and the others are written anew once all rows are. A type can only grow, twice at most, so that comes to an end.
 */
import type { trainingSets } from "../db/schema.ts";
import {
  TRAINING_SET_QUERY_CHARACTERS,
  TRAINING_SET_QUERY_LOOKUPS,
  TRAINING_SET_QUERY_ROWS,
} from "../limits.ts";
import type { ValueTypes } from "./training-parquet.ts";

export interface SetFile {
  /** In the bucket: no two that are ever written have the same, so that a late one overwrites nothing. */
  name: string;
  rows: number;
  bytes: number;
  /** The set's types have grown since: it must be written anew. */
  isStale: boolean;
}

export type TrainingSet = Omit<typeof trainingSets.$inferSelect, "featureNames" | "files" | "types"> & {
  featureNames: string[];
  files: SetFile[];
  types: ValueTypes;
};

export type SetChange = Partial<Pick<TrainingSet, "status" | "written" | "files" | "types" | "error">>;

/** The file to write next. */
export interface NextFile {
  position: number;
  /** Its first row. */
  from: number;
  /** How many rows it has, where the file is written anew; null: as many as a file holds. */
  rows: number | null;
}

type Progress = Pick<TrainingSet, "written" | "total" | "files" | "types">;

const FIRST_ROWS = 10;
const GROWTH = 4;

/**
 * Rows that are read with the next query, as many as their look-ups allow. Of the first ones nothing is known, so they
 * are few, however large their values may be; of those behind them it is supposed that they are like those before.
 *
 * @param before What has been read for the same file.
 */
export function rowsOfQuery(categories: number, before: { rows: number; characters: number }): number {
  const byLookups = Math.floor(TRAINING_SET_QUERY_LOOKUPS / Math.max(1, categories));
  const alike = Math.floor((TRAINING_SET_QUERY_CHARACTERS * before.rows) / Math.max(1, before.characters));
  const bySize = before.rows === 0 ? FIRST_ROWS : Math.min(GROWTH * before.rows, alike);
  return Math.max(1, Math.min(TRAINING_SET_QUERY_ROWS, byLookups, bySize));
}

/** @returns null when all is written. */
export function nextFile({ written, total, files }: Omit<Progress, "types">): NextFile | null {
  if (written < total) return { position: files.length, from: written, rows: null };
  const position = files.findIndex(({ isStale }) => isStale);
  const [file, before] = [files[position], files.slice(0, Math.max(position, 0))];
  return file ? { position, from: before.reduce((sum, { rows }) => sum + rows, 0), rows: file.rows } : null;
}

/** What is known of a set once `next` is written. */
export function afterFile(
  set: Progress,
  next: NextFile,
  { types, ...file }: Omit<SetFile, "isStale"> & { types: ValueTypes },
): SetChange {
  const isWider = types.some((type, position) => type !== set.types[position]);
  const others = isWider ? set.files.map((other) => ({ ...other, isStale: true })) : [...set.files];
  const files = others.toSpliced(next.position, 1, { ...file, isStale: false });
  const written = next.rows === null ? set.written + file.rows : set.written;
  const isDone = nextFile({ written, total: set.total, files }) === null;
  return { status: isDone ? "done" : "running", written, files, types, error: null };
}
