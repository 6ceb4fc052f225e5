/** Where SQLite looks for a name: among what a select reads, then among what those around it read. Pure. */
import { lastName } from "./columns.ts";
import type { ColumnName, Origins } from "./origin.ts";
import type { Core } from "./shape.ts";

/** A core, and those around it, whose columns an expression in it may name. */
export interface Level {
  core: Core;
  around: Level | null;
}

/** What is called so: a source of a level by its place, or a column of the level's own by its alias. */
type Found = { level: Level; source: number } | { level: Level; source: null };

/** Null for what is no column of anything read, such as `rowid`. */
export function findName(name: ColumnName, from: Level, origins: Origins): Found | null {
  const { table, column } = name;
  for (let level: Level | null = from; level; level = level.around) {
    const source = level.core.sources.findIndex(
      ({ alias, select }) =>
        (table === null || alias === table) && origins.of(select, column).kind !== "absent",
    );
    if (source >= 0) return { level, source };
    if (table === null && level.core.columns.some((one) => lastName(one) === column))
      return { level, source: null };
  }
  return null;
}
