/** Faults of reads, planted as in `planted-writes.ts`. */
import { pick } from "../setup/random.ts";
import { isApplied, isCached, lastRead, type Planted } from "./planted.ts";
import { type RandomHistory, shownAt } from "./random-history.ts";
import { CATEGORIES } from "./writes.ts";

export const PLANTED_READS: readonly Planted[] = [
  {
    fault: "a read shows a value that nobody has written",
    rules: ["linearizable", "phantom"],
    plant: ({ operations }, random) => {
      const reads = operations.filter(({ outcome }) => outcome.kind === "seen");
      const { outcome } = pick(random, reads);
      if (outcome.kind !== "seen") return false;
      const [name = ""] = Object.keys(outcome.present);
      const shown = outcome.present[name];
      if (shown)
        (outcome.present as Record<string, unknown>)[name] = { ...shown, data: { ...shown.data, a: "?" } };
      return true;
    },
  },
  {
    fault: "a cached read shows a mixture of two states",
    rules: ["phantom"],
    plant: ({ operations, stories }, random) => {
      const reads = operations.filter(({ action, outcome }) => isCached(action) && outcome.kind === "seen");
      const read = pick(random, reads);
      if (read.outcome.kind !== "seen") return false;
      const other = shownAt(stories.get(read.entity)?.[read.outcome.revision - 1], CATEGORIES);
      const own = JSON.stringify(read.outcome.present);
      if (other.kind !== "seen" || JSON.stringify(other.present) === own) return false;
      read.outcome = { ...other, revision: read.outcome.revision };
      return true;
    },
  },
  {
    fault: "a cached read shows a write that was not yet called",
    rules: ["phantom"],
    plant: ({ operations, stories }, random) => {
      const early = operations.filter(({ action, calledMs }) => isCached(action) && calledMs < 80);
      const read = pick(random, early);
      read.outcome = shownAt(stories.get(read.entity)?.at(-1), CATEGORIES);
      return read.outcome.kind === "seen";
    },
  },
  {
    fault: "a session goes back behind its own write",
    rules: ["session"],
    plant: (history, random) => readAfterOwnWrite(history, random, "session"),
  },
  {
    fault: "a session goes back behind its own write, in a process that has not seen it",
    rules: ["session"],
    plant: (history, random) => readAfterOwnWrite(history, random, "session", 2),
  },
  {
    fault: "an edge read does not show what was written through the same process",
    rules: ["own writes"],
    plant: (history, random) => readAfterOwnWrite(history, random, "edge"),
  },
  {
    fault: "a cache never comes to show the last write",
    rules: ["cache"],
    plant: ({ operations, stories }, random) => {
      const read = pick(
        random,
        operations.filter(({ isAtRest }) => isAtRest),
      );
      const before = shownAt(stories.get(read.entity)?.at(-2), CATEGORIES);
      if (before.kind === read.outcome.kind && before.kind === "nothing") return false;
      // Of a client that was told of nothing: no other promise binds it.
      Object.assign(read, { outcome: before, client: 997 });
      return true;
    },
  },
  {
    fault: "a category's created_at changes while it lives",
    rules: ["created_at"],
    plant: ({ operations }, random) => {
      const reads = operations.filter(({ outcome }) => outcome.kind === "seen");
      const { outcome, entity } = pick(random, reads);
      if (outcome.kind !== "seen") return false;
      const [name = ""] = Object.keys(outcome.present);
      const shown = outcome.present[name];
      const births = reads.filter((one) => {
        return (
          one.entity === entity &&
          one.outcome.kind === "seen" &&
          one.outcome.present[name]?.createdAt === shown?.createdAt
        );
      });
      if (!shown || births.length < 2) return false;
      (outcome.present as Record<string, unknown>)[name] = { ...shown, createdAt: "later" };
      return true;
    },
  },
];

function readAfterOwnWrite(
  { operations, stories }: RandomHistory,
  random: () => number,
  consistency: "edge" | "session",
  life = 1,
): boolean {
  const one = pick(
    random,
    operations.filter((each) => isApplied(each) && each.client < 900),
  );
  const revision = isApplied(one) ? one.outcome.revision : 0;
  const outcome = shownAt(stories.get(one.entity)?.[revision - 1], CATEGORIES);
  if (outcome.kind !== "seen") return false;
  const action = { kind: "read", consistency, categories: CATEGORIES } as const;
  operations.push({ ...lastRead(one.entity), client: one.client, life, action, outcome });
  return true;
}
