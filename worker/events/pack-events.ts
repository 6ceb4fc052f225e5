/**
 * Packs events, in their order, into what a message of the queue, a `sendBatch` or a call takes. Pure.
 *
 * Sizes are bytes of JSON in UTF-8. Nearly always all events fit, and that is seen without writing each of them once
 * more: names are well-formed text without control characters, so that UTF-8 and JSON make at most three bytes of a
 * UTF-16 code unit.
 */
import { MAX_QUEUE_BATCH_BYTES, MAX_QUEUE_MESSAGE_BYTES } from "../limits.ts";
import { type AvailabilityMessage, type FeatureAvailable, SCHEMA_VERSION } from "./feature-available.ts";

const MOST_BYTES_PER_UNIT = 3;
/** Quotes and a comma. */
const BYTES_AROUND_NAME = 3;

const encoder = new TextEncoder();
const bytesOf = (event: FeatureAvailable) => encoder.encode(JSON.stringify(event)).length;

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
const LEAST_FIXED_BYTES = bytesOf(SHORTEST);
const MOST_FIXED_BYTES = bytesOf({
  ...SHORTEST,
  compute_id: null,
  features_truncated: false,
  revision: Number.MAX_SAFE_INTEGER,
});

/** What an event takes at least; exactly that, nearly, where its names are ASCII. */
export function leastBytes(event: FeatureAvailable): number {
  // The last name has no comma behind it.
  const aroundNames = Math.max(event.features.length * BYTES_AROUND_NAME - 1, 0);
  return LEAST_FIXED_BYTES + aroundNames + unitsOf(event);
}

function mostBytes(event: FeatureAvailable): number {
  const aroundNames = event.features.length * BYTES_AROUND_NAME;
  return MOST_FIXED_BYTES + aroundNames + unitsOf(event) * MOST_BYTES_PER_UNIT;
}

function unitsOf(event: FeatureAvailable): number {
  const { event_id, timestamp, event_timestamp, entity_type, entity_id } = event;
  const { resource_name, compute_id, tenant_id, features } = event;
  const fixed = event_id.length + timestamp.length + event_timestamp.length;
  const named = entity_type.length + entity_id.length + resource_name.length + tenant_id.length;
  return features.reduce((units, name) => units + name.length, fixed + named + (compute_id?.length ?? 0));
}

interface Part {
  events: FeatureAvailable[];
  /** Of the JSON array; at most. */
  bytes: number;
}

/**
 * The messages of one `sendBatch`, of what waits the first that fit.
 *
 * They are never too many for it: a message begins with an event that did not fit into the one before, so that two
 * neighbours are larger than one may be, and seven are the most that fit.
 */
export function firstMessages(waiting: readonly FeatureAvailable[]): AvailabilityMessage[] {
  const messages: AvailabilityMessage[] = [];
  let bytes = 0;
  for (const part of eachPart(waiting, MAX_QUEUE_MESSAGE_BYTES)) {
    bytes += part.bytes;
    if (messages.length > 0 && bytes > MAX_QUEUE_BATCH_BYTES) break;
    messages.push(part.events);
  }
  return messages;
}

/** All events, in parts whose JSON is no larger than that; an event that is larger is a part of its own. */
export function partsOf(events: readonly FeatureAvailable[], maxBytes: number): FeatureAvailable[][] {
  return [...eachPart(events, maxBytes)].map((part) => part.events);
}

function* eachPart(events: readonly FeatureAvailable[], maxBytes: number): Generator<Part, void> {
  if (events.length === 0) return;
  if (fitSurely(events, maxBytes)) {
    yield { events: [...events], bytes: maxBytes };
    return;
  }
  let part = emptyPart();
  for (const event of events) {
    const bytes = bytesOf(event) + 1;
    if (part.events.length > 0 && part.bytes + bytes > maxBytes) {
      yield part;
      part = emptyPart();
    }
    part.events.push(event);
    part.bytes += bytes;
  }
  yield part;
}

/** Of the array's brackets and commas each event has one, and one is left over. */
const emptyPart = (): Part => ({ events: [], bytes: 1 });

function fitSurely(events: readonly FeatureAvailable[], maxBytes: number): boolean {
  let most = emptyPart().bytes;
  for (const event of events) {
    most += mostBytes(event) + 1;
    if (most > maxBytes) return false;
  }
  return true;
}
