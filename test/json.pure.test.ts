import fc from "fast-check";
import { expect, test } from "vitest";
import {
  isJsonObject,
  NumberOutOfRange,
  nestsDeeperThan,
  parseJson,
  rawDigits,
  rawNumber,
  splitObject,
} from "../worker/json.ts";

const again = (text: string) => JSON.stringify(parseJson(text));

/** Integers of every length, many of them around 2^53. */
const anyInteger = fc.oneof(
  fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }),
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }),
  fc
    .integer({ min: -50, max: 50 })
    .chain((n) => fc.constantFrom(2n ** 53n + BigInt(n), -(2n ** 53n) + BigInt(n))),
);

test("an integer keeps every digit, wherever it stands", () => {
  fc.assert(
    fc.property(anyInteger, fc.jsonValue(), (integer, other) => {
      for (const wrap of [
        (text: string) => text,
        (text: string) => `[1,${text},"${text}"]`,
        (text: string) => `{"a":{"__proto__":[${text}]},"b":${JSON.stringify(other)}}`,
      ]) {
        expect(again(wrap(String(integer)))).toBe(wrap(String(integer)));
      }
    }),
    { numRuns: 500 },
  );
});

test("an integer that a double holds is a number, any other its digits", () => {
  fc.assert(
    fc.property(anyInteger, (integer) => {
      const isExact = integer >= -(2n ** 53n - 1n) && integer <= 2n ** 53n - 1n;
      const value = parseJson(String(integer));
      expect(isExact ? value : rawDigits(value)).toBe(isExact ? Number(integer) : String(integer));
      if (isExact) expect(rawDigits(value)).toBeNull();
    }),
    { numRuns: 500 },
  );
});

test("what has no such integer is read as JSON.parse reads it", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      fc.pre(!/\d{16}/.test(JSON.stringify(value)));
      expect(parseJson(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

/** What the engine itself says of a text, each number with its source: slow, and right. */
function byTheEngine(text: string): string {
  const parse = JSON.parse as (
    text: string,
    reviver: (...found: [string, unknown, { source?: string }]) => unknown,
  ) => unknown;
  try {
    const value = parse(text, (_name, found, { source = "" }) => {
      if (typeof found !== "number") return found;
      if (!Number.isFinite(found)) throw new NumberOutOfRange();
      return !Number.isSafeInteger(found) && /^-?\d+$/.test(source) ? rawNumber(source) : found;
    });
    return JSON.stringify(value);
  } catch (cause) {
    return (cause as Error).constructor.name;
  }
}

function byUs(text: string): string {
  try {
    return again(text);
  } catch (cause) {
    return (cause as Error).constructor.name;
  }
}

test("whatever is sent is read, or refused, as the engine would with each number's source", () => {
  const piece = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.constantFrom("1234567890123456", "-9007199254740993", "0", "-", "+", ".", "e5", "E-"),
    },
    { weight: 3, arbitrary: fc.constantFrom('"', "\\", '"a"', "[", "]", "{", "}", ",", ":", " ", "\n") },
    {
      weight: 1,
      arbitrary: fc.constantFrom('"9007199254740993"', '"__proto__":', "1e999", "true", "\\u0022", "\ufeff"),
    },
  );
  const anyText = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
  // Real JSON with one thing changed comes further than chance does.
  const broken = fc
    .tuple(fc.jsonValue({ maxDepth: 3 }), anyInteger, fc.nat(), fc.nat(3), piece)
    .map(([value, integer, at, removed, added]) => {
      const text = JSON.stringify({ a: [integer.toString(), value], [`${integer}`]: value }).replace(
        /"(-?\d{16,})",/,
        "$1,",
      );
      const place = at % (text.length + 1);
      return text.slice(0, place) + added + text.slice(place + removed);
    });
  fc.assert(
    fc.property(fc.oneof(anyText, broken), (text) => {
      expect(byUs(text)).toBe(byTheEngine(text));
    }),
    { numRuns: 20_000 },
  );
});

test("a float stays the float that it is, with an exponent or without", () => {
  const float = fc.double({ noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(float, (value) => {
      for (const text of [String(value), value.toExponential(), value.toExponential().toUpperCase()]) {
        // An integer may come as its digits: it is compared as a number.
        expect(Number(again(text))).toBe(value === 0 ? 0 : value);
      }
    }),
    { numRuns: 1_000 },
  );
  expect(again("[0.1234567890123456789,1e2,1.7976931348623157e308,5e-324,1e-400]")).toBe(
    "[0.12345678901234568,100,1.7976931348623157e+308,5e-324,0]",
  );
});

test.each([
  "1e999",
  "-1e999",
  "1E+400",
  "1.8e308",
  "0.1e310",
  "1e0309",
  '{"a":[1e999]}',
  `1${"0".repeat(309)}`,
  `-${"9".repeat(400)}`,
  `${"9".repeat(300)}e99`,
])("a number beyond a float64 is refused, not read as infinite (%s)", (text) => {
  expect(() => parseJson(text)).toThrow(NumberOutOfRange);
});

test.each([
  "",
  "{",
  "[1,]",
  "01",
  "1234567890123456 7",
  "{'a':1}",
  "NaN",
  '{"a":1234567890123456,}',
  "undefined",
])("what is not JSON is a SyntaxError (%j)", (text) => {
  expect(() => parseJson(text)).toThrow(SyntaxError);
});

test("text that looks like a long number stays text", () => {
  expect(parseJson('{"9007199254740993":"9007199254740993 1e999"}')).toEqual({
    "9007199254740993": "9007199254740993 1e999",
  });
});

test.each(["1", "9007199254740993"])("__proto__ is a name like any other, beside the number %s", (number) => {
  const text = `{"__proto__":{"x":${number}},"constructor":1}`;
  const value = parseJson(text);
  expect(Object.keys(value as object)).toEqual(["__proto__", "constructor"]);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect(JSON.stringify(value)).toBe(text);
});

test.each([
  ["{}", true],
  ['{"a":1}', true],
  ["[]", false],
  ["null", false],
  ["1", false],
  ["9007199254740993", false],
  ['"{}"', false],
] as const)("%s is an object: %s", (text, expected) => {
  expect(isJsonObject(parseJson(text))).toBe(expected);
});

test("nesting is counted in arrays and objects, at the limit and one over it", () => {
  const nested = fc.array(fc.boolean(), { maxLength: 40 });
  const leaf = fc.constantFrom("1", '"x"', "null", "9007199254740993");
  fc.assert(
    fc.property(nested, leaf, (levels, inner) => {
      const text = levels.reduce<string>(
        (at, isArray) => (isArray ? `[0,${at}]` : `{"a":1,"__proto__":${at}}`),
        inner,
      );
      const value = parseJson(text);
      expect(nestsDeeperThan(value, levels.length)).toBe(false);
      if (levels.length > 0) expect(nestsDeeperThan(value, levels.length - 1)).toBe(true);
    }),
  );
});

test.each(["", "9007199254740993"])(
  "a body nested a hundred thousand times is told without a stack of that depth (%j)",
  (inner) => {
    const text = "[".repeat(100_000) + inner + "]".repeat(100_000);
    expect(nestsDeeperThan(parseJson(text), 32)).toBe(true);
  },
);

test("one long integer among millions of small ones does not make all of them slow", () => {
  const small = "1,".repeat(2_000_000);
  const timeOf = (text: string) => {
    const startedMs = performance.now();
    parseJson(text);
    return performance.now() - startedMs;
  };
  const withoutMs = Math.min(...[1, 2, 3].map(() => timeOf(`[${small}1]`)));
  const withMs = Math.min(...[1, 2, 3].map(() => timeOf(`[${small}9007199254740993]`)));
  expect(withMs).toBeLessThan(15 * withoutMs);
});

test("digits become a number that is written as them", () => {
  expect(JSON.stringify({ n: rawNumber("18446744073709551616") })).toBe('{"n":18446744073709551616}');
  expect(rawDigits(rawNumber("18446744073709551616"))).toBe("18446744073709551616");
});

test("the text of an object is split into names and the texts of their values", () => {
  expect(splitObject('{"a": [1, 9007199254740993], "__proto__":{"x":null}, "":"b"}')).toEqual([
    ["a", "[1,9007199254740993]"],
    ["__proto__", '{"x":null}'],
    ["", '"b"'],
  ]);
  for (const text of ["{}", "[1]", "null", "1", "9007199254740993"]) expect(splitObject(text)).toEqual([]);
});
