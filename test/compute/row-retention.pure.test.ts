/** How long a raw table keeps its rows. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nextPurgeMs, oldestKept } from "../../worker/compute/row-retention.ts";
import { MAX_RETENTION_DAYS } from "../../worker/limits.ts";
import { parseTimestamp } from "../../worker/timestamps.ts";

const HOUR_MS = 3_600_000;
const DAY = 86_400_000_000;
const NOW = Date.UTC(2026, 10, 29, 12) * 1_000;

describe("the first time that is kept", () => {
  test.each([
    [1, "2026-11-28T12:00:00.000000+00:00"],
    [0.5, "2026-11-29T00:00:00.000000+00:00"],
    [1 / 86_400_000_000, "2026-11-29T11:59:59.999999+00:00"],
    [1e-15, "2026-11-29T12:00:00.000000+00:00"],
    [MAX_RETENTION_DAYS, "1926-12-24T12:00:00.000000+00:00"],
  ])("of %s days", (days, time) => {
    expect(oldestKept(NOW, days)).toBe(time);
  });

  test("is a time that rows can have, of whatever retention", () => {
    fc.assert(
      fc.property(fc.double({ min: Number.MIN_VALUE, max: MAX_RETENTION_DAYS, noNaN: true }), (days) => {
        const time = parseTimestamp(oldestKept(NOW, days));
        expect(time).not.toBeNull();
        expect(Math.abs(NOW - (time ?? 0) - days * DAY)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("the next look", () => {
  test.each([
    ["when the oldest row is too old", NOW - DAY + 5 * 3_600_000_000, 5 * HOUR_MS],
    ["an hour later at the soonest", NOW - DAY + 1, HOUR_MS],
    ["an hour later where one has been left", NOW - 2 * DAY, HOUR_MS],
    ["a day later at the latest", NOW + DAY, 24 * HOUR_MS],
    ["a day later where no row has a time", null, 24 * HOUR_MS],
  ])("is %s", (_, oldest, ms) => {
    expect(nextPurgeMs(oldest, 1, NOW)).toBe(ms);
  });
});
