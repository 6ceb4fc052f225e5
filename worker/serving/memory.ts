/**
 * What an isolate remembers for a moment: entity documents, and the writes that went through it.
 *
 * After a write the isolate knows a revision that KV may not show for a while. It asks for that revision in every
 * later read of the entity, so whoever writes and reads through the same isolate sees the write, whatever the caches
 * say. (Others see it when KV does, or at once with the write's consistency token.)
 */
import { BoundedMap } from "../bounded-map.ts";
import { MAX_REMEMBERED_WRITES, MEMORY_MAX_CHARACTERS, MEMORY_MAX_RENEWALS } from "../limits.ts";
import {
  FETCH_WAIT_MS,
  FILL_PAUSE_MS,
  MEMORY_KNOWN_MS,
  MEMORY_LATE_SHARE,
  MEMORY_RENEW_SHARE,
  WRITE_MEMORY_MS,
} from "../timings.ts";
import { isAhead } from "../waits.ts";
import { ANY_REVISION, type Bookmarks, type Requirement } from "./consistency.ts";
import type { EntityDocument } from "./document.ts";

interface Remembered {
  document: EntityDocument;
  /** From here on a read of it is a late one. */
  lateAtMs: number;
  renewAtMs: number;
  untilMs: number;
  wasReadLate: boolean;
  /** It could not be renewed: the next reader fetches it, while the others go on with it. */
  isToFetch: boolean;
  /** Once true it stays true, though the clock may step back. */
  isOver: boolean;
}

export class IsolateMemory {
  readonly #documents = new BoundedMap<Remembered>(MEMORY_MAX_CHARACTERS);
  /** Documents that were read late in their time; and when the first of them is to be renewed. */
  readonly #readLate = new Set<string>();
  #dueAtMs = Number.POSITIVE_INFINITY;
  readonly #writes = new BoundedMap<{ revision: number; after: readonly Bookmarks[]; untilMs: number }>(
    MAX_REMEMBERED_WRITES,
  );
  readonly #fills = new BoundedMap<number>(MAX_REMEMBERED_WRITES);
  /** Documents that a reader fetches, and until when it is waited for: it may have been cancelled. */
  readonly #fetched = new BoundedMap<number>(MAX_REMEMBERED_WRITES);

  /**
   * The document, while its time lasts. Null sends the reader to KV.
   *
   * @param key KV key of the document: it names the tenant.
   */
  get(key: string, nowMs: number): EntityDocument | null {
    const entry = this.#documents.get(key);
    if (!entry) return null;
    if (entry.untilMs <= nowMs) entry.isOver = true;
    if (entry.isOver) return null;
    if (entry.isToFetch) {
      entry.isToFetch = false;
      return null;
    }
    if (nowMs >= entry.lateAtMs && !entry.wasReadLate) {
      entry.wasReadLate = true;
      this.#readLate.add(key);
      this.#dueAtMs = Math.min(this.#dueAtMs, entry.renewAtMs);
    }
    return entry.document;
  }

  /**
   * Documents to be renewed before their time is over, each given out once: what is read all the time. Nothing until
   * one of them is near its end; then those that will soon be, too, since KV reads many keys at once.
   */
  takeDue(nowMs: number): string[] {
    const keys: string[] = [];
    if (nowMs < this.#dueAtMs) return keys;
    for (const key of this.#readLate) {
      if (keys.length === MEMORY_MAX_RENEWALS) break;
      this.#readLate.delete(key);
      const entry = this.#documents.get(key);
      if (entry?.wasReadLate && nowMs < entry.untilMs) keys.push(key);
    }
    if (this.#readLate.size === 0) this.#dueAtMs = Number.POSITIVE_INFINITY;
    return keys;
  }

  /**
   * A document was read again from KV, null where there is none. What was dropped meanwhile, by a write or an
   * invalidation, stays dropped; and where KV is behind what is known here, one reader is to go further than KV.
   */
  renewed(key: string, document: EntityDocument | null, lasts: { nowMs: number; ttlMs: number }): void {
    const known = this.last(key, lasts.nowMs);
    if (!known) return;
    const isBehind = !document || document.revision < Math.max(known.revision, this.#revisionWritten(key));
    if (isBehind) this.notRenewed(key);
    else this.put(key, document, lasts);
  }

  /** It was not renewed: the next reader is to fetch the document, before its time is over and all readers miss it at once. */
  notRenewed(key: string): void {
    const entry = this.#documents.get(key);
    if (entry) entry.isToFetch = true;
  }

  #revisionWritten(key: string): number {
    return this.#writes.get(key)?.revision ?? 0;
  }

  /** The document that was there a moment ago, though its time may be over; null when there is none. */
  last(key: string, nowMs: number): EntityDocument | null {
    const entry = this.#documents.get(key);
    return entry && nowMs < entry.untilMs + MEMORY_KNOWN_MS ? entry.document : null;
  }

  /**
   * Whether a reader that misses a document is to fetch it. False: another one is at it, and will bring what this
   * isolate had until now; what it never had everybody fetches.
   */
  mayFetch(key: string, nowMs: number): boolean {
    if (!this.#documents.get(key)) return true;
    if (this.isFetched(key, nowMs)) return false;
    this.#fetched.set(key, nowMs + FETCH_WAIT_MS, 1);
    return true;
  }

  isFetched(key: string, nowMs: number): boolean {
    return isAhead(this.#fetched.get(key), nowMs, FETCH_WAIT_MS);
  }

  /** The reader that was to fetch it has done so, or failed. */
  fetched(key: string): void {
    this.#fetched.delete(key);
  }

  /** Answers may overtake each other: the newer document stays. */
  put(key: string, document: EntityDocument, { nowMs, ttlMs }: { nowMs: number; ttlMs: number }): void {
    const known = this.#documents.get(key);
    if (known && !known.isOver && known.untilMs > nowMs && known.document.revision > document.revision)
      return;
    const entry = {
      document,
      lateAtMs: nowMs + ttlMs * MEMORY_LATE_SHARE,
      renewAtMs: nowMs + ttlMs * MEMORY_RENEW_SHARE,
      untilMs: nowMs + ttlMs,
      wasReadLate: false,
      isToFetch: false,
      isOver: false,
    };
    this.#documents.set(key, entry, document.size);
  }

  /** There is no such entity. */
  dropDocument(key: string): void {
    this.#documents.delete(key);
  }

  /** The next read goes to KV or D1. */
  forget(key: string): void {
    this.#documents.delete(key);
    this.#fills.delete(key);
  }

  noteWrite(key: string, revision: number, bookmarks: Bookmarks, nowMs: number): void {
    this.#documents.delete(key);
    const known = this.#writes.get(key);
    if (known && known.revision > revision) return;
    this.#writes.set(key, { revision, after: [bookmarks], untilMs: nowMs + WRITE_MEMORY_MS }, 1);
  }

  /** What a read must satisfy because of a write through this isolate. */
  requirement(key: string, nowMs: number): Requirement {
    const write = this.#writes.get(key);
    if (!write) return ANY_REVISION;
    if (write.untilMs > nowMs) return { kind: "revision", revision: write.revision, after: write.after };
    this.#writes.delete(key);
    return ANY_REVISION;
  }

  /** True once in a while for each key: many misses at once ask for one fill. */
  mayAskFill(key: string, nowMs: number): boolean {
    const untilMs = this.#fills.get(key);
    if (untilMs !== undefined && untilMs > nowMs) return false;
    this.#fills.set(key, nowMs + FILL_PAUSE_MS, 1);
    return true;
  }

  clear(): void {
    this.#documents.clear();
    this.#readLate.clear();
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    this.#writes.clear();
    this.#fills.clear();
    this.#fetched.clear();
  }
}

export const isolateMemory = new IsolateMemory();
