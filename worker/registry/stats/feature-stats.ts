/** The Durable Object of a tenant's roll-ups: how fresh and how whole its registered features are. */
import { DurableObject } from "cloudflare:workers";
import { forgetAll } from "../../db/object-sql.ts";
import { settings } from "../../env.ts";
import { STATS_PURGE_ROWS } from "../../limits.ts";
import { MICROS_PER_MS, type Micros, nowMicros } from "../../timestamps.ts";
import { PURGE_ALARM_MS, STATS_EVENT_MEMORY_MS } from "../../timings.ts";
import { sleep } from "../../waits.ts";
import type { Contribution } from "./contribution.ts";
import { addRollUps, EMPTY, type RollUp } from "./roll-up.ts";
import {
  type Hour,
  hourOf,
  newsOf,
  oldestKeptHour,
  type SeriesNews,
  startOf,
  type VersionKey,
} from "./series.ts";
import { StatsStore } from "./store.ts";

interface Recorded {
  /** Series that are not kept, because there are as many as may be. */
  leftOut: number;
}

/** Hours from the first to the last, both included. */
export interface AskedHours {
  first: Hour;
  last: Hour;
}

export interface FeatureNumbers {
  lastWrite: Micros | null;
  lastEventTime: Micros | null;
  /** Oldest first; those in which nothing was written are left out. */
  hours: { hour: Hour; rollUp: RollUp }[];
  /** The columns of a vector, each over all the hours. */
  columns: { column: string; total: RollUp }[];
}

export class FeatureStats extends DurableObject<Env> {
  #store: StatsStore;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#store = new StatsStore(ctx.storage.sql);
  }

  /** Counts all of it or nothing; an event that was counted before, within its window, counts no more. */
  async record(contributions: Contribution[]): Promise<Recorded> {
    // First, since a crash may come right after the rows: an alarm too many finds nothing to do.
    await this.#ensureAlarm();
    const oldest = this.#oldestHour();
    return this.ctx.storage.transactionSync(() => {
      const nowMs = Date.now();
      const fresh = contributions.filter(
        // Past its retention: the hour has gone, and stays gone.
        ({ eventId, ingestedAt }) => hourOf(ingestedAt) >= oldest && this.#store.remember(eventId, nowMs),
      );
      const kept = newsOf(fresh).map((news) => this.#add(news));
      return { leftOut: kept.filter((isKept) => !isKept).length };
    });
  }

  #add(news: SeriesNews): boolean {
    // Left by a removal that was not told, or counted by who had not heard of it yet.
    if (news.column === null && this.#store.isOfAnother(news)) this.#store.forget(news, ALL);
    const seriesId = this.#store.noteSeries(news);
    if (seriesId === null) return false;
    for (const [hour, rollUp] of news.hours) {
      this.#store.setHour(seriesId, hour, addRollUps(this.#store.hour(seriesId, hour) ?? EMPTY, rollUp));
    }
    return true;
  }

  /** Empty where what is kept is of another version of that name and number. */
  async read(of: VersionKey, { first, last }: AskedHours): Promise<FeatureNumbers> {
    const from = Math.max(first, this.#oldestHour());
    const numbers: FeatureNumbers = { lastWrite: null, lastEventTime: null, hours: [], columns: [] };
    if (this.#store.isOfAnother(of)) return numbers;
    for (const { seriesId, column, lastWrite, lastEventTime } of this.#store.series(of.feature, of.version)) {
      const hours = this.#store.hours(seriesId, from, last);
      if (column === null) Object.assign(numbers, { lastWrite, lastEventTime, hours: ofHours(hours) });
      else numbers.columns.push({ column, total: [...hours.values()].reduce(addRollUps, EMPTY) });
    }
    return numbers;
  }

  /** Forgets versions, in steps between which others have their turn; not what has their names and numbers by now. */
  async forget(versions: VersionKey[]): Promise<void> {
    for (const version of versions) {
      while (!this.#store.isOfAnother(version) && this.#store.forget(version, STATS_PURGE_ROWS))
        await sleep(0);
    }
  }

  /** The tenant is deleted: nobody counts for one that has nothing registered, but who has asked before that. */
  async drop(): Promise<void> {
    await forgetAll(this.ctx.storage);
    this.#store = new StatsStore(this.ctx.storage.sql);
  }

  /** Removes what is past its time, so much at once, and comes back when there is more. */
  override async alarm(): Promise<void> {
    const nowMs = Date.now();
    const isMore = this.#store.purge({
      before: nowMs - STATS_EVENT_MEMORY_MS,
      oldest: this.#oldestHour(),
      limit: STATS_PURGE_ROWS,
    });
    const dueMs = isMore ? nowMs : this.#nextDueMs(nowMs);
    if (dueMs !== null) await this.ctx.storage.setAlarm(dueMs);
  }

  /** Null: nothing is kept that will ever have to go. */
  #nextDueMs(nowMs: number): number | null {
    const { countedAtMs, hour } = this.#store.oldest();
    const days = settings(this.env).historyRetentionDays;
    const due = [
      ...(countedAtMs === null ? [] : [countedAtMs + STATS_EVENT_MEMORY_MS]),
      ...(hour === null ? [] : [startOf(hour + days * 24 + 1) / MICROS_PER_MS]),
    ];
    // Not for each single row: what gathers within an hour goes together.
    return due.length === 0 ? null : Math.max(Math.min(...due), nowMs) + PURGE_ALARM_MS;
  }

  async #ensureAlarm(): Promise<void> {
    const setMs = await this.ctx.storage.getAlarm();
    if (setMs === null) await this.ctx.storage.setAlarm(Date.now() + STATS_EVENT_MEMORY_MS);
  }

  #oldestHour(): Hour {
    return oldestKeptHour(nowMicros(), settings(this.env).historyRetentionDays);
  }
}

const ALL = Number.MAX_SAFE_INTEGER;

function ofHours(hours: ReadonlyMap<Hour, RollUp>): FeatureNumbers["hours"] {
  return [...hours].map(([hour, rollUp]) => ({ hour, rollUp }));
}
