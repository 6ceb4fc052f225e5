import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { GATHER_MAX_MS } from "../../worker/timings.ts";
import { Gathering, type LastGroup } from "../../worker/writing/gathering.ts";

/** Longer than any wait may be. */
const LONG_MS = 1_000;

/** A queue of changes and what gathers them. Times of arrivals are after the beginning of a wait. */
class Scene {
  readonly gathering = new Gathering();
  waiting = 0;

  /** A group has ended, just now, and left so many behind it. */
  ended(last: Partial<LastGroup>): void {
    const group = { answered: 0, waiting: 0, tookMs: 10, endedMs: Date.now(), ...last };
    this.waiting = group.waiting;
    this.gathering.ended(group);
  }

  come(count = 1): void {
    for (let i = 0; i < count; i++) {
      this.waiting += 1;
      this.gathering.came();
    }
  }

  /** How long the next group waits, and how many there are when it leaves. */
  async leave(arrivalsMs: readonly number[] = [], most = 1_000): Promise<{ afterMs: number; with: number }> {
    const startedMs = Date.now();
    const left: { afterMs: number; with: number }[] = [];
    for (const atMs of arrivalsMs) setTimeout(() => this.come(), atMs);
    void this.gathering
      .wait(() => this.waiting, most, startedMs)
      .then(() => left.push({ afterMs: Date.now() - startedMs, with: this.waiting }));
    await vi.advanceTimersByTimeAsync(LONG_MS);
    const [only] = left;
    if (!only) throw new Error(`it still waits after ${LONG_MS} ms`);
    return only;
  }

  /** After a group of four, of which only those come back that are told; does the next wait? */
  async waitsAfterFour(back = 1): Promise<boolean> {
    this.ended({ answered: 4 });
    this.come(back);
    return (await this.leave()).afterMs > 0;
  }
}

let scene: Scene;
beforeEach(() => {
  vi.useFakeTimers();
  scene = new Scene();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe("a change that comes alone", () => {
  test.each([
    ["the first of all", null],
    ["right after a lone one was answered", { answered: 1 }],
    ["right after a look at an empty queue", { answered: 0 }],
  ])("does not even wait for a timer: %s", async (_, last) => {
    if (last) scene.ended(last);
    scene.come();
    const left = vi.fn();
    void scene.gathering.wait(() => scene.waiting, 1_000, Date.now()).then(left);
    expect(vi.getTimerCount()).toBe(0);
    await Promise.resolve();
    expect(left).toHaveBeenCalledOnce();
  });

  test.each([
    ["as soon as the last group is as long ago as it took", 10, 10],
    ["long after it", 10, 60_000],
    ["no earlier than after the longest wait, however long the group took", 5_000, GATHER_MAX_MS],
  ])("does not wait for the others of a group before it: %s", async (_, tookMs, laterMs) => {
    scene.ended({ answered: 50, tookMs });
    await vi.advanceTimersByTimeAsync(laterMs);
    scene.come();
    expect(await scene.leave([1])).toEqual({ afterMs: 0, with: 1 });
  });
});

test.each([
  ["none was answered", { answered: 0 }],
  ["others were answered", { answered: 4 }],
])("with nobody waiting there is nothing to wait for: %s", async (_, last) => {
  scene.ended(last);
  void scene.gathering.wait(() => 0, 1_000, Date.now());
  expect(vi.getTimerCount()).toBe(0);
  expect(await scene.leave()).toEqual({ afterMs: 0, with: 0 });
});

describe("after a group of 4 that left 2 waiting", () => {
  beforeEach(() => scene.ended({ answered: 4, waiting: 2, tookMs: 10 }));

  test.each<[string, number[], number, number]>([
    ["all 6 are there before", [], 4, 0],
    ["the sixth comes at 7 ms", [1, 2, 3, 7], 0, 7],
    ["the last three come together", [1, 4, 4, 4], 0, 4],
    ["more come than were answered", [3, 3, 3, 3, 3, 3], 0, 3],
  ])("the next leaves at once when there are 6: %s", async (_, arrivalsMs, before, afterMs) => {
    scene.come(before);
    const left = await scene.leave(arrivalsMs);
    expect(left.afterMs).toBe(afterMs);
    expect(left.with).toBeGreaterThanOrEqual(6);
  });

  test("changes that only come when nobody has anything left to do go with it, though the time is over", async () => {
    await vi.advanceTimersByTimeAsync(11);
    expect(await scene.leave([0, 0, 0, 0])).toEqual({ afterMs: 0, with: 6 });
  });

  test("no timer outlives a wait that ended early", async () => {
    void scene.gathering.wait(() => scene.waiting, 1_000, Date.now());
    await vi.advanceTimersByTimeAsync(1);
    expect(vi.getTimerCount()).toBe(1);
    scene.come(4);
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("5 are not enough: it leaves when that group's duration is over", async () => {
    expect(await scene.leave([1, 2, 3])).toEqual({ afterMs: 10, with: 5 });
  });

  test("what has passed since that group is part of the time", async () => {
    await vi.advanceTimersByTimeAsync(6);
    expect(await scene.leave([1])).toEqual({ afterMs: 4, with: 3 });
  });

  test.each<[number, number, number[], number]>([
    [2, 0, [], 0],
    [4, 2, [], 0],
    [5, 1, [1, 3, 5], 3],
  ])("no more than the %i that a group takes are waited for", async (most, before, arrivalsMs, afterMs) => {
    scene.come(before);
    expect((await scene.leave(arrivalsMs, most)).afterMs).toBe(afterMs);
  });
});

test.each([
  [3, 3],
  [GATHER_MAX_MS, GATHER_MAX_MS],
  [GATHER_MAX_MS + 1, GATHER_MAX_MS],
  [30_000, GATHER_MAX_MS],
])("after a group that took %i ms nobody waits longer than %i", async (tookMs, afterMs) => {
  scene.ended({ answered: 4, tookMs });
  scene.come();
  expect((await scene.leave()).afterMs).toBe(afterMs);
});

describe("waits in vain", () => {
  /** Of each group in turn, whether it waited. */
  async function outcomes(groups: number, back = 1): Promise<boolean[]> {
    const waited: boolean[] = [];
    for (let i = 0; i < groups; i++) waited.push(await scene.waitsAfterFour(back));
    return waited;
  }

  /** How many groups left at once between two waits. */
  const gaps = (waited: readonly boolean[]) => {
    const at = waited.flatMap((one, i) => (one ? [i] : []));
    return at.slice(1).map((position, i) => position - (at[i] ?? 0) - 1);
  };

  test("become rarer: 1, 2, 4 … groups leave at once in between, and never more than 64", async () => {
    const waited = await outcomes(1 + 2 + 3 + 5 + 9 + 17 + 33 + 65 + 65 + 65);
    expect(waited[0]).toBe(true);
    expect(gaps(waited)).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 64]);
  });

  test("are forgotten when one pays off: the next group waits, and the next in vain skips one", async () => {
    expect(gaps(await outcomes(1 + 2 + 3 + 4))).toEqual([1, 2]);
    // The next is one that waits, and now three of four come.
    expect(await scene.waitsAfterFour(3)).toBe(true);
    expect(await outcomes(1 + 2 + 3)).toEqual([true, false, true, false, false, true]);
  });

  test.each([
    ["half of those answered come", { answered: 4, waiting: 0 }, 2, true],
    ["fewer than half come", { answered: 4, waiting: 0 }, 1, false],
    ["half come beside those that waited", { answered: 4, waiting: 2 }, 2, true],
    ["fewer than half come, and others waited already", { answered: 4, waiting: 2 }, 1, false],
    ["fewer than half come, and many waited already", { answered: 4, waiting: 50 }, 1, false],
  ])("are those for which fewer than half came back: %s", async (_, last, back, waitsAgain) => {
    scene.ended(last);
    scene.come(back);
    expect((await scene.leave()).afterMs).toBeGreaterThan(0);
    expect(await scene.waitsAfterFour()).toBe(waitsAgain);
  });

  test("a group that would not have waited anyway does not count as one that left at once", async () => {
    expect(await scene.waitsAfterFour()).toBe(true);
    for (let i = 0; i < 10; i++) {
      scene.ended({ answered: 1 });
      scene.come();
      expect((await scene.leave()).afterMs).toBe(0);
      expect(await scene.waitsAfterFour(4)).toBe(false);
    }
    expect([await scene.waitsAfterFour(), await scene.waitsAfterFour()]).toEqual([false, true]);
  });
});

test("whatever comes and whenever: nobody waits longer than the last group took, nor for more than were there", async () => {
  const round = fc.record({
    answered: fc.nat(6),
    waiting: fc.nat(3),
    tookMs: fc.nat(60),
    laterMs: fc.nat(30),
    before: fc.nat(4),
    arrivalsMs: fc.array(fc.nat(40), { maxLength: 8 }),
    most: fc.integer({ min: 1, max: 8 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 12 }), async (rounds) => {
      const own = new Scene();
      scene = own;
      for (const { answered, waiting, tookMs, laterMs, before, arrivalsMs, most } of rounds) {
        own.ended({ answered, waiting, tookMs });
        const endMs = Date.now() + Math.min(GATHER_MAX_MS, tookMs);
        own.come(before);
        await vi.advanceTimersByTimeAsync(laterMs);
        const startedMs = Date.now();
        const left = await own.leave(arrivalsMs, most);
        const leftMs = Math.max(0, endMs - startedMs);
        const wanted = Math.min(answered + waiting, most);
        expect(left.afterMs).toBeLessThanOrEqual(leftMs);
        if (waiting + before === 0 || wanted <= 1) expect(left.afterMs).toBe(0);
        // It waits for something: the end of its time, or the last of those that it wants.
        if (left.afterMs > 0 && left.afterMs < leftMs) expect(left.with).toBeGreaterThanOrEqual(wanted);
        const there = (ms: number) => waiting + before + arrivalsMs.filter((atMs) => atMs <= ms).length;
        if (left.afterMs > 0) expect(there(left.afterMs - 1)).toBeLessThan(wanted);
      }
    }),
    { numRuns: 200 },
  );
});
