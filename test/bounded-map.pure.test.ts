import fc from "fast-check";
import { expect, test } from "vitest";
import { BoundedMap } from "../worker/bounded-map.ts";

test("what was not used for the longest time goes first; reading is use", () => {
  const map = new BoundedMap<number>(3);
  for (const [i, key] of ["a", "b", "c"].entries()) map.set(key, i, 1);
  expect(map.get("a")).toBe(0);
  map.set("d", 3, 1);
  expect(["a", "b", "c", "d"].map((key) => map.get(key))).toEqual([0, undefined, 2, 3]);
});

test("a full map holds exactly its size, and one more pushes one out", () => {
  const map = new BoundedMap<string>(10);
  map.set("a", "a", 4);
  map.set("b", "b", 6);
  expect([map.get("a"), map.get("b")]).toEqual(["a", "b"]);
  map.set("c", "c", 1);
  expect([map.get("a"), map.get("b"), map.get("c")]).toEqual([undefined, "b", "c"]);
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

/** The same map, written to be read: a list with the least recently used entry first. */
class Model {
  entries: { key: string; value: number; size: number }[] = [];

  get(key: string): number | undefined {
    const found = this.entries.find((entry) => entry.key === key);
    if (found) this.entries = [...this.entries.filter((entry) => entry !== found), found];
    return found?.value;
  }

  set(key: string, value: number, size: number, most: number): void {
    this.delete(key);
    if (size > most) return;
    this.entries.push({ key, value, size });
    while (this.size > most) this.entries.shift();
  }

  delete(key: string): void {
    this.entries = this.entries.filter((entry) => entry.key !== key);
  }

  get size(): number {
    return this.entries.reduce((sum, { size }) => sum + size, 0);
  }
}

test("whatever is done with it, it holds the most recently used entries that fit and no more", () => {
  const KEYS = ["a", "b", "c", "d", "e", "f"];
  const step = fc.record({
    action: fc.constantFrom("get", "set", "set", "set", "delete", "clear"),
    key: fc.constantFrom(...KEYS),
    size: fc.integer({ min: 0, max: 14 }),
  });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 12 }), fc.array(step, { maxLength: 40 }), (most, steps) => {
      const map = new BoundedMap<number>(most);
      const model = new Model();
      steps.forEach(({ action, key, size }, i) => {
        if (action === "set") {
          map.set(key, i, size);
          model.set(key, i, size, most);
        } else if (action === "get") expect(map.get(key)).toBe(model.get(key));
        else if (action === "delete") {
          map.delete(key);
          model.delete(key);
        } else {
          map.clear();
          model.entries = [];
        }
      });
      expect(KEYS.map((key) => map.get(key))).toEqual(KEYS.map((key) => model.get(key)));
    }),
    { numRuns: 1_000 },
  );
});
