import { expect, test } from "vitest";
import { inTurn } from "../../worker/history/retention-run.ts";
import { CRON_EVERY_MS } from "../../worker/timings.ts";

const NOON = Date.UTC(2026, 9, 13, 12, 17);

test("a run comes to every database, each time to another first", () => {
  expect(inTurn(["a"], NOON)).toEqual(["a"]);
  const runs = [0, 1, 2].map((runs) => inTurn(["a", "b", "c"], NOON + runs * CRON_EVERY_MS).join(""));
  expect(runs.toSorted()).toEqual(["abc", "bca", "cab"]);
});
