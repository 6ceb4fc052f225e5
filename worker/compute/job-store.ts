/** Results of computations that a request could not hold, until their jobs have written them. Synchronous. */
import { rowsOf, run } from "../db/object-sql.ts";
import { JOB_TTL_MS, RECOMPUTE_ALARM_MS } from "../limits.ts";
import { type Follower, nameOf } from "./follower-store.ts";
import type { ComputedRow } from "./vectors.ts";

// How far a job is stands in its row of D1; `next_position` is of objects that were made when it stood here too.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS fs_jobs (
    job_id TEXT PRIMARY KEY, seq INTEGER, next_position INTEGER NOT NULL, read_at INTEGER NOT NULL, expires_at INTEGER NOT NULL)
    WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fs_job_rows (
    job_id TEXT NOT NULL, position INTEGER NOT NULL, result_row INTEGER NOT NULL, entity TEXT NOT NULL,
    data TEXT NOT NULL, timestamp TEXT, PRIMARY KEY (job_id, position)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fs_begun (version TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;`;

export interface JobPage {
  rows: ComputedRow[];
  /** See {@link JobStore.keep}. */
  seq: number | null;
  /** See {@link JobStore.isOvertaken}. */
  isOvertaken: boolean;
}

type Version = Pick<Follower, "featureId" | "version">;

export interface PageRequest {
  version: Version;
  offset: number;
  limit: number;
}

export class JobStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    run(this.#sql, SCHEMA);
  }

  /** @param seq The last ingest that the rows know of; null: they are of no ingested rows. */
  keep(jobId: string, rows: readonly ComputedRow[], seq: number | null): void {
    this.#storage.transactionSync(() => {
      const nowMs = Date.now();
      run(this.#sql, "INSERT INTO fs_jobs VALUES (?, ?, 0, ?, ?)", jobId, seq, nowMs, nowMs + JOB_TTL_MS);
      for (const [position, { row, entity, data, timestamp }] of rows.entries()) {
        run(
          this.#sql,
          "INSERT INTO fs_job_rows VALUES (?, ?, ?, ?, ?, ?)",
          jobId,
          position,
          row,
          entity,
          data,
          timestamp,
        );
      }
    });
  }

  /** A computation of the version by hand begins, over the rows up to ingest `seq`. */
  begin(version: Version, seq: number): void {
    run(
      this.#sql,
      "INSERT INTO fs_begun VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
      nameOf(version),
      seq,
    );
  }

  /** One by hand over later rows than those up to ingest `seq` has begun, and may have been written. */
  isOvertaken(version: Version, seq: number): boolean {
    const later = "SELECT 1 FROM fs_begun WHERE version = ? AND seq > ?";
    return rowsOf(this.#sql, later, nameOf(version), seq).length > 0;
  }

  page(jobId: string, { version, offset, limit }: PageRequest): JobPage {
    run(this.#sql, "UPDATE fs_jobs SET read_at = ? WHERE job_id = ?", Date.now(), jobId);
    const [job] = rowsOf<{ seq: number | null }>(
      this.#sql,
      "SELECT seq FROM fs_jobs WHERE job_id = ?",
      jobId,
    );
    const rows = rowsOf<{ row: number; entity: string; data: string; timestamp: string | null }>(
      this.#sql,
      `SELECT result_row AS row, entity, data, timestamp FROM fs_job_rows
         WHERE job_id = ? AND position >= ? ORDER BY position LIMIT ?`,
      jobId,
      offset,
      limit,
    );
    const seq = job?.seq ?? null;
    return { rows, seq, isOvertaken: seq !== null && this.isOvertaken(version, seq) };
  }

  drop(jobId: string): void {
    run(this.#sql, "DELETE FROM fs_job_rows WHERE job_id = ?", jobId);
    run(this.#sql, "DELETE FROM fs_jobs WHERE job_id = ?", jobId);
  }

  /** Jobs for which no message seems to be under way. Rows too old are gone then, and the job ends as failed. */
  stalled(): string[] {
    const nowMs = Date.now();
    run(
      this.#sql,
      "DELETE FROM fs_job_rows WHERE job_id IN (SELECT job_id FROM fs_jobs WHERE expires_at <= ?)",
      nowMs,
    );
    return rowsOf<{ job_id: string }>(
      this.#sql,
      "SELECT job_id FROM fs_jobs WHERE read_at <= ?",
      nowMs - RECOMPUTE_ALARM_MS / 2,
    ).map((job) => job.job_id);
  }

  count(): number {
    return this.#sql.exec<{ jobs: number }>("SELECT count(*) AS jobs FROM fs_jobs").one().jobs;
  }
}
