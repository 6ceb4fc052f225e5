import { describe, expect, test } from "vitest";
import { parseJson } from "../../worker/json.ts";
import { age, bars, curl, exactSpan, json, moment, number, span } from "../../worker/ui/browser/format.ts";

test.each([
  [0, "0 s"],
  [59.9, "59 s"],
  [60, "1 min"],
  [3_599, "59 min"],
  [3_600, "1 h"],
  [86_399, "23 h"],
  [86_400, "1 day"],
  [172_800, "2 days"],
  [-90, "in 1 min"],
])("%d seconds are shown as %s", (seconds, expected) => {
  expect(span(seconds)).toBe(expected);
});

test.each([
  [86_400, "1 day"],
  [172_800, "2 days"],
  [129_600, "36 h"],
  [5_400, "90 min"],
  [90, "90 s"],
  [0.5, "0.5 s"],
])("a TTL of %d seconds is shown as %s", (seconds, expected) => {
  expect(exactSpan(seconds)).toBe(expected);
});

test("an age says whether it has been", () => {
  expect([age(300), age(-300)]).toEqual(["5 min ago", "in 5 min"]);
});

test("a moment is shown to the second, in UTC", () => {
  expect(moment("2026-10-13T09:15:51.358632+00:00")).toBe("2026-10-13 09:15:51 UTC");
});

test.each([
  [null, "–"],
  [12_345, "12,345"],
  [-3, "-3"],
  [0.01234567, "0.01235"],
  [parseJson("-9007199254740993") as object, "-9,007,199,254,740,993"],
  [1.2e21, "1,200,000,000,000,000,000,000"],
  [1.5e-9, "1.5e-9"],
])("the number %s is shown as %s", (value, expected) => {
  expect(number(value)).toBe(expected);
});

test("a value is shown as JSON, with every digit", () => {
  expect(json(parseJson("9007199254740993"))).toBe("9007199254740993");
  expect(json(parseJson('{"a":[9007199254740993,"x"]}'))).toBe('{"a":[9007199254740993,"x"]}');
  expect(json(null)).toBe("null");
});

describe("the bars of the last hours", () => {
  const at = (hour: string, values: number, nulls = 0) => ({ hour, values, nulls });

  test("end with the current hour, and have those without values", () => {
    const shown = bars([at("2026-10-13T08:00:00.000000+00:00", 4, 1)], "2026-10-13T09:15:51.358632+00:00", 3);
    expect(shown).toEqual([
      { hour: "2026-10-13T07:00:00.000Z", values: 0, height: 0, nulls: 0 },
      { hour: "2026-10-13T08:00:00.000Z", values: 4, height: 1, nulls: 0.25 },
      { hour: "2026-10-13T09:00:00.000Z", values: 0, height: 0, nulls: 0 },
    ]);
  });

  test("are as high as their share of the highest", () => {
    const hours = [at("2026-10-13T08:00:00+00:00", 1), at("2026-10-13T09:00:00+00:00", 4)];
    expect(bars(hours, "2026-10-13T09:00:00+00:00", 2).map(({ height }) => height)).toEqual([0.25, 1]);
    expect(bars([], "2026-10-13T09:00:00+00:00")).toHaveLength(24);
  });
});

test("a command is quoted for a shell", () => {
  expect(curl("http://x", "/features/online", { entity_id: "o'neil" }, true)).toBe(
    `curl -X POST "http://x/api/v1/features/online" \\\n  -H "Content-Type: application/json" -H "X-API-Key: $API_KEY" \\\n  -d '{"entity_id":"o'\\''neil"}'`,
  );
});
