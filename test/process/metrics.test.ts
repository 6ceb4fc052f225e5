/** What the running service says of known traffic. One scrape before it, and one when all of it has been counted. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { histogramQuantile, rate, Scrape } from "../monitoring/scrape.ts";
import { ask, endServices, newDirectory, type Service, startService, waitUntil } from "../setup/service.ts";

/** What the contract gives counts to arrive. */
const COUNTED_WITHIN_MS = 30_000;
const TOKEN = "for-prometheus-alone";
const args = ["--var", `METRICS_TOKEN:${TOKEN}`, "--var", "RATE_LIMIT:off", "--var", "LOG_LEVEL:ERROR"];

const ITEM = "/api/v1/get/item/{entity_value}/{category}";
const REQUESTS = "feature_store_api_requests_total";
const LATENCY = "feature_store_api_latency_seconds";

const state = newDirectory();
let service: Service;

async function scrape(): Promise<Scrape> {
  const { status, body } = await ask<string>(service, "GET /metrics", {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  expect(status).toBe(200);
  return new Scrape(body);
}

/** The first scrape in which `holds`. @throws with what it says after the contract's time. */
async function scrapeWhen(holds: (found: Scrape) => boolean): Promise<Scrape> {
  let found = await scrape();
  const what = () =>
    `not within ${COUNTED_WITHIN_MS} ms: ${found.samples.map((sample) => JSON.stringify(sample)).join("\n")}`;
  await waitUntil(
    async () => {
      found = await scrape();
      return holds(found);
    },
    { timeoutMs: COUNTED_WITHIN_MS, what },
  );
  return found;
}

const entity = (n: number) => `secret-entity-${n}`;
const write = (n: number) =>
  ask(service, "POST /api/v1/items", {
    body: {
      metadata: { source: "prediction_service" },
      data: {
        entity_type: "bright_uid",
        entity_value: entity(n),
        feature_list: [{ category: "secret_category", features: { secret_feature: "secret-value" } }],
      },
    },
  });
const read = (n: number, category = "secret_category") =>
  ask(service, `GET /api/v1/get/item/${entity(n)}/${category}`);

interface Traffic {
  status: number;
  of: () => Promise<{ status: number }>;
}

/** All at once, eight at a time. @throws when an answer is another than it should be. */
async function send(traffic: Traffic[]): Promise<void> {
  const waiting = traffic.values();
  const worker = async () => {
    for (const { status, of } of waiting) expect((await of()).status).toBe(status);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

const times = (count: number, each: (n: number) => Traffic) =>
  Array.from({ length: count }, (_, n) => each(n));
const ENTITIES = 20;

beforeAll(async () => {
  service = await startService({ command: "serve", state, args });
});
afterAll(endServices);

describe("known traffic from eight clients at once", () => {
  let before: Scrape;
  let after: Scrape;

  beforeAll(async () => {
    before = await scrape();
    await send(times(ENTITIES, (n) => ({ status: 200, of: () => write(n) })));
    await send([
      ...times(400, (n) => ({ status: 200, of: () => read(n % ENTITIES) })),
      ...times(40, (n) => ({ status: 404, of: () => read(n % ENTITIES, "none") })),
      ...times(30, () => ({ status: 404, of: () => ask(service, "GET /secret-path") })),
      ...times(20, () => ({ status: 422, of: () => ask(service, "POST /api/v1/items", { body: {} }) })),
    ]);
    after = await scrapeWhen(
      (found) =>
        found.sum(REQUESTS, { endpoint: ITEM }) >= 440 &&
        found.sum(REQUESTS, { endpoint: "unknown" }) >= 30 &&
        found.sum("feature_store_events_total", { stage: "consumed" }) >= ENTITIES,
    );
  });

  test("every request is counted once, with its endpoint, method and status", () => {
    const counts = after
      .select(REQUESTS)
      .filter(({ labels }) => labels.endpoint !== "/metrics" && labels.endpoint !== "/health")
      .map(({ labels, value }) => [labels.method, labels.endpoint, labels.status, value]);
    expect(counts).toEqual([
      ["GET", ITEM, "200", 400],
      ["GET", ITEM, "404", 40],
      ["POST", "/api/v1/items", "200", ENTITIES],
      ["POST", "/api/v1/items", "422", 20],
      ["GET", "unknown", "404", 30],
    ]);
  });

  test("so are reads by tier, values, writes, groups and events", () => {
    const hits = after.sum("feature_store_cache_hits_total");
    const misses = after.sum("feature_store_cache_misses_total");
    expect(hits + misses).toBe(440);
    // Each entity was in no cache at first.
    expect(misses).toBeGreaterThanOrEqual(ENTITIES);
    expect(after.sum("feature_store_values_total", { status: "PRESENT" })).toBe(400);
    expect(after.sum("feature_store_values_total", { status: "NOT_FOUND" })).toBe(40);
    expect(after.sum("feature_store_feature_freshness_seconds_count")).toBe(400);
    expect(after.sum("feature_store_writes_total", { outcome: "applied" })).toBe(ENTITIES);
    expect(after.sum("feature_store_write_group_size_sum")).toBe(ENTITIES);
    expect(after.sum("feature_store_events_total", { stage: "published" })).toBe(ENTITIES);
    expect(
      after.sum("feature_store_db_query_duration_seconds_count", { operation: "d1.get_item" }),
    ).toBeGreaterThan(0);
    expect(after.sum("feature_store_outbox_oldest_age_seconds")).toBe(0);
  });

  test("the rate of requests by endpoint is what was sent in the time", () => {
    const perSecond = rate([before, after], 60);
    expect(perSecond(REQUESTS, { endpoint: ITEM })).toBeCloseTo(440 / 60, 10);
    expect(perSecond(REQUESTS, { endpoint: "/api/v1/items" })).toBeCloseTo(40 / 60, 10);
  });

  test("the cache hit rate is the share of reads that did not come from D1", () => {
    const perSecond = rate([before, after], 300);
    const hits = perSecond("feature_store_cache_hits_total");
    const share = hits / (hits + perSecond("feature_store_cache_misses_total"));
    const d1Reads = after.sum("feature_store_cache_misses_total", { tier: "d1" });
    expect(share).toBeCloseTo((440 - d1Reads) / 440, 10);
  });

  test("the p99 latency lies where the slowest hundredth of the requests does", () => {
    const perSecond = rate([before, after], 300);
    const bounds = after.select(`${LATENCY}_bucket`, { endpoint: ITEM }).map(({ labels }) => labels.le ?? "");
    const buckets = new Map(
      bounds.map((le) => [
        Number(le.replace("+Inf", "Infinity")),
        perSecond(`${LATENCY}_bucket`, { endpoint: ITEM, le }),
      ]),
    );
    const p99 = histogramQuantile(0.99, buckets);
    const within = (seconds: number) =>
      Math.max(0, ...[...buckets].filter(([le]) => le <= seconds).map(([, count]) => count)) * 300;
    expect(within(Number.POSITIVE_INFINITY)).toBeCloseTo(440, 6);
    const above = Math.min(...[...buckets.keys()].filter((le) => le >= p99));
    expect(within(above)).toBeGreaterThanOrEqual(0.99 * 440 - 1e-6);
    expect(p99).toBeGreaterThan(0);
    expect(histogramQuantile(0.5, buckets)).toBeLessThanOrEqual(p99);
  });

  test("nothing of what was written is in it, nor in the logs", async () => {
    const { body } = await ask<string>(service, "GET /metrics", {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    expect(body).not.toMatch(/secret|default/);
    expect(service.output()).not.toMatch(/secret-(entity|value)|secret_feature/);
  });

  test("after a kill no counter is lower than it was shown, and new requests are added to it", async () => {
    const shown = await scrape();
    await service.kill();
    service = await startService({ command: "serve", state, args: [...args, "--no-build"] });
    const again = await scrape();
    const lower = shown.samples.filter(
      ({ name, labels, value }) => /_(total|count|bucket)$/.test(name) && again.sum(name, labels) < value,
    );
    expect(lower).toEqual([]);
    await send(times(25, () => ({ status: 404, of: () => ask(service, "GET /secret-path") })));
    const more = again.sum(REQUESTS, { endpoint: "unknown" }) + 25;
    const last = await scrapeWhen((found) => found.sum(REQUESTS, { endpoint: "unknown" }) >= more);
    expect(last.sum(REQUESTS, { endpoint: "unknown" })).toBe(more);
  });
});
