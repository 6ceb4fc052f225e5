interface Entry<V> {
  value: V;
  size: number;
  /** Since it was put in. */
  wasRead: boolean;
}

/** What several maps may hold together, such as those of all objects in an isolate. */
export class Budget {
  readonly most: number;
  used = 0;
  /** Those that hold something. Each makes room in its turn, so that none is emptied for the others. */
  readonly maps = new Set<BoundedMap<unknown>>();

  constructor(most: number) {
    this.most = most;
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
  // A Map iterates in the order of insertion, and comes to what is put in meanwhile.
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
    const budget = this.#budget;
    if (size > budget.most) return;
    while (budget.used + size > budget.most) {
      const [next] = budget.maps;
      if (!next) break;
      budget.maps.delete(next);
      next.#dropOne();
      if (next.#entries.size > 0) budget.maps.add(next);
    }
    this.#entries.set(key, { value, size, wasRead: false });
    budget.used += size;
    budget.maps.add(this);
  }

  #dropOne(): void {
    for (const [key, entry] of this.#entries) {
      this.#entries.delete(key);
      if (!entry.wasRead) {
        this.#budget.used -= entry.size;
        return;
      }
      entry.wasRead = false;
      this.#entries.set(key, entry);
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#budget.used -= entry.size;
    if (this.#entries.size === 0) this.#budget.maps.delete(this);
  }

  clear(): void {
    for (const { size } of this.#entries.values()) this.#budget.used -= size;
    this.#entries.clear();
    this.#budget.maps.delete(this);
  }
}
