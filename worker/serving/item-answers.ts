/**
 * The answers of system A as JSON text, put together from the stored text of each category: what nobody has to look
 * into is not parsed. Pure.
 */
import type { EntityRef } from "../keys.ts";
import { formatTimestamp, type Micros } from "../timestamps.ts";
import {
  type DocumentCategory,
  type EntityDocument,
  isTimeless,
  liveCategory,
  valuesOf,
} from "./document.ts";
import type { EntityRead, Source } from "./read-entities.ts";

/** What is asked for of a category: all of it, or the features named; with all of it, names say only what is missing. */
export interface Wanted {
  whole: boolean;
  names: readonly string[];
}

/** By category, in the order of the request. */
export type Selection = ReadonlyMap<string, Wanted>;

/** `GET /get/item`: null when there is no such category, or its TTL is over. */
export function itemAnswer(ref: EntityRef, name: string, read: EntityRead, now: Micros): string | null {
  const found = liveCategory(read.document?.categories.get(name), now);
  if (!found) return null;
  const last = itemTexts.get(found);
  if (last?.source === read.source) return last.text;
  const entity = `${JSON.stringify(ref.entityType)}:${JSON.stringify(ref.entityValue)}`;
  const features = `{"data":${found.data},"meta":${metaText(found)}}`;
  const text = `{${entity},"category":${JSON.stringify(name)},"features":${features},${originText(read)}}`;
  itemTexts.set(found, { source: read.source, text });
  return text;
}

/** The answer that a category is, which is of one document of one entity, for as long as that is in memory. */
const itemTexts = new WeakMap<DocumentCategory, { source: Source; text: string }>();

/** The answer that was made of a document last: whoever asks again asks the same, mostly. */
const itemsTexts = new WeakMap<
  EntityDocument,
  { selection: Selection; source: Source; text: string | null }
>();

/** `POST /get/items`: null when nothing that was asked for is there. */
export function itemsAnswer(
  ref: EntityRef,
  selection: Selection,
  read: EntityRead,
  now: Micros,
): string | null {
  const { document, source } = read;
  const last = document && itemsTexts.get(document);
  if (last?.selection === selection && last.source === source) return last.text;
  const text = itemsText(ref, selection, read, now);
  const isLasting = [...selection.keys()].every((name) => isTimeless(document?.categories.get(name)));
  if (document && isLasting) itemsTexts.set(document, { selection, source, text });
  return text;
}

function itemsText(ref: EntityRef, selection: Selection, read: EntityRead, now: Micros): string | null {
  const items: string[] = [];
  const unavailableCategories: string[] = [];
  const unavailableFeatures: string[] = [];
  for (const [name, wanted] of selection) {
    const found = liveCategory(read.document?.categories.get(name), now);
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
