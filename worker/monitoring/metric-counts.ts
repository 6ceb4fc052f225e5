/** Counts of many series, and how they add up. Plain data with whole numbers: any order and grouping gives the same. */
import { type CounterName, type HistogramName, METRICS, type MetricName } from "./metric-names.ts";

export interface HistogramCounts {
  /** Observations by bucket, not cumulative; the last is beyond every bound. */
  buckets: number[];
  /** In the fraction of the unit that the metric's definition names. */
  sum: number;
}

/** By metric name, then by the label values in the order of the definition, joined by tabs. */
export interface MetricCounts {
  counters: Record<string, Record<string, number>>;
  histograms: Record<string, Record<string, HistogramCounts>>;
}

export const noCounts = (): MetricCounts => ({ counters: {}, histograms: {} });

const LABEL_SEPARATOR = "\t";

export function joinLabels(values: readonly (string | number)[]): string {
  return values.join(LABEL_SEPARATOR);
}

export function splitLabels(joined: string): string[] {
  return joined === "" ? [] : joined.split(LABEL_SEPARATOR);
}

const bounds = Object.fromEntries(
  Object.entries(METRICS).flatMap(([name, definition]) =>
    definition.type === "histogram"
      ? [[name, definition.buckets.map((bound) => Math.round(bound * definition.perUnit))]]
      : [],
  ),
) as unknown as Record<HistogramName, number[]>;

/** The first bucket whose bound is not below the value, as `le` says. */
export function bucketOf(name: HistogramName, value: number): number {
  const ascending = bounds[name];
  let bucket = 0;
  while (bucket < ascending.length && value > (ascending[bucket] ?? 0)) bucket += 1;
  return bucket;
}

/** Counts that are being made, in one isolate. */
export class CountBuffer {
  readonly #counters = new Map<CounterName, Map<string, number>>();
  readonly #histograms = new Map<HistogramName, Map<string, HistogramCounts>>();

  get isEmpty(): boolean {
    return this.#counters.size === 0 && this.#histograms.size === 0;
  }

  count(name: CounterName, labels: string, by = 1): void {
    const series = seriesOf(this.#counters, name);
    series.set(labels, (series.get(labels) ?? 0) + by);
  }

  /** @param value In the metric's fraction of the unit. */
  observe(name: HistogramName, labels: string, value: number): void {
    const found = this.histogram(name, labels);
    const bucket = bucketOf(name, value);
    found.buckets[bucket] = (found.buckets[bucket] ?? 0) + 1;
    found.sum += Math.round(value);
  }

  /** All counts since the last time. */
  take(): MetricCounts {
    const counts = noCounts();
    for (const [name, series] of this.#counters) counts.counters[name] = Object.fromEntries(series);
    for (const [name, series] of this.#histograms) counts.histograms[name] = Object.fromEntries(series);
    this.#counters.clear();
    this.#histograms.clear();
    return counts;
  }

  /** Where observations are put that have their bucket already. */
  histogram(name: HistogramName, labels: string): HistogramCounts {
    const series = seriesOf(this.#histograms, name);
    const found = series.get(labels);
    if (found) return found;
    const made = { buckets: new Array<number>(bounds[name].length + 1).fill(0), sum: 0 };
    series.set(labels, made);
    return made;
  }
}

function seriesOf<Name extends MetricName, T>(byName: Map<Name, Map<string, T>>, name: Name): Map<string, T> {
  let series = byName.get(name);
  if (!series) {
    series = new Map();
    byName.set(name, series);
  }
  return series;
}

function addHistogram(to: HistogramCounts, more: HistogramCounts): void {
  more.buckets.forEach((count, bucket) => {
    to.buckets[bucket] = (to.buckets[bucket] ?? 0) + count;
  });
  to.sum += more.sum;
}

function countSeries({ counters, histograms }: MetricCounts): number {
  return [...Object.values(counters), ...Object.values(histograms)].reduce(
    (total, series) => total + Object.keys(series).length,
    0,
  );
}

/**
 * Adds `more` to `totals`. A new series beyond `maxSeries` is not kept; how many counts that were is counted.
 *
 * @returns the number of series.
 */
export function addCounts(totals: MetricCounts, more: MetricCounts, maxSeries: number): number {
  let series = countSeries(totals);
  let dropped = 0;
  for (const [name, values] of Object.entries(more.counters)) {
    totals.counters[name] ??= {};
    const known = totals.counters[name];
    for (const [labels, value] of Object.entries(values)) {
      if (!Object.hasOwn(known, labels) && ++series > maxSeries) {
        series -= 1;
        dropped += value;
      } else known[labels] = (known[labels] ?? 0) + value;
    }
  }
  for (const [name, values] of Object.entries(more.histograms)) {
    totals.histograms[name] ??= {};
    const known = totals.histograms[name];
    for (const [labels, value] of Object.entries(values)) {
      if (!Object.hasOwn(known, labels) && ++series > maxSeries) {
        series -= 1;
        dropped += value.buckets.reduce((a, b) => a + b, 0);
        continue;
      }
      known[labels] ??= { buckets: value.buckets.map(() => 0), sum: 0 };
      addHistogram(known[labels], value);
    }
  }
  if (dropped > 0) {
    totals.counters.feature_store_metrics_dropped_total ??= {};
    const own = totals.counters.feature_store_metrics_dropped_total;
    own[""] = (own[""] ?? 0) + dropped;
  }
  return series;
}
