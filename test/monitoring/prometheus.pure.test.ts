/** The text that Prometheus reads, checked by a parser of its own. */
import parse from "parse-prometheus-text-format";
import { expect, test } from "vitest";
import { CountBuffer, noCounts } from "../../worker/monitoring/metric-counts.ts";
import { METRICS } from "../../worker/monitoring/metric-names.ts";
import { prometheusText } from "../../worker/monitoring/prometheus.ts";
import { Scrape } from "./scrape.ts";

function text(fill: (counts: CountBuffer) => void, gauges = {}): string {
  const counts = new CountBuffer();
  fill(counts);
  return prometheusText(counts.take(), gauges);
}

const linesOf = (name: string, whole: string) => whole.split("\n").filter((line) => line.startsWith(name));

test("every metric says what it is before its first sample, even without one", () => {
  const parsed = parse(prometheusText(noCounts(), {}));
  expect(parsed?.map(({ name, type, help }) => [name, type, help])).toEqual(
    Object.entries(METRICS).map(([name, { type, help }]) => [name, type.toUpperCase(), help]),
  );
});

test("a counter has its labels by name", () => {
  const made = text((counts) =>
    counts.count("feature_store_api_requests_total", "/api/v1/items\tPOST\t200", 7),
  );
  expect(linesOf("feature_store_api_requests_total", made)).toEqual([
    'feature_store_api_requests_total{endpoint="/api/v1/items",method="POST",status="200"} 7',
  ]);
});

test("label values are escaped", () => {
  const made = text((counts) => counts.count("feature_store_cache_hits_total", 'a"b\\c\nd'));
  expect(linesOf("feature_store_cache_hits_total", made)).toContain(
    'feature_store_cache_hits_total{tier="a\\"b\\\\c\\nd"} 1',
  );
  const hits = new Scrape(made).select("feature_store_cache_hits_total", { tier: 'a"b\\c\nd' });
  expect(hits.map(({ value }) => value)).toEqual([1]);
});

test("buckets are cumulative, end with +Inf, and sum and count are those of all", () => {
  const made = text((counts) => {
    for (const us of [400, 1_000, 1_001, 60_000_000])
      counts.observe("feature_store_api_latency_seconds", "/e\tGET", us);
  });
  const [metric] = parse(made)?.filter(({ name }) => name === "feature_store_api_latency_seconds") ?? [];
  expect(metric?.metrics[0]?.buckets).toMatchObject({ "0.001": "2", "0.002": "3", "30": "3", "+Inf": "4" });
  const scrape = new Scrape(made);
  const labels = { endpoint: "/e", method: "GET" };
  expect(scrape.select("feature_store_api_latency_seconds_count")).toEqual([
    { name: "feature_store_api_latency_seconds_count", labels, value: 4 },
  ]);
  expect(scrape.sum("feature_store_api_latency_seconds_sum", labels)).toBe(60.002401);
  const bounds = linesOf("feature_store_api_latency_seconds_bucket", made).map(
    (line) => /le="([^"]+)"/.exec(line)?.[1],
  );
  expect(bounds).toEqual([...METRICS.feature_store_api_latency_seconds.buckets.map(String), "+Inf"]);
});

test("what a formula may add up is there from the start, as 0", () => {
  const scrape = new Scrape(text((counts) => counts.count("feature_store_cache_hits_total", "kv", 2)));
  expect(
    scrape.select("feature_store_cache_hits_total").map(({ labels, value }) => [labels.tier, value]),
  ).toEqual([
    ["kv", 2],
    ["memory", 0],
  ]);
  expect(scrape.select("feature_store_cache_misses_total").map(({ value }) => value)).toEqual([0]);
});

test("a gauge without labels has none", () => {
  const made = text(() => {}, { feature_store_outbox_events: { "": 3 } });
  expect(linesOf("feature_store_outbox_events", made)).toEqual(["feature_store_outbox_events 3"]);
});

test("it ends with a line feed, as the format wants", () => {
  expect(text(() => {})).toMatch(/[^\n]\n$/);
});
