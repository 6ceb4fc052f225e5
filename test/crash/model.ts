/**
 * What becomes of an entity, as design §3 says it, in its plainest form: the service's answers are compared with it.
 *
 * The newest event time wins for each feature. `replace` drops what is older than it and keeps older writes out for
 * ever; so does a deletion, which is never older than what it removes. Who names no event time writes at the time at
 * which the store takes the write.
 */

/** Microseconds; `"now"`: when the store takes the write. */
export type EventTime = number | "now";

export interface Part {
  category: string;
  mode: "replace" | "merge";
  time: EventTime;
  features: Record<string, string>;
}

export type Change =
  | { kind: "write"; id: string | null; parts: Part[] }
  | { kind: "delete"; category: string | null };

export interface Category {
  features: ReadonlyMap<string, { value: string; time: number }>;
  /** Of the newest write, whose id the category's `compute_id` is. */
  newest: number;
  id: string | null;
  floor: number;
  /** The revision that created the category: as long as it lives, so does its `created_at`. */
  born: number;
}

export interface Entity {
  revision: number;
  categories: ReadonlyMap<string, Category>;
  /** When the entity, or a category, was last deleted. */
  deletedAt: number;
  categoryDeletedAt: ReadonlyMap<string, number>;
}

/** Before all times of the store's own, and after all older ones that a client names. */
export const STARTED_MICROS = Date.now() * 1_000;

export const NEW_ENTITY: Entity = {
  revision: 0,
  categories: new Map(),
  deletedAt: Number.NEGATIVE_INFINITY,
  categoryDeletedAt: new Map(),
};

/** @param now Of this change, in the same microseconds as the event times. */
export function applyChange(
  entity: Entity,
  change: Change,
  now: number,
): { next: Entity; changed: string[] } {
  if (change.kind === "delete") return applyDelete(entity, change.category, now);
  const revision = entity.revision + 1;
  const categories = new Map(entity.categories);
  const changed: string[] = [];
  for (const part of change.parts) {
    const before = categories.get(part.category);
    const time = part.time === "now" ? now : part.time;
    const deletedAt = Math.max(
      entity.deletedAt,
      entity.categoryDeletedAt.get(part.category) ?? Number.NEGATIVE_INFINITY,
    );
    if (time < Math.max(deletedAt, before?.floor ?? Number.NEGATIVE_INFINITY)) continue;
    const after = applyPart(before, part, { time, id: change.id, revision });
    if (before && isSame(before, after)) continue;
    categories.set(part.category, after);
    changed.push(part.category);
  }
  return changed.length > 0
    ? { next: { ...entity, revision, categories }, changed }
    : { next: entity, changed };
}

function applyPart(
  before: Category | undefined,
  { mode, features }: Part,
  { time, id, revision }: { time: number; id: string | null; revision: number },
): Category {
  const after = new Map<string, { value: string; time: number }>();
  for (const [name, feature] of before?.features ?? []) {
    if (mode === "merge" || feature.time > time) after.set(name, feature);
  }
  for (const [name, value] of Object.entries(features)) {
    if ((after.get(name)?.time ?? time) <= time) after.set(name, { value, time });
  }
  const isNewest = !before || time >= before.newest;
  return {
    features: after,
    newest: isNewest ? time : before.newest,
    id: isNewest ? id : before.id,
    floor: mode === "replace" ? time : (before?.floor ?? Number.NEGATIVE_INFINITY),
    born: before?.born ?? revision,
  };
}

function applyDelete(entity: Entity, category: string | null, now: number) {
  const changed = [...entity.categories.keys()].filter((name) => category === null || name === category);
  if (changed.length === 0) return { next: entity, changed };
  const revision = entity.revision + 1;
  const categories = new Map(entity.categories);
  const categoryDeletedAt = new Map(entity.categoryDeletedAt);
  for (const name of changed) {
    const newest = entity.categories.get(name)?.newest ?? now;
    categories.delete(name);
    // What is dated after the deletion of its entity has a tombstone of its own, for the others need not wait for it.
    if (category !== null || newest >= now) categoryDeletedAt.set(name, Math.max(now, newest + 1));
  }
  const deletedAt = category === null ? now : entity.deletedAt;
  return { next: { revision, categories, deletedAt, categoryDeletedAt }, changed };
}

function isSame(a: Category, b: Category): boolean {
  const others = b.features;
  return (
    a.newest === b.newest &&
    a.id === b.id &&
    a.floor === b.floor &&
    a.features.size === others.size &&
    [...a.features].every(
      ([name, { value, time }]) => others.get(name)?.value === value && others.get(name)?.time === time,
    )
  );
}
