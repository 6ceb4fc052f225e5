/** What one write does: the rules of `applyWrite` by example. */
import { describe, expect, test } from "vitest";
import { applyWrite, type EntityState, NEVER_WRITTEN } from "../../worker/writing/apply-write.ts";
import type { CategoryWrite, EntityWrite } from "../../worker/writing/entity-write.ts";

const NOW = 1_000;
const ENTITY = { entityType: "bright_uid", entityValue: "user-123" };

/** A part of a write: a replacement of `c` at event time 10, unless told otherwise. */
function part(data: string, options: Partial<CategoryWrite> = {}): CategoryWrite {
  const names = Object.keys(JSON.parse(data));
  const defaults = {
    category: "c",
    mode: "replace",
    eventTime: 10,
    computeId: null,
    ttlSeconds: null,
  } as const;
  return { ...defaults, data, names, ...options };
}

function writeOf(categories: CategoryWrite[], options: Partial<EntityWrite> = {}): EntityWrite {
  return { kind: "write", ...ENTITY, source: null, ifRevision: null, categories, ...options };
}

const write = (state: EntityState, data: string, options?: Partial<CategoryWrite>, now = NOW) =>
  applyWrite(state, writeOf([part(data, options)]), now);

/** Where the parts end that are written one after the other. */
const stateOf = (...parts: CategoryWrite[]) =>
  parts.reduce((state, one) => applyWrite(state, writeOf([one]), NOW).next, NEVER_WRITTEN);

const merge = "merge" as const;

describe("a category", () => {
  test("takes the time of arrival where a write names none", () => {
    const { next } = write(NEVER_WRITTEN, '{"a":1}', { eventTime: null }, 77);
    expect(next.rows.get("c")).toMatchObject({ eventTime: 77, createdAt: 77, updatedAt: 77, floor: 77 });
  });

  test.each([
    ["merge", part('{"b":2}', { mode: merge, eventTime: 5 })],
    ["replacement", part('{"b":2}', { eventTime: 5 })],
  ])("that was replaced does not get a dropped feature back by an older %s", (_, late) => {
    const state = stateOf(part('{"b":1}', { eventTime: 1 }), part('{"a":1}', { eventTime: 9 }));
    expect(applyWrite(state, writeOf([late]), NOW)).toMatchObject({ outcome: "stale", next: state });
  });

  test("keeps what a merge set after the event time of a replacement that came later", () => {
    const state = stateOf(
      part('{"a":1}', { mode: merge, eventTime: 20 }),
      part('{"a":0,"b":0}', { eventTime: 10 }),
    );
    expect(state.rows.get("c")).toMatchObject({
      data: '{"a":1,"b":0}',
      eventTime: 20,
      eventTimes: '{"b":10}',
      floor: 10,
    });
  });

  test("takes the values, compute_id and TTL of the later arrival when event times are equal", () => {
    for (const mode of ["replace", "merge"] as const) {
      const state = stateOf(
        part('{"a":1}', { computeId: "x" }),
        part('{"a":2}', { mode, computeId: "y", ttlSeconds: 1 }),
      );
      expect(state.rows.get("c")).toMatchObject({ data: '{"a":2}', computeId: "y", expiresAt: 1_000_010 });
    }
  });

  test("loses what a replacement of an equal event time does not name", () => {
    expect(stateOf(part('{"a":1}', { mode: merge }), part('{"b":2}')).rows.get("c")?.data).toBe('{"b":2}');
  });

  test("has the compute_id, source and TTL of its newest write, not of the last to arrive", () => {
    const newest = writeOf([part('{"a":1}', { eventTime: 20, computeId: "new", ttlSeconds: 60 })], {
      source: "s",
    });
    const late = writeOf([part('{"b":1}', { eventTime: 15, mode: merge, computeId: "old" })], {
      source: "t",
    });
    const state = applyWrite(applyWrite(NEVER_WRITTEN, late, NOW).next, newest, NOW).next;
    const later = writeOf([part('{"b":1}', { eventTime: 21, mode: merge })]);
    const expected = { computeId: "new", source: "s", expiresAt: 60_000_020 };
    expect(state.rows.get("c")).toMatchObject(expected);
    expect(applyWrite(state, late, NOW).next.rows.get("c")).toMatchObject(expected);
    expect(applyWrite(state, later, NOW).next.rows.get("c")).toMatchObject({
      computeId: null,
      source: null,
      expiresAt: null,
    });
  });

  test("expires its TTL after its event time, to the microsecond", () => {
    const { next } = write(NEVER_WRITTEN, "{}", { eventTime: 10, ttlSeconds: 0.0000015 });
    expect(next.rows.get("c")?.expiresAt).toBe(12);
  });
});

describe("a write", () => {
  test("is a duplicate when it comes twice, and leaves no trace", () => {
    for (const mode of ["replace", "merge"] as const) {
      const once = write(NEVER_WRITTEN, '{"a":1,"b":[1,{"x":2}]}', { mode, computeId: "x", ttlSeconds: 5 });
      const twice = write(
        once.next,
        '{"a":1,"b":[1,{"x":2}]}',
        { mode, computeId: "x", ttlSeconds: 5 },
        NOW + 9,
      );
      expect(twice).toEqual({ outcome: "duplicate", next: once.next });
      expect(twice.next).toBe(once.next);
    }
  });

  test.each([
    ["value", { data: '{"a":2}' }],
    ["type of a value", { data: '{"a":"1"}' }],
    ["compute_id", { computeId: "y" }],
    ["TTL", { ttlSeconds: 6 }],
    ["feature more", { data: '{"a":1,"b":1}' }],
    ["feature less", { data: "{}" }],
  ])("is no duplicate when with the same event time it brings another %s", (_, options) => {
    const once = write(NEVER_WRITTEN, '{"a":1}', { computeId: "x", ttlSeconds: 5 });
    const again = applyWrite(
      once.next,
      writeOf([part('{"a":1}', { computeId: "x", ttlSeconds: 5, ...options })]),
      NOW,
    );
    expect(again).toMatchObject({ outcome: "applied", next: { revision: 2 } });
  });

  test("that repeats a value for a newer time is no repetition: a write between the two loses", () => {
    const state = stateOf(
      part('{"b":1}', { mode: merge, eventTime: 20 }),
      part('{"a":1}', { mode: merge, eventTime: 10 }),
      part('{"a":1}', { mode: merge, eventTime: 15 }),
      part('{"a":2}', { mode: merge, eventTime: 12 }),
    );
    expect(state.rows.get("c")).toMatchObject({ data: '{"b":1,"a":1}', eventTimes: '{"a":15}' });
  });

  test("that comes too late is stale: current stays, the history has it, nobody is told", () => {
    const state = stateOf(part('{"a":1}'));
    const late = write(state, '{"a":0}', { eventTime: 9, computeId: "late", ttlSeconds: 1 });
    expect(late.outcome).toBe("stale");
    expect(late.next).toBe(state);
    expect("history" in late && late.history).toEqual([
      {
        category: "c",
        data: '{"a":0}',
        names: ["a"],
        mode: "replace",
        eventTime: 9,
        computeId: "late",
        expiresAt: 1_000_009,
        announced: false,
      },
    ]);
  });

  test("of several categories is applied when one of them changes; each part has its own fate", () => {
    const state = stateOf(part('{"a":1}', { category: "same" }), part('{"a":1}', { category: "newer" }));
    const decision = applyWrite(
      state,
      writeOf([
        part('{"a":1}', { category: "same" }),
        part('{"a":0}', { category: "newer", eventTime: 9 }),
        part('{"a":0}', { category: "fresh", eventTime: 9 }),
      ]),
      NOW,
    );
    expect(decision).toMatchObject({ outcome: "applied", categories: ["fresh"], next: { revision: 3 } });
    expect(
      "history" in decision && decision.history.map((entry) => [entry.category, entry.announced]),
    ).toEqual([
      ["newer", false],
      ["fresh", true],
    ]);
  });

  test("that is partly a duplicate and partly late is stale", () => {
    const state = stateOf(part('{"a":1}', { category: "same" }), part('{"a":1}', { category: "newer" }));
    const parts = [
      part('{"a":1}', { category: "same" }),
      part('{"a":0}', { category: "newer", eventTime: 9 }),
    ];
    expect(applyWrite(state, writeOf(parts), NOW).outcome).toBe("stale");
  });

  test.each([
    [0, 0, "applied"],
    [0, 1, "rejected"],
    [1, 1, "applied"],
    [1, 0, "rejected"],
    [1, 2, "rejected"],
  ])("of an entity with revision %i and if_revision %i is %s", (revision, ifRevision, outcome) => {
    const state = revision === 0 ? NEVER_WRITTEN : stateOf(part('{"a":1}'));
    const decision = applyWrite(state, writeOf([part('{"a":2}', { eventTime: 20 })], { ifRevision }), NOW);
    expect(decision.outcome).toBe(outcome);
    if (outcome !== "rejected") return;
    expect(decision).toEqual({
      outcome,
      next: state,
      rejection: { reason: "revision_mismatch", expected: ifRevision, actual: revision },
    });
  });

  test("keeps every digit of the integers beside those that a merge sets", () => {
    const numbers = '{"big":9007199254740993,"low":-18446744073709551617,"deep":[{"n":9007199254740995}]}';
    const state = stateOf(
      part(numbers),
      part('{"one":1e2,"more":123456789012345678901}', { mode: merge, eventTime: 11 }),
    );
    expect(state.rows.get("c")?.data).toBe(
      '{"big":9007199254740993,"low":-18446744073709551617,"deep":[{"n":9007199254740995}],"one":100,"more":123456789012345678901}',
    );
  });

  test("tells integers apart that are the same as floats", () => {
    const state = stateOf(part('{"n":9007199254740992}'));
    expect(write(state, '{"n":9007199254740993}').outcome).toBe("applied");
    expect(write(state, '{"n":9007199254740992}').outcome).toBe("duplicate");
  });

  test("may name its features like the parts of an object", () => {
    const first = '{"__proto__":{"x":1},"constructor":2,"10":3,"toString":4,"":5}';
    const state = stateOf(
      part(first),
      part('{"__proto__":6,"hasOwnProperty":7,"2":8}', { mode: merge, eventTime: 11 }),
    );
    const row = state.rows.get("c");
    expect(new Map(Object.entries(JSON.parse(row?.data ?? "")))).toEqual(
      new Map([
        ["__proto__", 6],
        ["constructor", 2],
        ["10", 3],
        ["toString", 4],
        ["", 5],
        ["hasOwnProperty", 7],
        ["2", 8],
      ]),
    );
    expect(Object.keys(JSON.parse(row?.eventTimes ?? "")).sort()).toEqual([
      "",
      "10",
      "constructor",
      "toString",
    ]);
  });
});
