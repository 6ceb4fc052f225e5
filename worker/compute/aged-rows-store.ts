/**
 * Finding and removing the rows of a raw table that are older than it keeps them. Every method is synchronous.
 *
 * An index by time would be made at once over up to 2 GiB, and be dropped again for every query. Instead each block of
 * rows that arrived one after another has its oldest time noted, and its longest text, so that the table's own can be told
 * when rows go. What is not known of a block counts as too old: a purge that visits it learns it. So a table that is
 * given a retention late, or whose purge has died, has nothing to catch up with but its next purge.
 *
 * The notes are kept from the first ingest under a retention, or the first purge, until the retention is taken away.
 */
import { rowOf, rowsOf, run } from "../db/object-sql.ts";
import { PURGE_BLOCKS_PER_STEP } from "../limits.ts";
import { type Micros, parseTimestamp } from "../timestamps.ts";
import { quoted, type RawSchema } from "./raw-columns.ts";
import { BLOCK_OF_ROW, BLOCKS_FROM, blocksOfStep, IN_BLOCK, isThere, longestText } from "./row-blocks.ts";
import type { RowColumns } from "./row-columns.ts";

export interface PurgeStep {
  /** Blocks that it has looked at; none: no row is too old. */
  visited: number;
  /** Rows that it has removed. */
  removed: number;
}

/** A block is known by its number, that of its rows divided by their most. `oldest`: '' is unknown, null is none. */
const SCHEMA = `
  CREATE TABLE fs_blocks (block INTEGER PRIMARY KEY, oldest TEXT, longest INTEGER NOT NULL);
  CREATE INDEX fs_blocks_oldest ON fs_blocks (oldest);`;

export class AgedRowsStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #columns: RowColumns;

  constructor(storage: DurableObjectStorage, columns: RowColumns) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#columns = columns;
  }

  /** From now on blocks are noted; what is there has yet to be visited, and may be as long as any text there. */
  begin(): void {
    if (this.isBegun()) return;
    this.#storage.transactionSync(() => {
      run(this.#sql, SCHEMA);
      if (!isThere(this.#sql, "fs_rows")) return;
      run(
        this.#sql,
        `${BLOCKS_FROM} INSERT INTO fs_blocks
           SELECT block, '', longest_text FROM blocks, fs_numbers WHERE block IS NOT NULL`,
        0,
      );
    });
  }

  end(): void {
    run(this.#sql, "DROP TABLE IF EXISTS fs_blocks");
  }

  /** Notes the rows that have come last; called inside the transaction of their ingest. */
  note(schema: RawSchema, count: number): void {
    const { timestampColumn } = schema;
    if (timestampColumn === null || !this.isBegun()) return;
    run(
      this.#sql,
      `INSERT INTO fs_blocks
         SELECT ${BLOCK_OF_ROW}, min(${quoted(timestampColumn)}), max(${longestText(schema)}) FROM fs_rows
         WHERE rowid > (SELECT max(rowid) FROM fs_rows) - ? GROUP BY 1
       ON CONFLICT DO UPDATE SET longest = max(longest, excluded.longest),
         oldest = coalesce(min(oldest, excluded.oldest), oldest, excluded.oldest)`,
      count,
    );
  }

  /** Rows of these blocks have gone; called inside the transaction in which they go. */
  rowsHaveGone(schema: RawSchema, blocks: Iterable<number>): void {
    const { timestampColumn } = schema;
    if (timestampColumn === null || !this.isBegun()) return;
    for (const block of blocks) this.#visit(block, schema, timestampColumn);
  }

  /** Bytes of the longest text of all blocks; null: none is noted. */
  longestText(): number | null {
    if (!this.isBegun()) return null;
    return rowOf<{ longest: number }>(this.#sql, "SELECT coalesce(max(longest), 0) AS longest FROM fs_blocks")
      .longest;
  }

  isBegun(): boolean {
    return isThere(this.#sql, "fs_blocks");
  }

  /** Whether the table has no rows; once they are noted. */
  isEmpty(): boolean {
    return rowsOf(this.#sql, "SELECT 1 FROM fs_blocks LIMIT 1").length === 0;
  }

  /** Whether rows may be older than this. */
  isAnyBefore(oldestKept: string): boolean {
    return this.#blocksBefore(oldestKept, 1).length > 0;
  }

  /** The time of the oldest row, once all blocks are known; null: none has one. */
  oldest(): Micros | null {
    const { oldest } = rowOf<{ oldest: string | null }>(
      this.#sql,
      "SELECT min(oldest) AS oldest FROM fs_blocks",
    );
    return oldest === null ? null : parseTimestamp(oldest);
  }

  /**
   * Removes some of the rows before a time, all or none of them: as many as hold up nobody.
   *
   * Counts as an ingest: a computation of what was there before is older than one of what is left.
   *
   * @param oldestKept As the rows have their times.
   */
  purge(registered: RawSchema, oldestKept: string): PurgeStep {
    const { timestampColumn } = registered;
    if (timestampColumn === null) return { visited: 0, removed: 0 };
    return this.#storage.transactionSync(() => {
      this.begin();
      const schema = this.#columns.widened(registered);
      const due = this.#blocksBefore(oldestKept, PURGE_BLOCKS_PER_STEP);
      const blocks = blocksOfStep(this.#sql, due, schema);
      let removed = 0;
      for (const block of blocks) removed += this.#purgeBlock(block, schema, { timestampColumn, oldestKept });
      if (removed > 0) {
        run(
          this.#sql,
          "UPDATE fs_numbers SET rows = rows - ?, seq = seq + 1, longest_text = ?",
          removed,
          this.longestText(),
        );
      }
      return { visited: blocks.length, removed };
    });
  }

  #purgeBlock(
    block: number,
    schema: RawSchema,
    { timestampColumn, oldestKept }: { timestampColumn: string; oldestKept: string },
  ): number {
    const removed = rowsOf(
      this.#sql,
      `DELETE FROM fs_rows WHERE ${IN_BLOCK} AND ${quoted(timestampColumn)} < ? RETURNING 1`,
      block,
      block,
      oldestKept,
    );
    this.#visit(block, schema, timestampColumn);
    return removed.length;
  }

  /** Learns what there is to know of a block. */
  #visit(block: number, schema: RawSchema, timestampColumn: string): void {
    run(this.#sql, "DELETE FROM fs_blocks WHERE block = ?", block);
    run(
      this.#sql,
      `INSERT INTO fs_blocks SELECT ${BLOCK_OF_ROW}, min(${quoted(timestampColumn)}), max(${longestText(schema)})
       FROM fs_rows WHERE ${IN_BLOCK} GROUP BY 1`,
      block,
      block,
    );
  }

  /** Those with the oldest rows first, of what is unknown those that arrived first. */
  #blocksBefore(oldestKept: string, most: number): number[] {
    return rowsOf<{ block: number }>(
      this.#sql,
      `SELECT block FROM fs_blocks WHERE oldest < ? ORDER BY oldest, block LIMIT ${most}`,
      oldestKept,
    ).map(({ block }) => block);
  }
}
