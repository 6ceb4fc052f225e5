/** Fields that are nearly the name of one are told; others are passed over. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { isNear, nearNames } from "../../worker/http/near-names.ts";

test.each([
  ["max_age", "max_age_seconds"],
  ["max_age_second", "max_age_seconds"],
  ["maxAgeSeconds", "max_age_seconds"],
  ["max-age-seconds", "max_age_seconds"],
  ["MAX_AGE_SECONDS", "max_age_seconds"],
  ["ttl", "ttl_seconds"],
  ["know_at", "known_at"],
  ["event_timestmp", "event_timestamp"],
  ["entityIds", "entity_ids"],
  ["feature_name", "feature_names"],
  ["tags", "tag"],
  ["hour", "hours"],
  ["Rows", "row"],
])("%s may mean %s", (written, field) => expect(isNear(written, field)).toBe(true));

test.each([
  ["label", "rows"],
  ["source", "mode"],
  ["note", "mode"],
  ["nodes", "mode"],
  ["timestamp", "event_timestamp"],
  ["id", "entity_id"],
  ["usage_count", "use_cached"],
  ["ttl_seconds_of_all", "ttl_seconds"],
  ["mode".repeat(10_000), "mode"],
])("another word is not near: case %#", (written, field) => expect(isNear(written, field)).toBe(false));

test("a name is near itself, and near what one letter more or less makes of a long one", () => {
  const word = fc.stringMatching(/^[a-z]{8,20}$/);
  fc.assert(
    fc.property(word, fc.nat(), fc.constantFrom("a", "z", ""), (name, at, letter) => {
      const place = at % name.length;
      const other = name.slice(0, place) + letter + name.slice(place + (letter === "" ? 1 : 0));
      expect([isNear(name, name), isNear(other, name), isNear(name, other)]).toEqual([true, true, true]);
    }),
  );
});

describe("in a request", () => {
  const schema = z.lazy(() =>
    z.object({
      feature_names: z.array(z.string()),
      max_age_seconds: z.number().optional(),
      rows: z.array(z.object({ timestamp: z.string().nullish() })).optional(),
      values: z.record(z.string(), z.unknown()).optional(),
      free: z.looseObject({ entity_type: z.string().optional() }).optional(),
    }),
  );
  const found = (value: unknown) =>
    nearNames(schema, value, ["body"]).map(({ loc, msg }) => `${loc.join(".")} ${msg}`);
  const names = { feature_names: ["a"] };

  test.each([
    [{ ...names, max_age: 60 }, ["body.max_age is not known here: is `max_age_seconds` meant?"]],
    [
      { ...names, rows: [{}, { timestmp: "x" }] },
      ["body.rows.1.timestmp is not known here: is `timestamp` meant?"],
    ],
    [{ ...names, maxAge: 60, value: {} }, ["body.value is not known here: is `values` meant?"]],
    // Passed over, as ever: what is not near, what stands beside the field itself, and names of the caller's own.
    [{ ...names, label: 1, note: "x" }, []],
    [{ ...names, max_age_seconds: 1, max_age: 1 }, []],
    [{ ...names, values: { max_age: 1, feature_name: 2 } }, []],
    [{ ...names, free: { entity_typ: 1 } }, []],
    ["no object", []],
  ])("%j: %j", (value, told) => expect(found(value)).toEqual(told));

  test("no more are compared than take no time, and no more told than help", () => {
    const many = (count: number, name: (i: number) => string) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [name(i), 1]));
    expect(found({ ...many(100_000, (i) => `n${i}`), ...names, max_age: 1 })).toEqual([]);
    expect(found({ rows: Array.from({ length: 50 }, () => ({ timestmp: 1 })) })).toHaveLength(20);
  });
});
