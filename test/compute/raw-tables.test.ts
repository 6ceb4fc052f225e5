/** Raw tables and what may be ingested into them. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { RawTableStore } from "../../worker/compute/raw-table-store.ts";
import { MAX_RAW_TABLES_PER_TENANT } from "../../worker/limits.ts";
import { MISSING_TABLE_ALARM_MS, MISSING_TABLE_TTL_MS } from "../../worker/timings.ts";
import { ask, expectProblem, faultPlaces, get, post, remove } from "../setup/http.ts";
import {
  COLUMNS,
  compute,
  createFeature,
  eventTime,
  freshName,
  ingest,
  inside,
  newFeature,
  newTable,
  noteObject,
  objectOf,
  row,
  type Table,
  TENANT,
  vector,
  vectorOf,
} from "./tables.ts";

const EVERY_TYPE = {
  s: "string",
  f: "float",
  i: "integer",
  b: "boolean",
  t: "timestamp",
  j: "json",
};
const countOf = async (table: Table) => (await get<Table>(`/raw-tables/${table.id}`)).body.row_count;

describe("registering", () => {
  test("answers the columns in their order, in the store's own spelling of their types", async () => {
    const table = await newTable({
      z: "str",
      a: "double",
      m: "int64",
      b: "bool",
      t: "datetime",
      o: "object",
    });
    expect(Object.entries(table.schema_definition)).toEqual([
      ["z", "string"],
      ["a", "float"],
      ["m", "integer"],
      ["b", "boolean"],
      ["t", "timestamp"],
      ["o", "json"],
    ]);
    const listed = await get<{ raw_tables: Table[] }>("/raw-tables");
    expect(listed.body.raw_tables.find(({ id }) => id === table.id)).toEqual(table);
    const { body } = await get<Table>(`/raw-tables/${table.id}`);
    expect(body).toMatchObject({ ...table, row_count: 0, max_rows: 1_000_000 });
  });

  test("columns may be called what JavaScript or SQL has a use for", async () => {
    const columns = '{"__proto__":"string","constructor":"integer","select":"float"}';
    const body = `{"name":"${freshName("odd")}","schema_definition":${columns}}`;
    const headers = { "content-type": "application/json" };
    const { body: table, text } = await post<Table>("/raw-tables", body, headers);
    expect(text).toContain(`"schema_definition":${columns}`);
    const data = '[{"__proto__":"u","constructor":1,"select":0.5}]';
    const kept = await post("/ingest", `{"raw_table_id":${table.id},"data":${data}}`, headers);
    expect(kept.status, kept.text).toBe(200);
    const sql = 'SELECT "__proto__" AS user_id, "constructor", "select" FROM data';
    const { name } = await newFeature(table, { computation_logic: sql });
    expect((await compute(name)).body.computed).toBe(1);
    expect(await vectorOf("u", name)).toEqual({ constructor: 1, select: 0.5 });
  });

  test.each([
    { key: "entity", time: "newest" },
    { key: "id", time: "entity" },
    { key: "named", time: "rowid_" },
    { key: "data", time: "value" },
  ])("columns may be called what the store's own queries call theirs: $key, $time", async ({ key, time }) => {
    const table = await newTable({ [key]: "string", [time]: "timestamp" }, { timestamp_column: time });
    const at = [1, 2].map((second) => ({ [key]: "u", [time]: `2026-01-01T00:00:0${second}Z` }));
    expect((await ingest(table, at)).status).toBe(200);
    const sql = `SELECT ${key}, count(*) AS n FROM data GROUP BY ${key}`;
    const { name } = await newFeature(table, { computation_logic: sql, entity_key: key });
    const { status, body, text } = await compute(name);
    expect(status, text).toBe(200);
    expect(body.computed).toBe(1);
    expect((await vector("u", name)).body).toMatchObject({ vector: { n: 2 }, event_timestamp: eventTime(2) });
  });

  test("of more tables than a tenant may have the next is 409, and says so", async () => {
    await env.DB.prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
       INSERT INTO raw_tables (tenant_id, name, columns, created_at) SELECT 'default', 'planted_' || i, '[["a","string"]]', 0 FROM n`,
    )
      .bind(MAX_RAW_TABLES_PER_TENANT)
      .run();
    const define = (name: string) => post("/raw-tables", { name, schema_definition: { a: "float" } });
    expect(expectProblem(await define("one_more"), 409).detail).toContain(String(MAX_RAW_TABLES_PER_TENANT));
    expect(expectProblem(await define("planted_1"), 409).detail).toContain("of this name");
    await env.DB.prepare("DELETE FROM raw_tables WHERE name LIKE 'planted_%'").run();
    expect((await define("one_more")).status).toBe(201);
  });

  test("a second table of a name is 409, which names what differs", async () => {
    const { name, schema_definition } = await newTable();
    const asked = { name, schema_definition: { a: "string" }, description: "another" };
    const problem = expectProblem(await post("/raw-tables", asked), 409);
    expect(faultPlaces(problem)).toEqual([
      "body.schema_definition",
      "body.timestamp_column",
      "body.description",
    ]);
    const more = {
      name,
      schema_definition: { ...schema_definition, more: "string" },
      timestamp_column: "at",
    };
    expect(faultPlaces(expectProblem(await post("/raw-tables", more), 409))).toEqual([
      "body.schema_definition",
    ]);
  });

  test("the same table again is the one that is there, however its columns are ordered and spelled", async () => {
    const name = freshName("again");
    const first = await post<Table>("/raw-tables", {
      name,
      schema_definition: { a: "string", b: "integer" },
    });
    expect(first.status).toBe(201);
    const again = await post<Table>("/raw-tables", { name, schema_definition: { b: "int64", a: "text" } });
    expect([again.status, again.body]).toEqual([200, first.body]);
  });

  const column = (name: string, type = "string") => ({ schema_definition: { [name]: type } });
  test.each([
    ["no columns", { schema_definition: {} }],
    ["an unknown type", column("a", "decimal")],
    ["a name with a quote", column('a"b')],
    ["a name of the store's own", column("fs_rows")],
    ["SQLite's own name of a row", column("rowid")],
    ["a name of SQLite's own", column("sqlite_x")],
    ["a type that is no text", { schema_definition: { a: 1 } }],
    ["a list", { schema_definition: ["a"] }],
    ["names that differ in case alone", { schema_definition: { a: "string", A: "string" } }],
    [
      "too many columns",
      { schema_definition: Object.fromEntries(Array.from({ length: 91 }, (_, i) => [`c${i}`, "string"])) },
    ],
    ["a timestamp column that is none", { ...column("a"), timestamp_column: "a" }],
    ["a timestamp column that is not there", { ...column("a"), timestamp_column: "b" }],
    ["a name that is none", { ...column("a"), name: "1x" }],
  ])("is 422 for %s", async (_, body) => {
    expectProblem(await post("/raw-tables", { name: freshName("bad"), ...body }), 422);
  });

  test("what there is not is 404", async () => {
    expectProblem(await get("/raw-tables/999999"), 404);
    expectProblem(await remove("/raw-tables/999999"), 404);
    expectProblem(await ingest({ id: 999999 }, [{}]), 404);
    for (const answer of [await get("/raw-tables/nosuch"), await remove("/raw-tables/nosuch")])
      expectProblem(answer, 404);
  });

  test("a table is named by its name in an address too", async () => {
    const { id, name } = await newTable({ user_id: "string", at: "timestamp" }, { timestamp_column: "at" });
    expect((await get<Table>(`/raw-tables/${name}`)).body).toMatchObject({ id, name });
    const kept = await ask<Table>("PATCH", `/raw-tables/${name}`, { body: { retention_days: 7 } });
    expect(kept.body).toMatchObject({ id, retention_days: 7 });
    expect((await remove(`/raw-tables/${name}`)).body).toEqual({ id, row_count: 0 });
    expectProblem(await get(`/raw-tables/${id}`), 404);
  });
});

describe("ingesting", () => {
  test("keeps rows of every type, integers to the last digit and text as it is", async () => {
    const table = await newTable(EVERY_TYPE, {});
    const odd = 'it\'s ☃ \u0000 "quoted"; DROP TABLE fs_rows --';
    const body = `{"raw_table_id":${table.id},"data":[
      {"s":${JSON.stringify(odd)},"f":9007199254740993,"i":-9223372036854775808,"b":true,"t":"2026-01-01T02:00:00+02:00","j":{"a":[1,9007199254740993]}},
      {"s":null,"f":null,"i":null,"b":null,"t":null,"j":null}]}`;
    const answer = await post<{ rows_ingested: number }>("/ingest", body, {
      "content-type": "application/json",
    });
    expect(answer.body).toEqual({ raw_table_id: table.id, rows_ingested: 2, row_count: 2 });
    const kept = await inside(table, "SELECT s, f, CAST(i AS TEXT) AS i, b, t, j FROM fs_rows");
    expect(kept).toEqual([
      {
        s: odd,
        f: 9007199254740992,
        i: "-9223372036854775808",
        b: 1,
        t: "2026-01-01T00:00:00.000000+00:00",
        j: '{"a":[1,9007199254740993]}',
      },
      { s: null, f: null, i: null, b: null, t: null, j: null },
    ]);
  });

  test("names every fault with its row and column, and keeps nothing of the request", async () => {
    const table = await newTable();
    const data = [row("u", 1), row("u", "x"), { user_id: "u", amount: 1.5 }, 7, { ...row("u", 1), more: 1 }];
    const problem = expectProblem(await ingest(table, data), 400);
    expect(problem.errors).toEqual([
      { loc: ["body", "data", 1, "amount"], msg: "expected integer, found string", type: "column_type" },
      {
        loc: ["body", "data", 2, "amount"],
        msg: "expected integer, found a number that is not whole, or not exact",
        type: "column_type",
      },
      { loc: ["body", "data", 2, "at"], msg: "expected timestamp, found nothing", type: "column_type" },
      { loc: ["body", "data", 3], msg: "expected an object of columns, found number", type: "row_type" },
      { loc: ["body", "data", 4, "more"], msg: "is not a column of this table", type: "unknown_column" },
    ]);
    expect(await countOf(table)).toBe(0);
  });

  test("names the first twenty faults", async () => {
    const table = await newTable();
    const answer = await ingest(
      table,
      Array.from({ length: 50 }, () => row("u", "x")),
    );
    expect(faultPlaces(expectProblem(answer, 400))).toHaveLength(20);
  });

  test("takes 10,000 rows at once and not one more", async () => {
    const table = await newTable();
    const many = Array.from({ length: 10_001 }, (_, i) => row(`u${i}`, i));
    expect((await ingest(table, many.slice(1))).body).toMatchObject({ row_count: 10_000 });
    expectProblem(await ingest(table, many), 422);
    expect(await countOf(table)).toBe(10_000);
  });

  test("the same key and request is kept once, and another request with it is 422", async () => {
    const [table, other] = [await newTable(), await newTable()];
    const key = { "Idempotency-Key": freshName("key") };
    const first = await ingest(table, [row("u", 1)], key);
    const again = await ingest(table, [row("u", 1)], key);
    expect([again.status, again.body]).toEqual([200, first.body]);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expectProblem(await ingest(table, [row("u", 2)], key), 422);
    expectProblem(await ingest(other, [row("u", 1)], key), 422);
    expect([await countOf(table), await countOf(other)]).toEqual([1, 0]);
  });

  test("a full table says which limit was reached, and keeps what it has", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    const request = {
      schema: { columns: [["user_id", "string"] as ["user_id", "string"]], timestampColumn: null },
      parts: ['[["u"]]'],
      count: 1,
      longestText: 1,
      followers: [],
      isRetained: false,
      table: { tenant: "default", tableId: table.id },
      idempotency: null,
    };
    const replies = await runInDurableObject(objectOf(table), (_, { storage }) => {
      const store = new RawTableStore(storage);
      return [store.ingest(request, { rows: 1, bytes: 1e9 }), store.ingest(request, { rows: 1e9, bytes: 1 })];
    });
    expect(replies).toMatchObject([
      { kind: "full", limit: "rows", most: 1, there: 1 },
      { kind: "full", limit: "bytes", most: 1 },
    ]);
    expect(await countOf(table)).toBe(1);
  });
});

describe("dropping", () => {
  test("removes the rows with the table", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1), row("u", 2)]);
    expect((await remove(`/raw-tables/${table.id}`)).body).toEqual({ id: table.id, row_count: 2 });
    expectProblem(await get(`/raw-tables/${table.id}`), 404);
    expectProblem(await ingest(table, [row("u", 1)]), 404);
    expect(await inside(table, "SELECT name FROM sqlite_schema WHERE name = 'fs_rows'")).toEqual([]);
    // The name is free again, for a table without those rows.
    const next = await post<Table>("/raw-tables", { name: table.name, schema_definition: COLUMNS });
    expect([next.status, await countOf(next.body)]).toEqual([201, 0]);
  });

  test("is 409 while features are computed from it", async () => {
    const table = await newTable();
    const { name } = await newFeature(table);
    expect(expectProblem(await remove(`/raw-tables/${table.id}`), 409).detail).toContain(name);
  });
});

/** As when D1 is put back to before the table was registered. @returns what puts it forward again. */
async function lose({ id }: Table): Promise<() => Promise<unknown>> {
  const kept = await env.DB.prepare("SELECT * FROM raw_tables WHERE table_id = ?").bind(id).first();
  const columns = Object.keys(kept ?? {});
  await env.DB.batch([
    env.DB.prepare("DELETE FROM raw_tables WHERE table_id = ?").bind(id),
    env.DB.prepare("UPDATE sqlite_sequence SET seq = ? WHERE name = 'raw_tables'").bind(id - 1),
  ]);
  return () =>
    env.DB.prepare(`INSERT INTO raw_tables (${columns}) VALUES (${columns.map(() => "?")})`)
      .bind(...Object.values(kept ?? {}))
      .run();
}

/** Its object looks, and again after a week. */
async function forgetRows({ id }: Table, object: ReturnType<typeof objectOf>): Promise<void> {
  await object.expectChange({ tenant: TENANT, tableId: id });
  expect(await runDurableObjectAlarm(object)).toBe(true);
  await runInDurableObject(object, (_, { storage }) =>
    storage.sql.exec("UPDATE fs_entry SET missing_since_ms = missing_since_ms - ?", MISSING_TABLE_TTL_MS),
  );
  expect(await runDurableObjectAlarm(object)).toBe(true);
}

describe("a table whose id was another's, before D1 was put back to an earlier time", () => {
  test("has none of its rows", async () => {
    const lost = await newTable();
    await ingest(lost, [row("u", 1)]);
    await lose(lost);
    const table = await newTable();
    expect([table.id, await countOf(table)]).toEqual([lost.id, 0]);
    const { body } = await ingest(table, [row("u", 2), row("v", 3)]);
    expect(body.row_count).toBe(2);
  });

  test("is not taken for it by its object, which forgets the rows in the end", async () => {
    const lost = await newTable();
    await ingest(lost, [row("u", 1)]);
    const object = objectOf(lost);
    await lose(lost);
    const table = await newTable();
    await ingest(table, [row("u", 2)]);
    await forgetRows(lost, object);
    expect((await object.numbers()).rows).toBe(0);
    expect(await runDurableObjectAlarm(object)).toBe(false);
    expect(await countOf(table)).toBe(1);
  });
});

describe("a table that is in D1 again, once it was put back and forward", () => {
  test("has its rows, though it has looked meanwhile, and is missed for as long the next time", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    const object = objectOf(table);
    for (const rows of [1, 2]) {
      const putForward = await lose(table);
      await object.expectChange({ tenant: TENANT, tableId: table.id });
      expect(await runDurableObjectAlarm(object)).toBe(true);
      const alarm = await runInDurableObject(object, (_, { storage }) => storage.getAlarm());
      expect((alarm ?? 0) - Date.now()).toBeGreaterThan(MISSING_TABLE_ALARM_MS / 2);
      await inside(
        table,
        `UPDATE fs_entry SET missing_since_ms = missing_since_ms - ${MISSING_TABLE_TTL_MS / 2}`,
      );
      await evictDurableObject(object);
      expect(await runDurableObjectAlarm(object)).toBe(true);
      await putForward();
      expect(await runDurableObjectAlarm(object)).toBe(true);
      expect(await countOf(table)).toBe(rows);
      expect((await ingest(table, [row("u", rows + 1)])).body.row_count).toBe(rows + 1);
    }
  });

  test("takes rows again, when its own are forgotten", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    const putForward = await lose(table);
    await forgetRows(table, objectOf(table));
    await putForward();
    for (const rows of [1, 2]) {
      const { status, body, text } = await ingest(table, [row("u", rows)]);
      expect([status, body.row_count], text).toEqual([200, rows]);
      await evictDurableObject(objectOf(table));
    }
    expect((await remove(`/raw-tables/${table.id}`)).body).toMatchObject({ row_count: 2 });
    expectProblem(await ingest(table, [row("u", 1)]), 404);
  });
});

test("a table from before objects had a name of their own keeps its rows, and loses them with it", async () => {
  const table = await newTable();
  await env.DB.prepare("UPDATE raw_tables SET object_nonce = NULL WHERE table_id = ?").bind(table.id).run();
  await noteObject(table.id);
  expect(objectOf(table).id.equals(env.RAW_TABLE.idFromName(`${TENANT}/raw/${table.id}`))).toBe(true);
  await ingest(table, [row("u", 1)]);
  await objectOf(table).expectChange({ tenant: TENANT, tableId: table.id });
  await runDurableObjectAlarm(objectOf(table));
  expect(await inside(table, "SELECT count(*) AS n FROM fs_rows")).toEqual([{ n: 1 }]);
  expect((await remove(`/raw-tables/${table.id}`)).body).toMatchObject({ row_count: 1 });
  expect(await inside(table, "SELECT name FROM sqlite_schema WHERE name = 'fs_rows'")).toEqual([]);
});

describe("hostile SQL", () => {
  const ENDLESS =
    "WITH c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) AS user_id, 1 AS n FROM c";
  const DOUBLING = `WITH c0 AS (SELECT user_id, 1 AS n FROM data), ${Array.from(
    { length: 19 },
    (_, i) => `c${i + 1} AS (SELECT * FROM c${i} UNION ALL SELECT * FROM c${i})`,
  )}`;
  const HOSTILE: [reason: string, sql: string][] = [
    ["several-statements", "SELECT user_id, 1 AS n FROM data; DELETE FROM fs_rows"],
    ["parentheses", "SELECT user_id, 1 AS n FROM data) AS a, (SELECT 1"],
    ["several-statements", "SELECT 1) ; DELETE FROM fs_rows ; SELECT * FROM (SELECT 1"],
    ["not-a-query", "DROP TABLE fs_rows"],
    ["forbidden-word", "WITH x AS (SELECT 1) DELETE FROM data RETURNING user_id"],
    ["reserved-name", "SELECT sql AS user_id, 1 AS n FROM sqlite_schema"],
    ["reserved-name", "SELECT key AS user_id, 1 AS n FROM fs_idempotency"],
    ["function", "SELECT user_id, randomblob(1000000000) AS n FROM data"],
    ["function", "SELECT user_id, printf('%.1000000000c', 'x') AS n FROM data"],
    ["table-function", "SELECT user_id, 1 AS n FROM data, json_each('[1]')"],
    ["table", "SELECT user_id, 1 AS n FROM features"],
    ["recursion", ENDLESS],
    ["parameter", "SELECT user_id, ?1 AS n FROM data"],
    ["unfinished", "SELECT user_id, 'n FROM data"],
    ["empty", "-- nothing"],
    ["not-a-token", "SELECT user_id, 1 ! 2 AS n FROM data"],
    ["not-ascii", "SELECT user_id, 1 AS ñ FROM data"],
    ["null-character", "SELECT user_id, 1 AS n FROM data \u0000; DROP TABLE fs_rows"],
    ["too-deep", `SELECT user_id, ${"(".repeat(200)}1${")".repeat(200)} AS n FROM data`],
    ["join", "SELECT a.user_id, 1 AS n FROM data AS a FULL JOIN data AS b ON a.amount = b.amount"],
    ["name", "WITH data AS (SELECT 'x' AS user_id, 1 AS n) SELECT * FROM data"],
    ["duplicate-column", "SELECT user_id, 1 AS n, 2 AS n FROM data"],
    ["blob-column", "SELECT user_id, x'00' AS n FROM data UNION ALL SELECT 'x', x'00'"],
    ["too-large-when-written-out", `${DOUBLING} SELECT user_id, n FROM c19`],
    ["engine", "SELECT user_id, nope AS n FROM data"],
    ["too-long", `SELECT user_id, 1 AS n FROM data WHERE 1 ${"OR 1 ".repeat(5_000)}`],
  ];

  test.each(HOSTILE)("is refused: %s (%#)", async (reason, computation_logic) => {
    const table = await newTable();
    await ingest(table, [row("u", 1), row("v", 2)]);
    const started = performance.now();
    const [refused, health] = await Promise.all([
      createFeature(table, { computation_logic }),
      get<{ status: string }>("//health"),
    ]);
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(health.status).toBe(200);
    const problem = expectProblem(refused, 422);
    expect(problem.errors).toMatchObject([{ loc: ["body", "computation_logic"], type: reason }]);
    expect(await countOf(table)).toBe(2);
  });

  test("a query over budget is refused before it runs, with its estimate and the budget", async () => {
    const table = await newTable();
    await ingest(
      table,
      Array.from({ length: 10_000 }, (_, i) => row(`u${i}`, i)),
    );
    const { name } = await newFeature(table, {
      computation_logic:
        "SELECT a.user_id AS user_id, count(*) AS n FROM data AS a, data AS b, data AS c WHERE a.amount < b.amount + c.amount GROUP BY 1",
    });
    const started = performance.now();
    const problem = expectProblem(await compute(name), 422);
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(problem.detail).toMatch(/may take (\d+|over 10\^15) steps; at most \d+ are allowed/);
    expect([await countOf(table), await vectorOf("u1", name)]).toEqual([10_000, null]);
  });
});
