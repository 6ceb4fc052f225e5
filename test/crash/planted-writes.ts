/** Faults of writes, planted: what was seen is changed in the way in which a broken store would have changed it. */
import { pick } from "../setup/random.ts";
import type { Operation } from "./history.ts";
import type { Step } from "./linearize.ts";
import { type Applied, isApplied, type Planted, withLast } from "./planted.ts";
import { type RandomHistory, shownAt } from "./random-history.ts";
import { CATEGORIES } from "./writes.ts";

export const PLANTED_WRITES: readonly Planted[] = [
  {
    fault: "an acknowledged write is lost: the entity stands where it stood before",
    rules: ["linearizable"],
    plant: (history, random) => withLast(history, random, (story) => story.at(-2)),
  },
  {
    fault: "a write was acknowledged and then overwritten by one that had not seen it",
    rules: ["linearizable"],
    plant: ({ operations }, random) => {
      const applied = operations.filter(isApplied);
      const one = pick(random, applied);
      const next = applied.find(
        (o) => o.entity === one.entity && o.outcome.revision === one.outcome.revision + 1,
      );
      if (!next || next.id === one.id) return false;
      next.outcome = { ...next.outcome, revision: one.outcome.revision };
      return true;
    },
  },
  {
    fault: "an acknowledged write is answered as stale, though it would have changed something",
    rules: ["linearizable", "repetition"],
    plant: ({ operations }, random) => {
      const one = pick(random, operations.filter(isApplied));
      one.outcome = { kind: "unchanged", revision: one.outcome.revision - 1 } as never;
      return true;
    },
  },
  {
    fault: "a strong read shows what was replaced before it was called",
    rules: ["linearizable"],
    plant: ({ operations, stories }, random) => {
      const isLate = (read: Operation) => overwrittenBefore(read, operations, stories) !== undefined;
      const reads = operations.filter(
        ({ action, outcome }) =>
          outcome.kind === "seen" && action.kind === "read" && action.consistency === "strong",
      );
      const late = reads.filter(isLate);
      if (late.length === 0) return false;
      const read = pick(random, late);
      read.outcome = shownAt(overwrittenBefore(read, operations, stories), CATEGORIES);
      return true;
    },
  },
  {
    fault: "what was deleted is there again",
    rules: ["linearizable"],
    plant: (history, random) =>
      withLast(history, random, (story) => {
        const last = story.at(-1);
        const gone = CATEGORIES.find((name) => !last?.state.categories.has(name));
        const before = story.findLast(({ state }) => gone && state.categories.has(gone));
        const category = gone && before?.state.categories.get(gone);
        if (!last || !category) return undefined;
        return {
          ...last,
          state: { ...last.state, categories: new Map(last.state.categories).set(gone, category) },
        };
      }),
  },
  {
    fault: "half a write: one of its categories is as it was before",
    rules: ["linearizable", "phantom"],
    plant: ({ operations, stories }, random) => {
      const reads = operations.flatMap((read) => {
        const { outcome } = read;
        const step = outcome.kind === "seen" ? stories.get(read.entity)?.[outcome.revision] : undefined;
        const before = step ? stories.get(read.entity)?.[step.state.revision - 1] : undefined;
        const name = before && step?.changed.find((one) => before.state.categories.has(one));
        const old = name === undefined ? undefined : before?.state.categories.get(name);
        if (!step || step.changed.length < 2 || !old || name === undefined) return [];
        if (!step.state.categories.has(name)) return [];
        const categories = new Map(step.state.categories).set(name, old);
        return [{ read, half: { ...step, state: { ...step.state, categories } } }];
      });
      if (reads.length === 0) return false;
      const { read, half } = pick(random, reads);
      const outcome = shownAt(half, CATEGORIES);
      if (JSON.stringify(outcome) === JSON.stringify(read.outcome)) return false;
      read.outcome = outcome;
      return true;
    },
  },
  {
    fault: "half an entry of a batch is acknowledged",
    rules: ["linearizable", "repetition"],
    plant: ({ operations }, random) => {
      const wide = operations.filter(
        (one): one is Applied => isApplied(one) && one.outcome.categories.length > 1,
      );
      if (wide.length === 0) return false;
      const one = pick(random, wide);
      one.outcome = { ...one.outcome, categories: one.outcome.categories.slice(1) };
      return true;
    },
  },
  {
    fault: "if_revision let a write through at another revision",
    rules: ["linearizable"],
    plant: ({ operations }, random) => {
      const one = pick(random, operations.filter(isApplied));
      if (one.action.kind === "read") return false;
      for (const each of operations.filter(({ id }) => id === one.id)) {
        each.action = { ...one.action, ifRevision: one.outcome.revision };
      }
      return true;
    },
  },
  {
    fault: "a repetition is applied again: it has another answer",
    rules: ["repetition"],
    plant: ({ operations }, random) => {
      const one = pick(random, operations.filter(isApplied));
      const outcome = { ...one.outcome, revision: one.outcome.revision + 1 };
      operations.push({ ...one, outcome, calledMs: 1e4, answeredMs: 1e4 + 1 });
      return true;
    },
  },
  {
    fault: "a repetition is applied again and says nothing of it",
    rules: ["linearizable"],
    plant: (history, random) =>
      withLast(history, random, (story) => {
        const last = story.at(-1);
        return last && { ...last, state: { ...last.state, revision: last.state.revision + 1 } };
      }),
  },
];

/** The state that an acknowledged write had ended before a read was called. */
function overwrittenBefore(
  read: Operation,
  operations: readonly Operation[],
  stories: RandomHistory["stories"],
): Step | undefined {
  const before = operations.filter(
    (one) => isApplied(one) && one.entity === read.entity && (one.answeredMs ?? 1e9) < read.calledMs,
  );
  const revision = Math.max(
    0,
    ...before.map(({ outcome }) => ("revision" in outcome ? (outcome.revision ?? 0) : 0)),
  );
  const step = stories.get(read.entity)?.[revision - 1];
  return step && shownAt(step, CATEGORIES).kind === "seen" ? step : undefined;
}
