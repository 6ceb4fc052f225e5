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
/** With more columns they are taken for one: each is a walk over the query. */
const MAX_COLUMNS_APART = 20;

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
      all: lengths.totals.reduce((sum, [, total]) => sum + total, statistics.rows * lengths.cells),
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
          none: of(lengths.only(0, null)),
          all: of(lengths.only(LONG, null)),
          twice: of(lengths.only(2 * LONG, null)),
          by: lengths.totals.map(([name, total]) => [of(lengths.only(LONG, name)), total]),
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
  const known = columns ?? new Map<string, { longest: number; total: number }>();
  const isKnown = columns !== undefined && columns.size <= MAX_COLUMNS_APART;
  const cells = CELL_BYTES * Math.max(1, columnsRead);
  // A text in each of the columns: which of them are text is not known.
  const longestRow = [...known.values()].reduce((sum, { longest }) => sum + longest, 0);
  const longest: Width = {
    widest: longestText,
    all: cells + (columns ? longestRow : columnsRead * longestText),
    named: new Map([...known].map(([name, one]) => [name, one.longest])),
    unnamed: columns ? 0 : longestText,
  };
  /** @param name Of the column that is long; null: all are. */
  const only = (length: number, name: string | null): Width => ({
    widest: length,
    all: cells + length,
    named: new Map(
      isKnown ? [...known.keys()].map((one) => [one, name === null || one === name ? length : 0]) : [],
    ),
    unnamed: isKnown ? 0 : length,
  });
  const totals: [string | null, number][] = isKnown
    ? [...known].map(([name, { total }]) => [name, total])
    : [[null, textCharacters ?? rows * columnsRead * longestText]];
  return { cells, longest, only, totals };
}
