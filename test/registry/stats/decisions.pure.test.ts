/** Which values of an event count for which features, and of which hours is answered. */
import { describe, expect, test } from "vitest";
import type { FeatureAvailable } from "../../../worker/events/feature-available.ts";
import {
  MAX_COUNTED_FEATURES_PER_WRITE,
  MAX_D1_PARAMETER_CHARACTERS,
  MAX_STATS_HOURS,
  MAX_STATS_VALUES_PER_CALL,
} from "../../../worker/limits.ts";
import { buildCatalog, type CatalogVersion } from "../../../worker/registry/catalog.ts";
import {
  type Cell,
  callsOf,
  contributionsOf,
  lookupsOf,
} from "../../../worker/registry/stats/contribution.ts";
import { parametersOf } from "../../../worker/registry/stats/lookup.ts";
import { askedHours } from "../../../worker/registry/stats/window.ts";
import { formatTimestamp } from "../../../worker/timestamps.ts";

const version = (number: number, dtype: CatalogVersion["dtype"] = "float64"): CatalogVersion => ({
  ...{ version: number, dtype, ttlSeconds: null, defaultValue: null, status: "draft", createdAt: 1 },
});
const scalar = (name: string, ...versions: CatalogVersion[]) => ({
  ...{ name, kind: "scalar" as const, entityType: "user", category: "default", versions },
});
const many = Array.from({ length: MAX_COUNTED_FEATURES_PER_WRITE + 1 }, (_, i) => `many_${i}`);
const catalog = buildCatalog([
  scalar("age", version(1, "int64"), version(2)),
  scalar("active", version(1, "boolean")),
  scalar("anything", version(1, "json")),
  { ...scalar("elsewhere", version(1)), category: "other" },
  { ...scalar("of_account", version(1)), entityType: "account" },
  { ...scalar("vector", version(1, "vector"), version(2, "vector")), kind: "computed", category: "vector" },
  ...many.map((name) => ({ ...scalar(name, version(1)), category: "many" })),
]);

const event = (over: Partial<FeatureAvailable> = {}): FeatureAvailable => ({
  event_id: "3f0c0e0a-0000-4000-8000-000000000001",
  event_type: "feature_available",
  timestamp: formatTimestamp(7_000_000),
  event_timestamp: formatTimestamp(5_000_001),
  ...{ entity_type: "user", entity_id: "u", resource_type: "feature", resource_name: "default" },
  ...{ compute_id: null, features: ["age", "unregistered"], features_truncated: false },
  ...{ tenant_id: "default", revision: 1, schema_version: 1 },
  ...over,
});

/** Of each lookup what it wants. */
const wantedOf = (over: Partial<FeatureAvailable>) =>
  lookupsOf(event(over), catalog).map((lookup) =>
    lookup.kind === "scalars" ? [...lookup.stored.keys()] : [lookup.feature.name, lookup.version.version],
  );

describe("of an event are looked up", () => {
  test.each<[string, Partial<FeatureAvailable>, unknown[]]>([
    ["the registered ones of the features named", {}, [["age"]]],
    ["versions under their stored names", { features: ["age@2", "age@1", "age@3"] }, [["age@2"]]],
    ["none where none is registered", { features: ["unregistered", "elsewhere"] }, []],
    ["none of another category", { resource_name: "elsewhere", features: ["elsewhere"] }, []],
    ["none of another entity type", { entity_type: "account", features: ["age"] }, []],
    [
      "all that are registered when names were left out",
      { features: [], features_truncated: true },
      [["age", "age@2", "active", "anything"]],
    ],
    [
      "the vector in the category of a computed feature",
      { resource_name: "vector", features: ["x"] },
      [["vector", 1]],
    ],
    ["the vector of a later version", { resource_name: "vector@2", features: ["x"] }, [["vector", 2]]],
    [
      "no vector under a name that is not a category of its own",
      { resource_name: "vector@1", features: ["x"] },
      [],
    ],
    ["no vector of a version that is not there", { resource_name: "vector@3", features: ["x"] }, []],
    [
      "no vector of another entity type",
      { entity_type: "account", resource_name: "vector", features: ["x"] },
      [],
    ],
    ["nothing of an event whose time cannot be read", { event_timestamp: "yesterday" }, []],
  ])("%s", (_, over, wanted) => expect(wantedOf(over)).toEqual(wanted));

  test("no more features than the limit says", () => {
    const [wanted] = wantedOf({ resource_name: "many", features: many });
    expect(wanted).toEqual(many.slice(0, MAX_COUNTED_FEATURES_PER_WRITE));
  });
});

describe("an event contributes", () => {
  const contributed = (over: Partial<FeatureAvailable>, cells: Cell[] | null) => {
    const lookups = lookupsOf(event(over), catalog);
    return contributionsOf(
      lookups,
      lookups.map((_, i) => (i === 0 ? cells : null)),
    );
  };
  const observed = (name: string, cell: [string, number | null]) =>
    contributed({ features: [name] }, [[name, ...cell]])[0]?.features;

  test("with its id and times, once, and nothing when its row is gone", () => {
    expect(contributed({}, [["age", "integer", 30]])).toEqual([
      {
        ...{ eventId: event().event_id, ingestedAt: 7_000_000, eventTime: 5_000_001 },
        features: [{ feature: "age", version: 1, registeredAt: 1, value: 30, columns: [] }],
      },
    ]);
    expect(contributed({}, null)).toEqual([]);
  });

  test.each<[string, string, [string, number | null], unknown]>([
    ["a number", "age", ["integer", 30], 30],
    ["a null", "age", ["null", null], null],
    ["true as 1", "active", ["true", null], 1],
    ["false as 0", "active", ["false", null], 0],
    ["a number of a json feature without its size", "anything", ["real", 1.5], "other"],
    ["a true of a json feature without its size", "anything", ["true", null], "other"],
    ["a null of a json feature", "anything", ["null", null], null],
    ["an array without a number", "anything", ["array", null], "other"],
  ])("%s", (_, name, cell, value) =>
    expect(observed(name, cell)).toEqual([
      { feature: name, version: 1, registeredAt: 1, value, columns: [] },
    ]),
  );

  test("a vector by columns; it is null itself when all of them are", () => {
    const vector = (...cells: Cell[]) => contributed({ resource_name: "vector@2" }, cells)[0]?.features[0];
    expect(vector(["a", "real", 1.5], ["b", "text", null], ["c", "null", null])).toEqual({
      ...{ feature: "vector", version: 2, registeredAt: 1, value: "other" },
      columns: [
        ["a", 1.5],
        ["b", "other"],
        ["c", null],
      ],
    });
    expect(vector(["a", "null", null], ["b", "null", null])?.value).toBeNull();
    expect(vector()?.value).toBe("other");
  });
});

test("references are cut into parameters that D1 takes, none is lost, and a usual batch is one", () => {
  const name = (i: number) => `${i}`.padEnd(512, "☃");
  const lookups = Array.from({ length: 100 }, (_, i) =>
    lookupsOf(event({ entity_id: name(i), resource_name: "many", features: many }), catalog),
  ).flat();
  const parts = parametersOf(lookups);
  expect(parts.length).toBeGreaterThan(1);
  for (const part of parts) expect(part.length).toBeLessThan(MAX_D1_PARAMETER_CHARACTERS);
  expect(parts.flatMap((part) => JSON.parse(part).map(([position]: number[]) => position))).toEqual(
    lookups.map((_, i) => i),
  );
  const usual = Array.from({ length: 100 }, () => lookupsOf(event(), catalog)).flat();
  expect(parametersOf(usual)).toHaveLength(1);
});

test("contributions are cut into calls of a bounded number of values, an event never, and none is lost", () => {
  const columns = Array.from({ length: 99 }, (_, i): [string, number] => [`c${i}`, i]);
  const features = Array.from({ length: MAX_STATS_VALUES_PER_CALL / 250 }, () => ({
    ...{ feature: "f", version: 1, registeredAt: 1, value: null, columns },
  }));
  const all = Array.from({ length: 7 }, (_, i) => ({
    eventId: `e${i}`,
    ingestedAt: 0,
    eventTime: 0,
    features,
  }));
  const calls = callsOf(all);
  // Each is 40 % of what a call takes.
  expect(calls.map((call) => call.length)).toEqual([2, 2, 2, 1]);
  expect(calls.flat()).toEqual(all);
  expect(callsOf([])).toEqual([]);
});

describe("the hours asked for", () => {
  const HOUR = 3_600_000_000;
  const now = 1_000 * HOUR + 5;
  const hoursOf = (window: Parameters<typeof askedHours>[0]) => {
    const answer = askedHours(window, now);
    return answer.kind === "hours" ? [answer.asked.first, answer.asked.last] : answer.fault.loc.join(".");
  };

  test.each<[string, Parameters<typeof askedHours>[0], unknown]>([
    ["nothing said: a day up to now", {}, [977, 1_000]],
    ["so many up to now", { hours: 1 }, [1_000, 1_000]],
    ["from a time to now", { from: 990 * HOUR + 1 }, [990, 1_000]],
    ["a day up to a time, which is not included", { to: 900 * HOUR }, [876, 899]],
    ["a day up to a time within an hour", { to: 900 * HOUR + 1 }, [877, 900]],
    ["so many up to a time", { to: 900 * HOUR, hours: 2 }, [898, 899]],
    ["so many from a time on", { from: 900 * HOUR, hours: 2 }, [900, 901]],
    ["from one to another", { from: 900 * HOUR, to: 903 * HOUR }, [900, 902]],
    ["no time at all is still its hour", { from: 900 * HOUR, to: 900 * HOUR }, [900, 900]],
    ["all three", { from: 900 * HOUR, to: 903 * HOUR, hours: 3 }, "query.hours"],
    ["the wrong way round", { from: 903 * HOUR, to: 900 * HOUR }, "query.from"],
    ["from the future on", { from: 1_001 * HOUR }, "query.from"],
    ["so many from the future on", { from: 1_001 * HOUR, hours: 2 }, "query.from"],
    ["the most there may be", { from: (1_001 - MAX_STATS_HOURS) * HOUR }, [1_001 - MAX_STATS_HOURS, 1_000]],
    ["one too many", { from: (1_000 - MAX_STATS_HOURS) * HOUR }, "query.from"],
  ])("%s", (_, window, expected) => expect(hoursOf(window)).toEqual(expected));
});
