/**
 * The counts of this isolate until they are sent to the object in which those of all isolates add up.
 *
 * Isolates have no clock of their own, so one invocation after the other promises to send: it does so a moment after
 * its answer, within its `waitUntil`.
 *
 *   invocation A                  this isolate              MetricsTotals
 *   answers, becomes the owner    counts                    .
 *   a moment later: stops         .                         .
 *   being it, takes the counts -> number 7 ---------------> adds, notes 7
 *   .                             a count from now on makes its invocation the owner
 *   no outcome: asks again ------ number 7, unchanged ----> knows 7: nothing
 *
 * So no count waits for later traffic, and none is added twice. An owner that was cancelled is replaced when it is
 * overdue. One call at a time: numbers arrive in order.
 */
import { TOTALS_NAME } from "../keys.ts";
import {
  METRICS_FLUSH_MS,
  METRICS_OWNER_STALE_MS,
  METRICS_SEND_ATTEMPTS,
  METRICS_SEND_STALE_MS,
} from "../timings.ts";
import { sleep } from "../waits.ts";
import { countRecord } from "./count-record.ts";
import { CountBuffer, type MetricCounts } from "./metric-counts.ts";
import type { GaugeName } from "./metric-names.ts";
import type { MetricRecord } from "./metric-record.ts";

/** What one writer says of itself; a null value takes it back. */
export interface GaugeReading {
  name: GaugeName;
  /** An instance of an object, by a random id. */
  source: string;
  value: number | null;
}

/** Counts on their way. The same number is the same counts, however often they are sent. */
export interface Flush {
  isolate: string;
  number: number;
  counts: MetricCounts;
  gauges: GaugeReading[];
}

/** Something else that wants the records, such as StatsD. */
export interface MetricExporter {
  /** Called with every record, before the answer leaves: it must only take note, and of numbers, not of the record. */
  note(record: MetricRecord): void;
  /** Called after an answer, every second or two while there are records. A rejection is logged by nobody. */
  flush(env: Env): Promise<void>;
}

interface IsolateMetricsOptions {
  /** @throws when it is not known whether the counts have arrived. */
  send: (env: Env, flush: Flush) => Promise<void>;
  sleep?: (ms: number) => Promise<void>;
  now?: () => number;
}

type After = (work: Promise<unknown>) => void;

export class IsolateMetrics {
  readonly #send: IsolateMetricsOptions["send"];
  readonly #sleep: (ms: number) => Promise<void>;
  readonly #now: () => number;
  readonly #counts = new CountBuffer();
  readonly #gauges = new Map<string, GaugeReading>();
  readonly #exporters: MetricExporter[] = [];
  /** Made when first needed: a Worker has no randomness while it starts. */
  #isolate = "";
  #number = 0;
  #unsent: Flush | null = null;
  #sendingUntilMs = 0;
  #owner: symbol | null = null;
  #ownerUntilMs = 0;

  constructor(options: IsolateMetricsOptions) {
    this.#send = options.send;
    this.#sleep = options.sleep ?? sleep;
    this.#now = options.now ?? Date.now;
  }

  attach(exporter: MetricExporter): void {
    this.#exporters.push(exporter);
  }

  add(record: MetricRecord): void {
    countRecord(this.#counts, record);
    for (const exporter of this.#exporters) exporter.note(record);
  }

  gauge(reading: GaugeReading): void {
    this.#gauges.set(`${reading.name} ${reading.source}`, reading);
  }

  /** Sees to it that what was added is sent. Cheap when somebody else will. @param after `waitUntil` of the caller. */
  keepFlushing(env: Env, after: After): void {
    if (this.#owner && this.#now() < this.#ownerUntilMs) return;
    after(this.#flushLater(env, this.#own()));
  }

  /** Sends what there is now, unless another invocation is sending. Never rejects. */
  async flush(env: Env): Promise<"sent" | "not sent"> {
    if (this.#now() < this.#sendingUntilMs) return "not sent";
    const exported = Promise.allSettled(this.#exporters.map((exporter) => exporter.flush(env)));
    // What may have arrived goes first, as it was; only then are new counts given the next number.
    const isSent = (await this.#sendOne(env, this.#unsent)) && (await this.#sendOne(env, this.#take()));
    await exported;
    return isSent ? "sent" : "not sent";
  }

  async #sendOne(env: Env, flush: Flush | null): Promise<boolean> {
    if (!flush) return true;
    this.#unsent = flush;
    this.#sendingUntilMs = this.#now() + METRICS_SEND_STALE_MS;
    try {
      await this.#send(env, flush);
      if (this.#unsent === flush) this.#unsent = null;
      return true;
    } catch {
      return false;
    } finally {
      this.#sendingUntilMs = 0;
    }
  }

  #own(): symbol {
    const owner = Symbol("owner");
    this.#owner = owner;
    this.#ownerUntilMs = this.#now() + METRICS_OWNER_STALE_MS;
    return owner;
  }

  async #flushLater(env: Env, first: symbol): Promise<void> {
    let owner = first;
    for (let attempt = 1; attempt <= METRICS_SEND_ATTEMPTS; attempt++) {
      await this.#sleep(METRICS_FLUSH_MS);
      if (this.#owner !== owner) return;
      // From here on whatever is counted finds no owner: it is this one's no more.
      this.#owner = null;
      if ((await this.flush(env)) === "sent" || this.#owner) return;
      owner = this.#own();
    }
    if (this.#owner === owner) this.#owner = null;
  }

  #take(): Flush | null {
    if (this.#counts.isEmpty && this.#gauges.size === 0) return null;
    this.#isolate ||= crypto.randomUUID();
    this.#number += 1;
    const gauges = [...this.#gauges.values()];
    this.#gauges.clear();
    return { isolate: this.#isolate, number: this.#number, counts: this.#counts.take(), gauges };
  }
}

export const isolateMetrics = new IsolateMetrics({
  send: async (env, flush) => {
    await env.METRICS_TOTALS.getByName(TOTALS_NAME).add(flush);
  },
});
