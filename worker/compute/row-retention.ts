/**
 * How long a raw table keeps its rows: a row goes once the time in its timestamp column is longer ago than the table's
 * retention. One without a time stays, since nobody knows its age. Pure.
 */
import { formatTimestamp, MICROS_PER_MS, type Micros } from "../timestamps.ts";
import { AGED_ROWS_ALARM_MAX_MS, AGED_ROWS_ALARM_MS } from "../timings.ts";

const DAY_MICROS = 86_400_000_000;

/** The first time that is kept, written as the rows have theirs: all of one width, so that text is compared. */
export function oldestKept(now: Micros, retentionDays: number): string {
  return formatTimestamp(Math.ceil(now - retentionDays * DAY_MICROS));
}

/**
 * When the table looks for rows that have become too old: when the oldest has, yet not so often that an alarm removes
 * a row at a time, and daily at the least.
 *
 * @param oldest The time of the oldest row; null: none has one.
 * @returns milliseconds from now.
 */
export function nextPurgeMs(oldest: Micros | null, retentionDays: number, now: Micros): number {
  if (oldest === null) return AGED_ROWS_ALARM_MAX_MS;
  const agedInMs = Math.ceil((oldest + retentionDays * DAY_MICROS - now) / MICROS_PER_MS);
  return Math.min(Math.max(agedInMs, AGED_ROWS_ALARM_MS), AGED_ROWS_ALARM_MAX_MS);
}
