/** What was run and what was found, in words. */
import { FAULT_KINDS } from "./decide.ts";
import type { Ran } from "./run-schedule.ts";
import { describe } from "./schedule.ts";
import type { Failure } from "./shrink.ts";

type Total = Record<
  "schedules" | "operations" | "calls" | "commits" | "events" | "instances" | keyof Ran["counts"],
  number
>;

export class Report {
  readonly #from: number;
  readonly #asked: number;
  readonly #startMs = performance.now();
  readonly #faults = new Map<string, number>();
  readonly #failed: number[] = [];
  readonly #total: Total = {
    schedules: 0,
    operations: 0,
    calls: 0,
    commits: 0,
    events: 0,
    instances: 0,
    acknowledged: 0,
    refused: 0,
    repeated: 0,
    reads: 0,
    failedReads: 0,
  };

  constructor(from: number, asked: number) {
    this.#from = from;
    this.#asked = asked;
  }

  get failures(): number {
    return this.#failed.length;
  }

  get faults(): ReadonlyMap<string, number> {
    return this.#faults;
  }

  add({ counts, happened, calls, commits, events, instances }: Ran): void {
    const total = this.#total;
    const own = { schedules: 1, calls, commits, events, instances, ...counts };
    for (const [name, n] of Object.entries(own)) total[name as keyof Total] += n;
    for (const [kind, n] of happened) this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + n);
  }

  /** Tells of a failing seed, as small as it could be made. */
  failure(seed: number, { schedule, ran }: Failure): string {
    this.#failed.push(seed);
    const { rates, queueStorage, memoryTtlMs, operations } = schedule;
    return [
      `seed ${seed} fails; again, with all that happens: npm run test:faults -- --seed ${seed}`,
      ...ran.violations.map((violation) => `  ${violation}`),
      `made smaller (queue ${queueStorage}, memory ${memoryTtlMs} ms, rates ${JSON.stringify(rates)}):`,
      ...operations.map(describe),
      "what happened:",
      ...ran.log,
    ].join("\n");
  }

  text(): string {
    const t = this.#total;
    const seconds = ((performance.now() - this.#startMs) / 1_000).toFixed(1);
    const faults = FAULT_KINDS.map((kind) => `${kind} ${this.#faults.get(kind) ?? 0}`).join(", ");
    return [
      `fault injection: ${t.schedules} of ${this.#asked} schedules from seed ${this.#from} in ${seconds} s`,
      `  requests: ${t.acknowledged} acknowledged, ${t.refused} refused, ${t.repeated} repeated; ${t.reads} reads, ${t.failedReads} failed`,
      `  ${t.calls} calls of bindings, ${t.commits} transactions, ${t.events} events taken, ${t.instances} instances of the writer`,
      `  faults: ${faults}`,
      this.#failed.length === 0 ? "  found: nothing" : `  found: seeds ${this.#failed.join(", ")} fail`,
    ].join("\n");
  }
}
