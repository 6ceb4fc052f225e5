/**
 * How fresh a read must be, and the token by which a session carries that from a write to a read. Pure.
 *
 * A token holds the D1 bookmarks of the write and, for a write of one entity, that entity's key and revision. Only
 * for that very entity may a cached document be judged by its revision.
 */
import { MAX_ENTITY_DATABASES } from "../limits.ts";

export const CONSISTENCIES = ["edge", "session", "strong"] as const;
export type Consistency = (typeof CONSISTENCIES)[number];

/**
 * The newest bookmarks of a write by database, in the order of `entityDatabases`. Null: it is not known. A database that is
 * not among them was not written to.
 */
export type Bookmarks = ReadonlyMap<number, string | null>;

export interface ConsistencyToken {
  /** `entityKey` of the written entity, with its revision; null for a bulk write. */
  entity: { key: string; revision: number } | null;
  bookmarks: Bookmarks;
}

/** What a read of one entity has to satisfy. `after`: D1 is past each of these writes, as its session knows by their bookmarks. */
export type Requirement =
  /** A cached document at or past this revision will do, else D1. */
  | { kind: "revision"; revision: number; after: readonly Bookmarks[] }
  | { kind: "database"; after: readonly Bookmarks[] };

const NO_BOOKMARKS: Bookmarks = new Map();

export const ANY_REVISION: Requirement = { kind: "revision", revision: 0, after: [] };
export const PRIMARY: Requirement = { kind: "database", after: [NO_BOOKMARKS] };

export function requirementOf(
  consistency: Consistency,
  token: ConsistencyToken | null,
  key: string,
): Requirement {
  if (consistency === "strong") return PRIMARY;
  if (consistency === "edge" || !token) return ANY_REVISION;
  const { entity, bookmarks } = token;
  return entity?.key === key
    ? { kind: "revision", revision: entity.revision, after: [bookmarks] }
    : { kind: "database", after: [bookmarks] };
}

/** What satisfies both: what a caller asks for, and what the isolate itself has written. */
export function both(asked: Requirement, own: Requirement): Requirement {
  if (asked === ANY_REVISION) return own;
  if (own === ANY_REVISION) return asked;
  if (asked.kind === "revision" && own.kind === "revision") {
    return own.revision > asked.revision ? own : asked;
  }
  return { kind: "database", after: [...asked.after, ...own.after] };
}

/**
 * Those of one database are ordered as texts (D1 documentation, "Sessions").
 *
 * @returns null, for the primary, when there is none, or one is not known.
 */
export function newestBookmark(bookmarks: readonly (string | null)[]): string | null {
  return bookmarks.includes(null) ? null : (bookmarks.toSorted().at(-1) ?? null);
}

/** Of several writes, the newest bookmark of each database. */
export function newestOfEach(writes: readonly Bookmarks[]): Bookmarks {
  const all = Map.groupBy(
    writes.flatMap((bookmarks) => [...bookmarks]),
    ([database]) => database,
  );
  return new Map(
    [...all].map(([database, found]) => [database, newestBookmark(found.map(([, bookmark]) => bookmark))]),
  );
}

/**
 * Where a session of a D1 database starts so that every requirement holds: any replica, one past a bookmark, or the primary. That
 * too where a write was to other databases alone: what its writer had written here before is not older.
 */
export function sessionStart(requirements: readonly Requirement[], database: number): string {
  const writes = requirements.flatMap(({ after }) => after);
  if (writes.length === 0) return "first-unconstrained";
  return newestBookmark(writes.map((bookmarks) => bookmarks.get(database) ?? null)) ?? "first-primary";
}

/** D1 writes bookmarks as hexadecimal groups; anything else must not reach it. */
const BOOKMARK = /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/;

/** Of the first database alone a bookmark stands as it is. */
export function encodeToken({ entity, bookmarks }: ConsistencyToken): string {
  const isOfFirst = bookmarks.size === 1 && bookmarks.has(0);
  const written = isOfFirst ? bookmarks.get(0) : [...bookmarks];
  const text = JSON.stringify([entity?.key ?? null, entity?.revision ?? null, written]);
  // Entity keys are percent-encoded and bookmarks are hexadecimal: the text is ASCII.
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Null when the text is no token of ours. */
export function decodeToken(token: string): ConsistencyToken | null {
  try {
    const parts: unknown = JSON.parse(atob(token.replaceAll("-", "+").replaceAll("_", "/")));
    if (!Array.isArray(parts) || parts.length !== 3) return null;
    const [key, revision, written] = parts as unknown[];
    const bookmarks = decodeBookmarks(written);
    if (!bookmarks) return null;
    if (key === null && revision === null) return { entity: null, bookmarks };
    if (typeof key !== "string" || !Number.isSafeInteger(revision)) return null;
    return { entity: { key, revision: revision as number }, bookmarks };
  } catch {
    return null;
  }
}

function decodeBookmarks(written: unknown): Bookmarks | null {
  if (!Array.isArray(written)) return isBookmark(written) ? new Map([[0, written]]) : null;
  if (written.length > MAX_ENTITY_DATABASES) return null;
  const bookmarks = new Map<number, string | null>();
  for (const pair of written as unknown[]) {
    const [database, bookmark] = Array.isArray(pair) ? (pair as unknown[]) : [];
    if (typeof database !== "number" || !isBookmark(bookmark)) return null;
    bookmarks.set(database, bookmark);
  }
  return bookmarks;
}

function isBookmark(text: unknown): text is string | null {
  return text === null || (typeof text === "string" && BOOKMARK.test(text));
}
