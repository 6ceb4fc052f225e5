/** Training rows as JSON text. Pure: the TTL is judged at each row's own time. */

import type { ValueStatus } from "../monitoring/value-tally.ts";
import type { Resolved } from "../registry/resolve-references.ts";
import { formatTimestamp, MICROS_PER_SECOND, type Micros } from "../timestamps.ts";
import type { PastValue } from "./point-in-time.ts";

export interface TrainingRow {
  entityId: string;
  at: Micros;
}

export interface TrainingValue {
  /** JSON text; `null` when there is no value. */
  json: string;
  /** Null when nothing was found. */
  eventTime: Micros | null;
  status: ValueStatus;
}

/** @param at The row's time. */
export function trainingValue(
  { version }: Resolved,
  found: PastValue | undefined,
  at: Micros,
): TrainingValue {
  if (!found) return { json: version?.defaultValue ?? "null", eventTime: null, status: "NOT_FOUND" };
  const { json, eventTime, expiresAt } = found;
  const ttlEnds =
    version?.ttlSeconds == null
      ? Number.POSITIVE_INFINITY
      : eventTime + version.ttlSeconds * MICROS_PER_SECOND;
  if (at > Math.min(ttlEnds, expiresAt ?? Number.POSITIVE_INFINITY)) {
    return { json: "null", eventTime, status: "OUTSIDE_MAX_AGE" };
  }
  return { json, eventTime, status: json === "null" ? "NULL_VALUE" : "PRESENT" };
}

/** `{"name":{"value":…,"timestamp":…,"status":…},…}`: every name asked for is there. */
export function featuresText(
  resolved: readonly Resolved[],
  valueIn: (one: Resolved) => TrainingValue,
): string {
  const texts = resolved.map((one) => `${JSON.stringify(one.asked)}:${valueText(valueIn(one))}`);
  return `{${texts.join(",")}}`;
}

function valueText({ json, eventTime, status }: TrainingValue): string {
  const timestamp = eventTime === null ? "null" : `"${formatTimestamp(eventTime)}"`;
  return `{"value":${json},"timestamp":${timestamp},"status":"${status}"}`;
}
