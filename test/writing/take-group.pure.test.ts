import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_GROUP_CATEGORIES, MAX_GROUP_CHARACTERS, MAX_GROUP_WRITES } from "../../worker/limits.ts";
import type { EntityChange } from "../../worker/writing/entity-write.ts";
import { isGroupFull, sizeOfRow, takeGroup } from "../../worker/writing/take-group.ts";

interface Waiting {
  id: number;
  change: EntityChange;
}

const ENTITY = { entityType: "bright_uid", entityValue: "user-123" };
const deletion: EntityChange = { kind: "delete", ...ENTITY, category: null, datedNow: false };

/** A write of so many categories, the first with so many characters, the others with none. */
function write(categories: number, characters = 0): EntityChange {
  const parts = Array.from({ length: categories }, (_, i) => ({
    category: `c${i}`,
    mode: "replace" as const,
    eventTime: null,
    computeId: null,
    ttlSeconds: null,
    data: i === 0 ? "x".repeat(characters) : "",
    names: [],
  }));
  return { kind: "write", ...ENTITY, source: null, ifRevision: null, categories: parts };
}

const queueOf = (changes: EntityChange[]): Waiting[] => changes.map((change, id) => ({ id, change }));
const times = (count: number, change: EntityChange) => Array.from({ length: count }, () => change);

function totals(group: readonly Waiting[]) {
  const parts = group.map(({ change }) => (change.kind === "write" ? change.categories.length : 0));
  return {
    writes: group.length,
    categories: parts.reduce((sum, count) => sum + count, 0),
    characters: group.reduce((sum, { change }) => sum + sizeOfRow(change), 0),
  };
}

const fits = ({ writes, categories, characters }: ReturnType<typeof totals>) =>
  writes <= MAX_GROUP_WRITES && categories <= MAX_GROUP_CATEGORIES && characters <= MAX_GROUP_CHARACTERS;

const take = (queue: Waiting[]) => takeGroup(queue, MAX_GROUP_WRITES);

const million = write(1, MAX_GROUP_CHARACTERS / 4);

test.each([
  ["writes", times(MAX_GROUP_WRITES, write(1)), write(1)],
  ["categories", times(MAX_GROUP_CATEGORIES / 200, write(200)), write(1)],
  ["characters", times(4, million), write(1, 1)],
])("a group takes as many %s as its limit and leaves what is one over it", (_, full, more) => {
  const exact = queueOf(full);
  expect(take(exact)).toHaveLength(full.length);
  expect(exact).toEqual([]);
  const over = queueOf([...full, more]);
  expect(take(over)).toHaveLength(full.length);
  expect(over).toEqual([{ id: full.length, change: more }]);
});

test("a change that is over every limit is taken alone", () => {
  const queue = queueOf([write(MAX_GROUP_CATEGORIES + 1, MAX_GROUP_CHARACTERS + 1), write(1)]);
  expect(take(queue).map(({ id }) => id)).toEqual([0]);
  expect(queue.map(({ id }) => id)).toEqual([1]);
});

test("a deletion is taken alone, and ends the group before it", () => {
  const queue = queueOf([write(1), deletion, deletion, write(1), write(1)]);
  const groups = Array.from({ length: 4 }, () => take(queue).map(({ id }) => id));
  expect(groups).toEqual([[0], [1], [2], [3, 4]]);
});

test("of an empty queue nothing is taken", () => {
  expect(take([])).toEqual([]);
});

test("the size of a change is the characters of all its data", () => {
  const change = write(3, 5);
  if (change.kind === "write") for (const part of change.categories) part.data += "ab";
  expect(sizeOfRow(change)).toBe(11);
  expect(sizeOfRow(deletion)).toBe(0);
});

test("group after group takes all, in order, each as large as the limits allow and a deletion by itself", () => {
  const sizes = fc.oneof(
    fc.constant(deletion),
    fc
      .record({ categories: fc.integer({ min: 1, max: 3_000 }), quarters: fc.nat(4) })
      .map(({ categories, quarters }) => write(categories, (quarters * MAX_GROUP_CHARACTERS) / 4)),
  );
  fc.assert(
    fc.property(fc.array(sizes, { maxLength: 12 }), (changes) => {
      const all = queueOf(changes);
      const queue = [...all];
      const taken: Waiting[] = [];
      while (queue.length > 0) {
        const group = take(queue);
        expect(group.length).toBeGreaterThan(0);
        taken.push(...group);
        const hasDeletion = group.some(({ change }) => change.kind === "delete");
        expect(group.length === 1 || (!hasDeletion && fits(totals(group)))).toBe(true);
        const [next] = queue;
        const couldTakeMore = next?.change.kind === "write" && fits(totals([...group, next]));
        expect(!hasDeletion && couldTakeMore).toBe(false);
      }
      expect(taken).toEqual(all);
    }),
    { numRuns: 60 },
  );
});

test("a smaller number of writes may be asked for", () => {
  const queue = queueOf(times(3, write(1)));
  expect(Array.from({ length: 3 }, () => takeGroup(queue, 1).map(({ id }) => id))).toEqual([[0], [1], [2]]);
});

test.each<[string, EntityChange[], number, boolean]>([
  ["nothing waits", [], 10, false],
  ["there is room", [write(1), write(1)], 3, false],
  ["as many wait as it takes", [write(1), write(1)], 2, true],
  ["a deletion is first", [deletion], 10, true],
  ["a deletion comes next", [write(1), deletion], 10, true],
  ["the next one has too many categories", [write(MAX_GROUP_CATEGORIES), write(1)], 10, true],
  ["the first one is over every limit", [write(MAX_GROUP_CATEGORIES + 1)], 10, true],
])("whether a group can take more: %s", (_, changes, most, isFull) => {
  expect(isGroupFull(queueOf(changes), most)).toBe(isFull);
});
