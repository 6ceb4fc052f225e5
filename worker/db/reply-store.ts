/** What requests with an `Idempotency-Key` were answered by a Durable Object, in its SQLite. Synchronous. */
import { IDEMPOTENCY_TTL_SECONDS } from "../timings.ts";
import type { Idempotency } from "./idempotency-record.ts";
import { rowsOf, run } from "./object-sql.ts";

/** Replies that are looked at when one is kept, so that none takes long. */
const FORGOTTEN_AT_ONCE = 100;

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
    run(this.#sql, "DELETE FROM fs_idempotency WHERE key = ? AND expires_at <= ?", key, nowMs);
    run(
      this.#sql,
      "INSERT OR IGNORE INTO fs_idempotency VALUES (?, ?, ?, ?)",
      key,
      fingerprint,
      JSON.stringify(reply),
      nowMs + IDEMPOTENCY_TTL_SECONDS * 1_000,
    );
    this.#forgetOldest(nowMs);
  }

  /** They lie in the order in which they came, all for the same time: no index has to be kept. */
  #forgetOldest(nowMs: number): void {
    const first = (columns: string) => `SELECT ${columns} FROM fs_idempotency ORDER BY rowid LIMIT ?`;
    const [oldest] = rowsOf<{ expires_at: number }>(this.#sql, first("expires_at"), 1);
    if (!oldest || oldest.expires_at > nowMs) return;
    const expired = `DELETE FROM fs_idempotency WHERE rowid IN (${first("rowid")}) AND expires_at <= ?`;
    run(this.#sql, expired, FORGOTTEN_AT_ONCE, nowMs);
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
