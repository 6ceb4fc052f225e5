/**
 * How many rows each part of a query has at most, as far as its words show it. Pure.
 *
 * A join has at most the product of what it joins, whatever its conditions, since the tenant also writes the data.
 * Fewer only where SQL itself says so: an aggregate without GROUP BY, LIMIT, and one row for each key of a GROUP BY.
 */

import { isColumn, withoutAlias } from "./columns.ts";
import { isOneRow } from "./kept.ts";
import type { Core, Expression, Select, Shape } from "./shape.ts";
import type { SqlToken } from "./tokens.ts";

export class RowBounds {
  readonly #dataRows: number;
  readonly #known = new Map<Select, number>();
  /** What a name of the plan may mean: tables by alias and by name. */
  readonly named = new Map<string, Set<Select | "data">>([["data", new Set(["data"])]]);
  /** Rows, at most, of a subquery for which the plan makes up a name. */
  readonly unnamed: number;
  /** How often a select is written out; once: the plan's line of that name is about it. */
  readonly instances = new Map<Select, number>();

  constructor({ select, selects }: Shape, dataRows: number) {
    this.#dataRows = dataRows;
    const cores = selects.flatMap((one) => one.cores);
    for (const { alias, select: source, cte } of cores.flatMap((core) => core.sources)) {
      for (const name of [alias, cte]) if (name !== null) this.#name(name, source);
    }
    this.#count(select);
    // Also what a core joins before it aggregates: a window keeps those rows under a name of its own.
    this.unnamed = Math.max(...selects.map((one) => this.of(one)), ...cores.map((core) => this.joined(core)));
  }

  of(source: Select | "data"): number {
    if (source === "data") return this.#dataRows;
    const known = this.#known.get(source);
    if (known !== undefined) return known;
    const all = source.cores.map((core) => (isOneRow(core, source) ? 1 : this.joined(core)));
    const rows = Math.min(
      source.limit ?? Number.POSITIVE_INFINITY,
      all.reduce((a, b) => a + b, 0),
    );
    this.#known.set(source, rows);
    return rows;
  }

  joined(core: Core): number {
    if (core.valuesRows !== null) return core.valuesRows;
    return core.sources.reduce((product, { select }) => product * Math.max(1, this.of(select)), 1);
  }

  #name(name: string, source: Select | "data"): void {
    const meanings = this.named.get(name) ?? new Set();
    this.named.set(name, meanings.add(source));
  }

  /** Ends: what is written out has at most MAX_SQL_PARTS parts. */
  #count(select: Select): void {
    this.instances.set(select, (this.instances.get(select) ?? 0) + 1);
    for (const core of select.cores) {
      for (const { select: source } of core.sources) if (source !== "data") this.#count(source);
      for (const inner of selectsIn([
        ...core.columns,
        ...core.conditions,
        ...core.afterGroups,
        ...core.groupBy,
      ]))
        this.#count(inner);
    }
    for (const inner of selectsIn(select.tail)) this.#count(inner);
  }
}

/** The subqueries in expressions, not those in the subqueries. */
export function selectsIn(expressions: readonly Expression[]): Select[] {
  return expressions.flat().flatMap((part) => {
    if (part.kind === "select") return [part.select];
    return part.kind === "call" ? selectsIn(part.args) : [];
  });
}

/** Whether no two rows of the select agree in these columns, because it groups by some of them. */
export function isUniqueBy(select: Select, columns: ReadonlySet<string>): boolean {
  const [core, ...others] = select.cores;
  if (!core || others.length > 0 || select.renamed || core.groupBy.length === 0) return false;
  const names = core.columns.map(columnName);
  return core.groupBy.every((key) => {
    const at = positionOf(key, core);
    const name = names[at];
    return name != null && names.indexOf(name) === names.lastIndexOf(name) && columns.has(name);
  });
}

/** The column of the result that is this key of GROUP BY, or -1. An alias is no proof: a column of it may exist. */
function positionOf(key: Expression, core: Core): number {
  const [only, ...more] = tokensOf(key) ?? [];
  const hasStar = core.columns.some((column) => tokensOf(column)?.at(-1)?.text === "*");
  if (!only || hasStar) return -1;
  if (only.kind === "number" && more.length === 0) return Number(only.text) - 1;
  if (!key.every((part, i) => (i % 2 === 0 ? isColumn(part) : tokensOf([part])?.[0]?.text === ".")))
    return -1;
  const written = wordsOf(key);
  return core.columns.findIndex((column) => wordsOf(withoutAlias(column)) === written);
}

function columnName(column: Expression): string | null {
  const tokens = tokensOf(column.slice(-1));
  const bare = withoutAlias(column);
  const isPlain =
    bare.length !== column.length || column.length === 1 || tokensOf(column.slice(-2))?.[0]?.text === ".";
  return isPlain ? (tokens?.[0]?.name ?? null) : null;
}

function tokensOf(expression: Expression): SqlToken[] | null {
  const tokens = expression.flatMap((part) => (part.kind === "token" ? [part.token] : []));
  return tokens.length === expression.length ? tokens : null;
}

const wordsOf = (expression: Expression) =>
  tokensOf(expression)
    ?.map(({ name }) => name)
    .join(" ");
