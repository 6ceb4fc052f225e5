/** What a seed makes the users of a raw table and of subscriptions do. Pure. */
import { chance, oneOf, type Rates, randomOf } from "../decide.ts";
import { type Spread, spreadOf } from "../spread.ts";

/** Columns that the raw table gains while it is in use, of integers. */
export const ADDED_COLUMNS = ["bonus", "level"] as const;
export type AddedColumn = (typeof ADDED_COLUMNS)[number];
/** What a row is sent with in them; it may lack each, which is as null. */
export type AddedCells = Partial<Record<AddedColumn, number | null>>;

/** A row of the raw table. Its amount is its number: so each row is known again. */
export interface PlannedRow {
  user: string | null;
  amount: number;
  /** Seconds from the start of the schedule; null: it has no time. */
  atSecond: number | null;
  added: AddedCells;
}

export const FEATURES = ["stream", "manual"] as const;
export type FeatureName = (typeof FEATURES)[number];

export const OBJECTS = ["table", "writer", "stats", "subscribers"] as const;

/** Which events a subscription wants. */
export const FILTERS = [
  { entity_types: null, categories: null },
  { entity_types: ["user"], categories: null },
  { entity_types: null, categories: ["plain"] },
] as const;
export type Slot = 0 | 1 | 2;
export const SLOTS: readonly [Slot, ...Slot[]] = [0, 1, 2];

export type Action =
  | { do: "ingest"; rows: PlannedRow[]; hasKey: boolean }
  | { do: "compute"; feature: FeatureName; version: 1 | 3; hasKey: boolean }
  /** Of another type than all others add it, it is refused, or those are. `areRead`: at once by new versions. */
  | { do: "add columns"; columns: readonly AddedColumn[]; type: "integer" | "string"; areRead: boolean }
  /** Version 3 of a feature, which reads an added column. */
  | { do: "add version"; feature: FeatureName }
  | { do: "write"; entity: string; n: number; hasKey: boolean }
  | { do: "retain"; days: number | null }
  | { do: "erase"; user: string }
  | { do: "activate" | "drop" }
  | { do: "subscribe" | "unsubscribe" | "pause" | "resume" | "look"; slot: Slot }
  | { do: "replay"; slot: Slot; what: "dead" | "history" }
  | { do: "receiver"; slot: Slot; is: "down" | "up" }
  | { do: "evict"; object: (typeof OBJECTS)[number] };

export interface Operation {
  id: number;
  atMs: number;
  action: Action;
}

export interface Schedule {
  seed: number;
  rates: Rates;
  queueStorage: "durable" | "memory";
  /** Whether the table has a `timestamp_column`, for how many days it keeps its rows, whether features are computed from it. */
  table: { isTimed: boolean; retentionDays: number | null; hasFeatures: boolean };
  /** Computations of more entities become jobs, whose pages have so many. */
  mostInline: number;
  /** Null: there is one database. */
  spread: Spread | null;
  operations: Operation[];
}

/** What decides which actions there are. */
interface Kind {
  isTimed: boolean;
  hasFeatures: boolean;
  gainsColumns: boolean;
}

const NAMED = ["u1", "u2", "u3"] as const;
const USERS = [...NAMED, null] as const;
const ENTITIES = ["p1", "p2"] as const;
const DAY_SECONDS = 86_400;
/** Longer than all tries of a delivery take. */
const OUTAGE_MS = 4 * 3_600_000;
const DAYS = [null, 1, 2] as const;
const GAINED: readonly [AddedColumn[], ...AddedColumn[][]] = [["bonus"], ["level"], ["bonus", "level"]];

export function scheduleOf(seed: number): Schedule {
  const random = randomOf(seed, 107);
  const rate = (most: number) => oneOf(random, [0, most / 8, most / 3, most]);
  const isTimed = chance(seed, 103) < 0.75;
  const hasFeatures = chance(seed, 108) < 0.85;
  const gainsColumns = chance(seed, 109) < 0.4;
  const planned = new Set<AddedColumn>();
  const spread = spreadOf(seed, (own) => oneOf(own, [0, 0, 0.15 / 3, 0.15]));
  const operations: Operation[] = [];
  const count = 6 + Math.floor(random() * 7);
  let atMs = 0;
  let n = 0;
  const nextN = () => {
    n += 1;
    return n;
  };
  for (let id = 1; id <= count; id++) {
    const isFirst = id === 1 && gainsColumns && random() < 0.6;
    const action = isFirst
      ? gainOf(random, hasFeatures)
      : actionOf(random, { nextN, planned }, { isTimed, hasFeatures, gainsColumns });
    if (action.do === "add columns") for (const column of action.columns) planned.add(column);
    operations.push({ id, atMs, action });
    const isLasting = action.do === "receiver" && action.is === "down" && random() < 0.4;
    atMs += isLasting ? OUTAGE_MS : gapMs(random);
  }
  return {
    seed,
    rates: {
      database: rate(0.3),
      cache: 0,
      queue: rate(0.6),
      // A computation asks a writer of each database: were all of them worse, hours would pass with tries that fail.
      object: rate(spread ? 0.15 : 0.25),
      receiver: rate(0.6),
    },
    queueStorage: chance(seed, 104) < 0.75 ? "durable" : "memory",
    table: { isTimed, retentionDays: isTimed && chance(seed, 105) < 0.6 ? 1 : null, hasFeatures },
    mostInline: chance(seed, 106) < 0.5 ? 1 : 1_000,
    spread,
    operations,
  };
}

/** Most come together; some wait for an alarm, or until what has failed again and again is given up. */
function gapMs(random: () => number): number {
  const dice = random();
  if (dice < 0.65) return Math.floor(random() * 100);
  if (dice < 0.85) return Math.floor(random() * 3_000);
  if (dice < 0.96) return 8_000 + Math.floor(random() * 70_000);
  return OUTAGE_MS;
}

function actionOf(
  random: () => number,
  { nextN, planned }: { nextN: () => number; planned: ReadonlySet<AddedColumn> },
  { isTimed, hasFeatures, gainsColumns }: Kind,
): Action {
  if (gainsColumns && random() < 0.25) return columnActionOf(random, hasFeatures);
  const dice = random();
  const hasKey = random() < 0.5;
  const slot = oneOf(random, SLOTS);
  if (dice < 0.34) {
    const size = 1 + Math.floor(random() * 3);
    const rows = Array.from({ length: size }, () => {
      const row = rowOf(random, nextN(), isTimed);
      return { ...row, added: addedOf(random, row.amount, planned) };
    });
    return { do: "ingest", rows, hasKey };
  }
  if (dice < 0.51 && hasFeatures)
    return { do: "compute", feature: oneOf(random, FEATURES), version: 1, hasKey };
  if (dice < 0.57) return { do: "erase", user: oneOf(random, NAMED) };
  if (dice < 0.64) return { do: "write", entity: oneOf(random, ENTITIES), n: nextN(), hasKey };
  if (dice < 0.68 && isTimed) return { do: "retain", days: oneOf(random, DAYS) };
  if (dice < 0.71) return { do: hasFeatures ? "activate" : "drop" };
  if (dice < 0.77) return { do: "subscribe", slot };
  if (dice < 0.84) return { do: random() < 0.5 ? "pause" : "resume", slot };
  if (dice < 0.86) return { do: "unsubscribe", slot };
  if (dice < 0.87) return { do: "look", slot };
  if (dice < 0.91) return { do: "replay", slot, what: random() < 0.4 ? "dead" : "history" };
  if (dice < 0.95) return { do: "receiver", slot, is: random() < 0.7 ? "down" : "up" };
  return { do: "evict", object: oneOf(random, OBJECTS) };
}

function columnActionOf(random: () => number, hasFeatures: boolean): Action {
  const dice = random();
  if (dice < 0.45 || !hasFeatures) return gainOf(random, hasFeatures);
  const feature = oneOf(random, FEATURES);
  if (dice < 0.8) return { do: "add version", feature };
  return { do: "compute", feature, version: 3, hasKey: random() < 0.5 };
}

function gainOf(random: () => number, hasFeatures: boolean): Action {
  const type = random() < 0.15 ? "string" : "integer";
  const areRead = random() < 0.5 && hasFeatures;
  return { do: "add columns", columns: oneOf(random, GAINED), type, areRead };
}

/** In columns that somebody adds before; each value is of its row and its column alone. */
function addedOf(random: () => number, amount: number, planned: ReadonlySet<AddedColumn>): AddedCells {
  const cells = ADDED_COLUMNS.flatMap((column, i) => {
    const dice = planned.has(column) ? random() : 1;
    return dice < 0.7 ? [[column, dice < 0.55 ? 10 * amount + i + 1 : null] as const] : [];
  });
  return Object.fromEntries(cells);
}

/** Many are about as old as the table keeps them; many have one time, so that of two vectors the later one to come stands. */
function rowOf(random: () => number, amount: number, isTimed: boolean): Omit<PlannedRow, "added"> {
  const user = oneOf(random, USERS);
  const dice = random();
  if (!isTimed || dice < 0.05) return { user, amount, atSecond: null };
  const age =
    dice < 0.5
      ? Math.floor(random() * 2) * 300
      : dice < 0.85
        ? DAY_SECONDS + 60 - Math.floor(random() * 300)
        : Math.floor(random() * 3 * DAY_SECONDS);
  return { user, amount, atSecond: -age };
}

export function describe({ id, atMs, action }: Operation): string {
  return `${String(atMs).padStart(9)} ms  operation ${id}: ${describeAction(action)}`;
}

function describeAction(action: Action): string {
  switch (action.do) {
    case "ingest": {
      const rows = action.rows.map(({ user, amount, atSecond, added }) => {
        const cells = Object.entries(added).map(([column, cell]) => ` ${column} ${cell}`);
        return `${user}:${amount}${atSecond === null ? "" : ` of ${atSecond} s`}${cells.join("")}`;
      });
      return `ingest ${rows.join(", ")}${action.hasKey ? " with a key" : ""}`;
    }
    case "compute":
      return `compute ${action.feature}@${action.version}${action.hasKey ? " with a key" : ""}`;
    case "add columns":
      return `add ${action.columns.join(" and ")} of type ${action.type}${action.areRead ? ", and what reads it" : ""}`;
    case "add version":
      return `add version 3 of ${action.feature}`;
    case "write":
      return `write ${action.n} to ${action.entity}${action.hasKey ? " with a key" : ""}`;
    case "retain":
      return `keep rows for ${action.days ?? "ever"} days`;
    case "erase":
      return `erase the rows of ${action.user}`;
    case "activate":
      return "activate version 2 of stream";
    case "drop":
      return "drop the table";
    case "replay":
      return `replay ${action.what} of subscription ${action.slot}`;
    case "receiver":
      return `the receiver of subscription ${action.slot} is ${action.is}`;
    case "evict":
      return `evict ${action.object}`;
    default:
      return `${action.do} ${action.slot}`;
  }
}
