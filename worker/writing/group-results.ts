/** What a decided group leaves behind: results to be remembered, and events to be announced. Pure. */
import { eventOf } from "../events/feature-available.ts";
import { type EntityRef, entityKey } from "../keys.ts";
import type { CommittedEntity } from "./effects.ts";
import type { EntityChange } from "./entity-write.ts";
import type { RememberedResult } from "./intent.ts";
import type { GroupPlan } from "./plan-group.ts";

interface Decided {
  change: EntityChange;
  /** Where its result is kept, when the caller sent an `Idempotency-Key`. */
  remember: { key: string; position: number } | null;
}

/** Results to be kept under the callers' keys, by the entity on whose commit they depend. */
export function rememberedResults(
  group: readonly Decided[],
  plan: GroupPlan,
): Map<string, RememberedResult[]> {
  const byEntity = new Map<string, RememberedResult[]>();
  group.forEach(({ change, remember }, i) => {
    const result = plan.results[i];
    if (!remember || !result) return;
    const entity = entityKey(change);
    const settled = { result, committedAt: plan.decidedAt, bookmark: null };
    byEntity.set(entity, [...(byEntity.get(entity) ?? []), { ...remember, settled }]);
  });
  return byEntity;
}

/** What is announced of an entity whose plan was committed. */
export function committedEntity(
  tenant: string,
  { ref }: { ref: EntityRef },
  plan: GroupPlan,
): CommittedEntity {
  const rows = plan.entities.get(entityKey(ref))?.history ?? [];
  const events = rows.flatMap((row) =>
    row.eventId === null ? [] : [eventOf(tenant, ref, { ...row, eventId: row.eventId })],
  );
  return { ref, events };
}
