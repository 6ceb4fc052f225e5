import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DTYPES, type Dtype } from "../../worker/db/column-values.ts";
import { parseJson } from "../../worker/json.ts";
import { conform } from "../../worker/registry/dtypes.ts";

/** What becomes of a value that arrives as this JSON: the JSON that is stored, or what it was found to be. */
function kept(dtype: Dtype, json: string): string {
  const checked = conform(dtype, parseJson(json));
  return checked.ok ? JSON.stringify(checked.value) : `refused: ${checked.found}`;
}

const MAX_INT64 = "9223372036854775807";
const MIN_INT64 = "-9223372036854775808";
const OUT_OF_RANGE = "refused: a number out of range";
const NOT_WHOLE = "refused: a string that is no whole number";
const NO_TIMESTAMP = "refused: a string that is no ISO 8601 date and time";
const NO_ZONE = "refused: a timestamp without a zone";
const NOT_IN_YEARS = "refused: a timestamp out of range, which is the years 1700 to 2199";

/** [type, JSON as it arrives, JSON as it is stored]; without the third: as it arrived. */
const ACCEPTED: [Dtype, string, string?][] = [
  ["int64", "0"],
  ["int64", "-1"],
  ["int64", "-0", "0"],
  ["int64", '"-0"', "0"],
  ["int64", "1.0", "1"],
  ["int64", "1e3", "1000"],
  ["int64", '"42"', "42"],
  ["int64", '"-42"', "-42"],
  ["int64", '"007"', "7"],
  ["int64", "9007199254740991"],
  ["int64", "9007199254740992"],
  ["int64", "9007199254740993"],
  ["int64", "-9007199254740993"],
  ["int64", '"9007199254740993"', "9007199254740993"],
  ["int64", MAX_INT64],
  ["int64", MIN_INT64],
  ["int64", `"${MAX_INT64}"`, MAX_INT64],
  ["int64", `"${MIN_INT64}"`, MIN_INT64],
  ["float64", "1"],
  ["float64", "-0.5"],
  ["float64", "1.7976931348623157e308", "1.7976931348623157e+308"],
  ["float64", "9007199254740993", "9007199254740992"],
  ["float64", "12345678901234567890", "12345678901234567000"],
  ["float32", "0.1"],
  ["float32", "3.4028234663852886e38", "3.4028234663852886e+38"],
  ["float32", "-3.4028234663852886e38", "-3.4028234663852886e+38"],
  // As Java and C write the largest float32: the nearest float32 is that very number.
  ["float32", "3.4028235e38", "3.4028235e+38"],
  ["string", '""'],
  ["string", '"9007199254740993"'],
  ["string", '"2025-10-13T09:15:51Z"'],
  ["boolean", "true"],
  ["boolean", "false"],
  ["timestamp", '"2025-10-13T09:15:51.358632+00:00"'],
  ["timestamp", '"2025-10-13T09:15:51Z"', '"2025-10-13T09:15:51.000000+00:00"'],
  ["timestamp", '"2025-10-13T11:15:51+02:00"', '"2025-10-13T09:15:51.000000+00:00"'],
  ["timestamp", '"20251013T091551.5-0030"', '"2025-10-13T09:45:51.500000+00:00"'],
  ["json", "1"],
  ["json", '"text"'],
  ["json", '{"a":[1,{"b":null}],"__proto__":9007199254740993}'],
  ["array<int64>", "[]"],
  ["array<int64>", `[1,"2",${MAX_INT64}]`, `[1,2,${MAX_INT64}]`],
  ["array<float64>", "[1,2.5]"],
  ["array<float32>", "[1.5]"],
  ["array<string>", '["a",""]'],
  ["array<boolean>", "[true,false]"],
  ["array<timestamp>", '["2025-10-13T00:00Z"]', '["2025-10-13T00:00:00.000000+00:00"]'],
  ["array<json>", '[{"a":null},[1],"x"]'],
];

const REFUSED: [Dtype, string, string][] = [
  ["int64", "9223372036854775808", OUT_OF_RANGE],
  ["int64", "-9223372036854775809", OUT_OF_RANGE],
  ["int64", '"9223372036854775808"', OUT_OF_RANGE],
  ["int64", '"-9223372036854775809"', OUT_OF_RANGE],
  // Their last digits may be lost already.
  ["int64", "9007199254740993.0", "refused: a rounded number"],
  ["int64", "9.007199254740993e15", "refused: a rounded number"],
  ["int64", "1e300", "refused: a rounded number"],
  ["int64", `1${"0".repeat(40)}`, OUT_OF_RANGE],
  ["int64", `"1${"0".repeat(40)}"`, OUT_OF_RANGE],
  ["int64", "1.5", "refused: a number that is not whole"],
  ["int64", '"1.5"', NOT_WHOLE],
  ["int64", '"1.0"', NOT_WHOLE],
  ["int64", '"abc"', NOT_WHOLE],
  ["int64", '"1e3"', NOT_WHOLE],
  ["int64", '"+1"', NOT_WHOLE],
  ["int64", '" 1"', NOT_WHOLE],
  ["int64", '"0x10"', NOT_WHOLE],
  ["int64", '"1\\n"', NOT_WHOLE],
  ["int64", '"-"', NOT_WHOLE],
  ["int64", '""', NOT_WHOLE],
  ["int64", '"١"', NOT_WHOLE],
  ["int64", "true", "refused: boolean"],
  ["int64", "[1]", "refused: array"],
  ["int64", "{}", "refused: object"],
  ["float64", '"1.5"', "refused: string"],
  ["float64", "false", "refused: boolean"],
  ["float64", "[1.5]", "refused: array"],
  ["float32", "3.5e38", OUT_OF_RANGE],
  ["float32", "-1e39", OUT_OF_RANGE],
  ["float32", `1${"0".repeat(40)}`, OUT_OF_RANGE],
  ["string", "1", "refused: integer"],
  ["string", "1.5", "refused: number"],
  ["string", "9007199254740993", "refused: integer"],
  ["string", "{}", "refused: object"],
  ["boolean", "0", "refused: integer"],
  ["boolean", '"true"', "refused: string"],
  ["timestamp", '"2025-10-13T09:15:51"', NO_ZONE],
  ["timestamp", '"2025-10-13"', NO_TIMESTAMP],
  ["timestamp", '"2025-02-30T00:00:00Z"', NO_TIMESTAMP],
  ["timestamp", '"2024-01-01T25:00:00Z"', NO_TIMESTAMP],
  ["timestamp", '""', NO_TIMESTAMP],
  ["timestamp", '"20240101T000000"', NO_ZONE],
  ["timestamp", '"0001-01-01T00:00:00Z"', NOT_IN_YEARS],
  ["timestamp", '"1699-12-31T23:59:59Z"', NOT_IN_YEARS],
  ["timestamp", '"2200-01-01T00:00:00+00:00"', NOT_IN_YEARS],
  ["timestamp", "1760346951", "refused: integer"],
  ["array<int64>", "1", "refused: integer"],
  ["array<int64>", '{"0":1}', "refused: object"],
  ["array<int64>", '[1,"x"]', `${NOT_WHOLE} at position 1`],
  ["array<int64>", "[1,[2]]", "refused: array at position 1"],
  ["array<int64>", "[9223372036854775808]", `${OUT_OF_RANGE} at position 0`],
  ["array<float64>", "[1,2,null]", "refused: null at position 2"],
  ["array<string>", '["a",1]', "refused: integer at position 1"],
  ["array<timestamp>", '["2025-10-13T00:00"]', `${NO_ZONE} at position 0`],
];

describe("a value of a registered feature", () => {
  test.each(ACCEPTED)("%s takes %s", (dtype, json, stored = json) => {
    expect(kept(dtype, json)).toBe(stored);
  });

  test.each(REFUSED)("%s refuses %s, saying what it is: %s", (dtype, json, found) => {
    expect(kept(dtype, json)).toBe(found);
  });

  test("null is of every type", () => {
    for (const dtype of DTYPES) expect(kept(dtype, "null")).toBe("null");
  });

  test("what is stored is of the type again, and stays as it is", () => {
    for (const [dtype, json, stored = json] of ACCEPTED) expect(kept(dtype, stored)).toBe(stored);
  });

  test("that is refused is told by its kind alone", () => {
    for (const dtype of DTYPES) {
      for (const json of ['{"secret":"s3cr3t"}', '"s3cr3t"', '["s3cr3t"]', '[["s3cr3t"]]']) {
        expect(kept(dtype, json)).not.toMatch(/refused.*s3cr3t/);
      }
    }
  });
});

describe("int64", () => {
  const nearBounds = fc
    .tuple(
      fc.constantFrom(0n, 2n ** 53n, -(2n ** 53n), 2n ** 63n, -(2n ** 63n)),
      fc.integer({ min: -99, max: 99 }),
    )
    .map(([bound, offset]) => bound + BigInt(offset));
  const any = fc.oneof(nearBounds, fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }));

  test("is taken exactly from -2^63 to 2^63 - 1, as a number and as text, and refused beyond", () => {
    fc.assert(
      fc.property(any, (integer) => {
        const isInRange = integer >= -(2n ** 63n) && integer < 2n ** 63n;
        const expected = isInRange ? String(integer) : OUT_OF_RANGE;
        expect(kept("int64", String(integer))).toBe(expected);
        expect(kept("int64", `"${integer}"`)).toBe(expected);
        expect(kept("array<int64>", `[0,${integer}]`)).toBe(
          isInRange ? `[0,${integer}]` : `${OUT_OF_RANGE} at position 1`,
        );
      }),
      { numRuns: 500 },
    );
  });
});

test("float32 takes exactly the numbers whose nearest float32 is finite", () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
      expect(kept("float32", JSON.stringify(number)).startsWith("refused")).toBe(
        !Number.isFinite(Math.fround(number)),
      );
    }),
  );
});
