/**
 * What is kept of the values of one hour, and how two such roll-ups add up. Pure.
 *
 * Adding is exact: in whatever order and grouping values come, the same numbers are answered.
 */
import { addSums, type ExactSum, meanOf, NOTHING, sumOf } from "./sum.ts";

/**
 * One value as far as statistics go: a number, null, or `other` for a text, a JSON value or an array, which are counted
 * and have neither minimum nor mean. True is 1 and false is 0, so the mean of a boolean is the share of true.
 */
export type Observation = number | null | "other";

export interface RollUp {
  /** All that were written, nulls too. */
  values: number;
  nulls: number;
  /** How many of them are numbers. */
  numbers: number;
  sum: ExactSum;
  min: number | null;
  max: number | null;
}

export const EMPTY: RollUp = { values: 0, nulls: 0, numbers: 0, sum: NOTHING, min: null, max: null };

export function rollUpOf(observed: Observation): RollUp {
  if (observed === null) return { ...EMPTY, values: 1, nulls: 1 };
  if (observed === "other") return { ...EMPTY, values: 1 };
  // -0 is 0 here: which of the two is the smaller nobody can see.
  const number = observed + 0;
  return { values: 1, nulls: 0, numbers: 1, sum: sumOf(number), min: number, max: number };
}

export function addRollUps(a: RollUp, b: RollUp): RollUp {
  return {
    values: a.values + b.values,
    nulls: a.nulls + b.nulls,
    numbers: a.numbers + b.numbers,
    sum: addSums(a.sum, b.sum),
    min: pick(Math.min, a.min, b.min),
    max: pick(Math.max, a.max, b.max),
  };
}

function pick(choose: (a: number, b: number) => number, a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : choose(a, b);
}

export interface Summary {
  values: number;
  nulls: number;
  null_rate: number | null;
  min: number | null;
  mean: number | null;
  max: number | null;
}

export function summaryOf({ values, nulls, numbers, sum, min, max }: RollUp): Summary {
  return {
    values,
    nulls,
    null_rate: values === 0 ? null : nulls / values,
    min,
    // The division rounds once more, which must not lead out of the range.
    mean: min === null || max === null ? null : Math.min(max, Math.max(min, meanOf(sum, numbers))),
    max,
  };
}
