/** When an isolate sends its counts: driven by hand, one promise at a time. */
import { beforeEach, expect, test } from "vitest";
import { type Flush, IsolateMetrics } from "../../worker/monitoring/isolate-metrics.ts";
import { operationRecord } from "../../worker/monitoring/timed.ts";
import { addFlush, noTotals } from "../../worker/monitoring/totals.ts";
import { METRICS_FLUSH_MS, METRICS_OWNER_STALE_MS, METRICS_SEND_STALE_MS } from "../../worker/timings.ts";

const env = {} as Env;
const record = operationRecord({ operation: "kv.get", outcome: "ok", durationMs: 1 });

let nowMs = 0;
let totals = noTotals();
let sleeping: (() => void)[] = [];
let promised: Promise<unknown>[] = [];
let sent: Flush[] = [];
/** What happens to the next calls; when empty they arrive and are answered. */
let fates: ("lost" | "answer lost" | "hangs")[] = [];
let isolate: IsolateMetrics;

const after = (work: Promise<unknown>) => void promised.push(work);
const counted = () => totals.counts.counters.feature_store_operations_total?.["kv.get\tok"] ?? 0;
const settle = async () => {
  for (let i = 0; i < 50; i++) await Promise.resolve();
};
/** The time between two flushes passes: whoever sleeps wakes. */
const pass = async () => {
  nowMs += METRICS_FLUSH_MS;
  for (const wake of sleeping.splice(0)) wake();
  await settle();
};
const count = () => {
  isolate.add(record);
  isolate.keepFlushing(env, after);
};

beforeEach(() => {
  nowMs = 1_000_000;
  totals = noTotals();
  [sleeping, promised, sent, fates] = [[], [], [], []];
  isolate = new IsolateMetrics({
    now: () => nowMs,
    sleep: () => new Promise((resolve) => void sleeping.push(resolve)),
    send: async (_, flush) => {
      sent.push(structuredClone(flush));
      const fate = fates.shift();
      if (fate === "lost") throw new Error("not arrived");
      addFlush(totals, structuredClone(flush), nowMs);
      if (fate === "answer lost") throw new Error("arrived, not known");
      if (fate === "hangs") await new Promise(() => {});
    },
  });
});

test("one invocation promises to send what all of them count", async () => {
  for (let i = 0; i < 100; i++) count();
  expect(promised).toHaveLength(1);
  await pass();
  expect([sent.length, counted()]).toEqual([1, 100]);
});

test("what is counted while a flush is under way needs no later traffic", async () => {
  fates = ["hangs"];
  count();
  await pass();
  count();
  expect(promised).toHaveLength(2);
  // The call that hangs is given up, and what it carried is repeated under its number before anything new.
  for (let i = 0; i < METRICS_SEND_STALE_MS / METRICS_FLUSH_MS + 1; i++) await pass();
  expect(sent.map(({ number }) => number)).toEqual([1, 1, 2]);
  expect(counted()).toBe(2);
});

test.each(["lost", "answer lost"] as const)(
  "a flush whose call is %s is sent again and counted once",
  async (fate) => {
    fates = [fate, fate];
    count();
    await pass();
    count();
    await pass();
    count();
    await pass();
    await pass();
    expect(counted()).toBe(3);
    expect(sent[0]?.counts).toEqual(sent[1]?.counts);
  },
);

test("an owner that was cancelled is replaced when it is overdue", async () => {
  count();
  // Its invocation is gone: it never wakes.
  sleeping = [];
  nowMs += METRICS_OWNER_STALE_MS - 1;
  count();
  expect(promised).toHaveLength(1);
  nowMs += 1;
  count();
  expect(promised).toHaveLength(2);
  await pass();
  expect(counted()).toBe(3);
});

test("an owner that wakes after it was replaced does nothing", async () => {
  count();
  nowMs += METRICS_OWNER_STALE_MS;
  count();
  sleeping.shift()?.();
  await settle();
  expect(sent).toEqual([]);
  await pass();
  expect([sent.length, counted()]).toEqual([1, 2]);
});

test("nothing is sent when there is nothing", async () => {
  expect(await isolate.flush(env)).toBe("sent");
  expect(sent).toEqual([]);
});

test("gauges travel with the counts, the last word of each source", async () => {
  isolate.gauge({ name: "feature_store_outbox_events", source: "w", value: 3 });
  isolate.gauge({ name: "feature_store_outbox_events", source: "w", value: null });
  await isolate.flush(env);
  expect(sent[0]?.gauges).toEqual([{ name: "feature_store_outbox_events", source: "w", value: null }]);
});

test("an exporter is shown every record and flushed with the rest, and its failure is its own", async () => {
  const seen: unknown[] = [];
  isolate.attach({
    note: (each) => void seen.push(each),
    flush: () => Promise.reject(new Error("no server")),
  });
  count();
  await pass();
  expect([seen, counted()]).toEqual([[record], 1]);
});
