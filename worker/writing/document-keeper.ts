/**
 * Keeps the hot-cache documents current: says when the document of an entity is put, which `documents.ts` does.
 *
 * One put of a key at a time and at most one a second (KV's limit); a change that comes meanwhile is covered by the
 * next put, which takes the state as it is when it starts. So the last put always carries the last state.
 */
import { KV_MIN_PUT_INTERVAL_MS } from "../limits.ts";
import type { Log } from "../log.ts";
import { isAhead, sleep } from "../waits.ts";

interface KeeperDependencies {
  /** Writes what the entity is now into KV, or removes the key when the entity is no more. */
  put: (entity: string) => Promise<void>;
  /** Makes the owed put durable, because one has failed. Synchronous. */
  owe: (entity: string) => void;
  log: Log;
}

interface Kept {
  lastPutMs: number;
  /** The put that covers every change made before it starts; null when none waits. */
  next: Promise<void> | null;
  /** The put that is under way. */
  putting: Promise<void> | null;
}

export class DocumentKeeper {
  readonly #dependencies: KeeperDependencies;
  readonly #kept = new Map<string, Kept>();
  #forgetAtSize = 1_000;

  constructor(dependencies: KeeperDependencies) {
    this.#dependencies = dependencies;
  }

  /** Resolves when the document shows every change made so far, or when the debt has been written down. Never rejects. */
  keep(entity: string): Promise<void> {
    const kept = this.#kept.get(entity) ?? { lastPutMs: 0, next: null, putting: null };
    this.#kept.set(entity, kept);
    kept.next ??= this.#putNext(entity, kept);
    return kept.next;
  }

  get isIdle(): boolean {
    return this.#kept.values().every(({ next, putting }) => next === null && putting === null);
  }

  /** Whether a document was put so lately that a reader may miss it only because KV is still spreading it. */
  wasPutWithin(entity: string, ms: number): boolean {
    const kept = this.#kept.get(entity);
    return isAhead(kept && kept.lastPutMs + ms, Date.now(), ms);
  }

  async #putNext(entity: string, kept: Kept): Promise<void> {
    await kept.putting;
    // The clock may have stepped back since the last put.
    const waitMs = Math.min(kept.lastPutMs + KV_MIN_PUT_INTERVAL_MS - Date.now(), KV_MIN_PUT_INTERVAL_MS);
    if (waitMs > 0) await sleep(waitMs);
    // From here on a change needs a put of its own: this one is about to look at the state.
    kept.next = null;
    kept.lastPutMs = Date.now();
    const putting = this.#put(entity);
    kept.putting = putting;
    await putting;
    // It may have waited for D1 before it reached KV.
    kept.lastPutMs = Date.now();
    if (kept.putting === putting) kept.putting = null;
    this.#forgetIdle();
  }

  async #put(entity: string): Promise<void> {
    try {
      await this.#dependencies.put(entity);
    } catch (cause) {
      this.#dependencies.owe(entity);
      this.#dependencies.log.warning("hot cache was not written, will try again", {}, cause);
    }
  }

  /** Times of puts are worth remembering for a minute; looked through only when their number has doubled. */
  #forgetIdle(): void {
    if (this.#kept.size < this.#forgetAtSize) return;
    const longAgoMs = Date.now() - 60_000;
    for (const [entity, kept] of this.#kept) {
      const isIdle = kept.next === null && kept.putting === null;
      if (isIdle && kept.lastPutMs < longAgoMs) this.#kept.delete(entity);
    }
    this.#forgetAtSize = Math.max(1_000, this.#kept.size * 2);
  }
}
