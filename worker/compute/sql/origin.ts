/**
 * Whether a column of the result is a column of `data`, unchanged. Pure.
 *
 * A streaming feature is computed from the rows of some entities alone, found by their column of the entity key's name.
 * That is the same as computing all of them only when each row of the result is of the entity in that column. What is
 * not proven here may still be true; it is computed by hand.
 */

import { certainName, isColumn, isStar, isText, withoutAlias } from "./columns.ts";
import { mayBeOneRow } from "./kept.ts";
import { expressionsOf } from "./parts.ts";
import { selectsIn } from "./rows.ts";
import type { Core, Expression, Part, Select, Shape } from "./shape.ts";
import { SQL_FUNCTIONS } from "./words.ts";

/**
 * Where a name has its values from: a column of `data`, nothing of that name, or what is not known; then perhaps there is
 * nothing of that name either.
 */
export type Origin =
  | { kind: "column"; column: string }
  | { kind: "absent" }
  | { kind: "unknown"; isThere: boolean };

const ABSENT: Origin = { kind: "absent" };
const UNKNOWN: Origin = { kind: "unknown", isThere: true };
const PERHAPS: Origin = { kind: "unknown", isThere: false };

/** Whether there certainly is something of that name. */
export const isThere = (origin: Origin) =>
  origin.kind === "column" || (origin.kind === "unknown" && origin.isThere);

/** Names in any case. @param columns All of `data`. */
export function isColumnOfData({ select }: Shape, name: string, columns: readonly string[]): boolean {
  const origins = new Origins(columns);
  const origin = origins.of(select, name.toLowerCase());
  return origin.kind === "column" && origin.column === name.toLowerCase();
}

/** Names in lower case. */
export class Origins {
  readonly #columns: ReadonlySet<string>;
  /** A select may be read from many places, and each of its columns from many more: all are looked into once. */
  readonly #known = new Map<Select, Map<string, Origin>>();
  readonly #around = new Map<Select, boolean>();

  /** @param columns All of `data`. */
  constructor(columns: readonly string[]) {
    this.#columns = new Set(columns.map((column) => column.toLowerCase()));
  }

  of(source: Select | "data", name: string): Origin {
    if (source === "data") return this.#columns.has(name) ? { kind: "column", column: name } : ABSENT;
    const known = this.#known.get(source) ?? new Map<string, Origin>();
    this.#known.set(source, known);
    const origin = known.get(name) ?? this.#find(source, name);
    known.set(name, origin);
    return origin;
  }

  #find(source: Select, name: string): Origin {
    const [core, ...others] = source.cores;
    if (!core) return PERHAPS;
    if (source.renamed) return this.#findRenamed(source, name);
    if (core.valuesRows !== null) return /^column\d+$/.test(name) ? UNKNOWN : ABSENT;
    const found = core.columns.flatMap((column, at) => {
      const origin = this.#named(core, column, name);
      return origin.kind === "absent" ? [] : [{ at, origin }];
    });
    const [only, ...more] = found;
    if (!only) return ABSENT;
    if (more.length > 0) return found.some(({ origin }) => isThere(origin)) ? UNKNOWN : PERHAPS;
    const first = this.#ofGroups(core, source, only.origin);
    if (others.length === 0 || !isThere(first)) return first;
    // What UNION adds goes by its place, not by its name.
    if (source.cores.some((one) => one.columns.some(isStar))) return UNKNOWN;
    const added = others.map((one) => {
      return this.#ofGroups(one, source, this.referred(one, one.columns[only.at] ?? []));
    });
    return agreeing([first, ...added]);
  }

  /** By the names that WITH gives to its columns in their order. */
  #findRenamed(source: Select, name: string): Origin {
    if (source.names === null) return PERHAPS;
    const at = source.names.indexOf(name);
    if (at < 0) return ABSENT;
    const isOnce = source.names.lastIndexOf(name) === at;
    if (!isOnce || source.cores.some((core) => core.columns.some(isStar))) return UNKNOWN;
    return agreeing(
      source.cores.map((core) => this.#ofGroups(core, source, this.referred(core, core.columns[at] ?? []))),
    );
  }

  /** The origin of a column of the core, where it may be called so. */
  #named(core: Core, column: Expression, name: string): Origin {
    if (isStar(column)) return this.resolve(core, column.length === 3 ? nameOf(column[0]) : null, name);
    const last = column.at(-1);
    // Parentheses and hints are nothing to SQLite when it looks for a name.
    if (column.length === 1 && last?.kind === "call")
      return [null, "likely", "unlikely"].includes(last.name) ? PERHAPS : ABSENT;
    return nameOf(last) === name ? this.referred(core, column) : ABSENT;
  }

  /** The origin of `x`, `t.x`, either with an alias; of any other expression it is not known. */
  referred(core: Core, column: Expression): Origin {
    const reference = readReference(column);
    const origin = reference ? this.resolve(core, reference.table, reference.column) : UNKNOWN;
    return origin.kind === "absent" ? UNKNOWN : origin;
  }

  /** Where a row that the core has joined has a name's value from. */
  resolve(core: Core, table: string | null, name: string): Origin {
    const sources = core.sources.filter(({ alias, join }) =>
      // Without a table the name of USING is the first table's.
      table === null ? !join.using.some((one) => nameOf(one[0]) === name) : alias === table,
    );
    const origins = sources.map(({ select, join }) => {
      const origin = this.of(select, name);
      // Where nothing fits, it is null.
      return join.isLeft && origin.kind === "column" ? UNKNOWN : origin;
    });
    return agreeing(origins.filter(({ kind }) => kind !== "absent"));
  }

  /**
   * Whether a subquery in an expression has an aggregate over columns that are not its own: that aggregate is one of the
   * select around it, and makes one row of all there. What such a subquery reads may have it as well.
   */
  aggregatesWithin(core: Core, select: Select): boolean {
    return selectsIn(expressionsOf(core, select)).some((inner) => this.#aggregatesAround(inner));
  }

  #aggregatesAround(select: Select): boolean {
    const known = this.#around.get(select);
    if (known !== undefined) return known;
    const found = select.cores.some(
      (core) =>
        aggregatesIn(expressionsOf(core, select)).some((args) => !this.#isOwn(core, args)) ||
        this.aggregatesWithin(core, select) ||
        core.sources.some(({ select: read }) => read !== "data" && this.#aggregatesAround(read)),
    );
    this.#around.set(select, found);
    return found;
  }

  /** An aggregate is of the innermost select that has one of the columns in its arguments; without any, of its own. */
  #isOwn(core: Core, args: readonly Expression[]): boolean {
    const names = namesIn(args);
    return (
      (names.length === 0 && selectsIn(args).length === 0) ||
      names.some(({ table, column }) => isThere(this.resolve(core, table, column)))
    );
  }

  /** A row that is made of several is of one entity only when they are grouped by it. */
  #ofGroups(core: Core, select: Select, origin: Origin): Origin {
    if (origin.kind !== "column") return origin;
    if (mayBeOneRow(core) || this.aggregatesWithin(core, select)) return UNKNOWN;
    if (core.groupBy.length === 0) return origin;
    return this.isGroupedBy(core, origin.column) ? origin : UNKNOWN;
  }

  /** Whether GROUP BY names this column of `data`, itself, by its place or by an alias. */
  isGroupedBy(core: Core, column: string): boolean {
    return core.groupBy.some((key) => {
      const origin = this.#ofKey(core, key);
      return origin.kind === "column" && origin.column === column;
    });
  }

  #ofKey(core: Core, key: Expression): Origin {
    const [only, ...more] = key;
    if (only?.kind === "token" && only.token.kind === "number" && more.length === 0) {
      // `1.0` is no position.
      const isPosition = /^[1-9]\d*$/.test(only.token.text) && !core.columns.some(isStar);
      return isPosition ? this.referred(core, core.columns[Number(only.token.text) - 1] ?? []) : UNKNOWN;
    }
    const reference = exactReference(key);
    if (!reference) return UNKNOWN;
    const { table, column: name } = reference;
    const origin = this.resolve(core, table, name);
    // An alias means something only where no column has its name.
    if (origin.kind !== "absent" || table !== null) return origin;
    return agreeing(
      core.columns.filter((one) => certainName(one) === name).map((one) => this.referred(core, one)),
    );
  }
}

/** The arguments of each aggregate in expressions, those of subqueries left out. */
function aggregatesIn(expressions: readonly Expression[]): Expression[][] {
  return expressions.flat().flatMap((part) => {
    if (part.kind !== "call") return [];
    const isAggregate = part.name !== null && SQL_FUNCTIONS.get(part.name)?.aggregate;
    return [...(isAggregate ? [part.args] : []), ...aggregatesIn(part.args)];
  });
}

/** All columns that expressions name, those of subqueries left out. */
function namesIn(expressions: readonly Expression[]): ColumnName[] {
  return expressions.flatMap((expression) =>
    expression.flatMap((part, i) => {
      if (part.kind === "call") return namesIn(part.args);
      if (!isColumn(part) || isText(expression[i + 1], ".")) return [];
      const table = isText(expression[i - 1], ".") ? nameOf(expression[i - 2]) : null;
      return [{ table, column: nameOf(part) ?? "" }];
    }),
  );
}

/** What several have in common: SQLite may mean any of them. */
function agreeing(origins: readonly Origin[]): Origin {
  const [first] = origins;
  if (!first) return ABSENT;
  const isOne =
    first.kind === "column" && origins.every((one) => one.kind === "column" && one.column === first.column);
  if (isOne) return first;
  return origins.some(isThere) ? UNKNOWN : PERHAPS;
}

/** `x` and `t.x`, either with an alias; null for any other expression. */
export function readReference(column: Expression): ColumnName | null {
  const bare = withoutAlias(column);
  const last = bare.at(-1);
  // `x y`, `t.x y`: an alias without AS.
  const isName = last?.kind === "token" && (isColumn(last) || last.token.kind === "string");
  const hasAlias = bare.length === column.length && bare.length % 2 === 0 && isName;
  return exactReference(hasAlias ? bare.slice(0, -1) : bare);
}

export interface ColumnName {
  table: string | null;
  column: string;
}

/** `x` and `t.x`; null for any other expression. */
export function exactReference([first, dot, second, ...more]: Expression): ColumnName | null {
  if (!first || !isColumn(first) || more.length > 0) return null;
  if (!dot) return { table: null, column: nameOf(first) ?? "" };
  if (!isText(dot, ".") || !second || !isColumn(second)) return null;
  return { table: nameOf(first), column: nameOf(second) ?? "" };
}

/** In lower case; SQLite takes a string for a name too. */
export function nameOf(part: Part | undefined): string | null {
  if (part?.kind !== "token") return null;
  const { kind, name } = part.token;
  return kind === "word" || kind === "quoted" || kind === "string" ? name.toLowerCase() : null;
}
