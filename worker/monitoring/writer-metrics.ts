/**
 * What one EntityWriter does. Its groups, puts and events belong to no single call of it, so their points are
 * gathered for two seconds and written together: far fewer than a call of an object may write.
 */
import { METRICS_FLUSH_MS } from "../timings.ts";
import { sleep } from "../waits.ts";
import type { Waiting } from "../writing/outbox.ts";
import { isolateMetrics } from "./isolate-metrics.ts";
import type { GaugeName } from "./metric-names.ts";
import type { OperationRecord, WriteOutcome } from "./metric-record.ts";
import { InvocationOperations, type OperationSink, writePoints } from "./request-metrics.ts";
import { operationRecord } from "./timed.ts";

interface WriterMetricsOptions {
  env: Env;
  tenant: string;
  after: (work: Promise<unknown>) => void;
}

export class WriterMetrics implements OperationSink {
  readonly #dependencies: WriterMetricsOptions;
  /** This instance: what it said of itself ends with it. */
  readonly #source = crypto.randomUUID();
  readonly #operations = new InvocationOperations();
  #settled: Partial<Record<WriteOutcome, number>> = {};
  #isWritingPoints = false;

  constructor(options: WriterMetricsOptions) {
    this.#dependencies = options;
  }

  measured(record: OperationRecord): void {
    this.#operations.measured(record);
    this.#flushSoon();
    if (this.#isWritingPoints) return;
    this.#isWritingPoints = true;
    this.#dependencies.after(this.#writePoints());
  }

  /** Each change once, when its caller is told. */
  settled(outcome: WriteOutcome): void {
    this.#settled[outcome] = (this.#settled[outcome] ?? 0) + 1;
  }

  /** @param left Changes that wait for the next group. */
  group(size: number, left: number): { end: () => void } {
    const startedMs = Date.now();
    this.#gauge("feature_store_writer_queued_changes", left > 0 ? left : null);
    const end = () => {
      const writes = this.#settled;
      this.#settled = {};
      const durationMs = Date.now() - startedMs;
      const outcome = writes.unacknowledged === undefined ? "ok" : "error";
      this.measured(
        operationRecord({ operation: "writer.commit", outcome, durationMs, items: size, writes }),
      );
    };
    return { end };
  }

  outbox(waiting: Waiting): void {
    this.#gauge("feature_store_outbox_oldest_age_seconds", waiting?.oldestMs ?? null);
    this.#gauge("feature_store_outbox_events", waiting?.events ?? null);
    this.#flushSoon();
  }

  #gauge(name: GaugeName, value: number | null): void {
    isolateMetrics.gauge({ name, source: this.#source, value });
  }

  #flushSoon(): void {
    isolateMetrics.keepFlushing(this.#dependencies.env, this.#dependencies.after);
  }

  async #writePoints(): Promise<void> {
    await sleep(METRICS_FLUSH_MS);
    this.#isWritingPoints = false;
    writePoints(this.#dependencies.env, this.#dependencies.tenant, this.#operations.take());
  }
}
