/** Training data as Parquet: the same rows as in JSON, read back by a Parquet reader. */
import fc from "fast-check";
import { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { beforeAll, describe, expect, test } from "vitest";
import { expectProblem, post, WRITER } from "../setup/http.ts";
import { isoOf } from "./oracle.ts";
import { askRows, type Row, register } from "./training.ts";

const PARQUET = "application/vnd.apache.parquet";
const T0 = Date.UTC(2026, 0, 10);
const at = (second: number) => isoOf(T0 + second * 1_000);

async function fileOf(rows: readonly Row[], names: readonly string[]): Promise<ArrayBuffer> {
  const { status, text, headers, bytes } = await askRows(rows, names, {}, { accept: PARQUET });
  expect(status, text).toBe(200);
  expect(headers.get("content-type")).toBe(PARQUET);
  return bytes;
}

const rowsIn = (file: ArrayBuffer) => parquetReadObjects({ file }) as Promise<Record<string, unknown>[]>;

/** `INT64`, `DOUBLE` …, or the logical type where there is one. */
async function typesIn(file: ArrayBuffer): Promise<Record<string, string>> {
  const { schema } = await parquetMetadataAsync(file);
  return Object.fromEntries(
    schema.slice(1).map(({ name, type, converted_type }) => [name, converted_type ?? type ?? ""]),
  );
}

/** @param features JSON text. */
async function write(entity: string, category: string, features: string, second: number) {
  const metadata = JSON.stringify(WRITER);
  const entry = `{"category":"${category}","features":${features},"event_timestamp":"${at(second)}"}`;
  const data = `{"entity_type":"user","entity_value":"${entity}","feature_list":[${entry}]}`;
  const { status, text } = await post("/items", `{"metadata":${metadata},"data":${data}}`);
  expect(status, text).toBe(200);
}

beforeAll(async () => {
  await register("p_int", { dtype: "int64", default_value: 7 });
  await register("p_float", { dtype: "float64", ttl_seconds: 60 });
  await register("p_single", { dtype: "float32" });
  await register("p_text", { dtype: "string" });
  await register("p_flag", { dtype: "boolean" });
  await register("p_time", { dtype: "timestamp" });
  await register("p_list", { dtype: "array<int64>" });
});

const TYPED = ["p_int", "p_float", "p_single", "p_text", "p_flag", "p_time", "p_list"];

describe("registered features", () => {
  test("of float64 keep their type, whatever size their values have", async () => {
    const values = ["1700000000123456789", "1152921504606847232", "1.5e20", "-9007199254740993", "1e300"];
    for (const [i, value] of values.entries())
      await write(`sized-${i}`, "default", `{"p_float":${value}}`, 0);
    const rows = values.map((_, i) => ({ entity_id: `sized-${i}`, timestamp: at(1) }));
    const file = await fileOf(rows, ["p_float"]);
    expect((await typesIn(file)).p_float).toBe("DOUBLE");
    expect((await rowsIn(file)).map((row) => row.p_float)).toEqual(values.map(Number));
  });

  test("have the column of their type, exact to the last digit, with time and status beside it", async () => {
    const features = `{"p_int":9007199254740993,"p_float":0.1,"p_single":0.5,"p_text":"né\\n","p_flag":false,
      "p_time":"2026-01-01T00:00:00.123456Z","p_list":[1,9223372036854775807]}`;
    await write("typed", "default", features, 0);
    const file = await fileOf(
      [
        { entity_id: "typed", timestamp: at(1) },
        { entity_id: "typed", timestamp: at(100) },
        { entity_id: "nobody", timestamp: at(1) },
      ],
      TYPED,
    );
    const [first, late, nobody] = await rowsIn(file);
    expect(first).toMatchObject({
      entity_id: "typed",
      timestamp: new Date(at(1)),
      p_int: 9007199254740993n,
      p_float: 0.1,
      p_single: 0.5,
      p_text: "né\n",
      p_flag: false,
      p_time: new Date("2026-01-01T00:00:00.123Z"),
      p_list: "[1,9223372036854775807]",
      p_int__timestamp: new Date(at(0)),
      p_int__status: "PRESENT",
    });
    expect(late).toMatchObject({
      p_int: 9007199254740993n,
      p_float: null,
      p_float__status: "OUTSIDE_MAX_AGE",
    });
    expect(late?.p_float__timestamp).toEqual(new Date(at(0)));
    expect(nobody).toMatchObject({
      p_int: 7n,
      p_int__status: "NOT_FOUND",
      p_int__timestamp: null,
      p_text: null,
    });
    expect(await typesIn(file)).toMatchObject({
      entity_id: "UTF8",
      timestamp: "TIMESTAMP_MICROS",
      p_int: "INT64",
      p_float: "DOUBLE",
      p_single: "FLOAT",
      p_text: "UTF8",
      p_flag: "BOOLEAN",
      p_time: "TIMESTAMP_MICROS",
      p_list: "UTF8",
      p_int__timestamp: "TIMESTAMP_MICROS",
      p_int__status: "UTF8",
    });
  });

  test("are JSON texts where a value was written before they were registered, as another type", async () => {
    await write("before", "default", '{"p_later":"twelve"}', 0);
    await register("p_later", { dtype: "int64" });
    await write("before", "default", '{"p_later":12}', 10);
    const rows = [5, 15].map((second) => ({ entity_id: "before", timestamp: at(second) }));
    const found = await rowsIn(await fileOf(rows, ["p_later"]));
    expect(found.map(({ p_later }) => p_later)).toEqual(['"twelve"', "12"]);
  });
});

describe("nothing is rounded", () => {
  const columnOf = async (entity: string, texts: readonly string[], name: string) => {
    for (const [second, text] of texts.entries()) await write(entity, "exact", `{"${name}":${text}}`, second);
    const rows = texts.map((_, second) => ({ entity_id: entity, timestamp: at(second) }));
    const file = await fileOf(rows, [`exact:${name}`]);
    const { key_value_metadata: metadata } = await parquetMetadataAsync(file);
    const values = (await rowsIn(file)).map((row) => row[`exact:${name}`]);
    return { values, type: (await typesIn(file))[`exact:${name}`], metadata };
  };

  test.each([
    ["1", "9007199254740993", "INT64", [1n, 9007199254740993n]],
    ["1", "9007199254740992", "DOUBLE", [1, 9007199254740992]],
    ["1.5", "9007199254740993", "UTF8", ["1.5", "9007199254740993"]],
    ["1", "123456789012345678901234567890", "UTF8", ["1", "123456789012345678901234567890"]],
    ["-9223372036854775808", "9223372036854775807", "INT64", [-(2n ** 63n), 2n ** 63n - 1n]],
    ["9223372036854775807", "9223372036854775809", "UTF8", ["9223372036854775807", "9223372036854775809"]],
    ['"a"', '"\\ud800"', "UTF8", ['"a"', '"\\ud800"']],
  ])("%s and %s are %s", async (first, second, type, values) => {
    const found = await columnOf(`exact-${first}-${second.length}`.replaceAll('"', ""), [first, second], "x");
    expect({ type: found.type, values: found.values }).toEqual({ type, values });
    const isJson = type === "UTF8" ? '["exact:x"]' : "[]";
    expect(found.metadata?.find(({ key }) => key === "json_columns")?.value).toBe(isJson);
  });

  test("a float32 is one, and what was written before it was registered and is none makes JSON texts", async () => {
    await write("single", "default", '{"p_late":1e300}', 0);
    await register("p_late", { dtype: "float32" });
    await write("single", "default", '{"p_late":0.1}', 10);
    const rows = [5, 15].map((second) => ({ entity_id: "single", timestamp: at(second) }));
    expect((await rowsIn(await fileOf(rows, ["p_late"]))).map(({ p_late }) => p_late)).toEqual([
      "1e+300",
      "0.1",
    ]);
    expect((await rowsIn(await fileOf(rows.slice(1), ["p_late"]))).map(({ p_late }) => p_late)).toEqual([
      Math.fround(0.1),
    ]);
  });
});

test("any rows say the same as in JSON, in order, and the same bytes each time", async () => {
  const value = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.string({ maxLength: 5, unit: "grapheme" }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer(),
    fc.array(fc.integer(), { maxLength: 2 }),
  );
  const events = fc.array(
    fc.tuple(fc.nat(2), fc.nat(20), fc.dictionary(fc.constantFrom("x", "y", "z"), value, { maxKeys: 3 })),
    { minLength: 1, maxLength: 8 },
  );
  const asked = fc.array(fc.tuple(fc.nat(3), fc.nat(25)), { minLength: 1, maxLength: 12 });
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(events, asked, async (written, questions) => {
      runs += 1;
      for (const [who, second, features] of written)
        await write(`any-${runs}-${who}`, "any", JSON.stringify(features), second);
      const rows = questions.map(([who, second]) => ({
        entity_id: `any-${runs}-${who}`,
        timestamp: at(second),
      }));
      const names = ["any:x", "any:y", "any:z"];
      const file = await fileOf(rows, names);
      const { body } = await askRows(rows, names);
      const types = await typesIn(file);
      const found = (await rowsIn(file)).map((row) =>
        names.map((name) => ({
          value:
            isJsonColumn(
              types,
              name,
              body.rows.map(({ features }) => features[name]?.value),
            ) && row[name] !== null
              ? JSON.parse(String(row[name]))
              : asParsed(row[name]),
          timestamp:
            row[`${name}__timestamp`] === null ? null : isoOf((row[`${name}__timestamp`] as Date).getTime()),
          status: row[`${name}__status`],
        })),
      );
      expect(found).toEqual(body.rows.map(({ features }) => names.map((name) => features[name])));
      expect(new Uint8Array(await fileOf(rows, names))).toEqual(new Uint8Array(file));
    }),
    { numRuns: 25, endOnFailure: true },
  );
});

/** An integer beyond 2^53, which the file holds exactly, as the JSON answer is parsed here: to the nearest double. */
const asParsed = (value: unknown) => (typeof value === "bigint" ? Number(value) : value);

/** A column of texts holds JSON, unless all of its values are texts. */
function isJsonColumn(types: Record<string, string>, name: string, values: readonly unknown[]): boolean {
  return types[name] === "UTF8" && values.some((value) => value !== null && typeof value !== "string");
}

test("one time for all entities makes a row of each that was asked for, as often; by entity one", async () => {
  await write("one", "default", '{"p_float":1.5}', 0);
  const body = { entity_ids: ["one", "two", "one"], timestamp: at(1), feature_names: ["p_float"] };
  const { bytes: file } = await post("/features/batch", body, { accept: PARQUET });
  expect((await rowsIn(file)).map(({ entity_id, p_float }) => [entity_id, p_float])).toEqual([
    ["one", 1.5],
    ["two", null],
    ["one", 1.5],
  ]);
  const { text } = await post("/features/batch", body, { accept: "application/x-ndjson" });
  const lines = text.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line).entity_id)).toEqual(body.entity_ids);
  const byEntity = await post<{ features: object; count: number }>("/features/batch", body);
  expect([Object.keys(byEntity.body.features), byEntity.body.count]).toEqual([["one", "two"], 2]);
});

test("names that would make one column twice are refused by name", async () => {
  await register("timestamp", { dtype: "float64" });
  const rows = [{ entity_id: "one", timestamp: at(1) }];
  for (const [names, column] of [
    [["timestamp"], "timestamp"],
    [["c:a", "c:a__status"], "c:a__status"],
  ] as const) {
    const answer = await askRows(rows, names, {}, { accept: PARQUET });
    expectProblem(answer, 422);
    expect(answer.text).toContain(`two columns \`${column}\``);
    expect((await askRows(rows, names)).status).toBe(200);
  }
});

test("a name that no feature can have is refused", async () => {
  const rows = [{ entity_id: "one", timestamp: at(1) }];
  for (const name of ["c:\ud800", "c:a\u0000b"]) {
    const answer = await askRows(rows, [name], {}, { accept: PARQUET });
    expectProblem(answer, 422);
    expect(answer.text).toContain("control characters");
  }
});
