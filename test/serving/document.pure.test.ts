import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CategoryRow } from "../../worker/db/current-rows.ts";
import { writeFeatureTimes } from "../../worker/db/feature-times.ts";
import {
  decodeDocument,
  decodeKnown,
  documentOf,
  encodeDocument,
  liveCategory,
  timesOf,
  valuesOf,
} from "../../worker/serving/document.ts";

const time = fc.integer({ min: -8_520_336_000_000_000, max: 7_258_118_400_000_000 });
const name = fc.oneof(
  fc.constantFrom("user_features", "__proto__", "constructor", "7", 'a"b\\c', "größe", "\u2028"),
  fc.string({ unit: "grapheme", minLength: 1 }),
);
const data = fc.oneof(
  fc.dictionary(name, fc.jsonValue()).map((values) => JSON.stringify(values)),
  fc.constant('{"__proto__":9007199254740993,"n":18446744073709551615}'),
);

const row: fc.Arbitrary<CategoryRow> = fc.record({
  category: name,
  data: fc.option(data, { freq: 4 }),
  eventTimes: fc.option(fc.dictionary(name, time).map((times) => JSON.stringify(times))),
  eventTime: time,
  floor: fc.option(time),
  deletedAt: fc.option(time),
  createdAt: time,
  updatedAt: time,
  revision: fc.nat(),
  computeId: fc.option(name),
  source: fc.option(name),
  expiresAt: fc.option(time),
});
const rows = fc.uniqueArray(row, { selector: ({ category }) => category, maxLength: 5 });

test("a document is the categories that exist, each as its row has it", () => {
  fc.assert(
    fc.property(rows, fc.nat(), (given, revision) => {
      const live = given.filter((one) => one.data !== null);
      const document = documentOf(revision, given);
      expect(document?.revision ?? revision).toBe(revision);
      expect([...(document?.categories ?? [])]).toEqual(
        live.map(
          ({ category, data: text, eventTime, eventTimes, createdAt, updatedAt, computeId, expiresAt }) => [
            category,
            { data: text, eventTime, eventTimes, createdAt, updatedAt, computeId, expiresAt },
          ],
        ),
      );
    }),
  );
});

test("of an entity without a category there is no document", () => {
  fc.assert(
    fc.property(rows, (given) => {
      expect(
        documentOf(
          3,
          given.map((one) => ({ ...one, data: null })),
        ),
      ).toBeNull();
    }),
  );
});

test("what is stored is read again, to the last digit and whatever things are called", () => {
  fc.assert(
    fc.property(rows, fc.maxSafeNat(), (given, revision) => {
      const document = documentOf(revision, given);
      fc.pre(document !== null);
      expect(document && decodeDocument(encodeDocument(document))).toEqual(document);
    }),
    { numRuns: 500 },
  );
});

test("the size of a document is at least that of its texts", () => {
  fc.assert(
    fc.property(rows, (given) => {
      const texts = given
        .filter((one) => one.data !== null)
        .reduce(
          (sum, one) => sum + one.category.length + (one.data?.length ?? 0) + (one.eventTimes?.length ?? 0),
          0,
        );
      expect(documentOf(1, given)?.size ?? 0).toBeGreaterThanOrEqual(texts);
    }),
  );
});

test("the stored form is the one that its format number stands for", () => {
  const category = { data: '{"a":1}', eventTime: 1, eventTimes: '{"a":0}', createdAt: 2, updatedAt: 3 };
  const document = {
    revision: 9,
    categories: new Map([["c", { ...category, computeId: "x", expiresAt: 4 }]]),
    size: 215,
  };
  const text = '{"format":1,"revision":9,"categories":[["c","{\\"a\\":1}",1,"{\\"a\\":0}",2,3,"x",4]]}';
  expect(encodeDocument(document)).toBe(text);
  expect(decodeDocument(text)).toEqual(document);
});

test.each([
  "",
  "not json",
  "null",
  "7",
  '"text"',
  "[]",
  "{}",
  '{"format":0,"revision":1,"categories":[]}',
  '{"format":2,"revision":1,"categories":[]}',
  '{"format":"1","revision":1,"categories":[]}',
  '{"format":1,"revision":1,"categories":[',
])("%j is no document of this format", (text) => {
  expect(decodeDocument(text)).toBeNull();
});

test("each value of a category is found under its name, with its own event time or the category's", () => {
  const times = { eventTime: 20, createdAt: 0, updatedAt: 0, computeId: null, expiresAt: null };
  const data = '{"a":1,"__proto__":[9007199254740993],"constructor":null}';
  const mixed = { ...times, data, eventTimes: '{"__proto__":10,"a":0}' };
  expect([...valuesOf(mixed)]).toEqual([
    ["a", "1"],
    ["__proto__", "[9007199254740993]"],
    ["constructor", "null"],
  ]);
  for (const _again of [1, 2]) {
    expect(
      ["a", "__proto__", "constructor", "toString"].map((name) => timesOf(mixed, name).eventTime),
    ).toEqual([0, 10, 20, 20]);
  }
  expect(timesOf({ ...mixed, eventTimes: null }, "a").eventTime).toBe(20);
  expect(valuesOf({ ...mixed, data: "{}" }).size).toBe(0);
});

test("features merged with a TTL of their own come and go by it, whatever the category's is", () => {
  const times = { eventTime: 0, createdAt: 0, updatedAt: 0, computeId: null };
  const longer = { ...times, data: '{"a":1,"b":2}', eventTimes: '{"b":[0,50]}', expiresAt: null };
  expect(liveCategory(longer, 50)?.data).toBe('{"a":1,"b":2}');
  expect(liveCategory(longer, 51)?.data).toBe('{"a":1}');
  const shorter = { ...times, data: '{"a":1,"b":2}', eventTimes: '{"b":[0,null]}', expiresAt: 50 };
  expect(liveCategory(shorter, 50)?.data).toBe('{"a":1,"b":2}');
  expect(liveCategory(shorter, 51)?.data).toBe('{"b":2}');
  const both = { ...times, data: '{"a":1,"b":2}', eventTimes: '{"b":[0,60]}', expiresAt: 50 };
  expect(liveCategory(both, 61)).toBeNull();
});

test("features that are registered with a TTL come and go by it: a value may be as old as that, no older", () => {
  const times = { createdAt: 0, updatedAt: 0, computeId: null };
  const VALUES = ["a", "b", "c"];
  const maybe = <T>(values: fc.Arbitrary<T>) => fc.option(values, { freq: 2 });
  const small = fc.nat(12);
  fc.assert(
    fc.property(
      fc.record({ eventTime: small, expiresAt: maybe(small), now: small }),
      // Of all features that have none of their own, as a computed feature's vector has.
      fc.oneof(fc.constant(Number.POSITIVE_INFINITY), small),
      fc.array(fc.record({ own: maybe(small), expires: maybe(maybe(small)), ttl: maybe(small) }), {
        minLength: 3,
        maxLength: 3,
      }),
      ({ now, ...row }, others, drafts) => {
        const features = VALUES.map((name, i) => {
          const { own, expires, ttl } = drafts[i] ?? { own: null, expires: null, ttl: null };
          const hasExpiry = own !== null && expires !== null;
          const expiresAt = hasExpiry ? (expires ?? null) : row.expiresAt;
          return { name, eventTime: own ?? row.eventTime, expiresAt, ttl };
        });
        const category = {
          ...{ ...times, ...row, data: '{"a":1,"b":2,"c":3}' },
          eventTimes: writeFeatureTimes(
            features.map((feature) => [feature.name, feature] as const),
            row,
          ),
        };
        const byName = new Map(features.flatMap(({ name, ttl }) => (ttl === null ? [] : [[name, ttl]])));
        const all = [...byName.values(), others];
        const ttls = all.some(Number.isFinite) ? { byName, others, shortest: Math.min(...all) } : undefined;
        const live = features.filter(
          ({ eventTime, expiresAt, ttl }) =>
            now <= (expiresAt ?? Number.POSITIVE_INFINITY) && now - eventTime <= (ttl ?? others),
        );
        const found = liveCategory(category, now, ttls);
        const names = found ? Object.keys(JSON.parse(found.data)) : [];
        expect(names).toEqual(live.map(({ name }) => name));
      },
    ),
    { numRuns: 2_000 },
  );
});

test("a category without features is over with its own time, whatever else is registered of it", () => {
  const times = { eventTime: 0, createdAt: 0, updatedAt: 0, computeId: null, eventTimes: null };
  const empty = { ...times, data: "{}", expiresAt: 50 };
  const ttls = { byName: new Map([["a", 1]]), others: Number.POSITIVE_INFINITY, shortest: 1 };
  expect([liveCategory(empty, 50, ttls)?.data, liveCategory(empty, 51, ttls)]).toEqual(["{}", null]);
});

describe("a document that may be known", () => {
  const documentAt = (revision: number, n = revision) => {
    const times = { eventTime: 1, eventTimes: null, createdAt: 2, updatedAt: 3 };
    const category = { data: `{"n":${n}}`, ...times, computeId: null, expiresAt: null };
    return { revision, categories: new Map([["c", category]]), size: 208 };
  };

  test("is the known one itself at its revision, else what is stored", () => {
    const revision = fc.oneof(fc.integer({ min: 0, max: 120 }), fc.maxSafeNat());
    fc.assert(
      fc.property(rows, revision, fc.option(revision), (given, of, knownRevision) => {
        const document = documentOf(of, given);
        fc.pre(document !== null);
        if (!document) return;
        const text = encodeDocument(document);
        for (const other of [knownRevision, of, of * 10, Math.floor(of / 10), of + 1]) {
          const known = other === null ? null : documentAt(other, -1);
          const found = decodeKnown(text, known);
          if (known?.revision === of) expect(found).toBe(known);
          else expect(found).toEqual(document);
        }
      }),
    );
  });

  test.each([
    [1, 12],
    [12, 1],
    [12, 2],
    [0, 10],
  ])("of revision %i is not one of revision %i", (known, stored) => {
    const text = encodeDocument(documentAt(stored));
    expect(decodeKnown(text, documentAt(known))).toEqual(decodeDocument(text));
  });

  test.each([
    ["", null],
    ["not json", null],
    ['{"format":2,"revision":1,"categories":[]}', null],
    ['{"format":10,"revision":1,"categories":[]}', null],
    ['{"revision":1,"categories":[]}', null],
    ['{"format":1,"revision":2,"categories":[', null],
  ])("%j is none, known or not", (text, expected) => {
    expect([decodeKnown(text, documentAt(1)), decodeKnown(text, null)]).toEqual([expected, expected]);
  });
});
