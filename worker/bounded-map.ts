interface Entry<V> {
  value: V;
  size: number;
  /** Since it was put in. */
  wasRead: boolean;
}

/**
 * A map that never holds more than a given size. The entry that was put in longest ago goes first, but one that was read
 * since then gets a second chance, as if it were put in now: nearly the least recently used goes, and a read moves
 * nothing. Sizes are whatever the caller counts in (characters, here and there). No clock in here; who wants expiry keeps
 * a time in the value.
 */
export class BoundedMap<V> {
  readonly #maxSize: number;
  // A Map iterates in the order of insertion, and comes to what is put in meanwhile.
  readonly #entries = new Map<string, Entry<V>>();
  #size = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    entry.wasRead = true;
    return entry.value;
  }

  /** Something larger than the whole map is not kept at all. */
  set(key: string, value: V, size: number): void {
    this.delete(key);
    if (size > this.#maxSize) return;
    this.#makeRoom(size);
    this.#entries.set(key, { value, size, wasRead: false });
    this.#size += size;
  }

  #makeRoom(size: number): void {
    if (this.#size + size <= this.#maxSize) return;
    for (const [key, entry] of this.#entries) {
      this.#entries.delete(key);
      if (entry.wasRead) {
        entry.wasRead = false;
        this.#entries.set(key, entry);
        continue;
      }
      this.#size -= entry.size;
      if (this.#size + size <= this.#maxSize) return;
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
