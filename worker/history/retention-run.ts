/** What one run of the cron does of the retention, over all databases. */
import { RETENTION_DATABASES_PER_RUN } from "../limits.ts";
import { removeOldHistory } from "./retention.ts";

type Retention = Omit<Parameters<typeof removeOldHistory>[0], "db">;

/**
 * One database after the other: what is archived stands in memory. No failure ends the others.
 *
 * @throws the first failure.
 */
export async function retainHistory(
  databases: readonly D1Database[],
  nowMs: number,
  retention: Retention,
): Promise<void> {
  const failures: unknown[] = [];
  for (const number of databasesOfRun(databases.length, nowMs)) {
    const db = databases[number];
    if (db) await removeOldHistory({ db, ...retention }).catch((cause: unknown) => failures.push(cause));
  }
  if (failures.length > 0) throw failures[0];
}

/** Each hour another is the first, so that all have their turn, also when runs are cut off. Pure. */
export function databasesOfRun(databases: number, nowMs: number): number[] {
  const hour = Math.floor(nowMs / 3_600_000);
  const count = Math.min(databases, RETENTION_DATABASES_PER_RUN);
  return Array.from({ length: count }, (_, i) => (hour + i) % databases);
}
