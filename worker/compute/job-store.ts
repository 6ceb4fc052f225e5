/** Results of computations that a request could not hold, until their jobs have written them. Synchronous. */
import { rowOf, rowsOf, run } from "../db/object-sql.ts";
import { JOB_START_MS, JOB_TTL_MS, RECOMPUTE_ALARM_MS } from "../timings.ts";
import type { WhyNotWritten } from "./computation-store.ts";
import type { Follower } from "./follower-store.ts";
import type { ComputedRow } from "./vectors.ts";

// How far a job is stands in its row of D1; up to `next_position` its rows have been given out.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS fs_jobs (
    job_id TEXT PRIMARY KEY, seq INTEGER, next_position INTEGER NOT NULL, read_at INTEGER NOT NULL, expires_at INTEGER NOT NULL)
    WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fs_job_rows (
    job_id TEXT NOT NULL, position INTEGER NOT NULL, result_row INTEGER NOT NULL, entity TEXT NOT NULL,
    data TEXT NOT NULL, timestamp TEXT, PRIMARY KEY (job_id, position)) WITHOUT ROWID;`;

export interface JobPage {
  rows: ComputedRow[];
  /** See {@link JobStore.keep}. */
  seq: number | null;
  /** It has been given out before, and may be written. */
  isRepeated: boolean;
}

export interface PageRequest {
  offset: number;
  limit: number;
}

/** As a table's object gives it out. `pageId`: until who has it says that it is written, it is under way. */
export type JobPageRequest = PageRequest & { pageId: string; follower: Follower };
export type GivenPage = JobPage & { whyNot: WhyNotWritten | null };

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

  page(jobId: string, { offset, limit }: PageRequest): JobPage {
    const [job] = rowsOf<{ seq: number | null; given: number }>(
      this.#sql,
      "SELECT seq, next_position AS given FROM fs_jobs WHERE job_id = ?",
      jobId,
    );
    run(
      this.#sql,
      "UPDATE fs_jobs SET read_at = ?, next_position = max(next_position, ?) WHERE job_id = ?",
      Date.now(),
      offset + limit,
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
    return { rows, seq: job?.seq ?? null, isRepeated: job !== undefined && job.given > offset };
  }

  /**
   * Rows of one job that knows of nothing behind ingest `seq` go; the job ends as soon as somebody asks for them.
   *
   * @returns false when there is none.
   */
  forgetRowsBefore(seq: number): boolean {
    const [older] = rowsOf<{ job_id: string }>(
      this.#sql,
      `SELECT job_id FROM fs_jobs AS job WHERE seq < ?
         AND EXISTS (SELECT 1 FROM fs_job_rows AS kept WHERE kept.job_id = job.job_id) LIMIT 1`,
      seq,
    );
    if (older) run(this.#sql, "DELETE FROM fs_job_rows WHERE job_id = ?", older.job_id);
    return older !== undefined;
  }

  drop(jobId: string): void {
    run(this.#sql, "DELETE FROM fs_job_rows WHERE job_id = ?", jobId);
    run(this.#sql, "DELETE FROM fs_jobs WHERE job_id = ?", jobId);
  }

  /** Of a job that nobody has registered: unless that may still come. */
  dropForgotten(jobId: string): void {
    const keptBeforeMs = Date.now() - JOB_START_MS;
    const forgotten = "SELECT 1 FROM fs_jobs WHERE job_id = ? AND expires_at <= ?";
    if (rowsOf(this.#sql, forgotten, jobId, keptBeforeMs + JOB_TTL_MS).length > 0) this.drop(jobId);
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
    return rowOf<{ jobs: number }>(this.#sql, "SELECT count(*) AS jobs FROM fs_jobs").jobs;
  }
}
