/** What the service has left on disk, read past the service: the SQLite files of the local D1 and Durable Objects. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";

type Row = Record<string, SQLOutputValue>;

/** @param state The directory given to `npm run serve -- --state`. */
export function queryD1<T extends Row>(state: string, sql: string): T[] {
  const [database, ...others] = databasesUnder(join(state, "v3/d1"));
  if (!database || others.length > 0) throw new Error("there is not exactly one D1 database");
  return query<T>(database, sql);
}

/** The event ids in the intents of all writers: what they still owe, or may owe. */
export function intendedEventIds(state: string): string[] {
  const writers = databasesUnder(join(state, "v3/do")).filter((path) => path.includes("EntityWriter"));
  if (writers.length === 0) throw new Error("there is no writer");
  const sql = `SELECT row.value ->> 'eventId' AS id
    FROM intents, json_each(body, '$.entities') AS entity, json_each(entity.value, '$.proof.rows') AS row`;
  return writers.flatMap((path) => query<{ id: string }>(path, sql).map(({ id }) => id));
}

function databasesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".sqlite") && !path.endsWith("metadata.sqlite"))
    .map((path) => join(directory, path));
}

function query<T extends Row>(path: string, sql: string): T[] {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    database.exec("PRAGMA busy_timeout = 5000");
    return database.prepare(sql).all() as T[];
  } finally {
    database.close();
  }
}
