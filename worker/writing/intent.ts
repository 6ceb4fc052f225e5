/**
 * The intent of a group: written down before its transaction leaves, so that after a crash it is known how to find
 * out whether the transaction happened, and what is still owed. Pure; D1 is asked in `recovery.ts`.
 */

import type { FeatureAvailable } from "../events/feature-available.ts";
import type { EntityRef } from "../keys.ts";
import { MAX_INTENT_CHARACTERS } from "../limits.ts";
import { partsUpTo } from "../parts.ts";
import type { Micros } from "../timestamps.ts";
import type { Settled } from "./entity-write.ts";
import type { EntityPlan, GroupPlan } from "./plan-group.ts";

/** The key of an announced history row, with the event id by which a writer knows the row for its own. */
interface HistoryKey {
  category: string;
  eventTime: Micros;
  revision: number;
  ingestedAt: Micros;
  eventId: string;
}

/** Rows that are in D1 exactly when the transaction was committed. */
type Proof =
  | { kind: "history"; rows: HistoryKey[] }
  | { kind: "tombstone"; category: string; revision: number; updatedAt: Micros }
  /** Known to be committed. The rows may be gone: a later deletion removes them, so the events themselves are kept. */
  | { kind: "known"; events: FeatureAvailable[] };

/** A result to be kept under the caller's `Idempotency-Key`. */
export interface RememberedResult {
  key: string;
  /** The position of the change in its request. */
  position: number;
  settled: Settled;
}

export interface IntendedEntity {
  ref: EntityRef;
  proof: Proof;
  remembered: RememberedResult[];
}

export interface Intent {
  entities: IntendedEntity[];
}

/** Null for an entity that only gets late history: nothing is announced, and doing it again does no harm. */
export function intendedEntity(plan: EntityPlan, remembered: RememberedResult[]): IntendedEntity | null {
  if (plan.deletion) {
    const [tombstone] = plan.rows.values();
    if (!tombstone) return null;
    const { category, revision, updatedAt } = tombstone.row;
    return { ref: plan.ref, proof: { kind: "tombstone", category, revision, updatedAt }, remembered };
  }
  const rows = plan.history.flatMap(({ category, eventTime, revision, ingestedAt, eventId }) =>
    eventId === null ? [] : [{ category, eventTime, revision, ingestedAt, eventId }],
  );
  return rows.length > 0 ? { ref: plan.ref, proof: { kind: "history", rows }, remembered } : null;
}

/** An intent as it is kept: with its text, so that nobody has to write it once more. */
interface WrittenIntent {
  intent: Intent;
  /** JSON of `intent`. */
  text: string;
}

/** Cuts a group's intents into pieces that the object's SQLite takes as rows. */
export function intentsOf(
  plan: GroupPlan,
  rememberedOf: (entity: string) => RememberedResult[],
): WrittenIntent[] {
  const written = [...plan.entities].flatMap(([key, own]) => {
    const entity = intendedEntity(own, rememberedOf(key));
    return entity ? [{ entity, text: JSON.stringify(entity) }] : [];
  });
  const parts = partsUpTo(written, ({ text }) => text.length, MAX_INTENT_CHARACTERS);
  return Array.from(parts, ({ items }) => ({
    intent: { entities: items.map(({ entity }) => entity) },
    text: `{"entities":[${items.map(({ text }) => text).join(",")}]}`,
  }));
}
