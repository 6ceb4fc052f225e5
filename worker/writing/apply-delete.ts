/** Decides what a deletion makes of an entity. No I/O, no clock: `now` is an argument. */
import { type CategoryRow, WHOLE_ENTITY } from "../db/current-rows.ts";
import type { Micros } from "../timestamps.ts";
import type { EntityState } from "./apply-write.ts";
import type { EntityDelete } from "./entity-write.ts";

type DeleteDecision =
  | { outcome: "deleted"; next: EntityState; categories: string[] }
  | { outcome: "not_found"; next: EntityState };

/**
 * Leaves tombstones with the new revision in the place of what is removed: one for the category or for the whole
 * entity, dated now. A category with an event time still to come (its writer's clock is ahead) gets its own, dated
 * after it: that very write, sent again, must not bring it back, and other categories need not wait for that time.
 * With `datedNow` that is dated now too, and so is what an earlier deletion has left with such a date.
 */
export function applyDelete(
  current: EntityState,
  { category, datedNow }: EntityDelete,
  now: Micros,
): DeleteDecision {
  const inScope = [...current.rows.values()].filter((row) => category === null || row.category === category);
  const removed = inScope.filter(({ data }) => data !== null);
  const isAhead = ({ eventTime }: CategoryRow) => eventTime >= now;
  const corrected = datedNow ? inScope.filter((row) => row.data === null && isAhead(row)) : [];
  if (removed.length + corrected.length === 0) return { outcome: "not_found", next: current };
  const revision = current.revision + 1;
  const kept = [...current.rows].filter(([, row]) => category !== null || row.data === null);
  const own = [...(category === null ? removed.filter(isAhead) : removed), ...corrected];
  const tombstones = own.map((row) =>
    tombstoneOf(row.category, {
      revision,
      now,
      deletedAt: datedNow ? now : Math.max(now, row.eventTime + 1),
    }),
  );
  if (category === null) tombstones.unshift(tombstoneOf(WHOLE_ENTITY, { revision, now, deletedAt: now }));
  const added = tombstones.map((row) => [row.category, row] as const);
  // The new ones come first: the first stands for the deletion.
  const rows = new Map([...added, ...kept.filter(([name]) => !added.some(([own]) => own === name))]);
  return { outcome: "deleted", next: { revision, rows }, categories: removed.map((row) => row.category) };
}

function tombstoneOf(
  category: string,
  { revision, deletedAt, now }: { revision: number; deletedAt: Micros; now: Micros },
): CategoryRow {
  return {
    category,
    data: null,
    eventTimes: null,
    eventTime: deletedAt,
    floor: deletedAt,
    deletedAt,
    createdAt: now,
    updatedAt: now,
    revision,
    computeId: null,
    source: null,
    expiresAt: null,
  };
}
