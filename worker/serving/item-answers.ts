/**
 * The answers of system A as JSON text, put together from the stored text of each category: what nobody has to look
 * into is not parsed. Pure.
 */
import type { EntityRef } from "../keys.ts";
import { formatTimestamp, type Micros } from "../timestamps.ts";
import { type DocumentCategory, type EntityDocument, valuesOf } from "./document.ts";
import type { EntityRead } from "./read-entities.ts";

/** The features asked for of each category, in the order of the request. */
export type Selection = ReadonlyMap<string, "*" | readonly string[]>;

/** A category that exists and whose TTL is not over. */
export function liveCategory(
  document: EntityDocument | null,
  name: string,
  now: Micros,
): DocumentCategory | null {
  const found = document?.categories.get(name);
  return found && (found.expiresAt === null || now <= found.expiresAt) ? found : null;
}

/** `GET /get/item`: null when there is no such category, or its TTL is over. */
export function itemAnswer(ref: EntityRef, name: string, read: EntityRead, now: Micros): string | null {
  const found = liveCategory(read.document, name, now);
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
  now: Micros,
): string | null {
  const items: string[] = [];
  const unavailableCategories: string[] = [];
  const unavailableFeatures: string[] = [];
  for (const [name, wanted] of selection) {
    const found = liveCategory(read.document, name, now);
    if (!found) {
      unavailableCategories.push(JSON.stringify(name));
      continue;
    }
    const { data, missing } = wanted === "*" ? { data: found.data, missing: [] } : pick(found, wanted);
    items.push(`${JSON.stringify(name)}:{"features":{"data":${data},"metadata":${metaText(found)}}}`);
    if (missing.length > 0) unavailableFeatures.push(`${JSON.stringify(name)}:${JSON.stringify(missing)}`);
  }
  if (items.length === 0) return null;
  const entity = `"entity_value":${JSON.stringify(ref.entityValue)},"entity_type":${JSON.stringify(ref.entityType)}`;
  const unavailable = `"unavailable_feature_categories":[${unavailableCategories.join(",")}],"unavailable_features":{${unavailableFeatures.join(",")}}`;
  return `{${entity},"items":{${items.join(",")}},${unavailable},${originText(read)}}`;
}

function pick(category: DocumentCategory, wanted: readonly string[]): { data: string; missing: string[] } {
  const values = valuesOf(category);
  const missing = wanted.filter((name) => !values.has(name));
  const found = wanted.flatMap((name) => {
    const json = values.get(name);
    return json === undefined ? [] : `${JSON.stringify(name)}:${json}`;
  });
  return { data: `{${found.join(",")}}`, missing };
}

function metaText({ createdAt, updatedAt, computeId }: DocumentCategory): string {
  return `{"created_at":"${formatTimestamp(createdAt)}","updated_at":"${formatTimestamp(updatedAt)}","compute_id":${JSON.stringify(computeId)}}`;
}

function originText({ revision, source }: EntityRead): string {
  return `"revision":${revision},"source":"${source}"`;
}
