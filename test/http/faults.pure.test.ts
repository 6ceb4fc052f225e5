/** What does not fit a schema, in our words. */
import { expect, test } from "vitest";
import * as z from "zod";
import { faultsOf, PARSING } from "../../worker/http/faults.ts";
import { categoriesOf, wholeNumber } from "../../worker/http/fields.ts";
import { parseJson } from "../../worker/json.ts";
import { MAX_NAME_CHARACTERS, MAX_NAMED_FAULTS } from "../../worker/limits.ts";

function faults(schema: z.ZodType, value: unknown, part = "body") {
  const { error } = schema.safeParse(value, PARSING);
  return faultsOf(error?.issues ?? [], value, [part]).map(
    ({ loc, msg, type }) => `${loc.join(".")} ${type}: ${msg}`,
  );
}

const any = z.object({
  string: z.string().min(1).max(3).optional(),
  number: z.number().min(0).max(9).optional(),
  positive: z.number().positive().optional(),
  whole: z.int().min(1).optional(),
  boolean: z.boolean().optional(),
  list: z.array(z.string()).min(1).max(2).optional(),
  object: z.object({ a: z.string(), b: z.string() }).optional(),
  choice: z.enum(["a", "b"]).optional(),
});

test.each([
  ["string", "5", "invalid_type: must be a string, found integer"],
  ["string", "null", "invalid_type: must be a string, found null"],
  ["string", "[]", "invalid_type: must be a string, found array"],
  ["string", `""`, "too_small: must have at least 1 character"],
  ["string", `"abcd"`, "too_big: must have at most 3 characters"],
  ["number", `"5"`, "invalid_type: must be a number, found string"],
  ["number", "-1", "too_small: must be at least 0"],
  ["number", "10", "too_big: must be at most 9"],
  ["positive", "0", "too_small: must be more than 0"],
  ["whole", "1.5", "invalid_type: must be a whole number, found number"],
  ["whole", "true", "invalid_type: must be a number, found boolean"],
  ["whole", "9007199254740993", "invalid_type: must be a number from -9007199254740991 to 9007199254740991"],
  ["boolean", `"true"`, "invalid_type: must be true or false, found string"],
  ["list", "{}", "invalid_type: must be an array, found object"],
  ["list", "[]", "too_small: must have at least 1 entry"],
  ["list", `["a","b","c"]`, "too_big: must have at most 2 entries"],
  ["object", "1", "invalid_type: must be an object, found integer"],
  ["object", "9007199254740993", "invalid_type: must be an object, found integer"],
  ["choice", `"c"`, "invalid_value: must be one of a, b"],
])("%s: %s", (field, json, fault) => {
  expect(faults(any, parseJson(`{"${field}":${json}}`))).toEqual([`body.${field} ${fault}`]);
});

test("what is missing is needed, whatever it must be", () => {
  const all = z.object({
    ...Object.fromEntries(Object.entries(any.shape).map(([name, { unwrap }]) => [name, unwrap()])),
    union: z.union([z.int(), z.string()]),
    entries: categoriesOf(z.string(), { most: 9, example: {} }),
    inner: z.object({ a: z.string() }),
    refined: z.string().refine(() => false),
  });
  const names = Object.keys(all.shape).filter((name) => name !== "inner");
  expect(faults(all, { inner: {} }).toSorted()).toEqual(
    [...names, "inner.a"].map((name) => `body.${name} missing: is needed`).toSorted(),
  );
});

test("categories and what they hold are named by the same words", () => {
  const schema = categoriesOf(z.array(z.string()), { most: 3, example: {} });
  expect(faults(schema, { a: 1, b: ["x", 2], "x:y": [] })).toEqual([
    "body.a custom: must be an array, found integer",
    "body.b.1 custom: must be a string, found integer",
    expect.stringMatching(/^body\.x:y custom: must not contain/),
  ]);
  expect(faults(schema, { a: [], b: [], c: [], d: 1 })).toEqual([
    "body custom: must name at most 3 categories, names 4",
  ]);
});

test("of many faults in categories some are told, and the others not looked for", () => {
  let looked = 0;
  const value = z.string().refine(() => {
    looked += 1;
    return false;
  });
  const schema = categoriesOf(value, { most: 1_000, example: {} });
  const all = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`c${i}`, "x"]));
  expect(faults(schema, all)).toHaveLength(MAX_NAMED_FAULTS);
  expect(looked).toBe(MAX_NAMED_FAULTS);
});

test("a number in an address is named with its range, one that is there twice as such", () => {
  const query = z.object({
    limit: wholeNumber(1, 9).optional(),
    id: wholeNumber(1).optional(),
    name: z.string().optional(),
  });
  const of = (value: unknown) => faults(query, value, "query");
  for (const limit of ["abc", "", "0", "10", "1.5", "1.0", "1e0", "0x1", " 1", "+1", "9007199254740993"]) {
    expect(of({ limit }), limit).toEqual([
      expect.stringMatching(/^query\.limit \w+: must be a whole number from 1 to 9$/),
    ]);
  }
  expect(of({ id: "-1" })).toEqual([expect.stringMatching(/: must be a whole number from 1$/)]);
  for (const name of ["limit", "id", "name"]) {
    expect(of({ [name]: ["1", "2"] })).toEqual([
      `query.${name} given_several_times: must be given once, is given 2 times`,
    ]);
  }
  expect(of({ other: ["1", "2"], limit: "3" })).toEqual([]);
  expect(query.parse({ limit: "03" })).toEqual({ limit: 3 });
});

test("a field that is not known is named, its name cut to a name's length; where no object is, that is said", () => {
  const strict = z.strictObject({ a: z.string().nullish() });
  const long = "x".repeat(MAX_NAME_CHARACTERS + 1);
  expect(faults(strict, { a: "b", b: 1, __proto__x: 1, [long]: 1 })).toEqual([
    "body.b unknown_field: is not known here",
    "body.__proto__x unknown_field: is not known here",
    `body.${long.slice(1)} unknown_field: is not known here`,
  ]);
  for (const json of ["9007199254740993", "1"])
    expect(faults(strict, parseJson(json))).toEqual(["body invalid_type: must be an object, found integer"]);
});
