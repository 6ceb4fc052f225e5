import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { eventOf, type FeatureAvailable } from "../../worker/events/feature-available.ts";
import { KV_MIN_PUT_INTERVAL_MS } from "../../worker/limits.ts";
import { Log } from "../../worker/log.ts";
import { GATHER_MAX_MS, OUTBOX_PAUSE_MS } from "../../worker/timings.ts";
import { DocumentKeeper } from "../../worker/writing/document-keeper.ts";
import { Gathering } from "../../worker/writing/gathering.ts";
import { Outbox } from "../../worker/writing/outbox.ts";
import { Ticks } from "../../worker/writing/ticks.ts";

beforeEach(() => void vi.useFakeTimers({ now: 1_800_000_000_000 }));
afterEach(() => void vi.useRealTimers());

const MINUTE_MS = 60_000;

/** So large that a call of the queue takes a hundred. */
function event(): FeatureAvailable {
  const computeId = "x".repeat(2_134);
  const row = { eventId: "e", category: "c", revision: 1, ingestedAt: 0, eventTime: 0, computeId };
  return eventOf("default", { entityType: "bright_uid", entityValue: "u" }, { ...row, names: [] });
}

function outbox() {
  const startMs = performance.now();
  const sentMs: number[] = [];
  const sendBatch = async () => {
    sentMs.push(performance.now() - startMs);
    return { metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } };
  };
  const log = new Log("test", { level: "ERROR", readable: false });
  return { sentMs, box: new Outbox({ queue: { sendBatch }, log, report: () => {} }) };
}

test("a clock that steps back does not make a group wait longer", async () => {
  const gathering = new Gathering();
  gathering.ended({ answered: 2, waiting: 0, tookMs: 10, endedMs: Date.now() });
  vi.setSystemTime(Date.now() - MINUTE_MS);
  const left = vi.fn();
  void gathering.wait(() => 1, 1_000, Date.now()).then(left);
  await vi.advanceTimersByTimeAsync(GATHER_MAX_MS);
  expect(left).toHaveBeenCalled();
});

test("what a writer decides has its own time, whatever the clock does", () => {
  const ticks = new Ticks();
  const first = ticks.next(0);
  expect(first).toBe(Date.now() * 1_000);
  expect(ticks.next(0)).toBe(first + 1);
  vi.setSystemTime(Date.now() - MINUTE_MS);
  expect(ticks.next(0)).toBe(first + 2);
  expect(ticks.next(first + 1_000)).toBe(first + 1_001);
  // That was one entity's alone.
  expect(ticks.next(0)).toBe(first + 4);
});

test("a clock that steps back does not make events wait longer", async () => {
  const { box, sentMs } = outbox();
  await box.send([event()]);
  vi.setSystemTime(Date.now() - MINUTE_MS);
  void box.send([event()]);
  await vi.advanceTimersByTimeAsync(OUTBOX_PAUSE_MS);
  expect(sentMs).toHaveLength(2);
});

test("a clock that steps back does not make a document wait longer, nor seem to be put lately", async () => {
  const put = vi.fn(async () => {});
  const log = new Log("test", { level: "ERROR", readable: false });
  const keeper = new DocumentKeeper({ put, owe: () => {}, log });
  await keeper.keep("e");
  expect(keeper.wasPutWithin("e", MINUTE_MS)).toBe(true);
  vi.setSystemTime(Date.now() - MINUTE_MS);
  expect(keeper.wasPutWithin("e", MINUTE_MS)).toBe(false);
  void keeper.keep("e");
  await vi.advanceTimersByTimeAsync(KV_MIN_PUT_INTERVAL_MS);
  expect(put).toHaveBeenCalledTimes(2);
});

test("a batch that is full ends the pause that others wait in", async () => {
  const { box, sentMs } = outbox();
  void box.send([event()]);
  await vi.advanceTimersByTimeAsync(5);
  void box.send([event()]);
  await vi.advanceTimersByTimeAsync(5);
  void box.send(Array.from({ length: 300 }, event));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(sentMs).toEqual([0, 10, 10, 10, 10 + OUTBOX_PAUSE_MS]);
});
