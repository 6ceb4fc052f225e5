/**
 * Decides what a write makes of an entity. No I/O, no clock: `now` is an argument.
 *
 * The newest event time wins, for each feature on its own; of equal event times the later arrival. A `replace` also
 * drops what it does not name and raises the category's floor, so that an older write cannot bring it back. Hence
 * any order and any repetition of writes with distinct event times ends in the same values.
 */

import { exceedsUtf8Bytes, MAX_UTF8_BYTES_PER_UNIT, utf8Length } from "../characters.ts";
import type { CategoryRow } from "../db/current-rows.ts";
import { WHOLE_ENTITY } from "../db/current-rows.ts";
import { type FeatureTimes, readFeatureTimes, writeFeatureTimes } from "../db/feature-times.ts";
import { splitObject } from "../json.ts";
import {
  MAX_CATEGORIES_PER_ENTITY,
  MAX_CATEGORY_BYTES,
  MAX_ENTITY_BYTES,
  MAX_EVENT_TIMES_BYTES,
} from "../limits.ts";
import { type Micros, microsOf } from "../timestamps.ts";
import type { CategoryWrite, EntityWrite, Rejection, WriteMode } from "./entity-write.ts";

/** All that is known of an entity: its rows by category, tombstones among them. Never changed in place. */
export interface EntityState {
  readonly revision: number;
  readonly rows: ReadonlyMap<string, CategoryRow>;
}

export const NEVER_WRITTEN: EntityState = { revision: 0, rows: new Map() };

/** A row for the history: what was written, not what came of it. */
export interface HistoryEntry {
  category: string;
  eventTime: Micros;
  mode: WriteMode;
  data: string;
  computeId: string | null;
  expiresAt: Micros | null;
  names: string[];
  /** False when the write came too late to change a current value: then nobody is told of it. */
  announced: boolean;
}

type WriteDecision =
  | { outcome: "applied"; next: EntityState; categories: string[]; history: HistoryEntry[] }
  | { outcome: "stale"; next: EntityState; history: HistoryEntry[] }
  | { outcome: "duplicate"; next: EntityState }
  | { outcome: "rejected"; next: EntityState; rejection: Rejection };

export function applyWrite(current: EntityState, write: EntityWrite, now: Micros): WriteDecision {
  const { ifRevision } = write;
  if (ifRevision !== null && ifRevision !== current.revision) {
    return rejected(current, { reason: "revision_mismatch", expected: ifRevision, actual: current.revision });
  }
  const revision = current.revision + 1;
  const entityDeletedAt = current.rows.get(WHOLE_ENTITY)?.deletedAt ?? null;
  const rows = new Map(current.rows);
  const history: HistoryEntry[] = [];
  const categories: string[] = [];
  let allDuplicates = true;
  for (const part of write.categories) {
    const eventTime = part.eventTime ?? now;
    const row = rows.get(part.category);
    // Older than a deletion: what was deleted must not come back, not even in the history.
    if (eventTime < latest(entityDeletedAt, row?.deletedAt ?? null)) {
      allDuplicates = false;
      continue;
    }
    const merged = mergeCategory(row, part, eventTime);
    if (merged === "duplicate") continue;
    allDuplicates = false;
    history.push(historyEntry(part, eventTime, merged !== "stale"));
    if (merged === "stale") continue;
    categories.push(part.category);
    rows.set(part.category, {
      category: part.category,
      ...merged.content,
      source: merged.newest ? write.source : (row?.source ?? null),
      createdAt: row && row.data !== null ? row.createdAt : now,
      updatedAt: now,
      deletedAt: row?.deletedAt ?? null,
      revision,
    });
  }
  if (categories.length === 0) {
    return allDuplicates
      ? { outcome: "duplicate", next: current }
      : { outcome: "stale", next: current, history };
  }
  const excess = overLimit(rows, categories);
  return excess
    ? rejected(current, excess)
    : { outcome: "applied", next: { revision, rows }, categories, history };
}

type RowContent = Pick<
  CategoryRow,
  "data" | "eventTimes" | "eventTime" | "floor" | "computeId" | "expiresAt"
>;

/** What a category's row becomes. `newest`: the write is the newest that the row has seen, so its metadata stand. */
type Merged = "stale" | "duplicate" | { content: RowContent; newest: boolean };

function mergeCategory(row: CategoryRow | undefined, write: CategoryWrite, eventTime: Micros): Merged {
  const floor = row?.floor ?? null;
  if (floor !== null && eventTime < floor) return "stale";
  if (write.mode === "replace" && (!row || eventTime > row.eventTime)) {
    // The common case: all that was there is older and falls, so neither side need be taken apart.
    const { computeId, data } = write;
    const content = {
      data,
      eventTimes: null,
      eventTime,
      floor: eventTime,
      computeId,
      expiresAt: expiry(write, eventTime),
    };
    return { content, newest: true };
  }
  const before = row ? readFeatures(row) : new Map<string, Feature>();
  const written = splitObject(write.data);
  const after = new Map<string, Feature>();
  // The features that a replacement does not name fall, unless something newer set them.
  for (const [name, feature] of before) {
    if (write.mode === "merge" || feature.eventTime > eventTime) after.set(name, feature);
  }
  const expiresAt = expiry(write, eventTime);
  for (const [name, json] of written) {
    const isNewest = (before.get(name)?.eventTime ?? eventTime) <= eventTime;
    if (isNewest) after.set(name, { json, eventTime, expiresAt });
  }
  const newest = !row || eventTime >= row.eventTime;
  const times = newest ? { eventTime, expiresAt } : { eventTime: row.eventTime, expiresAt: row.expiresAt };
  const content: RowContent = {
    data: joinObject(after),
    eventTimes: writeFeatureTimes(after, times),
    ...times,
    floor: write.mode === "replace" ? eventTime : floor,
    computeId: newest ? write.computeId : row.computeId,
  };
  if (!row || row.data === null || !sameContent(row, content, before, after)) return { content, newest };
  // Nothing changed: the very same write again, or one that lost to newer values.
  return eventTime === row.eventTime ? "duplicate" : "stale";
}

interface Feature extends FeatureTimes {
  /** The value as JSON text: compared and written back as it came. */
  json: string;
}

function readFeatures(row: CategoryRow): Map<string, Feature> {
  const times = readFeatureTimes(row.eventTimes, row);
  const { eventTime, expiresAt } = row;
  const pairs = splitObject(row.data ?? "{}");
  return new Map(pairs.map(([name, json]) => [name, { json, eventTime, expiresAt, ...times.get(name) }]));
}

function joinObject(features: ReadonlyMap<string, Feature>): string {
  return `{${[...features].map(([name, { json }]) => `${JSON.stringify(name)}:${json}`).join(",")}}`;
}

function sameContent(
  row: CategoryRow,
  content: RowContent,
  before: ReadonlyMap<string, Feature>,
  after: ReadonlyMap<string, Feature>,
): boolean {
  return (
    row.eventTime === content.eventTime &&
    row.floor === content.floor &&
    row.computeId === content.computeId &&
    row.expiresAt === content.expiresAt &&
    before.size === after.size &&
    [...after].every(([name, { json, eventTime, expiresAt }]) => {
      const other = before.get(name);
      return other?.json === json && other.eventTime === eventTime && other.expiresAt === expiresAt;
    })
  );
}

function historyEntry(part: CategoryWrite, eventTime: Micros, announced: boolean): HistoryEntry {
  const { category, mode, data, names, computeId } = part;
  return { category, mode, data, names, computeId, eventTime, expiresAt: expiry(part, eventTime), announced };
}

function expiry({ ttlSeconds }: CategoryWrite, eventTime: Micros): Micros | null {
  return ttlSeconds === null ? null : eventTime + microsOf(ttlSeconds);
}

function latest(a: Micros | null, b: Micros | null): Micros {
  return Math.max(a ?? Number.NEGATIVE_INFINITY, b ?? Number.NEGATIVE_INFINITY);
}

function rejected(next: EntityState, rejection: Rejection): WriteDecision {
  return { outcome: "rejected", next, rejection };
}

function overLimit(rows: ReadonlyMap<string, CategoryRow>, changed: readonly string[]): Rejection | null {
  for (const category of changed) {
    const { data, eventTimes } = rows.get(category) ?? {};
    if (data && exceedsUtf8Bytes(data, MAX_CATEGORY_BYTES)) {
      const limitBytes = MAX_CATEGORY_BYTES;
      return { reason: "category_too_large", category, limitBytes, foundBytes: utf8Length(data) };
    }
    // Tens of thousands of features of one category, each with times of its own.
    if (eventTimes && exceedsUtf8Bytes(eventTimes, MAX_EVENT_TIMES_BYTES)) {
      const limitBytes = MAX_EVENT_TIMES_BYTES;
      return { reason: "event_times_too_large", category, limitBytes, foundBytes: utf8Length(eventTimes) };
    }
  }
  const live = [...rows.values()].filter(({ data }) => data !== null);
  if (live.length > MAX_CATEGORIES_PER_ENTITY) {
    return { reason: "too_many_categories", limit: MAX_CATEGORIES_PER_ENTITY, found: live.length };
  }
  const texts = live.flatMap(({ data, eventTimes }) => [data ?? "", eventTimes ?? ""]);
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  // Counted in bytes only where so many might pass the limit.
  if (characters * MAX_UTF8_BYTES_PER_UNIT <= MAX_ENTITY_BYTES) return null;
  const foundBytes = texts.reduce((sum, text) => sum + utf8Length(text), 0);
  return foundBytes > MAX_ENTITY_BYTES
    ? { reason: "entity_too_large", limitBytes: MAX_ENTITY_BYTES, foundBytes }
    : null;
}
