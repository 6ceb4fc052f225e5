/**
 * Which selects SQLite certainly computes by themselves, whoever reads them, so that a column of theirs is read and not
 * written out. Pure.
 *
 * By the rules of `flattenSubquery` in SQLite's select.c: 4 (DISTINCT), 17a (UNION, INTERSECT, EXCEPT), 17b and 17e (in any
 * part of a compound), 25 (windows), 28 (MATERIALIZED), and that it does not try to flatten an aggregate. What hangs on
 * the select around, as for LIMIT, is not certain. A name of WITH that is read twice is flattened like any other.
 */
import type { Core, Expression, Part, Select } from "./shape.ts";
import { SQL_FUNCTIONS } from "./words.ts";

export function isNeverFlattened(select: Select): boolean {
  if (select.materialized || select.comparesRows) return true;
  return select.cores.some(
    (core) =>
      core.distinct || core.groupBy.length > 0 || core.columns.some(hasWindow) || isOneRow(core, select),
  );
}

/** Whether an aggregate of the select's own makes one row of all; one in an expression may be another's. */
export function isOneRow(core: Core, { inExpression }: Select): boolean {
  return !inExpression && mayBeOneRow(core);
}

/** Whether an aggregate stands there, be it of this select or of one around it. */
export function mayBeOneRow(core: Core): boolean {
  return core.groupBy.length === 0 && core.columns.some((column) => column.some(isAggregate));
}

/** Whether it is an aggregate or holds one. */
export function isAggregate(part: Part): boolean {
  if (part.kind !== "call") return false;
  const { name, args, overWindow } = part;
  const known = name === null ? undefined : SQL_FUNCTIONS.get(name);
  const isMinMax = name === "min" || name === "max";
  if (known?.aggregate && !overWindow && (!isMinMax || args.length === 1)) return true;
  return args.some((arg) => arg.some(isAggregate));
}

function hasWindow(expression: Expression): boolean {
  return expression.some((part, i) => {
    if (part.kind !== "call") return false;
    // With nothing after it `over` is an alias.
    const over = expression.findIndex((one, at) => at > i && isWordPart(one, "over"));
    return (
      (part.name !== null && part.overWindow && over + 1 < expression.length) || part.args.some(hasWindow)
    );
  });
}

const isWordPart = (part: Part, word: string) =>
  part.kind === "token" && part.token.kind === "word" && part.token.name === word;

/** Whether the query plan shows that SQLite keeps this select's rows instead of writing it out. */
export type IsKept = (select: Select) => boolean;

/** Which selects of a query are kept, and how far conditions are copied into them. */
export class KeptSelects {
  readonly #isKeptByPlan: IsKept;
  readonly #kept = new Map<Select, boolean>();
  readonly #copies = new Map<Select, number>();

  constructor(isKeptByPlan: IsKept) {
    this.#isKeptByPlan = isKeptByPlan;
  }

  /** How many selects below may each get a copy of a condition: it is about one source, or all that UNION joins in it. */
  copiesBelow({ sources }: Core): number {
    return Math.max(0, ...sources.map(({ select }) => (select === "data" ? 0 : this.#copiesIn(select))));
  }

  #copiesIn(select: Select): number {
    if (select.materialized) return 0;
    const known = this.#copies.get(select);
    if (known !== undefined) return known;
    const here = this.isKept(select) ? 1 : 0;
    const copies = select.cores.reduce((sum, core) => sum + here + this.copiesBelow(core), 0);
    this.#copies.set(select, copies);
    return copies;
  }

  isKept(select: Select): boolean {
    const kept = this.#kept.get(select) ?? (isNeverFlattened(select) || this.#isKeptByPlan(select));
    this.#kept.set(select, kept);
    return kept;
  }
}
