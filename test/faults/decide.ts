/**
 * Decides by seed and number of the call what goes wrong with it. Pure: the same seed, the same faults.
 */

export type Store = "database" | "cache" | "queue" | "object" | "receiver";

/** What is known of a call before it is made. */
export interface CallFacts {
  store: Store;
  /** `read` and `write` of the database, `get`, `put` and `delete` of the cache, `send`, `deliver`, `post`, or an object's method. */
  operation: string;
  /** Whether who makes it may die of it, and has a clock. */
  mayDie: boolean;
  /** How often such calls fail, where it is not as often as all of their store. */
  rate?: number;
}

export const FAULT_KINDS = [
  "fails before",
  "fails after",
  "lands late",
  "slow",
  "slow answer",
  "stale answer",
  "partial answer",
  "bad answer",
  "lost",
  "twice",
  "dies before",
  "dies after",
  "evicted before",
  "evicted meanwhile",
  "clock steps back",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  kind: FaultKind;
  /** How long it takes, where it takes time. */
  ms: number;
  /** From 0 to 1: which one, where there is a choice. */
  pick: number;
}

/** How often calls of each store fail, from 0 to 1. */
export type Rates = Record<Store, number>;

/** A number from 0 to 1 that nothing but these numbers decides (the finalizer of MurmurHash3 over each). */
export function chance(...numbers: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const number of numbers) {
    hash = Math.imul(hash ^ number, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return (hash >>> 0) / 2 ** 32;
}

/** Numbers from 0 to 1, one after the other. */
export function randomOf(...seed: readonly number[]): () => number {
  let count = 0;
  return () => {
    count += 1;
    return chance(...seed, count);
  };
}

export function oneOf<T>(random: () => number, all: readonly [T, ...(readonly T[])]): T {
  return all[Math.floor(random() * all.length)] ?? all[0];
}

/** What the platform may do to each kind of call. A put that lands late is not among them: see `bindings.ts`. */
const POSSIBLE: Record<string, readonly FaultKind[]> = {
  "database read": ["fails before", "slow", "slow answer", "dies before", "dies after", "clock steps back"],
  "database write": [
    "fails before",
    "fails after",
    "lands late",
    "slow",
    "slow answer",
    "dies before",
    "dies after",
    "clock steps back",
  ],
  "cache get": ["fails before", "stale answer", "stale answer", "partial answer", "slow answer"],
  "cache put": ["fails before", "fails after", "lost", "slow", "slow answer", "dies before", "dies after"],
  "cache delete": ["fails before", "fails after", "slow", "slow answer", "dies before", "dies after"],
  "queue send": [
    "fails before",
    "fails after",
    "lands late",
    "twice",
    "slow answer",
    "dies before",
    "dies after",
  ],
  "queue deliver": ["fails before", "twice", "slow", "lost"],
  object: [
    "fails before",
    "fails after",
    "lands late",
    "slow",
    "slow answer",
    "evicted before",
    "evicted meanwhile",
    "dies before",
    "dies after",
  ],
  receiver: [
    "fails before",
    "fails after",
    "bad answer",
    "bad answer",
    "slow",
    "slow answer",
    "dies before",
    "dies after",
  ],
};

/** What befalls the machine of who calls. */
const OF_CALLERS = /^(?:dies|clock)/;

/** D1 ends a batch after 30 s: nothing is under way for longer. */
const LONGEST_MS = 25_000;

export function faultOf(seed: number, call: number, facts: CallFacts, rates: Rates): Fault | null {
  const draw = (salt: number) => chance(seed, call, salt);
  if (draw(1) >= (facts.rate ?? rates[facts.store])) return null;
  const possible = (POSSIBLE[facts.store] ?? POSSIBLE[`${facts.store} ${facts.operation}`] ?? []).filter(
    (kind) => facts.mayDie || !OF_CALLERS.test(kind),
  );
  const kind = possible[Math.floor(draw(2) * possible.length)];
  if (!kind) return null;
  // Mostly short, so that much happens close together; now and then as long as it can be.
  const ms = Math.floor(draw(3) < 0.85 ? draw(4) * 150 : draw(4) ** 2 * LONGEST_MS);
  return { kind, ms, pick: draw(5) };
}
