import fc from "fast-check";
import { expect, test } from "vitest";
import type { HistoryEntry } from "../../worker/writing/apply-write.ts";
import { SameTime } from "../../worker/writing/same-time.ts";

const entry = fc.record({
  category: fc.constantFrom("a", "b"),
  eventTime: fc.constantFrom(1, 12),
  mode: fc.constantFrom("merge" as const, "replace" as const),
  names: fc.uniqueArray(fc.constantFrom("1 a", "x", "__proto__", "constructor"), { maxLength: 3 }),
  data: fc.string(),
  computeId: fc.constant(null),
  expiresAt: fc.constant(null),
  announced: fc.boolean(),
}) satisfies fc.Arbitrary<HistoryEntry>;

/** Word for word what it is to find. */
function found(rows: readonly HistoryEntry[], asked: HistoryEntry): HistoryEntry | null {
  const ofSameTime = rows.filter(
    (row) => row.category === asked.category && row.eventTime === asked.eventTime,
  );
  const overridden = ofSameTime.filter(
    (row) =>
      row.mode === "replace" ||
      asked.mode === "replace" ||
      row.names.some((name) => asked.names.includes(name)),
  );
  return overridden.at(-1) ?? null;
}

test("the last row of the same time that speaks of the same is found, and no other", () => {
  fc.assert(
    fc.property(fc.array(entry), fc.array(entry), entry, (first, added, asked) => {
      const sameTime = new SameTime(first);
      for (const row of added) sameTime.add(row);
      expect(sameTime.overriddenBy(asked)).toBe(found([...first, ...added], asked));
    }),
  );
});
