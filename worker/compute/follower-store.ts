/**
 * Which versions are recomputed as rows of a table arrive, and which entities each of them has still to compute.
 * Every method is synchronous.
 *
 * An ingest has a number, `seq`. A touched entity carries the number of the last ingest that touched it; a follower
 * carries the number up to which it has computed. What lies between is its debt, and survives every crash.
 */
import { jsonParts } from "../db/json-parts.ts";
import { rowOf, rowsOf, run } from "../db/object-sql.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { FOLLOWER_LEASE_MS } from "../timings.ts";
import { quoted, type RawSchema } from "./raw-columns.ts";

/** A streaming feature's version, as far as its table must know it. */
export interface Follower {
  featureId: number;
  version: number;
  entityKey: string;
}

/** Of all that is known of a version, only what its table is told. */
export function followerOf({ featureId, version, entityKey }: Follower): Follower {
  return { featureId, version, entityKey };
}

export type Claim =
  /** Compute these, then say `RawTable.followed` with `upTo`, then claim again. */
  | { kind: "entities"; entities: string[]; upTo: number }
  /** Nothing is left to compute. */
  | { kind: "nothing" }
  /** Another consumer is at it, and will find what has arrived meanwhile. */
  | { kind: "busy" };

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS fs_touched (
    entity_key TEXT NOT NULL, entity TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (entity_key, entity)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS fs_touched_seq ON fs_touched (entity_key, seq);
  CREATE TABLE IF NOT EXISTS fs_followers (
    feature_id INTEGER NOT NULL, version INTEGER NOT NULL, entity_key TEXT NOT NULL, seq INTEGER NOT NULL,
    parked INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (feature_id, version)) WITHOUT ROWID;`;

export const nameOf = ({ featureId, version }: Pick<Follower, "featureId" | "version">) =>
  `${featureId}@${version}`;

export class FollowerStore {
  readonly #sql: SqlStorage;
  /**
   * Two consumers of one follower would race: the one that computed from fewer rows may write last. In memory only:
   * with this object its leases die too, and the table's alarm asks again. Who has lost its lease is known by it when it
   * has written.
   */
  readonly #leases = new Map<string, { holder: string; untilMs: number }>();
  /** The number of the last purge, which counts as an ingest. In memory only, like the leases of whom it is told to. */
  #lastPurge = 0;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    run(this.#sql, SCHEMA);
  }

  /** Notes what the rows of ingest number `seq` touch; called inside its transaction. */
  touch(schema: RawSchema, parts: readonly string[], followers: readonly Follower[], seq: number): void {
    for (const { featureId, version, entityKey } of followers) {
      run(
        this.#sql,
        // Of another key: the id was another feature's, before D1 was put back to an earlier time.
        `INSERT INTO fs_followers VALUES (?, ?, ?, ?, 0)
         ON CONFLICT DO UPDATE SET parked = 0, entity_key = excluded.entity_key`,
        featureId,
        version,
        entityKey,
        seq - 1,
      );
    }
    for (const entityKey of new Set(followers.map((follower) => follower.entityKey))) {
      const at = schema.columns.findIndex(([name]) => name === entityKey);
      if (at < 0) continue;
      const column = quoted(entityKey);
      run(
        this.#sql,
        `CREATE INDEX IF NOT EXISTS ${quoted(`fs_by_${entityKey}`)} ON fs_rows (CAST(${column} AS TEXT))`,
      );
      for (const part of parts) {
        // The column's number stands in the text: bound, it would be a float, which `->>` takes for a name.
        run(
          this.#sql,
          `INSERT INTO fs_touched SELECT DISTINCT ?, CAST(ref.value ->> ${at} AS TEXT), ? FROM json_each(?) AS ref
           WHERE length(ref.value ->> ${at}) BETWEEN 1 AND ${MAX_NAME_CHARACTERS}
           ON CONFLICT DO UPDATE SET seq = excluded.seq`,
          entityKey,
          seq,
          part,
        );
      }
    }
  }

  /**
   * A query must not depend on who follows its table: SQLite would count by such an index, which is no page of `data`,
   * look up by it, and find rows in another order. Until the rollback; ten milliseconds for a million rows.
   *
   * @param table What the table of the rows is called now.
   */
  dropIndexes(table: string): void {
    const indexes = rowsOf<{ name: string }>(
      this.#sql,
      "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?",
      table,
    );
    for (const { name } of indexes) run(this.#sql, `DROP INDEX ${quoted(name)}`);
  }

  /** The next entities for a follower. @param upTo The number of the last ingest. */
  claim(follower: Follower, holder: string, { limit, upTo }: { limit: number; upTo: number }): Claim {
    const name = nameOf(follower);
    const lease = this.#leases.get(name);
    const nowMs = Date.now();
    if (lease && lease.holder !== holder && lease.untilMs > nowMs) return { kind: "busy" };
    const page = this.#touchedBy(follower, limit, upTo);
    if (page.entities.length === 0) {
      this.followed(follower, upTo);
      this.#leases.delete(name);
      return { kind: "nothing" };
    }
    this.#leases.set(name, { holder, untilMs: nowMs + FOLLOWER_LEASE_MS });
    return { kind: "entities", ...page };
  }

  /** False once another one has taken over, or this object has begun anew: it may be too late. */
  isHeldBy(follower: Follower, holder: string): boolean {
    return this.#leases.get(nameOf(follower))?.holder === holder;
  }

  /** The follower has computed everything up to this ingest. */
  followed({ featureId, version, entityKey }: Follower, upTo: number): void {
    run(
      this.#sql,
      `INSERT INTO fs_followers VALUES (?, ?, ?, ?, 0)
       ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq), parked = 0`,
      featureId,
      version,
      entityKey,
      upTo,
    );
    run(
      this.#sql,
      `DELETE FROM fs_touched WHERE entity_key = ? AND seq <= (SELECT min(seq) FROM fs_followers WHERE entity_key = ?)`,
      entityKey,
      entityKey,
    );
  }

  /**
   * The holder gives up, and the queue brings its message again, or another one.
   *
   * @param failsUpTo The tenant's SQL or rows up to this ingest will fail again: so after the queue's own tries the alarm
   * does not ask for it any more, unless later rows have touched something, or rows have gone since. Null: it may be
   * asked for.
   */
  release(follower: Follower, holder: string, failsUpTo: number | null): void {
    if (this.isHeldBy(follower, holder)) this.#leases.delete(nameOf(follower));
    if (failsUpTo === null || failsUpTo < this.#lastPurge) return;
    const { featureId, version, entityKey } = follower;
    run(
      this.#sql,
      `UPDATE fs_followers SET parked = 1 WHERE feature_id = ? AND version = ?
       AND NOT EXISTS (SELECT 1 FROM fs_touched WHERE entity_key = ? AND seq > ?)`,
      featureId,
      version,
      entityKey,
      failsUpTo,
    );
  }

  /** Rows have gone, as ingest number `seq`: what has failed over more of them is tried once more. */
  rowsHaveGone(seq: number): void {
    this.#lastPurge = seq;
    run(this.#sql, "UPDATE fs_followers SET parked = 0 WHERE parked = 1");
  }

  /**
   * Entities that a computation outside of the stream has written from rows that are not the newest any more: they are
   * touched again, as ingest number `seq`.
   */
  retouch({ entityKey }: Follower, entities: readonly string[], seq: number): void {
    for (const part of jsonParts(entities)) {
      run(
        this.#sql,
        `INSERT INTO fs_touched SELECT ?, value, ? FROM json_each(?) WHERE true
         ON CONFLICT DO UPDATE SET seq = excluded.seq`,
        entityKey,
        seq,
        part,
      );
    }
  }

  has({ featureId, version }: Follower): boolean {
    const known = "SELECT 1 FROM fs_followers WHERE feature_id = ? AND version = ?";
    return rowsOf(this.#sql, known, featureId, version).length > 0;
  }

  /** Forgets every follower that is not among these, and what none of these has to compute. */
  keep(followers: readonly Follower[]): void {
    const names = JSON.stringify(followers.map(nameOf));
    run(
      this.#sql,
      "DELETE FROM fs_followers WHERE feature_id || '@' || version NOT IN (SELECT value FROM json_each(?))",
      names,
    );
    const keys = JSON.stringify(followers.map(({ entityKey }) => entityKey));
    run(this.#sql, "DELETE FROM fs_touched WHERE entity_key NOT IN (SELECT value FROM json_each(?))", keys);
  }

  /** How many have something left to compute that the alarm may ask for. */
  countBehind(): number {
    const { behind } = rowOf<{ behind: number }>(
      this.#sql,
      `SELECT count(*) AS behind FROM fs_followers AS f WHERE f.parked = 0
         AND EXISTS (SELECT 1 FROM fs_touched AS t WHERE t.entity_key = f.entity_key AND t.seq > f.seq)`,
    );
    return behind;
  }

  #touchedBy({ featureId, version, entityKey }: Follower, limit: number, upTo: number) {
    const rows = rowsOf<{ entity: string; seq: number }>(
      this.#sql,
      `SELECT entity, seq FROM fs_touched WHERE entity_key = ?1
         AND seq > coalesce((SELECT seq FROM fs_followers WHERE feature_id = ?2 AND version = ?3), 0)
         ORDER BY seq LIMIT ?4`,
      entityKey,
      featureId,
      version,
      limit + 1,
    );
    const cut = rows[limit]?.seq;
    // An ingest that the limit would cut comes whole with the next page; none alone touches more than the limit.
    const page = cut === undefined ? rows : rows.filter(({ seq }) => seq < cut);
    return { entities: page.map(({ entity }) => entity), upTo: cut === undefined ? upTo : cut - 1 };
  }
}
