/** The lines of EXPLAIN QUERY PLAN, as far as they are understood. A line that is not is no step. Pure. */

/** A row of EXPLAIN QUERY PLAN. */
export interface PlanRow {
  id: number;
  parent: number;
  detail: string;
}

type Step =
  /** Goes through `rows` rows that are written in the statement. */
  | { kind: "constant"; rows: number }
  | { kind: "scan"; name: string }
  /** Looks up by an index that SQLite makes for this query. */
  | { kind: "search"; name: string; columns: string }
  /** Computes a subquery, and stores its rows or hands them on one by one. */
  | { kind: "keep"; name: string; stores: boolean }
  /** A subquery, for every row of the select around it. */
  | { kind: "per-row"; number: string; list: boolean }
  /** A subquery that is computed once. */
  | { kind: "once"; number: string; list: boolean }
  /** The program of a subquery that stands elsewhere in the plan, run from here as well. */
  | { kind: "reuse"; number: string }
  /** All rows of the selects in it, which are kept in one tree, or come sorted from each. */
  | { kind: "compound"; stores: boolean }
  | { kind: "part" }
  | { kind: "sort"; by: "order" | "group" | "aggregate" }
  /** Puts each row into a tree, or an aggregate's arguments, to see whether it was there. */
  | { kind: "distinct"; inAggregate: boolean }
  | { kind: "nothing" }
  | { kind: "recursion" };

export interface PlanNode {
  step: Step;
  children: PlanNode[];
}

/** Names are plain (`from.ts`) or `(subquery-1)`, so none can imitate another form. */
const FORMS: readonly [pattern: RegExp, step: (match: RegExpExecArray) => Step][] = [
  [/^SCAN CONSTANT ROW$/, () => ({ kind: "constant", rows: 1 })],
  [
    /^SCAN (\d+)(?:-ROW VALUES CLAUSE| CONSTANT ROWS)$/,
    ([, rows]) => ({ kind: "constant", rows: Number(rows) }),
  ],
  [
    /^SCAN (\S+)(?: EXISTS)?(?: USING (?:COVERING )?INDEX \S+)?(?: LEFT-JOIN)?$/,
    ([, name = ""]) => ({ kind: "scan", name }),
  ],
  // min() or max() alone; without an index it reads all.
  [/^SEARCH (\S+)(?: LEFT-JOIN)?$/, ([, name = ""]) => ({ kind: "scan", name })],
  // Only these: a search by a stored index may also be driven by a list of any length after IN.
  [
    /^SEARCH (\S+)(?: EXISTS)? USING AUTOMATIC (?:PARTIAL )?(?:COVERING )?INDEX \((.*)\)(?: LEFT-JOIN)?$/,
    ([, name = "", columns = ""]) => ({ kind: "search", name, columns }),
  ],
  [/^MATERIALIZE (\S+)$/, ([, name = ""]) => ({ kind: "keep", name, stores: true })],
  [/^CO-ROUTINE (\S+)$/, ([, name = ""]) => ({ kind: "keep", name, stores: false })],
  [
    /^CORRELATED (SCALAR|LIST) SUBQUERY (\d+)$/,
    ([, type, number = ""]) => ({ kind: "per-row", number, list: type === "LIST" }),
  ],
  [
    /^(SCALAR|LIST) SUBQUERY (\d+)$/,
    ([, type, number = ""]) => ({ kind: "once", number, list: type === "LIST" }),
  ],
  [/^REUSE (?:LIST )?SUBQUERY (\d+)$/, ([, number = ""]) => ({ kind: "reuse", number })],
  [/^(?:LEFT-MOST SUBQUERY|LEFT|RIGHT|UNION ALL)$/, () => ({ kind: "part" })],
  [/^(?:UNION|INTERSECT|EXCEPT) USING TEMP B-TREE$/, () => ({ kind: "part" })],
  [/^COMPOUND QUERY$/, () => ({ kind: "compound", stores: true })],
  [/^MERGE \((?:UNION|UNION ALL|INTERSECT|EXCEPT)\)$/, () => ({ kind: "compound", stores: false })],
  [
    /^USE TEMP B-TREE FOR (?:DISTINCT|\w+(\(DISTINCT\)))$/,
    ([, inAggregate]) => ({ kind: "distinct", inAggregate: inAggregate !== undefined }),
  ],
  [/^USE TEMP B-TREE FOR GROUP BY$/, () => ({ kind: "sort", by: "group" })],
  [/^USE TEMP B-TREE FOR \w+\(ORDER BY\)$/, () => ({ kind: "sort", by: "aggregate" })],
  [/^USE TEMP B-TREE FOR /, () => ({ kind: "sort", by: "order" })],
  [/^(?:BLOOM FILTER ON .*|CREATE BLOOM FILTER)$/, () => ({ kind: "nothing" })],
  [/^(?:SETUP|RECURSIVE STEP)$/, () => ({ kind: "recursion" })],
];

/** The plan as a tree, or the first line that is not understood. */
export function readPlan(
  rows: readonly PlanRow[],
): { ok: true; nodes: PlanNode[] } | { ok: false; step: string } {
  const roots: PlanNode[] = [];
  const byId = new Map<number, PlanNode>();
  for (const { id, parent, detail } of rows) {
    const step = readStep(detail);
    const siblings = parent === 0 ? roots : byId.get(parent)?.children;
    if (!step || !siblings) return { ok: false, step: detail };
    const node = { step, children: [] };
    byId.set(id, node);
    siblings.push(node);
  }
  return { ok: true, nodes: roots };
}

function readStep(detail: string): Step | null {
  for (const [pattern, step] of FORMS) {
    const match = pattern.exec(detail);
    if (!match) continue;
    const found = step(match);
    return "name" in found ? { ...found, name: found.name.toLowerCase() } : found;
  }
  return null;
}
