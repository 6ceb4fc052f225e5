/**
 * Computations that a table's object has given out and heard nothing of since, and versions that are to be computed as
 * a whole once more. Every method is synchronous.
 *
 * Of two vectors of one event time the later arrival wins, so one that was computed from fewer rows may be written last,
 * and stands. Hence whoever has written says so, and what it may have written over is computed again; see
 * `RawTableStore.computeAgain`. The note made here before it was given its rows speaks for one that dies on the way.
 */
import { jsonParts } from "../db/json-parts.ts";
import { rowOf, rowsOf, run } from "../db/object-sql.ts";
import { type Follower, nameOf } from "./follower-store.ts";

/** Of one version, over the rows up to ingest `seq`. */
export interface Computation {
  follower: Follower;
  entities: readonly string[];
  seq: number;
}

type Version = Pick<Follower, "featureId" | "version">;

/**
 * Why a computation is not to be written, or not on: one of its version over later rows has begun; or rows that it may be
 * of were erased since, or it is taken for dead, so that an erasure would not wait for it.
 */
export type WhyNotWritten = "overtaken" | "erased";

/** As well: its feature was removed. */
export type WhyCutOff = WhyNotWritten | "removed";

/** A version that is to be computed as a whole, from the rows up to ingest `seq` or later ones. */
export interface Debt extends Version {
  seq: number;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS fs_begun (version TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fs_under_way (
    id TEXT NOT NULL, feature_id INTEGER NOT NULL, version INTEGER NOT NULL, entity_key TEXT NOT NULL,
    seq INTEGER NOT NULL, given_at INTEGER NOT NULL, entities TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS fs_under_way_id ON fs_under_way (id);
  CREATE TABLE IF NOT EXISTS fs_debts (
    feature_id INTEGER NOT NULL, version INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (feature_id, version)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fs_erased (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL);`;

const LAST_ERASED = "(SELECT coalesce(max(seq), 0) FROM fs_erased)";

export class ComputationStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    run(this.#sql, SCHEMA);
  }

  /** A computation by hand begins: those of its version over fewer rows are overtaken. */
  begin({ follower, seq }: Computation): void {
    run(
      this.#sql,
      "INSERT INTO fs_begun VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
      nameOf(follower),
      seq,
    );
  }

  /** One by hand over later rows than those up to ingest `seq` has begun, and may have been written. */
  isOvertaken(version: Version, seq: number): boolean {
    const later = "SELECT 1 FROM fs_begun WHERE version = ? AND seq > ?";
    return rowsOf(this.#sql, later, nameOf(version), seq).length > 0;
  }

  /** Rows have been erased, as ingest number `seq`: what was computed before that may be of them, and is not to be written. */
  erased(seq: number): void {
    run(this.#sql, "INSERT INTO fs_erased VALUES (1, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq", seq);
  }

  /** The number of the last ingest as which rows were erased; 0: none were. */
  lastErased(): number {
    return rowOf<{ seq: number }>(this.#sql, `SELECT ${LAST_ERASED} AS seq`).seq;
  }

  isErasedSince(seq: number): boolean {
    return this.lastErased() > seq;
  }

  /** Rows were erased since this was given out, or it is not known any more. */
  isCutOff(id: string): boolean {
    return !rowsOf(this.#sql, `SELECT 1 FROM fs_under_way WHERE id = ? AND seq >= ${LAST_ERASED}`, id).length;
  }

  /** It is about to be written: so long as that may take it is not taken for dead. Not one that is cut off: false. */
  renew(id: string): boolean {
    if (this.isCutOff(id)) return false;
    run(this.#sql, "UPDATE fs_under_way SET given_at = ? WHERE id = ?", Date.now(), id);
    return true;
  }

  /** Something that was computed before ingest `seq` may still be on its way to the writers. */
  isAnyBefore(seq: number, withinMs: number): boolean {
    const found = "SELECT 1 FROM fs_under_way WHERE seq < ? AND given_at > ? LIMIT 1";
    return rowsOf(this.#sql, found, seq, Date.now() - withinMs).length > 0;
  }

  /** The computation is given out, and may be written until it {@link end}s. */
  give(id: string, { follower, entities, seq }: Computation): void {
    const { featureId, version, entityKey } = follower;
    // It is under way without entities too: whoever has it asks whether it may be written.
    for (const part of entities.length === 0 ? ["[]"] : jsonParts(entities)) {
      run(
        this.#sql,
        "INSERT INTO fs_under_way VALUES (?, ?, ?, ?, ?, ?, ?)",
        id,
        featureId,
        version,
        entityKey,
        seq,
        Date.now(),
        part,
      );
    }
  }

  end(id: string): void {
    run(this.#sql, "DELETE FROM fs_under_way WHERE id = ?", id);
  }

  /** Those that were given out so long ago that nothing will be heard of them: they end. */
  endOlderThan(ageMs: number): Computation[] {
    const ended = rowsOf<{
      feature_id: number;
      version: number;
      entity_key: string;
      seq: number;
      entities: string;
    }>(
      this.#sql,
      "DELETE FROM fs_under_way WHERE given_at <= ? RETURNING feature_id, version, entity_key, seq, entities",
      Date.now() - ageMs,
    );
    return ended.map(({ feature_id: featureId, version, entity_key: entityKey, seq, entities }) => ({
      follower: { featureId, version, entityKey },
      entities: JSON.parse(entities),
      seq,
    }));
  }

  isAnyUnderWay(): boolean {
    return rowsOf(this.#sql, "SELECT 1 FROM fs_under_way LIMIT 1").length > 0;
  }

  owe({ featureId, version, seq }: Debt): void {
    run(
      this.#sql,
      "INSERT INTO fs_debts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq",
      featureId,
      version,
      seq,
    );
  }

  debts(): Debt[] {
    return rowsOf<{ featureId: number; version: number; seq: number }>(
      this.#sql,
      "SELECT feature_id AS featureId, version, seq FROM fs_debts",
    );
  }

  /** What has come to be owed since stays. */
  pay({ featureId, version, seq }: Debt): void {
    run(
      this.#sql,
      "DELETE FROM fs_debts WHERE feature_id = ? AND version = ? AND seq <= ?",
      featureId,
      version,
      seq,
    );
  }
}
