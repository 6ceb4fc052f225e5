/**
 * Running a tenant's SQL: the gate, the plan and its cost, then the query, inside a transaction that is always rolled
 * back. Synchronous, so nothing else of the object runs in between.
 *
 * The gate and the cost are the barriers that count: a query that has begun cannot be stopped. The rollback undoes
 * what they might have missed, and removes `data`.
 */
import { run } from "../../db/object-sql.ts";
import {
  MAX_SQL_RESULT_BYTES,
  MAX_SQL_RESULT_COLUMNS,
  MAX_SQL_RESULT_ROWS,
  MAX_SQL_ROW_BYTES,
} from "../../limits.ts";
import { type Columns, columnDefinitions, without } from "../raw-columns.ts";
import { estimateCost, type TableStatistics } from "./cost.ts";
import { countsBehindStar } from "./counted-columns.ts";
import { faultOfQuotedNames, programOf, proveReadsDataOnly, queryPlan, tellEngineError } from "./engine.ts";
import { checkSql, type SqlFault } from "./gate.ts";
import { measureGroups, measureTexts } from "./measure.ts";

interface RunLimits {
  rows: number;
  columns: number;
  /** Bytes of text in UTF-16, and eight for each cell. */
  bytes: number;
}

const LIMITS: RunLimits = {
  rows: MAX_SQL_RESULT_ROWS,
  columns: MAX_SQL_RESULT_COLUMNS,
  bytes: MAX_SQL_RESULT_BYTES,
};

export interface RunOptions {
  /** Makes `data`; runs inside the transaction, before anything is measured. */
  prepare?: () => void;
  /** Sees `data` and the result of the query, if there is one; runs inside the transaction. */
  conclude?: (result: SqlRows) => void;
  /** Default: MAX_SQL_RESULT_ROWS, _COLUMNS, _BYTES. */
  limits?: RunLimits;
  /** The quoted names are known to be names: the SQL is ours, around one of the tenant's that has run. */
  isOurs?: boolean;
}

export interface SqlRows {
  ok: true;
  columns: string[];
  rows: SqlStorageValue[][];
}

/** All rows, or why there are none: never half a result. */
export type RunResult = (SqlRows | { ok: false; fault: SqlFault }) & {
  /** What it was estimated to take; none where it has not begun. */
  steps?: number;
};

/** The names of the result's columns in order, or why the SQL cannot run. */
export type CheckResult = { ok: true; columns: string[] } | { ok: false; fault: SqlFault };

/**
 * Runs one SELECT over `data`.
 *
 * @param statistics What is known of `data` as `prepare` leaves it; it may be overstated. For a table that is not large
 *   better ones are measured.
 * @throws what `prepare` and `conclude` throw, and what the engine says when it is not about the caller's SQL.
 */
export function runSql(
  storage: DurableObjectStorage,
  sql: string,
  statistics: TableStatistics,
  { prepare, conclude, limits = LIMITS, isOurs = false }: RunOptions = {},
): RunResult {
  const checked = checkSql(sql);
  if (!checked.ok) return checked;
  return rolledBack(storage, (): RunResult => {
    prepare?.();
    const wrap = (query: string) => `SELECT * FROM (${query}\n) LIMIT ${limits.rows + 1}`;
    const wrapped = wrap(checked.sql);
    const planned = queryPlan(storage.sql, wrapped);
    if (!planned.ok) return planned;
    const misread = isOurs ? null : faultOfQuotedNames(storage.sql, wrap(checked.named));
    if (misread) return { ok: false, fault: misread };
    if (!proveReadsDataOnly(storage.sql, wrapped)) return { ok: false, fault: { reason: "reads-elsewhere" } };
    const measured = measureTexts(storage.sql, checked, statistics);
    const largestGroup = measureGroups(storage.sql, planned.plan, measured);
    const cost = estimateCost(checked, planned.plan, { ...measured, largestGroup });
    if (!cost.ok) return cost;
    // Ours has a character more in each cell than the tenant's, which has run.
    if (!isOurs && cost.rowBytes > MAX_SQL_ROW_BYTES)
      return {
        ok: false,
        fault: { reason: "row-too-large", bytes: cost.rowBytes, limit: MAX_SQL_ROW_BYTES },
      };
    const result = readRows(storage.sql, wrapped, limits);
    if (result.ok) conclude?.(result);
    return { ...result, steps: cost.steps };
  });
}

/** Proves that the SQL prepares against a `data` with these columns and reads nothing else. */
export function checkAgainstSchema(
  storage: DurableObjectStorage,
  sql: string,
  columns: Columns,
): CheckResult {
  const result = runOverNone(storage, sql, columns);
  return result.ok ? { ok: true, columns: result.columns } : result;
}

/** Judged for an empty table: what is refused here is refused for any data. */
function runOverNone(
  storage: DurableObjectStorage,
  sql: string,
  columns: Columns,
  conclude?: () => void,
): RunResult {
  const create = `CREATE TABLE data (${columnDefinitions(columns)})`;
  const prepare = () => run(storage.sql, create);
  return runSql(storage, sql, { rows: 0, longestText: 0 }, conclude ? { prepare, conclude } : { prepare });
}

/** `after`: those `before`, and more. */
export interface ColumnChange {
  before: Columns;
  after: Columns;
}

/**
 * Whether SQL goes on where `data` has more columns: it still runs, no name in it means one of those that meant something
 * else before, such as an alias in GROUP BY, and no number there is that of another column. That `*` is more is what it
 * says.
 */
export function staysAsItIs(
  storage: DurableObjectStorage,
  sql: string,
  { before, after }: ColumnChange,
): boolean {
  const checked = checkSql(sql);
  const programOver = (columns: Columns): string | null => {
    let program: string | null = null;
    runOverNone(storage, sql, columns, () => {
      if (checked.ok) program = programOf(storage.sql, checked.sql);
    });
    return program;
  };
  const [was, is] = [programOver(before), programOver(after)];
  if (was === null || is === was) return true;
  const added = new Set(without(after, before).map(([name]) => name.toLowerCase()));
  const isNamed =
    checked.ok && checked.tokens.some(({ name }) => /^natural$/i.test(name) || added.has(name.toLowerCase()));
  const isCounted = checked.ok && countsBehindStar(checked.shape, before.length);
  return is !== null && !isNamed && !isCounted;
}

/** Carries the outcome out of a transaction that must not commit. */
const ROLLBACK = Symbol("rollback");

function rolledBack<T>(storage: DurableObjectStorage, body: () => T): T {
  let outcome: { value: T } | undefined;
  try {
    storage.transactionSync(() => {
      outcome = { value: body() };
      throw ROLLBACK;
    });
  } catch (thrown) {
    if (thrown !== ROLLBACK || !outcome) throw thrown;
  }
  if (!outcome) throw new Error("impossible: a transaction that throws has not thrown");
  return outcome.value;
}

function readRows(sql: SqlStorage, wrapped: string, limits: RunLimits): RunResult {
  try {
    const cursor = sql.exec(wrapped);
    const columns = cursor.columnNames;
    const fault = faultOfColumns(columns, limits);
    if (fault) return { ok: false, fault };
    const rows: SqlStorageValue[][] = [];
    let bytes = 0;
    for (const row of cursor.raw()) {
      bytes += bytesOf(row);
      const overrun = faultOfRow({ row, columns, count: rows.length + 1, bytes }, limits);
      if (overrun) return { ok: false, fault: overrun };
      rows.push(row);
    }
    return { ok: true, columns, rows };
  } catch (error) {
    return { ok: false, fault: tellEngineError(error, "run") };
  }
}

/** SQLite renames the second of two equal columns of a subquery to `x:1`, whatever the case of their letters. */
function faultOfColumns(columns: readonly string[], limits: RunLimits): SqlFault | null {
  if (columns.length > limits.columns)
    return { reason: "too-many-columns", columns: columns.length, limit: limits.columns };
  const names = new Set(columns.map((name) => name.toLowerCase()));
  for (const column of columns) {
    const original = /^(.*):\d+$/s.exec(column)?.[1];
    if (original !== undefined && names.has(original.toLowerCase()))
      return { reason: "duplicate-column", column: original };
  }
  return null;
}

interface RowSoFar {
  row: readonly SqlStorageValue[];
  columns: readonly string[];
  count: number;
  bytes: number;
}

function faultOfRow({ row, columns, count, bytes }: RowSoFar, limits: RunLimits): SqlFault | null {
  if (count > limits.rows) return { reason: "too-many-rows", limit: limits.rows };
  if (bytes > limits.bytes) return { reason: "too-many-bytes", limit: limits.bytes };
  const blob = row.findIndex((cell) => cell instanceof ArrayBuffer);
  return blob < 0 ? null : { reason: "blob-column", column: columns[blob] ?? "" };
}

function bytesOf(row: readonly SqlStorageValue[]): number {
  return row.reduce<number>((sum, cell) => sum + 8 + (typeof cell === "string" ? 2 * cell.length : 0), 0);
}
