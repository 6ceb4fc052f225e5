import fc from "fast-check";
import { expect, test } from "vitest";
import { BoundedMap, Budget } from "../worker/bounded-map.ts";

test("what was put in longest ago goes first, unless it was read since then", () => {
  const map = new BoundedMap<number>(3);
  for (const [i, key] of ["a", "b", "c"].entries()) map.set(key, i, 1);
  expect(map.get("a")).toBe(0);
  map.set("d", 3, 1);
  expect(["a", "b", "c", "d"].map((key) => map.get(key))).toEqual([0, undefined, 2, 3]);
});

test("where all were read, each is spared once and the oldest goes", () => {
  const map = new BoundedMap<number>(3);
  for (const [i, key] of ["a", "b", "c"].entries()) map.set(key, i, 1);
  for (const key of ["c", "b", "a"]) map.get(key);
  map.set("d", 3, 1);
  expect(["b", "c", "d"].map((key) => map.get(key))).toEqual([1, 2, 3]);
  expect(map.get("a")).toBeUndefined();
});

test("a full map holds exactly its size, and one more pushes one out", () => {
  const map = new BoundedMap<string>(10);
  map.set("a", "a", 4);
  map.set("b", "b", 6);
  expect([map.get("a"), map.get("b")]).toEqual(["a", "b"]);
  map.set("c", "c", 1);
  expect([map.get("a"), map.get("b"), map.get("c")]).toEqual([undefined, "b", "c"]);
  map.set("d", "d", 3);
  expect([map.get("b"), map.get("c"), map.get("d")]).toEqual(["b", "c", "d"]);
});

test("what is larger than the whole map is not kept, and neither is what it was to replace", () => {
  const map = new BoundedMap<string>(10);
  map.set("a", "old", 1);
  map.set("b", "b", 1);
  map.set("a", "new", 11);
  expect([map.get("a"), map.get("b")]).toEqual([undefined, "b"]);
});

test("odd names are keys like any other", () => {
  const map = new BoundedMap<number>(10);
  expect(map.get("__proto__")).toBeUndefined();
  map.set("__proto__", 1, 1);
  expect([map.get("__proto__"), map.get("constructor")]).toEqual([1, undefined]);
});

/** The same map, written to be read: a list with what was put in longest ago first. */
class Model {
  entries: { key: string; value: number; size: number; wasRead: boolean }[] = [];

  get(key: string): number | undefined {
    const found = this.entries.find((entry) => entry.key === key);
    if (found) found.wasRead = true;
    return found?.value;
  }

  set(key: string, value: number, size: number, most: number): void {
    this.delete(key);
    if (size > most) return;
    while (this.size + size > most) {
      const [oldest] = this.entries.splice(0, 1);
      if (oldest?.wasRead) this.entries.push({ ...oldest, wasRead: false });
    }
    this.entries.push({ key, value, size, wasRead: false });
  }

  delete(key: string): void {
    this.entries = this.entries.filter((entry) => entry.key !== key);
  }

  get size(): number {
    return this.entries.reduce((sum, { size }) => sum + size, 0);
  }
}

test("whatever is done with maps that share a budget, they hold what one list holds, and no more than fits", () => {
  const step = fc.record({
    action: fc.constantFrom("get", "set", "set", "set", "delete", "clear"),
    which: fc.constantFrom(0, 1),
    key: fc.constantFrom("a", "b", "c", "d", "e", "f"),
    size: fc.integer({ min: 0, max: 14 }),
  });
  const KEYS = ["a", "b", "c", "d", "e", "f"];
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 12 }),
      fc.integer({ min: 1, max: 2 }),
      fc.array(step, { maxLength: 40 }),
      (most, maps, steps) => {
        const budget = new Budget(most);
        const all = Array.from({ length: maps }, () => new BoundedMap<number>(budget));
        const model = new Model();
        steps.forEach(({ action, which, key, size }, i) => {
          const at = which % maps;
          const [map, named] = [all[at], `${at}${key}`];
          if (action === "set") {
            map?.set(key, i, size);
            model.set(named, i, size, most);
          } else if (action === "get") expect(map?.get(key)).toBe(model.get(named));
          else if (action === "delete") {
            map?.delete(key);
            model.delete(named);
          } else {
            map?.clear();
            model.entries = model.entries.filter(({ key: one }) => !one.startsWith(String(at)));
          }
          expect(budget.used).toBe(model.size);
        });
        all.forEach((map, at) => {
          expect(KEYS.map((key) => map.get(key))).toEqual(KEYS.map((key) => model.get(`${at}${key}`)));
        });
      },
    ),
    { numRuns: 1_000 },
  );
});

test("what is read in a small map stays, however much is put into another of the same budget", () => {
  const budget = new Budget(100);
  const [small, large] = [new BoundedMap<number>(budget), new BoundedMap<number>(budget)];
  for (let i = 0; i < 3; i++) small.set(`${i}`, i, 1);
  for (let i = 0; i < 1_000; i++) {
    large.set(`${i}`, i, 1);
    if (i % 10 === 0) for (let j = 0; j < 3; j++) small.get(`${j}`);
  }
  expect([0, 1, 2].map((i) => small.get(`${i}`))).toEqual([0, 1, 2]);
});

test("what nobody reads any more goes, though its map is no longer used", () => {
  const budget = new Budget(10);
  const [left, used] = [new BoundedMap<number>(budget), new BoundedMap<number>(budget)];
  for (let i = 0; i < 5; i++) left.set(`${i}`, i, 2);
  for (let i = 0; i < 5; i++) used.set(`${i}`, i, 2);
  expect([0, 1, 2, 3, 4].map((i) => left.get(`${i}`) ?? used.get(`${i}`))).toEqual([0, 1, 2, 3, 4]);
  expect(left.get("0")).toBeUndefined();
});
