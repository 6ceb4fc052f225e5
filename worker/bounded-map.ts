/**
 * A map that never holds more than a given size: the least recently used entry goes first. Sizes are whatever the
 * caller counts in (characters, here and there). No clock in here; who wants expiry keeps a time in the value.
 */
export class BoundedMap<V> {
  readonly #maxSize: number;
  // A Map iterates in the order of insertion, so the first entry is the one that was used longest ago.
  readonly #entries = new Map<string, { value: V; size: number }>();
  #size = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Something larger than the whole map is not kept at all. */
  set(key: string, value: V, size: number): void {
    this.delete(key);
    if (size > this.#maxSize) return;
    this.#entries.set(key, { value, size });
    this.#size += size;
    for (const oldest of this.#entries.keys()) {
      if (this.#size <= this.#maxSize) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#size -= entry.size;
  }

  clear(): void {
    this.#entries.clear();
    this.#size = 0;
  }
}
