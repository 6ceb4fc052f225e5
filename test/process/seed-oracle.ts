/**
 * What point in time must answer of the sample data, in the plainest way: every write of a user from the first to the
 * moment asked for, one after the other, and then the feature's TTL.
 */
import { readDefinitions } from "../../scripts/seed/definitions.ts";
import { categoriesOf, eventTimeOf, type SampleDay } from "../../scripts/seed/generate.ts";
import { formatTimestamp, MICROS_PER_SECOND, type Micros } from "../../worker/timestamps.ts";

export interface ExpectedValue {
  value: unknown;
  timestamp: string | null;
  status: "PRESENT" | "NULL_VALUE" | "NOT_FOUND" | "OUTSIDE_MAX_AGE";
}

const definitions = readDefinitions();
export const featureNames = definitions.map(({ name }) => name);

/** @param days All that were written, in any order. */
export function expectedAt(
  user: { seed: number; user: string; days: readonly SampleDay[] },
  at: Micros,
): Record<string, ExpectedValue> {
  const known = new Map<string, Map<string, { value: unknown; time: Micros }>>();
  for (const day of user.days.toSorted((a, b) => a.end - b.end)) {
    const time = eventTimeOf({ ...user, day });
    if (time > at) break;
    for (const { category, mode, features } of categoriesOf({ ...user, day })) {
      const before = mode === "merge" ? known.get(category) : undefined;
      const written = Object.entries(features).map(([name, value]) => [name, { value, time }] as const);
      known.set(category, new Map([...(before ?? []), ...written]));
    }
  }
  return Object.fromEntries(
    definitions.map(({ name, category, ttl_hours }) => {
      const found = known.get(category ?? "default")?.get(name);
      return [name, judge(found, ttl_hours ?? Number.POSITIVE_INFINITY, at)];
    }),
  );
}

function judge(
  found: { value: unknown; time: Micros } | undefined,
  ttlHours: number,
  at: Micros,
): ExpectedValue {
  if (!found) return { value: null, timestamp: null, status: "NOT_FOUND" };
  const timestamp = formatTimestamp(found.time);
  const isTooOld = at - found.time > ttlHours * 3_600 * MICROS_PER_SECOND;
  if (isTooOld) return { value: null, timestamp, status: "OUTSIDE_MAX_AGE" };
  return { value: found.value, timestamp, status: found.value === null ? "NULL_VALUE" : "PRESENT" };
}
