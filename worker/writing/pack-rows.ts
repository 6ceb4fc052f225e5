/** Packs the rows of a statement into JSON parameters that D1 takes. Pure. */
import { MAX_D1_PARAMETER_CHARACTERS, MAX_PACKED_DATA_CHARACTERS } from "../limits.ts";

export type Cell = string | number | null | string[];

export interface PackedRow {
  cells: Cell[];
  /** Data too long to stand escaped in the JSON; its cell is null and the row travels alone. */
  longData: string | null;
}

/** One statement's parameters: a JSON array of rows, and the long data of its only row. */
export interface RowChunk {
  json: string;
  longData: string | null;
}

export function packData(data: string | null): { data: string | null; longData: string | null } {
  const isLong = data !== null && data.length > MAX_PACKED_DATA_CHARACTERS;
  return isLong ? { data: null, longData: data } : { data, longData: null };
}

/** Fills parameters, in order, up to what one may hold. */
export function chunkRows(rows: readonly PackedRow[]): RowChunk[] {
  const chunks: RowChunk[] = [];
  let texts: string[] = [];
  let characters = 0;
  const flush = () => {
    if (texts.length > 0) chunks.push({ json: `[${texts.join(",")}]`, longData: null });
    texts = [];
    characters = 0;
  };
  for (const { cells, longData } of rows) {
    const text = JSON.stringify(cells);
    if (longData !== null) {
      chunks.push({ json: `[${text}]`, longData });
      continue;
    }
    if (characters + text.length > MAX_D1_PARAMETER_CHARACTERS) flush();
    texts.push(text);
    characters += text.length + 1;
  }
  flush();
  return chunks;
}
