/** The events of a run: as the consumer printed them, as the receiver accepted them, and the history that they tell of. */
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import type { SavedState } from "../process/state-files.ts";
import type { Announcement } from "./history.ts";

/** The consumer says little of an event, and nothing of whom it is: the rest is the receiver's or the database's to tell. */
const LINE = /feature available event_id=(\S+) /gm;

export function announcements(
  outputs: readonly string[],
  accepted: readonly FeatureAvailable[],
  saved: SavedState,
): { events: Announcement[]; deliveries: Announcement[]; kept: Announcement[] } {
  const deliveries = accepted.map(announcementOf);
  const known = new Map(deliveries.map((one) => [one.eventId, one]));
  const rows = saved.queryD1<Row>(
    `SELECT event_id, entity_type, entity_value AS entity_id, category AS resource_name, revision, compute_id
     FROM feature_history WHERE event_id IS NOT NULL`,
  );
  const kept = rows.map(announcementOf);
  for (const one of kept) known.set(one.eventId, one);
  const printed = outputs.flatMap((output) => [...output.matchAll(LINE)].map(([, id = ""]) => id));
  return { events: printed.flatMap((id) => known.get(id) ?? nobodys(id)), deliveries, kept };
}

type Row = Pick<
  FeatureAvailable,
  "event_id" | "entity_type" | "entity_id" | "resource_name" | "revision" | "compute_id"
>;

function announcementOf(event: Row): Announcement {
  return {
    eventId: event.event_id,
    entity: `${event.entity_type}/${event.entity_id}`,
    category: event.resource_name,
    revision: event.revision,
    computeId: event.compute_id,
  };
}

/** Printed, but neither delivered nor in the history: of a write that was deleted, or of none. */
function nobodys(eventId: string): Announcement {
  return { eventId, entity: "nobody", category: eventId, revision: 0, computeId: null };
}
