/**
 * How large a query is once SQLite has written it out. Pure.
 *
 * SQLite flattens subqueries: where `y` stands, it puts the expression that `y` names, and each mention of a name of
 * WITH gets a copy of its select. `y + y AS y` twenty deep is a million additions, and preparing that takes minutes,
 * so it must be known before the statement is prepared, even for its plan.
 */
import { MAX_SQL_PARTS } from "../limits.ts";
import type { SqlFault } from "./sql-faults.ts";
import type { Core, Expression, Part, Select, Shape } from "./sql-shape.ts";
import type { SqlToken } from "./sql-tokens.ts";
import { OPERATOR_STEPS, SQL_FUNCTIONS } from "./sql-words.ts";

/** Reserved in SQLite, so never a column. */
const NOT_A_COLUMN = new Set(
  "and or not in is null case when then else between escape as distinct isnull notnull collate".split(" "),
);

/** Whether a part may stand for a column. */
export function isColumn(part: Part): boolean {
  if (part.kind !== "token") return false;
  const { kind, name } = part.token;
  return kind === "quoted" || (kind === "word" && !NOT_A_COLUMN.has(name));
}

/** `x` of `x AS y`. */
export function withoutAlias(expression: Expression): Expression {
  const as = expression.at(-2);
  return as?.kind === "token" && as.token.kind === "word" && as.token.name === "as"
    ? expression.slice(0, -2)
    : expression;
}

/** What stands in a core, but for what it reads. */
export function expressionsOf(core: Core, select: Select): Expression[] {
  return [...core.columns, ...core.conditions, ...core.groupBy, ...select.tail];
}

/** Whether the query plan shows that SQLite keeps this select's rows instead of writing it out. */
type IsKept = (select: Select) => boolean;

/** The steps of evaluating every expression once, as SQLite has written them out. */
export class WrittenOut {
  readonly #isKept: IsKept;
  readonly #widths = new Map<Select, { outer: number; width: number }>();
  readonly #totals = new Map<Select, { outer: number; total: number }>();

  constructor(isKept: IsKept = () => false) {
    this.#isKept = isKept;
  }

  /** A select's expressions as they are written, without what it reads. */
  own(select: Select): number {
    const sizes = select.cores.flatMap((core) =>
      expressionsOf(core, select).map((one) => this.#size(one, 1, false)),
    );
    return sizes.reduce((a, b) => a + b, 1);
  }

  /**
   * More than MAX_SQL_PARTS is too much, and not added up any further: each part takes time to count, once for every
   * copy, as it would take SQLite.
   *
   * @param outer The widest column of the selects around, which a subquery in an expression may name.
   */
  total(select: Select, outer = 1): number {
    const known = this.#totals.get(select);
    if (known && known.outer >= outer) return known.total;
    let total = 0;
    for (const size of this.#sizes(select, outer)) {
      total += size;
      if (total > MAX_SQL_PARTS) break;
    }
    this.#totals.set(select, { outer, total });
    return total;
  }

  /** Of all that a select evaluates, one after the other: what is not asked for is not counted. */
  *#sizes(select: Select, outer: number): Generator<number> {
    for (const core of select.cores) {
      const inner = Math.max(outer, this.#widestSource(core, outer, this.#isKept));
      // Conditions are copied into the selects that they are about, kept or not.
      const pushed = Math.max(
        outer,
        this.#widestSource(core, outer, () => false),
      );
      for (const one of expressionsOf(core, select)) {
        yield this.#size(one, core.conditions.includes(one) ? pushed : inner, true);
      }
      for (const { select: source } of core.sources) {
        yield source === "data" ? 1 : this.total(source, outerOf(source, outer));
      }
    }
  }

  /** The widest of a select's columns, written out. */
  #width(select: Select, outer: number): number {
    const known = this.#widths.get(select);
    if (known && known.outer >= outer) return known.width;
    let width = 1;
    for (const core of select.cores) {
      const inner = Math.max(outer, this.#widestSource(core, outer, this.#isKept));
      for (const column of core.columns) width = Math.max(width, this.#size(column, inner, false));
    }
    this.#widths.set(select, { outer, width });
    return width;
  }

  #widestSource(core: Core, outer: number, isKept: IsKept): number {
    const widths = core.sources.map(({ select }) =>
      select === "data" || isKept(select) ? 1 : this.#width(select, outerOf(select, outer)),
    );
    return Math.max(1, ...widths);
  }

  #size(expression: Expression, width: number, withSelects: boolean): number {
    let size = 0;
    for (const part of expression) {
      if (part.kind === "select") size += withSelects ? this.total(part.select, width) : 1;
      else if (part.kind === "call") {
        size += part.name === null ? 1 : (SQL_FUNCTIONS.get(part.name)?.steps ?? 0);
        for (const arg of part.args) size += this.#size(arg, width, withSelects);
      } else if (isColumn(part)) size += width;
      else size += 3;
      if (part.kind === "token") size += operatorSteps(part.token);
      if (size > MAX_SQL_PARTS) break;
    }
    return size;
  }
}

const operatorSteps = ({ kind, name }: SqlToken) =>
  kind === "word" || kind === "operator" ? (OPERATOR_STEPS.get(name) ?? 0) : 0;

/** FROM and top-level WITH cannot name a column of the selects around them. */
const outerOf = (select: Select, outer: number) => (select.inExpression ? outer : 1);

/** Refuses what would take long to prepare. */
export function checkWrittenOut({ select }: Shape): SqlFault | null {
  const isTooLarge = new WrittenOut().total(select) > MAX_SQL_PARTS;
  return isTooLarge ? { reason: "too-large-when-written-out", limit: MAX_SQL_PARTS } : null;
}
