import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_INTENT_CHARACTERS } from "../../worker/limits.ts";
import type { EntityWrite } from "../../worker/writing/entity-write.ts";
import { type RememberedResult, intentsOf as writtenIntentsOf } from "../../worker/writing/intent.ts";
import { type GroupPlan, planGroup } from "../../worker/writing/plan-group.ts";

const write = (
  entityValue: string,
  categories: readonly string[],
  eventTime: number | null = null,
): EntityWrite => ({
  kind: "write",
  entityType: "bright_uid",
  entityValue,
  source: null,
  ifRevision: null,
  categories: categories.map((category) => ({
    category,
    mode: "replace",
    eventTime,
    computeId: null,
    ttlSeconds: null,
    data: '{"a":1}',
    names: ["a"],
  })),
});

/** The intents, each of which stands in its text. */
function intentsOf(plan: GroupPlan, rememberedOf: (entity: string) => RememberedResult[]) {
  return writtenIntentsOf(plan, rememberedOf).map(({ intent, text }) => {
    expect(JSON.parse(text)).toEqual(intent);
    return intent;
  });
}

function planOf(writes: EntityWrite[]) {
  let time = 1_000;
  let id = 0;
  return planGroup(writes, { states: new Map(), tick: () => ++time, newEventId: () => `event-${++id}` });
}

test("the intent of a write holds the keys of its announced history rows and what is to be remembered", () => {
  const remembered = [
    {
      key: "k",
      position: 0,
      settled: { result: { outcome: "duplicate", revision: 1 } as const, committedAt: 5, bookmark: null },
    },
  ];
  const plan = planOf([write("u", ["c", "d"], 7), write("u", ["c"], 6)]);
  const row = { eventTime: 7, revision: 1, ingestedAt: 1_001 };
  expect(intentsOf(plan, () => remembered)).toEqual([
    {
      entities: [
        {
          ref: { entityType: "bright_uid", entityValue: "u" },
          proof: {
            kind: "history",
            rows: [
              { category: "c", ...row, eventId: "event-1" },
              { category: "d", ...row, eventId: "event-2" },
            ],
          },
          remembered,
        },
      ],
    },
  ]);
});

test("a group of which nothing is announced has no intent", () => {
  expect(intentsOf(planOf([]), () => [])).toEqual([]);
});

test("intents are cut between entities: none lost, in order, no piece larger than a row may be", () => {
  // 200 categories of 500 characters are a fifth of a piece, and more.
  const names = Array.from({ length: 200 }, (_, i) => `${i}`.padEnd(500, "x"));
  const counts = fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 12 });
  fc.assert(
    fc.property(counts, (sizes) => {
      const plan = planOf(sizes.map((size, i) => write(`u${i}`, names.slice(0, size))));
      const intents = intentsOf(plan, () => []);
      expect(intents.flatMap(({ entities }) => entities.map(({ ref }) => ref.entityValue))).toEqual(
        sizes.map((_, i) => `u${i}`),
      );
      for (const { entities } of intents) {
        expect(entities.length).toBeGreaterThan(0);
        const characters = entities.reduce((sum, entity) => sum + JSON.stringify(entity).length, 0);
        expect(characters).toBeLessThanOrEqual(MAX_INTENT_CHARACTERS);
      }
    }),
    { numRuns: 30 },
  );
});

test("an intent takes as many characters as its row may have, and leaves what is one over", () => {
  const sizeOf = (characters: number) =>
    JSON.stringify(intentsOf(planOf([write("u0", ["x".repeat(characters)])]), () => [])[0]?.entities[0])
      .length;
  const overhead = sizeOf(0);
  const half = MAX_INTENT_CHARACTERS / 2 - overhead;
  const countOf = (...characters: number[]) =>
    intentsOf(planOf(characters.map((count, i) => write(`u${i}`, ["x".repeat(count)]))), () => []).length;
  expect(countOf(half, half)).toBe(1);
  expect(countOf(half, half + 1)).toBe(2);
});

test("many small entities share one intent", () => {
  const plan = planOf(Array.from({ length: 1_000 }, (_, i) => write(`u${i}`, ["c"])));
  expect(intentsOf(plan, () => [])).toHaveLength(1);
});
