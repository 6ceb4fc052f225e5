/** Pure. */

/** @throws when there is none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]];
  if (low === undefined || high === undefined) throw new Error("a median needs a value");
  return (low + high) / 2;
}

/**
 * The median of the ratios of neighbours: what slows the machine for a while slows both of a pair.
 *
 * @param a In the order of measuring, each beside the one of `b` in the same place.
 */
export function pairedRatio(a: readonly number[], b: readonly number[]): number {
  return median(a.map((value, i) => value / (b[i] ?? Number.NaN)));
}

export type Bound = "at least" | "less than" | "at most";

export interface Goal {
  bound: Bound;
  value: number;
}

export function isMet(value: number, goal: Goal): boolean {
  if (goal.bound === "at least") return value >= goal.value;
  return goal.bound === "at most" ? value <= goal.value : value < goal.value;
}
