/**
 * Rows of a raw table that somebody asks for, or wants gone, by a value of theirs. Nothing finds them but a walk over all
 * rows, whose steps hold up nobody. Every method is synchronous.
 */
import { rowOf, rowsOf } from "../db/object-sql.ts";
import type { AgedRowsStore } from "./aged-rows-store.ts";
import type { ComputationStore } from "./computation-store.ts";
import { type ErasedRow, type ErasedTimesStore, keysOfErased, timesOfErased } from "./erased-times-store.ts";
import type { FollowerStore } from "./follower-store.ts";
import type { RawSchema } from "./raw-columns.ts";
import { BLOCK_OF_ROW, bytesOfTexts, isThere, type RowRange, rangeFrom } from "./row-blocks.ts";
import { conditionOf, type RowChoice } from "./row-choice.ts";
import type { RowColumns } from "./row-columns.ts";
import { cellsOf, rowText } from "./row-text.ts";

/** What a page may still take; `bytes` of texts. Its first row is taken however long it is. */
export interface Room {
  rows: number;
  bytes: number;
  isFirst: boolean;
}

export interface ErasureStep {
  removed: number;
  /** The first row of the next step; null: that was the last one. */
  next: number | null;
}

interface Others {
  columns: RowColumns;
  agedRows: AgedRowsStore;
  followers: FollowerStore;
  computations: ComputationStore;
  erasedTimes: ErasedTimesStore;
}

/** Which rows go. */
export interface Erasure {
  choice: RowChoice;
  /** Of the features that are computed from the table. */
  entityKeys: readonly string[];
}

export class ChosenRowsStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #others: Others;

  constructor(storage: DurableObjectStorage, others: Others) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#others = others;
  }

  /** The number that the next row to come has at least. */
  nextRow(): number {
    if (!isThere(this.#sql, "fs_rows")) return 1;
    return rowOf<{ next: number }>(this.#sql, "SELECT coalesce(max(rowid), 0) + 1 AS next FROM fs_rows").next;
  }

  /** The rows of the next step of a walk, from one on; null: there are none. They have the columns of the schema. */
  nextRange(from: number, schema: RawSchema): RowRange | null {
    return this.#range(from, this.#others.columns.widened(schema));
  }

  #range(from: number, widened: RawSchema): RowRange | null {
    return isThere(this.#sql, "fs_rows") ? rangeFrom(this.#sql, from, widened) : null;
  }

  /** As many rows of a step as there is room for. `last`: the one behind which others have none. */
  read(
    schema: RawSchema,
    choice: RowChoice | null,
    { range, room }: { range: RowRange; room: Room },
  ): RowsRead {
    const found = this.#find(schema, choice, { ...range, most: room.rows + 1 });
    const taken = taking(found, room);
    const last = taken.at(-1)?.row;
    const isFull = taken.length < found.length;
    if (last === undefined) return { texts: [], bytes: 0, isFull };
    const cells = `SELECT ${cellsOf(schema)} FROM fs_rows WHERE ${within(choice)} ORDER BY rowid`;
    const read = this.#sql.exec(cells, ...bound(choice, { from: range.from, end: last + 1 })).raw();
    const texts = Array.from(read, (row) => rowText(schema, row));
    const bytes = taken.reduce((sum, row) => sum + row.bytes, 0);
    return { texts, bytes, last, isFull };
  }

  /**
   * Removes the rows of one step that are chosen, all or none of them.
   *
   * Counts as an ingest, and as more: what was computed before is not to be written any more.
   *
   * @param walk From a row up to another, which stays.
   */
  erase(registered: RawSchema, { choice, entityKeys }: Erasure, walk: RowRange): ErasureStep {
    return this.#storage.transactionSync((): ErasureStep => {
      const schema = this.#others.columns.widened(registered);
      const range = this.#range(walk.from, schema);
      if (!range) return { removed: 0, next: null };
      const end = Math.min(range.end, walk.end);
      const keys = keysOfErased(schema, choice, entityKeys);
      const removed = rowsOf<ErasedRow & { block: number }>(
        this.#sql,
        `DELETE FROM fs_rows WHERE ${within(choice)}
         RETURNING ${BLOCK_OF_ROW} AS block${timesOfErased(schema, keys)}`,
        ...bound(choice, { from: walk.from, end }),
      );
      if (removed.length > 0) {
        this.#others.erasedTimes.note(keys, removed);
        this.#rowsHaveGone(schema, removed);
      }
      return { removed: removed.length, next: end < walk.end ? end : null };
    });
  }

  #rowsHaveGone(schema: RawSchema, removed: readonly { block: number }[]): void {
    const { agedRows, followers, computations } = this.#others;
    agedRows.rowsHaveGone(schema, new Set(removed.map(({ block }) => block)));
    const { seq } = rowOf<{ seq: number }>(
      this.#sql,
      `UPDATE fs_numbers SET rows = rows - ?1, seq = seq + 1,
         longest_text = coalesce(?2, iif(rows = ?1, 0, longest_text)) RETURNING seq`,
      removed.length,
      agedRows.longestText(),
    );
    followers.rowsHaveGone(seq);
    computations.erased(seq);
  }

  #find(
    schema: RawSchema,
    choice: RowChoice | null,
    { most, ...range }: RowRange & { most: number },
  ): Found[] {
    return rowsOf<Found>(
      this.#sql,
      `SELECT rowid AS row, ${bytesOfTexts(schema)} AS bytes FROM fs_rows
       WHERE ${within(choice)} ORDER BY rowid LIMIT ${most}`,
      ...bound(choice, range),
    );
  }
}

type Found = { row: number; bytes: number };

interface RowsRead {
  texts: string[];
  /** Of their texts. */
  bytes: number;
  /** The number of the last of them. */
  last?: number;
  /** There are more of them than there is room for. */
  isFull: boolean;
}

/** The rows that are in a step, and chosen. */
const within = (choice: RowChoice | null) =>
  `rowid >= ? AND rowid < ?${choice ? ` AND ${conditionOf(choice)}` : ""}`;
const bound = (choice: RowChoice | null, { from, end }: RowRange) => [
  from,
  end,
  ...(choice ? [choice.value] : []),
];

/** The first of these for which there is room. */
function taking(found: readonly Found[], { rows, bytes, isFirst }: Room): Found[] {
  const taken: Found[] = [];
  let left = bytes;
  for (const row of found) {
    left -= row.bytes;
    const isAlone = isFirst && taken.length === 0;
    if (taken.length >= rows || (left < 0 && !isAlone)) break;
    taken.push(row);
  }
  return taken;
}
