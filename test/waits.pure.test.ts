import { expect, test } from "vitest";
import { isAhead } from "../worker/waits.ts";

test.each<[what: string, untilMs: number | undefined, is: boolean]>([
  ["nothing that was set", undefined, false],
  ["past", 999, false],
  ["now", 1_000, false],
  ["ahead", 1_001, true],
  ["as far away as it can be", 1_100, true],
  ["further away: the clock has stepped back since", 1_101, false],
])("%s", (_, untilMs, is) => {
  expect(isAhead(untilMs, 1_000, 100)).toBe(is);
});
