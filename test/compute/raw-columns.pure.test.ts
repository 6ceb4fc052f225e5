import { describe, expect, test } from "vitest";
import { checkRows, columnType, type RawSchema } from "../../worker/compute/raw-columns.ts";
import { parseJson } from "../../worker/json.ts";

const schemaOf = (type: string): RawSchema => ({
  columns: [["c", columnType(type) ?? "json"]],
  timestampColumn: null,
});

/** What is kept of one cell, as JSON text; else what the fault says was found. */
function kept(type: string, json: string): string {
  const checked = checkRows(schemaOf(type), [{ c: parseJson(json) }], ["body"]);
  return checked.ok ? JSON.stringify(checked.rows[0]?.[0]) : (checked.faults[0]?.msg ?? "");
}

test.each([
  ["string", "string"],
  ["STR", "string"],
  ["Text", "string"],
  ["double", "float"],
  ["float64", "float"],
  ["int", "integer"],
  ["bool", "boolean"],
  ["datetime", "timestamp"],
  ["object", "json"],
  ["decimal", null],
  ["constructor", null],
])("the type %s is %s", (written, type) => {
  expect(columnType(written)).toBe(type);
});

describe("a cell", () => {
  test.each([
    ["string", '"a"', '"a"'],
    ["float", "1", "1"],
    ["float", "9007199254740993", "9007199254740992"],
    ["integer", "1.0", "1"],
    ["integer", "9223372036854775807", "9223372036854775807"],
    ["integer", "-9223372036854775808", "-9223372036854775808"],
    ["boolean", "false", "false"],
    ["timestamp", '"2026-01-01T02:00:00+02:00"', '"2026-01-01T00:00:00.000000+00:00"'],
    ["json", '{"a":[1]}', '"{\\"a\\":[1]}"'],
    ["json", "9007199254740993", '"9007199254740993"'],
    ["integer", "null", "null"],
  ])("of type %s takes %s", (type, json, expected) => {
    expect(kept(type, json)).toBe(expected);
  });

  test.each([
    ["string", "1", "number"],
    ["string", "9007199254740993", "number"],
    ["string", '"\\ud800"', "text that is not well-formed Unicode"],
    ["float", '"1"', "string"],
    ["integer", "1.5", "a number that is not whole, or not exact"],
    ["integer", "9223372036854775808", "an integer beyond 64 bits"],
    ["integer", "true", "boolean"],
    ["boolean", "1", "number"],
    ["timestamp", "1", "number"],
    ["timestamp", '"2026-01-01T00:00:00"', "no ISO 8601 timestamp with a zone"],
    ["json", `"${"x".repeat(64_000)}"`, "64002 characters of at most 64000"],
  ])("of type %s refuses %s", (type, json, found) => {
    expect(kept(type, json)).toBe(`expected ${type}, found ${found}`);
  });

  test("that is missing is a fault; null is not", () => {
    expect(checkRows(schemaOf("string"), [{}], ["body"])).toMatchObject({
      ok: false,
      faults: [{ loc: ["body", 0, "c"], msg: "expected string, found nothing" }],
    });
  });
});

test("a fault tells no value, and no whole name of a column that is not there", () => {
  const checked = checkRows(schemaOf("integer"), [{ c: "secret", ["x".repeat(1_000)]: 1 }], ["body"]);
  expect(JSON.stringify(checked)).not.toContain("secret");
  expect(JSON.stringify(checked).length).toBeLessThan(500);
});

test("rows that are no objects are named", () => {
  for (const row of [null, 1, "x", [1], parseJson("9007199254740993")]) {
    expect(checkRows(schemaOf("string"), [row], ["body"])).toMatchObject({
      ok: false,
      faults: [{ loc: ["body", 0], type: "row_type" }],
    });
  }
});

test("the longest text is measured in bytes", () => {
  const rows = ["aaaa", "☃☃", "a"].map((c) => ({ c }));
  expect(checkRows(schemaOf("string"), rows, [])).toMatchObject({ longestText: 6 });
});
