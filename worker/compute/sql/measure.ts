/** Statistics of `data` that are measured before a query. Cheap: lengths stand in each row's head, text is not read. */
import { MAX_SQL_KEPT_BYTES, MAX_SQL_MEASURED_ROWS } from "../../limits.ts";
import { quoted } from "../raw-columns.ts";
import { isColumn } from "./columns.ts";
import type { Query, TableStatistics } from "./cost.ts";
import { expressionsOf } from "./parts.ts";
import type { Expression } from "./shape.ts";
import { type PlanNode, type PlanRow, readPlan } from "./steps.ts";

/** The true number of rows; of a table that is not large also the lengths of what the query reads. */
export function measureTexts(sql: SqlStorage, query: Query, given: TableStatistics): TableStatistics {
  const { rows } = sql.exec<{ rows: number }>("SELECT count(*) AS rows FROM data").one();
  const types = typesOfColumns(sql);
  const all = [...types.keys()];
  const read = columnsRead(query, all);
  const columnsOf = (lengths: (name: string, at: number) => { longest: number; total: number }) =>
    new Map(read.map((name, i) => [name.toLowerCase(), numberOr(types.get(name), lengths(name, i))]));
  if (rows > MAX_SQL_MEASURED_ROWS) {
    const { longestText } = given;
    const columns = columnsOf((name) =>
      types.get(name) === "TEXT"
        ? { longest: longestText, total: rows * longestText }
        : { longest: 0, total: 0 },
    );
    return { ...given, rows, columns, columnsRead: read.length };
  }
  const bytes = (name: string) => `coalesce(octet_length(${quoted(name)}), 0)`;
  // The sum is a chain, and SQLite takes expressions 100 deep: a raw table has 90 columns at most.
  const longestRow = `max(${["0", ...all.map(bytes)].join(" + ")})`;
  // A statement has 100 columns at most.
  const [row = 0, ...longest] = rowOfNumbers(sql, [longestRow, ...read.map((name) => `max(${bytes(name)})`)]);
  const totals = rowOfNumbers(
    sql,
    read.map((name) => `sum(${bytes(name)})`),
  );
  return {
    rows,
    columns: columnsOf((_, i) => ({ longest: longest[i] ?? 0, total: totals[i] ?? 0 })),
    columnsRead: read.length,
    longestText: Math.max(0, ...longest),
    textCharacters: totals.reduce((a, b) => a + b, 0),
    longestRow: row,
  };
}

/** As the table says it. Its rows were checked when they came, so that a column of numbers has nothing else. */
function typesOfColumns(sql: SqlStorage): Map<string, string> {
  const columns = sql.exec<{ name: string; type: string }>(
    "SELECT name, type FROM pragma_table_info('data')",
  );
  return new Map(columns.toArray().map(({ name, type }) => [name, type]));
}

/** What is counted of a number wherever it stands. */
const NUMBER_CHARACTERS = 32;

/** Nothing of a number: its bytes are counted with every cell. */
function numberOr(type: string | undefined, lengths: { longest: number; total: number }) {
  const isNumber = (type === "REAL" || type === "INTEGER") && lengths.longest <= NUMBER_CHARACTERS;
  return isNumber ? { longest: 0, total: 0 } : lengths;
}

/** Of one row for all of `data`. */
function rowOfNumbers(sql: SqlStorage, expressions: readonly string[]): number[] {
  if (expressions.length === 0) return [];
  const [row = []] = [...sql.exec(`SELECT ${expressions.join(", ")} FROM data`).raw()];
  return row.map((one) => Number(one ?? 0));
}

/**
 * How many rows share a value, for the columns by which the plan looks rows up. To count them is to sort them, so not
 * of more text than a query may keep.
 */
export function measureGroups(
  sql: SqlStorage,
  plan: readonly PlanRow[],
  { rows, textCharacters = 0 }: TableStatistics,
): ReadonlyMap<string, number> {
  const groups = new Map<string, number>();
  if (rows > MAX_SQL_MEASURED_ROWS || textCharacters > MAX_SQL_KEPT_BYTES) return groups;
  const read = readPlan(plan);
  const searched = read.ok ? searchedColumns(read.nodes) : [];
  if (searched.length === 0) return groups;
  const all = sql.exec("SELECT * FROM data LIMIT 0").columnNames;
  for (const name of all.filter((one) => searched.includes(one.toLowerCase()))) {
    const { largest } = sql
      .exec<{ largest: number | null }>(
        `SELECT max(n) AS largest FROM (SELECT count(*) AS n FROM data GROUP BY ${quoted(name)})`,
      )
      .one();
    groups.set(name.toLowerCase(), largest ?? 0);
  }
  return groups;
}

function searchedColumns(nodes: readonly PlanNode[]): string[] {
  return nodes.flatMap(({ step, children }) => [
    ...(step.kind === "search"
      ? step.columns.split(" AND ").map((one) => one.replace(/=\?$/, "").toLowerCase())
      : []),
    ...searchedColumns(children),
  ]);
}

/** The columns of `data` that the statement names anywhere, or all where it says `*` or compares them all. */
function columnsRead({ tokens, shape }: Query, all: readonly string[]): string[] {
  if (tokens.some(({ kind, name }) => kind === "word" && name === "natural")) return [...all];
  const expressions = shape.selects.flatMap((select) =>
    select.cores.flatMap((core) => expressionsOf(core, select)),
  );
  const named = new Set<string>();
  for (const expression of expressions) {
    const last = expression.at(-1);
    if (last?.kind === "token" && last.token.text === "*") return [...all];
    addNames(expression, named);
  }
  return all.filter((name) => named.has(name.toLowerCase()));
}

function addNames(expression: Expression, named: Set<string>): void {
  for (const part of expression) {
    if (part.kind === "call") for (const arg of part.args) addNames(arg, named);
    else if (part.kind === "token" && (isColumn(part) || part.token.kind === "string"))
      named.add(part.token.name.toLowerCase());
  }
}
