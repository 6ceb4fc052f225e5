/** Adding values up: exact, and the same in any order, any grouping, any repetition. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Contribution } from "../../../worker/registry/stats/contribution.ts";
import {
  addRollUps,
  EMPTY,
  type Observation,
  rollUpOf,
  summaryOf,
} from "../../../worker/registry/stats/roll-up.ts";
import { hourOf, newsOf, oldestKeptHour, startOf } from "../../../worker/registry/stats/series.ts";
import { addSums, meanOf, NOTHING, sumOf } from "../../../worker/registry/stats/sum.ts";

const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
const observation: fc.Arbitrary<Observation> = fc.oneof(
  finite,
  fc.constantFrom<Observation>(null, "other", 1, 0, 0.1, 1e16, -1e16, Number.MAX_VALUE),
);
const summary = (all: readonly Observation[]) => summaryOf(all.map(rollUpOf).reduce(addRollUps, EMPTY));

describe("a sum", () => {
  const BITS = 400;
  /** An integer times a power of two, as a float64 and as an exact integer of 2^-BITS. */
  const exact = fc.tuple(fc.maxSafeInteger(), fc.integer({ min: -300, max: 300 })).map(([whole, power]) => ({
    number: whole * 2 ** power,
    units: BigInt(whole) << BigInt(power + BITS),
  }));

  test("is the exact one, rounded once", () => {
    fc.assert(
      fc.property(fc.array(exact, { maxLength: 30 }), (all) => {
        const sum = all.map(({ number }) => sumOf(number)).reduce(addSums, NOTHING);
        const units = all.reduce((total, each) => total + each.units, 0n);
        expect(meanOf(sum, 1)).toBe(Number(units) * 2 ** -BITS + 0);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ["what a plain sum loses", [1e16, 1, -1e16], 1 / 3],
    ["tenths", Array.from({ length: 10 }, () => 0.1), 0.1],
    ["the largest there are", Array.from({ length: 1_000 }, () => Number.MAX_VALUE), Number.MAX_VALUE],
    ["opposites", [Number.MAX_VALUE, -Number.MAX_VALUE, 3], 1],
    // Half of the last digit of 1, and a trifle: only the trifle decides where to round.
    ["a half and a trifle", [1, 2 ** -53, 2 ** -110], (1 + 2 ** -52) / 3],
  ])("holds of %s", (_, numbers, mean) => expect(summary(numbers).mean).toBe(mean));
});

describe("roll-ups", () => {
  test("are the same in any order and any grouping", () => {
    const parts = fc.array(fc.array(observation, { maxLength: 6 }), { maxLength: 6 });
    fc.assert(
      fc.property(
        parts.chain((all) =>
          fc.tuple(
            fc.constant(all),
            fc.shuffledSubarray(
              all.flat().map((_, i) => i),
              { minLength: all.flat().length },
            ),
          ),
        ),
        ([all, order]) => {
          const values = all.flat();
          const shuffled = order.map((i) => values[i] as Observation);
          const grouped = all.map((part) => part.map(rollUpOf).reduce(addRollUps, EMPTY));
          const expected = summary(values);
          expect(summary(shuffled)).toEqual(expected);
          expect(summaryOf(grouped.reduceRight(addRollUps, EMPTY))).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("have their mean between minimum and maximum, and survive being stored as JSON", () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 40 }), (values) => {
        const total = values.map(rollUpOf).reduce(addRollUps, EMPTY);
        const { min, mean, max } = summaryOf(total);
        expect(min).toBe(Math.min(...values.map((value) => value + 0)));
        expect(max).toBe(Math.max(...values.map((value) => value + 0)));
        expect(mean).toBeGreaterThanOrEqual(min ?? Number.NaN);
        expect(mean).toBeLessThanOrEqual(max ?? Number.NaN);
        expect(JSON.parse(JSON.stringify(total))).toEqual(total);
        expect(total.sum.length).toBeLessThanOrEqual(40);
      }),
    );
  });

  test("count nulls and values without a number, and take neither for a number", () => {
    expect(summary([4, null, "other", 2, null])).toEqual({
      ...{ values: 5, nulls: 2, null_rate: 0.4 },
      ...{ min: 2, mean: 3, max: 4 },
    });
    const without = { min: null, mean: null, max: null };
    expect(summary([null, "other"])).toEqual({ values: 2, nulls: 1, null_rate: 0.5, ...without });
    expect(summary([])).toEqual({ values: 0, nulls: 0, null_rate: null, ...without });
  });
});

describe("the news of a series", () => {
  const HOUR = 3_600_000_000;
  const contribution = (ingestedAt: number, value: Observation, over: Partial<Contribution> = {}) => ({
    ...{ eventId: String(ingestedAt), ingestedAt, eventTime: ingestedAt - 5 },
    features: [{ feature: "f", version: 1, registeredAt: 1, value, columns: [] }],
    ...over,
  });

  test("are by the hour of ingestion, with the newest write and event time, whichever came last", () => {
    const [news, ...others] = newsOf([
      contribution(3 * HOUR, 1),
      contribution(2 * HOUR, 2, { eventTime: 9 * HOUR }),
      contribution(3 * HOUR - 1, null),
    ]);
    expect(others).toEqual([]);
    expect(news).toMatchObject({ feature: "f", version: 1, column: null });
    expect([news?.lastWrite, news?.lastEventTime]).toEqual([3 * HOUR, 9 * HOUR]);
    expect([...(news?.hours ?? [])].map(([hour, all]) => [hour, all.values, all.nulls])).toEqual([
      [3, 1, 0],
      [2, 2, 1],
    ]);
  });

  test("keep versions, columns and features apart, whatever they are called", () => {
    const features = [
      {
        feature: "f",
        version: 1,
        registeredAt: 1,
        value: "other" as const,
        columns: [
          ["f", 1],
          ["", 2],
        ] as [string, number][],
      },
      { feature: "f", version: 11, registeredAt: 1, value: 3, columns: [] },
      { feature: "f1", version: 1, registeredAt: 1, value: 4, columns: [] },
    ];
    const news = newsOf([contribution(0, null, { features })]);
    expect(news.map(({ feature, version, column }) => [feature, version, column])).toEqual([
      ["f", 1, null],
      ["f", 1, "f"],
      ["f", 1, ""],
      ["f", 11, null],
      ["f1", 1, null],
    ]);
  });

  test("are kept as long as history", () => {
    const now = 100 * 24 * HOUR + 7;
    expect(startOf(oldestKeptHour(now, 90))).toBe(10 * 24 * HOUR);
    expect(hourOf(startOf(5))).toBe(5);
    expect(hourOf(-1)).toBe(-1);
  });
});
