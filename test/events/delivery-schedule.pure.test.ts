import fc from "fast-check";
import { expect, test } from "vitest";
import { afterFailure, parseRetryAfter } from "../../worker/events/delivery-schedule.ts";
import { MAX_DELIVERY_ATTEMPTS } from "../../worker/limits.ts";
import { DELIVERY_RETRY_MAX_MS } from "../../worker/timings.ts";

const NOW = 1_760_346_951_000;
const failed = (over: Partial<Parameters<typeof afterFailure>[0]>) =>
  afterFailure({
    attempts: 1,
    nowMs: NOW,
    firstRetryMs: 5_000,
    retryAfterMs: null,
    random: 0.999_999,
    ...over,
  });

test.each([
  [1, 4_999],
  [2, 9_999],
  [3, 19_999],
  [8, 639_999],
  [10, 2_559_997],
  [11, DELIVERY_RETRY_MAX_MS - 4],
])("after try %i the next one comes within a doubled delay", (attempts, longestMs) => {
  expect(failed({ attempts })).toEqual({ kind: "retry", atMs: NOW + longestMs });
  expect(failed({ attempts, random: 0 })).toEqual({ kind: "retry", atMs: NOW });
});

test("the last try is the last", () => {
  expect(failed({ attempts: MAX_DELIVERY_ATTEMPTS - 1 }).kind).toBe("retry");
  expect(failed({ attempts: MAX_DELIVERY_ATTEMPTS })).toEqual({ kind: "dead" });
  expect(failed({ attempts: MAX_DELIVERY_ATTEMPTS, retryAfterMs: 1 })).toEqual({ kind: "dead" });
});

test("a receiver's wish is kept, and no wish keeps an event for ever", () => {
  expect(failed({ retryAfterMs: 60_000 })).toEqual({ kind: "retry", atMs: NOW + 60_000 });
  expect(failed({ retryAfterMs: 1 })).toEqual({ kind: "retry", atMs: NOW + 4_999 });
  expect(failed({ retryAfterMs: 10 ** 12 })).toEqual({ kind: "retry", atMs: NOW + DELIVERY_RETRY_MAX_MS });
});

test("a delay is never negative, never longer than the longest, and spread over all of it", () => {
  const delays = fc.record({
    attempts: fc.integer({ min: 1, max: MAX_DELIVERY_ATTEMPTS - 1 }),
    firstRetryMs: fc.integer({ min: 1, max: 600_000 }),
    retryAfterMs: fc.option(fc.nat(), { nil: null }),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  });
  fc.assert(
    fc.property(delays, (over) => {
      const next = failed(over);
      if (next.kind !== "retry") throw new Error("given up too early");
      expect(next.atMs).toBeGreaterThanOrEqual(NOW);
      expect(next.atMs).toBeLessThanOrEqual(NOW + DELIVERY_RETRY_MAX_MS);
      expect(Number.isInteger(next.atMs)).toBe(true);
    }),
  );
  const tenths = Array.from({ length: 10 }, (_, i) => failed({ attempts: 5, random: i / 10 }));
  expect(new Set(tenths.map((next) => next.kind === "retry" && next.atMs)).size).toBe(10);
});

test.each([
  [null, null],
  ["0", 0],
  ["120", 120_000],
  [" 7 ", 7_000],
  ["Mon, 13 Oct 2025 09:16:51 GMT", 60_000],
  ["Mon, 13 Oct 2025 09:15:00 GMT", 0],
  ["-1", null],
  ["1.5", null],
  ["soon", null],
  ["", null],
  ["9".repeat(30), null],
])("Retry-After %j is %j ms from now", (header, expected) => {
  expect(parseRetryAfter(header, NOW)).toBe(expected);
});
