/**
 * What an EntityWriter keeps in its own SQLite. All SQL of the object is here; every method is synchronous, hence
 * atomic between two awaits.
 */
import type { Idempotency } from "../db/idempotency-record.ts";
import { migrate, rowOf, rowsOf, run } from "../db/object-sql.ts";
import { databaseOf, entityRef } from "../keys.ts";
import { MAX_INTENT_CHARACTERS } from "../limits.ts";
import type { Settled } from "./entity-write.ts";
import type { Intent } from "./intent.ts";

/** Records that are in memory at once. */
const DOCUMENTS_AT_ONCE = 1_000;
/** A document's record outlives it by this much: clocks differ. */
const DOCUMENT_RECORD_GRACE_MS = 5 * 60 * 1_000;

/** Append only: an object runs the steps that it has not run yet, in order. */
const MIGRATIONS = [
  `CREATE TABLE identity (id INTEGER PRIMARY KEY CHECK (id = 1), tenant TEXT NOT NULL, partitions INTEGER NOT NULL);
   CREATE TABLE intents (seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
   CREATE TABLE idempotency_keys (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, expires_at INTEGER NOT NULL);
   CREATE TABLE idempotent_results (
     key TEXT NOT NULL, position INTEGER NOT NULL, settled TEXT NOT NULL, PRIMARY KEY (key, position)
   ) WITHOUT ROWID;
   CREATE TABLE documents (entity TEXT PRIMARY KEY, expires_at INTEGER NOT NULL, dirty INTEGER NOT NULL DEFAULT 0);`,
  `CREATE TABLE intent_tails (
     seq INTEGER NOT NULL, part INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (seq, part)
   ) WITHOUT ROWID;`,
  `CREATE TABLE refused_rows (
     key TEXT NOT NULL, position INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (key, position)
   ) WITHOUT ROWID;`,
  "DROP TABLE refused_rows;",
  "ALTER TABLE identity ADD COLUMN database INTEGER NOT NULL DEFAULT 0;",
  `ALTER TABLE identity ADD COLUMN databases INTEGER NOT NULL DEFAULT 0;
   CREATE TABLE move (id INTEGER PRIMARY KEY CHECK (id = 1), paused_until INTEGER);
   CREATE TABLE changed_entities (seq INTEGER PRIMARY KEY AUTOINCREMENT, entity TEXT NOT NULL UNIQUE);`,
  "ALTER TABLE move ADD COLUMN run INTEGER NOT NULL DEFAULT 0;",
  `CREATE INDEX documents_dirty ON documents (entity) WHERE dirty = 1;
   CREATE TABLE document_walk (id INTEGER PRIMARY KEY CHECK (id = 1), after INTEGER NOT NULL, due_at INTEGER NOT NULL);
   INSERT INTO document_walk VALUES (1, 0, 0);`,
  "CREATE TABLE dropped (id INTEGER PRIMARY KEY)",
];

export interface Identity {
  tenant: string;
  partitions: number;
  /** In which of the tenant's databases its entities are. */
  database: number;
  /** Over how many the tenant is spread, as who asks knows it. */
  databases: number;
}

/** The tenant is being spread over more databases. */
export interface MoveState {
  /** Until then no write is taken; null: writes are taken, and their entities noted. */
  pausedUntilMs: number | null;
  /** Of the move, which has told it so. */
  run: number;
}

/** An entity that was written since the move began. */
export interface ChangedEntity {
  seq: number;
  entity: string;
}

export interface StoredIntent {
  seq: number;
  intent: Intent;
}

/** A hot-cache document that is in KV, as far as this writer knows. */
export interface DocumentRecord {
  entity: string;
  /** Milliseconds since 1970, KV's own expiry. */
  expiresAtMs: number;
  /** Its last put failed: the alarm owes it another. */
  dirty: boolean;
}

/** Where the walk over the records of documents goes on, and when. */
export interface DocumentWalk {
  /** A rowid. */
  after: number;
  dueAtMs: number;
}

export class WriterStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    migrate(sql, MIGRATIONS);
  }

  /** Its `databases` are 0 where nobody has told yet. */
  identity(): Identity | null {
    const [identity] = rowsOf<{ tenant: string; partitions: number; database: number; databases: number }>(
      this.#sql,
      "SELECT tenant, partitions, database, databases FROM identity",
    );
    return identity ?? null;
  }

  /** Its tenant's id is never given again: what is dropped stays so, and what is on its way here finds that. */
  noteDropped(): void {
    run(this.#sql, "INSERT OR REPLACE INTO dropped VALUES (1)");
  }

  isDropped(): boolean {
    return rowsOf(this.#sql, "SELECT id FROM dropped").length > 0;
  }

  setIdentity({ tenant, partitions, database, databases }: Identity): void {
    run(
      this.#sql,
      "INSERT OR REPLACE INTO identity (id, tenant, partitions, database, databases) VALUES (1, ?, ?, ?, ?)",
      tenant,
      partitions,
      database,
      databases,
    );
  }

  move(): MoveState | null {
    const [move] = rowsOf<{ paused_until: number | null; run: number }>(
      this.#sql,
      "SELECT paused_until, run FROM move",
    );
    return move ? { pausedUntilMs: move.paused_until, run: move.run } : null;
  }

  setMove(move: MoveState | null): void {
    if (move)
      run(
        this.#sql,
        "INSERT OR REPLACE INTO move (id, paused_until, run) VALUES (1, ?, ?)",
        move.pausedUntilMs,
        move.run,
      );
    else run(this.#sql, "DELETE FROM move");
  }

  noteChanged(entities: readonly string[]): void {
    run(
      this.#sql,
      "INSERT OR REPLACE INTO changed_entities (entity) SELECT value FROM json_each(?)",
      JSON.stringify(entities),
    );
  }

  changedEntities(limit: number): ChangedEntity[] {
    const query = "SELECT seq, entity FROM changed_entities ORDER BY seq LIMIT ?";
    return rowsOf<{ seq: number; entity: string }>(this.#sql, query, limit);
  }

  /** One that was changed again meanwhile has another number, and stays. */
  forgetChanged(seqs: readonly number[]): void {
    const named = "SELECT value FROM json_each(?)";
    run(this.#sql, `DELETE FROM changed_entities WHERE seq IN (${named})`, JSON.stringify(seqs));
  }

  forgetAllChanged(): void {
    run(this.#sql, "DELETE FROM changed_entities");
  }

  /** @param text JSON of an {@link Intent}. */
  addIntent(text: string): number {
    const [head = "", ...tail] = slices(text);
    const { seq } = rowOf<{ seq: number }>(
      this.#sql,
      "INSERT INTO intents (body) VALUES (?) RETURNING seq",
      head,
    );
    this.#addTail(seq, tail);
    return seq;
  }

  replaceIntent(seq: number, intent: Intent): void {
    const [head = "", ...tail] = slices(JSON.stringify(intent));
    run(this.#sql, "UPDATE intents SET body = ? WHERE seq = ?", head, seq);
    run(this.#sql, "DELETE FROM intent_tails WHERE seq = ?", seq);
    this.#addTail(seq, tail);
  }

  removeIntent(seq: number): void {
    this.removeIntents([seq]);
  }

  removeIntents(seqs: readonly number[]): void {
    if (seqs.length === 0) return;
    const json = JSON.stringify(seqs);
    for (const table of ["intents", "intent_tails"]) {
      run(this.#sql, `DELETE FROM ${table} WHERE seq IN (SELECT value FROM json_each(?))`, json);
    }
  }

  intents(): StoredIntent[] {
    const parts = rowsOf<{ seq: number; body: string }>(
      this.#sql,
      "SELECT seq, 0 AS part, body FROM intents UNION ALL SELECT seq, part, body FROM intent_tails ORDER BY seq, part",
    );
    return [...Map.groupBy(parts, ({ seq }) => seq)].map(([seq, own]) => ({
      seq,
      intent: JSON.parse(own.map(({ body }) => body).join("")) as Intent,
    }));
  }

  /** The rest of an intent that is longer than a row may be. */
  #addTail(seq: number, tail: readonly string[]): void {
    tail.forEach((body, i) => {
      run(this.#sql, "INSERT INTO intent_tails VALUES (?, ?, ?)", seq, i + 1, body);
    });
  }

  countIntents(): number {
    return rowOf<{ n: number }>(this.#sql, "SELECT count(*) AS n FROM intents").n;
  }

  /** The fingerprint of the request that first came with a key; null where none did, or its time is over. */
  fingerprintOf(key: string, nowMs: number): string | null {
    const [known] = rowsOf<{ fingerprint: string }>(
      this.#sql,
      "SELECT fingerprint FROM idempotency_keys WHERE key = ? AND expires_at > ?",
      key,
      nowMs,
    );
    return known?.fingerprint ?? null;
  }

  /** Remembers a key, unless it is known. @returns the fingerprint of the request that first came with it. */
  claimKey({ key, fingerprint }: Idempotency, nowMs: number, expiresAtMs: number): string {
    const first = this.fingerprintOf(key, nowMs);
    if (first !== null) return first;
    run(this.#sql, "DELETE FROM idempotent_results WHERE key = ?", key);
    run(this.#sql, "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?)", key, fingerprint, expiresAtMs);
    return fingerprint;
  }

  rememberResult(key: string, position: number, settled: Settled): void {
    run(
      this.#sql,
      "INSERT OR IGNORE INTO idempotent_results VALUES (?, ?, ?)",
      key,
      position,
      JSON.stringify(settled),
    );
  }

  /** Results by the position of their change in the request. */
  rememberedResults(key: string): Map<number, Settled> {
    const rows = rowsOf<{ position: number; settled: string }>(
      this.#sql,
      "SELECT position, settled FROM idempotent_results WHERE key = ?",
      key,
    );
    return new Map(rows.map(({ position, settled }) => [position, JSON.parse(settled) as Settled]));
  }

  /** Of documents that KV may still have, or is owed. */
  documents(entities: readonly string[], nowMs: number): DocumentRecord[] {
    return rowsOf<{ entity: string; expires_at: number; dirty: number }>(
      this.#sql,
      `SELECT entity, expires_at, dirty FROM documents
         WHERE entity IN (SELECT value FROM json_each(?)) AND (dirty = 1 OR expires_at >= ?)`,
      JSON.stringify(entities),
      nowMs - DOCUMENT_RECORD_GRACE_MS,
    ).map(toDocumentRecord);
  }

  dirtyDocuments(limit: number): DocumentRecord[] {
    return rowsOf<{ entity: string; expires_at: number; dirty: number }>(
      this.#sql,
      "SELECT entity, expires_at, dirty FROM documents WHERE dirty = 1 LIMIT ?",
      limit,
    ).map(toDocumentRecord);
  }

  /** In the order of their keys. */
  documentsAfter(entity: string, limit: number): DocumentRecord[] {
    return rowsOf<{ entity: string; expires_at: number; dirty: number }>(
      this.#sql,
      "SELECT entity, expires_at, dirty FROM documents WHERE entity > ? ORDER BY entity LIMIT ?",
      entity,
      limit,
    ).map(toDocumentRecord);
  }

  putDocument({ entity, expiresAtMs, dirty }: DocumentRecord): void {
    run(this.#sql, "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", entity, expiresAtMs, dirty ? 1 : 0);
  }

  /** Those of entities that are in another database when the tenant is spread over so many. */
  forgetDocumentsOfOthers(databases: number): void {
    const own = this.identity()?.database;
    for (let after = ""; ; ) {
      const some = this.documentsAfter(after, DOCUMENTS_AT_ONCE);
      const last = some.at(-1);
      if (!last) return;
      const others = some.filter(({ entity }) => databaseOf(entityRef(entity), databases) !== own);
      for (const { entity } of others) this.removeDocument(entity);
      after = last.entity;
    }
  }

  removeDocument(entity: string): void {
    run(this.#sql, "DELETE FROM documents WHERE entity = ?", entity);
  }

  /** Of the keys that are remembered longest those whose time is over, with their results. @returns how many. */
  forgetKeys(limit: number, nowMs: number): number {
    // They lie in the order in which they came, all for the same time: no index has to be kept.
    const first = "SELECT expires_at FROM idempotency_keys ORDER BY rowid LIMIT 1";
    const [oldest] = rowsOf<{ expires_at: number }>(this.#sql, first);
    if (!oldest || oldest.expires_at > nowMs) return 0;
    const expired = `SELECT key FROM (SELECT key, expires_at FROM idempotency_keys ORDER BY rowid LIMIT ?)
      WHERE expires_at <= ?`;
    run(this.#sql, `DELETE FROM idempotent_results WHERE key IN (${expired})`, limit, nowMs);
    const keys = `DELETE FROM idempotency_keys WHERE key IN (${expired}) RETURNING 1 AS n`;
    return rowsOf(this.#sql, keys, limit, nowMs).length;
  }

  documentWalk(): DocumentWalk {
    const query = "SELECT after, due_at AS dueAtMs FROM document_walk";
    return rowOf<{ after: number; dueAtMs: number }>(this.#sql, query);
  }

  setDocumentWalk({ after, dueAtMs }: DocumentWalk): void {
    run(this.#sql, "UPDATE document_walk SET after = ?, due_at = ?", after, dueAtMs);
  }

  /**
   * Looks at the next records of documents, and forgets those that KV has no longer.
   *
   * @param after A rowid.
   * @returns behind which the next ones are; null: there are none.
   */
  forgetDocuments(after: number, limit: number, nowMs: number): number | null {
    const end = "SELECT rowid AS last FROM documents WHERE rowid > ? ORDER BY rowid LIMIT 1 OFFSET ?";
    const [found] = rowsOf<{ last: number }>(this.#sql, end, after, limit - 1);
    run(
      this.#sql,
      "DELETE FROM documents WHERE rowid > ? AND rowid <= ? AND dirty = 0 AND expires_at < ?",
      after,
      found?.last ?? Number.MAX_SAFE_INTEGER,
      nowMs - DOCUMENT_RECORD_GRACE_MS,
    );
    return found?.last ?? null;
  }

  /** Whether it remembers anything that will be forgotten one day. */
  remembersAnything(): boolean {
    const any = "SELECT EXISTS (SELECT 1 FROM idempotency_keys) OR EXISTS (SELECT 1 FROM documents) AS n";
    return rowOf<{ n: number }>(this.#sql, any).n === 1;
  }
}

/** A text in pieces that a row may hold; never cut between the two halves of a character. */
function slices(text: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; start += pieces.at(-1)?.length ?? 0) {
    const piece = text.slice(start, start + MAX_INTENT_CHARACTERS);
    pieces.push(piece.isWellFormed() ? piece : piece.slice(0, -1));
  }
  return pieces;
}

function toDocumentRecord(row: { entity: string; expires_at: number; dirty: number }): DocumentRecord {
  return { entity: row.entity, expiresAtMs: row.expires_at, dirty: row.dirty === 1 };
}
