import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CategoryRow } from "../../worker/db/current-rows.ts";
import type { EntityRef } from "../../worker/keys.ts";
import type { Tier } from "../../worker/monitoring/metric-record.ts";
import type { Catalog } from "../../worker/registry/catalog.ts";
import { type DocumentCategory, documentOf, liveCategory } from "../../worker/serving/document.ts";
import * as answers from "../../worker/serving/item-answers.ts";
import { findCategories, type Judged, type Selection } from "../../worker/serving/item-answers.ts";
import type { EntityRead } from "../../worker/serving/read-entities.ts";
import { parseTimestamp } from "../../worker/timestamps.ts";

const REF = { entityType: "bright_uid", entityValue: "user-123" };
/** `"*"`: the whole category. */
function selecting(entries: [string, "*" | string[]][]): Selection {
  return new Map(
    entries.map(([name, asked]) => [
      name,
      asked === "*" ? { whole: true, names: [] } : { whole: false, names: asked },
    ]),
  );
}

function itemAnswer(ref: EntityRef, name: string, read: EntityRead, judged: Judged): string | null {
  const [found] = findCategories(ref, selecting([[name, "*"]]), read, judged);
  return found ? answers.itemAnswer(ref, found, read) : null;
}

const itemsAnswer = (ref: EntityRef, selection: Selection, read: EntityRead, judged: Judged) =>
  answers.itemsAnswer(ref, selection, findCategories(ref, selection, read, judged), read);

const judgedAt = (now: number): Judged => ({ now, catalog: null });

const at = (text: string) => parseTimestamp(text) ?? Number.NaN;

function category(data: string, options: Partial<DocumentCategory> = {}): DocumentCategory {
  const times = { eventTime: 0, eventTimes: null, createdAt: 0, updatedAt: 0 };
  return { data, ...times, computeId: null, expiresAt: null, ...options };
}

function readOf(
  categories: Record<string, DocumentCategory> | [string, DocumentCategory][],
  source: Tier = "kv",
): EntityRead {
  const entries = Array.isArray(categories) ? categories : Object.entries(categories);
  return { document: { revision: 7, categories: new Map(entries), size: 10_000 }, revision: 7, source };
}

const NOTHING: EntityRead = { document: null, revision: 0, source: "d1" };

const EXAMPLE = readOf({
  user_features: category('{"age":30,"income":60000,"city":"SF"}', {
    createdAt: at("2025-10-13T08:12:47.751080Z"),
    updatedAt: at("2025-10-13T08:15:30.123456Z"),
    computeId: "compute-123",
  }),
  transaction_features: category('{"total_transactions":150,"avg_transaction_value":250.5}', {
    createdAt: at("2025-10-13T08:10:00Z"),
    updatedAt: at("2025-10-13T08:20:00Z"),
    computeId: "compute-456",
  }),
});

describe("the answers of seeds/000", () => {
  test("one category, with revision and source beside it", () => {
    expect(itemAnswer(REF, "user_features", EXAMPLE, judgedAt(0))).toBe(
      '{"bright_uid":"user-123","category":"user_features","features":{"data":{"age":30,"income":60000,"city":"SF"},' +
        '"meta":{"created_at":"2025-10-13T08:12:47.751080+00:00","updated_at":"2025-10-13T08:15:30.123456+00:00",' +
        '"compute_id":"compute-123"}},"revision":7,"source":"kv"}',
    );
  });

  test("several categories, some features of one and all of another", () => {
    const selection = selecting([
      ["user_features", ["age", "income"]],
      ["transaction_features", "*"],
    ]);
    expect(itemsAnswer(REF, selection, EXAMPLE, judgedAt(0))).toBe(
      '{"entity_value":"user-123","entity_type":"bright_uid","items":{"user_features":{"features":{' +
        '"data":{"age":30,"income":60000},"metadata":{"created_at":"2025-10-13T08:12:47.751080+00:00",' +
        '"updated_at":"2025-10-13T08:15:30.123456+00:00","compute_id":"compute-123"}}},' +
        '"transaction_features":{"features":{"data":{"total_transactions":150,"avg_transaction_value":250.5},' +
        '"metadata":{"created_at":"2025-10-13T08:10:00.000000+00:00","updated_at":"2025-10-13T08:20:00.000000+00:00",' +
        '"compute_id":"compute-456"}}}},"unavailable_feature_categories":[],"unavailable_features":{},' +
        '"revision":7,"source":"kv"}',
    );
  });
});

test("a category may be read up to the moment at which its TTL ends, and no microsecond longer", () => {
  const read = readOf({ c: category('{"a":1}', { expiresAt: 1_000 }), stays: category('{"a":2}') });
  const selection = selecting([
    ["c", "*"],
    ["stays", "*"],
  ]);
  expect(liveCategory(read.document?.categories.get("c"), 1_000)).not.toBeNull();
  expect(itemAnswer(REF, "c", read, judgedAt(1_000))).not.toBeNull();
  expect(
    JSON.parse(itemsAnswer(REF, selection, read, judgedAt(1_000)) ?? "").unavailable_feature_categories,
  ).toEqual([]);
  expect(liveCategory(read.document?.categories.get("c"), 1_001)).toBeNull();
  expect(itemAnswer(REF, "c", read, judgedAt(1_001))).toBeNull();
  const late = JSON.parse(itemsAnswer(REF, selection, read, judgedAt(1_001)) ?? "");
  expect(late.unavailable_feature_categories).toEqual(["c"]);
  expect(Object.keys(late.items)).toEqual(["stays"]);
});

test("a TTL that ended in 1970 or before is over like any other", () => {
  const { document } = readOf({ c: category("{}", { expiresAt: 0 }) });
  expect(liveCategory(document?.categories.get("c"), 0)).not.toBeNull();
  expect(liveCategory(document?.categories.get("c"), 1)).toBeNull();
});

/** As it is stored, with small values; how often they were looked at. */
function countedRead(categories: number): { read: EntityRead; looks: () => number } {
  const rows = Array.from({ length: categories }, (_, i): CategoryRow => {
    const times = { eventTime: 0, eventTimes: null, floor: 0, createdAt: 0, updatedAt: 0, deletedAt: null };
    const data = '{"a":1,"b":2}';
    return { category: `c${i}`, data, ...times, revision: 7, computeId: null, source: null, expiresAt: null };
  });
  const document = documentOf(7, rows);
  let looks = 0;
  for (const stored of document?.categories.values() ?? []) {
    const { data } = stored;
    Object.defineProperty(stored, "data", {
      get() {
        looks += 1;
        return data;
      },
    });
  }
  return { read: { document, revision: 7, source: "memory" }, looks: () => looks };
}

describe("what is missing", () => {
  test("is null when there is no such category, or no entity", () => {
    expect(itemAnswer(REF, "other", EXAMPLE, judgedAt(0))).toBeNull();
    expect(itemAnswer(REF, "user_features", NOTHING, judgedAt(0))).toBeNull();
    expect(itemsAnswer(REF, selecting([["other", "*"]]), EXAMPLE, judgedAt(0))).toBeNull();
    expect(itemsAnswer(REF, selecting([["user_features", "*"]]), NOTHING, judgedAt(0))).toBeNull();
  });

  test("is named: categories in a list, features under their category, in the order of the request", () => {
    const selection = selecting([
      ["none", ["a"]],
      ["user_features", ["toString", "city", "zip", "age"]],
      ["gone", "*"],
      ["transaction_features", "*"],
    ]);
    const answer = JSON.parse(itemsAnswer(REF, selection, EXAMPLE, judgedAt(0)) ?? "");
    expect(answer.unavailable_feature_categories).toEqual(["none", "gone"]);
    expect(answer.unavailable_features).toEqual({ user_features: ["toString", "zip"] });
    expect(JSON.stringify(answer.items.user_features.features.data)).toBe('{"city":"SF","age":30}');
  });

  test("leaves a known category present and empty when only unknown names were asked of it", () => {
    const answer = JSON.parse(
      itemsAnswer(REF, selecting([["user_features", ["x"]]]), EXAMPLE, judgedAt(0)) ?? "",
    );
    expect(answer.items.user_features.features.data).toEqual({});
    expect(answer.unavailable_features).toEqual({ user_features: ["x"] });
  });

  test("is not confused with a value that is null", () => {
    const read = readOf({ c: category('{"n":null}') });
    const answer = JSON.parse(itemsAnswer(REF, selecting([["c", ["n"]]]), read, judgedAt(0)) ?? "");
    expect(answer).toMatchObject({
      items: { c: { features: { data: { n: null } } } },
      unavailable_features: {},
    });
  });
});

test("integers keep their digits, asked for by name or with all others", () => {
  const read = readOf({ c: category('{"n":9007199254740993,"m":[18446744073709551615]}') });
  expect(itemAnswer(REF, "c", read, judgedAt(0))).toContain(
    '"data":{"n":9007199254740993,"m":[18446744073709551615]}',
  );
  expect(itemsAnswer(REF, selecting([["c", ["m", "n"]]]), read, judgedAt(0))).toContain(
    '"data":{"m":[18446744073709551615],"n":9007199254740993}',
  );
});

test("whatever things are called, an answer is JSON that names each under its own name", () => {
  const name = fc.oneof(
    fc.constantFrom("__proto__", "constructor", "toString", "10", 'quo"te\\', "\u2028", "größe", "{}"),
    fc.string({ unit: "grapheme", minLength: 1 }),
  );
  const values = fc.uniqueArray(fc.tuple(name, fc.jsonValue({ maxDepth: 1 })), {
    selector: ([key]) => key,
    maxLength: 4,
  });
  const categories = fc.uniqueArray(fc.tuple(name, values), {
    selector: ([key]) => key,
    minLength: 1,
    maxLength: 4,
  });
  const textOf = (pairs: [string, unknown][]) =>
    `{${pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
  fc.assert(
    fc.property(categories, name, name, fc.boolean(), (given, entityValue, asked, isWhole) => {
      const read = readOf(given.map(([key, pairs]) => [key, category(textOf(pairs), { computeId: asked })]));
      const namesOf = (pairs: [string, unknown][]) => [...new Set([...pairs.map(([key]) => key), asked])];
      const selection = selecting(
        given.map(([key, pairs]) => [key, isWhole ? ("*" as const) : namesOf(pairs)]),
      );
      const ref = { entityType: "bright_uid", entityValue };
      const several = JSON.parse(itemsAnswer(ref, selection, read, judgedAt(0)) ?? "");
      expect(several.entity_value).toBe(entityValue);
      expect(new Set(Object.keys(several.items))).toEqual(new Set(given.map(([key]) => key)));
      for (const [key, pairs] of given) {
        const one = JSON.parse(itemAnswer(ref, key, read, judgedAt(0)) ?? "");
        expect([one.bright_uid, one.category, one.features.meta.compute_id]).toEqual([
          entityValue,
          key,
          asked,
        ]);
        const expected = new Map(Object.entries(JSON.parse(textOf(pairs))));
        expect(new Map(Object.entries(one.features.data))).toEqual(expected);
        expect(new Map(Object.entries(several.items[key].features.data))).toEqual(expected);
        const missing = new Map(Object.entries(several.unavailable_features)).get(key) ?? [];
        expect(missing).toEqual(isWhole || expected.has(asked) ? [] : [asked]);
      }
    }),
    { numRuns: 500 },
  );
});

test("a feature that a whole category does not have is named beside it", () => {
  const read = readOf({ c: category('{"n":1}') });
  const selection: Selection = new Map([["c", { whole: true, names: ["n", "x"] }]]);
  const answer = JSON.parse(itemsAnswer(REF, selection, read, judgedAt(0)) ?? "");
  expect(answer.items.c.features.data).toEqual({ n: 1 });
  expect(answer.unavailable_features).toEqual({ c: ["x"] });
});

describe("an answer that is asked for again", () => {
  const SOURCES = ["memory", "kv", "d1"] as const;
  const CATEGORIES = ["c", "d", "größe"] as const;
  const moment = fc.nat(9);
  /** Features of the times of their category, or with their own and their own expiry. */
  const ownTimes = fc.dictionary(
    fc.constantFrom("a", "b"),
    fc.oneof(moment, fc.tuple(moment, fc.option(moment))),
    { minKeys: 1 },
  );
  const stored = fc.record({
    n: fc.nat(),
    eventTimes: fc.option(ownTimes.map((times) => JSON.stringify(times))),
    expiresAt: fc.option(moment),
  });
  const content = fc.uniqueArray(fc.tuple(fc.constantFrom(...CATEGORIES), stored), {
    selector: ([name]) => name,
    maxLength: 3,
  });
  const wanted = fc.record({
    whole: fc.boolean(),
    names: fc.uniqueArray(fc.constantFrom("a", "b", "none")),
  });
  const selection = fc
    .uniqueArray(fc.tuple(fc.constantFrom(...CATEGORIES, "gone"), wanted), {
      selector: ([name]) => name,
      minLength: 1,
    })
    .map((entries): Selection => new Map(entries));
  const question = fc.record({
    kind: fc.constantFrom("item", "items"),
    category: fc.constantFrom(...CATEGORIES, "gone"),
    selection: fc.nat(2),
    source: fc.constantFrom(...SOURCES),
    now: moment.map((now) => now + 1),
  });

  test("is what a fresh document would answer, whatever was asked of it before and when", () => {
    fc.assert(
      fc.property(
        content,
        fc.array(selection, { minLength: 3, maxLength: 3 }),
        fc.array(question, { minLength: 2, maxLength: 12 }),
        (given, selections, questions) => {
          const fresh = (source: Tier) =>
            readOf(
              given.map(([name, { n, ...times }]) => [name, category(`{"a":${n},"b":[null]}`, times)]),
              source,
            );
          const { document, revision } = fresh("kv");
          for (const { kind, category: name, selection: which, source, now } of questions) {
            const read: EntityRead = { document, revision, source };
            const asked = selections[which] ?? new Map();
            const [found, expected] =
              kind === "item"
                ? [
                    itemAnswer(REF, name, read, judgedAt(now)),
                    itemAnswer(REF, name, fresh(source), judgedAt(now)),
                  ]
                : [
                    itemsAnswer(REF, asked, read, judgedAt(now)),
                    itemsAnswer(REF, asked, fresh(source), judgedAt(now)),
                  ];
            expect(found).toBe(expected);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("is made anew once a registered TTL is over, and as before when it is asked as of then", () => {
    const { document, revision } = readOf({ c: category('{"a":1,"b":2}') }, "memory");
    const read: EntityRead = {
      document: document && { ...document, size: 1_000 },
      revision,
      source: "memory",
    };
    const ttls = { byName: new Map([["a", 50]]), others: Number.POSITIVE_INFINITY, shortest: 50 };
    const catalog = { ttlsIn: () => ttls } as unknown as Catalog;
    const asked = selecting([["c", "*"]]);
    const dataAt = (now: number) =>
      JSON.parse(itemsAnswer(REF, asked, read, { now, catalog }) ?? "").items.c.features.data;
    expect([50, 51, 50].map(dataAt)).toEqual([{ a: 1, b: 2 }, { b: 2 }, { a: 1, b: 2 }]);
  });

  test.each([1, 3, 30])("is put together once, of %i categories with small values", (count) => {
    const { read, looks } = countedRead(count);
    const asked = selecting(Array.from({ length: count }, (_, i) => [`c${i}`, "*"]));
    const first = itemsAnswer(REF, asked, read, judgedAt(0));
    expect(looks()).toBe(count);
    expect(itemsAnswer(REF, asked, read, judgedAt(0))).toBe(first);
    expect(looks()).toBe(count);
  });

  test("is not kept where it mostly says what is missing: the memory of documents is bounded", () => {
    const missing = Array.from({ length: 200 }, (_, i): [string, "*"] => [`missing-${i}`, "*"]);
    const asked = selecting([["c0", "*"], ...missing]);
    const { read, looks } = countedRead(1);
    for (const times of [1, 2]) {
      itemsAnswer(REF, asked, read, judgedAt(0));
      expect(looks()).toBe(times);
    }
  });

  test("is by its source, for one category and for several", () => {
    const { document, revision } = readOf({ c: category('{"a":1}') });
    const asked = selecting([["c", "*"]]);
    for (const source of [...SOURCES, ...SOURCES.toReversed(), "kv", "kv"] as const) {
      const read: EntityRead = { document, revision, source };
      for (const text of [
        itemAnswer(REF, "c", read, judgedAt(0)),
        itemsAnswer(REF, asked, read, judgedAt(0)),
      ])
        expect(JSON.parse(text ?? "")).toMatchObject({ source });
    }
  });

  test("ends with the TTL of its category, and with that of each feature", () => {
    const read = readOf({
      ends: category('{"a":1}', { expiresAt: 50 }),
      partly: category('{"a":1,"b":2}', { eventTimes: '{"b":[0,50]}' }),
      stays: category('{"a":1}'),
    });
    const asked = selecting([
      ["ends", "*"],
      ["partly", "*"],
      ["stays", "*"],
    ]);
    const dataOf = (text: string | null) => {
      const { items } = JSON.parse(text ?? "") as { items: Record<string, { features: { data: unknown } }> };
      return Object.entries(items).map(([name, { features }]) => [name, features.data]);
    };
    const seen = (now: number) => ({
      ends: itemAnswer(REF, "ends", read, judgedAt(now)) !== null,
      partly: JSON.parse(itemAnswer(REF, "partly", read, judgedAt(now)) ?? "").features.data,
      items: dataOf(itemsAnswer(REF, asked, read, judgedAt(now))),
    });
    const young = {
      ends: true,
      partly: { a: 1, b: 2 },
      items: [
        ["ends", { a: 1 }],
        ["partly", { a: 1, b: 2 }],
        ["stays", { a: 1 }],
      ],
    };
    const old = {
      ends: false,
      partly: { a: 1 },
      items: [
        ["partly", { a: 1 }],
        ["stays", { a: 1 }],
      ],
    };
    // Back again too: the clock may step back.
    expect([49, 50, 51, 50, 51].map(seen)).toEqual([young, young, old, young, old]);
  });
});
