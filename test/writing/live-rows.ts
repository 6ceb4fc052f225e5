import type { CategoryRow } from "../../worker/db/current-rows.ts";
import type { EntityState } from "../../worker/writing/apply-write.ts";

/** The categories that exist: no tombstones. */
export function liveRows(state: EntityState): (CategoryRow & { data: string })[] {
  return [...state.rows.values()].filter((row): row is CategoryRow & { data: string } => row.data !== null);
}
