import { describe, expect, test } from "vitest";
import { mayBeRounded, readDigits, withDigits } from "../../worker/compute/exact-integers.ts";
import { faultOfColumns, vectorsOf, vectorWrite } from "../../worker/compute/vectors.ts";

const columns = ["id", "n"];
const of = (...rows: unknown[][]) => vectorsOf({ columns, rows }, "id", new Map());

describe("vectors", () => {
  test("are one a row, with every column but the key, in their order", () => {
    const result = { columns: ["b", "id", "a"], rows: [[1, "u", "x"]] };
    expect(vectorsOf(result, "id", new Map([["u", "then"]]))).toEqual({
      ok: true,
      computed: [{ row: 0, entity: "u", data: '{"b":1,"a":"x"}', timestamp: "then" }],
      skipped: [],
      skippedCount: 0,
    });
  });

  test("of numbers have the number's text as their entity, to the last digit", () => {
    const vectors = of([7, 1], [9223372036854775807n, 9007199254740993n]);
    expect(vectors).toMatchObject({
      computed: [{ entity: "7" }, { entity: "9223372036854775807", data: '{"n":9007199254740993}' }],
    });
  });

  test("two of one entity are refused, even when its text is no entity", () => {
    expect(of(["u", 1], ["v", 1], ["u", 2])).toEqual({
      ok: false,
      kind: "entity_twice",
      entity: "u",
      rows: [0, 2],
    });
    expect(of([1, 1], ["1", 1])).toEqual({
      ok: false,
      kind: "entity_twice",
      entity: "1",
      rows: [0, 1],
    });
  });

  test("two of one text that is too long for an entity are skipped: such texts are not compared", () => {
    const long = "x".repeat(513);
    expect(of([long, 1], [long, 2])).toMatchObject({ computed: [], skippedCount: 2 });
  });

  test("are refused when they take more than they may together, wide characters twice", () => {
    const rows = (value: string) => [1, 2, 3].map((id) => [id, value]);
    const bytes = 3 * '{"n":"aé"}'.length;
    const within = (value: string, most: number) =>
      vectorsOf({ columns, rows: rows(value) }, "id", new Map(), most);
    expect(within("aé", bytes).ok).toBe(true);
    expect(within("aé", bytes - 1)).toEqual({ ok: false, kind: "too_large" });
    expect(within("aā", 2 * bytes).ok).toBe(true);
    expect(within("aā", 2 * bytes - 1).ok).toBe(false);
  });

  test.each([
    [null, "id is null"],
    ["", "id is empty"],
    ["x".repeat(513), "id has more than 512 characters"],
    ["a\u0000", "id has characters that no entity may have"],
    ["\ud800", "id has characters that no entity may have"],
    [new ArrayBuffer(1), "id is neither text nor a number"],
  ])("are not made of an entity like %j", (entity, reason) => {
    expect(of([entity, 1])).toMatchObject({ computed: [], skipped: [{ row: 0, reason }] });
  });

  test("are not made of what no category can hold", () => {
    expect(of(["u", new ArrayBuffer(1)])).toMatchObject({ skipped: [{ reason: "a column is a BLOB" }] });
    expect(of(["u", "x".repeat(1_100_000)])).toMatchObject({ computed: [], skippedCount: 1 });
    expect(of(["u", "☃".repeat(400_000)])).toMatchObject({ computed: [], skippedCount: 1 });
  });

  test("skipped are named up to a thousand and counted all", () => {
    const vectors = of(...Array.from({ length: 1_500 }, () => [null, 1]));
    expect(vectors.ok && [vectors.skipped.length, vectors.skippedCount]).toEqual([1_000, 1_500]);
  });

  test("are written with all their names, whatever they are called", () => {
    const names = ["id", "__proto__", "10", "2", 'quo"te'];
    const vectors = vectorsOf({ columns: names, rows: [["u", 1, 2, 3, null]] }, "id", new Map());
    if (!vectors.ok || !vectors.computed[0]) throw new Error("no vector");
    const target = { entityType: "id", category: "c", ttlSeconds: null, computeId: "x" };
    const [category] = vectorWrite(vectors.computed[0], target).categories;
    expect(category?.data).toBe('{"__proto__":1,"10":2,"2":3,"quo\\"te":null}');
    expect(category?.names.toSorted()).toEqual(names.slice(1).toSorted());
  });
});

test.each([
  [["id", "n"], null],
  [["n"], /no column `id`/],
  [["id"], /no column but the entity key/],
  [["id", ""], /no name/],
  [["id", "a\u0001"], /no name/],
  [["id", "n", "n"], /two columns `n`/],
])("columns %j of a result", (names, fault) => {
  if (fault) expect(faultOfColumns(names, "id")).toMatch(fault);
  else expect(faultOfColumns(names, "id")).toBeNull();
});

describe("digits", () => {
  test.each([
    [[[1, "a", null, 2 ** 53 - 1]], false],
    [[[1], [2 ** 53]], true],
    [[[-(2 ** 60)]], true],
    [[[1.5, Number.POSITIVE_INFINITY]], false],
  ])("may be lost in %j: %s", (rows, expected) => {
    expect(mayBeRounded(rows)).toBe(expected);
  });

  test("come back as they were, beside texts that look like them", () => {
    expect(["i1", "i9007199254740993", "ti1", "t", 0.5, null].map(readDigits)).toEqual([
      1,
      9007199254740993n,
      "i1",
      "",
      0.5,
      null,
    ]);
  });

  test("are asked for of every column, under its name", () => {
    expect(withDigits("SELECT 1", ['a"b'])).toContain(`AS "a""b" FROM (SELECT 1\n)`);
  });
});
