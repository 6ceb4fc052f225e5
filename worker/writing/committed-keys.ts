/** Which entities a transaction has changed, by the rows that its statements answer. Pure. */
import type { CurrentTable } from "../db/current-rows.ts";
import { type EntityRef, entityKey } from "../keys.ts";
import type { EntityPlan } from "./plan-group.ts";

/** A row of a result that names an entity; a built-in type has a column of the same name, which holds the value. */
type NamingRow = Partial<Record<"entity_type" | "entity_value" | CurrentTable["name"], string>>;

/**
 * The entities that the transaction changed, or confirmed, as {@link entityKey}s.
 *
 * Each answers all of its rows or none, so that their number tells when all entities did, as they nearly always do.
 *
 * @param plans What it was to do to them, by the same keys.
 */
export function committedKeys(
  plans: ReadonlyMap<string, Pick<EntityPlan, "rows">>,
  results: readonly D1Result[],
): ReadonlySet<string> {
  let missing = 0;
  // One that gets no row is confirmed by a row of its own.
  for (const { rows } of plans.values()) missing += Math.max(rows.size, 1);
  for (const { results: rows } of results) missing -= rows.length;
  return missing === 0 ? new Set(plans.keys()) : keysNamed(results);
}

function keysNamed(results: readonly D1Result[]): Set<string> {
  const keys = new Set<string>();
  for (const { results: rows } of results as D1Result<NamingRow>[]) {
    let previous: NamingRow = {};
    for (const row of rows) {
      // The rows of an entity's categories come one after the other.
      if (!isOfSameEntity(row, previous)) keys.add(entityKey(namedIn(row)));
      previous = row;
    }
  }
  return keys;
}

function isOfSameEntity(a: NamingRow, b: NamingRow): boolean {
  return (
    a.entity_value === b.entity_value &&
    a.entity_type === b.entity_type &&
    a.bright_uid === b.bright_uid &&
    a.account_id === b.account_id
  );
}

function namedIn({ bright_uid, account_id, entity_type, entity_value }: NamingRow): EntityRef {
  if (bright_uid !== undefined) return { entityType: "bright_uid", entityValue: bright_uid };
  if (account_id !== undefined) return { entityType: "account_id", entityValue: account_id };
  return { entityType: entity_type ?? "", entityValue: entity_value ?? "" };
}
