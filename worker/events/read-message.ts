/** What a message of `feature-availability` holds. Pure. */
import { MAX_NAMED_FAULTS } from "../limits.ts";
import { availabilityMessage, type FeatureAvailable, featureAvailable } from "./feature-available.ts";

export interface MessageContents {
  /** Those that fit the schema, in order. */
  events: FeatureAvailable[];
  /** What does not fit, without any value; null when all does. */
  faults: string | null;
}

/**
 * The events of a message, unchecked. A bare event is a message too: a version that sent them so may still run while
 * this one is deployed, and a dead-letter queue may hold some of it.
 */
export function entriesOf(body: unknown): unknown[] {
  return Array.isArray(body) ? body : [body];
}

export function readMessage(body: unknown): MessageContents {
  const entries = entriesOf(body);
  const parsed = availabilityMessage.safeParse(entries);
  if (parsed.success) return { events: parsed.data, faults: null };
  const told = parsed.error.issues.slice(0, MAX_NAMED_FAULTS);
  return {
    events: entries.flatMap((entry) => featureAvailable.safeParse(entry).data ?? []),
    faults: told.map(({ path, code }) => `${path.join(".")}: ${code}`).join(", "),
  };
}
