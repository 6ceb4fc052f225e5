/**
 * One schedule's world: a virtual clock, and every step that waits to happen in it, taken one at a time in an order
 * that the seed decides.
 *
 * All that the code under test waits for comes from here: timers, and answers of the bindings. While a binding's real
 * call is made everything else stands still. So a run depends on its seed alone, and a minute of waiting takes none.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** Whoever runs code: a client, a request in an isolate, a queue's consumer, an instance of an object. The dead do nothing more. */
export interface Actor {
  name: string;
  isAlive: boolean;
  world: World;
  /** How far its machine's clock is ahead of the world's; no two clocks agree, and each may step back. */
  aheadMs: number;
  /** Takes it away at this moment; null where nothing ever does. */
  die: ((reason: string) => void) | null;
}

interface Step {
  atMs: number;
  label: string;
  actor: Actor;
  act: () => void | Promise<void>;
  /** What still happens when its actor dies before it. */
  onDeath: (() => void) | null;
}

/** A schedule takes some hundred steps, one among the most faults up to 30,000; one that takes this many goes in circles. */
const MOST_STEPS = 60_000;
/** More than the longest chain of promises between two things that are waited for. */
const MICROTASK_TURNS = 100;
/** Clocks of machines differ by this much, now and then by far more. */
const SKEW_MS = 20;
export const LARGE_SKEW_MS = 5_000;
/** Of real time: no machine is so slow. A step is one real call at most; one without end would stop all without a word. */
const LONGEST_STEP_MS = 60_000;
/** Far from now, so that nothing depends on today; KV takes expiry times up to 2038. */
export const START_MS = Date.UTC(2037, 0, 1);

const current = new AsyncLocalStorage<Actor>();

export function actor(): Actor {
  const found = current.getStore();
  if (!found) throw new Error("nobody acts here");
  return found;
}

/** Null outside of any world. */
export function actorIfAny(): Actor | null {
  return current.getStore() ?? null;
}

export function actAs<R>(who: Actor, act: () => R): R {
  return current.run(who, act);
}

export class World {
  nowMs = START_MS;
  isHealthy = false;
  steps = 0;
  readonly log: string[] = [];
  /** What `fetch` does; nothing, unless somebody is there to be asked. */
  fetch: typeof fetch = () => Promise.reject(new TypeError("there is no network"));
  /** Looks at the world after each step. */
  look: () => void = () => {};
  readonly #random: () => number;
  /** Of its own: how many ids have been made before must decide nothing else. */
  readonly #randomOfIds: () => number;
  #waiting: Step[] = [];

  constructor(random: () => number, randomOfIds = random) {
    this.#random = random;
    this.#randomOfIds = randomOfIds;
  }

  /** Milliseconds, less than `belowMs`. */
  someMs(belowMs: number): number {
    return Math.floor(this.#random() * belowMs);
  }

  chance(): number {
    return this.#random();
  }

  idByte(): number {
    return Math.floor(this.#randomOfIds() * 256);
  }

  actor(name: string, aheadMs = 0, die: Actor["die"] = null): Actor {
    return { name, isAlive: true, world: this, aheadMs, die };
  }

  /** How far the clock of a machine is ahead: mostly a little, now and then by far more. */
  someSkewMs(): number {
    const mostMs = this.chance() < 0.8 ? SKEW_MS : LARGE_SKEW_MS;
    return this.someMs(2 * mostMs) - mostMs;
  }

  note(text: string): void {
    this.log.push(`${String(this.nowMs - START_MS).padStart(7)} ms  ${text}`);
  }

  /** At once: before anything else happens. */
  next(step: Omit<Step, "atMs" | "onDeath">): void {
    this.#waiting.push({ onDeath: null, ...step, atMs: Number.NEGATIVE_INFINITY });
  }

  /** @returns how to take it back. */
  after(ms: number, step: Omit<Step, "atMs" | "onDeath"> & Partial<Pick<Step, "onDeath">>): () => void {
    const waiting = { onDeath: null, ...step, atMs: this.nowMs + ms };
    if (step.actor.isAlive) this.#waiting.push(waiting);
    return () => {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
    };
  }

  /** Nothing of this actor happens any more, but what was on its way already. */
  kill(victim: Actor): void {
    victim.isAlive = false;
    const own = this.#waiting.filter((step) => step.actor === victim);
    this.#waiting = this.#waiting.filter((step) => step.actor !== victim);
    for (const step of own) step.onDeath?.();
  }

  /** Whether nothing waits but steps of that name. */
  waitsOnlyFor(label: string): boolean {
    return this.#waiting.every((step) => step.label === label);
  }

  /** Takes steps until `isDone`, or until nothing is left to happen. */
  async run(isDone: () => boolean): Promise<void> {
    const overdue = Promise.withResolvers<never>();
    let [label, seen] = ["", 0];
    // One timer for all: in the runtime a timer for each step takes a good part of the time of many a step.
    const watch = setInterval(() => {
      if (seen === this.steps) overdue.reject(new Error(`${label} does not end`));
      seen = this.steps;
    }, LONGEST_STEP_MS);
    try {
      while (!isDone() && this.#waiting.length > 0) {
        this.steps += 1;
        if (this.steps > MOST_STEPS) throw new Error("the schedule does not come to an end");
        const step = this.#take();
        label = step.label;
        const work = actAs(step.actor, step.act);
        if (work) await Promise.race([work, overdue.promise]);
        for (let turn = 0; turn < MICROTASK_TURNS; turn++) await Promise.resolve();
        this.look();
      }
    } finally {
      clearInterval(watch);
    }
  }

  #take(): Step {
    const firstMs = Math.min(...this.#waiting.map(({ atMs }) => atMs));
    this.nowMs = Math.max(this.nowMs + this.someMs(4), firstMs);
    const ready = this.#waiting.filter(({ atMs }) => atMs <= this.nowMs);
    const step =
      ready.find(({ atMs }) => atMs < START_MS) ?? ready[Math.floor(this.#random() * ready.length)];
    if (!step) throw new Error("nothing waits");
    this.#waiting.splice(this.#waiting.indexOf(step), 1);
    return step;
  }
}

/** Does what takes the runtime's own time, while everything else stands still. */
export function really<T>(work: () => Promise<T>): Promise<T> {
  const who = actor();
  return new Promise((resolve, reject) => {
    who.world.next({ label: "runtime", actor: who, act: () => work().then(resolve, reject) });
  });
}
