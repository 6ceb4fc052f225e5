/**
 * Which events have come to a Subscriber: so that a repetition is known after its delivery is forgotten. It knows them
 * for a while and so many of them.
 */
import { rowOf, rowsOf, run } from "../db/object-sql.ts";
import { EVENT_MEMORY_MAX, EVENT_MEMORY_MS } from "../timings.ts";

/** Forgotten at once at most, so that none takes long; each event brings one. */
const FORGOTTEN_AT_ONCE = 100;

export class EventMemory {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  has(eventId: string): boolean {
    return rowsOf(this.#sql, "SELECT 1 FROM seen WHERE event_id = ?", eventId).length > 0;
  }

  add(eventId: string, nowMs: number): void {
    run(this.#sql, "INSERT OR IGNORE INTO seen (event_id, at) VALUES (?, ?)", eventId, nowMs);
  }

  forget(nowMs: number): void {
    const { first, size } = rowOf<{ first: number | null; size: number | null }>(
      this.#sql,
      `SELECT (SELECT at FROM seen ORDER BY seq LIMIT 1) AS first,
           (SELECT max(seq) FROM seen) - (SELECT min(seq) FROM seen) AS size`,
    );
    const oldestMs = nowMs - EVENT_MEMORY_MS;
    if ((first ?? nowMs) >= oldestMs && (size ?? 0) < EVENT_MEMORY_MAX) return;
    run(
      this.#sql,
      `DELETE FROM seen WHERE seq IN (SELECT seq FROM seen ORDER BY seq LIMIT ${FORGOTTEN_AT_ONCE})
         AND (at < ? OR seq <= (SELECT max(seq) FROM seen) - ?)`,
      oldestMs,
      EVENT_MEMORY_MAX,
    );
  }
}
