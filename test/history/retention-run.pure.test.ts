import { expect, test } from "vitest";
import { databasesOfRun } from "../../worker/history/retention-run.ts";

const HOUR_MS = 3_600_000;
const NOON = Date.UTC(2026, 9, 13, 12, 17);

test("a run comes to every database, each hour to another first", () => {
  expect(databasesOfRun(1, NOON)).toEqual([0]);
  const runs = [0, 1, 2].map((hours) => databasesOfRun(3, NOON + hours * HOUR_MS));
  for (const run of runs) expect(run.toSorted()).toEqual([0, 1, 2]);
  expect(runs.map(([first]) => first).toSorted()).toEqual([0, 1, 2]);
});

test("of many a run comes to some, and each has as many turns as all others", () => {
  const turns = Array.from({ length: 64 }, (_, hours) => databasesOfRun(64, NOON + hours * HOUR_MS));
  for (const run of turns) expect(new Set(run).size).toBe(14);
  const counts = Object.groupBy(turns.flat(), (number) => String(number));
  expect(Object.values(counts).map((own) => own?.length)).toEqual(Array(64).fill(14));
});
