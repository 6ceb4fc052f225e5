/** Packs the rows of a statement into JSON parameters that D1 takes. Pure. */
import { jsonParts } from "../db/json-parts.ts";
import { MAX_PACKED_DATA_CHARACTERS } from "../limits.ts";

export type Cell = string | number | null | string[];

export interface PackedRow {
  cells: Cell[];
  /** Data too long to stand escaped in the JSON; its cell is null and the row travels alone. */
  longData: string | null;
}

/** One statement's parameters: a JSON array of rows, and the long data of its only row. */
interface RowChunk {
  json: string;
  longData: string | null;
}

export function packData(data: string | null): { data: string | null; longData: string | null } {
  const isLong = data !== null && data.length > MAX_PACKED_DATA_CHARACTERS;
  return isLong ? { data: null, longData: data } : { data, longData: null };
}

/** As few parameters as hold all rows; each row with long data has one of its own. */
export function chunkRows(rows: readonly PackedRow[]): RowChunk[] {
  const chunks: RowChunk[] = [];
  const together: Cell[][] = [];
  for (const { cells, longData } of rows) {
    if (longData === null) together.push(cells);
    else chunks.push({ json: JSON.stringify([cells]), longData });
  }
  for (const json of jsonParts(together)) chunks.push({ json, longData: null });
  return chunks;
}
