import { expect, test } from "vitest";
import { inTurn } from "../../worker/history/retention-run.ts";

const HOUR_MS = 3_600_000;
const NOON = Date.UTC(2026, 9, 13, 12, 17);

test("a run comes to every database, each hour to another first", () => {
  expect(inTurn(["a"], NOON)).toEqual(["a"]);
  const runs = [0, 1, 2].map((hours) => inTurn(["a", "b", "c"], NOON + hours * HOUR_MS).join(""));
  expect(runs.toSorted()).toEqual(["abc", "bca", "cab"]);
});
