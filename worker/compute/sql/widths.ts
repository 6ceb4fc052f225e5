/** How many steps the columns of a select have, by the names that stand for them. Pure. */
import type { SqlToken } from "./tokens.ts";

/** Of the columns of a select, or of all that a core reads, written out. */
export interface Width {
  /** The widest of them. */
  widest: number;
  /** All of them, as `*` writes them. */
  all: number;
  /** Those that are certainly called so. */
  named: ReadonlyMap<string, number>;
  /** The widest of those that may be called anything. */
  unnamed: number;
}

/** Columns that are read from a table: few steps, however many `*` means. */
export const NONE: ReadonlyMap<string, number> = new Map();
export const READ: Width = { widest: 1, all: 3, named: NONE, unnamed: 1 };

export function addNamed(to: Map<string, number>, named: Iterable<readonly [string, number]>): void {
  for (const [name, size] of named) to.set(name, Math.max(size, to.get(name) ?? 0));
}

const PLAIN_NAME = /^[a-z_][a-z0-9_]*$/;

/** What a name stands for. SQLite makes up names such as `x:1` and `a + b`, which may be said in quotes. */
export function sizeOf(token: SqlToken, { widest, named, unnamed }: Width): number {
  const name = token.name.toLowerCase();
  return PLAIN_NAME.test(name) ? Math.max(unnamed, named.get(name) ?? 1) : widest;
}
