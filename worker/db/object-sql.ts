/**
 * The SQLite of Durable Objects. Statements go through here, so that each is read to its end: one whose cursor is left
 * open stays in progress until it is collected, and until then SQLite drops no table (`SQLITE_LOCKED`) and begins no
 * transaction (`SQLITE_BUSY`).
 */

export function rowsOf<R extends Record<string, SqlStorageValue>>(
  sql: SqlStorage,
  statement: string,
  ...values: SqlStorageValue[]
): R[] {
  return sql.exec<R>(statement, ...values).toArray();
}

/** Of a statement that always answers exactly one row. @throws where it is none, or several. */
export function rowOf<R extends Record<string, SqlStorageValue>>(
  sql: SqlStorage,
  statement: string,
  ...values: SqlStorageValue[]
): R {
  return sql.exec<R>(statement, ...values).one();
}

/** For what it does. */
export function run(sql: SqlStorage, statement: string, ...values: SqlStorageValue[]): void {
  rowsOf(sql, statement, ...values);
}

/** With the alarm. Tables are gone too: make them again. */
export async function forgetAll(storage: DurableObjectStorage): Promise<void> {
  await storage.deleteAlarm();
  await storage.deleteAll();
}

/**
 * Runs the steps that the object has not run yet, in order.
 *
 * @param steps Append only.
 */
export function migrate(sql: SqlStorage, steps: readonly string[]): void {
  run(sql, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)");
  const [applied] = rowsOf<{ version: number }>(sql, "SELECT version FROM schema_version");
  const done = applied?.version ?? 0;
  for (const step of steps.slice(done)) run(sql, step);
  if (done >= steps.length) return;
  run(sql, "DELETE FROM schema_version");
  run(sql, "INSERT INTO schema_version VALUES (?)", steps.length);
}
