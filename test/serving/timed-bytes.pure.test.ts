import fc from "fast-check";
import { expect, test } from "vitest";
import { TimedBytes } from "../../worker/serving/timed-bytes.ts";

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const part = fc.oneof(
  fc.constantFrom("", "a", "語", "😀é", '"freshness_seconds":', "7"),
  fc.string({ unit: "grapheme", maxLength: 300 }),
);
const number = fc.oneof(
  fc.constantFrom("", "0", "-1", "0.000000", "9.999999", "10.000000", "-0.000001", "86400.123456"),
  fc.double({ noDefaultInfinity: true, noNaN: true, min: -1e9, max: 1e9 }).map((value) => value.toFixed(6)),
  fc.integer().map(String),
);

test("the number stands between the parts, whatever it was before and however wide it is", () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.array(number, { maxLength: 8 }), (parts, numbers) => {
      const timed = new TimedBytes(parts);
      for (const one of numbers) expect(textOf(timed.with(one))).toBe(parts.join(one));
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  ["wider and narrower", ["9.5", "10.25", "9.5", "100", "1"]],
  ["of the same width", ["1.000000", "2.000000", "1.000001"]],
  ["the same again", ["1.5", "1.5", "2.5", "1.5"]],
  ["negative", ["1", "-1", "-10", "1"]],
  ["none", ["", "1", "", "22", ""]],
])("numbers that are %s", (_, numbers) => {
  for (const parts of [[], [""], ["only"], ["", ""], ["a", "", "b"], ["語", "é", "", "😀"]]) {
    const timed = new TimedBytes(parts);
    expect(numbers.map((one) => textOf(timed.with(one)))).toEqual(numbers.map((one) => parts.join(one)));
  }
});

test("two of them do not know of each other", () => {
  const [first, second] = [new TimedBytes(["a", "b"]), new TimedBytes(["a", "b"])];
  const bytes = first.with("1");
  second.with("2");
  expect([textOf(bytes), textOf(second.with("2"))]).toEqual(["a1b", "a2b"]);
});
