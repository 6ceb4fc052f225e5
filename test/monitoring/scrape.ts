/** What one scrape of `/metrics` says, read by a parser of Prometheus' text format, and PromQL's two functions. */
import parse from "parse-prometheus-text-format";

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export type Matching = Record<string, string>;

export class Scrape {
  readonly samples: readonly Sample[];

  /** @param text As it was answered. */
  constructor(text: string) {
    // The parser drops the labels of a histogram; without its type the series are taken one by one, as Prometheus does.
    const untyped = text.replaceAll(/^# TYPE \w+ histogram$/gm, "");
    this.samples = (parse(untyped) ?? []).flatMap(({ name, metrics }) =>
      metrics.map(({ labels = {}, value }) => ({ name, labels, value: Number(value) })),
    );
  }

  select(name: string, matching: Matching = {}): Sample[] {
    return this.samples.filter(
      (sample) =>
        sample.name === name &&
        Object.entries(matching).every(([label, value]) => sample.labels[label] === value),
    );
  }

  /** `sum(name{matching})`; 0 when there is no such series. */
  sum(name: string, matching: Matching = {}): number {
    return this.select(name, matching).reduce((total, { value }) => total + value, 0);
  }
}

/** `sum(rate(name{matching}[seconds]))` of two scrapes that are so far apart: counters that only rise. */
export function rate([before, now]: [Scrape, Scrape], seconds: number) {
  return (name: string, matching: Matching = {}) =>
    (now.sum(name, matching) - before.sum(name, matching)) / seconds;
}

/**
 * `histogram_quantile(q, …)` of one histogram, as documented
 * (https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile): linear within a bucket, the
 * lowest one beginning at 0; in the highest the bound below it.
 *
 * @param buckets By `le`, cumulative.
 */
export function histogramQuantile(q: number, buckets: ReadonlyMap<number, number>): number {
  const ascending = [...buckets].sort(([a], [b]) => a - b);
  const total = ascending.at(-1)?.[1] ?? 0;
  if (total === 0) return Number.NaN;
  const rank = q * total;
  const at = ascending.findIndex(([, count]) => count >= rank);
  const [bound = 0, count = 0] = ascending[at] ?? [];
  const [lower, below] = ascending[at - 1] ?? [0, 0];
  if (bound === Number.POSITIVE_INFINITY) return lower;
  return lower + (bound - lower) * ((rank - below) / (count - below));
}
