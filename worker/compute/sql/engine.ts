/** What is asked of SQLite about a statement that has passed the gate, before it runs. */
import type { SqlFault } from "./faults.ts";
import type { PlanRow } from "./steps.ts";

type Planned = { ok: true; plan: PlanRow[] } | { ok: false; fault: SqlFault };

/** The query plan; preparing it proves that every table, column and function is there. */
export function queryPlan(sql: SqlStorage, statement: string): Planned {
  try {
    const rows = sql.exec(`EXPLAIN QUERY PLAN ${statement}`).toArray();
    const plan = rows.map(({ id, parent, detail }) => ({
      id: Number(id),
      parent: Number(parent),
      detail: String(detail),
    }));
    return { ok: true, plan };
  } catch (error) {
    return { ok: false, fault: tellEngineError(error, "prepare") };
  }
}

/**
 * What SQLite would read as text though it stands in double quotes, where the tenant meant a column.
 *
 * @param named The statement with its names in backticks; it prepares when they stand in double quotes.
 */
export function faultOfQuotedNames(sql: SqlStorage, named: string): SqlFault | null {
  const planned = queryPlan(sql, named);
  if (planned.ok || planned.fault.reason !== "engine") return null;
  return { ...planned.fault, message: `${planned.fault.message}; text stands in single quotes` };
}

/** Opcodes that change something or read through something other than a table. */
const OTHER_THAN_READING =
  /^(?:OpenWrite|VOpen|VUpdate|VCreate|VDestroy|CreateBtree|Destroy|Clear|ParseSchema|DropTable|DropIndex|DropTrigger|SetCookie|AutoCommit|Savepoint|JournalMode|Vacuum|Checkpoint|LoadAnalysis|Program)$/;

/**
 * Whether the prepared program opens no table but `data` and begins no write transaction. Judged by the program that
 * will run, not by the text that it was made from.
 */
export function proveReadsDataOnly(sql: SqlStorage, statement: string): boolean {
  const allowed = new Set(tablesOpened(sql, "SELECT * FROM data"));
  if (allowed.has(null)) return false;
  return tablesOpened(sql, statement).every((table) => table !== null && allowed.has(table));
}

/** The root pages that a program opens for reading; null for anything else that it does. */
function tablesOpened(sql: SqlStorage, statement: string): (string | null)[] {
  const program = sql.exec<{ opcode: string; p2: number; p3: number }>(`EXPLAIN ${statement}`).toArray();
  return program.flatMap(({ opcode, p2, p3 }) => {
    if (opcode === "OpenRead") return [`${p3}/${p2}`];
    if (opcode === "Transaction") return p2 === 0 ? [] : [null];
    return OTHER_THAN_READING.test(opcode) ? [null] : [];
  });
}

/** What a statement does that prepares, as text: of two that do the same it is the same, whatever `data` has besides. */
export function programOf(sql: SqlStorage, statement: string): string {
  const program = sql.exec(`EXPLAIN ${statement}`).toArray();
  return JSON.stringify(
    program.map(({ opcode, p1, p2, p3, p4, p5 }) => {
      // Where a table is, how many columns it has, and how often tables have changed.
      if (opcode === "OpenRead" || opcode === "Transaction") return [opcode, p1];
      return [opcode, p1, p2, p3, p4, p5];
    }),
  );
}

/** What the engine may say of a running query: it has seen values by then, and might name them. */
const TOLD_WHEN_RUNNING =
  /^(?:integer overflow|malformed JSON|string or blob too big|LIKE or GLOB pattern too complex|JSON cannot hold BLOB values|bad JSON path|ESCAPE expression must be a single character|(?:first|second) argument to \w+\(\) must be a (?:positive|non-negative) integer|argument of \w+\(\) must be a positive integer|frame (?:starting|ending) offset must be a non-negative (?:integer|number)|out of memory)/;

/** Names of the object's own. A message that holds one says more than the caller wrote. */
const INTERNAL = /\bfs_|_cf_|sqlite_/i;

/** What the object's SQLite says of a statement. An unknown collation is the one that has an extended code too. */
const SAID = /^(.*): (?:SQLITE_[A-Z_]+|SQLITE_ERROR \(extended: SQLITE_ERROR_MISSING_COLLSEQ\))$/s;

/**
 * An error of the engine about the caller's SQL.
 *
 * @throws the error itself when it is not the engine's.
 */
export function tellEngineError(error: unknown, when: "prepare" | "run"): SqlFault {
  const message = error instanceof Error ? error.message : "";
  const [, said] = SAID.exec(message) ?? [];
  if (said === undefined) throw error;
  // Offsets count from the beginning of a statement that the caller has not written.
  const cleaned = said.replace(/ at offset \d+$/, "");
  if (INTERNAL.test(cleaned)) return { reason: "engine", message: "the SQL engine refuses the query", when };
  if (when === "prepare") return { reason: "engine", message: cleaned, when };
  const [told] = TOLD_WHEN_RUNNING.exec(cleaned) ?? [];
  return { reason: "engine", message: told ?? "the query failed while it ran", when };
}
