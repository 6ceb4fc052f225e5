/** The sum of the flushes of all isolates. No I/O: `metrics-totals.ts` keeps it. */
import { MAX_METRIC_SERIES } from "../limits.ts";
import { FLUSH_MEMORY_MS, GAUGE_TTL_MS } from "../timings.ts";
import type { Flush, GaugeReading } from "./isolate-metrics.ts";
import { addCounts, type MetricCounts, noCounts } from "./metric-counts.ts";
import { definitionOf } from "./metric-names.ts";
import type { Gauges } from "./prometheus.ts";

/** What survives: the counts, and which flushes are in them. */
export interface StoredTotals {
  counts: MetricCounts;
  /** By isolate, the number of its last flush, and when that was. */
  flushes: Record<string, { number: number; atMs: number }>;
}

export const noTotals = (): StoredTotals => ({ counts: noCounts(), flushes: {} });

/** @returns false when this flush is in the totals already: its sender did not know. */
export function addFlush(totals: StoredTotals, flush: Flush, nowMs: number): boolean {
  const known = totals.flushes[flush.isolate];
  if (known && known.number >= flush.number) return false;
  totals.flushes[flush.isolate] = { number: flush.number, atMs: nowMs };
  addCounts(totals.counts, flush.counts, MAX_METRIC_SERIES);
  return true;
}

/** Isolates come and go: one that has not been heard of for long will not repeat a flush. */
export function forgetIsolates({ flushes }: StoredTotals, nowMs: number): void {
  for (const [isolate, { atMs }] of Object.entries(flushes)) {
    if (nowMs - atMs > FLUSH_MEMORY_MS) delete flushes[isolate];
  }
}

/** The newest reading of each source. */
export class GaugeReadings {
  readonly #readings = new Map<string, { reading: GaugeReading; atMs: number }>();

  note(readings: readonly GaugeReading[], nowMs: number): void {
    for (const reading of readings) {
      const key = `${reading.name} ${reading.source}`;
      if (reading.value === null) this.#readings.delete(key);
      else this.#readings.set(key, { reading, atMs: nowMs });
    }
  }

  /** What all sources say together. A source that has been silent for long is gone. */
  merged(nowMs: number): Gauges {
    const gauges: Gauges = {
      feature_store_outbox_oldest_age_seconds: { "": 0 },
      feature_store_outbox_events: { "": 0 },
      feature_store_writer_queued_changes: { "": 0 },
    };
    for (const [key, { reading, atMs }] of this.#readings) {
      if (nowMs - atMs > GAUGE_TTL_MS) {
        this.#readings.delete(key);
        continue;
      }
      const gauge = gauges[reading.name];
      const definition = definitionOf(reading.name);
      if (!gauge || definition?.type !== "gauge" || reading.value === null) continue;
      const before = gauge[""] ?? 0;
      gauge[""] =
        definition.merge === "oldest"
          ? Math.max(before, (nowMs - reading.value) / 1_000)
          : before + reading.value;
    }
    return gauges;
  }
}
