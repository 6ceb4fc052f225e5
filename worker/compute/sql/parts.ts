/**
 * How large a query is once SQLite has written it out. Pure.
 *
 * SQLite flattens subqueries: where `y` stands, it puts the expression that `y` names, and each mention of a name of
 * WITH gets a copy of its select. `y + y AS y` twenty deep is a million additions, and preparing that takes minutes,
 * so it must be known before the statement is prepared, even for its plan. What it never flattens (`kept.ts`) ends that.
 */
import { MAX_SQL_PARTS } from "../../limits.ts";
import { certainName, isColumn, isStar, isText, lastName, withoutAlias } from "./columns.ts";
import type { SqlFault } from "./faults.ts";
import { type IsKept, isAggregate, KeptSelects } from "./kept.ts";
import type { Core, Expression, Select, Shape } from "./shape.ts";
import type { SqlToken } from "./tokens.ts";
import { addNamed, NONE, READ, sizeOf, type Width } from "./widths.ts";
import { OPERATOR_STEPS, SQL_FUNCTIONS } from "./words.ts";

/** What stands in a core, but for what it reads. */
export function expressionsOf(core: Core, select: Select): Expression[] {
  return [...core.columns, ...core.conditions, ...core.afterGroups, ...core.groupBy, ...select.tail];
}

/** What names in an expression stand for. */
interface Names {
  read: Width;
  /** The widest column of the selects around. */
  outer: number;
  /** Columns of the same select: by alias, and by place, as ORDER BY and GROUP BY may call them. */
  own?: ReadonlyMap<string, number>;
}

/**
 * What a column of a kept select stands for. `read`: itself, as a column of a table does. `pushed`: all of its
 * expression, as in a condition that SQLite copies into the select, and on into those below.
 */
type Mode = "read" | "pushed";

/** Where a select stands: `outer` is the widest column of those around it, which it may name. */
interface Place {
  outer: number;
  mode: Mode;
}

/** The steps of evaluating every expression once, as SQLite has written them out. */
export class WrittenOut {
  readonly #kept: KeptSelects;
  readonly #columns = new Map<Select, number>();
  /** Of selects, and of what cores read. */
  readonly #widths = {
    read: new Map<Select | Core, { outer: number; width: Width }>(),
    pushed: new Map<Select | Core, { outer: number; width: Width }>(),
  };
  readonly #totals = new Map<Select, { outer: number; total: number }>();
  #looks = 0;

  constructor(isKeptByPlan: IsKept = () => false) {
    this.#kept = new KeptSelects(isKeptByPlan);
  }

  /** A select's expressions as they are written, without what it reads. */
  own(select: Select): number {
    const sizes = select.cores.flatMap((core) =>
      expressionsOf(core, select).map((one) => this.#size(one, { read: READ, outer: 1 }, false)),
    );
    return sizes.reduce((a, b) => a + b, 1);
  }

  /**
   * Infinite where counting itself would take long: a select is counted again wherever it may name wider columns.
   *
   * @param outer The widest column of the selects around, which a subquery in an expression may name.
   */
  total(select: Select, outer = 1): number {
    const known = this.#totals.get(select);
    if (known && known.outer >= outer) return known.total;
    let total = 0;
    for (const size of this.#sizes(select, outer)) {
      total += size;
      if (total === Number.POSITIVE_INFINITY) break;
    }
    this.#totals.set(select, { outer, total });
    return total;
  }

  /** Of all that a select evaluates, one after the other: what is not asked for is not counted. */
  *#sizes(select: Select, outer: number): Generator<number> {
    const read: Place = { outer, mode: "read" };
    for (const core of select.cores) {
      for (const column of core.columns) yield this.#columnSize(core, column, read);
      yield* this.#conditionSizes(core, select, outer);
      const names = this.#names(core, read, core.columns);
      for (const one of [...core.afterGroups, ...core.groupBy, ...select.tail])
        yield this.#size(one, names, true);
      for (const { select: source } of core.sources) {
        yield source === "data" ? 1 : this.total(source, outerOf(source, outer));
      }
    }
  }

  /** Conditions, and the copies of them in the selects that they are about. */
  *#conditionSizes(core: Core, select: Select, outer: number): Generator<number> {
    // SQLite refuses an alias of an aggregate in WHERE before it writes anything out. An aggregate in an expression may be
    // another select's.
    const own = select.inExpression ? core.columns : core.columns.filter((one) => !one.some(isAggregate));
    const read = this.#names(core, { outer, mode: "read" }, own);
    for (const one of core.conditions) yield this.#size(one, read, true);
    const copies = this.#kept.copiesBelow(core);
    // What HAVING says of groups alone SQLite takes for WHERE.
    const copied = [...core.conditions, ...core.afterGroups.filter((one) => !one.some(isAggregate))];
    if (copies === 0 || copied.length === 0) return;
    const pushed = this.#names(core, { outer, mode: "pushed" }, own);
    for (const one of copied) yield copies * this.#size(one, pushed, true);
  }

  /** @param columns Those of its own that may be called by alias or by place. */
  #names(core: Core, place: Place, columns: readonly Expression[]): Required<Names> {
    const own = new Map<string, number>();
    for (const column of columns) {
      const size = this.#columnSize(core, column, place);
      for (const name of [String(core.columns.indexOf(column) + 1), lastName(column)])
        own.set(name, Math.max(size, own.get(name) ?? 0));
    }
    return { read: this.#sourceWidth(core, place), outer: place.outer, own };
  }

  #width(select: Select, place: Place): Width {
    if (place.mode === "read" && this.#kept.isKept(select)) return { ...READ, all: this.#columnsOf(select) };
    return this.#remembered(select, place, () => {
      const widths = select.cores.map((core) => this.#coreWidth(core, place));
      const [only, ...more] = widths;
      // What UNION adds is called by the names of its first select.
      const hasNames = more.length === 0 && !select.renamed && select.cores[0]?.valuesRows === null;
      if (only && hasNames) return only;
      const widest = Math.max(1, ...widths.map((one) => one.widest));
      return { widest, all: Math.max(0, ...widths.map(({ all }) => all)), named: NONE, unnamed: widest };
    });
  }

  #coreWidth(core: Core, place: Place): Width {
    const read = this.#sourceWidth(core, place);
    let [widest, all, unnamed] = [1, 0, 1];
    const named = new Map<string, number>();
    for (const column of core.columns) {
      const size = this.#columnSize(core, column, place);
      all += size;
      const name = certainName(column);
      if (isStar(column)) {
        addNamed(named, read.named);
        widest = Math.max(widest, read.widest);
        unnamed = Math.max(unnamed, read.unnamed);
      } else {
        widest = Math.max(widest, size);
        if (name === null) unnamed = Math.max(unnamed, size);
        else addNamed(named, [[name, size]]);
      }
    }
    return { widest, all, named, unnamed };
  }

  #remembered(of: Select | Core, { mode, outer }: Place, measure: () => Width): Width {
    const known = this.#widths[mode].get(of);
    if (known && known.outer >= outer) return known.width;
    const width = measure();
    this.#widths[mode].set(of, { outer, width });
    return width;
  }

  /** How many columns a select has. */
  #columnsOf(select: Select): number {
    const known = this.#columns.get(select);
    if (known !== undefined) return known;
    const counts = select.cores.map((core) => {
      const read = core.sources.map(({ select: source }) =>
        source === "data" ? READ.all : this.#columnsOf(source),
      );
      const all = read.reduce((a, b) => a + b, 0);
      return core.columns.reduce((sum, column) => sum + (isStar(column) ? all : 1), 0);
    });
    const columns = Math.max(1, ...counts);
    this.#columns.set(select, columns);
    return columns;
  }

  #columnSize(core: Core, column: Expression, place: Place): number {
    const read = this.#sourceWidth(core, place);
    return isStar(column) ? read.all : this.#size(withoutAlias(column), { read, outer: place.outer }, true);
  }

  #sourceWidth(core: Core, place: Place): Width {
    return this.#remembered(core, place, () => {
      let [widest, all, unnamed] = [1, 0, 1];
      const named = new Map<string, number>();
      for (const { select } of core.sources) {
        const outer = select === "data" ? 1 : outerOf(select, place.outer);
        const width = select === "data" ? READ : this.#width(select, { ...place, outer });
        widest = Math.max(widest, width.widest);
        all += width.all;
        unnamed = Math.max(unnamed, width.unnamed);
        addNamed(named, width.named);
      }
      return { widest, all, named, unnamed };
    });
  }

  #size(expression: Expression, names: Names, withSelects: boolean): number {
    const { read, outer, own } = names;
    let size = 0;
    for (const [i, part] of expression.entries()) {
      this.#looks += 1;
      if (this.#looks > MAX_LOOKS) return Number.POSITIVE_INFINITY;
      if (part.kind === "select") {
        const widest = Math.max(outer, read.widest, ...(own?.values() ?? []));
        size += withSelects ? this.total(part.select, widest) : 1;
      } else if (part.kind === "call") {
        size += part.name === null ? 1 : (SQL_FUNCTIONS.get(part.name)?.steps ?? 0);
        for (const arg of part.args) size += this.#size(arg, names, withSelects);
      } else if (isText(part, ".") || isText(expression[i + 1], ".")) {
        // `t.x` is a column, no more than `x`.
      } else {
        const { kind, name } = part.token;
        const isPlace = kind === "number" && expression.length === 1;
        size += isColumn(part)
          ? Math.max(outer, sizeOf(part.token, read), own?.get(name.toLowerCase()) ?? 0)
          : Math.max(3, (isPlace && own?.get(name)) || 0);
        size += operatorSteps(part.token);
      }
    }
    return size;
  }
}

/** Parts looked at, again wherever one is counted again, before it is too much: some milliseconds. */
const MAX_LOOKS = 200_000;

const operatorSteps = ({ kind, name }: SqlToken) =>
  kind === "word" || kind === "operator" ? (OPERATOR_STEPS.get(name) ?? 0) : 0;

/** FROM and top-level WITH cannot name a column of the selects around them. */
export const outerOf = (select: Select, outer: number) => (select.inExpression ? outer : 1);

/** Selects in each other, each of which is a few calls deep here and in SQLite. */
const MAX_SELECTS = 400;

/** Refuses what would take long to prepare. */
export function checkWrittenOut({ select, selects }: Shape): SqlFault | null {
  const parts = selects.length > MAX_SELECTS ? Number.POSITIVE_INFINITY : new WrittenOut().total(select);
  return parts > MAX_SQL_PARTS ? { reason: "too-large-when-written-out", parts, limit: MAX_SQL_PARTS } : null;
}
