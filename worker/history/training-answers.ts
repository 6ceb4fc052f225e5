/** Training rows as JSON text. Pure: the TTL is judged at each row's own time. */

import { splitObject } from "../json.ts";
import type { ValueStatus } from "../monitoring/value-tally.ts";
import type { CatalogVersion } from "../registry/catalog.ts";
import type { Resolved } from "../registry/resolve-references.ts";
import { formatTimestamp, type Micros, microsOf } from "../timestamps.ts";
import type { PastValue } from "./point-in-time.ts";

export interface TrainingRow {
  entityId: string;
  at: Micros;
}

/** What of a feature that was asked for makes its values in a row. */
export interface TrainingColumn extends Pick<Resolved, "asked" | "category" | "stored" | "ttlSeconds"> {
  version: Pick<CatalogVersion, "dtype" | "ttlSeconds" | "defaultValue"> | null;
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
  { version, ttlSeconds }: Pick<TrainingColumn, "version" | "ttlSeconds">,
  found: PastValue | undefined,
  at: Micros,
): TrainingValue {
  if (!found) return { json: version?.defaultValue ?? "null", eventTime: null, status: "NOT_FOUND" };
  const { eventTime } = found;
  const ttl = version?.ttlSeconds ?? ttlSeconds;
  const longest = ttl == null ? Number.POSITIVE_INFINITY : microsOf(ttl);
  const json = livePart(found, (value) => {
    return at <= Math.min(value.eventTime + longest, value.expiresAt ?? Number.POSITIVE_INFINITY);
  });
  if (json === null) return { json: "null", eventTime, status: "OUTSIDE_MAX_AGE" };
  return { json, eventTime, status: json === "null" ? "NULL_VALUE" : "PRESENT" };
}

/** A value, or what of a vector is live; null: nothing. */
function livePart(found: PastValue, isLive: (value: PastValue) => boolean): string | null {
  const { json, older } = found;
  if (!older) return isLive(found) ? json : null;
  const newest = isLive(found) ? splitObject(json) : [];
  const rest = [...older].flatMap(([name, value]) => (isLive(value) ? [[name, value.json] as const] : []));
  const texts = [...newest, ...rest].map(([name, text]) => `${JSON.stringify(name)}:${text}`);
  return texts.length > 0 ? `{${texts.join(",")}}` : null;
}

/** `{"name":{"value":…,"timestamp":…,"status":…},…}`: every name asked for is there. */
export function featuresText(
  columns: readonly TrainingColumn[],
  valueIn: (column: TrainingColumn) => TrainingValue,
): string {
  const texts = columns.map((column) => `${JSON.stringify(column.asked)}:${valueText(valueIn(column))}`);
  return `{${texts.join(",")}}`;
}

function valueText({ json, eventTime, status }: TrainingValue): string {
  const timestamp = eventTime === null ? "null" : `"${formatTimestamp(eventTime)}"`;
  return `{"value":${json},"timestamp":${timestamp},"status":"${status}"}`;
}
