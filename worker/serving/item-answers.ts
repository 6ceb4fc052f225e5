/**
 * The answers of system A as JSON text, put together from the stored text of each category: what nobody has to look
 * into is not parsed. Pure.
 */
import type { EntityRef } from "../keys.ts";
import { madeOnce } from "../made-once.ts";
import type { Tier } from "../monitoring/metric-record.ts";
import type { Catalog } from "../registry/catalog.ts";
import { formatTimestamp, type Micros } from "../timestamps.ts";
import { type DocumentCategory, type EntityDocument, liveCategory, valuesOf } from "./document.ts";
import type { EntityRead } from "./read-entities.ts";

/** What is asked of a category: all of it, or the features named. Names beside `whole` are only reported when missing. */
export interface Wanted {
  whole: boolean;
  names: readonly string[];
}

/** By category, in the order of the request. */
export type Selection = ReadonlyMap<string, Wanted>;

/** What is judged when an answer is made. */
export interface Judged {
  now: Micros;
  /** The tenant's; null where it could not be read: then only the TTLs with which values were written count. */
  catalog: Catalog | null;
}

/** A category that was asked for, as the entity has it and as it may be read now. */
export interface Found {
  name: string;
  wanted: Wanted;
  stored: DocumentCategory | undefined;
  live: DocumentCategory | null;
}

/** In the order of the selection. */
export function findCategories(
  { entityType }: EntityRef,
  selection: Selection,
  { document }: EntityRead,
  { now, catalog }: Judged,
): Found[] {
  const found: Found[] = [];
  for (const [name, wanted] of selection) {
    const stored = document?.categories.get(name);
    const live = liveCategory(stored, now, catalog?.ttlsIn(entityType, name));
    found.push({ name, wanted, stored, live });
  }
  return found;
}

/** `GET /get/item`: null when there is no such category, or its TTL is over. */
export function itemAnswer(ref: EntityRef, { name, live }: Found, read: EntityRead): string | null {
  if (!live) return null;
  const entity = `${JSON.stringify(ref.entityType)}:${JSON.stringify(ref.entityValue)}`;
  const features = `{"data":${live.data},"meta":${metaText(live)}}`;
  return `{${entity},"category":${JSON.stringify(name)},"features":${features},${originText(read)}}`;
}

interface Kept {
  selection: Selection;
  source: Tier;
  text: string;
}

/**
 * The last answer made from each document, since the next request mostly asks the same. It is kept only while it is about
 * as large as the document, whose memory is bounded: not when it mostly names what is missing.
 */
const kept = new WeakMap<EntityDocument, Kept>();

/** What an answer says beside its categories, in characters. These are no longer than the document counts them. */
const ANSWER_OVERHEAD = 500;

/**
 * `POST /get/items`: null when nothing that was asked for is there.
 *
 * @param selection What `found` was found by, where the same again is the same object (see `http/known-inputs.ts`);
 * null where it is not.
 */
export function itemsAnswer(
  ref: EntityRef,
  selection: Selection | null,
  found: readonly Found[],
  read: EntityRead,
): string | null {
  const { document, source } = read;
  // What has expired since makes another answer.
  const isWhole = found.every(({ stored, live }) => !stored || stored === live);
  if (!document || !selection || !isWhole) return itemsText(ref, found, read);
  const known = kept.get(document);
  if (known?.selection === selection && known.source === source) return known.text;
  const text = itemsText(ref, found, read);
  if (text !== null && text.length <= document.size + ANSWER_OVERHEAD)
    kept.set(document, { selection, source, text });
  return text;
}

function itemsText(ref: EntityRef, found: readonly Found[], read: EntityRead): string | null {
  const items: string[] = [];
  const unavailableCategories: string[] = [];
  const unavailableFeatures: string[] = [];
  for (const { name, wanted, live } of found) {
    if (!live) {
      unavailableCategories.push(JSON.stringify(name));
      continue;
    }
    const { data, missing } = pick(live, wanted);
    items.push(`${JSON.stringify(name)}:{"features":{"data":${data},"metadata":${metaText(live)}}}`);
    if (missing.length > 0) unavailableFeatures.push(`${JSON.stringify(name)}:${JSON.stringify(missing)}`);
  }
  if (items.length === 0) return null;
  const entity = `"entity_value":${JSON.stringify(ref.entityValue)},"entity_type":${JSON.stringify(ref.entityType)}`;
  const unavailable = `"unavailable_feature_categories":[${unavailableCategories.join(",")}],"unavailable_features":{${unavailableFeatures.join(",")}}`;
  return `{${entity},"items":{${items.join(",")}},${unavailable},${originText(read)}}`;
}

function pick(category: DocumentCategory, { whole, names }: Wanted): { data: string; missing: string[] } {
  // What is asked for whole is passed on as it is stored, unparsed.
  if (whole && names.length === 0) return { data: category.data, missing: [] };
  const values = valuesOf(category);
  const missing = names.filter((name) => !values.has(name));
  if (whole) return { data: category.data, missing };
  const found = names.flatMap((name) => {
    const json = values.get(name);
    return json === undefined ? [] : `${JSON.stringify(name)}:${json}`;
  });
  return { data: `{${found.join(",")}}`, missing };
}

/** Written once for as long as the document is in memory. */
const metaText = madeOnce(
  ({ createdAt, updatedAt, computeId }: DocumentCategory) =>
    `{"created_at":"${formatTimestamp(createdAt)}","updated_at":"${formatTimestamp(updatedAt)}","compute_id":${JSON.stringify(computeId)}}`,
);

function originText({ revision, source }: EntityRead): string {
  return `"revision":${revision},"source":"${source}"`;
}
