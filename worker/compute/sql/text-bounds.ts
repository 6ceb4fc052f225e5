/**
 * How much text a query makes and keeps: of one row at most, and of all rows together. Pure.
 *
 * Where no row meets another's text, all rows together make of it what the table's whole text makes, however it is spread
 * over them: a few long texts among many short ones do not count as if all were long.
 */
import { SQLITE_MAX_LENGTH } from "../../limits.ts";
import type { TableStatistics } from "./cost.ts";
import type { RowBounds } from "./rows.ts";
import type { Shape } from "./shape.ts";
import { type TextWork, textWork } from "./texts.ts";
import type { Width } from "./widths.ts";

/** Beyond every length, to see how text grows with that of `data`. */
const LONG = 1e9;
/** A number and its place in a row. */
const CELL_BYTES = 10;
/** Columns with the most text, each of which is a walk over the query. All others are taken for one. */
const MAX_COLUMNS_APART = 4;

export type Pick = (work: TextWork) => number;

export class TextBounds {
  /** For the longest row. */
  readonly worst: TextWork;
  /** What is read of `data`: of the longest row, and of all. */
  readonly data: { row: number; all: number };
  readonly #rows: number;
  readonly #growth: {
    none: TextWork;
    all: TextWork;
    twice: TextWork;
    by: [of: TextWork, total: number][];
  } | null;

  /** @param isPipeline Whether every row goes through once, alone. */
  constructor(
    { select }: Shape,
    {
      statistics,
      bounds,
      isPipeline,
    }: { statistics: TableStatistics; bounds: RowBounds; isPipeline: boolean },
  ) {
    const lengths = lengthsOf(statistics);
    this.#rows = statistics.rows;
    this.data = {
      row: lengths.longest.all,
      all: statistics.rows * lengths.cells + sum(lengths.groups.map(({ total }) => total)),
    };
    this.worst = textWork(select, {
      data: lengths.longest,
      gatheredRows: (core) => bounds.joined(core),
      cap: SQLITE_MAX_LENGTH,
      asGrowth: false,
    });
    // Gathering moves text from rows into one, and makes none.
    const of = (data: Width) =>
      textWork(select, { data, gatheredRows: () => 1, cap: Number.POSITIVE_INFINITY, asGrowth: true });
    this.#growth = isPipeline
      ? {
          none: of(lengths.only(0, () => true)),
          all: of(lengths.only(LONG, () => true)),
          twice: of(lengths.only(2 * LONG, () => true)),
          by: lengths.groups.map(({ has, total }) => [of(lengths.only(LONG, has)), total]),
        }
      : null;
  }

  /**
   * Of all rows of `data` together. What is made of several columns is at most what is made of each, but for products,
   * which show when all grow.
   */
  total(pick: Pick): number {
    if (!this.#growth) return Number.POSITIVE_INFINITY;
    const { none, all, twice, by } = this.#growth;
    if (!(pick(twice) <= 2.01 * pick(all))) return Number.POSITIVE_INFINITY;
    return by.reduce(
      (sum, [far, total]) => sum + (pick(far) / LONG) * total,
      Math.max(1, this.#rows) * pick(none),
    );
  }
}

function lengthsOf({ rows, longestText, textCharacters, columns, columnsRead = 1 }: TableStatistics) {
  const cells = CELL_BYTES * Math.max(1, columnsRead);
  const named = (lengthOf: (name: string, longest: number) => number) =>
    new Map([...(columns ?? [])].map(([name, { longest }]) => [name, lengthOf(name, longest)]));
  const longestNamed = named((_, longest) => longest);
  // A text in each of the columns: which of them are text is not known.
  const longestRow = columns ? sum([...longestNamed.values()]) : columnsRead * longestText;
  const longest: Width = {
    widest: longestText,
    all: cells + longestRow,
    named: longestNamed,
    unnamed: columns ? 0 : longestText,
  };
  /** Where the columns for which it holds are so long, and all others empty. */
  const only = (length: number, isLong: (name: string) => boolean): Width => ({
    widest: length,
    all: cells + length,
    named: named((name) => (isLong(name) ? length : 0)),
    unnamed: columns ? 0 : length,
  });
  return {
    cells,
    longest,
    only,
    groups: groupsOf(columns, textCharacters ?? rows * columnsRead * longestText),
  };
}

interface Group {
  has: (name: string) => boolean;
  /** Of all text in its columns. */
  total: number;
}

/** Columns that are long together, as if each had the text of all. */
function groupsOf(columns: TableStatistics["columns"], textCharacters: number): Group[] {
  if (!columns) return [{ has: () => true, total: textCharacters }];
  const sorted = [...columns].sort(([, a], [, b]) => b.total - a.total);
  const apart = sorted.slice(0, MAX_COLUMNS_APART).map(([name]) => name);
  const others = sum(sorted.slice(MAX_COLUMNS_APART).map(([, { total }]) => total));
  const groups = apart.map((one) => ({
    has: (name: string) => name === one,
    total: columns.get(one)?.total ?? 0,
  }));
  return [...groups, { has: (name: string) => !apart.includes(name), total: others }].filter(
    ({ total }) => total > 0,
  );
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
