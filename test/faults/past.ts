/** What was known of an entity at a time, told a second time and as plainly as possible. Pure. */

const CATEGORIES = ["a", "b"];

export interface PastRow {
  category: string;
  event_time: number;
  revision: number;
  ingested_at: number;
  mode: string;
  data: string;
}

export const PAST_FEATURES = CATEGORIES.flatMap((category) =>
  ["x", "y"].map((name) => ({ category, name, asked: `${category}:${name}` })),
);

/** A value, and its event time in microseconds. */
export type PastValue = { n: number; time: number } | null;

/**
 * @param history Of one entity.
 * @param at Microseconds, as `knownAt`.
 * @returns the values in the order of {@link PAST_FEATURES}.
 */
export function pastOf(
  history: readonly PastRow[],
  { at, knownAt }: { at: number; knownAt: number | null },
): PastValue[] {
  const newestFirst = history
    .filter((row) => row.event_time <= at && row.ingested_at <= (knownAt ?? Number.POSITIVE_INFINITY))
    .sort((a, b) => b.event_time - a.event_time || b.revision - a.revision || b.ingested_at - a.ingested_at);
  return PAST_FEATURES.map(({ category, name }) => {
    for (const row of newestFirst.filter((one) => one.category === category)) {
      const n = (JSON.parse(row.data) as Record<string, number>)[name];
      if (n !== undefined) return { n, time: row.event_time };
      // What a replacement does not name it has dropped.
      if (row.mode === "replace") return null;
    }
    return null;
  });
}

type Answered = Record<string, { value: number | null; timestamp: string | null; status: string }>;

/** What an answer says, in the same form; null where it contradicts itself. */
export function pastIn(features: Answered): PastValue[] | null {
  const values = PAST_FEATURES.map(({ asked }): PastValue | undefined => {
    const { value, timestamp, status } = features[asked] ?? { value: null, timestamp: null, status: "" };
    if (value === null && timestamp === null && status === "NOT_FOUND") return null;
    if (value === null || timestamp === null || status !== "PRESENT") return undefined;
    return { n: value, time: Date.parse(timestamp) * 1_000 + Number(timestamp.slice(23, 26)) };
  });
  return values.includes(undefined) ? null : (values as PastValue[]);
}
