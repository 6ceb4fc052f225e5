/** What clients write: all modes and times, with values that name the write. */
import { type Part, STARTED_MICROS } from "./model.ts";

/** Written at the time at which the store takes the write; at times that the client names; at both. */
export const CATEGORIES = ["current", "timed", "mixed"] as const;
const FEATURES = ["a", "b", "c", "d", "e"];
const LARGE_CHARACTERS = 12_000;
const DAY_MICROS = 86_400_000_000;

let lastTime = 0;

/** @param id Stands in every value. */
export function newParts(random: () => number, id: string): Part[] {
  const first = Math.floor(random() * CATEGORIES.length);
  const count = 1 + Math.floor(random() * CATEGORIES.length);
  return CATEGORIES.slice(first, first + count).map((category): Part => {
    const isNow = category === "current" ? random() < 0.9 : category === "mixed" && random() < 0.6;
    const names = FEATURES.filter(() => random() < 0.5);
    return {
      category,
      mode: random() < (category === "mixed" ? 0.1 : 0.5) ? "replace" : "merge",
      time: isNow ? "now" : newTime(random, category === "timed"),
      features: Object.fromEntries([...names, "f"].map((name) => [name, id])),
    };
  });
}

/** The same, so large that a move copies few of them at once. */
export function largeParts(random: () => number, id: string): Part[] {
  return newParts(random, id).map((part) => ({
    ...part,
    features: { ...part.features, f: id.padEnd(LARGE_CHARACTERS, ".") },
  }));
}

/** Distinct times in any order, before the store's own; where that may be, after them too. */
function newTime(random: () => number, mayBeLater: boolean): number {
  lastTime += 1;
  const day = mayBeLater && random() < 0.3 ? DAY_MICROS : -DAY_MICROS;
  return STARTED_MICROS + day + Math.floor(random() * 1e6) * 10_000 + (lastTime % 10_000);
}
