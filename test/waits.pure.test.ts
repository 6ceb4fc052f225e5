import { expect, test } from "vitest";
import { isAhead, within } from "../worker/waits.ts";

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

test("what is done in time is had, and what fails fails as it did", async () => {
  expect(await within(1_000, Promise.resolve(7))).toBe(7);
  await expect(within(1_000, Promise.reject(new Error("its own")))).rejects.toThrow("its own");
});

test("what is not done in time is an error, and its own later one is nobody's", async () => {
  const { promise, reject } = Promise.withResolvers<never>();
  await expect(within(5, promise)).rejects.toThrow("not done within 5 ms");
  reject(new Error("later"));
  await Promise.resolve();
});
