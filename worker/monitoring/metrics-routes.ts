/** `/metrics` for Prometheus. */
import { bindingOf, entityDatabases } from "../db/entity-databases.ts";
import { Problem, unavailable } from "../errors.ts";
import { authorise } from "../http/auth.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { TOTALS_NAME } from "../keys.ts";
import { DEFAULT_TENANT } from "../tenants/tenant-id.ts";
import { METRICS_SOURCE_TIMEOUT_MS, RETRY_AFTER_SECONDS } from "../timings.ts";
import { within } from "../waits.ts";
import { isolateMetrics } from "./isolate-metrics.ts";
import { isMetricsToken } from "./metrics-token.ts";
import type { Totals } from "./metrics-totals.ts";
import { type Gauges, PROMETHEUS_CONTENT_TYPE, prometheusText } from "./prometheus.ts";

/**
 * The metrics are of all tenants together: for who administers all of them. `METRICS_TOKEN` opens this route and no other:
 * a monitor needs no key that could change anything.
 */
async function adminOrToken(c: AppContext): Promise<void> {
  if (isMetricsToken(c.settings.metricsToken, c.header("authorization"))) return;
  await authorise(c, "admin");
  if (c.principal.tenant === DEFAULT_TENANT) return;
  throw new Problem(403, `only admins of the tenant \`${DEFAULT_TENANT}\` read the metrics of all tenants`);
}

const metrics = endpoint(
  {
    method: "get",
    path: "/metrics",
    aliases: ["/api/v1/metrics"],
    tag: "monitoring",
    summary: "Metrics in Prometheus' text format",
    description:
      "Of the whole service, all tenants together. Needs a key with `admin` of the tenant `default`, or `Authorization: Bearer` with the variable `METRICS_TOKEN`. Counts are a few seconds old.",
    scope: "admin",
    authorise: adminOrToken,
    request: {},
    answers: { 200: { description: "Counters, histograms and gauges.", contentType: "text/plain" } },
  },
  async (c) => {
    await isolateMetrics.flush(c.env);
    const [totals, backlog, sizes] = await Promise.all([readTotals(c), readBacklog(c.env), readSizes(c.env)]);
    const text = prometheusText(totals.counts, { ...totals.gauges, ...backlog, ...sizes });
    return { status: 200, body: text, contentType: PROMETHEUS_CONTENT_TYPE, headers: {} };
  },
);

async function readTotals(c: AppContext): Promise<Totals> {
  try {
    return await c.env.METRICS_TOTALS.getByName(TOTALS_NAME).read();
  } catch (cause) {
    c.log.error("the metrics did not answer", cause, { request_id: c.requestId });
    throw unavailable("the metrics do not answer; try again", RETRY_AFTER_SECONDS);
  }
}

async function readBacklog(env: Env): Promise<Gauges> {
  const queues = { "feature-availability": env.FEATURE_AVAILABILITY, "feature-compute": env.FEATURE_COMPUTE };
  const found: Record<string, number> = {};
  await Promise.all(
    Object.entries(queues).map(async ([name, queue]) => {
      const backlog = await within(METRICS_SOURCE_TIMEOUT_MS, queue.metrics()).catch(() => null);
      if (backlog) found[name] = backlog.backlogCount;
    }),
  );
  return { feature_store_queue_backlog_messages: found };
}

/** Every answer of D1 says how large the database is. Nothing of one that does not answer in time. */
async function readSizes(env: Env): Promise<Gauges> {
  const found: Record<string, number> = {};
  await Promise.all(
    entityDatabases(env).map(async (db, number) => {
      const asked = db.withSession("first-unconstrained").prepare("SELECT 1").all();
      const answer = await within(METRICS_SOURCE_TIMEOUT_MS, asked).catch(() => null);
      if (answer) found[bindingOf(number)] = answer.meta.size_after;
    }),
  );
  return { feature_store_database_bytes: found };
}

export const metricsEndpoints = [metrics];
