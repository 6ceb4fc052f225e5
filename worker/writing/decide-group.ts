/**
 * Decides a group and writes its intents down. All of it is synchronous: between the look at what is remembered and
 * the log nobody else decides.
 */
import { entityKey } from "../keys.ts";
import { type EntityState, NEVER_WRITTEN } from "./apply-write.ts";
import type { Effects } from "./effects.ts";
import { rememberedResults } from "./group-results.ts";
import { intentsOf } from "./intent.ts";
import type { Pending } from "./pending.ts";
import { emptyPlan, type GroupPlan, planGroup } from "./plan-group.ts";
import type { Ticks } from "./ticks.ts";
import type { StoredIntent, WriterStore } from "./writer-store.ts";

/** A group whose intents are in the log. */
export interface DecidedGroup {
  group: readonly Pending[];
  plan: GroupPlan;
  stored: readonly StoredIntent[];
}

interface Deciding {
  store: WriterStore;
  effects: Effects;
  ensureAlarm: () => void;
  ticks: Ticks;
}

/** @param states The state of each entity of the group. */
export function decideGroup(
  group: readonly Pending[],
  states: ReadonlyMap<string, EntityState>,
  { store, effects, ensureAlarm, ticks }: Deciding,
): DecidedGroup {
  const changes = group.map(({ change }) => change);
  const plan = planGroup(changes, {
    states,
    tick: (after) => ticks.next(after),
    newEventId: () => crypto.randomUUID(),
  });
  // What changes nothing rests on a remembered state too: D1 confirms its revision, as that of all others.
  for (const change of changes) {
    const key = entityKey(change);
    if (!plan.entities.has(key)) plan.entities.set(key, emptyPlan(change, states.get(key) ?? NEVER_WRITTEN));
  }
  const remembered = rememberedResults(group, plan);
  const intents = intentsOf(plan, (entity) => remembered.get(entity) ?? []);
  effects.removeDone();
  const stored = intents.map(({ intent, text }) => ({ seq: store.addIntent(text), intent }));
  if (stored.length > 0) ensureAlarm();
  for (const { ref, deletion } of plan.entities.values()) if (deletion) effects.preserve(ref);
  return { group, plan, stored };
}
