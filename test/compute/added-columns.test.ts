/** Columns that are added to a raw table which is in use. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Follower } from "../../worker/compute/follower-store.ts";
import type { RawSchema } from "../../worker/compute/raw-columns.ts";
import { RawTableStore } from "../../worker/compute/raw-table-store.ts";
import { findRawTable } from "../../worker/compute/registered-tables.ts";
import { MAX_RAW_COLUMNS } from "../../worker/limits.ts";
import { ask, expectProblem, faultPlaces, get, type ProblemBody, post, remove } from "../setup/http.ts";
import {
  arrived,
  askWith,
  consume,
  followerOf,
  gate,
  ingestUnannounced,
  withoutQueue,
  withStubs,
} from "./racing.ts";
import {
  addVersion,
  alarm,
  COLUMNS,
  caughtUp,
  compute,
  createFeature,
  eventTime,
  evict,
  ingest,
  inside,
  newFeature,
  newTable,
  objectOf,
  row,
  SUMS,
  streaming,
  type Table,
  TENANT,
  vector,
  vectorOf,
} from "./tables.ts";

afterEach(() => vi.restoreAllMocks());

type Asked = { name: string; type: string }[];
type Wide = Table & { optional_columns: string[] };

const COUPON = [{ name: "coupon", type: "string" }];
const add = (table: Pick<Table, "id">, columns: unknown = COUPON) =>
  post<Wide>(`/raw-tables/${table.id}/columns`, { columns });
const added = async (table: Pick<Table, "id">, columns: Asked = COUPON) => {
  const answer = await add(table, columns);
  expect(answer.status, answer.text).toBe(201);
  return answer.body;
};
const rowsOf = async (table: Pick<Table, "id">) =>
  (await get<{ rows: Record<string, unknown>[] }>(`/raw-tables/${table.id}/rows?limit=1000`)).body.rows;
const withCoupon = (user: string, amount: number, coupon: unknown, second = 0) => ({
  ...row(user, amount, second),
  coupon,
});
const COUPONS = "SELECT user_id, count(coupon) AS coupons, count(*) AS n FROM data GROUP BY user_id";

describe("adding", () => {
  test("answers the table with its columns in order; again it is 200 and changes nothing", async () => {
    const table = await newTable();
    const asked = [...COUPON, { name: "price", type: "DOUBLE" }, { name: "amount", type: "int64" }];
    const first = await add(table, asked);
    expect(first.status, first.text).toBe(201);
    expect(first.body).toEqual({
      ...table,
      schema_definition: { ...COLUMNS, coupon: "string", price: "float" },
      optional_columns: ["coupon", "price"],
    });
    expect(Object.keys(first.body.schema_definition)).toEqual([...Object.keys(COLUMNS), "coupon", "price"]);
    const again = await post<Wide>(`/raw-tables/${table.name}/columns`, { columns: asked });
    expect([again.status, again.body]).toEqual([200, first.body]);
    expect((await get<Wide>(`/raw-tables/${table.id}`)).body).toMatchObject(first.body);
    const listed = await get<{ raw_tables: Wide[] }>("/raw-tables");
    expect(listed.body.raw_tables.find(({ id }) => id === table.id)).toEqual(first.body);
  });

  test.each<[string, unknown, string]>([
    ["no column", [], "body.columns"],
    ["no list", { coupon: "string" }, "body.columns"],
    ["one without a name", [{ type: "string" }], "body.columns.0.name"],
    ["one without a type", [...COUPON, { name: "b" }], "body.columns.1.type"],
    ["an unknown type", [...COUPON, { name: "b", type: "decimal" }], "body.columns.1.type"],
    ["a name with a space", [{ name: "a b", type: "string" }], "body.columns.0.name"],
    ["a name too long", [{ name: "a".repeat(65), type: "string" }], "body.columns.0.name"],
    ["a reserved name", [{ name: "FS_rows", type: "string" }], "body.columns.0.name"],
    ["the row's own name", [{ name: "RowId", type: "string" }], "body.columns.0.name"],
    ["one twice", [...COUPON, ...COUPON], "body.columns.1.name"],
    [
      "two that differ in case",
      [
        { name: "a", type: "string" },
        { name: "A", type: "float" },
      ],
      "body.columns.1.name",
    ],
    [
      "more than a table may have",
      Array.from({ length: MAX_RAW_COLUMNS + 1 }, (_, i) => ({ name: `c${i}`, type: "float" })),
      "body.columns",
    ],
  ])("%s is 422", async (_, columns, place) => {
    const table = await newTable();
    expect(faultPlaces(expectProblem(await add(table, columns), 422))).toEqual([place]);
    expect((await get<Wide>(`/raw-tables/${table.id}`)).body.optional_columns).toEqual([]);
  });

  test("what does not fit the table is 409, and nothing of the request is added", async () => {
    const table = await newTable();
    const other = expectProblem(await add(table, [...COUPON, { name: "amount", type: "float" }]), 409);
    expect(faultPlaces(other)).toEqual(["body.columns.1.type"]);
    expect(other.detail).toContain("`amount` of type integer, not float");
    expect(faultPlaces(expectProblem(await add(table, [{ name: "AMOUNT", type: "integer" }]), 409))).toEqual([
      "body.columns.0.name",
    ]);
    const full = Array.from({ length: MAX_RAW_COLUMNS - 2 }, (_, i) => ({ name: `c${i}`, type: "float" }));
    expect(expectProblem(await add(table, full), 409).detail).toContain("this one has 3, and would have 91");
    expect((await get<Wide>(`/raw-tables/${table.id}`)).body.schema_definition).toEqual(COLUMNS);
    const wide = await added(table, full.slice(1));
    expect(Object.keys(wide.schema_definition)).toHaveLength(MAX_RAW_COLUMNS);
    expect((await ingest(table, [row("u", 1)])).status).toBe(200);
    const rows = await rowsOf(table);
    expect(Object.keys(rows[0] ?? {})).toHaveLength(MAX_RAW_COLUMNS);
  });

  test("to a table that there is not is 404, also to one that is deleted meanwhile", async () => {
    expectProblem(await add({ id: 999_999_999 }), 404);
    const table = await newTable();
    const { stop, open, reached } = gate();
    const slow = withStubs("RAW_TABLE", { columns: (real) => stop().then(real) });
    const adding = askWith(slow, "POST", `/raw-tables/${table.id}/columns`, { columns: COUPON });
    await reached;
    expect((await remove(`/raw-tables/${table.id}`)).status).toBe(200);
    open();
    expect((await adding).status).toBe(404);
  });

  test.each<[string, Asked, number, Record<string, string>]>([
    ["of two names are both kept", [{ name: "shop", type: "json" }], 201, { shop: "json", coupon: "string" }],
    ["of the same are one", COUPON, 200, { coupon: "string" }],
    ["of two types are one, and 409", [{ name: "coupon", type: "float" }], 409, { coupon: "float" }],
  ])("two at once %s", async (_, other, status, expected) => {
    const table = await newTable();
    const { stop, open, reached } = gate();
    const slow = withStubs("RAW_TABLE", { columns: (real) => stop().then(real) });
    const earlier = askWith<Wide>(slow, "POST", `/raw-tables/${table.id}/columns`, { columns: COUPON });
    await reached;
    await added(table, other);
    open();
    expect((await earlier).status).toBe(status);
    const { body } = await get<Wide>(`/raw-tables/${table.id}`);
    expect(body.schema_definition).toEqual({ ...COLUMNS, ...expected });
  });

  test("many at once are all kept", async () => {
    const table = await newTable();
    const columns = Array.from({ length: 12 }, (_, i) => ({ name: `c${i}`, type: "integer" }));
    const answers = await Promise.all(columns.map((column) => add(table, [column])));
    expect(answers.map(({ status }) => status)).toEqual(columns.map(() => 201));
    const { body } = await get<Wide>(`/raw-tables/${table.id}`);
    expect([...body.optional_columns].sort()).toEqual(columns.map(({ name }) => name).sort());
  });

  test("registering the table as it was first, or as it is now, is 200; as neither it is 409", async () => {
    const table = await newTable();
    await added(table);
    const again = (schema_definition: Record<string, string>) =>
      post<Wide>("/raw-tables", { name: table.name, schema_definition, timestamp_column: "at" });
    for (const columns of [COLUMNS, { ...COLUMNS, coupon: "string" }]) {
      const { status, body } = await again(columns);
      expect([status, body.optional_columns]).toEqual([200, ["coupon"]]);
    }
    const { amount: _, ...fewer } = COLUMNS;
    for (const columns of [fewer, { ...COLUMNS, coupon: "json" }, { ...COLUMNS, shop: "string" }])
      expect(faultPlaces(expectProblem(await again(columns), 409))).toEqual(["body.schema_definition"]);
  });
});

describe("rows", () => {
  test("that were there have null in it, as have those that come without it; the others their values", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    await added(table);
    expect((await ingest(table, [row("u", 2), withCoupon("u", 3, "SPRING")])).status).toBe(200);
    const wrong = expectProblem(await ingest(table, [withCoupon("u", 4, 4)]), 400);
    expect(faultPlaces(wrong)).toEqual(["body.data.0.coupon"]);
    expect(expectProblem(await ingest(table, [{ user_id: "u" }]), 400).errors).toHaveLength(2);
    expect((await rowsOf(table)).map(({ amount, coupon }) => [amount, coupon])).toEqual([
      [1, null],
      [2, null],
      [3, "SPRING"],
    ]);
    const { name } = await newFeature(table, { computation_logic: COUPONS });
    expect((await compute(name)).body.computed).toBe(1);
    expect(await vectorOf("u", name)).toEqual({ coupons: 1, n: 3 });
    expect((await compute(name, [row("v", 1), withCoupon("v", 1, "X")])).body.computed).toBe(1);
    expect(await vectorOf("v", name)).toEqual({ coupons: 1, n: 2 });
  });

  test("have every type of added column as they have it when a table is made with it", async () => {
    const table = await newTable({ id: "string" }, {});
    await ingest(table, [{ id: "u" }]);
    const types = ["string", "float", "integer", "boolean", "timestamp", "json"];
    await added(
      table,
      types.map((type) => ({ name: `a_${type}`, type })),
    );
    const cells =
      '"id":"u","a_string":"é","a_float":0.5,"a_integer":9007199254740993,"a_boolean":true,"a_timestamp":"2026-01-01T00:00:00.000000+00:00","a_json":{"a":[1]}';
    const headers = { "content-type": "application/json" };
    await post("/ingest", `{"raw_table_id":${table.id},"data":[{${cells}}]}`, headers);
    const { text } = await get(`/raw-tables/${table.id}/rows`);
    const nulls = types.map((type) => `"a_${type}":null`).join(",");
    expect(text).toBe(`{"rows":[{"id":"u",${nulls}},{${cells}}],"next_cursor":null}`);
  });

  /**
   * Each is the first that the table's object hears of the column. For SQLite a name in double quotes that no column has is
   * a text.
   */
  test.each<[string, (table: Table) => Promise<unknown>, unknown]>([
    ["an ingest", async (table) => (await ingest(table, [withCoupon("u", 2, "X")])).body.row_count, 3],
    ["a page of rows", async (table) => (await rowsOf(table)).map(({ coupon }) => coupon), [null, null]],
    [
      "rows of a value of it",
      async (table) => (await get(`/raw-tables/${table.id}/rows?column=coupon&value=coupon`)).body,
      { rows: [], next_cursor: null },
    ],
    [
      "an erasure by it",
      async (table) =>
        (
          await ask<{ row_count: number }>(
            "DELETE",
            `/raw-tables/${table.id}/rows?column=coupon&value=coupon`,
          )
        ).body.row_count,
      2,
    ],
    [
      "a computation of a version that was there",
      async (table) => {
        const feature = await env.DB.prepare("SELECT name FROM features WHERE raw_table_id = ?")
          .bind(table.id)
          .first<string>("name");
        return (await compute(feature ?? "")).body.computed;
      },
      2,
    ],
    [
      "a purge",
      async (table) => {
        await ask("PATCH", `/raw-tables/${table.id}`, { body: { retention_days: 1 } });
        await alarm(table);
        const columns = "SELECT count(*) FROM pragma_table_info('fs_rows')";
        return inside(table, `SELECT count(*) AS rows, (${columns}) AS columns FROM fs_rows`);
      },
      [{ rows: 0, columns: 4 }],
    ],
    ["a feature", async (table) => (await createFeature(table, { computation_logic: COUPONS })).status, 201],
  ])("are widened by %s", async (_, first, expected) => {
    const table = await newTable();
    await ingest(table, [row("u", 1), row("v", 1)]);
    await newFeature(table);
    await added(table);
    await evict(table);
    expect(await first(table)).toEqual(expected);
    expect((await ingest(table, [withCoupon("w", 5, "NEW")])).status).toBe(200);
    expect((await rowsOf(table)).at(-1)).toMatchObject({ amount: 5, coupon: "NEW" });
  });

  test("of a table whose object is older than its list of columns are widened too", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    await runInDurableObject(objectOf(table), (_, { storage }) => {
      storage.sql.exec("DROP TABLE fs_columns");
    });
    await evict(table);
    await added(table);
    expect((await ingest(table, [withCoupon("u", 2, "X")])).status).toBe(200);
    expect((await rowsOf(table)).map(({ coupon }) => coupon)).toEqual([null, "X"]);
  });

  test("are found and erased by an added column, and read by its value", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    await added(table, [...COUPON, { name: "order_id", type: "integer" }]);
    await ingest(table, [
      { ...row("u", 2), coupon: "X", order_id: 7 },
      { ...row("v", 3), coupon: "X" },
    ]);
    const found = await get<{ rows: unknown[] }>(`/raw-tables/${table.id}/rows?column=order_id&value=7`);
    expect(found.body.rows).toHaveLength(1);
    const gone = await ask<{ rows_removed: number }>(
      "DELETE",
      `/raw-tables/${table.id}/rows?column=coupon&value=X`,
    );
    expect(gone.body.rows_removed).toBe(2);
    expect((await rowsOf(table)).map(({ amount }) => amount)).toEqual([1]);
  });

  test("that go by their age take the lengths of the added column with them", async () => {
    const table = await newTable(COLUMNS, { timestamp_column: "at", retention_days: 1 });
    const today = new Date().toISOString();
    await ingest(table, [{ ...row("u", 1), at: today }]);
    await added(table);
    await ingest(table, [
      { ...withCoupon("u", 2, "long".repeat(1000)), at: today },
      withCoupon("old", 3, "x"),
    ]);
    await alarm(table);
    expect((await rowsOf(table)).map(({ amount }) => amount)).toEqual([1, 2]);
    // What a query may take is estimated by it.
    expect(await inside(table, "SELECT longest_text FROM fs_numbers")).toEqual([{ longest_text: 4000 }]);
  });
});

describe("who has read the registry before", () => {
  const stopped = (method: string) => {
    const { stop, open, reached } = gate();
    return { open, reached, slow: withStubs("RAW_TABLE", { [method]: (real) => stop().then(real) }) };
  };
  const body = (table: Table, data: unknown[]) => ({ raw_table_id: table.id, data });

  test("ingests as if rows lacked it, and is refused with what it does not know: nothing is lost", async () => {
    const table = await newTable();
    const { slow, open, reached } = stopped("ingest");
    const earlier = askWith(slow, "POST", "/ingest", body(table, [row("u", 1)]));
    await reached;
    await added(table);
    await ingest(table, [withCoupon("u", 2, "X")]);
    open();
    expect((await earlier).status).toBe(200);
    expect((await rowsOf(table)).map(({ amount, coupon }) => [amount, coupon])).toEqual([
      [2, "X"],
      [1, null],
    ]);
    const unknown = await ingest(table, [{ ...row("u", 3), shop: "s" }]);
    expect(faultPlaces(expectProblem(unknown, 400))).toEqual(["body.data.0.shop"]);
  });

  test("makes the rows without it, and the next one adds it", async () => {
    const table = await newTable();
    const { slow, open, reached } = stopped("ingest");
    const earlier = askWith(slow, "POST", "/ingest", body(table, [row("u", 1)]));
    await reached;
    await added(table);
    open();
    expect((await earlier).status).toBe(200);
    expect((await ingest(table, [withCoupon("u", 2, "X")])).status).toBe(200);
    expect((await rowsOf(table)).map(({ coupon }) => coupon)).toEqual([null, "X"]);
  });

  test.each<[string, number, (table: Table, of: Follower[]) => Promise<unknown>]>([
    ["rows that bring it", 1, (table) => ingest(table, [withCoupon("u", 1, "X", 1)])],
    ["rows of one more who has", 0, (table, of) => ingestUnannounced(table, of, ["u"])],
  ])("computes a version that was registered meanwhile and reads it, over %s", async (_, coupons, more) => {
    const { own, sent } = withoutQueue();
    const table = await newTable();
    const feature = await streaming(table);
    await askWith(own, "POST", "/ingest", body(table, [row("u", 1, 1)]));
    expect(sent).toHaveLength(1);
    const { slow, open, reached } = stopped("owed");
    const consumed = consume([arrived(table)], slow);
    await reached;
    await added(table);
    const version = { version: 2, computation_logic: COUPONS, status: "active" };
    expect((await addVersion(feature.name, version)).status).toBe(201);
    await more(table, [followerOf(feature), followerOf(feature, 2)]);
    open();
    expect((await consumed).retryMessages).toEqual([]);
    // It may have been left to the message of the rows that came meanwhile.
    await caughtUp(table);
    expect(await vectorOf("u", `${feature.name}@2`)).toEqual({ coupons, n: 2 });
    expect(await vectorOf("u", `${feature.name}@1`)).toEqual({ total: 2, n: 2 });
  });

  test("erases rows of an entity that is known by the added column: what is left of it is no older", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1, 1)]);
    const registered = await findRawTable(env.DB, TENANT, table.id);
    await added(table, [{ name: "shop", type: "string" }]);
    await ingest(table, [
      { ...row("u", 5, 9), shop: "s" },
      { ...row("v", 1, 2), shop: "s" },
    ]);
    const sql = "SELECT shop, sum(amount) AS total FROM data GROUP BY shop";
    const { name } = await newFeature(table, { computation_logic: sql, entity_key: "shop" });
    await compute(name);
    expect((await vector("s", name)).body).toMatchObject({
      vector: { total: 6 },
      event_timestamp: eventTime(9),
    });
    const choice = { column: "user_id", type: "string", value: "u" } as const;
    const schema = registered?.schema as RawSchema;
    await objectOf(table).erase(schema, { choice, entityKeys: ["shop"] });
    await compute(name);
    expect((await vector("s", name)).body).toMatchObject({
      vector: { total: 1 },
      event_timestamp: eventTime(9),
    });
  });
});

describe("features", () => {
  test("that were there go on, and a version that reads the column is computed as rows arrive", async () => {
    const table = await newTable();
    const feature = await streaming(table);
    await ingest(table, [row("u", 1, 1)]);
    await caughtUp(table);
    await added(table);
    const version = await addVersion(feature.name, {
      version: 2,
      computation_logic: COUPONS,
      status: "active",
    });
    expect(version.status, version.text).toBe(201);
    await ingest(table, [withCoupon("u", 2, "X", 2)]);
    await caughtUp(table);
    expect(await vectorOf("u", `${feature.name}@1`)).toEqual({ total: 3, n: 2 });
    expect(await vectorOf("u", feature.name)).toEqual({ coupons: 1, n: 2 });
  });

  test("may have an added column for their entity key, which rows without it do not touch", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    await added(table);
    const sql = "SELECT coupon, sum(amount) AS total FROM data GROUP BY coupon";
    const feature = await streaming(table, { computation_logic: sql, entity_key: "coupon" });
    await ingest(table, [withCoupon("u", 2, "X", 1), row("u", 3, 2)]);
    await caughtUp(table);
    expect((await vector("X", feature.name)).body).toMatchObject({
      vector: { total: 2 },
      event_timestamp: eventTime(1),
    });
  });

  test("of all columns have it in their vectors, in the order of the registry", async () => {
    const table = await newTable();
    const { name } = await streaming(table, { computation_logic: "SELECT * FROM data" });
    await added(table);
    await added(table, [{ name: "shop", type: "string" }]);
    await ingest(table, [{ ...withCoupon("u", 1, "X"), shop: "s" }]);
    await caughtUp(table);
    const { body } = await vector("u", name);
    expect(Object.entries(body.vector)).toEqual([
      ["amount", 1],
      ["at", eventTime(0)],
      ["coupon", "X"],
      ["shop", "s"],
    ]);
  });

  const from = (select: string) => `SELECT user_id, ${select}`;

  test.each([
    ["nothing of its name", SUMS],
    ["an alias of its name", from("max(at) AS coupon FROM data GROUP BY user_id")],
    ["an alias that is sorted by", from("max(at) AS coupon FROM data GROUP BY user_id ORDER BY coupon")],
    [
      "a column of a subquery",
      "SELECT user_id, coupon FROM (SELECT user_id, max(at) AS coupon FROM data GROUP BY 1)",
    ],
    [
      "an alias of its name over a join",
      "SELECT a.user_id AS user_id, count(*) AS coupon FROM data AS a JOIN data AS b ON a.user_id = b.user_id GROUP BY a.user_id",
    ],
    ["a text", from("count(*) FILTER (WHERE at = 'coupon') AS n FROM data GROUP BY user_id")],
    ["all columns", "SELECT * FROM data"],
    ["a number among all columns", "SELECT *, 1 AS one FROM data GROUP BY 1 ORDER BY (3) DESC LIMIT 9"],
    [
      "all columns of a subquery",
      "SELECT user_id, n FROM (SELECT user_id, count(*) AS n FROM data GROUP BY 1)",
    ],
  ])("that have %s do not keep it from being added", async (_, computation_logic) => {
    const table = await newTable();
    const { name } = await newFeature(table, { computation_logic });
    await ingest(table, [row("u", 1)]);
    await compute(name);
    const before = (await vector("u", name)).body.vector;
    await added(table);
    expect((await compute(name)).body.computed).toBe(1);
    expect((await vector("u", name)).body.vector).toMatchObject(before);
  });

  test.each([
    [
      "an alias that is grouped by",
      from("substr(at, 1, 4) AS coupon, count(*) AS n FROM data GROUP BY user_id, coupon"),
    ],
    ["an alias that is asked for", from("count(*) AS coupon FROM data GROUP BY user_id HAVING COUPON > 0")],
    ["its name in capitals", from("max(at) AS COUPON FROM data GROUP BY user_id HAVING COUPON > ''")],
    [
      "a name of the row around",
      from(
        "(SELECT count(*) FROM data AS d WHERE d.user_id = o.user_id AND coupon > 0) AS n FROM (SELECT user_id, count(*) AS coupon FROM data GROUP BY 1) AS o",
      ),
    ],
    [
      "a name that two would have",
      "SELECT data.user_id AS user_id, coupon FROM data JOIN (SELECT user_id, count(*) AS coupon FROM data GROUP BY 1) AS o ON o.user_id = data.user_id",
    ],
    ["its name beside all columns", "SELECT *, at AS coupon FROM data"],
    ["as many columns as before beside all", "WITH t(user_id, a, b) AS (SELECT * FROM data) SELECT * FROM t"],
    ["all columns united with some", "SELECT * FROM data UNION ALL SELECT user_id, amount, at FROM data"],
    ["a number of what is behind all columns", "SELECT *, user_id || '!' AS k FROM data GROUP BY 4"],
    ["such a number to sort by", "SELECT *, -amount AS k FROM data ORDER BY (+4) DESC LIMIT 1"],
    [
      "such a number in a subquery",
      "SELECT user_id, k FROM (SELECT 1 AS one, d.*, user_id || '!' AS k FROM data AS d GROUP BY 5 COLLATE NOCASE)",
    ],
    ["a natural join", "SELECT user_id, amount FROM data NATURAL JOIN (SELECT * FROM data)"],
  ])("that have %s keep it from being added: 409 names them", async (_, computation_logic) => {
    const table = await newTable();
    const { name } = await newFeature(table, { computation_logic });
    const problem = expectProblem(await add(table), 409);
    expect(problem.detail).toContain(`${name}@1`);
    expect((await get<Wide>(`/raw-tables/${table.id}`)).body.optional_columns).toEqual([]);
    expect((await add(table, [{ name: "amount", type: "integer" }])).status).toBe(200);
  });

  test("that have no version yet keep it from being added by the SQL that one would have", async () => {
    const table = await newTable();
    const computation_logic = from("substr(at, 1, 4) AS coupon FROM data GROUP BY user_id, coupon");
    const { name } = (await createFeature(table, { computation_logic })).body;
    expect(expectProblem(await add(table), 409).detail).toContain(`: ${name};`);
    await addVersion(name, { version: "v1" });
    expect(expectProblem(await add(table), 409).detail).toContain(`: ${name}@1;`);
  });

  /** Who has judged with what there was then waits until the other one is done. */
  const judged = (method: string) => {
    const { stop, ...doors } = gate();
    const judge = async (real: () => Promise<unknown>) => {
      const found = await real();
      await stop();
      return found;
    };
    return { ...doors, slow: withStubs("RAW_TABLE", { [method]: judge }) };
  };
  const BESIDE_ALL = "SELECT *, at AS coupon FROM data";

  test.each<[string, (own: Env, table: Table) => Promise<{ status: number }>]>([
    [
      "a feature",
      (own, table) => {
        const feature = { name: `late_${table.id}`, raw_table_id: table.id, entity_key: "user_id" };
        return askWith(own, "POST", "/features", { ...feature, computation_logic: BESIDE_ALL });
      },
    ],
    [
      "a version",
      async (own, table) => {
        const { name } = await newFeature(table);
        const version = { version: 2, computation_logic: BESIDE_ALL };
        return askWith(own, "POST", `/features/${name}/versions`, version);
      },
    ],
  ])("judged before it was added are judged again: %s", async (_, register) => {
    const sound = await newTable();
    expect((await register(env, sound)).status).toBe(201);
    const table = await newTable();
    const { slow, open, reached } = judged("check");
    const registering = register(slow, table);
    await reached;
    await added(table);
    open();
    expect((await registering).status).toBe(422);
    await added(table, [{ name: "shop", type: "string" }]);
  });

  test.each([
    [
      "SQL that takes its name for another",
      {
        computation_logic: from(
          "substr(at, 1, 4) AS coupon, count(*) AS n FROM data GROUP BY user_id, coupon",
        ),
      },
      "mean something else",
    ],
    [
      "an entity key of its name",
      {
        computation_logic: "SELECT lower(user_id) AS coupon, count(*) AS n FROM data GROUP BY 1",
        entity_key: "coupon",
      },
      "is the entity key",
    ],
  ])("registered while it is judged are judged too: %s", async (_, feature, why) => {
    const table = await newTable();
    await newFeature(table, { computation_logic: "SELECT * FROM data" });
    const { slow, open, reached } = judged("changedBy");
    const adding = askWith<ProblemBody>(slow, "POST", `/raw-tables/${table.id}/columns`, { columns: COUPON });
    await reached;
    await newFeature(table, feature);
    open();
    const answer = await adding;
    expect([answer.status, answer.body.detail]).toEqual([409, expect.stringContaining(why)]);
    expect((await get<Wide>(`/raw-tables/${table.id}`)).body.optional_columns).toEqual([]);
  });

  test("whose entity key its SQL makes keep a column of that name from being added", async () => {
    const table = await newTable();
    const sql = "SELECT lower(user_id) AS coupon, count(*) AS n FROM data GROUP BY 1";
    await newFeature(table, { computation_logic: sql, entity_key: "coupon" });
    expect(expectProblem(await add(table), 409).detail).toContain("`coupon` is the entity key");
  });
});

test("a column that D1 has lost since comes back with its values; another of its name is refused", async () => {
  const table = await newTable();
  const registered = "SELECT columns FROM raw_tables WHERE table_id = ?";
  const stored = () => env.DB.prepare(registered).bind(table.id).first<string>("columns");
  const columns = await stored();
  await added(table);
  // Pairs, which is all that code from before such columns reads.
  expect(JSON.parse((await stored()) ?? "")).toEqual([...JSON.parse(columns ?? ""), ["coupon", "string"]]);
  await ingest(table, [withCoupon("u", 1, "X")]);
  await env.DB.prepare("UPDATE raw_tables SET columns = ? WHERE table_id = ?").bind(columns, table.id).run();
  await added(table, [{ name: "shop", type: "string" }]);
  expect((await ingest(table, [{ ...row("u", 2), shop: "s" }])).status).toBe(200);
  expect(await rowsOf(table)).toEqual([
    { ...row("u", 1), at: eventTime(0), shop: null },
    { ...row("u", 2), at: eventTime(0), shop: "s" },
  ]);
  const { name } = await streaming(table, { computation_logic: "SELECT user_id, amount, shop FROM data" });
  await ingest(table, [{ ...row("v", 2), shop: "t" }]);
  await caughtUp(table);
  expect(await vectorOf("v", name)).toEqual({ amount: 2, shop: "t" });
  // What is checked is what would run: with the column that the rows have all the same.
  const union = "SELECT * FROM data UNION ALL SELECT user_id, amount, at, shop FROM data";
  const asked = {
    name: `${name}_all`,
    raw_table_id: table.id,
    computation_logic: union,
    entity_key: "user_id",
  };
  expectProblem(await post("/features", asked), 422);
  expect(expectProblem(await add(table, [{ name: "coupon", type: "json" }]), 409).detail).toContain(
    "`coupon` of type string, not json",
  );
  await added(table);
  expect((await rowsOf(table)).map(({ coupon }) => coupon)).toEqual(["X", null, null]);
});

test("rows are widened once, and the store finds what they have by itself", async () => {
  const table = await newTable();
  await ingest(table, [row("u", 1)]);
  await runInDurableObject(objectOf(table), (_, { storage }) => {
    const { columns } = new RawTableStore(storage);
    const schema = {
      columns: [...columns.all(), ["coupon", "string"]],
      timestampColumn: null,
    } satisfies RawSchema;
    expect(columns.widened(schema).columns).toEqual(schema.columns);
    expect(columns.widened({ ...schema, columns: [] }).columns.map(([name]) => name)).toEqual([
      "user_id",
      "amount",
      "at",
      "coupon",
    ]);
  });
});
