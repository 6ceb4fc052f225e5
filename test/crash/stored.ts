/** What the databases have when the service is gone. */
import type { SavedState } from "../process/state-files.ts";
import type { Places, TableEnd } from "./history.ts";

/** The entities of each database. */
export function entitiesIn(saved: SavedState): Places["found"] {
  const own = ["bright_uid", "account_id"].map(
    (table) => `SELECT '${table}/' || ${table} AS entity FROM ${table}`,
  );
  const others = ["entities", "feature_history"].map(
    (table) => `SELECT entity_type || '/' || entity_value FROM ${table}`,
  );
  const rows = saved.queryEach<{ entity: string }>([...own, ...others].join(" UNION "));
  return rows.map((some) => some.map(({ entity }) => entity));
}

/** What only computations write. */
export function computedIn(saved: SavedState): TableEnd["computed"] {
  return saved.queryD1<{ entity: string; category: string; revision: number }>(
    `SELECT entity_type || '/' || entity_value AS entity, category, revision FROM entities WHERE category <> ''`,
  );
}
