/**
 * The sample data: what is written of a user on a day is a function of the seed, the user and the day alone, so that
 * a test can compute what must be there and a second run writes the very same. No I/O, no clock.
 */
import { formatTimestamp, MICROS_PER_SECOND, type Micros } from "../../worker/timestamps.ts";

const HOUR: Micros = 3_600 * MICROS_PER_SECOND;
const DAY: Micros = 24 * HOUR;

/** A day of the sample data. It ends at the same time of day as all others, which need not be midnight. */
export interface SampleDay {
  /** Days from 1970-01-01T00:00Z to its end. */
  number: number;
  end: Micros;
}

export interface UserDay {
  seed: number;
  user: string;
  day: SampleDay;
}

export interface CategoryValues {
  category: string;
  mode: "replace" | "merge";
  features: Record<string, unknown>;
}

/**
 * The last `count` days that are over at `now`, newest first.
 *
 * @param anchor Some moment in the past: every day ends at its time of day.
 */
export function lastDays(anchor: Micros, now: Micros, count: number): SampleDay[] {
  const newest = anchor + Math.floor((now - anchor) / DAY) * DAY;
  return Array.from({ length: count }, (_, age) => {
    const end = newest - age * DAY;
    return { number: Math.floor(end / DAY), end };
  });
}

export function userName(position: number): string {
  return `user_${position}`;
}

/** In the last hour of the day, at any microsecond: neighbours are 23 to 25 hours apart. */
export function eventTimeOf(of: UserDay): Micros {
  return of.day.end - Math.floor(noise(of, "event", of.day.number) * HOUR);
}

/** What is written of a user on a day. A job that runs every day replaces; what happens now and then is merged. */
export function categoriesOf(of: UserDay): CategoryValues[] {
  const purchases = purchasesOf(of);
  const averageOrder = averageOrderOf(of, purchases);
  const categories: CategoryValues[] = [
    {
      category: "default",
      mode: "replace",
      features: {
        user_age: Math.floor((of.day.number - birthdayOf(of)) / DAYS_A_YEAR),
        user_lifetime_value: round2(
          (averageOrder ?? 0) * purchases.count * (1 + noise(of, "value", of.day.number)),
        ),
        last_purchase_days: purchases.lastDay === null ? null : of.day.number - purchases.lastDay,
      },
    },
    {
      category: "shopping",
      mode: "replace",
      features: {
        total_purchases: purchases.count,
        avg_order_value: averageOrder,
        favourite_category: purchases.count === 0 ? null : pick(SHOPS, noise(of, "favourite")),
        recent_categories: recentShops(of, purchases.count),
      },
    },
  ];
  const account = accountOf(of);
  return Object.keys(account).length === 0
    ? categories
    : [...categories, { category: "account", mode: "merge", features: account }];
}

const DAYS_A_YEAR = 365.25;
const FIRST_BIRTHDAY = -6_000;
const LAST_BIRTHDAY = 13_000;
const SHOPS = ["books", "electronics", "garden", "groceries", "music", "shoes", "toys"] as const;

function birthdayOf(of: UserDay): number {
  return FIRST_BIRTHDAY + Math.floor(noise(of, "birthday") * (LAST_BIRTHDAY - FIRST_BIRTHDAY));
}

interface Purchases {
  count: number;
  /** Number of the day of the last one; null: there is none. */
  lastDay: number | null;
}

const FIRST_JOINED = 19_000;
const LAST_JOINED = 20_500;

/**
 * Purchase k falls on some day of the k-th interval since the user joined, so that neither the count nor the last one
 * has to be summed up over the days before. One user in ten buys nothing.
 */
function purchasesOf(of: UserDay): Purchases {
  const joined = FIRST_JOINED + Math.floor(noise(of, "joined") * (LAST_JOINED - FIRST_JOINED));
  const intervalDays = 2 + Math.floor(noise(of, "interval") * 28);
  const dayOf = (k: number) =>
    joined + k * intervalDays + Math.floor(noise(of, "purchase", k) * intervalDays);
  const current = Math.floor((of.day.number - joined) / intervalDays);
  if (current < 0 || noise(of, "buys") < 0.1) return { count: 0, lastDay: null };
  const count = dayOf(current) <= of.day.number ? current + 1 : current;
  return { count, lastDay: count === 0 ? null : dayOf(count - 1) };
}

/** Moves a little with every purchase; null before the first. */
function averageOrderOf(of: UserDay, { count }: Purchases): number | null {
  if (count === 0) return null;
  return round2((10 + 90 * noise(of, "order")) * (0.9 + 0.2 * noise(of, "order", count)));
}

function recentShops(of: UserDay, count: number): string[] {
  const last = [count, count - 1, count - 2].filter((k) => k > 0);
  return last.map((k) => pick(SHOPS, noise(of, "shop", k)));
}

/** Premium is looked at once a week; a login is known on the day of it. On other days nothing is written. */
function accountOf(of: UserDay): Record<string, unknown> {
  const { number } = of.day;
  const weekday = Math.floor(noise(of, "weekday") * 7);
  const week = Math.floor((number - weekday) / 7);
  const isLogin = noise(of, "login", number) < 0.4;
  const loginBefore = Math.floor(noise(of, "minutes", number) * HOUR);
  return {
    ...((number - weekday) % 7 === 0 && { is_premium: noise(of, "premium", Math.floor(week / 2)) < 0.3 }),
    ...(isLogin && { last_login_at: formatTimestamp(eventTimeOf(of) - loginBefore) }),
  };
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

function pick<T>(from: readonly [T, ...T[]], fraction: number): T {
  return from[Math.floor(fraction * from.length)] ?? from[0];
}

/** A number in [0, 1) for each text: FNV-1a, then MurmurHash3's finaliser, since FNV's high bits are poor. */
function noise({ seed, user }: UserDay, what: string, which = 0): number {
  let hash = 0x811c9dc5;
  for (const character of `${seed}/${user}/${what}/${which}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
