/** From records to the series of `/metrics`. */
import { MICROS_PER_MS } from "../timestamps.ts";
import type { CountBuffer } from "./metric-counts.ts";
import { joinLabels } from "./metric-counts.ts";
import {
  type MetricRecord,
  type OperationRecord,
  type RequestRecord,
  UNKNOWN,
  WRITE_OUTCOMES,
} from "./metric-record.ts";
import { routeOf } from "./operation-names.ts";
import { VALUE_STATUSES, type ValueTally } from "./value-tally.ts";

export function countRecord(counts: CountBuffer, record: MetricRecord): void {
  if (record.kind === "request") countRequest(counts, record);
  else countOperation(counts, record);
}

function countRequest(counts: CountBuffer, record: RequestRecord): void {
  const { status, durationMs, reads, values } = record;
  const route = routeOf(record.endpoint, record.method);
  counts.count("feature_store_api_requests_total", route.withStatus(status));
  counts.observe("feature_store_api_latency_seconds", route.labels, durationMs * MICROS_PER_MS);
  if (reads) {
    if (reads.memory > 0) counts.count("feature_store_cache_hits_total", "memory", reads.memory);
    if (reads.kv > 0) counts.count("feature_store_cache_hits_total", "kv", reads.kv);
    if (reads.d1 > 0) counts.count("feature_store_cache_misses_total", "d1", reads.d1);
  }
  if (values) countValues(counts, values);
}

function countValues(counts: CountBuffer, values: ValueTally): void {
  for (const status of VALUE_STATUSES) {
    if (values[status] > 0) counts.count("feature_store_values_total", status, values[status]);
  }
  if (values.PRESENT === 0) return;
  const freshness = counts.histogram("feature_store_feature_freshness_seconds", "");
  values.addAges(freshness.buckets);
  freshness.sum += values.agesMs;
}

/** One operation: `count` is 1, the records of an invocation are added together only for Analytics Engine. */
function countOperation(counts: CountBuffer, record: OperationRecord): void {
  const { operation, outcome, durationMs, items, writes } = record;
  counts.count("feature_store_operations_total", joinLabels([operation, outcome]));
  const durations = operation.startsWith("d1.")
    ? "feature_store_db_query_duration_seconds"
    : "feature_store_operation_duration_seconds";
  counts.observe(durations, operation, durationMs * MICROS_PER_MS);
  if (operation === "writer.commit" && items !== UNKNOWN)
    counts.observe("feature_store_write_group_size", "", items);
  for (const each of writes ? WRITE_OUTCOMES : []) {
    const count = writes?.[each] ?? 0;
    if (count > 0) counts.count("feature_store_writes_total", each, count);
  }
  if (outcome === "error") return;
  if (operation === "queue.publish") counts.count("feature_store_events_total", "published", items);
  if (operation === "queue.consume") counts.count("feature_store_events_total", "consumed", items);
}
