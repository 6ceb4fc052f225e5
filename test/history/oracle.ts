/**
 * What training data must be, told as simply as it can be: play the events back up to the time asked about.
 *
 * No index, no SQL, and nothing of the service's own code.
 */
import fc from "fast-check";

export type Value = number | string | null;

/** A write of one category of one entity. Times are milliseconds since 1970. */
export interface Event {
  entity: string;
  category: string;
  mode: "replace" | "merge";
  data: Record<string, Value>;
  atMs: number;
  ttlSeconds: number | null;
}

/** A feature to ask for: where it is written, and the TTL with which it is registered. */
export interface Asked {
  name: string;
  category: string;
  stored: string;
  ttlSeconds: number | null;
}

export interface Past {
  value: Value;
  timestamp: string | null;
  status: "PRESENT" | "NULL_VALUE" | "NOT_FOUND" | "OUTSIDE_MAX_AGE";
}

export const isoOf = (ms: number) => new Date(ms).toISOString().replace("Z", "000+00:00");

/** @param known Events in the order in which the store took them, up to where it is asked about. */
export function valueAt(known: readonly Event[], asked: Asked, entity: string, atMs: number): Past {
  // A sort keeps the order of what is equal: of equal event times the later arrival comes last.
  const played = known
    .filter((event) => event.entity === entity && event.category === asked.category && event.atMs <= atMs)
    .toSorted((a, b) => a.atMs - b.atMs);
  let values = new Map<string, { value: Value; atMs: number; endsMs: number }>();
  for (const event of played) {
    if (event.mode === "replace") values = new Map();
    const { atMs: eventMs, ttlSeconds } = event;
    for (const [name, value] of Object.entries(event.data)) {
      values.set(name, { value, atMs: eventMs, endsMs: endOf(eventMs, ttlSeconds) });
    }
  }
  const found = values.get(asked.stored);
  if (!found) return { value: null, timestamp: null, status: "NOT_FOUND" };
  const timestamp = isoOf(found.atMs);
  const isOver = atMs > Math.min(found.endsMs, endOf(found.atMs, asked.ttlSeconds));
  if (isOver) return { value: null, timestamp, status: "OUTSIDE_MAX_AGE" };
  return { value: found.value, timestamp, status: found.value === null ? "NULL_VALUE" : "PRESENT" };
}

function endOf(ms: number, ttlSeconds: number | null): number {
  return ttlSeconds === null ? Number.POSITIVE_INFINITY : ms + ttlSeconds * 1_000;
}

/** Two categories; `c` is registered nowhere. */
export const FEATURES = { alpha: ["a", "b", "c"], beta: ["a", "d"] } as const;
export const SPAN_SECONDS = 50;

/** An event before it has a name and a base time; `second` counts from there. */
const freshEvent = fc
  .record({
    entity: fc.nat(5),
    category: fc.constantFrom("alpha" as const, "beta" as const),
    mode: fc.constantFrom("replace" as const, "merge" as const, "merge" as const),
    second: fc.oneof(fc.nat(SPAN_SECONDS), fc.constantFrom(10, 20, 20, 30)),
    picked: fc.array(fc.nat(2), { maxLength: 3 }),
    value: fc.option(fc.nat(1_000), { freq: 6 }),
  })
  .map(({ picked, value, second, category, ...event }) => {
    const data: Record<string, Value> = {};
    for (const position of picked) {
      const name = FEATURES[category][position];
      if (name !== undefined) data[name] = value === null ? null : value + position;
    }
    // Some seconds' writes have a TTL, which ends on a second that may be asked about.
    return { ...event, category, data, second, ttlSeconds: second % 4 === 3 ? 12 : null };
  });

export type EventDraft = typeof freshEvent extends fc.Arbitrary<infer Draft> ? Draft : never;

/** In the order of arrival, which is not that of their times; some come a second time, sooner or later. */
export const eventDrafts = fc
  .tuple(
    fc.array(freshEvent, { minLength: 40, maxLength: 50 }),
    fc.array(fc.tuple(fc.nat(39), fc.nat(60)), { maxLength: 8 }),
  )
  .map(([events, repetitions]) => {
    const all: EventDraft[] = [...events];
    for (const [which, later] of repetitions) {
      const event = events[which];
      if (event) all.splice(Math.min(which + later, all.length), 0, event);
    }
    return all;
  });

/** Entity and half second since the base time. */
export const questionDrafts = fc.array(
  fc.tuple(fc.nat(5), fc.integer({ min: -2, max: 2 * SPAN_SECONDS + 2 })),
  {
    minLength: 100,
    maxLength: 100,
  },
);

/** The events as requests, cut where the draft says. */
export function inRequests(events: readonly Event[], ends: readonly number[]): Event[][] {
  const requests: Event[][] = [];
  events.forEach((event, position) => {
    if (position === 0 || ends.includes(position)) requests.push([]);
    requests.at(-1)?.push(event);
  });
  return requests;
}
