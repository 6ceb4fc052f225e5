/**
 * The availability event: one for each category of each applied write; a message of the queue carries many of them. One
 * schema for producer and consumer.
 *
 * At least once, in revision order per entity; a repetition carries the same `event_id`.
 */
import * as z from "zod";
import type { EntityRef } from "../keys.ts";
import { MAX_EVENT_NAMES_BYTES } from "../limits.ts";
import { formatTimestamp, type Micros } from "../timestamps.ts";

export const SCHEMA_VERSION = 1;

/** Made with the first message, not at the start. */
export const featureAvailable = z.lazy(() =>
  z.object({
    event_id: z.uuid(),
    event_type: z.literal("feature_available"),
    /** When the store learned of it. */
    timestamp: z.string(),
    /** When the values became true in the world. */
    event_timestamp: z.string(),
    entity_type: z.string(),
    entity_id: z.string(),
    resource_type: z.literal("feature"),
    /** The category. */
    resource_name: z.string(),
    compute_id: z.string().nullable(),
    /** Names of the features that were written. */
    features: z.array(z.string()),
    /** True when the names were too many for one message and the rest was left out. */
    features_truncated: z.boolean(),
    tenant_id: z.string(),
    revision: z.int().positive(),
    schema_version: z.literal(SCHEMA_VERSION),
  }),
);

export type FeatureAvailable = z.infer<typeof featureAvailable>;

/** The body of a message: events of one writer, in the order in which it sends them. */
export const availabilityMessage = z.array(featureAvailable).min(1);

export type AvailabilityMessage = z.infer<typeof availabilityMessage>;

/** The row of the history that an event announces. */
export interface AnnouncedRow {
  eventId: string;
  category: string;
  revision: number;
  ingestedAt: Micros;
  eventTime: Micros;
  computeId: string | null;
  names: readonly string[];
}

/** An event is a function of its history row alone: so it is the same however often it is made again. */
export function eventOf(tenant: string, ref: EntityRef, row: AnnouncedRow): FeatureAvailable {
  return {
    event_id: row.eventId,
    event_type: "feature_available",
    timestamp: formatTimestamp(row.ingestedAt),
    event_timestamp: formatTimestamp(row.eventTime),
    entity_type: ref.entityType,
    entity_id: ref.entityValue,
    resource_type: "feature",
    resource_name: row.category,
    compute_id: row.computeId,
    ...fitNames(row.names),
    tenant_id: tenant,
    revision: row.revision,
    schema_version: SCHEMA_VERSION,
  };
}

/** As many names as a message may hold, counted at three bytes a character, the most that UTF-8 takes for one unit. */
function fitNames(names: readonly string[]): { features: string[]; features_truncated: boolean } {
  let bytes = 0;
  const features: string[] = [];
  for (const name of names) {
    bytes += name.length * 3 + 3;
    if (bytes > MAX_EVENT_NAMES_BYTES) break;
    features.push(name);
  }
  return { features, features_truncated: features.length < names.length };
}
