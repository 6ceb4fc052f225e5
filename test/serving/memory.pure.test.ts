import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KV_CACHE_TTL_SECONDS, MEMORY_MAX_CHARACTERS, MEMORY_MAX_RENEWALS } from "../../worker/limits.ts";
import { ANY_REVISION, type Bookmarks } from "../../worker/serving/consistency.ts";
import type { EntityDocument } from "../../worker/serving/document.ts";
import { IsolateMemory } from "../../worker/serving/memory.ts";
import { FETCH_WAIT_MS, MEMORY_KNOWN_MS } from "../../worker/timings.ts";

const KEY = "default/doc/4/bright_uid/user-123";
const OTHER = "tenant1/doc/4/bright_uid/user-123";
const BOOKMARK = "0000-01";
const inFirst = (bookmark: string | null): Bookmarks => new Map([[0, bookmark]]);
const UNKNOWN = inFirst(null);

const documentOf = (revision: number, size = 300): EntityDocument => ({
  revision,
  categories: new Map(),
  size,
});

describe("a remembered document", () => {
  test("is given until its time, and not at it", () => {
    const memory = new IsolateMemory();
    const document = documentOf(1);
    memory.put(KEY, document, { nowMs: 0, ttlMs: 1_000 });
    expect(memory.get(KEY, 999)).toBe(document);
    expect(memory.get(OTHER, 999)).toBeNull();
    expect(memory.get(KEY, 1_000)).toBeNull();
    expect(memory.get(KEY, 0)).toBeNull();
  });

  test("is not replaced by an older one that was overtaken", () => {
    const memory = new IsolateMemory();
    memory.put(KEY, documentOf(2), { nowMs: 0, ttlMs: 1_000 });
    memory.put(KEY, documentOf(1), { nowMs: 0, ttlMs: 2_000 });
    expect(memory.get(KEY, 999)?.revision).toBe(2);
    expect(memory.get(KEY, 1_000)).toBeNull();
  });

  test("is replaced by a newer one, and by the same one read again", () => {
    const memory = new IsolateMemory();
    memory.put(KEY, documentOf(1), { nowMs: 0, ttlMs: 1_000 });
    memory.put(KEY, documentOf(1), { nowMs: 0, ttlMs: 1_500 });
    expect(memory.get(KEY, 1_400)?.revision).toBe(1);
    memory.put(KEY, documentOf(2), { nowMs: 0, ttlMs: 2_000 });
    expect(memory.get(KEY, 1_900)?.revision).toBe(2);
  });

  test("is forgotten with a write of its entity, and with no other", () => {
    const memory = new IsolateMemory();
    for (const key of [KEY, OTHER]) memory.put(key, documentOf(1), { nowMs: 0, ttlMs: 1_000 });
    memory.noteWrite(KEY, 2, UNKNOWN, 0);
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
    memory.noteWrite(KEY, 5, inFirst(BOOKMARK), 0);
    expect(memory.requirement(KEY, 1)).toEqual({ kind: "revision", revision: 5, after: [inFirst(BOOKMARK)] });
    expect(memory.requirement(OTHER, 1)).toBe(ANY_REVISION);
  });

  test("is required until KV has had the time to show it, then no longer", () => {
    const memory = new IsolateMemory();
    // The put may wait its second, and a reader's copy lives for the cache time after it.
    const shownAfterMs = KV_CACHE_TTL_SECONDS * 1_000 + 1_000;
    memory.noteWrite(KEY, 5, UNKNOWN, 100);
    expect(memory.requirement(KEY, 100 + shownAfterMs)).toMatchObject({ revision: 5 });
    const endMs = 100 + 2 * shownAfterMs;
    expect(memory.requirement(KEY, endMs - 1)).toMatchObject({ revision: 5 });
    expect(memory.requirement(KEY, endMs)).toBe(ANY_REVISION);
  });

  test("stands against an older one whose answer came later, and gives way to a newer", () => {
    const memory = new IsolateMemory();
    memory.noteWrite(KEY, 5, inFirst("b5"), 0);
    memory.noteWrite(KEY, 4, inFirst("b4"), 10);
    expect(memory.requirement(KEY, 20)).toEqual({ kind: "revision", revision: 5, after: [inFirst("b5")] });
    memory.noteWrite(KEY, 6, inFirst("b6"), 20);
    expect(memory.requirement(KEY, 30)).toEqual({ kind: "revision", revision: 6, after: [inFirst("b6")] });
  });

  test("is one of a bounded number", () => {
    const memory = new IsolateMemory();
    for (let i = 0; i <= 20_000; i++) memory.noteWrite(`${i}`, 1, UNKNOWN, 0);
    expect(memory.requirement("0", 1)).toBe(ANY_REVISION);
    expect(memory.requirement("1", 1)).toMatchObject({ revision: 1 });
  });
});

describe("the fetch of a document", () => {
  /** A memory in which the document's time was over at 1,000. */
  function over(): IsolateMemory {
    const memory = new IsolateMemory();
    memory.put(KEY, documentOf(1), { nowMs: 0, ttlMs: 1_000 });
    expect(memory.get(KEY, 1_000)).toBeNull();
    return memory;
  }
  const mayThrice = (memory: IsolateMemory, nowMs: number, key = KEY) =>
    Array.from({ length: 3 }, () => memory.mayFetch(key, nowMs));

  test("that was never remembered is everybody's", () => {
    const memory = new IsolateMemory();
    expect(mayThrice(memory, 0)).toEqual([true, true, true]);
    expect(memory.isFetched(KEY, 0)).toBe(false);
    expect(mayThrice(over(), 1_000, OTHER)).toEqual([true, true, true]);
  });

  test("that was there a moment ago is one reader's, until it has done so", () => {
    const memory = over();
    expect(memory.isFetched(KEY, 1_000)).toBe(false);
    expect(mayThrice(memory, 1_000)).toEqual([true, false, false]);
    expect([memory.isFetched(KEY, 1_000), memory.isFetched(OTHER, 1_000)]).toEqual([true, false]);
    memory.fetched(OTHER);
    expect(memory.mayFetch(KEY, 1_001)).toBe(false);
    memory.fetched(KEY);
    expect(memory.isFetched(KEY, 1_001)).toBe(false);
    expect(mayThrice(memory, 1_001)).toEqual([true, false, false]);
  });

  test("is waited for no longer than its time: then another reader is at it, and is waited for as long", () => {
    const memory = over();
    memory.mayFetch(KEY, 1_000);
    const endMs = 1_000 + FETCH_WAIT_MS;
    expect([memory.mayFetch(KEY, endMs - 1), memory.isFetched(KEY, endMs - 1)]).toEqual([false, true]);
    expect(memory.isFetched(KEY, endMs)).toBe(false);
    expect(mayThrice(memory, endMs)).toEqual([true, false, false]);
    expect(memory.mayFetch(KEY, endMs + FETCH_WAIT_MS - 1)).toBe(false);
    expect(memory.mayFetch(KEY, endMs + FETCH_WAIT_MS)).toBe(true);
  });

  test.each<[string, (memory: IsolateMemory) => void]>([
    ["a write", (memory) => memory.noteWrite(KEY, 2, UNKNOWN, 1_000)],
    ["a read that found no such entity", (memory) => memory.dropDocument(KEY)],
    ["an invalidation", (memory) => memory.forget(KEY)],
    ["a memory cleared", (memory) => memory.clear()],
  ])("after %s is everybody's, though one is at it", (_, change) => {
    const memory = over();
    expect(mayThrice(memory, 1_000)).toEqual([true, false, false]);
    change(memory);
    expect(memory.last(KEY, 1_000)).toBeNull();
    expect(mayThrice(memory, 1_000)).toEqual([true, true, true]);
  });

  test("is waited for no longer than that when the clock steps back", () => {
    const memory = over();
    memory.mayFetch(KEY, 50_000);
    expect([memory.isFetched(KEY, 49_000), memory.isFetched(KEY, 50_000)]).toEqual([false, true]);
    expect(mayThrice(memory, 49_000)).toEqual([true, false, false]);
  });

  test("is nobody's any more when the memory was cleared", () => {
    const memory = over();
    memory.mayFetch(KEY, 1_000);
    memory.clear();
    expect(memory.isFetched(KEY, 1_000)).toBe(false);
  });
});

describe("a renewal", () => {
  const put = (memory: IsolateMemory, keys: readonly string[], nowMs = 0) => {
    for (const key of keys) memory.put(key, documentOf(1), { nowMs, ttlMs: 1_000 });
  };

  test("is due from four fifths of a document's time on, once, when it was read by then", () => {
    const memory = new IsolateMemory();
    put(memory, [KEY]);
    expect(memory.takeDue(900)).toEqual([]);
    memory.get(KEY, 799);
    expect([799, 800, 801].map((nowMs) => memory.takeDue(nowMs))).toEqual([[], [KEY], []]);
    expect(memory.get(KEY, 999)?.revision).toBe(1);
    expect(memory.takeDue(999)).toEqual([]);
  });

  test("takes those along that were read in the second half of their time, and no others", () => {
    const memory = new IsolateMemory();
    put(memory, ["read early", "read late", "not read", "near its end"]);
    put(memory, ["young"], 400);
    memory.get("read early", 499);
    memory.get("read late", 500);
    memory.get("near its end", 800);
    memory.get("young", 899);
    expect(memory.takeDue(800).sort()).toEqual(["near its end", "read late"]);
  });

  test("takes as many as a request may ask for, and the rest by the next reader", () => {
    const memory = new IsolateMemory();
    const keys = Array.from({ length: MEMORY_MAX_RENEWALS + 1 }, (_, i) => `${i}`);
    put(memory, keys);
    for (const key of keys) memory.get(key, 800);
    expect(memory.takeDue(800)).toEqual(keys.slice(0, MEMORY_MAX_RENEWALS));
    expect(memory.takeDue(800)).toEqual(keys.slice(MEMORY_MAX_RENEWALS));
    expect(memory.takeDue(999)).toEqual([]);
  });

  test("is due again of a document that was renewed", () => {
    const memory = new IsolateMemory();
    put(memory, [KEY]);
    memory.get(KEY, 800);
    expect(memory.takeDue(800)).toEqual([KEY]);
    put(memory, [KEY], 850);
    memory.get(KEY, 1_400);
    expect([1_649, 1_650].map((nowMs) => memory.takeDue(nowMs))).toEqual([[], [KEY]]);
  });

  test.each<[string, (memory: IsolateMemory) => void]>([
    ["was written", (memory) => memory.noteWrite(KEY, 2, UNKNOWN, 800)],
    ["is not there any more", (memory) => memory.dropDocument(KEY)],
    ["was invalidated", (memory) => memory.forget(KEY)],
    ["was put again", (memory) => put(memory, [KEY], 800)],
    ["went with all others", (memory) => memory.clear()],
  ])("is not due of a document that %s", (_, change) => {
    const memory = new IsolateMemory();
    put(memory, [KEY]);
    memory.get(KEY, 800);
    change(memory);
    expect(memory.takeDue(800)).toEqual([]);
  });

  const LASTS = { nowMs: 850, ttlMs: 1_000 };

  test("with what memory has, or something newer, begins its time anew", () => {
    for (const revision of [1, 2]) {
      const memory = new IsolateMemory();
      put(memory, [KEY]);
      memory.renewed(KEY, documentOf(revision), LASTS);
      expect([850, 1_849, 1_850].map((nowMs) => memory.get(KEY, nowMs)?.revision)).toEqual([
        revision,
        revision,
        undefined,
      ]);
    }
  });

  test.each<[string, EntityDocument | null]>([
    ["nothing", null],
    ["an older one", documentOf(1)],
  ])("with %s sends one reader to fetch it, and all others go on with it until its time", (_, found) => {
    const memory = new IsolateMemory();
    const known = documentOf(2);
    memory.put(KEY, known, { nowMs: 0, ttlMs: 1_000 });
    memory.renewed(KEY, found, LASTS);
    expect([850, 851, 999, 1_000].map((nowMs) => memory.get(KEY, nowMs))).toEqual([null, known, known, null]);
  });

  test("that failed sends one reader too, and none where there is no document", () => {
    const memory = new IsolateMemory();
    put(memory, [KEY]);
    for (const key of [KEY, OTHER]) memory.notRenewed(key);
    expect([850, 851].map((nowMs) => memory.get(KEY, nowMs)?.revision)).toEqual([undefined, 1]);
    expect(memory.get(OTHER, 850)).toBeNull();
  });

  test("with what was written over meanwhile brings nothing back", () => {
    const memory = new IsolateMemory();
    put(memory, [KEY]);
    memory.noteWrite(KEY, 3, UNKNOWN, 820);
    memory.renewed(KEY, documentOf(2), LASTS);
    expect(memory.last(KEY, 850)).toBeNull();
    // Read by somebody since, from a place that is behind: what KV has now is behind as well.
    memory.put(KEY, documentOf(2), LASTS);
    memory.renewed(KEY, documentOf(2), LASTS);
    expect(memory.get(KEY, 851)).toBeNull();
  });

  test("is not due of a document whose time is over", () => {
    const memory = new IsolateMemory();
    put(memory, [KEY]);
    memory.get(KEY, 800);
    expect(memory.takeDue(1_000)).toEqual([]);
  });
});

describe("the last document", () => {
  test("is known for a while after its time is over, and is not given by that", () => {
    const memory = new IsolateMemory();
    const document = documentOf(1);
    expect(memory.last(KEY, 0)).toBeNull();
    memory.put(KEY, document, { nowMs: 0, ttlMs: 1_000 });
    expect(memory.last(KEY, 0)).toBe(document);
    expect(memory.get(KEY, 1_000)).toBeNull();
    const endMs = 1_000 + MEMORY_KNOWN_MS;
    expect([1_000, endMs - 1, endMs].map((nowMs) => memory.last(KEY, nowMs))).toEqual([
      document,
      document,
      null,
    ]);
    expect(memory.last(OTHER, 1_000)).toBeNull();
    // The clock may step back.
    expect(memory.get(KEY, 10)).toBeNull();
  });

  test("put again is given again, and a newer one in its place", () => {
    const memory = new IsolateMemory();
    const [first, second] = [documentOf(1), documentOf(2)];
    memory.put(KEY, first, { nowMs: 0, ttlMs: 1_000 });
    expect(memory.get(KEY, 1_000)).toBeNull();
    memory.put(KEY, first, { nowMs: 1_000, ttlMs: 1_000 });
    expect(memory.get(KEY, 1_999)).toBe(first);
    memory.put(KEY, second, { nowMs: 3_000, ttlMs: 1_000 });
    expect([memory.last(KEY, 3_000), memory.get(KEY, 3_000)]).toEqual([second, second]);
  });

  test.each([
    ["was seen to be over", true],
    ["is over unseen", false],
  ])("gives way to an older one when its time %s: the older one is what there is", (_, isSeen) => {
    const memory = new IsolateMemory();
    memory.put(KEY, documentOf(2), { nowMs: 0, ttlMs: 1_000 });
    if (isSeen) expect(memory.get(KEY, 1_000)).toBeNull();
    const older = documentOf(1);
    // Seen to be over, it stays so, whatever the clock says later.
    memory.put(KEY, older, { nowMs: isSeen ? 500 : 1_000, ttlMs: 1_000 });
    expect(memory.get(KEY, isSeen ? 501 : 1_001)).toBe(older);
  });

  test("is gone when there is no such entity, and the write is still required", () => {
    const memory = new IsolateMemory();
    memory.noteWrite(KEY, 2, UNKNOWN, 0);
    for (const key of [KEY, OTHER]) memory.put(key, documentOf(2), { nowMs: 0, ttlMs: 1_000 });
    memory.dropDocument(KEY);
    expect([memory.get(KEY, 1), memory.last(KEY, 1)]).toEqual([null, null]);
    expect(memory.get(OTHER, 1)?.revision).toBe(2);
    expect(memory.requirement(KEY, 1)).toMatchObject({ revision: 2 });
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
  memory.noteWrite(KEY, 2, UNKNOWN, 0);
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
  memory.noteWrite(KEY, 1, UNKNOWN, 0);
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
          const found = memory.get(one, nowMs);
          if (found) {
            expect(nowMs).toBeLessThan(untilOf.get(found) ?? 0);
            expect(found.revision).toBe(newest.get(one));
          } else newest.delete(one);
        }
      }
    }),
  );
});
