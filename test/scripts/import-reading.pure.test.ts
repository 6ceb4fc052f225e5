/** What the files of an import are read into. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";
import type { RowGroup, SchemaTree } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, describe, expect, test } from "vitest";
import { type ImportOptions, readArguments } from "../../scripts/import/arguments.ts";
import { type Cell, CsvParser, type CsvRecord } from "../../scripts/import/csv.ts";
import { type CellKinds, cellValue, kindOfCell, noteKind } from "../../scripts/import/csv-values.ts";
import { eventTime } from "../../scripts/import/event-time.ts";
import { columnFault, formatOf, openInputs } from "../../scripts/import/inputs.ts";
import { unreadable } from "../../scripts/import/parquet-values.ts";
import { linesOf, recordOf } from "../../scripts/import/read-ndjson.ts";
import { ParquetFile, rowsFault } from "../../scripts/import/read-parquet.ts";
import { assertReadable, readRequests } from "../../scripts/import/read-rows.ts";
import { rejectsFile } from "../../scripts/import/rejects.ts";
import type { Reject } from "../../scripts/import/tally.ts";
import { rawNumber } from "../../worker/json.ts";
import { formatTimestamp } from "../../worker/timestamps.ts";

const directory = mkdtempSync(join(tmpdir(), "feature-store-import-"));
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

const NEEDED = ["--entity-column", "id", "--timestamp-column", "at", "--category", "profile"];

function optionsOf(...args: string[]): ImportOptions {
  const options = readArguments([...NEEDED, ...args]);
  if ("fault" in options) throw new Error(options.fault);
  return options;
}

test.each([
  ["a.parquet", { format: "parquet", isGzip: false }],
  ["d/a.b.CSV.GZ", { format: "csv", isGzip: true }],
  ["a.jsonl", { format: "ndjson", isGzip: false }],
  ["a.ndjson.gz", { format: "ndjson", isGzip: true }],
  ["part-0.gz", { format: null, isGzip: true }],
  ["a.json", { format: null, isGzip: false }],
  ["features", { format: null, isGzip: false }],
])("%s is %j", (path, expected) => {
  expect(formatOf(path)).toEqual(expected);
});

describe("CSV", () => {
  /** Cuts a text at random places, as a stream does. */
  function parsed(text: string, cuts: readonly number[] = [], delimiter = ","): CsvRecord[] {
    const parser = new CsvParser(delimiter);
    const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
    const pieces = places.slice(1).map((end, i) => text.slice(places[i], end));
    const last = (records: CsvRecord[]) => [...records, parser.end()].filter((record) => record !== null);
    return last(pieces.flatMap((piece) => parser.push(piece)));
  }
  const cellsOf = (text: string) => parsed(text).map(({ cells }) => cells);

  test("whatever a table holds comes back, cut anywhere", () => {
    const written = (cell: Cell) => {
      if (cell === null) return "";
      return cell === "" || /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
    };
    const cell = fc.option(fc.string({ unit: fc.constantFrom("a", '"', ",", "\n", "\r", " ", "é") }));
    // One empty cell alone would be an empty line.
    const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { maxLength: 5 });
    const lineEnd = fc.constantFrom("\n", "\r\n");
    fc.assert(
      fc.property(
        table,
        lineEnd,
        fc.boolean(),
        fc.array(fc.nat(), { maxLength: 9 }),
        (rows, end, ends, cuts) => {
          const text = rows.map((row) => row.map(written).join(",")).join(end) + (ends ? end : "");
          const records = parsed(rows.length === 0 ? "" : text, cuts);
          expect(records.map(({ cells }) => cells)).toEqual(rows);
          expect(records.every(({ fault }) => fault === null)).toBe(true);
        },
      ),
    );
  });

  test("an empty cell is not a quoted empty one", () => {
    expect(cellsOf('a,,"",\n')).toEqual([["a", null, "", null]]);
  });

  test("a record has the number of its first line", () => {
    expect(parsed('a\n"b\n\nb"\n\nc').map(({ line }) => line)).toEqual([1, 2, 5, 6]);
  });

  test.each([
    ['a "b" c,d\ne,f', ['a "b" c', "d"], "has a quote in a cell that does not begin with one"],
    ['"a"b,c\ne,f', ["ab", "c"], "has text behind a closing quote"],
    ['"a"\rb,c\ne,f', ["ab", "c"], "has text behind a closing quote"],
  ])("%j is a bad record, and the next a good one", (text, cells, fault) => {
    const [bad, good] = parsed(text);
    expect(bad).toMatchObject({ cells, fault });
    expect(good).toMatchObject({ cells: ["e", "f"], fault: null });
  });

  test("a quote that is not closed is told", () => {
    expect(parsed('a,"b\nc')).toMatchObject([{ line: 1, fault: "has a quote that is not closed" }]);
  });

  test("another delimiter leaves commas alone", () => {
    expect(parsed('1,5;"a;b"', [], ";")).toMatchObject([{ cells: ["1,5", "a;b"] }]);
  });

  test.each([
    [["1", "-2.5", "3e2", "9007199254740993"], "numbers"],
    [["true", "False", "TRUE"], "booleans"],
    [["1", "007"], "texts"],
    [["1", "+1"], "texts"],
    [["1", "1e999"], "texts"],
    [["1", "NaN"], "texts"],
    [["1", "true"], "texts"],
    [[" 1"], "texts"],
    [[], undefined],
  ])("a column of %j is %s", (cells, kind) => {
    const kinds: CellKinds = new Map();
    for (const cell of cells) noteKind(kinds, "a", kindOfCell(cell));
    expect(kinds.get("a")).toBe(kind);
  });

  test.each([
    ["9007199254740993", "numbers", "9007199254740993"],
    ["-0.10", "numbers", "-0.1"],
    ["True", "booleans", "true"],
    ["", "numbers", "null"],
    ["", "texts", '""'],
    [null, "texts", "null"],
    ["007", "int64", "7"],
    ["9223372036854775807", "int64", "9223372036854775807"],
    ["1.50", "float64", "1.5"],
    ["nan", "float64", "null"],
    ["007", "string", '"007"'],
    ["TRUE", "boolean", "true"],
    ["2026-01-01T00:00Z", "timestamp", '"2026-01-01T00:00:00.000000+00:00"'],
    ['{"a":[9007199254740993]}', "json", '{"a":[9007199254740993]}'],
    ["[1,2]", "array<int64>", "[1,2]"],
  ] as const)("%j as %s is %s", (cell, type, json) => {
    expect(JSON.stringify(cellValue(cell, type))).toBe(json);
  });

  test.each([
    ["1.5", "int64"],
    ["9223372036854775808", "int64"],
    ["abc", "float64"],
    ["1", "boolean"],
    ["2026-01-01", "timestamp"],
    ["{", "json"],
    ["[1.5]", "array<int64>"],
  ] as const)("%j is no %s", (cell, type) => {
    expect(() => cellValue(cell, type)).toThrow(/^is /);
  });
});

describe("NDJSON", () => {
  async function lines(...pieces: string[]) {
    const found: [number, string][] = [];
    async function* stream() {
      yield* pieces;
    }
    for await (const { place, line } of linesOf(stream(), "a.ndjson")) found.push([place, line]);
    return found;
  }

  test("lines keep their numbers wherever the stream is cut, and empty ones are passed over", async () => {
    expect(await lines("a", "b\n\r\n", "\n c", "\r", "\nd")).toEqual([
      [1, "ab"],
      [4, " c\r"],
      [5, "d"],
    ]);
  });

  test("a line separator of Unicode is text, and no end of a line", async () => {
    const text = '{"a":"x\u2028y"}';
    const [[, line] = [0, ""]] = await lines(Buffer.from(`${text}\n`).toString("latin1"));
    expect(recordOf(1, line)).toEqual({ place: 1, row: new Map([["a", "x\u2028y"]]) });
  });

  test("an integer beyond 2^53 keeps its digits, and a name of the prototype is a column", () => {
    const record = recordOf(3, '{"a":9007199254740993,"__proto__":1}');
    expect("row" in record && JSON.stringify([...record.row])).toBe(
      '[["a",9007199254740993],["__proto__",1]]',
    );
  });

  test.each([
    ["[1]", "is not a JSON object"],
    ["{", "is not JSON"],
    ['{"a":1e999}', "has a number beyond the range of float64"],
    ['{"a":"\xff"}', "is not UTF-8"],
  ])("%j is refused", (line, fault) => {
    expect(recordOf(1, line)).toMatchObject({ place: 1, fault: expect.stringContaining(fault) });
  });
});

describe("event times", () => {
  const NONE = { unit: null, zone: null };

  test.each([
    ["2026-01-01T00:00:00.123456Z", NONE, "2026-01-01T00:00:00.123456+00:00"],
    ["2026-01-01 01:00:00+01:00", NONE, "2026-01-01T00:00:00.000000+00:00"],
    ["2026-01-01 00:00:00 UTC", NONE, "2026-01-01T00:00:00.000000+00:00"],
    ["2026-01-01T00:00:00", { unit: null, zone: "+02:00" }, "2025-12-31T22:00:00.000000+00:00"],
    ["2026-01-01T00:00:00Z", { unit: null, zone: "+02:00" }, "2026-01-01T00:00:00.000000+00:00"],
    ["2026-01-01", { unit: null, zone: "Z" }, "2026-01-01T00:00:00.000000+00:00"],
    [1_700_000_000, { unit: "s", zone: null }, "2023-11-14T22:13:20.000000+00:00"],
    [1_700_000_000.25, { unit: "s", zone: null }, "2023-11-14T22:13:20.250000+00:00"],
    ["1700000000123", { unit: "ms", zone: null }, "2023-11-14T22:13:20.123000+00:00"],
    [1_700_000_000_123_456, { unit: "us", zone: null }, "2023-11-14T22:13:20.123456+00:00"],
    [rawNumber("1700000000123456789"), { unit: "ns", zone: null }, "2023-11-14T22:13:20.123456+00:00"],
    ["-1", { unit: "ns", zone: null }, "1969-12-31T23:59:59.999999+00:00"],
    ["-0.5", { unit: "s", zone: null }, "1969-12-31T23:59:59.500000+00:00"],
  ] as const)("%j, read as %j, is %s", (value, reading, expected) => {
    expect(formatTimestamp(eventTime(value, reading))).toBe(expected);
  });

  test.each([
    [null, NONE, "is empty"],
    ["", NONE, "is empty"],
    ["2026-01-01T00:00:00", NONE, "--zone"],
    ["2026-01-01", NONE, "--zone"],
    [1_700_000_000, NONE, "--timestamp-unit"],
    ["1700000000", NONE, "--timestamp-unit"],
    ["2026-01-01T00:00:00Z", { unit: "s", zone: null }, "is not a number"],
    ["yesterday", { unit: null, zone: "Z" }, "ISO 8601"],
    ["1066-01-01T00:00:00Z", NONE, "years"],
    [1_700_000_000_123, { unit: "s", zone: null }, "years"],
    ["9".repeat(30), { unit: "ns", zone: null }, "years"],
    [true, NONE, "found boolean"],
    [["2026"], NONE, "found array"],
  ] as const)("%j, read as %j, is refused: %s", (value, reading, why) => {
    expect(() => eventTime(value, reading)).toThrow(why);
  });
});

describe("Parquet", () => {
  type Written = Parameters<typeof parquetWriteBuffer>[0];
  type Element = NonNullable<Written["schema"]>[number];

  const column = (name: string, element: Partial<Element>): Element => ({
    name,
    repetition_type: "OPTIONAL",
    ...element,
  });

  /** @param columns The elements of each column, the first one named, and its values. */
  function parquet(columns: [Element[], unknown[]][], more: Partial<Written> = {}): string {
    const bytes = parquetWriteBuffer({
      schema: [{ name: "root", num_children: columns.length }, ...columns.flatMap(([elements]) => elements)],
      columnData: columns.map(([[element], data]) => ({ name: element?.name ?? "", data })),
      ...more,
    });
    return file(`${crypto.randomUUID()}.parquet`, new Uint8Array(bytes));
  }

  /** JSON of each value, or the fault of the record. */
  async function read(path: string, zone: string | null = null): Promise<unknown[]> {
    const opened = await ParquetFile.open(path);
    const found: unknown[] = [];
    for await (const record of opened.records(opened.contents.columns, zone)) {
      found.push(
        "row" in record ? [...record.row.values()].map((value) => JSON.stringify(value)) : record.fault,
      );
    }
    return found;
  }

  const timestamp = (unit: "MILLIS" | "MICROS" | "NANOS", isAdjustedToUTC: boolean) =>
    column("a", { type: "INT64", logical_type: { type: "TIMESTAMP", unit, isAdjustedToUTC } });
  const decimal = (type: "INT32" | "INT64", scale: number) =>
    column("a", { type, converted_type: "DECIMAL", scale, precision: 18 });

  test.each([
    [
      "int64",
      column("a", { type: "INT64" }),
      [2n ** 53n + 1n, -(2n ** 63n), 7n],
      null,
      ["9007199254740993", "-9223372036854775808", "7"],
    ],
    [
      "uint64",
      column("a", { type: "INT64", converted_type: "UINT_64" }),
      [2n ** 64n - 1n],
      null,
      ["18446744073709551615"],
    ],
    ["int32", column("a", { type: "INT32" }), [-1, null], null, ["-1", "null"]],
    ["float", column("a", { type: "FLOAT" }), [0.5, 0.1], null, ["0.5", "0.10000000149011612"]],
    ["NaN", column("a", { type: "DOUBLE" }), [0.1, Number.NaN], null, ["0.1", "null"]],
    ["boolean", column("a", { type: "BOOLEAN" }), [true, false], null, ["true", "false"]],
    [
      "text",
      column("a", { type: "BYTE_ARRAY", converted_type: "UTF8" }),
      ["", "\u00fc"],
      null,
      ['""', '"\u00fc"'],
    ],
    ["bytes that are text", column("a", { type: "BYTE_ARRAY" }), [new Uint8Array([97])], null, ['"a"']],
    [
      "milliseconds",
      timestamp("MILLIS", true),
      [1_700_000_000_123n],
      "+02:00",
      ['"2023-11-14T22:13:20.123000+00:00"'],
    ],
    ["microseconds", timestamp("MICROS", true), [-1n], null, ['"1969-12-31T23:59:59.999999+00:00"']],
    [
      "nanoseconds",
      timestamp("NANOS", true),
      [1_700_000_000_123_456_789n],
      null,
      ['"2023-11-14T22:13:20.123456+00:00"'],
    ],
    ["local times", timestamp("MICROS", false), [0n], null, ['"1970-01-01T00:00:00.000000"']],
    [
      "local times of a zone",
      timestamp("MICROS", false),
      [0n],
      "+02:00",
      ['"1969-12-31T22:00:00.000000+00:00"'],
    ],
    [
      "an older timestamp",
      column("a", { type: "INT64", converted_type: "TIMESTAMP_MILLIS" }),
      [1n],
      null,
      ['"1970-01-01T00:00:00.001000+00:00"'],
    ],
    [
      "days",
      column("a", { type: "INT32", converted_type: "DATE" }),
      [19_723, -1],
      null,
      ['"2024-01-01"', '"1969-12-31"'],
    ],
    [
      "a time of day",
      column("a", { type: "INT32", converted_type: "TIME_MILLIS" }),
      [1_001],
      null,
      ['"00:00:01.001000"'],
    ],
    [
      "decimals",
      decimal("INT64", 2),
      [115n, -1n, 500n, 900_719_925_474_099_300n],
      null,
      ["1.15", "-0.01", "5", "9007199254740993"],
    ],
    ["JSON", column("a", { type: "BYTE_ARRAY", converted_type: "JSON" }), [{ b: [1] }], null, ['{"b":[1]}']],
  ] as const)("%s", async (_, element, values, zone, expected) => {
    const path = parquet([[[element], [...values]]]);
    expect((await read(path, zone)).flat()).toEqual(expected);
  });

  test("lists are arrays and structs objects, whatever stands in them", async () => {
    const list = [
      column("a", { num_children: 1, converted_type: "LIST" }),
      column("list", { repetition_type: "REPEATED", num_children: 1 }),
      column("element", { type: "INT64" }),
    ];
    const struct = [
      column("s", { num_children: 2 }),
      column("n", { type: "INT64" }),
      column("d", { type: "INT32", converted_type: "DATE" }),
    ];
    const path = parquet([
      [list, [[1n, null, 2n ** 53n + 1n], [], null]],
      [struct, [{ n: 2n ** 53n + 1n, d: 1 }, { n: null, d: null }, null]],
    ]);
    expect(await read(path)).toEqual([
      ["[1,null,9007199254740993]", '{"n":9007199254740993,"d":"1970-01-02"}'],
      ["[]", '{"n":null,"d":null}'],
      ["null", "null"],
    ]);
  });

  test("texts are JSON in the columns that a file of this store names", async () => {
    const text = (name: string) => column(name, { type: "BYTE_ARRAY", converted_type: "UTF8" });
    const json = "[9007199254740993]";
    const kvMetadata = [{ key: "json_columns", value: '["a"]' }];
    const path = parquet(
      [
        [[text("a")], [json]],
        [[text("b")], [json]],
      ],
      { kvMetadata },
    );
    expect(await read(path)).toEqual([["[9007199254740993]", '"[9007199254740993]"']]);
  });

  test("what has no JSON makes a bad row of its own", async () => {
    const bytes = parquet([
      [[column("a", { type: "BYTE_ARRAY" })], [new Uint8Array([0xff]), new Uint8Array([97])]],
    ]);
    expect(await read(bytes)).toEqual(["a is not UTF-8", ['"a"']]);
    const text = parquet([[[column("a", { type: "DOUBLE" })], [Number.POSITIVE_INFINITY, 1]]]);
    expect(await read(text)).toEqual(["a is Infinity, which JSON does not have", ["1"]]);
    const late = parquet([[[timestamp("MILLIS", true)], [10n ** 17n, 0n]]]);
    expect(await read(late)).toEqual([
      expect.stringContaining("years"),
      ['"1970-01-01T00:00:00.000000+00:00"'],
    ]);
  });

  test("rows come in order from several groups, each in pieces, nested columns too", async () => {
    const rows = 130_000;
    const list = [
      column("l", { num_children: 1, converted_type: "LIST" }),
      column("list", { repetition_type: "REPEATED", num_children: 1 }),
      column("element", { type: "INT32" }),
    ];
    const numbers = Array.from({ length: rows }, (_, i) => i);
    const path = parquet(
      [
        [[column("n", { type: "INT32" })], numbers],
        [list, numbers.map((n) => [n, n])],
      ],
      { rowGroupSize: 120_000, pageSize: 10_000 },
    );
    const opened = await ParquetFile.open(path);
    let expected = 0;
    for await (const record of opened.records(["n", "l"], null)) {
      const found = "row" in record ? [record.place, record.row.get("n"), record.row.get("l")] : record.fault;
      if (JSON.stringify(found) !== `[${expected + 1},${expected},[${expected},${expected}]]`) {
        expect(found).toEqual([expected + 1, expected, [expected, expected]]);
      }
      expected += 1;
    }
    expect(expected).toBe(rows);
  });

  test("other compressions are read, and one that cannot be is told before anything is written", async () => {
    const data: [Element[], unknown[]][] = ["id", "at", "a"].map((name) => [
      [column(name, { type: "BYTE_ARRAY", converted_type: "UTF8" })],
      ["x".repeat(100)],
    ]);
    for (const [codec, compress] of [
      ["GZIP", gzipSync],
      ["ZSTD", zstdCompressSync],
    ] as const) {
      const path = parquet(data, { codec, compressors: { [codec]: (bytes: Uint8Array) => compress(bytes) } });
      expect(await read(path)).toHaveLength(1);
    }
    const path = parquet(data, { codec: "LZ4", compressors: { LZ4: (bytes) => bytes } });
    await expect(openInputs(optionsOf(path))).rejects.toThrow(
      "is compressed with LZ4; what can be read is UNCOMPRESSED, SNAPPY, GZIP, ZSTD, BROTLI",
    );
  });

  test("a column whose bytes are not of its type is told, by file and row", async () => {
    const path = parquet([[[column("a", { type: "DOUBLE", converted_type: "DATE" })], [1.5]]]);
    await expect(read(path)).rejects.toThrow(`${path}, column a, row 1: it contradicts itself (`);
  });

  test("two columns of one name are told, where they are needed", async () => {
    const column = (name: string, data: unknown[]) => ({ name, data, type: "INT32" }) as const;
    const columnData = [column("id", [1]), column("at", [1]), column("x", [1]), column("x", [2])];
    const path = file("twice.parquet", new Uint8Array(parquetWriteBuffer({ columnData })));
    await expect(openInputs(optionsOf(path))).rejects.toThrow("has two columns `x`");
    const others = [column("id", [1]), column("at", [1]), column("y", [1]), ...columnData.slice(2)];
    const path2 = file("twice-other.parquet", new Uint8Array(parquetWriteBuffer({ columnData: others })));
    await expect(openInputs(optionsOf(path2, "--features", "y"))).resolves.toBeDefined();
  });

  test("a footer that breaks off amid its columns is told", async () => {
    const columnData = [{ name: "id", data: [1], type: "INT32" as const }];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData }));
    // The number of columns stands behind the name of their root.
    const place = Buffer.from(bytes).indexOf("root") + "root".length + 1;
    expect(bytes[place]).toBe(2);
    bytes[place] = 6;
    const path = file("broken-footer.parquet", bytes);
    await expect(ParquetFile.open(path)).rejects.toThrow("cannot be read as Parquet");
  });

  test("a footer whose row groups have other rows than the file is told", () => {
    const groups = (...rows: (bigint | undefined)[]) =>
      rows.map((num_rows) => ({ num_rows, columns: [], total_byte_size: 0n }) as RowGroup);
    expect(rowsFault({ num_rows: 5n, row_groups: groups(2n, 3n) })).toBe(null);
    expect(rowsFault({ num_rows: 5n, row_groups: groups(2n) })).toContain(
      "5 rows, and its row groups have 2",
    );
    expect(rowsFault({ num_rows: 1n, row_groups: groups(2n, -1n) })).toContain("a row group has -1 rows");
    expect(rowsFault({ num_rows: 1n, row_groups: groups(undefined) })).toContain("a row group has NaN rows");
  });

  test("a type that has no JSON is told, wherever it stands", () => {
    const node = (element: Partial<Element>, children: SchemaTree[] = []): SchemaTree => ({
      element: column("a", element),
      children,
      count: 1,
      path: [],
    });
    const interval = node({ type: "FIXED_LEN_BYTE_ARRAY", converted_type: "INTERVAL" });
    expect(unreadable(node({}, [node({ type: "INT32" }), interval]))).toBe("INTERVAL");
    expect(unreadable(node({ type: "INT64" }))).toBe(null);
    const decimal = (scale: number) => unreadable(node({ type: "INT64", converted_type: "DECIMAL", scale }));
    expect([2, -1, 500_000_000].map(decimal)).toEqual([
      null,
      "DECIMAL with the scale -1",
      "DECIMAL with the scale 500000000",
    ]);
  });
});

describe("the files", () => {
  const TEXTS = {
    "a.csv": "id,at,n,zip,\u00fc\r\nu,2026-01-01T00:00:00Z,1,007,x\r\nv,2026-01-01T00:00:00Z,2.5,1,\r\n",
    "b.csv.gz": gzipSync("\ufeffid,at,n,flag\nu,2026-01-02T00:00:00Z,,true\n"),
    "c.ndjson":
      '{"id":1,"at":"2026-01-03T00:00:00Z","s":{"x":[9007199254740993]}}\n\n{"id":2}\nnothing\n{"at":1}',
  };
  const paths = Object.entries(TEXTS).map(([name, content]) => file(name, content));

  async function importOf(files: string[], ...args: string[]) {
    const options = optionsOf(...args, ...files);
    const { inputs } = await openInputs(options);
    const rejected: Reject[] = [];
    const rows: unknown[] = [];
    const told = { empty: () => {}, reject: (one: Reject) => rejected.push(one) };
    for await (const batch of readRequests(inputs, options.mapping, told)) {
      for (const { data, entity, rows: of } of batch) rows.push([of[0]?.place, entity, data]);
    }
    return { rows, rejected: rejected.map(({ place, reason }) => [place, reason]) };
  }

  test("rows of all formats become writes; a column of CSV is of one kind in all files", async () => {
    expect(await importOf(paths)).toEqual({
      rows: [
        [2, "u", '{"n":1,"zip":"007","\u00fc":"x"}'],
        [3, "v", '{"n":2.5,"zip":"1","\u00fc":null}'],
        [2, "u", '{"n":null,"flag":true}'],
        [1, "1", '{"s":{"x":[9007199254740993]}}'],
      ],
      rejected: [
        [3, "at is empty"],
        [4, expect.stringContaining("is not JSON")],
        [5, "id is empty"],
      ],
    });
  });

  test("columns have the type that the user says", async () => {
    const [csv = ""] = paths;
    expect(await importOf([csv], "--types", "zip:int64,n:string", "--features", "zip,n")).toMatchObject({
      rows: [
        [2, "u", '{"zip":7,"n":"1"}'],
        [3, "v", '{"zip":1,"n":"2.5"}'],
      ],
    });
  });

  test.each([
    ["no.csv", null, "There is no file"],
    [".", null, "is no file"],
    ["x.txt", "", "--format"],
    ["empty.csv", "", "is empty"],
    ["twice.csv", "id,at,a,a\n", "two columns `a`"],
    ["id.csv", "user_id,at,a\n1,2,3\n", "has no column id; it has: user_id, at, a"],
    ["nothing.csv", "id,at\n1,2\n", "has none of the features; it has: id, at"],
    ["text.ndjson", "a\nb\n", "no line of it is a JSON object"],
    ["text.parquet", "a\nb\n", "cannot be read as Parquet"],
    ["text.csv.gz", "a,b\n", "cannot be read: incorrect header check"],
    ["open.csv", `id,at,a\n"${"x".repeat(11 * 1024 * 1024)}`, "line 2: is longer than"],
    ["long.ndjson", "x".repeat(11 * 1024 * 1024), "line 1: is longer than"],
  ])("%s is told before anything is written", async (name, content, message) => {
    const path = content === null ? join(directory, name) : file(name, content);
    await expect(openInputs(optionsOf(path))).rejects.toThrow(message);
  });

  test("a feature must be in one of the files, and a type be that of a CSV column", () => {
    const input = (path: string, columns: string[]) =>
      ({ path, format: "csv", contents: { columns, records: 1 } }) as const;
    const two = [input("a", ["id", "at", "x"]), input("b", ["id", "at", "y"])];
    const faultOf = (...args: string[]) => columnFault(two, optionsOf("a", ...args));
    expect(faultOf("--features", "x,y")).toBe(null);
    expect(faultOf("--features", "x")).toContain("b has none of the features");
    expect(faultOf("--features", "x,y,z")).toBe("there is no column z; there are: id, at, x, y");
    expect(faultOf("--types", "z:int64")).toContain("--types names z");
  });

  test("where no row of the beginning can be written, nothing is", async () => {
    const options = optionsOf(
      file("naive.csv", "id,at,a\nu,2026-01-01 00:00:00,1\nv,2026-01-01 00:00:00,1\n"),
    );
    const { inputs } = await openInputs(options);
    await expect(assertReadable(inputs, options.mapping, () => "line")).rejects.toThrow(
      "None of its first 2 rows can be written: line 2: at is a time without a zone",
    );
  });
});

describe("the file of rejected rows", () => {
  const unit = () => "line";

  test("never takes the place of a file that is imported, by whatever name", () => {
    const path = file("kept.csv", "id,at\n");
    const link = join(directory, "link.csv");
    symlinkSync(path, link);
    for (const same of [path, `${directory}/./kept.csv`, link]) {
      expect(() => rejectsFile(same, ["is-not-there.csv", path], unit)).toThrow("which is imported");
    }
    expect(readFileSync(path, "utf8")).toBe("id,at\n");
  });

  test("has every row, one that nests too deeply to be written without what stands there", () => {
    const path = join(directory, "rejected.ndjson");
    const reject = rejectsFile(path, [file("deep.ndjson", "")], unit);
    const deep = recordOf(1, `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`);
    if (!("row" in deep)) throw new Error("it can be read");
    reject({ file: "deep.ndjson", place: 1, reason: "nests", row: Object.fromEntries(deep.row) });
    reject({ file: "deep.ndjson", place: 2, reason: "is empty", row: { a: 1 } });
    expect(
      readFileSync(path, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { file: "deep.ndjson", line: 1, reason: "nests", row: null },
      { file: "deep.ndjson", line: 2, reason: "is empty", row: { a: 1 } },
    ]);
  });
});
