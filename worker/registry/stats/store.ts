/** The statistics of a tenant in its object's SQLite. All SQL is here; every method is synchronous, hence atomic. */
import { migrate, rowOf, rowsOf, run } from "../../db/object-sql.ts";
import { MAX_STATS_COLUMNS, MAX_STATS_FEATURES } from "../../limits.ts";
import type { Micros } from "../../timestamps.ts";
import type { RollUp } from "./roll-up.ts";
import type { Hour, SeriesKey, SeriesNews, VersionKey } from "./series.ts";

/** Append only: an object runs the steps that it has not run yet, in order. */
const MIGRATIONS = [
  `CREATE TABLE counted_events (event_id TEXT PRIMARY KEY, counted_at_ms INTEGER NOT NULL) WITHOUT ROWID;
   CREATE INDEX counted_events_age ON counted_events (counted_at_ms);
   CREATE TABLE series (
     series_id INTEGER PRIMARY KEY, feature TEXT NOT NULL, version INTEGER NOT NULL, slot TEXT NOT NULL,
     number INTEGER NOT NULL, last_write INTEGER NOT NULL, last_event_time INTEGER NOT NULL, UNIQUE (feature, version, slot));
   CREATE INDEX series_numbers ON series (slot, number);
   CREATE TABLE hours (
     series_id INTEGER NOT NULL, hour INTEGER NOT NULL, value_count INTEGER NOT NULL, null_count INTEGER NOT NULL,
     number_count INTEGER NOT NULL, sum TEXT NOT NULL, min REAL, max REAL, PRIMARY KEY (series_id, hour)
   ) WITHOUT ROWID;
   CREATE INDEX hours_age ON hours (hour);`,
  // Null for a series that is older than this column.
  "ALTER TABLE series ADD COLUMN registered_at INTEGER",
];

/** The slot of the feature itself; a column's is `=` and its name, which may be anything. */
const ITSELF = "";
const slotOf = ({ column }: SeriesKey) => (column === null ? ITSELF : `=${column}`);

interface SeriesRow {
  seriesId: number;
  column: string | null;
  lastWrite: Micros;
  lastEventTime: Micros;
}

type HourRow = {
  hour: Hour;
  value_count: number;
  null_count: number;
  number_count: number;
  sum: string;
  min: number | null;
  max: number | null;
};

export class StatsStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    migrate(sql, MIGRATIONS);
  }

  /** @returns whether it is counted for the first time, as far as is remembered. */
  remember(eventId: string, nowMs: number): boolean {
    const added = rowsOf(
      this.#sql,
      "INSERT INTO counted_events VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1",
      eventId,
      nowMs,
    );
    return added.length > 0;
  }

  /** Whether what is kept under this name and number is of another version, which was removed. */
  isOfAnother({ feature, version, registeredAt }: VersionKey): boolean {
    const other =
      "SELECT 1 FROM series WHERE feature = ? AND version = ? AND slot = ? AND registered_at <> ?";
    return rowsOf(this.#sql, other, feature, version, ITSELF, registeredAt).length > 0;
  }

  /** The series, made where there is none; null when the tenant or the vector has as many as are kept. */
  noteSeries(news: SeriesNews): number | null {
    const { feature, version, registeredAt, lastWrite, lastEventTime } = news;
    const key = [feature, version, slotOf(news)] as const;
    const [known] = rowsOf<{ series_id: number }>(
      this.#sql,
      `UPDATE series SET last_write = max(last_write, ?), last_event_time = max(last_event_time, ?), registered_at = ?
         WHERE feature = ? AND version = ? AND slot = ? RETURNING series_id`,
      lastWrite,
      lastEventTime,
      registeredAt,
      ...key,
    );
    if (known) return known.series_id;
    const number = this.#nextNumber(news);
    if (number === null) return null;
    const insert = `INSERT INTO series (feature, version, slot, number, last_write, last_event_time, registered_at)
      VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING series_id`;
    const times = [lastWrite, lastEventTime, registeredAt];
    return rowOf<{ series_id: number }>(this.#sql, insert, ...key, number, ...times).series_id;
  }

  /** Among the tenant's features, or a vector's columns: how many there are of them, with this one. */
  #nextNumber({ feature, version, column }: SeriesKey): number | null {
    if (column === null) {
      const features = this.#number("SELECT count(*) AS n FROM series WHERE slot = ?", ITSELF);
      return features < MAX_STATS_FEATURES ? features + 1 : null;
    }
    const own = "SELECT count(*) AS n FROM series WHERE feature = ? AND version = ?";
    const withItself = this.#number(own, feature, version);
    // A vector that is not kept itself has no columns either.
    return withItself > 0 && withItself <= MAX_STATS_COLUMNS ? withItself : null;
  }

  #number(query: string, ...parameters: (string | number)[]): number {
    return rowOf<{ n: number | null }>(this.#sql, query, ...parameters).n ?? 0;
  }

  hour(seriesId: number, hour: Hour): RollUp | null {
    return this.hours(seriesId, hour, hour).get(hour) ?? null;
  }

  setHour(seriesId: number, hour: Hour, { values, nulls, numbers, sum, min, max }: RollUp): void {
    run(
      this.#sql,
      "INSERT OR REPLACE INTO hours VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      ...[seriesId, hour, values, nulls, numbers, JSON.stringify(sum), min, max],
    );
  }

  /** The series of a feature itself and of its columns, in the order in which they were first seen. */
  series(feature: string, version: number): SeriesRow[] {
    return rowsOf<{ series_id: number; slot: string; last_write: number; last_event_time: number }>(
      this.#sql,
      `SELECT series_id, slot, last_write, last_event_time FROM series
         WHERE feature = ? AND version = ? ORDER BY series_id`,
      feature,
      version,
    ).map(({ series_id, slot, last_write, last_event_time }) => ({
      seriesId: series_id,
      column: slot === ITSELF ? null : slot.slice(1),
      lastWrite: last_write,
      lastEventTime: last_event_time,
    }));
  }

  /** The hours from the first to the last, both included, in which anything was written. */
  hours(seriesId: number, first: Hour, last: Hour): Map<Hour, RollUp> {
    const rows = rowsOf<HourRow>(
      this.#sql,
      `SELECT hour, value_count, null_count, number_count, sum, min, max FROM hours
         WHERE series_id = ? AND hour BETWEEN ? AND ? ORDER BY hour`,
      ...[seriesId, first, last],
    );
    return new Map(rows.map((row) => [row.hour, toRollUp(row)]));
  }

  /** Removes a version of a feature, so many hours of it at once. @returns whether there is more to remove. */
  forget({ feature, version }: Pick<VersionKey, "feature" | "version">, limit: number): boolean {
    const hours = this.#remove(
      `DELETE FROM hours WHERE (series_id, hour) IN (
         SELECT series_id, hour FROM series JOIN hours USING (series_id) WHERE feature = ? AND version = ? LIMIT ?) RETURNING 1`,
      ...[feature, version, limit],
    );
    if (hours === limit) return true;
    run(this.#sql, "DELETE FROM series WHERE feature = ? AND version = ?", feature, version);
    return false;
  }

  /** @returns whether there is more to remove. */
  purge({ before, oldest, limit }: { before: number; oldest: Hour; limit: number }): boolean {
    const events = this.#remove(
      `DELETE FROM counted_events WHERE event_id IN
         (SELECT event_id FROM counted_events WHERE counted_at_ms < ? LIMIT ?) RETURNING 1`,
      ...[before, limit],
    );
    const hours = this.#remove(
      `DELETE FROM hours WHERE (series_id, hour) IN
         (SELECT series_id, hour FROM hours WHERE hour < ? LIMIT ?) RETURNING 1`,
      ...[oldest, limit],
    );
    return events === limit || hours === limit;
  }

  /** What is due to be removed next: when it was counted, and the hour it is of. */
  oldest(): { countedAtMs: number | null; hour: Hour | null } {
    return rowOf<{ countedAtMs: number | null; hour: number | null }>(
      this.#sql,
      `SELECT (SELECT min(counted_at_ms) FROM counted_events) AS countedAtMs, (SELECT min(hour) FROM hours) AS hour`,
    );
  }

  #remove(statement: string, ...parameters: (string | number)[]): number {
    return rowsOf(this.#sql, statement, ...parameters).length;
  }
}

function toRollUp({ value_count, null_count, number_count, sum, min, max }: HourRow): RollUp {
  return {
    values: value_count,
    nulls: null_count,
    numbers: number_count,
    sum: JSON.parse(sum) as number[],
    min,
    max,
  };
}
