/**
 * How large a query is once SQLite has written it out. Pure.
 *
 * SQLite flattens subqueries: where `y` stands, it puts the expression that `y` names, and each mention of a name of
 * WITH gets a copy of its select. `y + y AS y` twenty deep is a million additions, and preparing that takes minutes,
 * so it must be known before the statement is prepared, even for its plan.
 */
import { MAX_SQL_PARTS } from "../../limits.ts";
import type { SqlFault } from "./faults.ts";
import type { Core, Expression, Part, Select, Shape } from "./shape.ts";
import type { SqlToken } from "./tokens.ts";
import { OPERATOR_STEPS, SQL_FUNCTIONS } from "./words.ts";

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

/** `*` and `t.*`. */
export function isStar(column: Expression): boolean {
  return (
    isText(column.at(-1), "*") && (column.length === 1 || (column.length === 3 && isText(column[1], ".")))
  );
}

export const isText = (part: Part | undefined, text: string) =>
  part?.kind === "token" && part.token.kind === "operator" && part.token.text === text;

/** What stands in a core, but for what it reads. */
export function expressionsOf(core: Core, select: Select): Expression[] {
  return [...core.columns, ...core.conditions, ...core.groupBy, ...select.tail];
}

/** Whether the query plan shows that SQLite keeps this select's rows instead of writing it out. */
type IsKept = (select: Select) => boolean;

/** Of a select's columns, written out. */
interface Width {
  /** The widest of them. */
  widest: number;
  /** All of them, as `*` writes them. */
  all: number;
}

/** What names in an expression stand for. */
interface Names {
  /** The widest column that is read. */
  column: number;
  /** Columns of the same select: by alias, and by place, as ORDER BY and GROUP BY may call them. */
  own?: ReadonlyMap<string, number>;
}

/** The steps of evaluating every expression once, as SQLite has written them out. */
export class WrittenOut {
  readonly #isKept: IsKept;
  readonly #widths = new Map<Select, { outer: number; width: Width }>();
  readonly #totals = new Map<Select, { outer: number; total: number }>();

  constructor(isKept: IsKept = () => false) {
    this.#isKept = isKept;
  }

  /** A select's expressions as they are written, without what it reads. */
  own(select: Select): number {
    const sizes = select.cores.flatMap((core) =>
      expressionsOf(core, select).map((one) => this.#size(one, { column: 1 }, false)),
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
      const inner = Math.max(outer, this.#sourceWidth(core, outer, this.#isKept).widest);
      const own = new Map<string, number>();
      for (const [i, column] of core.columns.entries()) {
        const size = this.#columnSize(core, column, outer);
        yield size;
        for (const name of [String(i + 1), lastName(column)])
          own.set(name, Math.max(size, own.get(name) ?? 0));
      }
      // Conditions are copied into the selects that they are about, kept or not.
      const pushed = Math.max(outer, this.#sourceWidth(core, outer, () => false).widest);
      for (const one of core.conditions) yield this.#size(one, { column: pushed, own }, true);
      for (const one of [...core.groupBy, ...select.tail])
        yield this.#size(one, { column: inner, own }, true);
      for (const { select: source } of core.sources) {
        yield source === "data" ? 1 : this.total(source, outerOf(source, outer));
      }
    }
  }

  #width(select: Select, outer: number): Width {
    const known = this.#widths.get(select);
    if (known && known.outer >= outer) return known.width;
    const width: Width = { widest: 1, all: 0 };
    for (const core of select.cores) {
      let all = 0;
      for (const column of core.columns) {
        const size = this.#columnSize(core, column, outer);
        all += size;
        const { widest } = isStar(column) ? this.#sourceWidth(core, outer, this.#isKept) : { widest: size };
        width.widest = Math.max(width.widest, widest);
      }
      width.all = Math.max(width.all, all);
    }
    this.#widths.set(select, { outer, width });
    return width;
  }

  #columnSize(core: Core, column: Expression, outer: number): number {
    const { widest, all } = this.#sourceWidth(core, outer, this.#isKept);
    return isStar(column) ? all : this.#size(withoutAlias(column), { column: Math.max(outer, widest) }, true);
  }

  #sourceWidth(core: Core, outer: number, isKept: IsKept): Width {
    const width: Width = { widest: 1, all: 0 };
    for (const { select } of core.sources) {
      const { widest, all } =
        select === "data" || isKept(select) ? READ : this.#width(select, outerOf(select, outer));
      width.widest = Math.max(width.widest, widest);
      width.all += all;
    }
    return width;
  }

  #size(expression: Expression, names: Names, withSelects: boolean): number {
    const { column, own } = names;
    let size = 0;
    for (const part of expression) {
      if (part.kind === "select") {
        size += withSelects ? this.total(part.select, Math.max(column, ...(own?.values() ?? []))) : 1;
      } else if (part.kind === "call") {
        size += part.name === null ? 1 : (SQL_FUNCTIONS.get(part.name)?.steps ?? 0);
        for (const arg of part.args) size += this.#size(arg, names, withSelects);
      } else {
        const { kind, name } = part.token;
        const isPlace = kind === "number" && expression.length === 1;
        size += isColumn(part)
          ? Math.max(column, own?.get(name) ?? 0)
          : Math.max(3, (isPlace && own?.get(name)) || 0);
        size += operatorSteps(part.token);
      }
      if (size > MAX_SQL_PARTS) break;
    }
    return size;
  }
}

/** Columns that are read from a table: few steps, however many `*` means. */
const READ: Width = { widest: 1, all: 3 };

/** By which a column may be called: its alias, if it has one. */
function lastName(column: Expression): string {
  const last = column.at(-1);
  return last?.kind === "token" ? last.token.name.toLowerCase() : "";
}

const operatorSteps = ({ kind, name }: SqlToken) =>
  kind === "word" || kind === "operator" ? (OPERATOR_STEPS.get(name) ?? 0) : 0;

/** FROM and top-level WITH cannot name a column of the selects around them. */
export const outerOf = (select: Select, outer: number) => (select.inExpression ? outer : 1);

/** Refuses what would take long to prepare. */
export function checkWrittenOut({ select }: Shape): SqlFault | null {
  const isTooLarge = new WrittenOut().total(select) > MAX_SQL_PARTS;
  return isTooLarge ? { reason: "too-large-when-written-out", limit: MAX_SQL_PARTS } : null;
}
