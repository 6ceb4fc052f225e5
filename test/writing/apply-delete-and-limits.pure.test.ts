/** What a deletion leaves, and what may not grow: `applyDelete`, and the limits of `applyWrite`. */
import { describe, expect, test } from "vitest";
import { WHOLE_ENTITY } from "../../worker/db/current-rows.ts";
import { MAX_CATEGORIES_PER_ENTITY, MAX_CATEGORY_BYTES, MAX_ENTITY_BYTES } from "../../worker/limits.ts";
import { applyDelete } from "../../worker/writing/apply-delete.ts";
import { applyWrite, type EntityState, NEVER_WRITTEN } from "../../worker/writing/apply-write.ts";
import type { CategoryWrite, EntityWrite } from "../../worker/writing/entity-write.ts";
import { liveRows } from "./live-rows.ts";

const NOW = 1_000;
const ENTITY = { entityType: "bright_uid", entityValue: "user-123" };

/** A part of a write: a replacement of `c` at event time 10, unless told otherwise. */
const part = (data: string, options: Partial<CategoryWrite> = {}): CategoryWrite => ({
  category: "c",
  mode: "replace",
  eventTime: 10,
  computeId: null,
  ttlSeconds: null,
  data,
  names: [],
  ...options,
});

const writeOf = (categories: CategoryWrite[]): EntityWrite => ({
  kind: "write",
  ...ENTITY,
  source: null,
  ifRevision: null,
  categories,
});

const write = (state: EntityState, data: string, options?: Partial<CategoryWrite>, now = NOW) =>
  applyWrite(state, writeOf([part(data, options)]), now);

/** Where the parts end that are written one after the other. */
const stateOf = (...parts: CategoryWrite[]) =>
  parts.reduce((state, one) => applyWrite(state, writeOf([one]), NOW).next, NEVER_WRITTEN);

const remove = (state: EntityState, category: string | null, now: number, datedNow = false) =>
  applyDelete(state, { kind: "delete", ...ENTITY, category, datedNow }, now);

describe("a deletion", () => {
  const TOMBSTONE = { data: null, eventTime: 500, floor: 500, deletedAt: 500, revision: 3 };
  const both = stateOf(part('{"a":1}'), part('{"a":1}', { category: "d" }));

  test("of an entity leaves one tombstone with the next revision, and names what it removed", () => {
    const decision = remove(both, null, 500);
    expect(decision).toMatchObject({ outcome: "deleted", categories: ["c", "d"], next: { revision: 3 } });
    expect([...decision.next.rows.keys()]).toEqual([WHOLE_ENTITY]);
    expect(decision.next.rows.get(WHOLE_ENTITY)).toMatchObject(TOMBSTONE);
  });

  test("of an entity is dated after a write whose clock was ahead, for that category alone", () => {
    const ahead = stateOf(part('{"a":1}', { eventTime: 9_000 }), part('{"a":1}', { category: "d" }));
    const removed = remove(ahead, null, 500).next;
    expect(liveRows(removed)).toEqual([]);
    expect(write(removed, '{"a":1}', { eventTime: 9_000 }).outcome).toBe("stale");
    expect(write(removed, '{"a":1}', { eventTime: 9_001 }).outcome).toBe("applied");
    expect(write(removed, '{"a":1}', { category: "d", eventTime: 501 }).outcome).toBe("applied");
    expect(write(remove(removed, null, 600).next, '{"a":1}', { eventTime: 9_000 }).outcome).toBe("stale");
  });

  test.each([null, "c"])(
    "may be dated now though a write was ahead: newer ones come through (%s)",
    (category) => {
      const ahead = stateOf(part('{"a":1}', { eventTime: 9_000 }), part('{"a":1}', { category: "d" }));
      const afterwards = remove(ahead, category, 500).next;
      for (const state of [ahead, afterwards]) {
        expect(write(state, '{"a":2}', { eventTime: 600 }).outcome).toBe("stale");
        const { outcome, next } = remove(state, category, 550, true);
        expect([outcome, next.revision]).toEqual(["deleted", state.revision + 1]);
        expect(write(next, '{"a":2}', { eventTime: 549 }).outcome).toBe("stale");
        expect(write(next, '{"a":2}', { eventTime: 550 }).outcome).toBe("applied");
        expect(write(next, '{"a":2}', { category: "d", eventTime: 600 }).outcome).toBe("applied");
        expect(remove(next, category, 700, true)).toEqual({ outcome: "not_found", next });
      }
    },
  );

  test("of a category that is dated now leaves the date of another's tombstone", () => {
    const ahead = stateOf(
      part('{"a":1}', { eventTime: 9_000 }),
      part('{"a":1}', { category: "d", eventTime: 9_000 }),
    );
    const { next } = remove(remove(ahead, null, 500).next, "d", 550, true);
    expect(write(next, '{"a":2}', { category: "d", eventTime: 600 }).outcome).toBe("applied");
    expect(write(next, '{"a":2}', { eventTime: 600 }).outcome).toBe("stale");
  });

  test("of a category leaves its tombstone and the other categories", () => {
    const decision = remove(both, "c", 500);
    expect(decision).toMatchObject({ outcome: "deleted", categories: ["c"], next: { revision: 3 } });
    expect(liveRows(decision.next)).toEqual([both.rows.get("d")]);
    expect(decision.next.rows.get("c")).toMatchObject(TOMBSTONE);
  });

  test.each([null, "c"])("of what is not there changes nothing (category %s)", (category) => {
    for (const state of [NEVER_WRITTEN, remove(both, null, 500).next]) {
      expect(remove(state, category, 600)).toEqual({ outcome: "not_found", next: state });
    }
  });

  test.each([null, "c"])("outlives late writes, and a newer one creates anew (category %s)", (category) => {
    for (const mode of ["replace", "merge"] as const) {
      const { next: deleted } = remove(both, category, 500);
      const late = write(deleted, '{"a":1}', { mode, eventTime: 499 });
      expect(late).toEqual({ outcome: "stale", next: deleted, history: [] });
      const anew = write(deleted, '{"b":1}', { mode, eventTime: 501 }, 900);
      expect(anew).toMatchObject({ outcome: "applied", next: { revision: 4 } });
      expect(anew.next.rows.get("c")).toMatchObject({ data: '{"b":1}', createdAt: 900, eventTimes: null });
      const tooLate = write(anew.next, '{"a":1}', { mode: "merge", eventTime: 499 });
      expect(tooLate).toEqual({ outcome: "stale", next: anew.next, history: [] });
    }
  });

  test.each([null, "c"])(
    "gives way to a write of the same time, even of no features (category %s)",
    (category) => {
      for (const mode of ["replace", "merge"] as const) {
        const anew = write(remove(both, category, 500).next, "{}", { mode, eventTime: 500 });
        expect(anew).toMatchObject({ outcome: "applied", next: { revision: 4 } });
        expect(anew.next.rows.get("c")?.data).toBe("{}");
      }
    },
  );
});

describe("a limit", () => {
  const fullOf = (unit: string, bytes: number) => `{"a":"${unit.repeat((MAX_CATEGORY_BYTES - 8) / bytes)}"}`;
  const categories = (count: number) =>
    Array.from({ length: count }, (_, i) => part("{}", { category: `c${i}` }));

  test("lets an entity have as many categories as it says, and rejects one more whole", () => {
    const { outcome, next } = applyWrite(NEVER_WRITTEN, writeOf(categories(MAX_CATEGORIES_PER_ENTITY)), NOW);
    expect(outcome).toBe("applied");
    const more = [part('{"a":1}', { category: "c0", eventTime: 11 }), part("{}", { category: "one more" })];
    const decision = applyWrite(next, writeOf(more), NOW);
    const limit = MAX_CATEGORIES_PER_ENTITY;
    const rejection = { reason: "too_many_categories", limit, found: limit + 1 };
    expect(decision).toEqual({ outcome: "rejected", next, rejection });
  });

  test("on categories does not count those that were deleted", () => {
    const { next } = applyWrite(NEVER_WRITTEN, writeOf(categories(MAX_CATEGORIES_PER_ENTITY)), NOW);
    expect(write(remove(next, "c1", NOW).next, "{}").outcome).toBe("applied");
  });

  test.each([
    ["x", 1, "replace"],
    ["x", 1, "merge"],
    ["é", 2, "replace"],
    ["é", 2, "merge"],
  ] as const)(
    "on a category counts UTF-8 bytes and rejects one more whole (%s, %i a character, %s)",
    (unit, bytes, mode) => {
      const full = fullOf(unit, bytes);
      expect(write(NEVER_WRITTEN, full, { mode }).outcome).toBe("applied");
      const state = stateOf(part('{"a":1}', { category: "other" }));
      const parts = [
        part('{"a":2}', { category: "other", eventTime: 11 }),
        part(full.replace('"a"', '"aa"'), { mode }),
      ];
      const limits = { limitBytes: MAX_CATEGORY_BYTES, foundBytes: MAX_CATEGORY_BYTES + 1 };
      expect(applyWrite(state, writeOf(parts), NOW)).toEqual({
        outcome: "rejected",
        next: state,
        rejection: { reason: "category_too_large", category: "c", ...limits },
      });
    },
  );

  test("on a category holds for what a merge makes of it, not only for what it brings", () => {
    const decision = write(stateOf(part(fullOf("x", 1))), '{"b":1}', { mode: "merge", eventTime: 11 });
    expect(decision).toMatchObject({ outcome: "rejected", rejection: { reason: "category_too_large" } });
  });

  test("on an entity holds for all its categories together", () => {
    const full = part(fullOf("x", 1));
    const count = MAX_ENTITY_BYTES / MAX_CATEGORY_BYTES;
    const parts = Array.from({ length: count }, (_, i) => ({ ...full, category: `c${i}` }));
    const { outcome, next } = applyWrite(NEVER_WRITTEN, writeOf(parts), NOW);
    expect(outcome).toBe("applied");
    const limits = { limitBytes: MAX_ENTITY_BYTES, foundBytes: MAX_ENTITY_BYTES + 7 };
    expect(write(next, '{"a":1}', { category: "one more" })).toEqual({
      outcome: "rejected",
      next,
      rejection: { reason: "entity_too_large", ...limits },
    });
  });

  test("on an entity counts the event times of its features too", () => {
    const full = part(fullOf("x", 1));
    const count = MAX_ENTITY_BYTES / MAX_CATEGORY_BYTES - 1;
    const parts = Array.from({ length: count }, (_, i) => ({ ...full, category: `c${i}` }));
    const { next } = applyWrite(NEVER_WRITTEN, writeOf(parts), NOW);
    const rows = new Map(next.rows);
    const [name, row] = [...rows][0] ?? [];
    if (!name || !row) throw new Error("there is a row");
    rows.set(name, { ...row, eventTimes: "x".repeat(MAX_CATEGORY_BYTES - 6) });
    const state = { ...next, rows };
    expect(write(state, '{"a":1}', { category: "one more" })).toMatchObject({
      outcome: "rejected",
      rejection: { reason: "entity_too_large", foundBytes: MAX_ENTITY_BYTES + 1 },
    });
    expect(write(state, '{"a":1}', { category: "c1" }).outcome).toBe("applied");
  });
});
