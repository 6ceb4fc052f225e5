/** Which entities a transaction has changed, by the rows that its statements answer. Pure. */
import type { CurrentTable } from "../db/current-rows.ts";
import { type EntityRef, entityKey } from "../keys.ts";

/** A row of a result that names an entity; a built-in type has a column of the same name, which holds the value. */
type NamingRow = Partial<Record<"entity_type" | "entity_value" | CurrentTable["name"], string>>;

/** The entities that the transaction changed, or confirmed, as {@link entityKey}s. */
export function committedKeys(results: readonly D1Result[]): Set<string> {
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
