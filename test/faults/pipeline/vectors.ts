/**
 * What the SQL of the computed features makes of rows, told a second time, and whether what is stored of an entity is
 * of rows that are late enough. Pure.
 */
import type { Moment, StoredRow } from "./rows.ts";
import type { AddedColumn, FeatureName } from "./schedule.ts";

export interface Version {
  feature: FeatureName;
  /** 3: one that reads an added column. */
  version: 1 | 2 | 3;
}

export const USERS = ["u1", "u2", "u3"];

/** Where a version's vectors are stored. */
export const categoryOf = ({ feature, version }: Version) =>
  version === 1 ? feature : `${feature}@${version}`;

function versionIn(category: string): Version {
  const [feature, version = "1"] = category.split("@");
  return { feature: feature as FeatureName, version: Number(version) as Version["version"] };
}

export const SQL: Record<FeatureName, Record<1 | 2, string>> = {
  stream: {
    1: "SELECT user, count(*) AS n, sum(amount) AS total FROM data GROUP BY user",
    2: "SELECT user, count(*) AS n, max(amount) AS top FROM data GROUP BY user",
  },
  manual: {
    1: "SELECT user, sum(amount) AS total, min(amount) AS low FROM data WHERE user IS NOT NULL GROUP BY user",
    2: "",
  },
};

/** Of version 3, which is registered when the table has the column, or refused. */
export const SQL_OF_ADDED: Record<FeatureName, { column: AddedColumn; sql: string }> = {
  stream: {
    column: "bonus",
    sql: "SELECT user, count(bonus) AS known, sum(bonus) AS bonuses FROM data GROUP BY user",
  },
  manual: {
    column: "level",
    sql: "SELECT user, count(*) AS n, max(level) AS best FROM data WHERE user IS NOT NULL GROUP BY user",
  },
};

const VALUES: Record<string, (rows: readonly StoredRow[]) => object> = {
  stream: (rows) => ({ n: rows.length, total: sum(amounts(rows)) }),
  "stream@2": (rows) => ({ n: rows.length, top: Math.max(...amounts(rows)) }),
  "stream@3": (rows) => {
    const known = cells(rows, "bonus");
    return { known: known.length, bonuses: known.length === 0 ? null : sum(known) };
  },
  manual: (rows) => ({ total: sum(amounts(rows)), low: Math.min(...amounts(rows)) }),
  "manual@3": (rows) => {
    const known = cells(rows, "level");
    return { n: rows.length, best: known.length === 0 ? null : Math.max(...known) };
  },
};

const amounts = (rows: readonly StoredRow[]) => rows.map(({ amount }) => amount);
const cells = (rows: readonly StoredRow[], column: AddedColumn) => rows.flatMap((row) => row[column] ?? []);

const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

interface Vector {
  data: string;
  /** The newest time of the rows, in microseconds; null: they have none. */
  newest: number | null;
}

/** The vector of one user; null where there are no rows. */
export function vectorOf(version: Version, user: string, rows: readonly StoredRow[]): Vector | null {
  const own = rows.filter((row) => row.user === user);
  if (own.length === 0) return null;
  const times = own.flatMap(({ at }) => (at === null ? [] : [Date.parse(at) * 1_000]));
  const values = VALUES[categoryOf(version)]?.(own);
  return { data: JSON.stringify(values), newest: times.length === 0 ? null : Math.max(...times) };
}

/** How many rows the SQL's result has: one for each user, and where it lets it through one for none. */
export function groupsOf({ feature }: Version, rows: readonly StoredRow[]): number {
  const users = new Set(rows.map(({ user }) => user));
  return users.size - (feature === "manual" && users.has(null) ? 1 : 0);
}

export interface StoredVector {
  data: string;
  /** Microseconds. */
  eventTime: number;
}

/** A row of the history. */
export interface WrittenVector {
  /** Of this row alone. */
  id: string;
  user: string;
  category: string;
  data: string;
}

/** That the rows of a user are erased was acknowledged. */
export interface Acknowledged {
  user: string;
  /** The moment in which it was. */
  since: number;
  /** The rows of the history that were there. */
  known: ReadonlySet<string>;
}

/** @returns what was written of a user after an erasure, and is of no rows that have been there since. */
export function writtenOfErased(
  { user, since, known }: Acknowledged,
  { written, moments }: { written: readonly WrittenVector[]; moments: readonly Moment[] },
): string[] {
  return written.flatMap((one) => {
    if (one.user !== user || known.has(one.id)) return [];
    const version = versionIn(one.category);
    if (moments.slice(since).some((rows) => vectorOf(version, user, rows)?.data === one.data)) return [];
    return [`${one.category} of ${user} was written as ${one.data} after its rows were erased`];
  });
}

interface Asked {
  version: Version;
  user: string;
  stored: StoredVector | null;
  moments: readonly Moment[];
  isTimed: boolean;
  /** The moment whose rows it must know; null: nobody has asked for it. */
  since: number | null;
}

/**
 * @returns what is wrong with it, or null. It may be of any rows from `since` on: removing rows recomputes nothing. Where
 * all of them were removed it stays what it was, as where a newer time stands.
 */
export function faultOfVector({ version, user, stored, moments, isTimed, since }: Asked): string | null {
  const all = moments.map((rows) => vectorOf(version, user, rows));
  const due = since === null ? [] : all.slice(since);
  const isOfSome = stored === null || all.some((vector) => vector?.data === stored.data);
  const what = `${categoryOf(version)} of ${user} is ${stored?.data ?? "not there"}`;
  if (!isOfSome) return `${what}, which it never was`;
  if (since === null || due.some((vector) => vector === null || vector.data === stored?.data)) return null;
  const isOutdone =
    isTimed &&
    stored !== null &&
    due.some((vector) => vector?.newest != null && vector.newest < stored.eventTime);
  return isOutdone
    ? null
    : `${what}, and should be ${[...new Set(due.map((vector) => vector?.data))].join(" or ")}`;
}
