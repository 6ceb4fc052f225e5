/** What a file is read into: records, each at its place. */

/** Values by column, as JSON has them; an integer beyond 2^53 as the raw JSON of `worker/json.ts`. */
export type Row = ReadonlyMap<string, unknown>;

/** A record that cannot be taken for a row has the reason, and what stands there. */
export type FileRecord = { place: number; row: Row } | { place: number; fault: string; raw: unknown };

/** What is found of a file before anything of it is written. */
export interface FileContents {
  columns: readonly string[];
  records: number;
}

/** A value that has no JSON, or not the type that it should have; the message says why, after the column's name. */
export class BadCell extends Error {}
