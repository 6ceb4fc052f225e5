/** How a training set becomes files: whatever widens when, all rows are written, in order, with the last types. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ColumnType } from "../../worker/history/parquet-file.ts";
import { afterFile, nextFile, rowsOfQuery, type SetFile } from "../../worker/history/training-set.ts";

const WIDER: (ColumnType | null)[] = [null, "DOUBLE", "INT64", "JSON"];

interface Run {
  written: number;
  total: number;
  files: SetFile[];
  types: (ColumnType | null)[];
}

/** @param needs The width that each row's value needs. @param sizes Rows that each file takes. */
function written(needs: readonly number[], sizes: readonly number[]) {
  let set: Run = { written: 0, total: needs.length, files: [], types: [] };
  const typeOfFile: (ColumnType | null)[] = [];
  let status: string | undefined;
  for (let steps = 0; ; steps += 1) {
    expect(steps).toBeLessThan(4 * needs.length + 1);
    const next = nextFile(set);
    if (!next) return { set, typeOfFile, status };
    const rows = Math.min(next.rows ?? sizes[next.position % sizes.length] ?? 1, set.total - next.from);
    const known = WIDER.indexOf(set.types[0] ?? null);
    const width = Math.max(known, ...needs.slice(next.from, next.from + rows));
    const type = WIDER[width] ?? null;
    typeOfFile[next.position] = type;
    const { status: nowIs, ...change } = afterFile(set, next, {
      name: `${steps}`,
      rows,
      bytes: 1,
      types: [type],
    });
    set = { ...set, ...change };
    status = nowIs;
  }
}

describe("the files of a training set", () => {
  test("have all rows once and one type, whatever comes where", () => {
    const needs = fc.array(fc.nat(3), { minLength: 1, maxLength: 30 });
    const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(needs, sizes, (needs, sizes) => {
        const { set, typeOfFile, status } = written(needs, sizes);
        expect(status).toBe("done");
        expect(set.written).toBe(needs.length);
        expect(set.files.reduce((sum, { rows }) => sum + rows, 0)).toBe(needs.length);
        expect(set.files.some(({ isStale }) => isStale)).toBe(false);
        expect(new Set(typeOfFile)).toEqual(new Set([WIDER[Math.max(...needs)]]));
      }),
    );
  });

  test("are written once each where nothing widens", () => {
    const { set, typeOfFile } = written([1, 1, 1, 1], [2]);
    expect(set.files).toHaveLength(2);
    expect(typeOfFile).toEqual(["DOUBLE", "DOUBLE"]);
  });
});

describe("the rows of a query", () => {
  test.each([
    ["are few at first, however large their values may be", 1, { rows: 0, characters: 0 }, 10],
    ["become more, four times as many as are known", 1, { rows: 10, characters: 100 }, 40],
    ["are as many as a query takes", 1, { rows: 2_000, characters: 20_000 }, 1_000],
    ["are fewer where each has many categories", 50, { rows: 2_000, characters: 20_000 }, 100],
    ["are fewer where their values are large", 1, { rows: 10, characters: 5_000_000 }, 4],
    ["are one where one is too large by itself", 1, { rows: 10, characters: 100_000_000 }, 1],
    ["are one where one has more categories than a query takes", 6_000, { rows: 0, characters: 0 }, 1],
    ["are as many where none has a value", 0, { rows: 1_000, characters: 0 }, 1_000],
  ])("%s", (_, categories, before, expected) => {
    expect(rowsOfQuery(categories, before)).toBe(expected);
  });
});
