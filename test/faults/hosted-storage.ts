/**
 * Storage of objects in the SQLite of the one real object in which a schedule runs. The platform lends storage to code
 * of that object alone, so objects that have tables of the same names share it by giving theirs a prefix.
 */
import { rowsOf, run } from "../../worker/db/object-sql.ts";
import type { HostedStorage } from "./object-host.ts";

/** All tables that match. */
function dropTables(sql: SqlStorage, pattern: string): void {
  const tables = rowsOf<{ name: string }>(
    sql,
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE ? ESCAPE '\\'
       AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'`,
    pattern,
  );
  for (const { name } of tables) run(sql, `DROP TABLE "${name}"`);
}

function storageOf({ storage }: DurableObjectState, sql: SqlStorage, pattern: string): HostedStorage {
  return {
    sql,
    transactionSync: (body) => storage.transactionSync(body),
    deleteAll: async () => dropTables(storage.sql, pattern),
  };
}

/** All of it. */
export function wholeStorage(state: DurableObjectState): HostedStorage {
  return storageOf(state, state.storage.sql, "%");
}

/** Of an object whose tables have a prefix already. */
export function storageOfTables(state: DurableObjectState, pattern: string): HostedStorage {
  return storageOf(state, state.storage.sql, pattern);
}

const CREATED = /\bCREATE (?:UNIQUE )?(?:TABLE|INDEX|TRIGGER)(?: IF NOT EXISTS)? (\w+)/g;
const NAMED = /\b((?:FROM|INTO|UPDATE|TABLE|INDEX|TRIGGER|EXISTS|JOIN|ON)\s+)(\w+)/g;

/** Names that any object has made; they are made before they are used. */
const made = new Set<string>();
const prefixed = new Map<string, string>();

function withPrefix(prefix: string, statement: string): string {
  const known = prefixed.get(prefix + statement);
  if (known !== undefined) return known;
  for (const [, name = ""] of statement.matchAll(CREATED)) made.add(name);
  const own = statement.replace(NAMED, (all, before: string, name: string) =>
    made.has(name) ? `${before}${prefix}${name}` : all,
  );
  prefixed.set(prefix + statement, own);
  return own;
}

/** Of an object that shares the SQLite with others of its class. @param prefix Such as `s1_`. */
export function prefixedStorage(state: DurableObjectState, prefix: string): HostedStorage {
  const { sql } = state.storage;
  const exec: SqlStorage["exec"] = (statement, ...values) =>
    sql.exec(withPrefix(prefix, statement), ...values);
  const own = { exec, databaseSize: 0 } as unknown as SqlStorage;
  return storageOf(state, own, `${prefix.replaceAll("_", "\\_")}%`);
}
