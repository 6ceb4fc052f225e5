/** What a subscription sends again, and how that begins. Synchronous. */
import { parseTimestamp } from "../timestamps.ts";
import { type HistoryRange, startOf } from "./replay.ts";
import type { MissedRange, SubscriberState } from "./subscriber-state.ts";
import type { SubscriberStore } from "./subscriber-store.ts";

export type ReplayRequest =
  | { kind: "deliveries"; seqs: number[] }
  | { kind: "dead" }
  | { kind: "history"; range: HistoryRange };

export type BegunReplay = { kind: "queued"; queued: number } | { kind: "running" };

/** One at a time: a second one is refused as long as the first has something to add. */
export function beginReplay(
  { store, state }: { store: SubscriberStore; state: SubscriberState },
  request: ReplayRequest,
): BegunReplay | { kind: "busy" } {
  if (request.kind === "deliveries")
    return { kind: "queued", queued: store.revive(request.seqs, Date.now()) };
  if (state.replay) return { kind: "busy" };
  const id = crypto.randomUUID();
  if (request.kind === "dead") {
    state.setReplay({ kind: "dead", id, after: 0, upTo: store.lastSeq() });
    return { kind: "queued", queued: store.count("dead") };
  }
  state.setReplay({ kind: "history", id, range: request.range, place: startOf(request.range) });
  if (covers(request.range, state.missed)) state.clearMissed();
  return { kind: "running" };
}

/** Whether all that was missed is in the range: without any other condition. */
function covers(range: HistoryRange, missed: MissedRange | null): boolean {
  if (missed === null || range.entityType !== null || range.category !== null) return false;
  const [from, to] = [parseTimestamp(missed.from), parseTimestamp(missed.to)];
  return from !== null && to !== null && range.from <= from && range.to >= to;
}
