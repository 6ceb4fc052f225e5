import fc from "fast-check";
import { expect, test } from "vitest";
import { jsonParts } from "../../worker/db/json-parts.ts";
import { MAX_D1_PARAMETER_CHARACTERS } from "../../worker/limits.ts";

/** A value that takes so many characters as JSON. */
const ofLength = (characters: number) => ["x".repeat(characters - 4)];

test("no values make no parameters", () => {
  expect(jsonParts([])).toEqual([]);
});

test("a parameter takes as many values as it may hold and leaves what is one character over", () => {
  const first = ofLength(MAX_D1_PARAMETER_CHARACTERS / 2);
  // The comma between them is a character too.
  const second = MAX_D1_PARAMETER_CHARACTERS / 2 - 1;
  expect(jsonParts([first, ofLength(second)])).toHaveLength(1);
  expect(jsonParts([first, ofLength(second + 1)])).toHaveLength(2);
  const pair = [first, ofLength(second)];
  expect(jsonParts([...pair, ...pair, ...pair])).toHaveLength(3);
});

test("a value that is over the limit is not lost: it goes alone", () => {
  const huge = ofLength(MAX_D1_PARAMETER_CHARACTERS + 1);
  const parts = jsonParts([ofLength(10), huge, ofLength(10)]);
  expect(parts.map((part) => JSON.parse(part))).toEqual([[ofLength(10)], [huge], [ofLength(10)]]);
});

test("parts hold the same values in the same order, none longer than a statement takes", () => {
  const texts = fc.array(
    fc.string({ maxLength: 20 }).map((text) => text.repeat(15_000)),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(texts, (values) => {
      const parts = jsonParts(values);
      expect(parts.flatMap((part) => JSON.parse(part))).toEqual(values);
      for (const part of parts) expect(JSON.parse(part).length === 1 || part.length <= 600_002).toBe(true);
    }),
    { numRuns: 30 },
  );
});
