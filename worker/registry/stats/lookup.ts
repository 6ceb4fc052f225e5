/** Reads from the history what events announced: of each value its type and, of a number, what it is; never a text. */
import { jsonParts } from "../../db/json-parts.ts";
import { MAX_STATS_COLUMNS } from "../../limits.ts";
import type { Cell, Lookup } from "./contribution.ts";

const cellsOf = (values: string) =>
  `SELECT json_group_array(json_array(f.key, f.type, CASE WHEN f.type IN ('integer', 'real') THEN f.atom END))
   FROM ${values} AS f`;

/**
 * Each row by its key. CROSS JOIN: SQLite keeps the order, the short list outside and the history found by its key
 * inside. Exported for the test that looks at its plan.
 */
export const LOOKUP_SQL = `
  SELECT ref.value ->> 0 AS position, CASE
    WHEN ref.value ->> 7 IS NULL
    THEN (${cellsOf(`(SELECT key, type, atom FROM json_each(h.data) LIMIT ${MAX_STATS_COLUMNS})`)})
    ELSE (${cellsOf("json_each(h.data)")} WHERE f.key IN (SELECT value FROM json_each(ref.value -> 7)))
  END AS cells
  FROM json_each(?2) AS ref CROSS JOIN feature_history AS h
  WHERE h.tenant_id = ?1 AND h.entity_type = ref.value ->> 1 AND h.entity_value = ref.value ->> 2
    AND h.category = ref.value ->> 3 AND h.event_time = ref.value ->> 4 AND h.revision = ref.value ->> 5
    AND h.event_id = ref.value ->> 6`;

/**
 * One query, unless the names in it are more than a parameter holds.
 *
 * @returns in the order of the lookups; null for a row that was deleted or has passed its retention.
 */
export async function readAnnounced(
  db: D1Database,
  tenant: string,
  lookups: readonly Lookup[],
): Promise<(Cell[] | null)[]> {
  // At the primary: a replica may not have the row yet, and it would count as gone.
  const session = db.withSession("first-primary");
  const found: (Cell[] | null)[] = lookups.map(() => null);
  for (const part of parametersOf(lookups)) {
    const { results } = await session
      .prepare(LOOKUP_SQL)
      .bind(tenant, part)
      .all<{ position: number; cells: string }>();
    for (const { position, cells } of results) found[position] = JSON.parse(cells) as Cell[];
  }
  return found;
}

/** Exported for its test. */
export function parametersOf(lookups: readonly Lookup[]): string[] {
  return jsonParts(lookups.map(referenceOf));
}

function referenceOf(lookup: Lookup, position: number): unknown[] {
  const { entity_type, entity_id, resource_name, revision, event_id } = lookup.event;
  const names = lookup.kind === "scalars" ? [...lookup.stored.keys()] : null;
  return [position, entity_type, entity_id, resource_name, lookup.eventTime, revision, event_id, names];
}
