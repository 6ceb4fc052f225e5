/**
 * Decides a group of changes that will be committed in one D1 transaction. No I/O: states, ids and the clock come in.
 *
 * Changes of one entity build on each other in the order in which they came; the transaction writes only where they
 * end, guarded by the revision on which the first of them was decided.
 */
import type { CategoryRow } from "../db/current-rows.ts";
import { type EntityRef, entityKey } from "../keys.ts";
import type { Micros } from "../timestamps.ts";
import { applyDelete } from "./apply-delete.ts";
import { applyWrite, type EntityState, type HistoryEntry, NEVER_WRITTEN } from "./apply-write.ts";
import type { ChangeResult, EntityChange, EntityDelete, EntityWrite } from "./entity-write.ts";
import { SameTime } from "./same-time.ts";

export interface HistoryRow extends HistoryEntry {
  revision: number;
  ingestedAt: Micros;
  eventId: string | null;
  /** It came late, and nothing before it here says other things of the same time: left out where D1 has it already. */
  mayRepeat: boolean;
}

/** A current row with the history row of the write it came from, which proves that its entity was committed. */
export interface PlannedRow {
  row: CategoryRow;
  /** Null in a tombstone, which has no history. */
  proof: HistoryRow | null;
}

/** What the transaction does to one entity. */
export interface EntityPlan {
  ref: EntityRef;
  /** The revision on which the plan rests: the guard of every statement. */
  base: number;
  next: EntityState;
  /** Rows to write, by category. */
  rows: Map<string, PlannedRow>;
  history: HistoryRow[];
  /** The same, once something has come late. */
  sameTime: SameTime<HistoryRow> | null;
  /** Set when the plan is a deletion, which is always a group of its own. */
  deletion: EntityDelete | null;
}

export interface GroupPlan {
  entities: Map<string, EntityPlan>;
  /** One for each change, in order. */
  results: ChangeResult[];
  decidedAt: Micros;
}

interface GroupContext {
  states: ReadonlyMap<string, EntityState>;
  /** The time of a decision: later than `after`, and than all that were not told for an `after` that is ahead. */
  tick: (after: Micros) => Micros;
  newEventId: () => string;
}

export function planGroup(changes: readonly EntityChange[], context: GroupContext): GroupPlan {
  const entities = new Map<string, EntityPlan>();
  const results = changes.map((change) => {
    const key = entityKey(change);
    const plan = entities.get(key) ?? emptyPlan(change, context.states.get(key) ?? NEVER_WRITTEN);
    const result =
      change.kind === "write" ? planWrite(plan, change, context) : planDelete(plan, change, context);
    if (plan.rows.size > 0 || plan.history.length > 0) entities.set(key, plan);
    return result;
  });
  return { entities, results, decidedAt: context.tick(0) };
}

/** The plan that changes nothing of an entity. */
export function emptyPlan({ entityType, entityValue }: EntityRef, state: EntityState): EntityPlan {
  const ref = { entityType, entityValue };
  return {
    ref,
    base: state.revision,
    next: state,
    rows: new Map(),
    history: [],
    sameTime: null,
    deletion: null,
  };
}

function planWrite(plan: EntityPlan, write: EntityWrite, { tick, newEventId }: GroupContext): ChangeResult {
  const now = tick(newestUpdate(plan.next));
  const decision = applyWrite(plan.next, write, now);
  const { revision } = decision.next;
  plan.next = decision.next;
  if ("history" in decision) {
    for (const entry of decision.history) {
      if (!entry.announced) plan.sameTime ??= new SameTime(plan.history);
      const earlier = entry.announced ? null : plan.sameTime?.overriddenBy(entry);
      if (earlier && isRepetition(earlier, entry)) continue;
      const eventId = entry.announced ? newEventId() : null;
      const mayRepeat = !entry.announced && !earlier;
      const proof = { ...entry, revision, ingestedAt: now, eventId, mayRepeat };
      plan.history.push(proof);
      plan.sameTime?.add(proof);
      const row = entry.announced && decision.next.rows.get(entry.category);
      if (row) plan.rows.set(entry.category, { row, proof });
    }
  }
  switch (decision.outcome) {
    case "applied":
      return { outcome: "applied", revision, categories: decision.categories };
    case "rejected":
      return { outcome: "rejected", revision, rejection: decision.rejection };
    default:
      return { outcome: decision.outcome, revision };
  }
}

function planDelete(plan: EntityPlan, change: EntityDelete, { tick }: GroupContext): ChangeResult {
  const decision = applyDelete(plan.next, change, tick(newestUpdate(plan.next)));
  const { revision } = decision.next;
  if (decision.outcome === "not_found") return { outcome: "not_found", revision };
  plan.next = decision.next;
  for (const row of decision.next.rows.values()) {
    if (row.revision === revision) plan.rows.set(row.category, { row, proof: null });
  }
  plan.deletion = change;
  // The counts are the transaction's and the cache's to tell.
  return { outcome: "deleted", revision, categories: decision.categories, history: 0, cached: false };
}

/** When the entity was last decided on. */
function newestUpdate({ rows }: EntityState): Micros {
  let newest = 0;
  for (const { updatedAt } of rows.values()) newest = Math.max(newest, updatedAt);
  return newest;
}

function isRepetition(a: HistoryEntry, b: HistoryEntry): boolean {
  return a.data === b.data && a.mode === b.mode && a.expiresAt === b.expiresAt;
}
