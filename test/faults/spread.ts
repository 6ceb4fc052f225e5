/** Which schedules have several databases, and what is where in them. Pure. */
import { chance, randomOf } from "./decide.ts";

export interface Entity {
  entityType: string;
  entityValue: string;
}

export interface Spread {
  /** Over how many the tenant is spread, and how many are bound. */
  databases: number;
  bound: number;
  /** Whether that was decided before the first request. */
  isDecided: boolean;
  /** How often calls of each bound database beside the first fail, from 0 to 1. */
  rates: number[];
  /** For a while calls of one of them all meet a fault. */
  outage: { database: number; fromMs: number; untilMs: number } | null;
}

const MOST_DATABASES = 3;
/** Of a hundred seeds. */
const SEVERAL = 33;
const LONGEST_OUTAGE_MS = 6_000;

/** Null: there is one database. @param rate How often calls fail. */
export function spreadOf(seed: number, rate: (random: () => number) => number): Spread | null {
  if (chance(seed, 6) * 100 >= SEVERAL) return null;
  const random = randomOf(seed, 8);
  const bound = 2 + Math.floor(random() * (MOST_DATABASES - 1));
  const isDecided = random() < 0.5;
  // Those that were bound later are for other tenants.
  const databases = isDecided && random() < 0.4 ? bound - 1 : bound;
  const rates = Array.from({ length: bound - 1 }, () => rate(random));
  const fromMs = Math.floor(random() * LONGEST_OUTAGE_MS);
  const untilMs = fromMs + Math.floor(random() * LONGEST_OUTAGE_MS);
  const outage = random() < 0.3 ? { database: Math.floor(random() * bound), fromMs, untilMs } : null;
  return { databases, bound, isDecided, rates, outage };
}

/** How often calls of one of several databases fail, so long after the start. @param ofFirst As the schedule has it. */
export function rateAt(
  { rates, outage }: Spread,
  { database, ms, ofFirst }: { database: number; ms: number; ofFirst: number },
): number {
  if (outage?.database === database && outage.fromMs <= ms && ms < outage.untilMs) return 1;
  return (database === 0 ? ofFirst : rates[database - 1]) ?? 0;
}

/** Where each is of one, of two and of three databases: for ever, so it stands here. */
const PLACES: Readonly<Record<string, readonly number[]>> = {
  "bright_uid/p1": [0, 1, 1],
  "bright_uid/p2": [0, 0, 0],
  "bright_uid/u1": [0, 0, 0],
  "bright_uid/u2": [0, 1, 2],
  "bright_uid/u21": [0, 1, 1],
  "merchant/m1": [0, 1, 2],
  "merchant/m2": [0, 0, 0],
  "user/u1": [0, 0, 2],
  "user/u2": [0, 0, 0],
  "user/u3": [0, 1, 1],
};

/** In which of so many databases an entity is. */
export function placeOf(entity: string, databases: number): number {
  const place = PLACES[entity]?.[databases - 1];
  if (place === undefined) throw new Error(`nobody has said in which of ${databases} databases ${entity} is`);
  return place;
}

/** One that stands there twice is asked for twice as often. */
export const ENTITIES: readonly [Entity, ...Entity[]] = [
  { entityType: "bright_uid", entityValue: "u1" },
  { entityType: "bright_uid", entityValue: "u1" },
  { entityType: "bright_uid", entityValue: "u2" },
  { entityType: "merchant", entityValue: "m1" },
];

/** So that each of several databases has some. */
export const MORE_ENTITIES: readonly [Entity, ...Entity[]] = [
  ...ENTITIES,
  { entityType: "bright_uid", entityValue: "u21" },
  { entityType: "merchant", entityValue: "m2" },
];
