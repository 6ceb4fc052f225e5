/** The order of writes must not matter: `applyWrite` against a naive reading of the contract, and step by step. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { readFeatureTimes } from "../../worker/db/feature-times.ts";
import { parseJson } from "../../worker/json.ts";
import { applyDelete } from "../../worker/writing/apply-delete.ts";
import { applyWrite, type EntityState, NEVER_WRITTEN } from "../../worker/writing/apply-write.ts";
import type { CategoryWrite, EntityWrite, WriteMode } from "../../worker/writing/entity-write.ts";
import { liveRows } from "./live-rows.ts";

const CATEGORIES = ["profile", "__proto__", "7"];
const NAMES = ["a", "b", "c", "__proto__", "constructor", "10", "2", 'quo"te\\', "größe"];
const FIRST_NOW = 1_000;
const ENTITY = { entityType: "bright_uid", entityValue: "user-123" };

/** `values`: the same as `data`, for the oracle. */
type Part = CategoryWrite & { eventTime: number; values: Map<string, string> };
type Write = Omit<EntityWrite, "categories"> & { categories: Part[] };

/** Values as the texts in which they must come back. */
const valueText = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify(value)),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 80n }).map(String),
  // Often the same again: an equal value of another time is another value.
  { weight: 3, arbitrary: fc.constantFrom("1", "null") },
);

const part = (category: string): fc.Arbitrary<Omit<Part, "eventTime">> =>
  fc
    .record({
      mode: fc.constantFrom<WriteMode>("replace", "merge"),
      computeId: fc.option(fc.constantFrom("compute-1", "compute-2")),
      ttlSeconds: fc.option(fc.constantFrom(0.5, 60, 3600)),
      values: fc.uniqueArray(fc.tuple(fc.constantFrom(...NAMES), valueText), {
        selector: ([name]) => name,
        maxLength: 4,
      }),
    })
    .map(({ values, ...rest }) => ({
      category,
      ...rest,
      names: values.map(([name]) => name),
      data: `{${values.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`,
      values: new Map(values),
    }));

const parts = fc.subarray(CATEGORIES, { minLength: 1 }).chain((names) => fc.tuple(...names.map(part)));

/** Writes whose event times are all distinct, around the times at which they arrive. */
const writes: fc.Arbitrary<Write[]> = fc
  .array(fc.tuple(parts, fc.constantFrom("one", null)), { minLength: 1, maxLength: 7 })
  .chain((drafts) => {
    const count = drafts.reduce((sum, [list]) => sum + list.length, 0);
    const times = fc.uniqueArray(fc.integer({ min: FIRST_NOW - 30, max: FIRST_NOW + 30 }), {
      minLength: count,
      maxLength: count,
    });
    return times.map((eventTimes) =>
      drafts.map(([list, source]) => ({
        kind: "write" as const,
        ...ENTITY,
        source,
        ifRevision: null,
        categories: list.map((draft) => ({ ...draft, eventTime: eventTimes.pop() ?? 0 })),
      })),
    );
  });

/** The writes in any order, some of them several times. */
const arrivals = (of: Write[]) =>
  fc
    .array(fc.constantFrom(...of), { maxLength: 6 })
    .map((again) => [...of, ...again])
    .chain((all) => fc.shuffledSubarray(all, { minLength: all.length }));

const writesAndArrivals = writes.chain((of) => fc.tuple(fc.constant(of), arrivals(of)));

/** Calls `check` at every arrival, and returns where they end. */
function arrive(
  sequence: readonly Write[],
  check?: (before: EntityState, decision: ReturnType<typeof applyWrite>, write: Write, now: number) => void,
): EntityState {
  let state = NEVER_WRITTEN;
  sequence.forEach((write, i) => {
    const decision = applyWrite(state, write, FIRST_NOW + i);
    check?.(state, decision, write, FIRST_NOW + i);
    state = decision.next;
  });
  return state;
}

/** All of a state that may not depend on the order. */
function visible(state: EntityState) {
  return new Map(
    liveRows(state).map((row) => {
      const { eventTime, floor, computeId, expiresAt, source } = row;
      const times = readFeatureTimes(row.eventTimes, row);
      const features = Object.entries(parseJson(row.data) as Record<string, unknown>).map(
        ([name, value]) =>
          [name, { text: JSON.stringify(value), eventTime, expiresAt, ...times.get(name) }] as const,
      );
      return [row.category, { features: new Map(features), eventTime, floor, computeId, expiresAt, source }];
    }),
  );
}

/** The contract, read naively: sort by event time, then let every write speak. */
function oracle(of: readonly Write[]): ReturnType<typeof visible> {
  const result: ReturnType<typeof visible> = new Map();
  const all = of.flatMap(({ categories, source }) => categories.map((written) => ({ ...written, source })));
  for (const written of all.sort((a, b) => a.eventTime - b.eventTime)) {
    const { category, mode, eventTime, computeId, ttlSeconds, values, source } = written;
    const before = mode === "merge" ? result.get(category) : undefined;
    const features = new Map(before?.features);
    const expiresAt = ttlSeconds === null ? null : eventTime + ttlSeconds * 1_000_000;
    for (const [name, text] of values) features.set(name, { text, eventTime, expiresAt });
    const floor = mode === "replace" ? eventTime : (before?.floor ?? null);
    result.set(category, { features, eventTime, floor, computeId, expiresAt, source });
  }
  return result;
}

test("any order and any repetition of writes with distinct event times ends where the oldest-first order does", () => {
  fc.assert(
    fc.property(writesAndArrivals, ([of, sequence]) => {
      expect(visible(arrive(sequence))).toEqual(oracle(of));
    }),
    { numRuns: 1_500 },
  );
});

test("times are kept for the features whose own differ from the row's, and for no other", () => {
  fc.assert(
    fc.property(writesAndArrivals, ([of, sequence]) => {
      const expected = oracle(of);
      for (const row of liveRows(arrive(sequence))) {
        const features = [...(expected.get(row.category)?.features ?? [])];
        const differing = features.flatMap(([name, { eventTime, expiresAt }]): [string, unknown][] => {
          if (expiresAt !== row.expiresAt) return [[name, [eventTime, expiresAt]]];
          return eventTime === row.eventTime ? [] : [[name, eventTime]];
        });
        const kept = row.eventTimes === null ? [] : Object.entries(JSON.parse(row.eventTimes));
        expect(new Map(kept)).toEqual(new Map(differing));
        expect(row.eventTimes === null).toBe(differing.length === 0);
      }
    }),
  );
});

test("the revision rises by exactly one with an applied write, and what was not applied changes nothing", () => {
  fc.assert(
    fc.property(writesAndArrivals, ([, sequence]) => {
      arrive(sequence, (before, decision, write, now) => {
        const { outcome, next } = decision;
        expect(applyWrite(next, write, now + 1).next).toBe(next);
        expect(next.revision).toBe(before.revision + (outcome === "applied" ? 1 : 0));
        if (outcome !== "applied") expect(next).toBe(before);
        for (const row of next.rows.values()) {
          const isTouched = outcome === "applied" && decision.categories.includes(row.category);
          if (isTouched) expect(row.revision).toBe(next.revision);
          else expect(row).toBe(before.rows.get(row.category));
        }
      });
    }),
  );
});

test("the categories that an applied write changed are announced and no others, and updated_at says when", () => {
  fc.assert(
    fc.property(writesAndArrivals, ([, sequence]) => {
      arrive(sequence, (_before, decision, _write, now) => {
        const history = "history" in decision ? decision.history : [];
        const announced = history.filter((entry) => entry.announced).map(({ category }) => category);
        const applied = decision.outcome === "applied" ? decision.categories : [];
        expect(announced).toEqual(applied);
        for (const category of applied) expect(decision.next.rows.get(category)?.updatedAt).toBe(now);
      });
    }),
  );
});

test("every write stands in the history as it was written, however late it came", () => {
  fc.assert(
    fc.property(writesAndArrivals, ([of, sequence]) => {
      const seen = new Set<string>();
      arrive(sequence, (_before, decision, write) => {
        for (const entry of "history" in decision ? decision.history : []) {
          const origin = write.categories.find(({ category }) => category === entry.category);
          const { announced, expiresAt, ...written } = entry;
          expect(origin).toMatchObject(written);
          seen.add(`${entry.category} ${entry.eventTime}`);
        }
      });
      const all = of.flatMap(({ categories }) => categories.map((c) => `${c.category} ${c.eventTime}`));
      expect(seen).toEqual(new Set(all));
    }),
  );
});

test("created_at is that of the first write, for ever", () => {
  fc.assert(
    fc.property(writesAndArrivals, ([, sequence]) => {
      const first = new Map<string, number>();
      const end = arrive(sequence, (_before, _decision, { categories }, now) => {
        for (const { category } of categories) first.set(category, first.get(category) ?? now);
      });
      expect(new Map(liveRows(end).map((row) => [row.category, row.createdAt]))).toEqual(first);
    }),
  );
});

test("the state that a decision starts from is never changed in place", () => {
  fc.assert(
    fc.property(writesAndArrivals, fc.option(fc.constantFrom(...CATEGORIES)), ([, sequence], category) => {
      const end = arrive(sequence, (before, _decision, write, now) => {
        const copy = structuredClone(before);
        applyWrite(before, write, now);
        expect(before).toEqual(copy);
      });
      const copy = structuredClone(end);
      applyDelete(end, { kind: "delete", ...ENTITY, category, datedNow: false }, FIRST_NOW);
      expect(end).toEqual(copy);
    }),
  );
});

test("whatever arrives after a deletion, nothing older than it is current or in the history", () => {
  const deletion = fc.option(fc.constantFrom(...CATEGORIES));
  fc.assert(
    fc.property(writesAndArrivals, deletion, fc.nat(6), ([, sequence], category, position) => {
      const before = arrive(sequence.slice(0, position));
      const deletedAt = FIRST_NOW;
      const removed = applyDelete(
        before,
        { kind: "delete", ...ENTITY, category, datedNow: false },
        deletedAt,
      );
      fc.pre(removed.outcome === "deleted");
      let state = removed.next;
      for (const write of sequence) {
        const decision = applyWrite(state, write, deletedAt + 100);
        const isInScope = (row: { category: string }) => category === null || row.category === category;
        const entries = "history" in decision ? decision.history.filter(isInScope) : [];
        for (const { eventTime } of entries) expect(eventTime).toBeGreaterThanOrEqual(deletedAt);
        state = decision.next;
      }
      for (const [name, row] of visible(state)) {
        if (category !== null && name !== category) continue;
        for (const { eventTime } of row.features.values())
          expect(eventTime).toBeGreaterThanOrEqual(deletedAt);
      }
    }),
  );
});
