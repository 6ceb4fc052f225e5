/**
 * The answers of system A as JSON text, put together from the stored text of each category: what nobody has to look
 * into is not parsed. Pure.
 */
import type { EntityRef } from "../keys.ts";
import type { Catalog } from "../registry/catalog.ts";
import { formatTimestamp, type Micros } from "../timestamps.ts";
import { type DocumentCategory, liveCategory, valuesOf } from "./document.ts";
import type { EntityRead } from "./read-entities.ts";

/** What is asked for of a category: all of it, or the features named; with all of it, names say only what is missing. */
export interface Wanted {
  whole: boolean;
  names: readonly string[];
}

/** By category, in the order of the request. */
export type Selection = ReadonlyMap<string, Wanted>;

/** What is judged when an answer is made. */
export interface Judged {
  now: Micros;
  /** Of the tenant; null where it could not be had: then only the TTLs with which values were written count. */
  catalog: Catalog | null;
}

export function liveCategoryOf(
  { entityType }: EntityRef,
  name: string,
  { document }: EntityRead,
  { now, catalog }: Judged,
): DocumentCategory | null {
  return liveCategory(document?.categories.get(name), now, catalog?.ttlsIn(entityType, name));
}

/** `GET /get/item`: null when there is no such category, or its TTL is over. */
export function itemAnswer(ref: EntityRef, name: string, read: EntityRead, judged: Judged): string | null {
  const found = liveCategoryOf(ref, name, read, judged);
  if (!found) return null;
  const entity = `${JSON.stringify(ref.entityType)}:${JSON.stringify(ref.entityValue)}`;
  const features = `{"data":${found.data},"meta":${metaText(found)}}`;
  return `{${entity},"category":${JSON.stringify(name)},"features":${features},${originText(read)}}`;
}

/** `POST /get/items`: null when nothing that was asked for is there. */
export function itemsAnswer(
  ref: EntityRef,
  selection: Selection,
  read: EntityRead,
  judged: Judged,
): string | null {
  const items: string[] = [];
  const unavailableCategories: string[] = [];
  const unavailableFeatures: string[] = [];
  for (const [name, wanted] of selection) {
    const found = liveCategoryOf(ref, name, read, judged);
    if (!found) {
      unavailableCategories.push(JSON.stringify(name));
      continue;
    }
    const { data, missing } = pick(found, wanted);
    items.push(`${JSON.stringify(name)}:{"features":{"data":${data},"metadata":${metaText(found)}}}`);
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

const metaTexts = new WeakMap<DocumentCategory, string>();

/** Written once for as long as the document is in memory. */
function metaText(category: DocumentCategory): string {
  let text = metaTexts.get(category);
  if (text === undefined) {
    const { createdAt, updatedAt, computeId } = category;
    text = `{"created_at":"${formatTimestamp(createdAt)}","updated_at":"${formatTimestamp(updatedAt)}","compute_id":${JSON.stringify(computeId)}}`;
    metaTexts.set(category, text);
  }
  return text;
}

function originText({ revision, source }: EntityRead): string {
  return `"revision":${revision},"source":"${source}"`;
}
