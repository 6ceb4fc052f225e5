/** What is counted, on the real bindings: reads by tier, values by status, writes by outcome; and what never is. */
import {
  createExecutionContext,
  createMessageBatch,
  runInDurableObject,
  waitOnExecutionContext,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { app } from "../../worker/app.ts";
import { answerKnownFirst } from "../../worker/http/known-addresses.ts";
import { countBatch } from "../../worker/monitoring/count-batch.ts";
import { BLOBS, type DataPoint, DOUBLES } from "../../worker/monitoring/metric-record.ts";
import { MetricsTotals } from "../../worker/monitoring/metrics-totals.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { dieBefore, failBefore, watched } from "../setup/faults.ts";
import { itemsBody } from "../setup/http.ts";
import { until } from "../setup/waiting.ts";
import { inWriterObject, remove, write } from "../setup/writer.ts";
import { Scrape } from "./scrape.ts";

let points: DataPoint[] = [];

/** The real dataset, under watch. */
const dataset = (on: Env): AnalyticsEngineDataset => ({
  writeDataPoint(point) {
    points.push(point as DataPoint);
    on.ANALYTICS.writeDataPoint(point);
  },
});
const measured: Env = { ...env, METRICS: "on", ANALYTICS: dataset(env) };

const waiting: ExecutionContext[] = [];

/** Asks, and does not wait for what follows the answer. */
async function ask(
  line: string,
  body?: unknown,
  over: Partial<Env> = {},
  headers: Record<string, string> = {},
) {
  const [method = "", path = ""] = line.split(" ");
  const context = createExecutionContext();
  waiting.push(context);
  const request = new Request(`http://store.test${path}`, {
    method,
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const response = await answerKnownFirst(app)(request, { ...measured, ...over }, context);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const scrape = async () => new Scrape((await ask("GET /metrics")).text);

/** What `traffic` has counted. */
async function counted(traffic: () => Promise<unknown>) {
  const before = await scrape();
  await traffic();
  const after = await scrape();
  return (name: string, matching = {}) => after.sum(name, matching) - before.sum(name, matching);
}

const upsert = (value: string, features: Record<string, unknown>) =>
  ask("POST /api/v1/items", itemsBody(value, [{ category: "c", features }]));
const item = (value: string, category = "c") => ask(`GET /api/v1/get/item/${value}/${category}`);
const column = (names: readonly string[], name: string) => names.indexOf(name);
const blob = (point: DataPoint, name: (typeof BLOBS)[number]) => point.blobs[column(BLOBS, name)];
const double = (point: DataPoint, name: (typeof DOUBLES)[number]) => point.doubles[column(DOUBLES, name)];
const REQUESTS = "feature_store_api_requests_total";

beforeEach(() => {
  isolateMemory.clear();
  points = [];
});
afterAll(() => Promise.all(waiting.map(waitOnExecutionContext)));

test("how large the database is, is told as D1 tells it, and nothing where it does not answer", async () => {
  const bytes = async (over: Partial<Env> = {}) => {
    const { status, text } = await ask("GET /metrics", undefined, over);
    expect(status).toBe(200);
    return new Scrape(text).select("feature_store_database_bytes").map(({ value }) => value);
  };
  const { meta } = await env.DB.prepare("SELECT 1").run();
  expect(await bytes()).toEqual([meta.size_after]);
  expect(meta.size_after).toBeGreaterThan(4_096);
  for (const database of [failBefore, dieBefore])
    expect(await bytes({ DB: watched({ database }).env.DB })).toEqual([]);
});

describe("reads", () => {
  test("are a miss of D1 at first, then hits of memory, and of KV where memory has forgotten", async () => {
    await upsert("tiers", { a: 1 });
    const first = await counted(() => item("tiers"));
    expect(first("feature_store_cache_misses_total", { tier: "d1" })).toBe(1);
    expect(first("feature_store_cache_hits_total")).toBe(0);
    const second = await counted(() => item("tiers"));
    expect(second("feature_store_cache_hits_total", { tier: "memory" })).toBe(1);
    expect(second("feature_store_cache_misses_total")).toBe(0);
    await until("the document is in KV", async () => {
      isolateMemory.clear();
      return (await item("tiers")).text.includes('"source":"kv"');
    });
    isolateMemory.clear();
    const third = await counted(() => item("tiers"));
    expect(third("feature_store_cache_hits_total", { tier: "kv" })).toBe(1);
    expect(third("feature_store_cache_hits_total", { tier: "memory" })).toBe(0);
    expect(third("feature_store_operations_total", { operation: "kv.get", outcome: "ok" })).toBe(1);
    expect(third("feature_store_db_query_duration_seconds_count")).toBe(0);
  });

  test("of many entities are one each, however often one is asked for", async () => {
    await upsert("many-1", { a: 1 });
    await upsert("many-2", { a: 1 });
    const body = {
      entity_ids: ["many-1", "many-2", "many-1", "none"],
      entity_type: "bright_uid",
      feature_names: ["c:a"],
    };
    const found = await counted(() => ask("POST /api/v1/features/online", body));
    expect(found("feature_store_cache_misses_total")).toBe(3);
    expect(found("feature_store_operations_total", { operation: "d1.get_item" })).toBe(1);
    expect(found("feature_store_values_total", { status: "PRESENT" })).toBe(3);
    expect(found("feature_store_values_total", { status: "NOT_FOUND" })).toBe(1);
    const point = points.find((each) => blob(each, "operation") === "read.online");
    expect(
      point && [double(point, "entities"), double(point, "reads_d1"), double(point, "values_present")],
    ).toEqual([4, 3, 3]);
  });

  test("answer values of each status", async () => {
    const old = [{ category: "c", features: { a: 1, b: null }, event_timestamp: "2020-01-01T00:00:00Z" }];
    await ask("POST /api/v1/items", itemsBody("statuses", old));
    const body = { entity_id: "statuses", entity_type: "bright_uid", feature_names: ["c:a", "c:b", "c:z"] };
    const found = await counted(() => ask("POST /api/v1/features/online", body));
    const aged = await counted(() => ask("POST /api/v1/features/online", { ...body, max_age_seconds: 1 }));
    const statuses = ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"];
    const mix = (of: typeof found) => statuses.map((status) => of("feature_store_values_total", { status }));
    expect([mix(found), mix(aged)]).toEqual([
      [1, 1, 1, 0],
      [0, 0, 1, 2],
    ]);
    // Older than 90 days: beyond the last bound.
    expect(found("feature_store_feature_freshness_seconds_count")).toBe(1);
    expect(found("feature_store_feature_freshness_seconds_bucket", { le: "7776000" })).toBe(0);
  });

  test("of items count features asked for by name, and a whole category as one", async () => {
    await upsert("named", { a: 1, b: null });
    const list = ["c:a", "c:b", "c:z", "d:*"];
    const data = { entity_type: "bright_uid", entity_value: "named", feature_list: list };
    const found = await counted(() => ask("POST /api/v1/get/items", { data }));
    expect(
      ["PRESENT", "NULL_VALUE", "NOT_FOUND"].map((status) => found("feature_store_values_total", { status })),
    ).toEqual([1, 1, 2]);
    const whole = await counted(() => item("named"));
    expect(whole("feature_store_values_total", { status: "PRESENT" })).toBe(1);
  });

  test("that fail are counted with their status, and the operation with its error", async () => {
    const { env: broken } = watched({ database: async () => Promise.reject(new Error("down")) });
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    const found = await counted(() => ask("GET /api/v1/get/item/x/c", undefined, { DB: broken.DB }));
    error.mockRestore();
    expect(found(REQUESTS, { status: "503" })).toBe(1);
    expect(found("feature_store_operations_total", { operation: "d1.get_item", outcome: "error" })).toBe(1);
    expect(found("feature_store_cache_misses_total")).toBe(0);
  });
});

describe("writes", () => {
  test("are counted by outcome, and groups by size", async () => {
    await inWriterObject(async ({ start }) => {
      const { env: own } = watched();
      const writer = start({ ...own, METRICS: "on" });
      const at = (micros: number) => ({ eventTime: 1_700_000_000_000_000 + micros });
      const found = await counted(async () => {
        await writer.submit([
          write("a", { c: { n: 1 } }, at(5)),
          write("b", { c: { n: 1 } }, at(5)),
          write("d", { c: { n: 1 } }, at(5)),
        ]);
        await writer.submit(write("a", { c: { n: 0 } }, at(1)));
        await writer.submit(write("a", { c: { n: 1 } }, at(5)));
        await writer.submit(write("a", { c: { n: 2 } }, { ...at(9), ifRevision: 7 }));
        await writer.submit(remove("a"));
        await writer.submit(remove("never"));
      });
      const outcomes = [
        "applied",
        "stale",
        "duplicate",
        "rejected",
        "deleted",
        "not_found",
        "unacknowledged",
      ];
      expect(outcomes.map((outcome) => found("feature_store_writes_total", { outcome }))).toEqual([
        3, 1, 1, 1, 1, 1, 0,
      ]);
      expect(found("feature_store_write_group_size_count")).toBe(6);
      expect(found("feature_store_write_group_size_sum")).toBe(8);
      expect(found("feature_store_write_group_size_bucket", { le: "2" })).toBe(5);
    });
  });

  test("of which nobody knows whether they were committed are unacknowledged", async () => {
    await inWriterObject(async ({ start }) => {
      const { env: own } = watched({ database: async () => Promise.reject(new Error("down")) });
      const writer = start({ ...own, METRICS: "on", LOG_LEVEL: "ERROR" });
      const error = vi.spyOn(console, "error").mockImplementation(() => {});
      const found = await counted(() => writer.submit(write("a", { c: { n: 1 } })));
      error.mockRestore();
      expect(found("feature_store_writes_total", { outcome: "unacknowledged" })).toBe(1);
      expect(found("feature_store_operations_total", { operation: "writer.commit", outcome: "error" })).toBe(
        1,
      );
    });
  });

  test("whose events the queue does not take show how long they have waited, until it does", async () => {
    await inWriterObject(async ({ start }) => {
      const all = watched({ queue: async () => Promise.reject(new Error("full")) });
      const writer = start({ ...all.env, METRICS: "on", LOG_LEVEL: "ERROR" });
      await writer.submit(write("a", { c: { n: 1 } }));
      await until(
        "its age is shown",
        async () => (await scrape()).sum("feature_store_outbox_oldest_age_seconds") > 0.2,
      );
      expect((await scrape()).sum("feature_store_outbox_events")).toBe(1);
      all.faults.queue = (_, run) => run();
      await until("nothing waits", async () => (await scrape()).sum("feature_store_outbox_events") === 0);
      expect((await scrape()).sum("feature_store_outbox_oldest_age_seconds")).toBe(0);
    });
  });
});

describe("what goes through a queue", () => {
  test("is published as events, however few messages they are", async () => {
    await inWriterObject(async ({ start, intents }) => {
      const all = watched();
      const writer = start({ ...all.env, METRICS: "on" });
      const before = await scrape();
      await writer.submit(write("a", { a: { n: 1 }, b: { n: 1 }, c: { n: 1 } }));
      await until("it is sent", () => intents() === 0);
      expect(all.queue.map(({ messages }) => messages.length)).toEqual([1]);
      const published = async () =>
        (await scrape()).sum("feature_store_events_total", { stage: "published" }) -
        before.sum("feature_store_events_total", { stage: "published" });
      await until("they are counted", async () => (await published()) >= 3);
      expect(await published()).toBe(3);
    });
  });

  test.each([
    ["feature-availability", "queue.consume", 6, 6],
    ["feature-availability-staging", "queue.consume", 6, 6],
    ["feature-compute", "compute.consume", 4, 0],
  ])("of %s is consumed as %s of %i, which are %i events", async (queue, operation, items, events) => {
    const bodies = [[1, 2, 3], { bare: true }, "poison", [4]];
    const messages = bodies.map((body, i) => ({ id: `m${i}`, timestamp: new Date(), attempts: 1, body }));
    const batch = createMessageBatch(queue, messages);
    const context = createExecutionContext();
    waiting.push(context);
    const found = await counted(() => countBatch({ batch, env: measured, ctx: context }, async () => {}));
    expect(found("feature_store_events_total", { stage: "consumed" })).toBe(events);
    const point = points.find((each) => blob(each, "operation") === operation);
    expect(point && [double(point, "count"), double(point, "items")]).toEqual([1, items]);
  });
});

describe("points of Analytics Engine", () => {
  test("are one for the request and one for each kind of operation, under its tenant", async () => {
    await item("pointed");
    // The registry is read again every two seconds, by whoever comes then.
    const own = points.filter((point) => blob(point, "operation") !== "d1.catalog");
    expect(own.map((point) => [point.indexes, blob(point, "operation"), blob(point, "outcome")])).toEqual([
      [["default"], "read.single_item", "4xx"],
      [["default"], "kv.get", "ok"],
      [["default"], "d1.get_item", "ok"],
    ]);
  });

  test("of a request that asks KV many times are still few", async () => {
    const ids = Array.from({ length: 1_000 }, (_, i) => `id-${i}`);
    await ask("POST /api/v1/features/online", {
      entity_ids: ids,
      entity_type: "bright_uid",
      feature_names: ["c:a"],
    });
    const gets = points.filter((point) => blob(point, "operation") === "kv.get");
    expect(gets.map((point) => [double(point, "count"), double(point, "items")])).toEqual([[10, 1_000]]);
    expect(points.length).toBeLessThanOrEqual(25);
  });

  test("that the platform does not take harm nobody", async () => {
    const full = {
      writeDataPoint: () => {
        throw new Error("too many");
      },
    };
    await upsert("harmless", { a: 1 });
    expect(await ask("GET /api/v1/get/item/harmless/c", undefined, { ANALYTICS: full })).toMatchObject({
      status: 200,
    });
  });
});

test("no entity, feature, value, category or key is in the metrics, the points or the logs", async () => {
  const lines: string[] = [];
  const spies = (["log", "warn", "error"] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation((...args) => void lines.push(args.join(" "))),
  );
  const chatty = { LOG_LEVEL: "DEBUG" };
  const key = "fs_marked-key_marked-key";
  const body = itemsBody("marked-entity", [
    { category: "marked-category", features: { "marked-feature": "marked-value" } },
  ]);
  const statuses = [
    await ask("POST /api/v1/items", body, chatty),
    await ask("GET /api/v1/get/item/marked-entity/marked-category", undefined, chatty),
    await ask(
      "GET /api/v1/get/item/marked-entity/marked-category?entity_type=marked-type",
      undefined,
      chatty,
    ),
    await ask(
      "POST /api/v1/features/online",
      {
        entity_id: "marked-entity",
        entity_type: "bright_uid",
        feature_names: ["marked-category:marked-feature"],
      },
      chatty,
    ),
    await ask("GET /api/v1/get/item/marked-entity/c", undefined, chatty, { "x-api-key": key }),
    await ask("GET /marked-path", undefined, chatty),
  ].map(({ status }) => status);
  const text = (await ask("GET /metrics")).text;
  for (const spy of spies) spy.mockRestore();
  expect(statuses).toEqual([200, 200, 422, 200, 401, 404]);
  expect(lines.filter((line) => line.includes("/api/v1/")).length).toBeGreaterThanOrEqual(5);
  for (const shown of [text, lines.join("\n"), JSON.stringify(points)])
    expect(shown.toLowerCase()).not.toContain("marked");
});

describe("the log line of a request", () => {
  const lineOf = async (over: Partial<Env>, line: string, headers: Record<string, string> = {}) => {
    const spy = vi.spyOn(console, "log").mockImplementation(() => {});
    const own = { "x-request-id": "r-1", ...headers };
    await ask(line, undefined, { ENVIRONMENT: "production", ...over }, own);
    const lines = spy.mock.calls.map(([text]) => String(text));
    spy.mockRestore();
    return lines.map((text) => JSON.parse(text) as Record<string, unknown>);
  };

  test("says who asked what, how it ended, how long it took and where it was found", async () => {
    await upsert("logged", { a: 1 });
    const spy = vi.spyOn(console, "log").mockImplementation(() => {});
    await ask("GET /api/v1/get/item/logged/c", undefined, { LOG_LEVEL: "INFO" }, { "x-request-id": "r-1" });
    const [line = ""] = spy.mock.calls.map(([text]) => String(text));
    spy.mockRestore();
    for (const field of [
      "request_id",
      "tenant_id",
      "route",
      "status",
      "duration_ms",
      "cache_tier",
      "entity_count",
      "feature_count",
    ])
      expect(line).toContain(`${field}=`);
  });

  test("names the key that was used, by its id alone: whoever rotates keys sees who has not changed yet", async () => {
    const made = await ask("POST /api/v1/admin/tenants/default/keys", { name: "logged", scopes: ["read"] });
    const { key_id, key } = JSON.parse(made.text) as { key_id: string; key: string };
    const path = "GET /api/v1/get/item/nobody/c";
    const [line] = await lineOf({ LOG_LEVEL: "INFO" }, path, { "x-api-key": key });
    expect(line).toMatchObject({ status: 404, tenant_id: "default", key_id });
    expect(JSON.stringify(line)).not.toContain(key);
  });

  test("is JSON outside of development, and is not made at all above INFO", async () => {
    const [line] = await lineOf({ LOG_LEVEL: "INFO" }, "GET /nothing-here");
    expect(line).toMatchObject({
      levelname: "INFO",
      message: "request",
      request_id: "r-1",
      route: "unknown",
      status: 404,
      duration_ms: expect.any(Number),
    });
    expect(await lineOf({ LOG_LEVEL: "WARNING" }, "GET /nothing-here")).toEqual([]);
  });
});

describe("/metrics", () => {
  const production = { ENVIRONMENT: "production", METRICS_TOKEN: "right-token" };
  const status = async (over: Partial<Env>, authorization?: string, path = "/metrics") =>
    (await ask(`GET ${path}`, undefined, over, authorization === undefined ? {} : { authorization })).status;

  test("opens to the token, at both paths, and to nothing like it", async () => {
    expect(await status(production, "Bearer right-token")).toBe(200);
    expect(await status(production, "bearer right-token", "/api/v1/metrics")).toBe(200);
    for (const wrong of [
      undefined,
      "",
      "Bearer",
      "Bearer wrong-token",
      "Bearer right-toke",
      "Bearer right-token2",
      "Basic right-token",
    ]) {
      expect([wrong, await status(production, wrong)]).toEqual([wrong, 401]);
    }
  });

  test("has no token where none is set", async () => {
    for (const none of ["", undefined]) {
      const over = { ...production, METRICS_TOKEN: none } as Partial<Env>;
      for (const sent of ["Bearer ", "Bearer undefined", "Bearer null"])
        expect(await status(over, sent)).toBe(401);
    }
  });

  test("is the only thing that the token opens", async () => {
    expect(await status(production, "Bearer right-token", "/api/v1/features")).toBe(401);
  });

  test("is text that Prometheus knows", async () => {
    const { headers } = await ask("GET /metrics");
    expect(headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  });

  test("makes nothing of requests while metrics are off", async () => {
    const found = await counted(() => ask("GET /nothing-here", undefined, { METRICS: "off" }));
    expect(found(REQUESTS, { endpoint: "unknown" })).toBe(0);
    expect(points.filter((point) => blob(point, "endpoint") === "unknown")).toEqual([]);
  });
});

describe("the totals", () => {
  test("of the last request arrive without any other", async () => {
    const asked = (await scrape()).sum(REQUESTS, { endpoint: "unknown" });
    await ask("GET /nothing-here");
    // Asked of the object itself: a scrape would send what this isolate has.
    const totals = async () => (await env.METRICS_TOTALS.getByName("all").read()).counts.counters[REQUESTS];
    await until("it is counted", async () => ((await totals())?.["unknown\tGET\t404"] ?? 0) === asked + 1);
  });

  test("that were shown outlive the object, with what it knows of flushes; and it writes few rows", async () => {
    const flush = (number: number, count: number) => ({
      isolate: "i",
      number,
      counts: { counters: { [REQUESTS]: { "/e\tGET\t200": count } }, histograms: {} },
      gauges: [],
    });
    await runInDurableObject(env.METRICS_TOTALS.getByName("crash"), async (_, state) => {
      const first = new MetricsTotals(state, env);
      await first.add(flush(1, 5));
      expect((await first.read()).counts.counters[REQUESTS]).toEqual({ "/e\tGET\t200": 5 });
      await first.add(flush(2, 10));
      // It dies before it has written flush 2 down; its sender repeats it, as well as flush 1.
      const second = new MetricsTotals(state, env);
      await second.add(flush(1, 5));
      await second.add(flush(2, 10));
      expect((await second.read()).counts.counters[REQUESTS]).toEqual({ "/e\tGET\t200": 15 });
      await second.add(flush(3, 1));
      await second.alarm();
      expect((await new MetricsTotals(state, env).read()).counts.counters[REQUESTS]).toEqual({
        "/e\tGET\t200": 16,
      });
      expect(state.storage.sql.exec("SELECT count(*) AS n FROM totals").one()).toEqual({ n: 1 });
      await state.storage.deleteAlarm();
    });
  });
});
