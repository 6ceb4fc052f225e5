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
import { MAX_PURGE_BYTES, PURGE_BLOCK_ROWS, PURGE_BLOCKS_PER_STEP } from "../limits.ts";
import { partsUpTo } from "../parts.ts";
import { type Micros, parseTimestamp } from "../timestamps.ts";
import { quoted, type RawSchema } from "./raw-columns.ts";

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

const BLOCK_OF_ROW = `rowid / ${PURGE_BLOCK_ROWS}`;
/** Its two values are the number of the block. */
const IN_BLOCK = `rowid >= ? * ${PURGE_BLOCK_ROWS} AND rowid < (? + 1) * ${PURGE_BLOCK_ROWS}`;

export class AgedRowsStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
  }

  /** From now on blocks are noted; what is there has yet to be visited, and may be as long as any text there. */
  begin(): void {
    if (this.isBegun()) return;
    this.#storage.transactionSync(() => {
      run(this.#sql, SCHEMA);
      if (!this.#exists("fs_rows")) return;
      // From block to block: removed rows may have left few of them.
      run(
        this.#sql,
        `WITH RECURSIVE blocks (block) AS (
           SELECT min(rowid) / ${PURGE_BLOCK_ROWS} FROM fs_rows UNION ALL
           SELECT (SELECT min(rowid) FROM fs_rows WHERE rowid >= (block + 1) * ${PURGE_BLOCK_ROWS}) / ${PURGE_BLOCK_ROWS}
           FROM blocks WHERE block IS NOT NULL)
         INSERT INTO fs_blocks SELECT block, '', longest_text FROM blocks, fs_numbers WHERE block IS NOT NULL`,
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

  isBegun(): boolean {
    return this.#exists("fs_blocks");
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
  purge(schema: RawSchema, oldestKept: string): PurgeStep {
    const { timestampColumn } = schema;
    if (timestampColumn === null) return { visited: 0, removed: 0 };
    return this.#storage.transactionSync(() => {
      this.begin();
      const due = this.#blocksBefore(oldestKept, PURGE_BLOCKS_PER_STEP);
      const [step] = partsUpTo(due, (block) => this.#bytesOf(block, schema), MAX_PURGE_BYTES);
      const blocks = step?.items ?? [];
      let removed = 0;
      for (const block of blocks) removed += this.#purgeBlock(block, schema, { timestampColumn, oldestKept });
      if (removed > 0) {
        run(
          this.#sql,
          `UPDATE fs_numbers SET rows = rows - ?, seq = seq + 1,
             longest_text = (SELECT coalesce(max(longest), 0) FROM fs_blocks)`,
          removed,
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
    const time = quoted(timestampColumn);
    const removed = rowsOf(
      this.#sql,
      `DELETE FROM fs_rows WHERE ${IN_BLOCK} AND ${time} < ? RETURNING 1`,
      block,
      block,
      oldestKept,
    );
    run(this.#sql, "DELETE FROM fs_blocks WHERE block = ?", block);
    run(
      this.#sql,
      `INSERT INTO fs_blocks SELECT ${BLOCK_OF_ROW}, min(${time}), max(${longestText(schema)}) FROM fs_rows
       WHERE ${IN_BLOCK} GROUP BY 1`,
      block,
      block,
    );
    return removed.length;
  }

  /** Those with the oldest rows first, of what is unknown those that arrived first. */
  #blocksBefore(oldestKept: string, most: number): number[] {
    return rowsOf<{ block: number }>(
      this.#sql,
      `SELECT block FROM fs_blocks WHERE oldest < ? ORDER BY oldest, block LIMIT ${most}`,
      oldestKept,
    ).map(({ block }) => block);
  }

  /** Of all its texts. A row's head knows their lengths, so that none is read. */
  #bytesOf(block: number, schema: RawSchema): number {
    const bytes = combined(schema, (lengths) => lengths.join(" + "));
    const statement = `SELECT coalesce(sum(${bytes}), 0) AS bytes FROM fs_rows WHERE ${IN_BLOCK}`;
    return rowOf<{ bytes: number }>(this.#sql, statement, block, block).bytes;
  }

  #exists(table: string): boolean {
    const found = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?";
    return rowsOf(this.#sql, found, table).length > 0;
  }
}

/** Bytes of a row's longest text. */
const longestText = (schema: RawSchema) => combined(schema, (lengths) => `max(0, ${lengths.join(", ")})`);

/** A function of SQLite takes 32 values here, and an expression is at most 100 levels deep. */
const AT_ONCE = 30;

/** Of the bytes of all texts of a row: first of some, then of what comes of those. */
function combined({ columns }: RawSchema, combine: (lengths: string[]) => string): string {
  const lengths = columns.flatMap(([name, type]) =>
    type === "string" || type === "timestamp" || type === "json"
      ? [`coalesce(octet_length(${quoted(name)}), 0)`]
      : [],
  );
  const groups: string[] = [];
  for (let i = 0; i < lengths.length; i += AT_ONCE)
    groups.push(`(${combine(lengths.slice(i, i + AT_ONCE))})`);
  return combine(groups);
}
