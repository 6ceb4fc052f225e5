/** From records to totals: what each record counts, and that nothing depends on how counts travel. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_METRIC_SERIES } from "../../worker/limits.ts";
import { countRecord } from "../../worker/monitoring/count-record.ts";
import type { Flush } from "../../worker/monitoring/isolate-metrics.ts";
import {
  addCounts,
  bucketOf,
  CountBuffer,
  type MetricCounts,
  noCounts,
} from "../../worker/monitoring/metric-counts.ts";
import { METRICS } from "../../worker/monitoring/metric-names.ts";
import {
  type MetricRecord,
  OPERATIONS,
  type RequestRecord,
  UNKNOWN,
  WRITE_OUTCOMES,
} from "../../worker/monitoring/metric-record.ts";
import { methodLabel, operationName } from "../../worker/monitoring/operation-names.ts";
import { operationRecord } from "../../worker/monitoring/timed.ts";
import { addFlush, forgetIsolates, GaugeReadings, noTotals } from "../../worker/monitoring/totals.ts";
import { ValueTally } from "../../worker/monitoring/value-tally.ts";
import { GAUGE_TTL_MS } from "../../worker/timings.ts";

const countsOf = (...records: MetricRecord[]): MetricCounts => {
  const buffer = new CountBuffer();
  for (const record of records) countRecord(buffer, record);
  return buffer.take();
};

const plain: RequestRecord = {
  kind: "request",
  operation: "read.single_item",
  endpoint: "/e",
  method: "GET",
  status: 200,
  durationMs: 3,
  entityType: "",
  reads: null,
  entities: UNKNOWN,
  categories: UNKNOWN,
  values: null,
};

describe("a request counts", () => {
  test("itself, by endpoint, method and status, and its time", () => {
    const counts = countsOf(plain, plain, { ...plain, status: 404, durationMs: 0 });
    expect(counts.counters).toEqual({
      feature_store_api_requests_total: { "/e\tGET\t200": 2, "/e\tGET\t404": 1 },
    });
    const latency = counts.histograms.feature_store_api_latency_seconds?.["/e\tGET"];
    // Two of 3 ms, within 5 ms; one of 0 ms, within 1 ms.
    expect(latency?.buckets.slice(0, 4)).toEqual([1, 0, 2, 0]);
    expect(latency?.sum).toBe(6_000);
  });

  test("a hit at the tier that answered, and a miss once", () => {
    const { counters } = countsOf(
      { ...plain, reads: { memory: 2, kv: 3, d1: 4 } },
      { ...plain, reads: { memory: 1, kv: 0, d1: 0 } },
    );
    expect(counters.feature_store_cache_hits_total).toEqual({ memory: 3, kv: 3 });
    expect(counters.feature_store_cache_misses_total).toEqual({ d1: 4 });
  });

  test("the values answered by status, and the age of those present", () => {
    const values = new ValueTally();
    for (const age of [0, 500_000, 2_000_000, 2_000_000, -5_000_000]) values.present(age);
    values.NOT_FOUND += 2;
    values.NULL_VALUE += 1;
    const { counters, histograms } = countsOf({ ...plain, values });
    expect(counters.feature_store_values_total).toEqual({ PRESENT: 5, NOT_FOUND: 2, NULL_VALUE: 1 });
    expect(histograms.feature_store_feature_freshness_seconds?.[""]).toEqual({
      buckets: [3, 2, ...Array(10).fill(0)],
      sum: 4_500,
    });
  });
});

describe("an operation counts", () => {
  test("D1's time apart from all others'", () => {
    const { histograms, counters } = countsOf(
      operationRecord({ operation: "d1.get_item", outcome: "ok", durationMs: 4 }),
      operationRecord({ operation: "kv.get", outcome: "error", durationMs: 4 }),
    );
    expect(Object.keys(histograms.feature_store_db_query_duration_seconds ?? {})).toEqual(["d1.get_item"]);
    expect(Object.keys(histograms.feature_store_operation_duration_seconds ?? {})).toEqual(["kv.get"]);
    expect(counters.feature_store_operations_total).toEqual({ "d1.get_item\tok": 1, "kv.get\terror": 1 });
  });

  test("a group's size and what became of its writes", () => {
    const { histograms, counters } = countsOf(
      operationRecord({
        operation: "writer.commit",
        outcome: "ok",
        durationMs: 4,
        items: 3,
        writes: { applied: 2, stale: 1 },
      }),
    );
    expect(histograms.feature_store_write_group_size?.[""]?.sum).toBe(3);
    expect(counters.feature_store_writes_total).toEqual({ applied: 2, stale: 1 });
  });

  test("events that were sent, not those that the queue refused", () => {
    const sent = operationRecord({ operation: "queue.publish", outcome: "ok", durationMs: 1, items: 5 });
    const { counters } = countsOf(sent, { ...sent, outcome: "error" });
    expect(counters.feature_store_events_total).toEqual({ published: 5 });
  });
});

test("a value on a bound belongs below it, as `le` says", () => {
  expect(
    [1_000, 1_001, 29_999_999, 30_000_001].map((us) => bucketOf("feature_store_api_latency_seconds", us)),
  ).toEqual([0, 1, 14, 15]);
});

const record: fc.Arbitrary<MetricRecord> = fc.oneof(
  fc
    .record({
      endpoint: fc.constantFrom("/a", "/b", "/c"),
      status: fc.constantFrom(200, 404, 503),
      durationMs: fc.nat(40_000),
      present: fc.array(fc.integer({ min: -1_000_000, max: 90_000_000_000 }), { maxLength: 5 }),
      reads: fc.option(fc.record({ memory: fc.nat(3), kv: fc.nat(3), d1: fc.nat(3) })),
    })
    .map(({ present, ...rest }) => {
      const values = new ValueTally();
      for (const age of present) values.present(age);
      return { ...plain, ...rest, values };
    }),
  fc
    .record({
      operation: fc.constantFrom(...OPERATIONS),
      outcome: fc.constantFrom("ok" as const, "error" as const),
      durationMs: fc.nat(40_000),
      items: fc.nat(50),
      writes: fc.dictionary(fc.constantFrom(...WRITE_OUTCOMES), fc.nat(4)),
    })
    .map(operationRecord),
);

test("isolates, order and repetition change nothing: the totals are those of all records counted in one place", () => {
  const travelled = fc.record({
    record,
    isolate: fc.constantFrom("x", "y", "z"),
    // A flush goes after some records, and may be sent again at once, or long after.
    flushes: fc.boolean(),
    repeats: fc.nat(2),
  });
  fc.assert(
    fc.property(fc.array(travelled, { maxLength: 40 }), fc.infiniteStream(fc.nat(1_000)), (steps, order) => {
      const buffers = new Map<string, { buffer: CountBuffer; number: number }>();
      const sent: Flush[][] = [];
      const flush = (isolate: string, repeats: number) => {
        const own = buffers.get(isolate);
        if (!own) return;
        own.number += 1;
        const one = { isolate, number: own.number, counts: own.buffer.take(), gauges: [] };
        // What crosses to the object is a copy.
        sent.push(Array.from({ length: repeats + 1 }, () => structuredClone(one)));
      };
      for (const { record: each, isolate, flushes, repeats } of steps) {
        const own = buffers.get(isolate) ?? { buffer: new CountBuffer(), number: 0 };
        buffers.set(isolate, own);
        countRecord(own.buffer, each);
        if (flushes) flush(isolate, repeats);
      }
      for (const isolate of buffers.keys()) flush(isolate, 1);
      // Isolates interleave at random; of one isolate the numbers ascend, and repetitions follow any time later.
      const queues = [...Map.groupBy(sent.flat(), ({ isolate }) => isolate).values()];
      const totals = noTotals();
      while (queues.some((queue) => queue.length > 0)) {
        const waiting = queues.filter((queue) => queue.length > 0);
        const next = waiting[(order.next().value as number) % waiting.length]?.shift();
        if (next) addFlush(totals, next, 0);
        if (next && (order.next().value as number) % 3 === 0) addFlush(totals, next, 0);
      }
      const expected = noCounts();
      addCounts(expected, countsOf(...steps.map((step) => step.record)), MAX_METRIC_SERIES);
      expect(totals.counts).toEqual(expected);
    }),
  );
});

describe("totals", () => {
  const flush = (number: number, counts: MetricCounts, isolate = "x"): Flush => ({
    isolate,
    number,
    counts,
    gauges: [],
  });

  test("know a repeated flush by its number, and say so", () => {
    const totals = noTotals();
    expect([1, 1, 2, 1].map((number) => addFlush(totals, flush(number, countsOf(plain)), 0))).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(totals.counts.counters.feature_store_api_requests_total).toEqual({ "/e\tGET\t200": 2 });
  });

  test("forget isolates that have been silent for an hour, and their counts never", () => {
    const totals = noTotals();
    addFlush(totals, flush(1, countsOf(plain)), 0);
    addFlush(totals, flush(1, countsOf(plain), "y"), 3_000_000);
    forgetIsolates(totals, 3_600_001);
    expect(Object.keys(totals.flushes)).toEqual(["y"]);
    expect(totals.counts.counters.feature_store_api_requests_total).toEqual({ "/e\tGET\t200": 2 });
  });

  test("have a limited number of series; what is beyond is counted as dropped", () => {
    const totals = noCounts();
    addCounts(totals, countsOf(plain, { ...plain, endpoint: "/f" }), 3);
    expect(Object.keys(totals.counters.feature_store_api_requests_total ?? {})).toHaveLength(2);
    expect(Object.keys(totals.histograms.feature_store_api_latency_seconds ?? {})).toEqual(["/e\tGET"]);
    addCounts(totals, countsOf(plain, plain, { ...plain, endpoint: "/g" }), 3);
    expect(totals.counters.feature_store_api_requests_total?.["/e\tGET\t200"]).toBe(3);
    // `/f`'s time, then `/g` and its time.
    expect(totals.counters.feature_store_metrics_dropped_total).toEqual({ "": 3 });
  });
});

describe("gauges of writers", () => {
  const oldest = (source: string, value: number | null) => ({
    name: "feature_store_outbox_oldest_age_seconds" as const,
    source,
    value,
  });
  const events = (source: string, value: number | null) => ({
    name: "feature_store_outbox_events" as const,
    source,
    value,
  });

  test("are zero when no writer says anything", () => {
    expect(new GaugeReadings().merged(0)).toMatchObject({
      feature_store_outbox_oldest_age_seconds: { "": 0 },
      feature_store_outbox_events: { "": 0 },
    });
  });

  test("show the oldest of all, and the sum of all", () => {
    const readings = new GaugeReadings();
    readings.note([oldest("a", 10_000), events("a", 3), oldest("b", 4_000), events("b", 4)], 12_000);
    expect(readings.merged(14_000)).toMatchObject({
      feature_store_outbox_oldest_age_seconds: { "": 10 },
      feature_store_outbox_events: { "": 7 },
    });
    readings.note([oldest("b", null), events("b", null)], 14_000);
    expect(readings.merged(14_000)).toMatchObject({
      feature_store_outbox_oldest_age_seconds: { "": 4 },
      feature_store_outbox_events: { "": 3 },
    });
  });

  test("of a writer that is silent for too long are gone with it", () => {
    const readings = new GaugeReadings();
    readings.note([events("a", 3)], 0);
    expect(readings.merged(GAUGE_TTL_MS).feature_store_outbox_events).toEqual({ "": 3 });
    expect(readings.merged(GAUGE_TTL_MS + 1).feature_store_outbox_events).toEqual({ "": 0 });
  });
});

test("operations have system A's names, or one made of method and route", () => {
  expect(operationName("GET", "/api/v1/get/item/{entity_value}/{category}")).toBe("read.single_item");
  expect(operationName("POST", "/api/v1/get/items")).toBe("read.multi_category");
  expect(operationName("POST", "/api/v1/items")).toBe("write.multi_category");
  expect(operationName("DELETE", "/api/v1/raw-tables/{table_id}")).toBe("delete.raw_tables");
  expect(operationName("GET", "/api/v1/admin/tenants/{tenant_id}/keys")).toBe("read.tenants");
  expect(operationName("GET", "/health")).toBe("read.health");
  expect(operationName("GET", "unknown")).toBe("read.unknown");
  expect(["GET", "BREW"].map(methodLabel)).toEqual(["GET", "OTHER"]);
});

test("every name begins with the store's, ends with its unit, and a counter with _total", () => {
  for (const [name, { type, help }] of Object.entries(METRICS)) {
    expect(name).toMatch(/^feature_store_[a-z0-9_]+$/);
    expect(name.endsWith("_total"), name).toBe(type === "counter");
    expect(help).toMatch(/\.$/);
  }
});
