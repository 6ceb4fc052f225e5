/** What requests with an `Idempotency-Key` were answered by a Durable Object, in its SQLite. Synchronous. */
import { IDEMPOTENCY_TTL_SECONDS } from "../timings.ts";
import type { Idempotency } from "./idempotency-record.ts";
import { rowsOf, run } from "./object-sql.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS fs_idempotency (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, reply TEXT NOT NULL, expires_at INTEGER NOT NULL)`;

export class ReplyStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    run(sql, SCHEMA);
  }

  /** Keeps the reply to a key; where two requests come at once, the first reply stays. */
  keep({ key, fingerprint }: Idempotency, reply: unknown): void {
    const nowMs = Date.now();
    run(this.#sql, "DELETE FROM fs_idempotency WHERE expires_at <= ?", nowMs);
    run(
      this.#sql,
      "INSERT OR IGNORE INTO fs_idempotency VALUES (?, ?, ?, ?)",
      key,
      fingerprint,
      JSON.stringify(reply),
      nowMs + IDEMPOTENCY_TTL_SECONDS * 1_000,
    );
  }

  /** What was kept for a caller's key, within its time. */
  earlier<R>(key: string): { fingerprint: string; reply: R } | null {
    const [row] = rowsOf<{ fingerprint: string; reply: string }>(
      this.#sql,
      "SELECT fingerprint, reply FROM fs_idempotency WHERE key = ? AND expires_at > ?",
      key,
      Date.now(),
    );
    return row ? { fingerprint: row.fingerprint, reply: JSON.parse(row.reply) } : null;
  }
}
