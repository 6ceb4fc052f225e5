/** The answers of system B's online reads as JSON text. Pure: TTL and age are judged at `now`. */
import type { Catalog, CatalogVersion } from "../registry/catalog.ts";
import { type Resolved, WHOLE_CATEGORY } from "../registry/resolve-references.ts";
import { formatTimestamp, MICROS_PER_SECOND, type Micros } from "../timestamps.ts";
import { type DocumentCategory, isLive, timesOf, valuesOf } from "./document.ts";
import type { EntityRead } from "./read-entities.ts";

export type ValueStatus = "PRESENT" | "NULL_VALUE" | "NOT_FOUND" | "OUTSIDE_MAX_AGE";

export interface OnlineQuestion {
  catalog: Catalog;
  entityType: string;
  resolved: readonly Resolved[];
  maxAgeSeconds: number | null;
  now: Micros;
}

/** One entity's features; keys are the references as they were asked for, `category:*` becomes one key a feature. */
export function onlineAnswer(question: OnlineQuestion, entityId: string, read: EntityRead): string {
  const values = question.resolved.flatMap((one) => valueTexts(question, one, read));
  const { revision, source } = read;
  return `{"entity_id":${JSON.stringify(entityId)},"features":{${values.join(",")}},"revision":${revision},"source":"${source}","cache_hit":${source !== "d1"},"timestamp":"${formatTimestamp(question.now)}"}`;
}

function valueTexts(question: OnlineQuestion, one: Resolved, { document }: EntityRead): string[] {
  const found = one.category === null ? undefined : document?.categories.get(one.category);
  if (one.feature && one.stored === WHOLE_CATEGORY) return [vectorText(question, one, found)];
  if (one.stored !== "*" || one.feature || !found || one.category === null) {
    return [valueText(question, one.asked, one.stored, one.version, found)];
  }
  const { category } = one;
  return [...valuesOf(found).keys()].map((name) => {
    const version = registeredVersion(question, category, name);
    return valueText(question, `${category}:${name}`, name, version, found);
  });
}

/** A computed feature's value is its vector: the whole category, as it is stored. */
function vectorText(
  question: OnlineQuestion,
  { asked, version }: Resolved,
  found: DocumentCategory | undefined,
) {
  if (!found) return missingText(asked, version);
  return presentText(question, asked, {
    json: found.data,
    eventTime: found.eventTime,
    expiresAt: found.expiresAt,
    version,
  });
}

function valueText(
  question: OnlineQuestion,
  key: string,
  stored: string,
  version: CatalogVersion | null,
  found: DocumentCategory | undefined,
): string {
  const json = found ? valuesOf(found).get(stored) : undefined;
  if (!found || json === undefined) return missingText(key, version);
  return presentText(question, key, { json, ...timesOf(found, stored), version });
}

function missingText(key: string, version: CatalogVersion | null): string {
  const value = version?.defaultValue ?? "null";
  return `${JSON.stringify(key)}:{"value":${value},"status":"NOT_FOUND","timestamp":null,"freshness_seconds":null,"version":${version?.version ?? null}}`;
}

interface FoundValue {
  /** JSON text. */
  json: string;
  eventTime: Micros;
  expiresAt: Micros | null;
  version: CatalogVersion | null;
}

function presentText(question: OnlineQuestion, key: string, found: FoundValue): string {
  const { json, eventTime, version } = found;
  const status = statusOf(question, found);
  const value = status === "PRESENT" ? json : "null";
  const freshness = (question.now - eventTime) / MICROS_PER_SECOND;
  return `${JSON.stringify(key)}:{"value":${value},"status":"${status}","timestamp":"${formatTimestamp(eventTime)}","freshness_seconds":${freshness},"version":${version?.version ?? null}}`;
}

function statusOf({ now, maxAgeSeconds }: OnlineQuestion, value: FoundValue): ValueStatus {
  const longest = Math.min(
    maxAgeSeconds ?? Number.POSITIVE_INFINITY,
    value.version?.ttlSeconds ?? Number.POSITIVE_INFINITY,
  );
  const isTooOld = now - value.eventTime > longest * MICROS_PER_SECOND;
  if (isTooOld || !isLive(value, now)) return "OUTSIDE_MAX_AGE";
  return value.json === "null" ? "NULL_VALUE" : "PRESENT";
}

/** A feature read through its category has its registered TTL all the same. */
function registeredVersion({ catalog, entityType }: OnlineQuestion, category: string, stored: string) {
  return catalog.storedIn(entityType, category)?.get(stored)?.version ?? null;
}
