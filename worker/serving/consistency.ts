/**
 * How fresh a read must be, and the token by which a session carries that from a write to a read. Pure.
 *
 * A token holds the D1 bookmark of the write and, for a write of one entity, that entity's key and revision. Only
 * for that very entity may a cached document be judged by its revision.
 */

export const CONSISTENCIES = ["edge", "session", "strong"] as const;
export type Consistency = (typeof CONSISTENCIES)[number];

export interface ConsistencyToken {
  /** `entityKey` of the written entity, with its revision; null for a bulk write. */
  entity: { key: string; revision: number } | null;
  bookmark: string | null;
}

/** What a read of one entity has to satisfy. */
export type Requirement =
  /** A cached document at or past this revision will do, else D1 at or past the bookmark. */
  | { kind: "revision"; revision: number; bookmark: string | null }
  /** D1 at or past the bookmark; null: its primary. */
  | { kind: "database"; bookmark: string | null };

export const ANY_REVISION: Requirement = { kind: "revision", revision: 0, bookmark: null };
export const PRIMARY: Requirement = { kind: "database", bookmark: null };

export function requirementOf(
  consistency: Consistency,
  token: ConsistencyToken | null,
  key: string,
): Requirement {
  if (consistency === "strong") return PRIMARY;
  if (consistency === "edge" || !token) return ANY_REVISION;
  const { entity, bookmark } = token;
  return entity?.key === key
    ? { kind: "revision", revision: entity.revision, bookmark }
    : { kind: "database", bookmark };
}

/** What satisfies both: what a caller asks for, and what the isolate itself has written. */
export function both(asked: Requirement, own: Requirement): Requirement {
  if (asked === ANY_REVISION) return own;
  if (own === ANY_REVISION) return asked;
  if (asked.kind === "revision" && own.kind === "revision") {
    return own.revision > asked.revision ? own : asked;
  }
  return { kind: "database", bookmark: newestBookmark([asked.bookmark, own.bookmark]) };
}

/**
 * Those of one database are ordered as texts (D1 documentation, "Sessions").
 *
 * @returns null, for the primary, when there is none, or one is not known.
 */
export function newestBookmark(bookmarks: readonly (string | null)[]): string | null {
  return bookmarks.includes(null) ? null : (bookmarks.toSorted().at(-1) ?? null);
}

/** Where a D1 session starts so that every requirement holds: any replica, one past a bookmark, or the primary. */
export function sessionStart(requirements: readonly Requirement[]): string {
  const bookmarks = requirements.filter((one) => one !== ANY_REVISION).map(({ bookmark }) => bookmark);
  if (bookmarks.length === 0) return "first-unconstrained";
  return newestBookmark(bookmarks) ?? "first-primary";
}

/** D1 writes bookmarks as hexadecimal groups; anything else must not reach it. */
const BOOKMARK = /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/;

export function encodeToken({ entity, bookmark }: ConsistencyToken): string {
  const text = JSON.stringify([entity?.key ?? null, entity?.revision ?? null, bookmark]);
  // Entity keys are percent-encoded and bookmarks are hexadecimal: the text is ASCII.
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Null when the text is no token of ours. */
export function decodeToken(token: string): ConsistencyToken | null {
  try {
    const parts: unknown = JSON.parse(atob(token.replaceAll("-", "+").replaceAll("_", "/")));
    if (!Array.isArray(parts) || parts.length !== 3) return null;
    const [key, revision, bookmark] = parts as unknown[];
    if (bookmark !== null && !(typeof bookmark === "string" && BOOKMARK.test(bookmark))) return null;
    if (key === null && revision === null) return { entity: null, bookmark };
    if (typeof key !== "string" || !Number.isSafeInteger(revision)) return null;
    return { entity: { key, revision: revision as number }, bookmark };
  } catch {
    return null;
  }
}
