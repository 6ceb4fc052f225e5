/**
 * The memory that a query takes: the rows that it keeps, with what is in them, and what it makes of one row. Pure.
 *
 * What functions walk through is not kept: `length(text)` takes the text's time and a number's memory. But GROUP BY and
 * windows keep the columns that are read, not what is made of them.
 */
import { expressionsOf } from "./parts.ts";
import { type RowBounds, selectsIn } from "./rows.ts";
import type { Select, Shape } from "./shape.ts";
import type { TextBounds } from "./text-bounds.ts";
import type { Held } from "./texts.ts";
import { rowTables, valueTrees, windowsOf } from "./windows.ts";

/** What a structure of SQLite's has in each of its rows. */
export type KeptOf = "row" | "sorted" | "args" | "windowArgs" | "anything";
/**
 * A sorter has the rows and little else. A table fills pages of 4 KiB, of which a row may waste half. A tree takes rows
 * in any order, and what is beyond a quarter of a page goes to a page of its own.
 */
export type KeptIn = "sorter" | "table" | "tree";

/** A kept row without what is in it. */
const KEPT_ROW_BYTES = 48;
const SORTER_GROWTH = 1.1;
/** Of rows up to this, or of any. */
const TABLE_CELL = 400;
const SHORT_TABLE_GROWTH = 1.15;
const TABLE_GROWTH = 2;
const TREE_GROWTH = 2.7;
/** Of rows up to this, or the page beside it. */
const TREE_CELL = 1_000;
const TREE_PAGE = 5_600;
/** A text that grows is moved to a place twice as large. */
const GATHERED_GROWTH = 2.5;

export class KeptBytes {
  readonly #texts: TextBounds;
  readonly #rows: number;
  readonly #bounds: RowBounds;
  readonly #known = new Map<Select, Map<KeptOf, { row: number; all: number }>>();
  readonly #within = new Map<Select, readonly Select[]>();

  constructor(texts: TextBounds, { rows, bounds }: { rows: number; bounds: RowBounds }) {
    this.#texts = texts;
    this.#rows = rows;
    this.#bounds = bounds;
  }

  /**
   * @param select Whose plan has the structure: it may be about any select that this one reads.
   * @param isExact It is about this one.
   */
  of(structure: { in: KeptIn; of: KeptOf; rows: number; select: Select; isExact?: boolean }): number {
    const { rows, select, isExact = false } = structure;
    if (rows === 0) return 0;
    const selects = isExact ? [select] : this.#selectsWithin(select);
    const bytes = selects.map((one) => {
      const { row, all } = this.#sizes(one, structure.of);
      // Fewer rows than `data` has may still have all its text.
      const text = Math.min(rows * row, Math.max(1, rows / Math.max(1, this.#rows)) * all);
      return bytesIn(structure.in, {
        rows,
        longest: KEPT_ROW_BYTES + row,
        bytes: rows * KEPT_ROW_BYTES + text,
      });
    });
    return Math.max(...bytes);
  }

  /** Rows of `data`, with the columns that are read. */
  ofData(where: KeptIn, rows: number): number {
    const { row, all } = this.#texts.data;
    const text = Math.min(rows * row, Math.max(1, rows / Math.max(1, this.#rows)) * all);
    return bytesIn(where, { rows, longest: KEPT_ROW_BYTES + row, bytes: rows * KEPT_ROW_BYTES + text });
  }

  /** Rows of windows, which no plan shows. */
  ofWindows({ selects }: Shape): number {
    return this.#overInstances(selects, (select) => this.#windows(select));
  }

  /** The state of aggregates, and the texts that one row is made of. */
  atOnce({ selects }: Shape): number {
    return this.#overInstances(selects, (select) => this.#atOnce(select));
  }

  #overInstances(selects: readonly Select[], bytes: (select: Select) => number): number {
    return selects.reduce((sum, one) => sum + (this.#bounds.instances.get(one) ?? 0) * bytes(one), 0);
  }

  #atOnce(select: Select): number {
    const of = (pick: (held: Held) => number) => this.#worst(select, pick);
    const gathered = Math.min(
      of(({ gathered: one }) => one),
      this.#total(select, ({ gathered: one }) => one),
    );
    return GATHERED_GROWTH * (gathered + of(({ atOnce }) => atOnce));
  }

  #windows(select: Select): number {
    return select.cores.reduce((sum, core) => {
      const all = windowsOf(core, select);
      const rows = this.#bounds.joined(core);
      const table = this.of({ in: "table", of: "sorted", rows, select, isExact: true });
      const tree = this.of({ in: "tree", of: "windowArgs", rows, select, isExact: true });
      return sum + rowTables(all) * table + valueTrees(all) * tree;
    }, 0);
  }

  /** What one row of a structure may have, and all rows of `data` together. */
  #sizes(select: Select, of: KeptOf): { row: number; all: number } {
    const sizes = this.#known.get(select) ?? new Map<KeptOf, { row: number; all: number }>();
    this.#known.set(select, sizes);
    const pick = (held: Held) =>
      of === "anything" ? held.raw + held.row + held.sorted + held.args : held[of];
    const size = sizes.get(of) ?? { row: this.#worst(select, pick), all: this.#total(select, pick) };
    sizes.set(of, size);
    return size;
  }

  #worst(select: Select, pick: (held: Held) => number): number {
    const held = this.#texts.worst.held.get(select);
    return held ? pick(held) : 0;
  }

  #total(select: Select, pick: (held: Held) => number): number {
    return this.#texts.total(({ held }) => {
      const one = held.get(select);
      return one ? pick(one) : 0;
    });
  }

  #selectsWithin(select: Select): readonly Select[] {
    const known = this.#within.get(select);
    if (known) return known;
    const found = new Set([select]);
    for (const one of found)
      for (const core of one.cores) {
        for (const { select: source } of core.sources) if (source !== "data") found.add(source);
        for (const inner of selectsIn(expressionsOf(core, one))) found.add(inner);
      }
    const within = [...found];
    this.#within.set(select, within);
    return within;
  }
}

/** @param bytes Of all rows, however they are spread over them. */
function bytesIn(
  where: KeptIn,
  { rows, longest, bytes }: { rows: number; longest: number; bytes: number },
): number {
  if (where === "sorter") return SORTER_GROWTH * bytes;
  if (where === "table") return (longest <= TABLE_CELL ? SHORT_TABLE_GROWTH : TABLE_GROWTH) * bytes;
  if (longest <= TREE_CELL) return TREE_GROWTH * bytes;
  // The longer a row the less a byte more of it takes, so that rows of one length are the dearest.
  return Math.min((1 + TREE_PAGE / TREE_CELL) * bytes, bytes + rows * TREE_PAGE);
}
