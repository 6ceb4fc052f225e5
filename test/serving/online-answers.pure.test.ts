import fc from "fast-check";
import { expect, test } from "vitest";
import { ValueTally } from "../../worker/monitoring/value-tally.ts";
import type { Catalog } from "../../worker/registry/catalog.ts";
import type { Resolved } from "../../worker/registry/resolve-references.ts";
import type { DocumentCategory } from "../../worker/serving/document.ts";
import { OnlineAnswers, questionOf } from "../../worker/serving/online-answers.ts";
import type { EntityRead } from "../../worker/serving/read-entities.ts";
import { formatTimestamp, MICROS_PER_SECOND } from "../../worker/timestamps.ts";

const NOW = 1_760_346_951_358_632;
/** Nothing is registered: every name says where it is. */
const CATALOG = { storedIn: () => undefined } as unknown as Catalog;

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
});

interface Value {
  value: unknown;
  status: string;
  timestamp: string | null;
  freshness_seconds: number | null;
  version: number | null;
}

function expected(found: DocumentCategory | undefined, name: string, maxAgeSeconds: number | null): Value {
  const values = JSON.parse(found?.data ?? "{}") as Record<string, unknown>;
  if (!found || !Object.hasOwn(values, name)) {
    return { value: null, status: "NOT_FOUND", timestamp: null, freshness_seconds: null, version: null };
  }
  const age = (NOW - found.eventTime) / MICROS_PER_SECOND;
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
          expected(categories.get(of), stored, maxAgeSeconds),
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
