/** One step of a replay: from the dead deliveries or the history into the pending ones, and its place noted. */
import { REPLAY_ROWS_PER_STEP } from "../limits.ts";
import { matches } from "./match-subscriptions.ts";
import { eventsOf, walkHistory } from "./replay.ts";
import type { Replay, SubscriberState } from "./subscriber-state.ts";
import type { SubscriberStore } from "./subscriber-store.ts";
import type { Subscription } from "./subscription-store.ts";

interface Refilled {
  db: D1Database;
  store: SubscriberStore;
  state: SubscriberState;
  subscription: Subscription;
}

/** After a crash within a step it is done again: what it had added stays as it is, or is delivered once more. */
export async function refill(refilled: Refilled): Promise<void> {
  const { replay } = refilled.state;
  if (replay?.kind === "dead") reviveDead(refilled, replay);
  if (replay?.kind === "history") await repeatHistory(refilled, replay);
}

function reviveDead({ store, state }: Refilled, replay: Extract<Replay, { kind: "dead" }>): void {
  const seqs = store.deadBetween(replay.after, replay.upTo, REPLAY_ROWS_PER_STEP);
  store.revive(seqs, Date.now());
  const last = seqs.length === REPLAY_ROWS_PER_STEP ? seqs.at(-1) : undefined;
  state.setReplay(last === undefined ? null : { ...replay, after: last });
}

async function repeatHistory(
  { db, store, state, subscription }: Refilled,
  replay: Extract<Replay, { kind: "history" }>,
): Promise<void> {
  const isCurrent = () => state.replay?.id === replay.id;
  const { keys, next } = await walkHistory(db, subscription.tenantId, replay);
  for await (const events of eventsOf(db, subscription.tenantId, keys)) {
    if (!isCurrent()) return;
    const nowMs = Date.now();
    for (const event of events) if (matches(subscription, event)) store.repeat(event, nowMs);
  }
  if (isCurrent()) state.setReplay(next && { ...replay, place: next });
}
