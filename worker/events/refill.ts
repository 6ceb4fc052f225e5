/** One step of a replay: from the dead deliveries or the history into the pending ones, and its place noted. */
import { entityDatabase } from "../db/entity-databases.ts";
import { databaseOf } from "../keys.ts";
import { REPLAY_ROWS_PER_STEP } from "../limits.ts";
import type { Log } from "../log.ts";
import { spreadOf } from "../tenants/spread.ts";
import { matches } from "./match-subscriptions.ts";
import { eventsOf, type HistoryKey, startOf, walkHistory } from "./replay.ts";
import type { Replay, SubscriberState } from "./subscriber-state.ts";
import type { SubscriberStore } from "./subscriber-store.ts";
import type { Subscription } from "./subscription-store.ts";

interface Refilled {
  env: Env;
  log: Log;
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
  { env, log, store, state, subscription }: Refilled,
  replay: Extract<Replay, { kind: "history" }>,
): Promise<void> {
  const { tenantId: tenant } = subscription;
  const isCurrent = () => state.replay?.id === replay.id;
  const databases = await spreadOf({ env, log }, tenant);
  const { database, isLast } = whichDatabase(replay, databases);
  const db = entityDatabase(env, database);
  const { keys, next } = await walkHistory(db, tenant, replay);
  // What a move has left behind is told of, if at all, from where it is now.
  const isHere = ({ entity_type: entityType, entity_value: entityValue }: HistoryKey) =>
    databaseOf({ entityType, entityValue }, databases) === database;
  for await (const events of eventsOf(db, tenant, keys.filter(isHere))) {
    if (!isCurrent()) return;
    const nowMs = Date.now();
    for (const event of events) if (matches(subscription, event)) store.repeat(event, nowMs);
  }
  if (!isCurrent()) return;
  if (next) state.setReplay({ ...replay, database, place: next });
  else state.setReplay(isLast ? null : { ...replay, database: database + 1, place: startOf(replay.range) });
}

/** One after the other; of one entity only its own. Pure. */
function whichDatabase(
  { range: { entityType, entityId }, database = 0 }: Extract<Replay, { kind: "history" }>,
  databases: number,
): { database: number; isLast: boolean } {
  if (entityType === null || entityId === null) return { database, isLast: database === databases - 1 };
  return { database: databaseOf({ entityType, entityValue: entityId }, databases), isLast: true };
}
