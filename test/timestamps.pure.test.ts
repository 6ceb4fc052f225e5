import fc from "fast-check";
import { expect, test } from "vitest";
import { formatTimestamp, parseTimestamp } from "../worker/timestamps.ts";

const FIRST = Date.UTC(1700, 0, 1) * 1_000;
const LAST = Date.UTC(2200, 0, 1) * 1_000 - 1;
const anyTime = fc.integer({ min: FIRST, max: LAST });

/** 2025-10-13T09:15:51.358632Z */
const MOMENT = 1_760_346_951_358_632;
const SECOND = 1_760_346_951_000_000;
const MINUTE = 1_760_346_900_000_000;
const HOUR = 1_760_346_000_000_000;

test.each([
  ["2025-10-13T09:15:51.358632+00:00", MOMENT],
  ["2025-10-13T09:15:51.358632Z", MOMENT],
  ["2025-10-13t09:15:51.358632z", MOMENT],
  ["2025-10-13 09:15:51.358632+00:00", MOMENT],
  ["2025-10-13T09:15:51.358632-00:00", MOMENT],
  ["2025-10-13T14:45:51.358632+05:30", MOMENT],
  ["2025-10-13T14:45:51.358632+0530", MOMENT],
  ["2025-10-13T11:15:51.358632+02", MOMENT],
  ["2025-10-12T21:15:51.358632-12:00", MOMENT],
  ["2025-10-13T23:15:51.358632+14:00", MOMENT],
  ["20251013T091551.358632Z", MOMENT],
  ["20251013T144551,358632+0530", MOMENT],
  ["2025-10-13T09:15:51,358632Z", MOMENT],
  ["2025-10-13T09:15:51.358632999Z", MOMENT],
  ["2025-10-13T09:15:51.3Z", SECOND + 300_000],
  ["2025-10-13T09:15:51.000001Z", SECOND + 1],
  ["2025-10-13T09:15:51Z", SECOND],
  ["2025-10-13T09:15Z", MINUTE],
  ["20251013T0915Z", MINUTE],
  ["2025-10-13T09Z", HOUR],
  ["2025-10-13T09:15.5Z", MINUTE + 30_000_000],
  ["2025-10-13T09,5Z", HOUR + 1_800_000_000],
  ["2025-10-13T09.000000000277778Z", HOUR + 1],
  ["2025-10-13T09.000000000277777Z", HOUR],
  ["2025-10-13T04:15:51\u221205:00", SECOND],
  ["2025-10-12T24:00:00Z", Date.UTC(2025, 9, 13) * 1_000],
  ["2025-12-31T24:00Z", Date.UTC(2026, 0, 1) * 1_000],
  ["2025-10-12T24:00:00.000-09:15", Date.UTC(2025, 9, 13, 9, 15) * 1_000],
  ["2025-W42-1T09:15:51Z", SECOND],
  ["2025W421T091551Z", SECOND],
  ["2025-286T09:15:51Z", SECOND],
  ["2025286T091551Z", SECOND],
  ["2024-366T00:00Z", Date.UTC(2024, 11, 31) * 1_000],
  // Of other years than their days: a week is of the year of its Thursday.
  ["2020-W53-7T00Z", Date.UTC(2021, 0, 3) * 1_000],
  ["2025-W01-1T00Z", Date.UTC(2024, 11, 30) * 1_000],
  ["1970-01-01T00:00:00Z", 0],
  ["1969-12-31T23:59:59.999999Z", -1],
  ["2024-02-29T00:00:00Z", Date.UTC(2024, 1, 29) * 1_000],
  ["2000-02-29T23:59:59Z", Date.UTC(2000, 1, 29, 23, 59, 59) * 1_000],
  ["1700-01-01T00:00:00Z", FIRST],
  ["1699-12-31T23:00:00-01:00", FIRST],
  ["2199-12-31T23:59:59.999999Z", LAST],
  ["2200-01-01T00:59:59.999999+01:00", LAST],
])("%s is read", (text, time) => {
  expect(parseTimestamp(text)).toBe(time);
});

test.each([
  "",
  "now",
  "1760346951",
  "2025-10-13",
  "2025-10-13T09:15:51",
  "2025-10-13T09:15:51.358632",
  "20251013T091551",
  "2025-10-13T09:15:51 +00:00",
  "2025-10-13T09:15:51 UTC",
  "2025-10-13T09:15:51ZZ",
  " 2025-10-13T09:15:51Z",
  "2025-10-13T09:15:51Z\n",
  "2025-10-13T09:15:51Z2025-10-13T09:15:51Z",
  "2025-02-29T00:00:00Z",
  "1900-02-29T00:00:00Z",
  "2025-02-30T00:00:00Z",
  "2025-04-31T00:00:00Z",
  "2025-00-10T00:00:00Z",
  "2025-13-10T00:00:00Z",
  "2025-01-00T00:00:00Z",
  "2025-01-32T00:00:00Z",
  "2025-10-13T24:00:01Z",
  "2025-10-13T24:00:00.000001Z",
  "2025-10-13T24:01Z",
  "2025-W00-1T00:00:00Z",
  "2025-W53-1T00:00:00Z",
  "2025-W42-0T00:00:00Z",
  "2025-W42-8T00:00:00Z",
  "2025-W42T00:00:00Z",
  "2025-000T00:00:00Z",
  "2025-366T00:00:00Z",
  "2024-367T00:00:00Z",
  "2025-10-13T25:00:00Z",
  "2025-10-13T09:60:00Z",
  "2025-10-13T09:15:60Z",
  "2025-10-13T9:15:51Z",
  "2025-10-13T09:15:51.Z",
  "2025-10-13T09:15:51+5",
  "2025-10-13T09:15:51+05:60",
  "2025-10-13T09:15:51+25:00",
  "2025-10-13T09:15:51+24:01",
  "1699-12-31T23:59:59Z",
  "0000-01-01T00:00:00Z",
  "0000-01-01T00:00:00+00:01",
  "0025-10-13T09:15:51Z",
  "0099-12-31T23:59:59Z",
  "00991231T235959Z",
  "0100-01-01T00:00:00Z",
  "1699-12-31T23:00:00+01:00",
  "1700-01-01T00:00:00+00:01",
  "2199-12-31T23:59:59-00:01",
  "2200-01-01T00:00:00Z",
  "+2025-10-13T09:15:51Z",
  "٢٠٢٥-10-13T09:15:51Z",
])("%j is refused", (text) => {
  expect(parseTimestamp(text)).toBeNull();
});

test("a time is written with six digits and +00:00", () => {
  expect(formatTimestamp(MOMENT)).toBe("2025-10-13T09:15:51.358632+00:00");
  expect(formatTimestamp(SECOND + 1)).toBe("2025-10-13T09:15:51.000001+00:00");
  expect(formatTimestamp(0)).toBe("1970-01-01T00:00:00.000000+00:00");
  expect(formatTimestamp(-1)).toBe("1969-12-31T23:59:59.999999+00:00");
});

test("every microsecond that may be written is read again", () => {
  fc.assert(
    fc.property(anyTime, (time) => {
      expect(parseTimestamp(formatTimestamp(time))).toBe(time);
    }),
    { numRuns: 2_000 },
  );
});

test("the same moment is read from whatever zone it is told in", () => {
  const inAWeek = fc.integer({ min: FIRST + 7 * 86_400_000_000, max: LAST - 7 * 86_400_000_000 });
  fc.assert(
    fc.property(
      inAWeek,
      fc.integer({ min: -14 * 60, max: 14 * 60 }),
      fc.boolean(),
      (time, minutes, isBasic) => {
        const local = formatTimestamp(time + minutes * 60_000_000).slice(0, -6);
        const [hh, mm] = [Math.trunc(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
        const zone = `${minutes < 0 ? "-" : "+"}${String(hh).padStart(2, "0")}:${String(mm).padStart(2, "0")}`;
        const text = isBasic ? local.replaceAll(/[-:]/g, "") + zone.replace(":", "") : local + zone;
        expect(parseTimestamp(text)).toBe(time);
      },
    ),
  );
});

test("the same moment is read from its day's number, and from its week and weekday", () => {
  fc.assert(
    fc.property(fc.integer({ min: FIRST + 7 * 86_400_000_000, max: LAST - 7 * 86_400_000_000 }), (time) => {
      const text = formatTimestamp(time);
      const clock = text.slice(10);
      const date = new Date(`${text.slice(0, 10)}T00:00:00Z`);
      const year = date.getUTCFullYear();
      const number = Math.round((date.getTime() - Date.UTC(year, 0, 1)) / 86_400_000) + 1;
      const weekday = date.getUTCDay() || 7;
      // The Thursday of the same week says of which year it is, and which week of it.
      const thursday = new Date(date.getTime() + (4 - weekday) * 86_400_000);
      const days = (thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / 86_400_000;
      const week = String(Math.floor(days / 7) + 1).padStart(2, "0");
      expect(parseTimestamp(`${year}-${String(number).padStart(3, "0")}${clock}`)).toBe(time);
      expect(parseTimestamp(`${thursday.getUTCFullYear()}-W${week}-${weekday}${clock}`)).toBe(time);
    }),
    { numRuns: 1_000 },
  );
});

test("written times are ordered as the times are", () => {
  const near = anyTime.chain((time) =>
    fc.tuple(fc.constant(time), fc.integer({ min: time, max: Math.min(time + 2_000, LAST) })),
  );
  fc.assert(
    fc.property(fc.oneof(near, fc.tuple(anyTime, anyTime)), ([a, b]) => {
      expect(formatTimestamp(a) < formatTimestamp(b)).toBe(a < b);
    }),
  );
});

test("any text is read or refused, never an error, and what is read is a whole microsecond", () => {
  const pieces = fc.constantFrom(
    "2025",
    "-",
    "10",
    "13",
    "T",
    "09",
    ":",
    "15",
    ".",
    "358",
    "Z",
    "+",
    "00",
    "31",
    "02",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces, { maxLength: 16 }).map((parts) => parts.join("")),
      ),
      (text) => {
        const time = parseTimestamp(text);
        expect(time === null || Number.isSafeInteger(time)).toBe(true);
      },
    ),
  );
});
