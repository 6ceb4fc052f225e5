/** What was run and what was found, in words. */
import { FAULT_KINDS, type FaultKind } from "./decide.ts";
import type { Failure } from "./shrink.ts";

/** What became of one schedule. */
export interface Ran {
  violations: string[];
  log: string[];
  counts: Readonly<Record<string, number>>;
  happened: ReadonlyMap<FaultKind, number>;
  /** Numbers of the calls that met a fault. */
  faulted: number[];
}

interface Asked {
  world: string;
  from: number;
  seeds: number;
}

export class Report<S extends { operations: readonly unknown[] }> {
  readonly #asked: Asked;
  readonly #describe: (schedule: S) => string[];
  readonly #startMs = performance.now();
  readonly #faults = new Map<string, number>();
  readonly #counts = new Map<string, number>();
  readonly #failed: number[] = [];
  #schedules = 0;

  /** @param describe A schedule in lines. */
  constructor(asked: Asked, describe: (schedule: S) => string[]) {
    this.#asked = asked;
    this.#describe = describe;
  }

  get failures(): number {
    return this.#failed.length;
  }

  get faults(): ReadonlyMap<string, number> {
    return this.#faults;
  }

  add({ counts, happened }: Ran): void {
    this.#schedules += 1;
    for (const [name, n] of Object.entries(counts)) addTo(this.#counts, name, n);
    for (const [kind, n] of happened) addTo(this.#faults, kind, n);
  }

  /** Tells of a failing seed at once: to make it smaller may take a while. */
  failed(seed: number, { violations }: Ran): string {
    this.#failed.push(seed);
    const { world } = this.#asked;
    return [
      `seed ${seed} fails; again, with all that happens: npm run test:faults -- --world ${world} --seed ${seed}`,
      ...inLines(violations),
    ].join("\n");
  }

  /** A failing seed, as small as it could be made. */
  smallest(seed: number, { schedule, ran }: Failure<S>): string {
    return [
      `seed ${seed} made smaller:`,
      ...this.#describe(schedule),
      "what happened:",
      ...ran.log,
      "which fails:",
      ...inLines(ran.violations),
    ].join("\n");
  }

  text(): string {
    const { world, from, seeds } = this.#asked;
    const seconds = ((performance.now() - this.#startMs) / 1_000).toFixed(1);
    const inWords = (all: Iterable<[string, number]>) =>
      [...all].map(([name, n]) => `${name} ${n}`).join(", ");
    const faults = FAULT_KINDS.flatMap((kind): [string, number][] =>
      this.#faults.has(kind) ? [[kind, this.#faults.get(kind) ?? 0]] : [],
    );
    return [
      `fault injection, ${world}: ${this.#schedules} of ${seeds} schedules from seed ${from} in ${seconds} s`,
      `  ${inWords(this.#counts)}`,
      `  faults: ${inWords(faults)}`,
      this.#failed.length === 0 ? "  found: nothing" : `  found: seeds ${this.#failed.join(", ")} fail`,
    ].join("\n");
  }
}

const inLines = (violations: readonly string[]) => violations.map((violation) => `  ${violation}`);

function addTo(all: Map<string, number>, name: string, n: number): void {
  all.set(name, (all.get(name) ?? 0) + n);
}
