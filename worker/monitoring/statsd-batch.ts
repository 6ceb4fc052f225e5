/** What an isolate counts for StatsD between two flushes. Bounded, however many records come. No I/O. */
import { STATSD_MAX_SAMPLES, STATSD_MAX_SERIES } from "../limits.ts";
import type { MetricRecord } from "./metric-record.ts";
import { droppedLine, type LineOptions, linesOf, seriesKey } from "./statsd-lines.ts";

interface Gathered {
  record: MetricRecord;
  count: number;
  samples: number[];
}

export class StatsdBatch {
  readonly #series = new Map<string, Gathered>();
  readonly #random: () => number;
  #records = 0;
  #dropped = 0;

  /** @param random In [0, 1). */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Records in it, and those that found no room. */
  get records(): number {
    return this.#records;
  }

  get dropped(): number {
    return this.#dropped;
  }

  add(record: MetricRecord): void {
    this.#records += 1;
    const key = seriesKey(record);
    let series = this.#series.get(key);
    if (!series) {
      if (this.#series.size >= STATSD_MAX_SERIES) {
        this.#dropped += 1;
        return;
      }
      series = { record, count: 0, samples: [] };
      this.#series.set(key, series);
    }
    series.count += 1;
    this.#sample(series, record.durationMs);
  }

  lines(options: LineOptions): string[] {
    const lines = [...this.#series.values()].flatMap((series) => linesOf(series, options));
    return this.#dropped > 0 ? [...lines, droppedLine(this.#dropped, options)] : lines;
  }

  /** Each duration of a series has the same chance to be among those kept ("algorithm R"). */
  #sample({ samples, count }: Gathered, durationMs: number): void {
    if (samples.length < STATSD_MAX_SAMPLES) {
      samples.push(durationMs);
      return;
    }
    const at = Math.floor(this.#random() * count);
    if (at < STATSD_MAX_SAMPLES) samples[at] = durationMs;
  }
}
