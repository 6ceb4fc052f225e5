/**
 * What a plan adds to the history, by category and event time: of equal times the later row takes the place of the
 * earlier where both speak of the same. Pure; a look-up costs what its own names cost, however many rows there are.
 */
import type { HistoryEntry } from "./apply-write.ts";

interface AtOneTime<R> {
  last: R;
  /** The last that replaced its category. */
  replaced: { row: R; position: number } | null;
  /** The last that names a feature. */
  named: Map<string, { row: R; position: number }>;
}

export class SameTime<R extends HistoryEntry> {
  readonly #times = new Map<string, AtOneTime<R>>();
  #count = 0;

  constructor(rows: readonly R[]) {
    for (const row of rows) this.add(row);
  }

  add(row: R): void {
    const placed = { row, position: this.#count };
    this.#count += 1;
    const known = this.#times.get(timeKey(row)) ?? { last: row, replaced: null, named: new Map() };
    known.last = row;
    if (row.mode === "replace") known.replaced = placed;
    for (const name of row.names) known.named.set(name, placed);
    this.#times.set(timeKey(row), known);
  }

  /** The last row of the same category and time of which the entry would take something's place. */
  overriddenBy(entry: HistoryEntry): R | null {
    const known = this.#times.get(timeKey(entry));
    if (!known) return null;
    if (entry.mode === "replace") return known.last;
    let found = known.replaced;
    for (const name of entry.names) {
      const named = known.named.get(name);
      if (named && (!found || named.position > found.position)) found = named;
    }
    return found?.row ?? null;
  }
}

const timeKey = ({ category, eventTime }: HistoryEntry) => `${eventTime} ${category}`;
