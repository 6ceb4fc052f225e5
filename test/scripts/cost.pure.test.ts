/** From operations to dollars; that the operations are counted rightly is in `test/process/cost.test.ts`. */
import { describe, expect, test } from "vitest";
import { billOf, dollarsOf } from "../../scripts/cost/bill.ts";
import { type Counts, NOTHING } from "../../scripts/cost/counts.ts";
import type { Measured } from "../../scripts/cost/measure.ts";
import { LOOKED_UP, type Meter, type Price, prices, type Usage } from "../../scripts/cost/prices.ts";
import { type Assumptions, DEFAULTS, MONTH_SECONDS, missShareOf, monthOf } from "../../scripts/cost/usage.ts";
import {
  CATALOG_FRESH_MS,
  CATALOG_WHOLE_MS,
  METRICS_FLUSH_MS,
  METRICS_PERSIST_MS,
} from "../../worker/timings.ts";

const meters = Object.keys(prices) as Meter[];
const nothingUsed = Object.fromEntries(meters.map((meter) => [meter, 0])) as Usage;
const M = 1_000_000;

describe("a price", () => {
  // Each is an example of Cloudflare's own pages.
  test.each<[what: string, price: Price, used: number, dollars: number]>([
    ["nothing", prices.kvReads, 0, 0],
    ["all that is included", prices.kvReads, 10 * M, 0],
    ["one million more", prices.kvReads, 11 * M, 0.5],
    ["15 M requests of a Worker", prices.workerRequests, 15 * M, 1.5],
    ["7 ms of CPU for each of them", prices.cpuMs, 7 * 15 * M, 1.5],
    ["a million messages a day, written, read and deleted", prices.queueOperations, 3 * 30 * M, 35.6],
    ["1.5 M requests of an object", prices.objectRequests, 1.5 * M, 0.075],
    ["a billion requests' log lines, two each, a tenth kept", prices.logEvents, 200 * M, 108],
    ["10 GB in D1", prices.d1Gb, 10, 3.75],
    ["a TB in R2, beyond the first ten GB", prices.archiveGb, 1_010, 15],
    ["100 M rows written in D1", prices.d1RowsWritten, 100 * M, 50],
  ])("is charged beyond the included amount: %s", (_, price, used, dollars) => {
    expect(dollarsOf(price, used)).toBeCloseTo(dollars, 6);
  });

  test("names the page where it stands, and the day on which it was looked up", () => {
    expect(LOOKED_UP).toMatch(/^\d{4}-\d\d-\d\d$/);
    for (const meter of meters)
      expect(prices[meter].source).toMatch(/^https:\/\/developers\.cloudflare\.com\//);
  });
});

describe("a bill", () => {
  test("without traffic is the subscription", () => {
    expect(billOf(nothingUsed)).toMatchObject({ products: { Subscription: 5 }, total: 5 });
  });

  test("adds up by product, and in total", () => {
    const bill = billOf({ ...nothingUsed, kvReads: 12 * M, kvWrites: 3 * M, d1Gb: 9 });
    expect(bill.products).toMatchObject({ Subscription: 5, KV: 11, D1: 3, Queues: 0 });
    expect(bill.total).toBeCloseTo(19, 6);
  });

  test("shows a price that is only announced, and leaves it out of the sums", () => {
    const bill = billOf({ ...nothingUsed, analyticsPoints: 110 * M });
    expect(bill.lines.find(({ meter }) => meter === "analyticsPoints")).toMatchObject({
      dollars: 25,
      billed: false,
    });
    expect(bill.products).not.toHaveProperty("Analytics Engine");
    expect(bill.total).toBe(5);
  });
});

/** Round figures, so that every product of a month can be told by where it comes from. */
const counts = (some: Partial<Counts>): Counts => ({ ...NOTHING, ...some });
const measured: Measured = {
  memoryRead: counts({ workerRequests: 1, logEvents: 2 }),
  kvRead: counts({ workerRequests: 1, kvReads: 1, logEvents: 2 }),
  missRead: counts({
    workerRequests: 1,
    kvReads: 1,
    kvWrites: 1,
    d1Queries: 1,
    d1RowsRead: 5,
    objectRequests: 1,
  }),
  write: counts({ workerRequests: 1, d1Queries: 1, d1RowsWritten: 6, objectRequests: 1, queueBlocks: 3 }),
  groupedWrite: counts({
    workerRequests: 1,
    d1Queries: 0.25,
    d1RowsWritten: 6,
    objectRequests: 1,
    queueBlocks: 3,
  }),
  batchEntry: counts({ workerRequests: 0.005, d1Queries: 0.05, d1RowsWritten: 6, queueBlocks: 3 }),
  documentPut: counts({ kvWrites: 1 }),
  metricsFlush: counts({ metricsRequests: 1, metricsRowsWritten: 0.5 }),
  currentBytesPerEntity: 2_000,
  historyBytesPerWrite: 1_000,
  documentBytes: 1_000,
  shape: { categories: 3, features: 20, clients: 32, batch: 200 },
};

describe("a month", () => {
  const traffic = { reads: 100 * M, writes: 10 * M, entities: M };
  const month = (assumed: Partial<Assumptions> = {}, more: Partial<typeof traffic> = {}) =>
    monthOf(measured, { ...traffic, ...more }, { ...DEFAULTS, missShare: 0.1, ...assumed });

  test("a read from memory costs neither KV nor D1", () => {
    expect(month({ memoryShare: 1 }, { writes: 0 }).usage).toMatchObject({
      workerRequests: 100 * M,
      kvReads: 0,
      kvWrites: 0,
    });
    expect(month({ memoryShare: 1, isolates: 0 }, { writes: 0 }).usage.d1RowsRead).toBe(0);
  });

  test("of the reads beyond memory those that KV misses cost D1, a writer's request and a put", () => {
    const { usage } = month({ memoryShare: 0.5 }, { writes: 0 });
    expect(usage.kvReads).toBeCloseTo(50 * M, 0);
    expect(usage.kvWrites).toBeCloseTo(5 * M, 0);
    expect(usage.d1RowsRead - month({ memoryShare: 1 }, { writes: 0 }).usage.d1RowsRead).toBeCloseTo(
      25 * M,
      0,
    );
  });

  test("a write puts the document of an entity that has one", () => {
    expect(month({ missShare: 0.25 }, { reads: 0 }).usage.kvWrites).toBeCloseTo(7.5 * M, 0);
  });

  test("an event is three operations for each 64 KB", () => {
    expect(month({}, { reads: 0 }).usage.queueOperations).toBeCloseTo(90 * M, 0);
  });

  test("what retention deletes later is written too", () => {
    expect(month({}, { reads: 0 }).usage.d1RowsWritten).toBeCloseTo((6 + 3) * 10 * M, 0);
  });

  test("retention reads the history four times an hour, of a large one a quarter of a million rows in each database", () => {
    const rows = (writes: number) => month({ isolates: 0 }, { reads: 0, writes }).usage.d1RowsRead;
    const runs = 30 * 24 * 4;
    expect(rows(10_000)).toBeCloseTo(runs * 3 * 3 * 10_000, 0);
    // 2 GB of current values, and three months of 1 KB each.
    expect(rows(10 * M)).toBeCloseTo(runs * 4 * 260_000, 0);
  });

  test("writes in batches cost no request each, and their writers are active for less", () => {
    const few = { reads: 0, writes: M };
    const [alone, batched] = [month({}, few).usage, month({ batchShare: 1 }, few).usage];
    expect(batched.workerRequests).toBeCloseTo(0.005 * M, 0);
    expect(batched.objectGbSeconds).toBeCloseTo(alone.objectGbSeconds * 0.05, 3);
  });

  test("writers are active no longer than there are seconds", () => {
    const { usage } = month({ writers: 2 }, { writes: 1e9 });
    expect(usage.objectGbSeconds).toBeCloseTo(2 * MONTH_SECONDS * 0.128, 3);
  });

  test("the registry is asked for by each isolate as often as it grows old, and never more often than there are requests", () => {
    const rows = (more: Partial<typeof traffic>) =>
      month({ memoryShare: 1, isolates: 3, registered: 10 }, { writes: 0, ...more }).usage.d1RowsRead;
    const times = (everyMs: number) => (3 * MONTH_SECONDS * 1_000) / everyMs;
    expect(rows({})).toBeCloseTo(times(CATALOG_FRESH_MS) + times(CATALOG_WHOLE_MS) * 30, 0);
    expect(rows({ reads: 1_000 })).toBe(1_000 * 31);
  });

  test("metrics are sent by each isolate every so often, and never more often than there are requests", () => {
    expect(month({ isolates: 3, memoryShare: 1 }, { writes: 0 }).usage.objectRequests).toBe(
      (3 * MONTH_SECONDS * 1_000) / METRICS_FLUSH_MS,
    );
    expect(month({ isolates: 3, memoryShare: 1 }, { reads: 1_000, writes: 0 }).usage.objectRequests).toBe(
      1_000,
    );
  });

  test("metrics are written down at most once in the time that their object takes", () => {
    const { usage } = month({ isolates: 3, memoryShare: 1 }, { writes: 0 });
    expect(usage.objectRowsWritten).toBeCloseTo(((MONTH_SECONDS * 1_000) / METRICS_PERSIST_MS) * 0.5, 0);
  });

  test("history is kept as long as it is kept", () => {
    expect(month({ historyDays: 90 }).usage.d1Gb).toBeCloseTo(2 + 3 * 10, 6);
    expect(month({ historyDays: 30 }).usage.d1Gb).toBeCloseTo(2 + 10, 6);
  });

  test("an archive is kept for its days beyond those of the history, written in files of many rows", () => {
    expect(month().usage).toMatchObject({ archiveGb: 0, archiveWrites: 0 });
    const { usage } = month({ archiveDays: 360 });
    expect(usage.archiveGb).toBeCloseTo(12 * 10, 6);
    expect(usage.archiveWrites).toBeCloseTo((3 * 10 * M) / 1_000, 6);
    expect(usage.d1Gb).toBe(month().usage.d1Gb);
  });

  test("says what one database does not hold, and only then", () => {
    expect(month({ historyDays: 90 }).warnings).toEqual([expect.stringContaining("32 GB do not fit")]);
    expect(month({ historyDays: 15 }).warnings).toEqual([]);
  });

  test("log lines that are sampled away cost nothing", () => {
    expect(month({ logShare: 0.1 }).usage.logEvents).toBeCloseTo(month().usage.logEvents / 10, 0);
  });
});

test.each([
  [0, 1],
  [1, 0.5],
  [9, 0.1],
  [99, 0.01],
])(
  "KV misses once in as many reads as come within a document's TTL, and one: %s within it",
  (within, share) => {
    const traffic = { reads: within * 30 * 1_000, writes: 0, entities: 1_000 };
    expect(missShareOf(traffic, 86_400)).toBeCloseTo(share, 9);
  },
);
