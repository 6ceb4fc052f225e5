/**
 * What a Subscriber keeps in its own SQLite: deliveries by their state, and which entity's turn it is. Every method is
 * synchronous, hence atomic between two awaits. Times are milliseconds since 1970.
 */
import { migrate, rowOf, rowsOf, run } from "../db/object-sql.ts";
import { entityKey } from "../keys.ts";
import {
  MAX_DEAD_KEPT,
  MAX_DELIVERED_KEPT,
  MAX_FINISHED_BYTES,
  MAX_PENDING_BYTES,
  MAX_PENDING_DELIVERIES,
} from "../limits.ts";
import type { NextAttempt } from "./delivery-schedule.ts";
import { EventMemory } from "./event-memory.ts";
import type { FeatureAvailable } from "./feature-available.ts";
import { MIGRATIONS } from "./subscriber-schema.ts";

export type DeliveryStatus = "pending" | "delivered" | "dead";

interface Head {
  entity: string;
  dueAtMs: number;
}

/** The delivery whose turn it is for its entity. */
export interface Due {
  seq: number;
  entity: string;
  attempts: number;
  event: FeatureAvailable;
  bytes: number;
}

interface Failure {
  status: number | null;
  error: string;
}

/** Rows that one settlement removes at most of what is kept beyond its limit, so that none takes long. */
const TRIMMED_AT_ONCE = 100;

const encoder = new TextEncoder();

export class SubscriberStore {
  readonly #sql: SqlStorage;
  readonly #memory: EventMemory;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#memory = new EventMemory(sql);
    migrate(sql, MIGRATIONS);
  }

  readNote<T>(name: string): T | null {
    const [found] = rowsOf<{ body: string }>(this.#sql, "SELECT body FROM notes WHERE name = ?", name);
    return found ? (JSON.parse(found.body) as T) : null;
  }

  writeNote(name: string, body: unknown): void {
    run(this.#sql, "INSERT OR REPLACE INTO notes VALUES (?, ?)", name, JSON.stringify(body));
  }

  removeNote(name: string): void {
    run(this.#sql, "DELETE FROM notes WHERE name = ?", name);
  }

  count(status: DeliveryStatus): number {
    return this.#total(status).deliveries;
  }

  get isFull(): boolean {
    const { deliveries, bytes } = this.#total("pending");
    return deliveries >= MAX_PENDING_DELIVERIES || bytes >= MAX_PENDING_BYTES;
  }

  hasSeen(eventId: string): boolean {
    const known = rowsOf(this.#sql, "SELECT 1 AS n FROM deliveries WHERE event_id = ?", eventId);
    return known.length > 0 || this.#memory.has(eventId);
  }

  /** A new event; what has been seen must have been asked before. */
  add(event: FeatureAvailable, nowMs: number): void {
    const text = JSON.stringify(event);
    const entity = entityKey({ entityType: event.entity_type, entityValue: event.entity_id });
    run(
      this.#sql,
      `INSERT INTO deliveries (event_id, entity, revision, status, created_at, bytes, event)
       VALUES (?, ?, ?, 'pending', ?, ?, ?)`,
      event.event_id,
      entity,
      event.revision,
      nowMs,
      encoder.encode(text).length,
      text,
    );
    this.#memory.add(event.event_id, nowMs);
    this.#memory.forget(nowMs);
    this.#queue(entity, nowMs);
  }

  /** An event that is sent again, whether or not it is known: what has waited so far goes on waiting. */
  repeat(event: FeatureAvailable, nowMs: number): void {
    const [known] = rowsOf<{ seq: number }>(
      this.#sql,
      "SELECT seq FROM deliveries WHERE event_id = ?",
      event.event_id,
    );
    if (known) this.revive([known.seq], nowMs);
    else this.add(event, nowMs);
  }

  /** Finished deliveries become pending, with all their tries before them. @returns how many. */
  revive(seqs: readonly number[], nowMs: number): number {
    const revived = rowsOf<{ entity: string }>(
      this.#sql,
      `UPDATE deliveries SET status = 'pending', attempts = 0, delivered_at = NULL
       WHERE seq IN (SELECT value FROM json_each(?)) AND status <> 'pending' RETURNING entity`,
      JSON.stringify(seqs),
    );
    for (const { entity } of revived) this.#queue(entity, nowMs);
    return revived.length;
  }

  deadBetween(after: number, upTo: number, limit: number): number[] {
    return rowsOf<{ seq: number }>(
      this.#sql,
      "SELECT seq FROM deliveries WHERE status = 'dead' AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
      after,
      upTo,
      limit,
    ).map(({ seq }) => seq);
  }

  lastSeq(): number {
    return rowsOf<{ seq: number | null }>(this.#sql, "SELECT max(seq) AS seq FROM deliveries")[0]?.seq ?? 0;
  }

  /** Entities with something to deliver, the one that is due first in front. */
  heads(limit: number): Head[] {
    return rowsOf<{ entity: string; due_at: number }>(
      this.#sql,
      "SELECT entity, due_at FROM heads ORDER BY due_at LIMIT ?",
      limit,
    ).map(({ entity, due_at: dueAtMs }) => ({ entity, dueAtMs }));
  }

  /** The delivery of the lowest revision of an entity. */
  firstOf(entity: string): Due | null {
    const [row] = rowsOf<{ seq: number; attempts: number; event: string; bytes: number }>(
      this.#sql,
      `SELECT seq, attempts, event, bytes FROM deliveries
       WHERE status = 'pending' AND entity = ? ORDER BY revision, seq LIMIT 1`,
      entity,
    );
    if (!row) run(this.#sql, "DELETE FROM heads WHERE entity = ?", entity);
    return row ? { ...row, entity, event: JSON.parse(row.event) as FeatureAvailable } : null;
  }

  settleDelivered({ seq, entity }: Due, status: number | null, nowMs: number): void {
    run(
      this.#sql,
      `UPDATE deliveries SET status = 'delivered', attempts = attempts + 1, last_status = ?, last_error = NULL, delivered_at = ?
       WHERE seq = ?`,
      status,
      nowMs,
      seq,
    );
    this.#next(entity, nowMs);
    this.#trim("delivered", MAX_DELIVERED_KEPT);
  }

  settleFailed({ seq, entity }: Due, { status, error }: Failure, next: NextAttempt, nowMs: number): void {
    const state = next.kind === "dead" ? "dead" : "pending";
    run(
      this.#sql,
      "UPDATE deliveries SET status = ?, attempts = attempts + 1, last_status = ?, last_error = ? WHERE seq = ?",
      state,
      status,
      error,
      seq,
    );
    if (next.kind === "retry")
      run(this.#sql, "UPDATE heads SET due_at = ? WHERE entity = ?", next.atMs, entity);
    else this.#next(entity, nowMs);
    this.#trim("dead", MAX_DEAD_KEPT);
  }

  /** After a delivery: the entity's next one is due at once, behind those of others; or there is none. */
  #next(entity: string, nowMs: number): void {
    run(this.#sql, "DELETE FROM heads WHERE entity = ?", entity);
    const more = "SELECT 1 AS n FROM deliveries WHERE status = 'pending' AND entity = ? LIMIT 1";
    if (rowsOf(this.#sql, more, entity).length > 0) this.#queue(entity, nowMs);
  }

  #queue(entity: string, nowMs: number): void {
    run(this.#sql, "INSERT OR IGNORE INTO heads VALUES (?, ?)", entity, nowMs);
  }

  #total(status: DeliveryStatus): { deliveries: number; bytes: number } {
    return rowOf<{ deliveries: number; bytes: number }>(
      this.#sql,
      "SELECT deliveries, bytes FROM totals WHERE status = ?",
      status,
    );
  }

  #trim(status: DeliveryStatus, kept: number): void {
    const { deliveries, bytes } = this.#total(status);
    if (deliveries <= kept && bytes <= MAX_FINISHED_BYTES) return;
    const surplus = Math.min(Math.max(deliveries - kept, 1), TRIMMED_AT_ONCE);
    const oldest = "SELECT seq FROM deliveries WHERE status = ? ORDER BY seq LIMIT ?";
    run(this.#sql, `DELETE FROM deliveries WHERE seq IN (${oldest})`, status, surplus);
  }
}
