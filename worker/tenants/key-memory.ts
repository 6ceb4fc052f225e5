/**
 * What an isolate remembers of keys for a moment, so that a request costs neither a query nor a digest.
 *
 * Entries live for {@link KEY_MEMORY_MS} from the moment that D1 was *asked*: a key that is revoked is refused
 * everywhere that much later, however slow the answer was. Ids that do not exist are remembered too, or a key that is gone
 * would cost a query each time. Both maps are bounded.
 *
 * What is asked with all the time is looked up again behind an answer, so that no request waits for D1.
 *
 * While D1 does not answer, a key that this isolate has proven goes on being good for {@link KEY_GRACE_MS}: what the
 * caches hold can still be read.
 */
import { BoundedMap } from "../bounded-map.ts";
import { KEY_MEMORY_MAX_KEYS } from "../limits.ts";
import { KEY_GRACE_MS, KEY_MEMORY_MS } from "../timings.ts";
import { isAhead } from "../waits.ts";
import type { FoundKey } from "./api-key.ts";

export interface RememberedKey {
  /** Null: there is no key of this id. */
  record: FoundKey | null;
  untilMs: number;
}

interface ProvenKey extends RememberedKey {
  record: FoundKey;
}

interface LastingKey extends ProvenKey {
  /** Until then it may be prolonged. */
  graceUntilMs: number;
  isRenewed: boolean;
}

export class KeyMemory {
  readonly #records = new BoundedMap<RememberedKey>(KEY_MEMORY_MAX_KEYS);
  /** By the whole text of a key that was right. Looked up by hash, so that no comparison tells how much was guessed. */
  readonly #proven = new BoundedMap<LastingKey>(KEY_MEMORY_MAX_KEYS);

  proven(text: string, nowMs: number): FoundKey | null {
    return live(this.#proven.get(text), nowMs)?.record ?? null;
  }

  /** Whether a key's time is nearly over, and nobody is at it yet: true for one caller, who then looks it up again. */
  takeDue(text: string, nowMs: number): boolean {
    const key = this.#proven.get(text);
    if (!key || key.isRenewed || key.untilMs - nowMs > KEY_MEMORY_MS / 2) return false;
    key.isRenewed = true;
    return true;
  }

  /** It lives no longer than the record that it was proven by. */
  prove(text: string, key: ProvenKey): void {
    this.#proven.set(text, { ...key, graceUntilMs: key.untilMs + KEY_GRACE_MS, isRenewed: false }, 1);
  }

  /** D1 says that it is not good any more: it is not prolonged either. */
  disprove(text: string): void {
    this.#proven.delete(text);
  }

  /** D1 did not answer. Null: the key was not proven here, or too long ago. */
  prolong(text: string, nowMs: number): FoundKey | null {
    const known = this.#proven.get(text);
    if (!known || !isAhead(known.graceUntilMs, nowMs, KEY_MEMORY_MS + KEY_GRACE_MS)) return null;
    const untilMs = Math.min(nowMs + KEY_MEMORY_MS, known.graceUntilMs);
    this.#proven.set(text, { ...known, untilMs }, 1);
    return known.record;
  }

  byId(keyId: string, nowMs: number): RememberedKey | null {
    return live(this.#records.get(keyId), nowMs);
  }

  remember(keyId: string, record: FoundKey | null, askedMs: number): RememberedKey {
    const key = { record, untilMs: askedMs + KEY_MEMORY_MS };
    this.#records.set(keyId, key, 1);
    return key;
  }

  /** After a revocation: at once in this isolate. Revoking is rare, and asking D1 again once for each key is cheap. */
  clear(): void {
    this.#records.clear();
    this.#proven.clear();
  }
}

function live<K extends RememberedKey>(key: K | undefined, nowMs: number): K | null {
  return key && isAhead(key.untilMs, nowMs, KEY_MEMORY_MS) ? key : null;
}

export const keyMemory = new KeyMemory();
