/**
 * What a write or a deletion makes of an entity, told a second time and as plainly as possible, so that the store can
 * be compared with it. Pure; it shares nothing with the store's own code.
 */
import type { PlannedChange } from "./schedule.ts";

export interface ModelFeature {
  n: number;
  time: number;
}

export interface ModelCategory {
  /** Null: it was deleted. */
  features: ReadonlyMap<string, ModelFeature> | null;
  time: number;
  floor: number | null;
  deletedAt: number | null;
  createdAt: number;
  revision: number;
}

/** By category; `""` stands for the deletion of all. */
export interface ModelEntity {
  revision: number;
  categories: ReadonlyMap<string, ModelCategory>;
}

export const UNWRITTEN: ModelEntity = { revision: 0, categories: new Map() };
export const WHOLE = "";

export interface ModelWrite {
  next: ModelEntity;
  /** Categories that changed, and those whose values came too late for anything but the history. */
  applied: string[];
  late: string[];
}

type Write = Extract<PlannedChange, { kind: "write" }>;

/** @param now Microseconds; @param start when the schedule began. */
export function write(entity: ModelEntity, change: Write, { now, start }: { now: number; start: number }) {
  const revision = entity.revision + 1;
  const categories = new Map(entity.categories);
  const applied: string[] = [];
  const late: string[] = [];
  const wholeDeletedAt = entity.categories.get(WHOLE)?.deletedAt ?? Number.NEGATIVE_INFINITY;
  for (const { category, mode, eventSecond, names } of change.categories) {
    const time = eventSecond === null ? now : start + eventSecond * 1_000_000;
    const before = entity.categories.get(category);
    if (time < Math.max(wholeDeletedAt, before?.deletedAt ?? Number.NEGATIVE_INFINITY)) continue;
    const features = written(before, { mode, names, n: change.n, time });
    if (!features || (before?.floor != null && time < before.floor)) {
      late.push(category);
      continue;
    }
    applied.push(category);
    categories.set(category, {
      features,
      time: before ? Math.max(before.time, time) : time,
      floor: mode === "replace" ? time : (before?.floor ?? null),
      deletedAt: before?.deletedAt ?? null,
      createdAt: before?.features ? before.createdAt : now,
      revision,
    });
  }
  const next = applied.length > 0 ? { revision, categories } : entity;
  return { next, applied, late } satisfies ModelWrite;
}

/** Null when nothing changes. */
function written(
  before: ModelCategory | undefined,
  { mode, names, n, time }: { mode: "replace" | "merge"; names: string[]; n: number; time: number },
): ReadonlyMap<string, ModelFeature> | null {
  const features = new Map<string, ModelFeature>();
  for (const [name, feature] of before?.features ?? []) {
    if (mode === "merge" || feature.time > time) features.set(name, feature);
  }
  let isChanged = !before?.features || time > before.time || (mode === "replace" && time !== before.floor);
  for (const name of names) {
    if ((before?.features?.get(name)?.time ?? time) > time) continue;
    features.set(name, { n, time });
    isChanged = true;
  }
  return isChanged || features.size !== before?.features?.size ? features : null;
}

/** Null when there is nothing to delete. */
export function remove(entity: ModelEntity, scope: string | null, now: number): ModelEntity | null {
  const live = [...entity.categories].filter(([name, { features }]) => features && (scope ?? name) === name);
  if (live.length === 0) return null;
  const revision = entity.revision + 1;
  const gone = (deletedAt: number): ModelCategory => ({
    features: null,
    time: deletedAt,
    floor: deletedAt,
    deletedAt,
    createdAt: now,
    revision,
  });
  const categories = new Map(entity.categories);
  for (const [name, { time }] of live) {
    if (scope !== null || time >= now) categories.set(name, gone(Math.max(now, time + 1)));
    else categories.delete(name);
  }
  if (scope === null) categories.set(WHOLE, gone(now));
  return { revision, categories };
}
