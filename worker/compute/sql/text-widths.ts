/** How long the columns of a select are, as texts, by the names that stand for them; and its rows. Pure. */
import { certainName, isStar, lastName } from "./columns.ts";
import { readReference } from "./origin.ts";
import type { Core, Select } from "./shape.ts";
import { addNamed, NONE, type Width } from "./widths.ts";

/** A number or a date as text. So much text is in the price of every operator; only what is beyond is counted. */
export const SHORT_TEXT = 32;

/** Of sources that are read together. */
export function beside(sources: readonly Width[]): Width {
  const named = new Map<string, number>();
  for (const source of sources) addNamed(named, source.named);
  return {
    widest: Math.max(SHORT_TEXT, ...sources.map(({ widest }) => widest)),
    all: sources.reduce((sum, { all }) => sum + all, 0),
    named,
    unnamed: Math.max(0, ...sources.map(({ unnamed }) => unnamed)),
  };
}

/** Of all that UNION adds; called by the names of its first select. */
export function together(select: Select, cores: readonly Width[]): Width {
  const [only, ...more] = cores;
  if (only && more.length === 0 && !select.renamed && select.cores[0]?.valuesRows === null) return only;
  const widest = Math.max(SHORT_TEXT, ...cores.map((one) => one.widest));
  return { widest, all: Math.max(0, ...cores.map(({ all }) => all)), named: NONE, unnamed: widest };
}

/** Of the columns of a core. */
export function widthOf(
  core: Core,
  read: Width,
  { lengths, row }: { lengths: readonly number[]; row: number },
): Width {
  const named = new Map<string, number>();
  let unnamed = 0;
  for (const [i, column] of core.columns.entries()) {
    const length = lengths[i] ?? 0;
    const name = certainName(column);
    if (isStar(column)) {
      addNamed(named, read.named);
      unnamed = Math.max(unnamed, read.unnamed);
    } else if (name === null) unnamed = Math.max(unnamed, length);
    else addNamed(named, [[name, length]]);
  }
  return { widest: Math.max(SHORT_TEXT, ...lengths), all: row, named, unnamed };
}

/** As ORDER BY and GROUP BY may call them. */
export function ownColumns(core: Core, lengths: readonly number[]): ReadonlyMap<string, number> {
  const own = new Map<string, number>();
  for (const [i, column] of core.columns.entries())
    addNamed(own, [
      [String(i + 1), lengths[i] ?? 0],
      [lastName(column), lengths[i] ?? 0],
    ]);
  return own;
}

/**
 * What is made in it, and what it reads: all columns together, as often as one of them is named, or each by itself.
 *
 * @param lengths Of its columns. @param read Of the rows that it reads, one of each.
 */
export function lengthOfRow(
  core: Core,
  { inExpression }: Select,
  { lengths, read }: { lengths: readonly number[]; read: number },
): number {
  const named = new Map<string, number>();
  let [made, stars, each] = [0, 0, 0];
  for (const [i, column] of core.columns.entries()) {
    // In an expression it may be a column of a select around it.
    const reference = inExpression ? null : readReference(column);
    if (isStar(column)) stars += 1;
    else if (reference) {
      named.set(reference.column, (named.get(reference.column) ?? 0) + 1);
      each += lengths[i] ?? 0;
    } else made += lengths[i] ?? 0;
  }
  return made + stars * read + Math.min(each, Math.max(0, ...named.values()) * read);
}
