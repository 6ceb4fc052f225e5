import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KV_CACHE_TTL_SECONDS, MEMORY_MAX_CHARACTERS } from "../../worker/limits.ts";
import { ANY_REVISION } from "../../worker/serving/consistency.ts";
import type { EntityDocument } from "../../worker/serving/document.ts";
import { IsolateMemory } from "../../worker/serving/memory.ts";

const KEY = "default/doc/4/bright_uid/user-123";
const OTHER = "tenant1/doc/4/bright_uid/user-123";
const BOOKMARK = "0000-01";

const documentOf = (revision: number, size = 300): EntityDocument => ({
  revision,
  categories: new Map(),
  size,
});

/** What memory has, whoever renews it. */
const held = (memory: IsolateMemory, key: string, nowMs: number) =>
  memory.get(key, nowMs) ?? memory.get(key, nowMs);

describe("a remembered document", () => {
  test("sends one reader to renew it before its end, and all others go on with it", () => {
    const memory = new IsolateMemory();
    const document = documentOf(1);
    memory.put(KEY, document, { nowMs: 0, ttlMs: 1_000 });
    expect(memory.get(KEY, 799)).toBe(document);
    expect([800, 801, 999].map((nowMs) => memory.get(KEY, nowMs))).toEqual([null, document, document]);
    memory.put(KEY, document, { nowMs: 999, ttlMs: 1_000 });
    expect([1_000, 1_798, 1_799].map((nowMs) => memory.get(KEY, nowMs))).toEqual([document, document, null]);
  });

  test("is given until its time, and not at it", () => {
    const memory = new IsolateMemory();
    const document = documentOf(1);
    memory.put(KEY, document, { nowMs: 0, ttlMs: 1_000 });
    expect(held(memory, KEY, 999)).toBe(document);
    expect(memory.get(OTHER, 999)).toBeNull();
    expect(memory.get(KEY, 1_000)).toBeNull();
    expect(memory.get(KEY, 0)).toBeNull();
  });

  test("is not replaced by an older one that was overtaken", () => {
    const memory = new IsolateMemory();
    memory.put(KEY, documentOf(2), { nowMs: 0, ttlMs: 1_000 });
    memory.put(KEY, documentOf(1), { nowMs: 0, ttlMs: 2_000 });
    expect(held(memory, KEY, 999)?.revision).toBe(2);
    expect(memory.get(KEY, 1_000)).toBeNull();
  });

  test("is replaced by a newer one, and by the same one read again", () => {
    const memory = new IsolateMemory();
    memory.put(KEY, documentOf(1), { nowMs: 0, ttlMs: 1_000 });
    memory.put(KEY, documentOf(1), { nowMs: 0, ttlMs: 1_500 });
    expect(held(memory, KEY, 1_400)?.revision).toBe(1);
    memory.put(KEY, documentOf(2), { nowMs: 0, ttlMs: 2_000 });
    expect(held(memory, KEY, 1_900)?.revision).toBe(2);
  });

  test("is forgotten with a write of its entity, and with no other", () => {
    const memory = new IsolateMemory();
    for (const key of [KEY, OTHER]) memory.put(key, documentOf(1), { nowMs: 0, ttlMs: 1_000 });
    memory.noteWrite(KEY, 2, null, 0);
    expect(memory.get(KEY, 1)).toBeNull();
    expect(memory.get(OTHER, 1)?.revision).toBe(1);
  });

  test("goes when all of them together take too much", () => {
    const memory = new IsolateMemory();
    const third = MEMORY_MAX_CHARACTERS / 3;
    for (const key of ["a", "b", "c"]) memory.put(key, documentOf(1, third), { nowMs: 0, ttlMs: 1_000 });
    expect(["a", "b", "c"].map((key) => memory.get(key, 0)?.revision)).toEqual([1, 1, 1]);
    memory.put("d", documentOf(1, 1), { nowMs: 0, ttlMs: 1_000 });
    expect(["a", "b", "c", "d"].map((key) => memory.get(key, 0)?.revision)).toEqual([undefined, 1, 1, 1]);
  });
});

describe("a noted write", () => {
  test("is required of later reads of its entity, with its bookmark", () => {
    const memory = new IsolateMemory();
    memory.noteWrite(KEY, 5, BOOKMARK, 0);
    expect(memory.requirement(KEY, 1)).toEqual({ kind: "revision", revision: 5, bookmark: BOOKMARK });
    expect(memory.requirement(OTHER, 1)).toBe(ANY_REVISION);
  });

  test("is required until KV has had the time to show it, then no longer", () => {
    const memory = new IsolateMemory();
    // The put may wait its second, and a reader's copy lives for the cache time after it.
    const shownAfterMs = KV_CACHE_TTL_SECONDS * 1_000 + 1_000;
    memory.noteWrite(KEY, 5, null, 100);
    expect(memory.requirement(KEY, 100 + shownAfterMs)).toMatchObject({ revision: 5 });
    const endMs = 100 + 2 * shownAfterMs;
    expect(memory.requirement(KEY, endMs - 1)).toMatchObject({ revision: 5 });
    expect(memory.requirement(KEY, endMs)).toBe(ANY_REVISION);
  });

  test("stands against an older one whose answer came later, and gives way to a newer", () => {
    const memory = new IsolateMemory();
    memory.noteWrite(KEY, 5, "b5", 0);
    memory.noteWrite(KEY, 4, "b4", 10);
    expect(memory.requirement(KEY, 20)).toEqual({ kind: "revision", revision: 5, bookmark: "b5" });
    memory.noteWrite(KEY, 6, "b6", 20);
    expect(memory.requirement(KEY, 30)).toEqual({ kind: "revision", revision: 6, bookmark: "b6" });
  });

  test("is one of a bounded number", () => {
    const memory = new IsolateMemory();
    for (let i = 0; i <= 20_000; i++) memory.noteWrite(`${i}`, 1, null, 0);
    expect(memory.requirement("0", 1)).toBe(ANY_REVISION);
    expect(memory.requirement("1", 1)).toMatchObject({ revision: 1 });
  });
});

test("a fill is asked for once, and again after a pause", () => {
  const memory = new IsolateMemory();
  expect([0, 1, 4_999, 5_000, 5_001].map((nowMs) => memory.mayAskFill(KEY, nowMs))).toEqual([
    true,
    false,
    false,
    true,
    false,
  ]);
  expect(memory.mayAskFill(OTHER, 1)).toBe(true);
});

test("a forgotten document may be asked for at once, and what was written is still required", () => {
  const memory = new IsolateMemory();
  memory.noteWrite(KEY, 2, null, 0);
  memory.put(KEY, documentOf(2), { nowMs: 0, ttlMs: 1_000 });
  memory.mayAskFill(KEY, 0);
  memory.forget(KEY);
  expect(memory.get(KEY, 0)).toBeNull();
  expect(memory.mayAskFill(KEY, 0)).toBe(true);
  expect(memory.requirement(KEY, 0)).toMatchObject({ revision: 2 });
});

test("a cleared memory knows nothing", () => {
  const memory = new IsolateMemory();
  memory.put(OTHER, documentOf(1), { nowMs: 0, ttlMs: 1_000 });
  memory.noteWrite(KEY, 1, null, 0);
  memory.mayAskFill(KEY, 0);
  memory.clear();
  expect(memory.get(OTHER, 0)).toBeNull();
  expect(memory.requirement(KEY, 0)).toBe(ANY_REVISION);
  expect(memory.mayAskFill(KEY, 0)).toBe(true);
});

test("whatever was put when, what is given is the newest put of its key and within its own time", () => {
  const step = fc.record({
    key: fc.constantFrom("a", "b"),
    revision: fc.integer({ min: 1, max: 4 }),
    ttlMs: fc.integer({ min: 0, max: 20 }),
    passMs: fc.integer({ min: 0, max: 8 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const memory = new IsolateMemory();
      const untilOf = new Map<EntityDocument, number>();
      const newest = new Map<string, number>();
      let nowMs = 0;
      for (const { key, revision, ttlMs, passMs } of steps) {
        const document = documentOf(revision);
        untilOf.set(document, nowMs + ttlMs);
        memory.put(key, document, { nowMs, ttlMs });
        newest.set(key, Math.max(revision, newest.get(key) ?? 0));
        nowMs += passMs;
        for (const one of ["a", "b"]) {
          const found = held(memory, one, nowMs);
          if (found) {
            expect(nowMs).toBeLessThan(untilOf.get(found) ?? 0);
            expect(found.revision).toBe(newest.get(one));
          } else newest.delete(one);
        }
      }
    }),
  );
});
