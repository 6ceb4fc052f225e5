/**
 * What a raw table's object knows of the table's entry in the registry: that somebody is changing or deleting it, that it
 * is missing, that it is gone for good. Every method is synchronous.
 */
import { rowOf, rowsOf, run } from "../db/object-sql.ts";
import { MISSING_TABLE_ALARM_MS, MISSING_TABLE_TTL_MS } from "../timings.ts";

/** `changing_until_ms`: until when somebody may still be at it. `is_deleting`: who was at it last wanted it gone. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS fs_entry (
    id INTEGER PRIMARY KEY CHECK (id = 1), changing_until_ms INTEGER NOT NULL, is_deleting INTEGER NOT NULL,
    missing_since_ms INTEGER);
  INSERT OR IGNORE INTO fs_entry VALUES (1, 0, 0, NULL);`;

export class RegistryEntryStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    run(this.#sql, SCHEMA);
  }

  expectChange(untilMs: number, isDeletion: boolean): void {
    run(
      this.#sql,
      "UPDATE fs_entry SET changing_until_ms = max(changing_until_ms, ?), is_deleting = max(is_deleting, ?)",
      untilMs,
      Number(isDeletion),
    );
  }

  /** @returns for how long it may still change. */
  found(nowMs: number): number {
    const { changing_until_ms: untilMs } = rowOf<{ changing_until_ms: number }>(
      this.#sql,
      `UPDATE fs_entry SET missing_since_ms = NULL, is_deleting = iif(changing_until_ms > ?, is_deleting, 0)
       RETURNING changing_until_ms`,
      nowMs,
    );
    return Math.max(0, untilMs - nowMs);
  }

  missing(nowMs: number): MissingEntry {
    const { since, isDeleting } = rowOf<{ since: number; isDeleting: number }>(
      this.#sql,
      `UPDATE fs_entry SET missing_since_ms = min(coalesce(missing_since_ms, ?1), ?1)
       RETURNING missing_since_ms AS since, is_deleting AS isDeleting`,
      nowMs,
    );
    return { sinceMs: since, isDeleting: isDeleting === 1 };
  }

  /** No other table has this object: what is dropped stays so, unless the registry has it again. */
  noteDropped(): void {
    run(this.#sql, "CREATE TABLE IF NOT EXISTS fs_dropped (id INTEGER PRIMARY KEY)");
  }

  forgetDropped(): void {
    run(this.#sql, "DROP TABLE IF EXISTS fs_dropped");
  }

  isDropped(): boolean {
    return rowsOf(this.#sql, "SELECT 1 FROM sqlite_schema WHERE name = 'fs_dropped'").length > 0;
  }
}

interface MissingEntry {
  sinceMs: number;
  isDeleting: boolean;
}

/**
 * When a table that is missing looks again; null: its rows go. Where nobody has deleted it, D1 was put back to a time before
 * it, which may be a mistake that somebody is mending.
 */
export function nextLookMs({ sinceMs, isDeleting }: MissingEntry, nowMs: number): number | null {
  const leftMs = sinceMs + MISSING_TABLE_TTL_MS - nowMs;
  return isDeleting || leftMs <= 0 ? null : Math.min(leftMs, MISSING_TABLE_ALARM_MS);
}
