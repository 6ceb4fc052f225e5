/** Chooses which waiting changes the next transaction takes. Pure. */
import { MAX_GROUP_CATEGORIES, MAX_GROUP_CHARACTERS } from "../limits.ts";
import type { EntityChange, RequestRow } from "./entity-write.ts";

/** Characters of a row's data: what it takes in memory and on the way to D1, nearly. */
export function sizeOfRow(row: RequestRow): number {
  return row.kind === "write" ? row.categories.reduce((size, { data }) => size + data.length, 0) : 0;
}

/**
 * Removes the next group from the head of the queue, in order and up to the limits of one D1 batch, but at least one
 * change. A deletion is a group of its own: nothing of its entity may be decided together with it.
 */
export function takeGroup<P extends { change: EntityChange }>(queue: P[], maxWrites: number): P[] {
  return queue.splice(0, Math.max(countFitting(queue, maxWrites), 1));
}

/** Whether the next group would take nothing that comes from now on. */
export function isGroupFull(queue: readonly { change: EntityChange }[], maxWrites: number): boolean {
  const count = countFitting(queue, maxWrites);
  return count === maxWrites || count < queue.length;
}

function countFitting(queue: readonly { change: EntityChange }[], maxWrites: number): number {
  let count = 0;
  let categories = 0;
  let characters = 0;
  for (const { change } of queue) {
    if (change.kind === "delete") break;
    categories += change.categories.length;
    characters += sizeOfRow(change);
    const fits =
      count < maxWrites && categories <= MAX_GROUP_CATEGORIES && characters <= MAX_GROUP_CHARACTERS;
    if (!fits) break;
    count += 1;
  }
  return count;
}
