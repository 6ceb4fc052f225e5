/**
 * Every series of `/metrics`: its name, what it is, its labels and buckets. Dashboards and alerts are tested against
 * this table. Labels are out of fixed lists: an endpoint is a pattern, and no tenant, entity or feature is one.
 */

interface CounterDefinition {
  type: "counter";
  help: string;
  labels: readonly string[];
  /** Label values shown from the start, as 0: a formula over a series that is missing has no result. */
  initial?: readonly string[];
}

export interface HistogramDefinition {
  type: "histogram";
  help: string;
  labels: readonly string[];
  /** Upper bounds, in the unit of the name, ascending; `+Inf` comes of itself. */
  buckets: readonly number[];
  /**
   * Observations are whole numbers of this fraction of the unit: sums of them are the same in whatever order isolates
   * add them up.
   */
  perUnit: number;
}

interface GaugeDefinition {
  type: "gauge";
  help: string;
  labels: readonly string[];
  /** What the readings of several writers are together; `oldest`: they are times, shown as the age of the earliest. */
  merge: "sum" | "oldest";
}

export type MetricDefinition = CounterDefinition | HistogramDefinition | GaugeDefinition;

/** The platform's clock has milliseconds. Hot reads take less than one, D1 some, a stuck writer up to 30 s. */
const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const MICROSECONDS = 1_000_000;
const MILLISECONDS = 1_000;
const HOUR = 3_600;
const DAY = 24 * HOUR;

export const METRICS = {
  feature_store_api_requests_total: {
    type: "counter",
    help: "Requests answered. Of no endpoint: `unknown`.",
    labels: ["endpoint", "method", "status"],
  },
  feature_store_api_latency_seconds: {
    type: "histogram",
    help: "Time from the request to the answer.",
    labels: ["endpoint", "method"],
    buckets: SECONDS,
    perUnit: MICROSECONDS,
  },
  feature_store_cache_hits_total: {
    type: "counter",
    help: "Entity reads that a cache answered, by the tier that did: memory or kv.",
    labels: ["tier"],
    initial: ["memory", "kv"],
  },
  feature_store_cache_misses_total: {
    type: "counter",
    help: "Entity reads that no cache answered: d1 did.",
    labels: ["tier"],
    initial: ["d1"],
  },
  feature_store_feature_freshness_seconds: {
    type: "histogram",
    help: "Age of the values answered, since their event time.",
    labels: [],
    buckets: [1, 10, 60, 300, 1_800, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY],
    perUnit: MILLISECONDS,
  },
  feature_store_values_total: {
    type: "counter",
    help: "Values asked for, by status: PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE. A whole category of an item is one.",
    labels: ["status"],
    initial: ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"],
  },
  feature_store_db_query_duration_seconds: {
    type: "histogram",
    help: "Time of D1 queries and transactions, by operation.",
    labels: ["operation"],
    buckets: SECONDS,
    perUnit: MICROSECONDS,
  },
  feature_store_operation_duration_seconds: {
    type: "histogram",
    help: "Time of all other operations: KV, writers, queues.",
    labels: ["operation"],
    buckets: SECONDS,
    perUnit: MICROSECONDS,
  },
  feature_store_operations_total: {
    type: "counter",
    help: "Operations on stores, by outcome: ok or error.",
    labels: ["operation", "outcome"],
  },
  feature_store_writes_total: {
    type: "counter",
    help: "Entity writes and deletions that reached a writer, by what became of them.",
    labels: ["outcome"],
    initial: ["applied", "stale", "duplicate", "rejected", "deleted", "not_found", "unacknowledged"],
  },
  feature_store_write_group_size: {
    type: "histogram",
    help: "Entity writes committed together.",
    labels: [],
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000],
    perUnit: 1,
  },
  feature_store_events_total: {
    type: "counter",
    help: "Availability events: published to the queue, consumed from it (a repeated delivery again).",
    labels: ["stage"],
    initial: ["published", "consumed"],
  },
  feature_store_metrics_dropped_total: {
    type: "counter",
    help: "Counts of series beyond the limit, which are not shown.",
    labels: [],
    initial: [""],
  },
  feature_store_outbox_oldest_age_seconds: {
    type: "gauge",
    help: "Age of the oldest event that its queue has not taken; 0 when there is none.",
    labels: [],
    merge: "oldest",
  },
  feature_store_outbox_events: {
    type: "gauge",
    help: "Events that their queue has not taken.",
    labels: [],
    merge: "sum",
  },
  feature_store_writer_queued_changes: {
    type: "gauge",
    help: "Changes waiting for a writer's next transaction.",
    labels: [],
    merge: "sum",
  },
  feature_store_database_bytes: {
    type: "gauge",
    help: "Size of a D1 database, which takes 10 GB; once it is full no write to it is committed.",
    labels: ["database"],
    merge: "sum",
  },
  feature_store_queue_backlog_messages: {
    type: "gauge",
    help: "Messages in a queue that no consumer has handled.",
    labels: ["queue"],
    merge: "sum",
  },
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof METRICS;
type NamesOf<T extends MetricDefinition["type"]> = {
  [Name in MetricName]: (typeof METRICS)[Name]["type"] extends T ? Name : never;
}[MetricName];
export type CounterName = NamesOf<"counter">;
export type HistogramName = NamesOf<"histogram">;
export type GaugeName = NamesOf<"gauge">;

export const definitionOf = (name: string): MetricDefinition | undefined =>
  Object.hasOwn(METRICS, name) ? METRICS[name as MetricName] : undefined;
