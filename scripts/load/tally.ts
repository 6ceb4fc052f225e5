/** What has come back, counted. No clock, no I/O. */
import { createHistogram } from "node:perf_hooks";
import { KINDS, type Kind } from "./mix.ts";

export type Outcome =
  | { kind: "answered"; latencyMs: number; sources: readonly string[] }
  | { kind: "failed"; latencyMs: number; what: string };

interface OfKind {
  answered: number;
  failed: number;
  latencies: ReturnType<typeof createHistogram>;
}

const PERCENTILES = [50, 95, 99, 99.9] as const;
const MICROS_PER_MS = 1_000;
/** A day, in microseconds: the longest timeout. */
const LONGEST_MICROS = 86_400_000_000;

export class Tally {
  readonly #kinds = new Map<Kind, OfKind>(KINDS.map((kind) => [kind, newKind()]));
  readonly #all = newKind();
  readonly failures = new Map<string, number>();
  readonly sources = new Map<string, number>();
  missed = 0;

  get answered(): number {
    return this.#all.answered;
  }

  get failed(): number {
    return this.#all.failed;
  }

  get sent(): number {
    return this.answered + this.failed;
  }

  /** A failure's latency counts as well: who waited for it has waited. */
  add(kind: Kind, outcome: Outcome): void {
    for (const counted of [this.#kinds.get(kind), this.#all]) {
      if (!counted) continue;
      if (outcome.kind === "answered") counted.answered += 1;
      else counted.failed += 1;
      record(counted.latencies, outcome.latencyMs);
    }
    if (outcome.kind === "failed") increase(this.failures, outcome.what);
    else for (const source of outcome.sources) increase(this.sources, source);
  }

  /** Of missed slots, which are of no kind: they count among all. */
  addWaits(waitedMs: readonly number[]): void {
    for (const ms of waitedMs) record(this.#all.latencies, ms);
  }

  answeredOf(kind: Kind): number {
    return this.#kinds.get(kind)?.answered ?? 0;
  }

  /** In milliseconds, by percentile, and the longest; of all kinds without one. */
  latencies(kind?: Kind): { percentile: number; ms: number }[] {
    const { latencies } = (kind && this.#kinds.get(kind)) ?? this.#all;
    const at = (percentile: number) =>
      latencies.count === 0 ? Number.NaN : latencies.percentile(percentile) / MICROS_PER_MS;
    return [...PERCENTILES, 100].map((percentile) => ({ percentile, ms: at(percentile) }));
  }
}

function newKind(): OfKind {
  return {
    answered: 0,
    failed: 0,
    latencies: createHistogram({ lowest: 1, highest: LONGEST_MICROS, figures: 3 }),
  };
}

function record(latencies: OfKind["latencies"], ms: number): void {
  latencies.record(Math.min(LONGEST_MICROS, Math.max(1, Math.round(ms * MICROS_PER_MS))));
}

function increase(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
