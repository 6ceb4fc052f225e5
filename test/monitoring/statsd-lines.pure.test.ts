import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { STATSD_MAX_NAME_CHARACTERS, STATSD_MAX_SAMPLES, STATSD_MAX_SERIES } from "../../worker/limits.ts";
import { type MetricRecord, OPERATIONS, type RequestRecord } from "../../worker/monitoring/metric-record.ts";
import { StatsdBatch } from "../../worker/monitoring/statsd-batch.ts";
import { droppedLine, linesOf } from "../../worker/monitoring/statsd-lines.ts";
import { operationRecord } from "../../worker/monitoring/timed.ts";
import { countOf, parseLine, parsePacket } from "./statsd-grammar.ts";

const options = { prefix: "feature_store", tags: "datadog" } as const;
const bare = { prefix: "", tags: "none" } as const;

const request = (facts: Partial<RequestRecord> = {}): RequestRecord => ({
  kind: "request",
  operation: "read.single_item",
  endpoint: "/api/v1/get/item/{entity_value}/{category}",
  method: "GET",
  status: 200,
  durationMs: 3,
  entityType: "bright_uid",
  reads: { memory: 1, kv: 0, d1: 0 },
  entities: 1,
  categories: -1,
  values: null,
  ...facts,
});

const linesOfOne = (record: MetricRecord, how: Parameters<typeof linesOf>[1] = options) =>
  linesOf({ record, count: 1, samples: [record.durationMs] }, how);

test("a request is counted, timed, counted by status and under its operation, with the tags of system A", () => {
  const tags =
    "|#endpoint:/api/v1/get/item/{entity_value}/{category},method:GET,status:200,entity_type:bright_uid";
  expect(linesOfOne(request())).toEqual([
    `feature_store.http.request.count:1|c${tags}`,
    `feature_store.http.response.200:1|c${tags}`,
    `feature_store.read.single_item:1|c${tags}`,
    `feature_store.http.request.duration:3|ms${tags}`,
    `feature_store.read.single_item.duration:3|ms${tags}`,
  ]);
});

test.each(["d1.get_item", "d1.put_item", "queue.publish"] as const)(
  "%s is counted and timed",
  (operation) => {
    const record = operationRecord({ operation, outcome: "error", durationMs: 12, items: 4 });
    expect(linesOfOne(record)).toEqual([
      `feature_store.${operation}:1|c|#status:error`,
      `feature_store.${operation}.duration:12|ms|#status:error`,
    ]);
  },
);

test("without tags, names alone", () => {
  expect(linesOfOne(request({ status: 404, durationMs: 0 }), bare)).toEqual([
    "http.request.count:1|c",
    "http.response.404:1|c",
    "read.single_item:1|c",
    "http.request.duration:0|ms",
    "read.single_item.duration:0|ms",
  ]);
});

test.each([
  ["", "statsd.dropped"],
  ["shop", "shop.statsd.dropped"],
  ["shop.eu.", "shop.eu.statsd.dropped"],
  ["a:b|c@d#e,f\ng h", "a_b_c_d_e_f_g_h.statsd.dropped"],
  ["größe", "gr__e.statsd.dropped"],
])("the prefix %j makes %j", (prefix, name) => {
  expect(droppedLine(7, { prefix, tags: "none" })).toBe(`${name}:7|c`);
});

test.each([
  [{ endpoint: "/a:b|c@d#e,f;g=h\ni j" }, "endpoint", "/a_b_c_d_e_f_g_h_i_j"],
  [{ method: "GET\nstolen:1|c" }, "method", "GET_stolen_1_c"],
  [{ entityType: "größe" }, "entity_type", "gr__e"],
  [{ endpoint: "/".repeat(1_000) }, "endpoint", "/".repeat(STATSD_MAX_NAME_CHARACTERS)],
])("in the tags of %j nothing ends a line, a tag or a value", (facts, tag, value) => {
  for (const line of linesOfOne(request(facts))) expect(parseLine(line).tags[tag]).toBe(value);
});

test("a tag that has no value is left out", () => {
  expect(parseLine(linesOfOne(request({ entityType: "" }))[0] ?? "").tags).toEqual({
    endpoint: "/api/v1/get/item/{entity_value}/{category}",
    method: "GET",
    status: "200",
  });
});

describe("a batch", () => {
  const hostile = fc.string({ unit: "binary", maxLength: 30 });
  const anyRecord: fc.Arbitrary<MetricRecord> = fc.oneof(
    fc
      .record({
        endpoint: fc.oneof(fc.constantFrom("/a", "/b/{c}"), hostile),
        method: fc.oneof(fc.constantFrom("GET", "POST"), hostile),
        entityType: fc.oneof(fc.constantFrom("", "bright_uid"), hostile),
        status: fc.constantFrom(200, 404),
        durationMs: fc.nat(60_000),
      })
      .map(request),
    fc
      .record({
        operation: fc.constantFrom(...OPERATIONS),
        outcome: fc.constantFrom("ok" as const, "error" as const),
        durationMs: fc.nat(60_000),
      })
      .map(operationRecord),
  );

  test("of any records is lines that a server reads back to the same numbers", () => {
    fc.assert(
      fc.property(
        fc.array(anyRecord, { minLength: 1, maxLength: 200 }),
        hostile,
        fc.constantFrom("datadog" as const, "none" as const),
        (records, prefix, tags) => {
          const batch = new StatsdBatch();
          for (const record of records) batch.add(record);
          const sent = parsePacket(`${batch.lines({ prefix, tags }).join("\n")}\n`);
          const total = (end: string) =>
            sent
              .filter(({ name }) => name.endsWith(end))
              .reduce((sum, each) => sum + countOf([each], each.name), 0);
          const requests = records.filter(({ kind }) => kind === "request");
          expect(total("http.request.count")).toBe(requests.length);
          expect(total("http.request.duration")).toBeCloseTo(requests.length, 6);
          expect(total("http.response.404")).toBe(
            requests.filter((each) => each.kind === "request" && each.status === 404).length,
          );
          for (const operation of OPERATIONS) {
            const count = records.filter((record) => record.operation === operation).length;
            expect(total(operation)).toBe(count);
            expect(total(`${operation}.duration`)).toBeCloseTo(count, 6);
          }
        },
      ),
    );
  });

  test("of few records has every duration as it was", () => {
    const batch = new StatsdBatch();
    for (let ms = 0; ms < STATSD_MAX_SAMPLES; ms++) batch.add(request({ durationMs: ms }));
    const durations = batch
      .lines(bare)
      .map(parseLine)
      .filter(({ name }) => name === "http.request.duration");
    expect(durations.map(({ value }) => value)).toEqual(
      Array.from({ length: STATSD_MAX_SAMPLES }, (_, ms) => ms),
    );
    expect(new Set(durations.map(({ rate }) => rate))).toEqual(new Set([1]));
  });

  test("of many records draws durations fairly and says at which rate", () => {
    let seed = 1;
    // A generator with a seed, so that this test is the same each time.
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    let sum = 0;
    const rounds = 200;
    for (let round = 0; round < rounds; round++) {
      const batch = new StatsdBatch(random);
      for (let ms = 0; ms < 1_000; ms++) batch.add(request({ durationMs: ms }));
      const sent = batch.lines(bare).map(parseLine);
      expect(countOf(sent, "http.request.duration")).toBeCloseTo(1_000, 6);
      const durations = sent.filter(({ name }) => name === "http.request.duration");
      expect(durations).toHaveLength(STATSD_MAX_SAMPLES);
      sum += durations.reduce((total, { value }) => total + value, 0) / STATSD_MAX_SAMPLES;
    }
    // The mean of 4 000 draws out of 0 … 999; its standard deviation is 4.6.
    expect(Math.abs(sum / rounds - 499.5)).toBeLessThan(20);
  });

  test("of more series than the limit keeps those it has and says how many records found no room", () => {
    const batch = new StatsdBatch();
    for (let i = 0; i < STATSD_MAX_SERIES + 30; i++) batch.add(request({ endpoint: `/${i}` }));
    batch.add(request({ endpoint: "/0" }));
    const sent = batch.lines(bare).map(parseLine);
    expect(countOf(sent, "http.request.count")).toBe(STATSD_MAX_SERIES + 1);
    expect(countOf(sent, "statsd.dropped")).toBe(30);
    expect([batch.records, batch.dropped]).toEqual([STATSD_MAX_SERIES + 31, 30]);
  });

  test.each([1, 7, 1_000, 10_000_000, 3_000_000_000])(
    "a rate is digits and a point when %d are one",
    (count) => {
      const lines = linesOf({ record: request(), count, samples: [5] }, bare);
      const { rate } = parseLine(lines.at(-1) ?? "");
      expect(1 / rate / count).toBeCloseTo(1, 6);
    },
  );
});
