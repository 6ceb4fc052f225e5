import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  type AvailabilityMessage,
  eventOf,
  type FeatureAvailable,
} from "../../worker/events/feature-available.ts";
import {
  MAX_QUEUE_BATCH_BYTES,
  MAX_QUEUE_BATCH_MESSAGES,
  MAX_QUEUE_MESSAGE_BYTES,
} from "../../worker/limits.ts";
import { Log } from "../../worker/log.ts";
import { OUTBOX_PAUSE_MS } from "../../worker/timings.ts";
import { Outbox, type Waiting } from "../../worker/writing/outbox.ts";

const ENTITY = { entityType: "bright_uid", entityValue: "user-123" };
/** Warnings of failures that a test wants are not printed. */
const QUIET = new Log("test", { level: "ERROR", readable: false });

type Message = MessageSendRequest<AvailabilityMessage>;
const TAKEN: QueueSendBatchResponse = { metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } };

/** How the queue answers a call; it takes what it is given at the end of `tookMs`. */
interface Answer {
  takes: boolean;
  tookMs: number;
}
const TAKES: Answer = { takes: true, tookMs: 0 };
const FAILS: Answer = { takes: false, tookMs: 0 };
const HANGS: Answer = { takes: true, tookMs: Number.POSITIVE_INFINITY };

interface Call {
  atMs: number;
  /** Of its events, each known by its revision. */
  numbers: number[];
  messages: AvailabilityMessage[];
}

/** Makes an event so large that a message takes 25 of them, and a call 100. */
const FILLING = "x".repeat(2_134);
const PER_CALL = 100;

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).length;

/** What the test knows of a `send`. */
interface Sending {
  atMs: number;
  /** The last of its events; 0: it has none. */
  last: number;
}

/** An outbox with a queue that answers as it is told, and after that takes everything. Events are numbered from 1. */
class Scene {
  readonly calls: Call[] = [];
  readonly reports: Waiting[] = [];
  /** What was true at each report. */
  readonly truths: Waiting[] = [];
  /** Every `send` that is done, with the time at which the queue took the last of its events. */
  readonly done: (Sending & { doneMs: number; takenMs: number | undefined })[] = [];
  readonly taken: number[] = [];
  /** Calls that hang, to be answered by hand. */
  readonly hanging: (() => void)[] = [];
  readonly startedMs = Date.now();
  mostAtOnce = 0;
  readonly #outbox: Outbox;
  readonly #answers: Answer[];
  readonly #sendings: Sending[] = [];
  readonly #takenMs = new Map<number, number>();
  #underWay = 0;
  #made = 0;

  constructor(answers: readonly Answer[] = []) {
    this.#answers = [...answers];
    const report = (waiting: Waiting) => {
      this.reports.push(waiting);
      this.truths.push(this.#truth());
    };
    const queue = { sendBatch: (messages: Iterable<Message>) => this.#answer([...messages]) };
    this.#outbox = new Outbox({ queue, log: QUIET, report });
  }

  /** Milliseconds since the scene began. */
  get nowMs(): number {
    return Date.now() - this.startedMs;
  }

  /** @param computeId Makes the events as large as a test wants them. */
  send(count: number, computeId: string | null = FILLING): void {
    const events = Array.from({ length: count }, () => this.#event(computeId));
    const sending = { atMs: this.nowMs, last: count > 0 ? this.#made : 0 };
    this.#sendings.push(sending);
    void this.#outbox.send(events).then(() => {
      this.done.push({ ...sending, doneMs: this.nowMs, takenMs: this.#takenMs.get(sending.last) });
    });
  }

  /** Each call as its time and the first and last of its events. */
  get ranges(): [number, number, number][] {
    return this.calls.map(({ atMs, numbers }) => [atMs, numbers.at(0) ?? 0, numbers.at(-1) ?? 0]);
  }

  get doneMs(): number[] {
    return this.done.map(({ doneMs }) => doneMs);
  }

  #truth(): Waiting {
    const oldest = this.#sendings.find(({ last }) => last > this.taken.length);
    const events = this.#made - this.taken.length;
    return oldest ? { events, oldestMs: this.startedMs + oldest.atMs } : null;
  }

  #event(computeId: string | null): FeatureAvailable {
    this.#made += 1;
    const row = {
      eventId: `e${this.#made}`,
      category: "c",
      revision: this.#made,
      ingestedAt: 0,
      eventTime: 0,
    };
    return eventOf("default", ENTITY, { ...row, computeId, names: ["n"] });
  }

  async #answer(messages: readonly Message[]): Promise<QueueSendBatchResponse> {
    const bodies = messages.map(({ body }) => body);
    const numbers = bodies.flat().map(({ revision }) => revision);
    this.calls.push({ atMs: this.nowMs, numbers, messages: bodies });
    this.#underWay += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#underWay);
    const { takes, tookMs } = this.#answers.shift() ?? TAKES;
    if (tookMs === HANGS.tookMs) await new Promise<void>((resolve) => this.hanging.push(resolve));
    else if (tookMs > 0) await new Promise((resolve) => setTimeout(resolve, tookMs));
    this.#underWay -= 1;
    if (!takes) throw new Error("the queue does not take them");
    for (const number of numbers) this.#takenMs.set(number, this.nowMs);
    this.taken.push(...numbers);
    return TAKEN;
  }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe("when events leave", () => {
  test("the first at once, and later ones that come alone too", async () => {
    const scene = new Scene();
    scene.send(2);
    await pass(1_000);
    scene.send(1);
    await pass(1_000);
    expect(scene.ranges).toEqual([
      [0, 1, 2],
      [1_000, 3, 3],
    ]);
    expect(scene.doneMs).toEqual([0, 1_000]);
  });

  test("what comes within the pause after a batch leaves together, at its end", async () => {
    const scene = new Scene();
    for (const afterMs of [0, 10, 20, 19]) {
      await pass(afterMs);
      scene.send(3);
    }
    await pass(1_000);
    expect(scene.ranges).toEqual([
      [0, 1, 3],
      [OUTBOX_PAUSE_MS, 4, 12],
    ]);
    expect(scene.doneMs).toEqual([0, 50, 50, 50]);
  });

  test.each([
    [OUTBOX_PAUSE_MS - 1, OUTBOX_PAUSE_MS],
    [OUTBOX_PAUSE_MS, OUTBOX_PAUSE_MS],
    [OUTBOX_PAUSE_MS + 1, OUTBOX_PAUSE_MS + 1],
  ])("the pause is over when it is over: what comes after %i ms leaves at %i", async (comesMs, leavesMs) => {
    const scene = new Scene();
    scene.send(1);
    await pass(comesMs);
    scene.send(1);
    await pass(1_000);
    expect(scene.ranges.at(-1)).toEqual([leavesMs, 2, 2]);
  });

  test("the pause begins when the queue has taken a batch, not when it was asked to", async () => {
    const scene = new Scene([{ takes: true, tookMs: 300 }]);
    scene.send(1);
    await pass(200);
    scene.send(1);
    await pass(1_000);
    expect(scene.ranges.at(-1)).toEqual([300 + OUTBOX_PAUSE_MS, 2, 2]);
  });

  test("all that leaves together is in as few messages as can hold it, in order", async () => {
    const scene = new Scene();
    scene.send(3);
    await pass(10);
    for (const count of [24, 1, 10, 15]) scene.send(count);
    await pass(1_000);
    expect(scene.calls.map(({ messages }) => messages.map((message) => message.length))).toEqual([
      [3],
      [25, 25],
    ]);
    expect(scene.taken).toEqual(upTo(53));
  });

  test.each([
    [PER_CALL + 1, 10],
    [PER_CALL, OUTBOX_PAUSE_MS],
  ])(
    "%i events that come within the pause begin to leave at %i ms: a full batch waits for nothing",
    async (count, atMs) => {
      const scene = new Scene();
      scene.send(1);
      await pass(10);
      scene.send(count);
      await pass(1_000);
      expect(scene.ranges.slice(0, 2)).toEqual([
        [0, 1, 1],
        [atMs, 2, PER_CALL + 1],
      ]);
      expect(scene.taken).toEqual(upTo(count + 1));
    },
  );

  test("a batch that is full of many small events waits for nothing either, and one of half as many does", async () => {
    for (const [count, atMs] of [
      [800, 10],
      [400, OUTBOX_PAUSE_MS],
    ] as const) {
      const scene = new Scene();
      scene.send(1, null);
      await pass(10);
      scene.send(count, null);
      await pass(1_000);
      expect(scene.calls[1]?.atMs).toBe(atMs);
    }
  });

  test("full batches follow each other, and what is left over waits for others", async () => {
    const scene = new Scene();
    scene.send(250);
    await pass(20);
    scene.send(7);
    await pass(1_000);
    expect(scene.ranges).toEqual([
      [0, 1, 100],
      [0, 101, 200],
      [OUTBOX_PAUSE_MS, 201, 257],
    ]);
    expect(scene.doneMs).toEqual([50, 50]);
  });

  test("no events are no call and no report, and have left at once whatever else waits", async () => {
    const scene = new Scene([HANGS]);
    scene.send(0);
    await pass(0);
    expect([scene.calls, scene.reports, scene.doneMs]).toEqual([[], [], [0]]);
    scene.send(1);
    await pass(5);
    scene.send(0);
    await pass(0);
    expect(scene.doneMs).toEqual([0, 5]);
    expect(scene.calls).toHaveLength(1);
  });
});

describe("when the queue does not take them", () => {
  test("they are sent again, after 100 ms, then twice as long each time, and at last every 30 s", async () => {
    const scene = new Scene(Array.from({ length: 14 }, () => FAILS));
    scene.send(1);
    await pass(10 * 60_000);
    const times = scene.calls.map(({ atMs }) => atMs);
    const gaps = times.slice(1).map((atMs, i) => atMs - (times[i] ?? 0));
    expect(gaps).toEqual([
      ...[100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600],
      ...[30_000, 30_000, 30_000, 30_000, 30_000],
    ]);
    expect(scene.taken).toEqual([1]);
  });

  test("after a success the next failure begins with 100 ms again", async () => {
    const scene = new Scene([FAILS, FAILS, FAILS, TAKES, FAILS, FAILS]);
    scene.send(150);
    await pass(60_000);
    // 700 ms of waits, the pause, and then 100 and 200 again.
    expect(scene.calls.map(({ atMs }) => atMs)).toEqual([0, 100, 300, 700, 750, 850, 1_050]);
    expect(scene.taken).toEqual(upTo(150));
  });

  test("what has come meanwhile goes with them", async () => {
    const scene = new Scene([FAILS]);
    scene.send(2);
    await pass(30);
    scene.send(3);
    await pass(1_000);
    expect(scene.ranges).toEqual([
      [0, 1, 2],
      [100, 1, 5],
    ]);
    expect(scene.doneMs).toEqual([100, 100]);
  });

  test("a first part that was taken is not sent again when the second fails", async () => {
    const scene = new Scene([TAKES, FAILS, FAILS]);
    scene.send(150);
    await pass(60);
    expect(scene.ranges).toEqual([
      [0, 1, 100],
      [50, 101, 150],
    ]);
    expect(scene.doneMs).toEqual([]);
    expect(scene.reports.at(-1)).toEqual({ events: 50, oldestMs: scene.startedMs });
    await pass(10_000);
    expect(scene.ranges.slice(2)).toEqual([
      [150, 101, 150],
      [350, 101, 150],
    ]);
    expect(scene.taken).toEqual(upTo(150));
    expect(scene.doneMs).toEqual([350]);
  });

  test("of two groups the one whose events were all taken is done, though the batch held a part of the other", async () => {
    const scene = new Scene([FAILS, TAKES, FAILS]);
    scene.send(60);
    await pass(1);
    scene.send(60);
    await pass(1);
    scene.send(60);
    await pass(10_000);
    expect(scene.ranges.map(([, first, last]) => [first, last])).toEqual([
      [1, 60],
      [1, 100],
      [101, 180],
      [101, 180],
    ]);
    expect(scene.doneMs).toEqual([100, 250, 250]);
  });

  test("what a batch cannot hold for its bytes is cut in the same way", async () => {
    const scene = new Scene([TAKES, FAILS]);
    scene.send(10, "x".repeat(MAX_QUEUE_BATCH_BYTES / 4));
    await pass(10_000);
    expect(scene.ranges.map(([, first, last]) => [first, last])).toEqual([
      [1, 3],
      [4, 6],
      [4, 6],
      [7, 9],
      [10, 10],
    ]);
    expect(scene.done).toHaveLength(1);
    expect(scene.done[0]?.doneMs).toBe(scene.calls.at(-1)?.atMs);
  });
});

test("while a call hangs there is no other; all that came meanwhile leaves after it, in order", async () => {
  const scene = new Scene([HANGS]);
  scene.send(1);
  await pass(10);
  scene.send(120);
  await pass(60 * 60_000);
  expect(scene.ranges).toEqual([[0, 1, 1]]);
  expect(scene.doneMs).toEqual([]);
  expect(scene.reports.at(-1)).toEqual({ events: 121, oldestMs: scene.startedMs });
  for (const answer of scene.hanging) answer();
  await pass(1_000);
  expect(scene.taken).toEqual(upTo(121));
  expect(scene.reports.at(-1)).toBeNull();
});

test("reports tell how many wait and since when, at every step, and null when none does", async () => {
  const scene = new Scene([TAKES, FAILS, TAKES, TAKES]);
  const at = (events: number, ms: number) => ({ events, oldestMs: scene.startedMs + ms });
  scene.send(1);
  await pass(10);
  scene.send(2);
  await pass(10);
  scene.send(120);
  await pass(10_000);
  expect(scene.reports).toEqual([
    at(1, 0),
    null,
    at(2, 10),
    at(122, 10),
    // The batch at the end of the pause fails, the next takes the second group and a part of the third.
    at(122, 10),
    at(22, 20),
    null,
  ]);
});

test("whatever is sent and whatever fails: all of it, in order, nothing after it was taken, and never two at once", async () => {
  const answer = fc.record({ takes: fc.boolean(), tookMs: fc.constantFrom(0, 0, 1, 30, 200) });
  const small = {
    count: fc.constantFrom(0, 1, 1, 2, 3, 30, 99, 100, 101, 250),
    computeId: fc.constantFrom(null, FILLING),
  };
  // Three or eight of them fill a batch.
  const computeId = fc.constantFrom(80_000, 30_000).map((length) => "x".repeat(length));
  const large = { count: fc.nat(9), computeId };
  const afterMs = fc.constantFrom(0, 0, 1, 10, 49, 50, 51, 400);
  const step = fc.oneof(fc.record({ ...small, afterMs }), fc.record({ ...large, afterMs }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 12 }),
      fc.array(answer, { maxLength: 12 }),
      async (steps, answers) => {
        const scene = new Scene(answers);
        for (const one of steps) {
          await pass(one.afterMs);
          scene.send(one.count, one.computeId);
        }
        await vi.runAllTimersAsync();
        expect(scene.taken).toEqual(upTo(steps.reduce((sum, { count }) => sum + count, 0)));
        expect(scene.mostAtOnce).toBeLessThanOrEqual(1);
        for (const { messages } of scene.calls) {
          expect(messages.length).toBeGreaterThan(0);
          expect(messages.length).toBeLessThanOrEqual(MAX_QUEUE_BATCH_MESSAGES);
          const bytes = messages.map(bytesOf);
          expect(bytes.reduce((sum, own) => sum + own)).toBeLessThanOrEqual(MAX_QUEUE_BATCH_BYTES);
          messages.forEach((message, i) => {
            expect(message.length).toBeGreaterThan(0);
            if (message.length > 1) expect(bytes[i]).toBeLessThanOrEqual(MAX_QUEUE_MESSAGE_BYTES);
          });
        }
        expect(scene.reports).toEqual(scene.truths);
        expect(scene.reports.at(-1) ?? null).toBeNull();
        expect(scene.done).toHaveLength(steps.length);
        const own = scene.done.filter(({ last }) => last > 0);
        expect(own).toEqual(own.toSorted((a, b) => a.last - b.last));
        for (const { doneMs, takenMs } of own) expect(doneMs).toBe(takenMs);
        for (const { last, atMs, doneMs } of scene.done) if (last === 0) expect(doneMs).toBe(atMs);
      },
    ),
    { numRuns: 150 },
  );
});
