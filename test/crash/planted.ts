/** A fault that is planted into a history that has none, and what is needed for it. */
import { pick } from "../setup/random.ts";
import type { Operation, Rule } from "./history.ts";
import type { Step } from "./linearize.ts";
import { type RandomHistory, shownAt } from "./random-history.ts";
import { CATEGORIES } from "./writes.ts";

export interface Planted {
  fault: string;
  /** One of them has to be found. */
  rules: readonly Rule[];
  /** @returns false where the history has no place for it. */
  plant(history: RandomHistory, random: () => number): boolean;
}

export type Applied = Operation & {
  outcome: { kind: "applied"; revision: number; categories: readonly string[] };
};

export function isApplied(one: Operation): one is Applied {
  return one.outcome.kind === "applied";
}

export function isCached(action: Operation["action"]): boolean {
  return action.kind === "read" && action.consistency !== "strong";
}

/** A strong read after everything else shows a state of the entity's that is not its last. */
export function withLast(
  { operations, stories }: RandomHistory,
  random: () => number,
  choose: (story: readonly Step[]) => Step | undefined,
): boolean {
  const entity = pick(random, [...stories.keys()]);
  const story = stories.get(entity) ?? [];
  const outcome = shownAt(choose(story), CATEGORIES);
  const truth = shownAt(story.at(-1), CATEGORIES);
  if (outcome.kind === "nothing" || JSON.stringify(outcome) === JSON.stringify(truth)) return false;
  operations.push({ ...lastRead(entity), outcome });
  return true;
}

export function lastRead(entity: string): Operation {
  const action = { kind: "read", consistency: "strong", categories: CATEGORIES } as const;
  return {
    id: "last",
    client: 998,
    life: 1,
    entity,
    calledMs: 1e5,
    answeredMs: 1e5 + 1,
    action,
    outcome: { kind: "nothing" },
  };
}
