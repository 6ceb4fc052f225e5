/** Reads a page of the rows of a raw table, in steps between which others have their turn. */
import { MAX_ROWS_PAGE_BYTES } from "../limits.ts";
import { sleep } from "../waits.ts";
import type { ChosenRowsStore } from "./chosen-rows-store.ts";
import type { RawSchema } from "./raw-columns.ts";
import type { RowChoice } from "./row-choice.ts";

export interface RowsRequest {
  schema: RawSchema;
  /** Null: all rows. */
  choice: RowChoice | null;
  /** The number of the last row of the page before; 0 for the first page. */
  after: number;
  limit: number;
}

export interface RowPage {
  /** Each row as the text of a JSON object, in the order of their arrival. */
  texts: string[];
  /** The number of the last of them, where there are more behind it. */
  next: number | null;
}

/** @param rows As they are now: a table may be dropped meanwhile. */
export async function readRows(rows: () => ChosenRowsStore, request: RowsRequest): Promise<RowPage> {
  const { schema, choice, after, limit } = request;
  const texts: string[] = [];
  let bytes = MAX_ROWS_PAGE_BYTES;
  let last = after;
  for (let from = after + 1; ; ) {
    const range = rows().nextRange(from, schema);
    if (!range) return { texts, next: null };
    const room = { rows: limit - texts.length, bytes, isFirst: texts.length === 0 };
    const read = rows().read(schema, choice, { range, room });
    texts.push(...read.texts);
    bytes -= read.bytes;
    last = read.last ?? last;
    if (read.isFull) return { texts, next: last };
    from = range.end;
    // A timer, since a promise alone lets nobody in.
    await sleep(0);
  }
}
