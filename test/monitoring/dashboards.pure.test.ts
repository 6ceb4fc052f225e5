/** The dashboards name what exists: a series, label or column that is renamed fails here, not on a screen in the night. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import grafana from "../../worker/monitoring/dashboards/grafana.json" with { type: "json" };
import { METRICS } from "../../worker/monitoring/metric-names.ts";
import { COLUMNS, checkPointsSql, statementsOf } from "./check-points-sql.ts";
import { checkPromql, groupedBy, metricsOf } from "./check-promql.ts";

interface Panel {
  id: number;
  title: string;
  type: string;
  datasource?: { type: string; uid: string };
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string; legendFormat: string; datasource: { uid: string } }[];
}

const panels = grafana.panels as Panel[];
const targets = panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })));

describe("the Grafana dashboard", () => {
  test.each(targets.map(({ title, expr }) => [title, expr]))("%s: %s", (_, expr) => {
    expect(checkPromql(expr)).toEqual([]);
  });

  test("shows every series that there is", () => {
    const shown = new Set(targets.flatMap(({ expr }) => metricsOf(expr)));
    expect([...shown].toSorted()).toEqual(Object.keys(METRICS).toSorted());
  });

  test("names lines by labels that they have", () => {
    for (const { expr, legendFormat } of targets) {
      const labels = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
      expect(groupedBy(expr), expr).toEqual(expect.arrayContaining(labels));
    }
  });

  test("asks the data source that is chosen on it, and lists endpoints by a label that exists", () => {
    const [source, endpoint] = grafana.templating.list;
    expect(source).toMatchObject({ name: "DS_PROMETHEUS", type: "datasource", query: "prometheus" });
    const sources = panels.flatMap(({ type, datasource, targets = [] }) =>
      type === "row" ? [] : [datasource, ...targets.map((target) => target.datasource)],
    );
    expect(new Set(sources.map((each) => each?.uid))).toEqual(new Set([`\${${source?.name}}`]));
    const [, series = "", label = ""] =
      /^label_values\((\w+), (\w+)\)$/.exec(endpoint?.definition ?? "") ?? [];
    expect(METRICS[series as "feature_store_api_requests_total"]?.labels).toContain(label);
  });

  test("every panel has its place, and no two share one", () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});

const REQUESTS = "feature_store_api_requests_total";
const LATENCY = "feature_store_api_latency_seconds";

test.each([
  [`sum(rate(feature_store_requests_total[5m]))`, "feature_store_requests_total is no series"],
  [`sum(rate(${REQUESTS}{tenant="a"}[5m]))`, `${REQUESTS} has no label tenant`],
  [`sum by (path) (rate(${REQUESTS}[5m]))`, `${REQUESTS} has no label path`],
  [`sum(rate(${REQUESTS}{le="1"}[5m]))`, `${REQUESTS} has no label le`],
  [`sum(${REQUESTS})`, `${REQUESTS} is a counter without a rate`],
  [`sum(max_over_time(${REQUESTS}[5m]))`, `${REQUESTS} is a counter without a rate`],
  [`rate(feature_store_outbox_events[5m])`, "feature_store_outbox_events is no counter"],
  [`rate(${LATENCY}[5m])`, `${LATENCY} is no series`],
  [`rate(${REQUESTS}_bucket[5m])`, `${REQUESTS}_bucket is no series`],
  [`histogram_quantile(0.9, sum(rate(${LATENCY}_bucket[5m])))`, "a quantile without le"],
  [`histogram_quantile(0.9, sum by (endpoint) (rate(${LATENCY}_bucket[5m])))`, "a quantile without le"],
  [`histogram_quantile(0.9, sum by (le) (rate(${LATENCY}_sum[5m])))`, "a quantile of no buckets"],
  [`sum without (le) (rate(${LATENCY}_bucket[5m]))`, "without() keeps labels that nobody names"],
  [`sum(rate(${REQUESTS}[5m])`, "no PromQL at"],
  [`sum by endpoint (rate(${REQUESTS}[5m]))`, "no PromQL at"],
])("a mistake is found in %s", (expression, fault) => {
  expect(checkPromql(expression).join("; ")).toContain(fault);
});

describe("the queries of Analytics Engine", () => {
  const file = readFileSync(
    join(import.meta.dirname, "../../worker/monitoring/dashboards/analytics-engine.sql"),
    "utf8",
  );
  const statements = statementsOf(file);

  test("begin with the table of columns as it is", () => {
    const documented = [...file.matchAll(/^-- ((?:index|blob|double)\d+) +(\w+)/gm)];
    expect(documented.map(([, column, name]) => [column, name])).toEqual([...COLUMNS]);
  });

  test("are there", () => {
    expect(statements.length).toBeGreaterThan(8);
  });

  test.each(statements)("$comment", ({ comment, sql }) => {
    expect(comment).toMatch(/\?/);
    expect(checkPointsSql(sql)).toEqual([]);
  });
});

const query = (selected: string, where = "blob1 = 'request'") =>
  `SELECT\n  ${selected}\nFROM feature_store\nWHERE ${where}`;

test.each([
  [query("blob8 AS region"), "blob8 is no column"],
  [query("double21 AS bytes"), "double21 is no column"],
  [query("blob3 AS operation"), "operation is made of endpoint"],
  [query("sum(_sample_interval * double2) AS count_requests"), "count_requests is made of duration_ms"],
  [query("sum(double1) AS count_requests"), "is blind to sampling"],
  [query("quantileExactWeighted(0.5)(double2, double1) AS duration_ms_p50"), "is blind to sampling"],
  [query("count() AS count_requests"), "count is no function"],
  [query("sum(_sample_interval * double8) AS reads_memory"), "double8 may be -1"],
  [query("blob2 AS operation", "blob2 = 'dynamodb.get_item'"), "blob2 is never dynamodb.get_item"],
  [query("blob2"), "blob2 has no name"],
  [query("blob2 AS operation").replace("feature_store", "features"), "not of the dataset"],
])("a mistake is found in %j", (sql, fault) => {
  expect(checkPointsSql(sql).join("; ")).toContain(fault);
});
