/** What a seed makes clients do. Pure. */
import { chance, oneOf, type Rates, randomOf } from "./decide.ts";
import { ENTITIES, type Entity, MORE_ENTITIES, type Spread, spreadOf } from "./spread.ts";

export interface PlannedCategory {
  category: string;
  mode: "replace" | "merge";
  /** Seconds from the start of the schedule; null: none is sent. */
  eventSecond: number | null;
  names: string[];
}

/** The change of one entity. Its number is the value of every feature that it writes: so each write is known again. */
export type PlannedChange =
  | {
      kind: "write";
      n: number;
      entity: Entity;
      /** Sends the revision that its client knows. */
      isConditional: boolean;
      categories: PlannedCategory[];
    }
  | { kind: "delete"; n: number; entity: Entity; category: string | null };

export type Action =
  | { do: "change"; changes: PlannedChange[]; hasKey: boolean; through: "this isolate" | "another" }
  | { do: "read"; consistency: "edge" | "session" | "strong"; entities: readonly Entity[] }
  | ({ do: "read past" } & PastRead)
  | { do: "fill" | "invalidate"; entity: Entity }
  /** Of one of several writers; null: there is one. */
  | { do: "evict"; writer: number | null };

/** What was known of each entity at each time; all of one type. Times are seconds from the start. */
export interface PastRead {
  consistency: "edge" | "session" | "strong";
  rows: { entity: Entity; second: number }[];
  /** Only what had been ingested by then; null: all. */
  knownSecond: number | null;
}

export interface Operation {
  id: number;
  atMs: number;
  client: number;
  action: Action;
}

export interface Schedule {
  seed: number;
  rates: Rates;
  queueStorage: "durable" | "memory";
  memoryTtlMs: number;
  /** Null: there is one database. */
  spread: Spread | null;
  operations: Operation[];
}

const CATEGORIES = ["a", "b"] as const;
const NAMES: readonly [string[], ...string[][]] = [["x", "y"], ["x"], ["y"]];
const CONSISTENCIES = ["edge", "edge", "session", "strong"] as const;
/** A client without a token reads nothing in a session. */
const PAST_CONSISTENCIES = ["edge", "session", "session", "strong"] as const;
const CLIENTS = 2;

export function scheduleOf(seed: number): Schedule {
  const random = randomOf(seed, 7);
  const rate = (most: number) => oneOf(random, [0, most / 8, most / 3, most]);
  const spread = spreadOf(seed, (own) => oneOf(own, [0, 0, 0.35 / 8, 0.35 / 3, 0.35]));
  const operations: Operation[] = [];
  const count = 8 + Math.floor(random() * 7);
  let atMs = 0;
  let n = 0;
  const nextN = () => {
    n += 1;
    return n;
  };
  for (let id = 1; id <= count; id++) {
    operations.push({
      id,
      atMs,
      client: Math.floor(random() * CLIENTS),
      action: actionOf(random, nextN, spread),
    });
    atMs += gapMs(random);
  }
  return {
    seed,
    rates: { database: rate(0.35), cache: rate(0.5), queue: rate(0.8), object: rate(0.2), receiver: 0 },
    queueStorage: chance(seed, 3) < 0.75 ? "durable" : "memory",
    memoryTtlMs: chance(seed, 4) < 0.5 ? 0 : 1_000,
    spread,
    operations,
  };
}

/** Most come together; some wait until KV may be put again, some until the alarm. */
function gapMs(random: () => number): number {
  const dice = random();
  if (dice < 0.75) return Math.floor(random() * 40);
  if (dice < 0.93) return Math.floor(random() * 1_500);
  return 3_000 + Math.floor(random() * 4_000);
}

function actionOf(random: () => number, nextN: () => number, spread: Spread | null): Action {
  const entities = spread ? MORE_ENTITIES : ENTITIES;
  if (spread && random() < 0.15) return { do: "read past", ...pastReadOf(random) };
  const dice = random();
  const entity = oneOf(random, entities);
  if (dice < 0.55) {
    const most = spread ? 5 : 3;
    const size = random() < (spread ? 0.5 : 0.25) ? 2 + Math.floor(random() * (most - 1)) : 1;
    const changes = Array.from({ length: size }, () => changeOf(random, nextN, { size, entities }));
    const through = random() < 0.5 ? "this isolate" : "another";
    return { do: "change", changes, hasKey: random() < 0.4, through };
  }
  if (dice < 0.88) {
    const consistency = oneOf(random, CONSISTENCIES);
    const several = [...new Set(entities)].slice(1);
    return { do: "read", consistency, entities: random() < (spread ? 0.6 : 0.3) ? several : [entity] };
  }
  if (dice < 0.91) return { do: "fill", entity };
  if (dice < 0.94) return { do: "invalidate", entity };
  return { do: "evict", writer: spread && Math.floor(random() * spread.databases) };
}

function pastReadOf(random: () => number): PastRead {
  const consistency = oneOf(random, PAST_CONSISTENCIES);
  const type = oneOf(random, ["bright_uid", "bright_uid", "merchant"]);
  const ofType = MORE_ENTITIES.filter(({ entityType }) => entityType === type);
  const some = ofType.filter(() => random() < 0.7);
  const entities = some.length > 0 ? some : ofType;
  const rows = entities.map((entity) => ({ entity, second: Math.floor(random() * 30) - 16 }));
  return { consistency, rows, knownSecond: random() < 0.3 ? Math.floor(random() * 12) : null };
}

function changeOf(
  random: () => number,
  nextN: () => number,
  { size, entities }: { size: number; entities: readonly [Entity, ...Entity[]] },
): PlannedChange {
  const entity = oneOf(random, entities);
  const n = nextN();
  if (size === 1 && random() < 0.25) {
    return { kind: "delete", n, entity, category: random() < 0.5 ? null : oneOf(random, CATEGORIES) };
  }
  const categories = random() < 0.5 ? CATEGORIES : [oneOf(random, CATEGORIES)];
  const eventSecond = random() < 0.5 ? null : Math.floor(random() * 20) - 14;
  return {
    kind: "write",
    n,
    entity,
    isConditional: random() < 0.15,
    categories: categories.map((category) => ({
      category,
      mode: random() < 0.5 ? "replace" : "merge",
      eventSecond,
      names: [...oneOf(random, NAMES)],
    })),
  };
}

export function describe({ id, atMs, client, action }: Operation): string {
  return `${String(atMs).padStart(6)} ms  operation ${id} of client ${client}: ${describeAction(action)}`;
}

function describeAction(action: Action): string {
  switch (action.do) {
    case "change": {
      const changes = action.changes.map(describeChange).join("; ");
      return `${changes}${action.hasKey ? " with a key" : ""} through ${action.through}`;
    }
    case "read":
      return `${action.consistency} read of ${action.entities.map(nameOf).join(", ")}`;
    case "read past": {
      const rows = action.rows.map(({ entity, second }) => `${nameOf(entity)} at second ${second}`);
      const known = action.knownSecond === null ? "" : ` as known at second ${action.knownSecond}`;
      return `${action.consistency} read of the past of ${rows.join(", ")}${known}`;
    }
    case "evict":
      return `the writer ${action.writer ?? ""} is evicted`;
    default:
      return `${action.do} ${nameOf(action.entity)}`;
  }
}

function describeChange(change: PlannedChange): string {
  if (change.kind === "delete") {
    return `delete ${nameOf(change.entity)}${change.category === null ? "" : `/${change.category}`}`;
  }
  const categories = change.categories.map(
    ({ category, mode, names, eventSecond }) =>
      `${mode} ${category}{${names.join()}}${eventSecond === null ? "" : ` of second ${eventSecond}`}`,
  );
  const condition = change.isConditional ? " if unchanged" : "";
  return `write ${change.n} to ${nameOf(change.entity)}: ${categories.join(" and ")}${condition}`;
}

export const nameOf = ({ entityType, entityValue }: Entity) => `${entityType}/${entityValue}`;
