/**
 * What a query may cost at most, judged before it runs. Pure.
 *
 * A step is about 2 ns. Measured in workerd on a shared core: a row of a scan 40 ns, a row found in an index 200 ns,
 * sorting 100,000 rows 50 ms, an operator with its operand 14 ns, a function 30–800 ns, a character handled 0.5–3 ns.
 *
 * Why it holds: the rows visited are at most those of `plan.ts`. At each visit every expression of the whole
 * statement is evaluated at most once, as SQLite has written it out (`parts.ts`). Each evaluation handles at most
 * the text of `texts.ts`. All else that SQLite does (sorting, indexes, keeping rows) is in the plan, but for the rows of
 * windows. What is kept is counted apart, in bytes (`kept-bytes.ts`): SQLite may put it into files, or into memory.
 */
import { MAX_RAW_ROW_CHARACTERS, MAX_SQL_KEPT_BYTES, MAX_SQL_STEPS } from "../../limits.ts";
import type { SqlFault } from "./faults.ts";
import { KeptBytes } from "./kept-bytes.ts";
import { expressionsOf, WrittenOut } from "./parts.ts";
import { Plan } from "./plan.ts";
import { RowBounds, selectsIn } from "./rows.ts";
import type { Expression, Part, Select, Shape } from "./shape.ts";
import { type PlanNode, type PlanRow, readPlan } from "./steps.ts";
import { TextBounds } from "./text-bounds.ts";
import type { SqlToken } from "./tokens.ts";

/** What is known of the table `data`. Numbers that are too high do no harm, but may refuse a query. */
export interface TableStatistics {
  rows: number;
  /** Characters of the longest text in a column that the query may read. */
  longestText: number;
  /** Characters of all text in those columns. Default: every row has the longest. */
  textCharacters?: number;
  /** Characters of the longest row with all its columns: a row is read past what is not asked for. */
  longestRow?: number;
  /** How many columns the query may read. Default: one. */
  columnsRead?: number;
  /** Those columns, by name in lower case: characters of the longest text, and of all. Default: all have the longest. */
  columns?: ReadonlyMap<string, { longest: number; total: number }>;
  /** By column in lower case: how many rows at most have one value in it. Default: all. */
  largestGroup?: ReadonlyMap<string, number>;
}

export interface Query {
  tokens: readonly SqlToken[];
  shape: Shape;
}

/** `rowBytes`: of the longest row of the result, or of a select within. */
type Estimate =
  | { ok: true; steps: number; keptBytes: number; rowBytes: number }
  | { ok: false; fault: SqlFault };

/** In steps: a character handled, one read, and one read past. */
const HANDLED = 1.5;
const CARRIED = 0.1;
const PASSED = 0.01;
/** A byte that is kept, which may go to a file and come back. */
const KEPT = 4;

/** Judges the plan of a query against the budgets of limits.ts. */
export function estimateCost(query: Query, plan: readonly PlanRow[], statistics: TableStatistics): Estimate {
  const read = readPlan(plan);
  if (!read.ok) return refuse({ reason: "plan-not-understood", step: read.step });
  if (hasRecursion(read.nodes)) return refuse({ reason: "recursion", name: "WITH" });
  const { shape } = query;
  const bounds = new RowBounds(shape, statistics.rows);
  const texts = new TextBounds(shape, { statistics, bounds, isPipeline: isPipeline(shape.selects, bounds) });
  const kept = new KeptBytes(texts, { rows: statistics.rows, bounds });
  const tree = new Plan(read.nodes, {
    select: shape.select,
    kept,
    hasLimit: query.tokens.some(({ kind, name }) => kind === "word" && name === "limit"),
    bounds,
    statistics,
    distrustsColumns: distrustsColumns(query.tokens),
  });
  const unknown = tree.unknownName(read.nodes);
  if (unknown !== null) return refuse({ reason: "plan-not-understood", step: unknown });

  const work = tree.work(read.nodes);
  const expressions = new WrittenOut((select) => tree.isKept(select)).total(shape.select);
  // Where an expression is written out several times, so is the text that it makes.
  const copies = Math.max(1, expressions / ownSize(shape));
  const text = textSteps(texts, { statistics, selects: shape.selects.length, visits: work.visits, copies });
  const keptRows = work.kept + kept.ofWindows(shape);
  const keptBytes = keptRows + kept.atOnce(shape);
  const running = work.steps + work.visits * expressions + text;
  const steps = running + keptRows * KEPT;
  const tooCostly: SqlFault = { reason: "too-costly", estimate: steps, budget: MAX_SQL_STEPS };
  if (!(running <= MAX_SQL_STEPS)) return refuse(tooCostly);
  // Before what it costs to keep it: to keep less helps with both.
  if (!(keptBytes <= MAX_SQL_KEPT_BYTES))
    return refuse({ reason: "too-much-memory", bytes: keptBytes, limit: MAX_SQL_KEPT_BYTES });
  if (!(steps <= MAX_SQL_STEPS)) return refuse(tooCostly);
  return { ok: true, steps, keptBytes, rowBytes: texts.worst.longestRow };
}

function refuse(fault: SqlFault): Estimate {
  return { ok: false, fault };
}

interface TextFacts {
  statistics: TableStatistics;
  selects: number;
  visits: number;
  copies: number;
}

/** The cheaper of two bounds that both hold. */
function textSteps(texts: TextBounds, { statistics, selects, visits, copies }: TextFacts): number {
  const { rows, longestText, longestRow = 3 * MAX_RAW_ROW_CHARACTERS } = statistics;
  const { textCharacters = rows * longestText } = statistics;
  const { worst } = texts;
  const worstSteps =
    visits * (copies * (worst.handled * HANDLED + worst.carried * CARRIED) + longestRow * PASSED);
  const total =
    copies *
      (texts.total(({ handled }) => handled) * HANDLED + texts.total(({ carried }) => carried) * CARRIED) +
    selects * textCharacters * PASSED;
  return Math.min(worstSteps, total);
}

/** Whether no row meets another's text: nothing is joined, copied over a window, or asked for by an expression. */
function isPipeline(selects: readonly Select[], bounds: RowBounds): boolean {
  return selects.every(
    (select) =>
      (bounds.instances.get(select) ?? 0) <= 1 &&
      select.cores.every((core) => {
        const expressions = expressionsOf(core, select);
        return (
          core.sources.length <= 1 && selectsIn(expressions).length === 0 && !copiesOverWindow(expressions)
        );
      }),
  );
}

const COPYING = new Set([
  "first_value",
  "last_value",
  "nth_value",
  "min",
  "max",
  "group_concat",
  "string_agg",
  "json_group_array",
  "json_group_object",
]);

function copiesOverWindow(expressions: readonly Expression[]): boolean {
  const copies = (part: Part): boolean =>
    part.kind === "call" &&
    ((part.overWindow && part.name !== null && COPYING.has(part.name)) || copiesOverWindow(part.args));
  return expressions.some((expression) => expression.some(copies));
}

function ownSize({ selects }: Shape): number {
  return selects.reduce((sum, select) => sum + new WrittenOut(() => true).own(select), 0);
}

function hasRecursion(nodes: readonly PlanNode[]): boolean {
  return nodes.some(({ step, children }) => step.kind === "recursion" || hasRecursion(children));
}

/** COLLATE makes unequal keys equal; a quoted `x=? AND y` would read as two columns of an index. */
function distrustsColumns(tokens: readonly SqlToken[]): boolean {
  return tokens.some(
    ({ kind, name }) => (kind === "word" && name === "collate") || (kind === "quoted" && name.includes("=")),
  );
}
