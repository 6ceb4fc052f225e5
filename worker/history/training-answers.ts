/** Training rows as JSON text. Pure: the TTL is judged at each row's own time. */

import type { Resolved } from "../registry/resolve-references.ts";
import { formatTimestamp, MICROS_PER_SECOND, type Micros } from "../timestamps.ts";
import type { PastValue } from "./point-in-time.ts";

/** `{"name":{"value":…,"timestamp":…,"status":…},…}`: every name asked for is there. */
export function featuresText(
  resolved: readonly Resolved[],
  find: (one: Resolved) => PastValue | undefined,
  at: Micros,
): string {
  const texts = resolved.map((one) => `${JSON.stringify(one.asked)}:${valueText(one, find(one), at)}`);
  return `{${texts.join(",")}}`;
}

function valueText({ version }: Resolved, found: PastValue | undefined, at: Micros): string {
  if (!found) return `{"value":${version?.defaultValue ?? "null"},"timestamp":null,"status":"NOT_FOUND"}`;
  const { json, eventTime, expiresAt } = found;
  const ttlEnds =
    version?.ttlSeconds == null
      ? Number.POSITIVE_INFINITY
      : eventTime + version.ttlSeconds * MICROS_PER_SECOND;
  const timestamp = formatTimestamp(eventTime);
  if (at > Math.min(ttlEnds, expiresAt ?? Number.POSITIVE_INFINITY)) {
    return `{"value":null,"timestamp":"${timestamp}","status":"OUTSIDE_MAX_AGE"}`;
  }
  return `{"value":${json},"timestamp":"${timestamp}","status":"${json === "null" ? "NULL_VALUE" : "PRESENT"}"}`;
}
