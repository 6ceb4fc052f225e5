import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { trainingValue } from "../../worker/history/training-answers.ts";
import { ValueTally } from "../../worker/monitoring/value-tally.ts";
import type { Catalog } from "../../worker/registry/catalog.ts";
import type { Resolved } from "../../worker/registry/resolve-references.ts";
import type { DocumentCategory, EntityDocument } from "../../worker/serving/document.ts";
import { OnlineAnswers, questionOf } from "../../worker/serving/online-answers.ts";
import type { EntityRead } from "../../worker/serving/read-entities.ts";
import { formatTimestamp, MICROS_PER_SECOND } from "../../worker/timestamps.ts";

const NOW = 1_760_346_951_358_632;
/** Nothing is registered: every name says where it is. */
const CATALOG = { storedIn: () => undefined, ttlsIn: () => undefined } as unknown as Catalog;

const categoryOf = (values: Record<string, unknown>, ageSeconds: number): DocumentCategory => ({
  data: JSON.stringify(values),
  eventTime: NOW - ageSeconds * MICROS_PER_SECOND,
  eventTimes: null,
  createdAt: 0,
  updatedAt: 0,
  computeId: null,
  expiresAt: null,
});

const asked = (category: string, stored: string): Resolved => ({
  asked: `${category}:${stored}`,
  feature: null,
  version: null,
  category,
  stored,
  ttlSeconds: null,
});

interface Value {
  value: unknown;
  status: string;
  timestamp: string | null;
  freshness_seconds: number | null;
  version: number | null;
}

function expected(
  found: DocumentCategory | undefined,
  name: string,
  { maxAgeSeconds, now = NOW }: { maxAgeSeconds: number | null; now?: number },
): Value {
  const values = JSON.parse(found?.data ?? "{}") as Record<string, unknown>;
  if (!found || !Object.hasOwn(values, name)) {
    return { value: null, status: "NOT_FOUND", timestamp: null, freshness_seconds: null, version: null };
  }
  const age = (now - found.eventTime) / MICROS_PER_SECOND;
  const isOld = maxAgeSeconds !== null && age > maxAgeSeconds;
  const value = isOld ? null : values[name];
  const status = isOld ? "OUTSIDE_MAX_AGE" : value === null ? "NULL_VALUE" : "PRESENT";
  return {
    value,
    status,
    timestamp: formatTimestamp(found.eventTime),
    freshness_seconds: age,
    version: null,
  };
}

test("every feature asked for has its value, status and time, in the order of the question, however often it is asked", () => {
  const name = fc.constantFrom("a", "b", 'quo"te', "__proto__", "語");
  const json = fc.oneof(fc.integer(), fc.constant(null), fc.string(), fc.array(fc.boolean()));
  const values = fc.array(fc.tuple(name, json)).map((pairs) => Object.fromEntries(pairs));
  const category = fc.constantFrom("c0", "c1", "gone");
  fc.assert(
    fc.property(
      fc.tuple(values, values, fc.nat(100)),
      fc.uniqueArray(fc.tuple(category, name), { selector: (pair) => pair.join(":"), minLength: 1 }),
      fc.option(fc.nat(100)),
      ([first, second, ageSeconds], names, maxAgeSeconds) => {
        const categories = new Map([
          ["c0", categoryOf(first, ageSeconds)],
          ["c1", categoryOf(second, 50)],
        ]);
        const read: EntityRead = {
          document: { revision: 3, categories, size: 1 },
          revision: 3,
          source: "memory",
        };
        const resolved = names.map(([of, stored]) => asked(of, stored));
        const wanted = names.map(([of, stored]) => [
          `${of}:${stored}`,
          expected(categories.get(of), stored, { maxAgeSeconds }),
        ]);
        // Asked again, in another order, and again: what was put together before must not answer another question.
        for (const question of [resolved, resolved, resolved.toReversed(), resolved]) {
          const tally = new ValueTally();
          const asking = { catalog: CATALOG, entityType: "user", resolved: question, maxAgeSeconds };
          const answers = new OnlineAnswers(questionOf(asking), { now: NOW, tally });
          const text = new TextDecoder().decode(answers.one({ entityId: "user-1", read }));
          const { features } = JSON.parse(text) as { features: Record<string, Value> };
          expect(new Map(Object.entries(features))).toEqual(new Map(wanted as [string, Value][]));
          expect(Object.keys(features)).toEqual(question.map((one) => one.asked));
          const statuses = Object.groupBy(Object.values(features), ({ status }) => status);
          for (const status of ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"] as const)
            expect(tally[status], status).toBe(statuses[status]?.length ?? 0);
        }
      },
    ),
  );
});

describe("several entities", () => {
  interface Entity {
    id: string;
    document: EntityDocument | null;
    source: EntityRead["source"];
  }
  interface Question {
    names: readonly (readonly [category: string, name: string])[];
    maxAgeSeconds: number | null;
    now: number;
  }

  const answersOf = ({ names, maxAgeSeconds, now }: Question) => {
    const resolved = names.map(([of, stored]) => asked(of, stored));
    const question = questionOf({ catalog: CATALOG, entityType: "user", resolved, maxAgeSeconds });
    return new OnlineAnswers(question, { now });
  };
  const readOf = ({ document, source }: Entity): EntityRead => ({
    document,
    revision: document?.revision ?? 0,
    source,
  });
  const manyOf = (entities: readonly Entity[], question: Question) =>
    answersOf(question).many(entities.map((entity) => ({ entityId: entity.id, read: readOf(entity) })));

  /** The same answer, built as an object. An age always has its six decimals. */
  function plain(entities: readonly Entity[], { names, maxAgeSeconds, now }: Question): string {
    const timestamp = formatTimestamp(now);
    const results = entities.map(({ id, document, source }) => {
      const features = names.map(([of, name]) => {
        const value = expected(document?.categories.get(of), name, { maxAgeSeconds, now });
        const freshness_seconds = value.freshness_seconds?.toFixed(6) ?? null;
        return [`${of}:${name}`, { ...value, freshness_seconds }];
      });
      const origin = { revision: document?.revision ?? 0, source, cache_hit: source !== "d1", timestamp };
      return { entity_id: id, features: Object.fromEntries(features), ...origin };
    });
    const text = JSON.stringify({ results, timestamp });
    return text.replaceAll(/"freshness_seconds":"([-.\d]+)"/g, '"freshness_seconds":$1');
  }

  const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const name = fc.constantFrom("a", "b", 'quo"te', "語", "😀");
  const value = fc.oneof(fc.integer(), fc.constant(null), fc.constantFrom("", "größe", "語".repeat(300)));
  const category = fc
    .tuple(fc.dictionary(name, value), fc.oneof(fc.nat(100), fc.constant(-3)))
    .map(([values, ageSeconds]) => categoryOf(values, ageSeconds));
  const document = fc
    .record({ c0: category, c1: category, revision: fc.nat() }, { requiredKeys: ["revision"] })
    .map(({ revision, ...categories }): EntityDocument => {
      return { revision, categories: new Map(Object.entries(categories)), size: 1 };
    });
  const entity = fc.record({
    id: fc.oneof(fc.constantFrom("user-1", "größe", "語😀", 'quo"te', "__proto__"), fc.string()),
    document: fc.option(document, { freq: 4 }),
    source: fc.constantFrom("memory" as const, "kv" as const, "d1" as const),
  });
  const question = fc.record({
    names: fc.uniqueArray(fc.tuple(fc.constantFrom("c0", "c1", "gone"), name), {
      selector: (pair) => pair.join(":"),
      minLength: 1,
    }),
    maxAgeSeconds: fc.option(fc.nat(200)),
    now: fc.constantFrom(0, 1, 999_999, 9_500_000, 60_000_000, 1_000_000_000).map((later) => NOW + later),
  });

  test("are answered as one by one, in their order, and no later answer changes an earlier one", () => {
    fc.assert(
      fc.property(
        fc.array(entity, { maxLength: 4 }),
        fc.array(question, { minLength: 1, maxLength: 3 }),
        (given, different) => {
          // Duplicates, and every question again at each of the times.
          const entities = [...given, ...given.toReversed()];
          const questions = different.flatMap((one) => different.map(({ now }) => ({ ...one, now })));
          const answers = questions.map((one) => manyOf(entities, one));
          expect(answers.map(textOf)).toEqual(questions.map((one) => plain(entities, one)));
        },
      ),
      { numRuns: 300 },
    );
  });

  test("that are none are an empty list", () => {
    const none: Question = { names: [["c0", "a"]], maxAgeSeconds: null, now: NOW };
    expect(textOf(manyOf([], none))).toBe(`{"results":[],"timestamp":"${formatTimestamp(NOW)}"}`);
  });

  test.each([
    ["of the same width", 1],
    ["of another width", 100],
  ])("the bytes of an answer stay when the same is asked at an age %s", (_, laterSeconds) => {
    const categories = new Map([["c0", categoryOf({ a: "語", b: 2 }, 5)]]);
    const one: Entity = { id: "é", document: { revision: 3, categories, size: 1 }, source: "memory" };
    const first: Question = { names: [["c0", "a"]], maxAgeSeconds: null, now: NOW };
    const later = { ...first, now: NOW + laterSeconds * MICROS_PER_SECOND };
    const single = answersOf(first).one({ entityId: one.id, read: readOf(one) });
    const [before, several] = [textOf(single), manyOf([one, one], first)];
    expect(textOf(manyOf([one], later))).toBe(plain([one], later));
    expect([textOf(single), textOf(several)]).toEqual([before, plain([one, one], first)]);
  });
});

test.each([1.001, 2.01 * 3_600, 0.29, 86_400])(
  "a TTL of %f seconds ends online when it ends in training data",
  (ttlSeconds) => {
    const one = { ...asked("c", "a"), ttlSeconds };
    const found = categoryOf({ a: 1 }, 0);
    const statusesAt = (now: number) => {
      const question = questionOf({
        catalog: CATALOG,
        entityType: "user",
        resolved: [one],
        maxAgeSeconds: null,
      });
      const document = { revision: 1, categories: new Map([["c", found]]), size: 0 };
      const bytes = new OnlineAnswers(question, { now }).one({
        entityId: "u",
        read: { document, revision: 1, source: "d1" },
      });
      const served: { features: Record<string, Value> } = JSON.parse(new TextDecoder().decode(bytes));
      const past = { json: "1", eventTime: found.eventTime, expiresAt: null };
      return [served.features["c:a"]?.status, trainingValue(one, past, now).status];
    };
    const end = found.eventTime + Math.round(ttlSeconds * MICROS_PER_SECOND);
    expect(statusesAt(end)).toEqual(["PRESENT", "PRESENT"]);
    expect(statusesAt(end + 1)).toEqual(["OUTSIDE_MAX_AGE", "OUTSIDE_MAX_AGE"]);
  },
);
