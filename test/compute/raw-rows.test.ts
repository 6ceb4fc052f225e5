/** Looking at the rows of a raw table, and erasing those of somebody. */
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ChosenRowsStore } from "../../worker/compute/chosen-rows-store.ts";
import {
  MAX_OWN_FAULT_TRIES,
  MAX_ROWS_PAGE_BYTES,
  PURGE_BLOCK_ROWS,
  PURGE_BLOCKS_PER_STEP,
} from "../../worker/limits.ts";
import { ask, expectProblem, faultPlaces, get, post } from "../setup/http.ts";
import { arrived, askWith, consume, withoutQueue } from "./racing.ts";
import {
  COLUMNS,
  caughtUp,
  compute,
  eventTime,
  freshName,
  ingest,
  inside,
  newFeature,
  newTable,
  objectOf,
  row,
  streaming,
  type Table,
  vector,
  vectorOf,
} from "./tables.ts";

afterEach(() => vi.restoreAllMocks());

interface Rows {
  rows: Record<string, unknown>[];
  next_cursor: string | null;
}
interface Erased {
  id: number;
  column: string;
  value: unknown;
  rows_removed: number;
  row_count: number;
}

const asQuery = (query: Record<string, string | number>) =>
  new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString();
const rowsOf = (table: Pick<Table, "id">, query: Record<string, string | number> = {}) =>
  get<Rows>(`/raw-tables/${table.id}/rows?${asQuery(query)}`);
const erase = (table: Pick<Table, "id">, column: string, value: string | number) =>
  ask<Erased>("DELETE", `/raw-tables/${table.id}/rows?${asQuery({ column, value })}`);
const countOf = async (table: Table) => (await get<Table>(`/raw-tables/${table.id}`)).body.row_count;
const amounts = async (table: Table) =>
  (await rowsOf(table, { limit: 1000 })).body.rows.map((one) => one.amount);

/** More than one step of a walk looks at. */
const TWO_STEPS = PURGE_BLOCK_ROWS * PURGE_BLOCKS_PER_STEP + PURGE_BLOCK_ROWS;

/** A table with so many rows, every seventh of which is of `u0`. */
async function longTable(count = TWO_STEPS, options?: Record<string, unknown>): Promise<Table> {
  const table = await newTable(COLUMNS, { timestamp_column: "at", ...options });
  for (let from = 0; from < count; from += 5_000) {
    const size = Math.min(5_000, count - from);
    const data = Array.from({ length: size }, (_, i) => row(`u${(from + i) % 7}`, from + i, 1));
    expect((await ingest(table, data)).status).toBe(200);
  }
  return table;
}

describe("rows", () => {
  test("are answered in the order in which they arrived, with their values as they were ingested", async () => {
    const columns =
      '{"s":"string","f":"float","i":"integer","b":"boolean","t":"timestamp","j":"json","__proto__":"string"}';
    const headers = { "content-type": "application/json" };
    const made = await post<Table>(
      "/raw-tables",
      `{"name":"${freshName("raw")}","schema_definition":${columns}}`,
      headers,
    );
    const rows = [
      `{"s":"it's ☃ 100% \\"quoted\\"","f":0.1,"i":-9223372036854775808,"b":true,"t":"2026-01-01T00:00:00.000000+00:00","j":{"a":[1,9007199254740993,{"b":null}]},"__proto__":"p"}`,
      `{"s":null,"f":null,"i":null,"b":null,"t":null,"j":null,"__proto__":null}`,
      `{"s":"","f":-3,"i":9007199254740993,"b":false,"t":null,"j":"text","__proto__":"\\u0000"}`,
    ];
    const kept = await post(
      "/ingest",
      `{"raw_table_id":${made.body.id},"data":[${rows.join(",")}]}`,
      headers,
    );
    expect(kept.status, kept.text).toBe(200);
    const { status, text } = await rowsOf(made.body);
    expect([status, text]).toEqual([200, `{"rows":[${rows.join(",")}],"next_cursor":null}`]);
  });

  test("come in pages, which go on behind what was removed and before what has come", async () => {
    const table = await newTable();
    await ingest(
      table,
      Array.from({ length: 7 }, (_, i) => row(i === 3 ? "gone" : "u", i)),
    );
    const first = (await rowsOf(table, { limit: 3 })).body;
    expect(first.rows.map(({ amount }) => amount)).toEqual([0, 1, 2]);
    expect((await erase(table, "user_id", "gone")).body.rows_removed).toBe(1);
    await ingest(table, [row("u", 7)]);
    const second = (await rowsOf(table, { limit: 3, cursor: first.next_cursor ?? "" })).body;
    expect(second.rows.map(({ amount }) => amount)).toEqual([4, 5, 6]);
    const third = (await rowsOf(table, { limit: 1, cursor: second.next_cursor ?? "" })).body;
    expect([third.rows.map(({ amount }) => amount), third.next_cursor]).toEqual([[7], null]);
  });

  test("of a value are found wherever they are, and the last page is known to be it", async () => {
    const table = await longTable();
    const wanted = Array.from({ length: Math.ceil(TWO_STEPS / 7) }, (_, i) => i * 7);
    const found: unknown[] = [];
    let pages = 0;
    for (let cursor: string | null = ""; cursor !== null; pages++) {
      const query = { column: "user_id", value: "u0", limit: 800, ...(cursor !== "" && { cursor }) };
      const { body }: { body: Rows } = await rowsOf(table, query);
      found.push(...body.rows.map(({ amount }) => amount));
      cursor = body.next_cursor;
    }
    expect([found, pages]).toEqual([wanted, 2]);
    const last = await rowsOf(table, { column: "amount", value: TWO_STEPS - 1, limit: 1 });
    expect([last.body.rows.length, last.body.next_cursor]).toEqual([1, null]);
    expect((await rowsOf(table, { column: "user_id", value: "nobody" })).body).toEqual({
      rows: [],
      next_cursor: null,
    });
  });

  test("are so many as their texts have room in an answer, and one however long it is", async () => {
    const table = await newTable({ a: "string", b: "string", c: "string", d: "string" }, {});
    const long = Object.fromEntries(["a", "b", "c", "d"].map((name) => [name, "é".repeat(60_000)]));
    const count = 2 + Math.ceil(MAX_ROWS_PAGE_BYTES / 480_000);
    for (let i = 0; i < count; i++) expect((await ingest(table, [long])).status).toBe(200);
    const first = (await rowsOf(table)).body;
    expect(first.rows.length).toBe(Math.floor(MAX_ROWS_PAGE_BYTES / 480_000));
    const second = (await rowsOf(table, { cursor: first.next_cursor ?? "" })).body;
    expect([first.rows.length + second.rows.length, second.next_cursor]).toEqual([count, null]);
  });

  test("of a table without any are an empty page", async () => {
    expect((await rowsOf(await newTable())).body).toEqual({ rows: [], next_cursor: null });
  });

  test.each([
    ["a column without a value", { column: "user_id" }, ["query.value"]],
    ["a value without a column", { value: "u" }, ["query.column"]],
    ["a page too large", { limit: 1001 }, ["query.limit"]],
    ["a cursor that no page has answered", { cursor: "x" }, ["query.cursor"]],
  ])("are 422 for %s", async (_, query, places) => {
    const answer = await rowsOf(await newTable(), query as Record<string, string>);
    expect(faultPlaces(expectProblem(answer, 422))).toEqual(places);
  });
});

describe("erasing", () => {
  test("removes the rows of exactly that value, and says how many", async () => {
    const table = await newTable();
    await ingest(table, [
      row("card-7", 1),
      row("card-70", 2),
      row("CARD-7", 3),
      row(null, 4),
      row("card-7", 5),
    ]);
    const erased = await erase(table, "user_id", "card-7");
    expect(erased.body).toEqual({
      id: table.id,
      column: "user_id",
      value: "card-7",
      rows_removed: 2,
      row_count: 3,
    });
    expect(await amounts(table)).toEqual([2, 3, 4]);
    const again = await erase(table, "user_id", "card-7");
    expect([again.status, again.body.rows_removed, again.body.row_count]).toEqual([200, 0, 3]);
    expect((await erase(await newTable(), "user_id", "u")).body).toMatchObject({
      rows_removed: 0,
      row_count: 0,
    });
  });

  test.each([
    "it's",
    '"quoted"',
    "100%",
    "%",
    "a_b",
    "☃ ü 😀",
    "a+b&c=d #?",
    "",
    " ",
    "\u0000x",
    "'; DROP TABLE fs_rows --",
    "1",
  ])("knows the value %j from its neighbours", async (value) => {
    const table = await newTable();
    const others = [`${value}.`, `.${value}`, "axb", "1.0", "01"];
    await ingest(
      table,
      [...others, value].map((user, i) => row(user, i)),
    );
    expect((await rowsOf(table, { column: "user_id", value })).body.rows).toMatchObject([
      { user_id: value, amount: 5 },
    ]);
    expect((await erase(table, "user_id", value)).body).toMatchObject({ value, rows_removed: 1 });
    expect(await amounts(table)).toEqual([0, 1, 2, 3, 4]);
  });

  test.each([
    ["9007199254740993", "9007199254740993"],
    ["-9223372036854775808", "-9223372036854775808"],
    ["9223372036854775807", "9223372036854775807"],
    ["007", "7"],
    ["-0", "0"],
  ])("takes the integer %s to its last digit", async (asked, exact) => {
    const table = await newTable();
    const others = [
      "9007199254740992",
      "9007199254740994",
      "-9223372036854775807",
      "9223372036854775806",
      "70",
      "1",
    ];
    const data = [...others, exact].map((amount) => `{"user_id":"u","amount":${amount},"at":null}`).join(",");
    const headers = { "content-type": "application/json" };
    expect((await post("/ingest", `{"raw_table_id":${table.id},"data":[${data}]}`, headers)).status).toBe(
      200,
    );
    expect((await rowsOf(table, { column: "amount", value: asked })).text).toContain(`"amount":${exact},`);
    const erased = await erase(table, "amount", asked);
    expect(erased.text).toContain(`"value":${exact},"rows_removed":1,"row_count":6`);
    expect((await rowsOf(table, { column: "amount", value: asked })).body.rows).toEqual([]);
  });

  test.each([
    ["amount", "9223372036854775808", "query.value", "64 bits"],
    ["amount", "1.0", "query.value", "digits"],
    ["amount", "u", "query.value", "digits"],
    ["amount", "", "query.value", "digits"],
    ["at", "2026-01-01T00:00:00.000000+00:00", "query.column", "user_id, amount"],
    ["nosuch", "u", "query.column", "user_id, amount, at"],
    ["USER_ID", "u", "query.column", "user_id, amount, at"],
  ])("by %s = %j is 422, which says what may be asked", async (column, value, place, words) => {
    const table = await newTable();
    await ingest(table, [row("u", 1, 0)]);
    for (const answer of [await erase(table, column, value), await rowsOf(table, { column, value })]) {
      const problem = expectProblem(answer, 422);
      expect(faultPlaces(problem)).toEqual([place]);
      expect(problem.detail).toContain(words);
    }
    expect(await countOf(table)).toBe(1);
  });

  test("of a float, a boolean or JSON is 422", async () => {
    const table = await newTable({ f: "float", b: "boolean", j: "json" }, {});
    for (const column of ["f", "b", "j"])
      expect(expectProblem(await erase(table, column, "1"), 422).detail).toContain("string or integer");
  });

  test("without a column or a value is 422, and removes nothing", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    for (const [query, place] of [
      ["", "query.column"],
      ["?column=user_id", "query.value"],
      ["?value=u", "query.column"],
    ]) {
      const answer = await ask("DELETE", `/raw-tables/${table.id}/rows${query}`);
      expect(faultPlaces(expectProblem(answer, 422))).toContain(place);
    }
    const twice = await ask("DELETE", `/raw-tables/${table.id}/rows?column=user_id&value=u&value=v`);
    expect(faultPlaces(expectProblem(twice, 422))).toEqual(["query.value"]);
    expect(await countOf(table)).toBe(1);
  });

  test("in a table that there is not is 404; by its name it is found", async () => {
    expectProblem(await erase({ id: 999999 }, "user_id", "u"), 404);
    expectProblem(await rowsOf({ id: 999999 }), 404);
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    const erased = await ask<Erased>("DELETE", `/raw-tables/${table.name}/rows?column=user_id&value=u`);
    expect(erased.body).toMatchObject({ id: table.id, rows_removed: 1 });
  });

  test("of a table that takes many steps removes all, in every one of them", async () => {
    const table = await longTable();
    const steps = vi.spyOn(ChosenRowsStore.prototype, "erase");
    const { body } = await erase(table, "user_id", "u0");
    expect(body).toMatchObject({
      rows_removed: Math.ceil(TWO_STEPS / 7),
      row_count: TWO_STEPS - Math.ceil(TWO_STEPS / 7),
    });
    expect(steps.mock.results.map(({ value }) => value.removed > 0)).toEqual([true, true]);
    expect(await inside(table, "SELECT count(*) AS n FROM fs_rows WHERE user_id = 'u0'")).toEqual([{ n: 0 }]);
    const [{ n } = { n: 0 }] = await inside(table, "SELECT count(*) AS n FROM fs_rows");
    expect(n).toBe(body.row_count);
  });

  test("that dies between two steps goes on with the same request", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const table = await longTable();
    const real = ChosenRowsStore.prototype.erase;
    let steps = 0;
    vi.spyOn(ChosenRowsStore.prototype, "erase").mockImplementation(function (
      this: ChosenRowsStore,
      ...asked
    ) {
      if (++steps === 2) throw new Error("the process died");
      return real.apply(this, asked);
    });
    expect((await erase(table, "user_id", "u0")).status).toBeGreaterThanOrEqual(500);
    vi.restoreAllMocks();
    await evictDurableObject(objectOf(table));
    const [{ n } = { n: 0 }] = await inside(table, "SELECT count(*) AS n FROM fs_rows WHERE user_id = 'u0'");
    expect(Number(n)).toBeGreaterThan(0);
    const [{ there } = { there: 0 }] = await inside(table, "SELECT count(*) AS there FROM fs_rows");
    expect(await countOf(table)).toBe(there);
    const again = await erase(table, "user_id", "u0");
    expect(again.body.rows_removed).toBe(n);
    expect(await inside(table, "SELECT count(*) AS n FROM fs_rows WHERE user_id = 'u0'")).toEqual([{ n: 0 }]);
  });
});

describe("what a table knows of its rows", () => {
  const recently = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();
  const aged = (user_id: string, amount: number, days: number) => ({ user_id, amount, at: recently(days) });

  test("stays right where it has a retention: the longest text, the oldest time, and the count", async () => {
    const table = await newTable(COLUMNS, { timestamp_column: "at", retention_days: 30 });
    await ingest(table, [aged("x".repeat(500), 1, 20), aged("u", 2, 10)]);
    await ingest(
      table,
      Array.from({ length: PURGE_BLOCK_ROWS }, (_, i) => aged("y".repeat(50), i, 5)),
    );
    await runDurableObjectAlarm(objectOf(table));
    await erase(table, "user_id", "x".repeat(500));
    expect(await inside(table, "SELECT rows, longest_text AS longest FROM fs_numbers")).toEqual([
      { rows: PURGE_BLOCK_ROWS + 1, longest: 50 },
    ]);
    const [{ oldest } = { oldest: "" }] = await inside(table, "SELECT min(oldest) AS oldest FROM fs_blocks");
    expect(Date.parse(String(oldest))).toBeGreaterThan(Date.now() - 11 * 86_400_000);
    await erase(table, "user_id", "y".repeat(50));
    expect(await inside(table, "SELECT block, longest FROM fs_blocks")).toEqual([{ block: 0, longest: 32 }]);
    expect(await inside(table, "SELECT rows, longest_text AS longest FROM fs_numbers")).toEqual([
      { rows: 1, longest: 32 },
    ]);
  });

  test("is nothing once all are gone, without a retention too", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1), row("u", 2)]);
    await erase(table, "user_id", "u");
    expect(await inside(table, "SELECT rows, longest_text AS longest FROM fs_numbers")).toEqual([
      { rows: 0, longest: 0 },
    ]);
  });

  test("makes a computation see what is left, by hand and as rows arrive", async () => {
    const table = await newTable({ card: "string", user_id: "string", amount: "integer" }, {});
    const [{ name }, followed] = [await newFeature(table), await streaming(table)];
    const [both, gone] = [freshName("e"), freshName("e")];
    const paid = (card: string, user_id: string, amount: number) => ({ card, user_id, amount });
    await ingest(table, [paid("card-7", both, 1), paid("card-8", both, 2), paid("card-7", gone, 4)]);
    await caughtUp(table);
    await compute(name);
    expect((await erase(table, "card", "card-7")).body.rows_removed).toBe(2);
    // What is written stays.
    expect(await vectorOf(both, followed.name)).toEqual({ total: 3, n: 2 });
    expect((await compute(name)).body.computed).toBe(1);
    expect(await vectorOf(both, name)).toEqual({ total: 2, n: 1 });
    await ingest(table, [paid("card-9", both, 8), paid("card-9", gone, 16)]);
    await caughtUp(table);
    expect(await vectorOf(both, followed.name)).toEqual({ total: 10, n: 2 });
    expect(await vectorOf(gone, followed.name)).toEqual({ total: 16, n: 1 });
  });

  test.each([
    ["string", "shop", "shop"],
    ["integer", 9007199254740993n, "9007199254740993"],
    ["float", 1, "1"],
  ] as const)(
    "lets a vector be replaced that an erased row has dated, its entity a %s",
    async (type, shop, entity) => {
      const table = await newTable(
        { card: "string", shop: type, amount: "integer", at: "timestamp" },
        { timestamp_column: "at" },
      );
      const sums = "SELECT shop, sum(amount) AS total FROM data GROUP BY shop";
      const of = { computation_logic: sums, entity_key: "shop" };
      const { name } = await newFeature(table, of);
      // No float is followed.
      const followed = type === "float" ? null : await streaming(table, of);
      const paid = (card: string, amount: number, second: number) =>
        `{"card":"${card}","shop":${typeof shop === "string" ? `"${shop}"` : shop},"amount":${amount},"at":"${eventTime(second)}"}`;
      const ingestTexts = (...rows: string[]) =>
        post("/ingest", `{"raw_table_id":${table.id},"data":[${rows.join(",")}]}`, {
          "content-type": "application/json",
        });
      expect(
        (await ingestTexts(paid("card-8", 1, 1), paid("card-7", 2, 9), paid("card-7", 4, 3))).status,
      ).toBe(200);
      await caughtUp(table);
      expect((await compute(name)).body.computed).toBe(1);
      expect((await erase(table, "card", "card-7")).body.rows_removed).toBe(2);
      expect((await compute(name)).body).toMatchObject({ computed: 1, skipped_count: 0 });
      expect((await vector(entity, name)).body).toMatchObject({
        vector: { total: 1 },
        event_timestamp: eventTime(9),
      });
      if (!followed) return;
      expect((await ingestTexts(paid("card-9", 8, 2))).status).toBe(200);
      await caughtUp(table);
      expect(await vectorOf(entity, followed.name)).toEqual({ total: 9 });
      // By its own key an entity goes with its name.
      await erase(table, "shop", entity);
      expect(await inside(table, "SELECT * FROM fs_erased_times")).toEqual([]);
    },
  );

  test("has a version tried again that has failed over them", async () => {
    const table = await newTable({ user_id: "string", amount: "integer" }, {});
    const { name } = await streaming(table, { computation_logic: "SELECT user_id, amount FROM data" });
    const entity = freshName("e");
    const data = [1, 2].map((amount) => ({ user_id: entity, amount }));
    await askWith(withoutQueue().own, "POST", "/ingest", { raw_table_id: table.id, data });
    await consume([arrived(table)], env, MAX_OWN_FAULT_TRIES);
    expect(await inside(table, "SELECT parked FROM fs_followers")).toEqual([{ parked: 1 }]);
    await erase(table, "amount", 1);
    await runDurableObjectAlarm(objectOf(table));
    await vi.waitUntil(async () => (await vectorOf(entity, name)) !== null, 60_000);
    expect(await vectorOf(entity, name)).toEqual({ amount: 2 });
  });
});
