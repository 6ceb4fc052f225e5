/**
 * The rows of a raw table in blocks of those that arrived one after another, and how many of them are looked at at once.
 * Every function is synchronous.
 */
import { rowOf, rowsOf } from "../db/object-sql.ts";
import { MAX_PURGE_BYTES, PURGE_BLOCK_ROWS, PURGE_BLOCKS_PER_STEP } from "../limits.ts";
import { partsUpTo } from "../parts.ts";
import { quoted, type RawSchema } from "./raw-columns.ts";

/** The number of a row's block, by which the block is known. */
export const BLOCK_OF_ROW = `rowid / ${PURGE_BLOCK_ROWS}`;
/** Its two values are the number of the block. */
export const IN_BLOCK = `rowid >= ? * ${PURGE_BLOCK_ROWS} AND rowid < (? + 1) * ${PURGE_BLOCK_ROWS}`;

/** Blocks with rows, from that of the row on that is bound. From one to the next: removed rows may have left few of them. */
export const BLOCKS_FROM = `WITH RECURSIVE blocks (block) AS (
     SELECT min(rowid) / ${PURGE_BLOCK_ROWS} FROM fs_rows WHERE rowid >= ? UNION ALL
     SELECT (SELECT min(rowid) FROM fs_rows WHERE rowid >= (block + 1) * ${PURGE_BLOCK_ROWS}) / ${PURGE_BLOCK_ROWS}
     FROM blocks WHERE block IS NOT NULL)`;

/** As many of these blocks, from the first on, as a step may look at. */
export function blocksOfStep(sql: SqlStorage, blocks: readonly number[], schema: RawSchema): number[] {
  const [step] = partsUpTo(blocks, (block) => bytesOf(sql, block, schema), MAX_PURGE_BYTES);
  return step?.items ?? [];
}

/** The rows of a step: from one, up to another that is of the next one. */
export interface RowRange {
  from: number;
  end: number;
}

/** The next rows from one on; null: there are none. */
export function rangeFrom(sql: SqlStorage, from: number, schema: RawSchema): RowRange | null {
  const next = rowsOf<{ block: number }>(
    sql,
    `${BLOCKS_FROM} SELECT block FROM blocks WHERE block IS NOT NULL LIMIT ${PURGE_BLOCKS_PER_STEP}`,
    from,
  ).map(({ block }) => block);
  const last = blocksOfStep(sql, next, schema).at(-1);
  return last === undefined ? null : { from, end: (last + 1) * PURGE_BLOCK_ROWS };
}

export function isThere(sql: SqlStorage, table: string): boolean {
  const found = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?";
  return rowsOf(sql, found, table).length > 0;
}

/** Of all its texts. */
function bytesOf(sql: SqlStorage, block: number, schema: RawSchema): number {
  const statement = `SELECT coalesce(sum(${bytesOfTexts(schema)}), 0) AS bytes FROM fs_rows WHERE ${IN_BLOCK}`;
  return rowOf<{ bytes: number }>(sql, statement, block, block).bytes;
}

/** Bytes of all texts of a row. Its head knows their lengths, so that none is read. */
export const bytesOfTexts = (schema: RawSchema) => combined(schema, (lengths) => lengths.join(" + "));

/** Bytes of a row's longest text. */
export const longestText = (schema: RawSchema) =>
  combined(schema, (lengths) => `max(0, ${lengths.join(", ")})`);

/** A function of SQLite takes 32 values here, and an expression is at most 100 levels deep. */
const AT_ONCE = 30;

/** Of the bytes of all texts of a row: first of some, then of what comes of those. */
function combined({ columns }: RawSchema, combine: (lengths: string[]) => string): string {
  const lengths = columns.flatMap(([name, type]) =>
    type === "string" || type === "timestamp" || type === "json"
      ? [`coalesce(octet_length(${quoted(name)}), 0)`]
      : [],
  );
  if (lengths.length === 0) return "0";
  const groups: string[] = [];
  for (let i = 0; i < lengths.length; i += AT_ONCE)
    groups.push(`(${combine(lengths.slice(i, i + AT_ONCE))})`);
  return combine(groups);
}
