/** From what events contribute to the series that are kept: hourly roll-ups of each feature and column. Pure. */
import { MICROS_PER_SECOND, type Micros, SECONDS_PER_HOUR } from "../../timestamps.ts";
import type { Contribution } from "./contribution.ts";
import { addRollUps, EMPTY, type Observation, type RollUp, rollUpOf } from "./roll-up.ts";

const MICROS_PER_HOUR = SECONDS_PER_HOUR * MICROS_PER_SECOND;

/** Hours since 1970. */
export type Hour = number;

export function hourOf(time: Micros): Hour {
  return Math.floor(time / MICROS_PER_HOUR);
}

export function startOf(hour: Hour): Micros {
  return hour * MICROS_PER_HOUR;
}

/** The oldest hour of which anything is kept: as long as history is. */
export function oldestKeptHour(now: Micros, retentionDays: number): Hour {
  return hourOf(now) - retentionDays * 24;
}

/** A version of a feature, and of those that had its name and number one after the other, which one. */
export interface VersionKey {
  feature: string;
  version: number;
  registeredAt: Micros;
}

export interface SeriesKey extends VersionKey {
  /** A column of a vector; null: the series is the feature itself. */
  column: string | null;
}

/** What is new in one series. */
export interface SeriesNews extends SeriesKey {
  lastWrite: Micros;
  lastEventTime: Micros;
  /** By the hour in which the store learned of the values. */
  hours: Map<Hour, RollUp>;
}

/** Features before their columns. */
export function newsOf(contributions: readonly Contribution[]): SeriesNews[] {
  const all = new Map<string, SeriesNews>();
  for (const contribution of contributions) {
    for (const { value, columns, ...of } of contribution.features) {
      addValue(all, contribution, { ...of, column: null }, value);
      for (const [column, own] of columns) addValue(all, contribution, { ...of, column }, own);
    }
  }
  return [...all.values()];
}

function addValue(
  all: Map<string, SeriesNews>,
  { ingestedAt, eventTime }: Contribution,
  key: SeriesKey,
  value: Observation,
): void {
  const name = JSON.stringify([key.feature, key.version, key.registeredAt, key.column]);
  const news = all.get(name) ?? { ...key, lastWrite: ingestedAt, lastEventTime: eventTime, hours: new Map() };
  const hour = hourOf(ingestedAt);
  news.lastWrite = Math.max(news.lastWrite, ingestedAt);
  news.lastEventTime = Math.max(news.lastEventTime, eventTime);
  news.hours.set(hour, addRollUps(news.hours.get(hour) ?? EMPTY, rollUpOf(value)));
  all.set(name, news);
}
