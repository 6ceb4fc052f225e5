/** Whether an operation can have had its answer at a state of its entity, and what it makes of that state. */
import { isDeepStrictEqual } from "node:util";
import type { Operation, Shown } from "./history.ts";
import { applyChange, type Category, type Entity, STARTED_MICROS } from "./model.ts";

/** Null: it cannot have had that answer here. Revisions stand for the store's clock. */
export function takeEffect(
  state: Entity,
  { action, outcome }: Operation,
): { state: Entity; changed: readonly string[] } | null {
  if (action.kind === "read")
    return isShown(state, action.categories, outcome) ? { state, changed: [] } : null;
  const isGuarded = action.ifRevision !== null && action.ifRevision !== state.revision;
  if (outcome.kind === "refused") return isGuarded ? { state, changed: [] } : null;
  if (isGuarded) return null;
  const { next, changed } = applyChange(state, action.change, STARTED_MICROS + state.revision + 1);
  switch (outcome.kind) {
    case "applied": {
      const isSame =
        next.revision === outcome.revision &&
        isDeepStrictEqual(new Set(changed), new Set(outcome.categories));
      return isSame && changed.length > 0 ? { state: next, changed } : null;
    }
    case "unchanged": {
      const isSame = outcome.revision === null || outcome.revision === state.revision;
      return isSame && changed.length === 0 ? { state, changed } : null;
    }
    case "unknown":
      return { state: next, changed };
    default:
      return null;
  }
}

/** Whether a read's answer is exactly what there is. */
export function isShown(
  state: Entity,
  categories: readonly string[],
  outcome: Operation["outcome"],
): boolean {
  const there = categories.filter((name) => state.categories.has(name));
  if (outcome.kind === "nothing") return there.length === 0;
  if (outcome.kind !== "seen" || outcome.revision !== state.revision) return false;
  const names = Object.keys(outcome.present);
  return (
    names.length === there.length &&
    names.every((name) => {
      const category = state.categories.get(name);
      const shown = outcome.present[name];
      return category !== undefined && shown !== undefined && isSameCategory(category, shown);
    })
  );
}

function isSameCategory({ features, id }: Category, { data, computeId }: Shown): boolean {
  const names = Object.keys(data);
  return (
    id === computeId &&
    names.length === features.size &&
    names.every((name) => features.get(name)?.value === data[name])
  );
}
