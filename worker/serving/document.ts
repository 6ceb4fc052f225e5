/**
 * The hot-cache document: one KV value with all categories of one entity.
 *
 * The values of a category stay the text in which they are stored: a read of a whole category passes them on
 * unparsed, and integers keep their digits.
 */
import { MAX_UTF8_BYTES_PER_UNIT, utf8Length } from "../characters.ts";
import type { CategoryRow } from "../db/current-rows.ts";
import { type FeatureTimes, readFeatureTimes } from "../db/feature-times.ts";
import { splitObject } from "../json.ts";
import { madeOnce } from "../made-once.ts";
import type { CategoryTtls } from "../registry/catalog.ts";
import type { Micros } from "../timestamps.ts";

export interface DocumentCategory {
  /** JSON text of an object. */
  data: string;
  eventTime: Micros;
  /** The times of features that are not the category's, as in the column `event_times`. */
  eventTimes: string | null;
  createdAt: Micros;
  updatedAt: Micros;
  computeId: string | null;
  expiresAt: Micros | null;
}

export interface EntityDocument {
  revision: number;
  categories: ReadonlyMap<string, DocumentCategory>;
  /** Characters that it takes in memory, nearly. */
  size: number;
}

/** Raised when the stored form changes; a document of another format is a miss. */
const FORMAT = 1;

type StoredCategory = [
  category: string,
  data: string,
  eventTime: Micros,
  eventTimes: string | null,
  createdAt: Micros,
  updatedAt: Micros,
  computeId: string | null,
  expiresAt: Micros | null,
];

interface StoredDocument {
  format: number;
  revision: number;
  categories: StoredCategory[];
}

/** The document of what D1 holds; null when there is no category: an entity that does not exist is not cached. */
export function documentOf(revision: number, rows: Iterable<CategoryRow>): EntityDocument | null {
  const categories = new Map<string, DocumentCategory>();
  let size = 0;
  for (const row of rows) {
    const { category, data, eventTime, eventTimes, createdAt, updatedAt, computeId, expiresAt } = row;
    if (data === null) continue;
    categories.set(category, { data, eventTime, eventTimes, createdAt, updatedAt, computeId, expiresAt });
    size += sizeOf(category, data, eventTimes);
  }
  return categories.size > 0 ? { revision, categories, size } : null;
}

export function encodeDocument({ revision, categories }: EntityDocument): string {
  const stored: StoredDocument = {
    format: FORMAT,
    revision,
    categories: [...categories].map(([category, c]) => [
      category,
      c.data,
      c.eventTime,
      c.eventTimes,
      c.createdAt,
      c.updatedAt,
      c.computeId,
      c.expiresAt,
    ]),
  };
  return JSON.stringify(stored);
}

/**
 * A document from KV: `known` itself, with all that was prepared from it, where it has the same revision. At one revision
 * an entity has one state.
 */
export function decodeKnown(text: string, known: EntityDocument | null): EntityDocument | null {
  const isSame = known && text.startsWith(`{"format":${FORMAT},"revision":${known.revision},`);
  return isSame ? known : decodeDocument(text);
}

/** Null when it is not a document of this format. Only the writer puts documents, so the inside is not checked again. */
export function decodeDocument(text: string): EntityDocument | null {
  let stored: StoredDocument;
  try {
    stored = JSON.parse(text);
  } catch {
    return null;
  }
  if (stored?.format !== FORMAT) return null;
  const categories = new Map<string, DocumentCategory>();
  let size = 0;
  for (const [
    category,
    data,
    eventTime,
    eventTimes,
    createdAt,
    updatedAt,
    computeId,
    expiresAt,
  ] of stored.categories) {
    categories.set(category, { data, eventTime, eventTimes, createdAt, updatedAt, computeId, expiresAt });
    size += sizeOf(category, data, eventTimes);
  }
  return { revision: stored.revision, categories, size };
}

/** A category's values as JSON texts by name; taken apart once for as long as the document is in memory. */
export const valuesOf: (category: DocumentCategory) => ReadonlyMap<string, string> = madeOnce(
  ({ data }) => new Map(splitObject(data)),
);

const ownTimesOf = madeOnce((category: DocumentCategory) => readFeatureTimes(category.eventTimes, category));

/** Event time and expiry of a feature: its own, or those of its category. */
export function timesOf(category: DocumentCategory, feature: string): FeatureTimes {
  if (category.eventTimes === null) return category;
  return ownTimesOf(category).get(feature) ?? category;
}

/** A TTL includes its last microsecond. */
export function isLive({ expiresAt }: { expiresAt: Micros | null }, now: Micros): boolean {
  return expiresAt === null || now <= expiresAt;
}

/**
 * The category as it may be read at `now`: null when nothing of it may. Features that were merged into it with
 * another TTL, or are registered with one, come and go by their own.
 *
 * @param ttls The registered ones; undefined where there are none.
 */
export function liveCategory(
  category: DocumentCategory | undefined,
  now: Micros,
  ttls?: CategoryTtls | undefined,
): DocumentCategory | null {
  if (!category) return null;
  const { eventTime, eventTimes } = category;
  const isYoung = !ttls || (eventTimes === null && now - eventTime <= ttls.shortest);
  // Only an expiry of its own is written as an array; else all features have the category's.
  if (isYoung && !eventTimes?.includes("[")) return isLive(category, now) ? category : null;
  const all = [...valuesOf(category)];
  const live = all.filter(([name]) => {
    const times = timesOf(category, name);
    const ttl = ttls && (ttls.byName.get(name) ?? ttls.others);
    return isLive(times, now) && (ttl === undefined || now - times.eventTime <= ttl);
  });
  // A category without features expires by its own time.
  if (live.length === all.length) return all.length > 0 || isLive(category, now) ? category : null;
  if (live.length === 0) return null;
  return {
    ...category,
    data: `{${live.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(",")}}`,
  };
}

/** Bytes of its values and their times in UTF-8, as D1 has them. */
const bytesOf: (document: EntityDocument) => number = madeOnce(({ categories }) =>
  categories
    .values()
    .reduce((sum, { data, eventTimes }) => sum + utf8Length(data) + utf8Length(eventTimes ?? ""), 0),
);

/** Whether documents have more than `limit` bytes together. Their size in characters nearly always decides it. */
export function haveMoreBytes(documents: readonly EntityDocument[], limit: number): boolean {
  const characters = documents.reduce((sum, { size }) => sum + size, 0);
  if (characters * MAX_UTF8_BYTES_PER_UNIT <= limit) return false;
  return documents.reduce((sum, document) => sum + bytesOf(document), 0) > limit;
}

/** What the numbers and the object around them take, in characters; measured once, nearly enough for a bound. */
const CATEGORY_OVERHEAD = 200;

function sizeOf(category: string, data: string, eventTimes: string | null): number {
  return CATEGORY_OVERHEAD + category.length + data.length + (eventTimes?.length ?? 0);
}
