interface Entry<V> {
  key: string;
  value: V;
  size: number;
  /** Since it was put in. */
  wasRead: boolean;
  /** Where it is found. */
  home: Map<string, unknown>;
}

/** What several maps may hold together, such as those of all objects in an isolate: as if they were one. */
export class Budget {
  readonly #most: number;
  #used = 0;
  // A Set iterates in the order of insertion, and comes to what is put in meanwhile.
  readonly #entries = new Set<Entry<unknown>>();

  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  /** Something larger than all of it is not taken. */
  take(entry: Entry<unknown>): void {
    if (entry.size > this.#most) return;
    this.#makeRoom(entry.size);
    this.#entries.add(entry);
    this.#used += entry.size;
    entry.home.set(entry.key, entry);
  }

  drop(entry: Entry<unknown>): void {
    this.#entries.delete(entry);
    this.#used -= entry.size;
    entry.home.delete(entry.key);
  }

  #makeRoom(size: number): void {
    if (this.#used + size <= this.#most) return;
    for (const entry of this.#entries) {
      if (entry.wasRead) {
        entry.wasRead = false;
        this.#entries.delete(entry);
        this.#entries.add(entry);
        continue;
      }
      this.drop(entry);
      if (this.#used + size <= this.#most) return;
    }
  }
}

/**
 * A map that never holds more than a given size. The entry that was put in longest ago goes first, but one that was read
 * since then gets a second chance, as if it were put in now: nearly the least recently used goes, and a read moves
 * nothing. Sizes are whatever the caller counts in (characters, here and there). No clock in here; who wants expiry keeps
 * a time in the value.
 */
export class BoundedMap<V> {
  readonly #budget: Budget;
  readonly #entries = new Map<string, Entry<V>>();

  /** @param most A size of its own, or what it shares with other maps. */
  constructor(most: number | Budget) {
    this.#budget = typeof most === "number" ? new Budget(most) : most;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    entry.wasRead = true;
    return entry.value;
  }

  /** Something larger than the whole budget is not kept at all. */
  set(key: string, value: V, size: number): void {
    this.delete(key);
    this.#budget.take({ key, value, size, wasRead: false, home: this.#entries });
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry) this.#budget.drop(entry);
  }

  clear(): void {
    for (const entry of this.#entries.values()) this.#budget.drop(entry);
  }
}
