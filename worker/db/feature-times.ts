/**
 * The column `event_times`: the times of those features whose times differ from their row's. Pure.
 *
 * JSON object feature → event time, or → [event time, expiry] where its TTL differs too; features that are as the row
 * is do not stand in it. Null when that is all of them.
 */
import type { Micros } from "../timestamps.ts";

export interface FeatureTimes {
  eventTime: Micros;
  /** When it may be read no more; null: never. */
  expiresAt: Micros | null;
}

type Stored = Micros | [Micros, Micros | null];

/** @returns times of the features that differ from `row`. */
export function readFeatureTimes(column: string | null, row: FeatureTimes): Map<string, FeatureTimes> {
  if (column === null) return new Map();
  const stored = Object.entries(JSON.parse(column) as Record<string, Stored>);
  return new Map(
    stored.map(([name, times]) => {
      const [eventTime, expiresAt] = typeof times === "number" ? [times, row.expiresAt] : times;
      return [name, { eventTime, expiresAt }];
    }),
  );
}

export function writeFeatureTimes(
  features: Iterable<readonly [string, FeatureTimes]>,
  row: FeatureTimes,
): string | null {
  const texts: string[] = [];
  for (const [name, { eventTime, expiresAt }] of features) {
    if (expiresAt !== row.expiresAt) texts.push(`${JSON.stringify(name)}:[${eventTime},${expiresAt}]`);
    else if (eventTime !== row.eventTime) texts.push(`${JSON.stringify(name)}:${eventTime}`);
  }
  return texts.length > 0 ? `{${texts.join(",")}}` : null;
}
