import { expect, test } from "vitest";
import type { Ran } from "./report.ts";
import { shrink } from "./shrink.ts";

/** Fails as long as `b` and `d` are there, and the call 3 meets a fault. */
async function run({ operations }: { operations: string[] }, spared: ReadonlySet<number>): Promise<Ran> {
  const fails = operations.includes("b") && operations.includes("d") && !spared.has(3);
  return {
    violations: fails ? ["lost"] : [],
    log: [],
    counts: {},
    happened: new Map(),
    faulted: [1, 2, 3, 4].filter((call) => !spared.has(call)),
  };
}
const schedule = { operations: ["a", "b", "c", "d", "e"] };

test("what is left is what it needs to fail", async () => {
  const ran = await run(schedule, new Set());
  const smallest = await shrink(schedule, ran, { run, isOver: () => false });
  expect(smallest.schedule.operations).toEqual(["b", "d"]);
  expect(smallest.ran.faulted).toEqual([3]);
});

test("when the time is over, the smallest so far is told", async () => {
  const ran = await run(schedule, new Set());
  let tries = 0;
  const counted = (...asked: Parameters<typeof run>) => {
    tries += 1;
    return run(...asked);
  };
  const smallest = await shrink(schedule, ran, { run: counted, isOver: () => tries === 3 });
  expect(smallest.schedule.operations).toEqual(["b", "d", "e"]);
  expect(smallest.ran.violations).toEqual(["lost"]);
});
