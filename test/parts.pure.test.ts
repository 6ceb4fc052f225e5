import fc from "fast-check";
import { expect, test } from "vitest";
import { partsUpTo } from "../worker/parts.ts";

const cut = (sizes: number[], most: number) => [...partsUpTo(sizes, (size) => size, most)];

test.each<[string, number[], number[][]]>([
  ["nothing makes no part", [], []],
  ["what fits to the last unit is one part", [4, 6], [[4, 6]]],
  ["one unit more is another", [4, 7], [[4], [7]]],
  ["what is larger goes alone, between others", [1, 99, 1], [[1], [99], [1]]],
  ["what has no size adds none", [10, 0, 0], [[10, 0, 0]]],
])("%s", (_, sizes, expected) => {
  expect(cut(sizes, 10).map(({ items }) => items)).toEqual(expected);
});

test("parts are all items in order, within the limit, and none could have taken the next one's first", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(15)), fc.integer({ min: 1, max: 20 }), (sizes, most) => {
      const parts = cut(sizes, most);
      expect(parts.flatMap(({ items }) => items)).toEqual(sizes);
      for (const [i, { items, size }] of parts.entries()) {
        expect(size).toBe(items.reduce((sum, item) => sum + item, 0));
        if (items.length > 1) expect(size).toBeLessThanOrEqual(most);
        const next = parts[i + 1]?.items[0];
        if (next !== undefined) expect(size + next).toBeGreaterThan(most);
      }
    }),
  );
});

test("a part is made when it is asked for", () => {
  const asked: number[] = [];
  const parts = partsUpTo([1, 2, 3, 4], (size) => asked.push(size), 2);
  parts.next();
  expect(asked).toEqual([1, 2]);
});
