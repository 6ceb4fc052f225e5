/**
 * Packs events, in their order, into what a message of the queue, a `sendBatch` or a call takes. Pure.
 *
 * Sizes are bytes of JSON in UTF-8.
 */
import { MAX_QUEUE_BATCH_BYTES, MAX_QUEUE_MESSAGE_BYTES } from "../limits.ts";
import { partsUpTo } from "../parts.ts";
import { type AvailabilityMessage, type FeatureAvailable, SCHEMA_VERSION } from "./feature-available.ts";

/** Quotes and a comma. */
const BYTES_AROUND_NAME = 3;

const encoder = new TextEncoder();

/** The shortest event there is: each of its texts is counted beside it. */
const SHORTEST: FeatureAvailable = {
  event_id: "",
  event_type: "feature_available",
  timestamp: "",
  event_timestamp: "",
  entity_type: "",
  entity_id: "",
  resource_type: "feature",
  resource_name: "",
  compute_id: "",
  features: [],
  features_truncated: true,
  tenant_id: "",
  revision: 1,
  schema_version: SCHEMA_VERSION,
};
const SHORTEST_BYTES = JSON.stringify(SHORTEST).length;

/** ASCII that JSON writes as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** What an event takes. Names are plain nearly always: then it need not be written to know that. */
function bytesOf(event: FeatureAvailable): number {
  const isPlain = PLAIN.test(textOf(event));
  return isPlain ? leastBytes(event) : encoder.encode(JSON.stringify(event)).length;
}

/** What an event takes if its names are plain: else more. */
export function leastBytes(event: FeatureAvailable): number {
  const { features, compute_id, features_truncated, revision } = event;
  // The last name has no comma behind it.
  const aroundNames = Math.max(features.length * BYTES_AROUND_NAME - 1, 0);
  const others = (compute_id === null ? 2 : 0) + (features_truncated ? 0 : 1) + String(revision).length - 1;
  return SHORTEST_BYTES + aroundNames + others + textOf(event).length;
}

/** All texts of an event that differ from event to event. */
function textOf(event: FeatureAvailable): string {
  const { event_id, timestamp, event_timestamp, entity_type, entity_id } = event;
  const { resource_name, compute_id, tenant_id, features } = event;
  const named = event_id + timestamp + event_timestamp + entity_type + entity_id + resource_name + tenant_id;
  return named + (compute_id ?? "") + features.join("");
}

/**
 * The messages of one `sendBatch`: as many of the waiting events as fit, from the first.
 *
 * They are never too many for it: a message begins with an event that did not fit into the one before, so that two
 * neighbours are larger than one may be, and seven are the most that fit.
 */
export function firstMessages(waiting: readonly FeatureAvailable[]): AvailabilityMessage[] {
  const messages: AvailabilityMessage[] = [];
  let bytes = 0;
  for (const { items, size } of eachPart(waiting, MAX_QUEUE_MESSAGE_BYTES)) {
    bytes += size + BYTES_LEFT_OVER;
    if (messages.length > 0 && bytes > MAX_QUEUE_BATCH_BYTES) break;
    messages.push(items);
  }
  return messages;
}

/** All events, in parts whose JSON is no larger than that; an event that is larger is a part of its own. */
export function partsOf(events: readonly FeatureAvailable[], maxBytes: number): FeatureAvailable[][] {
  return [...eachPart(events, maxBytes)].map(({ items }) => items);
}

/** The size of an event includes one bracket or comma of the JSON array; the array has one more than events. */
const BYTES_LEFT_OVER = 1;

function eachPart(events: readonly FeatureAvailable[], maxBytes: number) {
  return partsUpTo(events, (event) => bytesOf(event) + 1, maxBytes - BYTES_LEFT_OVER);
}
