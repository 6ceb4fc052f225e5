/** Tenants' SQL in the SQLite of a real object: hostile SQL is refused at once and changes nothing, all else works. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { checkSql, describeSqlFault, hasRun, type SqlFault } from "../../../worker/compute/sql/gate.ts";
import { measureGroups, measureTexts } from "../../../worker/compute/sql/measure.ts";
import { checkAgainstSchema, type RunOptions, runSql } from "../../../worker/compute/sql/run.ts";
import { MAX_SQL_KEPT_BYTES, MAX_SQL_MEASURED_ROWS } from "../../../worker/limits.ts";
import { cross, HOSTILE } from "./gate-hostile.ts";
import { KEEPING } from "./keeping.ts";
import { REALISTIC, REALISTIC_ROWS, REALISTIC_TABLE } from "./realistic.ts";

/** Any object with SQLite will do. No other test uses this name. */
const OBJECT = "sql-gate.test";
/** Between the table being there and the refusal. */
const DECIDED_MS = 500;
const ROWS = 2_000;

const storage = <T>(body: (storage: DurableObjectStorage) => T): Promise<T> =>
  runInDurableObject(env.ENTITY_WRITER.getByName(OBJECT), (_, state) => body(state.storage));

function execute(storage: DurableObjectStorage, ...statements: string[]): void {
  for (const statement of statements) storage.sql.exec(statement).toArray();
}

const CREATE = `CREATE TABLE data ("user_id" TEXT, "k" INTEGER, "v" REAL, "name" TEXT, "ts" TEXT, "update" INTEGER,
  "full name" TEXT)`;
const NUMBERS = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${ROWS}) SELECT i FROM n`;

/** Every row of the same user: joins find as much as they can. */
const many = (storage: DurableObjectStorage) =>
  execute(
    storage,
    CREATE,
    `INSERT INTO data SELECT 'same', i % 7, i * 1.5, replace(hex(zeroblob(50)), '0', 'a'), '2026-01-01', i, 'a b'
     FROM (${NUMBERS})`,
  );

/** u1: 1 and 3, u2: 5. */
const few = (storage: DurableObjectStorage) =>
  execute(
    storage,
    CREATE,
    `INSERT INTO data VALUES ('u1', 1, 1.5, 'abc', '2026-01-01T10:00:00+00:00', 7, 'A B'),
      ('u1', 3, 2.5, 'aXc', '2026-01-02T10:00:00+00:00', 8, 'A B'),
      ('u2', 5, 4.0, '{"p":[1,2]}', '2026-02-01T10:00:00+00:00', 9, NULL)`,
  );

const STATISTICS = { rows: ROWS, longestText: 100 };
const run = (
  sql: string,
  make: (storage: DurableObjectStorage) => void,
  options: Omit<RunOptions, "prepare"> = {},
) => storage((it) => runSql(it, sql, STATISTICS, { ...options, prepare: () => make(it) }));

describe("hostile SQL is refused at once, and nothing has changed", () => {
  test.each(HOSTILE)("%s: %s", async (reason, sql) => {
    const [result, ms, after] = await storage((it) => {
      execute(
        it,
        "CREATE TABLE IF NOT EXISTS fs_kept (x)",
        "CREATE TABLE IF NOT EXISTS kept (x)",
        "INSERT INTO fs_kept SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM fs_kept)",
      );
      let begun = 0;
      const result = runSql(it, sql, STATISTICS, {
        prepare: () => {
          many(it);
          begun = Date.now();
        },
      });
      const ms = begun === 0 ? 0 : Date.now() - begun;
      const tables = it.sql.exec("SELECT name FROM sqlite_schema WHERE name = 'data'").toArray();
      return [result, ms, { kept: it.sql.exec("SELECT x FROM fs_kept").toArray(), tables }];
    });
    expect(result.ok ? "ran" : `${result.fault.reason}`, JSON.stringify(result).slice(0, 300)).toBe(reason);
    expect(ms).toBeLessThan(DECIDED_MS);
    expect(after).toEqual({ kept: [{ x: 1 }], tables: [] });
    if (!result.ok) expect(describeSqlFault(result.fault)).not.toMatch(/fs_kept .*column|SQLITE_|at offset/);
  });
});

describe("benign SQL that looks hostile works", () => {
  test.each<[string, unknown[][]]>([
    ['select "update" from data order by "update"', [[7], [8], [9]]],
    ["select `update` as [drop] from data where [k] = 5", [[9]]],
    ["select 'a; drop table data; --' as s, count(*) as n from data", [["a; drop table data; --", 3]]],
    ["select /* drop table data */ count(*) as n -- delete\nfrom data;", [[3]]],
    ["select replace(name, 'X', 'b') as r from data where k < 4", [["abc"], ["abc"]]],
    [
      "select user_id, row_number() over (partition by user_id order by k desc) as r from data order by 1, 2",
      [
        ["u1", 1],
        ["u1", 2],
        ["u2", 1],
      ],
    ],
    [
      "select user_id, k from (select *, row_number() over (partition by user_id order by ts desc) as rn from data) where rn = 1 order by 1",
      [
        ["u1", 3],
        ["u2", 5],
      ],
    ],
    [
      "select k, sum(v) over w as s from data window w as (order by k rows between 1 preceding and current row)",
      [
        [1, 1.5],
        [3, 4],
        [5, 6.5],
      ],
    ],
    [
      "with t as (select user_id, sum(k) as s from data group by user_id), n(user_id, c) as materialized (select user_id, count(*) from data group by 1) select t.user_id, s, c from t left join n using (user_id) order by 1",
      [
        ["u1", 4, 2],
        ["u2", 5, 1],
      ],
    ],
    ["with m as (select avg(k) as m from data) select k from data, m where k > m", [[5]]],
    ["select a.k as x, b.k as y from data a join data b on a.user_id = b.user_id and a.k < b.k", [[1, 3]]],
    [
      "select k, case when k > 2 then 'high' else 'low' end as c from data order by k limit 2",
      [
        [1, "low"],
        [3, "high"],
      ],
    ],
    ["select round(max(avg_v), 1) as m from (select avg(v) as avg_v from data group by user_id)", [[4]]],
    ['select distinct "full name" as "the name" from data where "full name" is not null', [["A B"]]],
    ["select k from data where k < 2 union all select k from data where k > 4 order by k", [[1], [5]]],
    [
      "select strftime('%Y-%m', ts) as month, count(*) as n from data group by month order by month",
      [
        ["2026-01", 2],
        ["2026-02", 1],
      ],
    ],
    ["select cast(julianday('2026-03-01') - julianday(max(ts)) as integer) as age from data", [[27]]],
    [
      "select json_extract(name, '$.p[1]') as a, name ->> '$.p[0]' as b from data where json_valid(name)",
      [[2, 1]],
    ],
    ["select count(*) as n from data where name like 'a%' and name not glob '*X*'", [[1]]],
    ["select user_id, count(*) as n from data group by user_id having count(*) > 1", [["u1", 2]]],
    ["select k from data order by k limit 1 offset 1", [[3]]],
    [
      "select user_id, (select max(k) from data b where b.user_id = a.user_id) as m from data a group by user_id",
      [
        ["u1", 3],
        ["u2", 5],
      ],
    ],
    ["select k from data where k in (select max(k) from data) or exists (select 1 where k = 1)", [[1], [5]]],
    [
      "select user_id, group_concat(k, ';') as ks from (select * from data order by k) group by user_id",
      [
        ["u1", "1;3"],
        ["u2", "5"],
      ],
    ],
    ["select count(*) filter (where k > 1) as n, json_group_array(k) as ks from data", [[2, "[1,3,5]"]]],
    ['select k from data where "full name" is not distinct from null', [[5]]],
    [
      "select cast('12.50' as decimal(10, 2)) as d, k between 1 and 2 as b from data where k = 1",
      [[12.5, 1]],
    ],
    ["select x, y from (values (1, 'a'), (2, 'b')) as t, (select 1 as y) where column1 = 2 or x", []],
    [
      "select lag(k, 1, 0) over (order by k) as p, ntile(2) over (order by k) as t from data",
      [
        [0, 1],
        [1, 1],
        [3, 2],
      ],
    ],
    [
      "select total(v) / nullif(count(*), 0) as m, coalesce(max(name), '') as n from data where 0",
      [[null, ""]],
    ],
  ])("%s", async (sql, rows) => {
    const result = await run(sql, few);
    if (sql.includes("column1 = 2 or x"))
      return expect(result).toMatchObject({ ok: false, fault: { reason: "engine" } });
    expect(result).toMatchObject({ ok: true, rows });
  });

  test("a long text beside many columns that are named once each", async () => {
    const names = Array.from({ length: 60 }, (_, i) => `c${i}`);
    const long = `replace('${"a".repeat(2_000)}', 'a', '${"b".repeat(2_000)}') as s`;
    const columns = names.map((name) => `max(k) as ${name}`);
    const result = await run(
      `with b as (select ${long}, ${columns} from data) select s, ${names} from (select * from b)`,
      few,
    );
    expect(result.ok ? result.columns.length : describeSqlFault(result.fault)).toBe(61);
  });

  test("over many rows too", async () => {
    const result = await run("select user_id, count(*) as n, avg(v) as a from data group by user_id", many);
    expect(result).toMatchObject({
      ok: true,
      columns: ["user_id", "n", "a"],
      rows: [["same", ROWS, 1500.75]],
    });
  });
});

describe("features as they are really made work", () => {
  test.each(REALISTIC)("$name", async ({ sql, rows }) => {
    const result = await run(sql, (it) => execute(it, REALISTIC_TABLE, REALISTIC_ROWS));
    expect(result.ok ? result.rows : describeSqlFault(result.fault)).toEqual(rows);
  });

  test.each(REALISTIC.filter(({ small }) => !small))("of 3,000 rows too: $name", async ({ sql }) => {
    const rows = `INSERT INTO data SELECT 'u' || (i % 50), '2026-01-' || substr('0' || (1 + i % 28), -2) || 'T10:00:00Z',
      i % 100, 'view', i % 72 FROM (${NUMBERS})`;
    const result = await run(sql, (it) =>
      execute(it, REALISTIC_TABLE, rows, "INSERT INTO data SELECT * FROM data LIMIT 1000"),
    );
    expect(result.ok ? result.rows.length : describeSqlFault(result.fault)).toBeGreaterThan(0);
  });
});

/** 10,000 rows with 2,000 characters of text in each: 20 MB. */
const LONG_TEXTS = [
  "CREATE TABLE long_texts (customer TEXT, ts TEXT, amount REAL, text TEXT)",
  `INSERT INTO long_texts SELECT 'c' || (i % 500), date(i * 8.64e4, 'unixepoch'), i * 1.37,
     replace(hex(zeroblob(996)), '0', 'a') || printf('%08d', i)
   FROM (${NUMBERS.replace(String(ROWS), "10000")})`,
];

describe("over rows with long texts", () => {
  test("what keeps little of them runs, and what would keep too much does not", async () => {
    const outcomes = await storage((it) => {
      execute(it, ...LONG_TEXTS);
      const prepare = () => execute(it, "ALTER TABLE long_texts RENAME TO data");
      return KEEPING.map(([, sql]) => {
        const result = runSql(it, sql, { rows: 10_000, longestText: 2_000 }, { prepare });
        return [result.ok ? "runs" : result.fault.reason, sql];
      });
    });
    expect(outcomes).toEqual(KEEPING);
  });
});

describe("a name in double quotes", () => {
  test.each<[string, unknown[]]>([
    ['select "k" from "data" order by "k" limit 1', [1]],
    ['select "K" from DATA order by "k" limit 1', [1]],
    ['select "data"."k" from data where "data"."k" = 5', [5]],
    ['select d."k" from data as "d" where "d".k = 5', [5]],
    ['select "full name" from data where "full name" is not null limit 1', ["A B"]],
    ['select sum("k") as "x" from data order by "x"', [9]],
    ['select sum(k) as "a ""b""" from data order by "a ""b"""', [9]],
    ['select "a `b" from (select sum(k) as "a `b" from data)', [9]],
    ['select "a b" from (select sum(k) as [a b] from data)', [9]],
    ['select `a b` from (select sum(k) as "a b" from data)', [9]],
    ['select "s"."x" from (select sum(k) as x from data) as "s"', [9]],
    ['with "t"("x") as (select sum("k") from data) select "x" from "t"', [9]],
    ['select "user_id" as "u", sum("k") from data group by "u" having "u" = \'u2\'', ["u2", 5]],
    ['select "x" from (select k as "x" from data union select 7 order by "x" desc limit 1)', [7]],
    ['select (select max(b."k") from data b where b."user_id" = a."user_id") as m from data a limit 1', [3]],
    ['select "rowid" as r from data limit 1', [1]],
    ['select "sum"("k") as s from data', [9]],
    [`select max('"nosuch"') as s from data -- "nosuch"`, ['"nosuch"']],
    ['select sum("k") over "w" as s from data window "w" as (order by "k") limit 1', [1]],
  ])("that is one goes on working: %s", async (sql, first) => {
    const result = await run(sql, few);
    expect(result.ok ? result.rows[0] : describeSqlFault(result.fault)).toEqual(first);
  });

  test.each([
    ['select user_id, "amuont" as amt from data', "amuont"],
    ['select k from data where name = "aXc"', "aXc"],
    ['select sum(v) as s from data group by "usr_id"', "usr_id"],
    ['select k from data order by "amuont"', "amuont"],
    ['select strftime("%Y", ts) as y from data', "%Y"],
    ['select "a ""b" as x from data', 'a "b'],
    ['select "a`b" as x from data', "a`b"],
    ['select x from (select "amuont" as x from data)', "amuont"],
    ['with t as (select k from data) select "v" from t', "v"],
    ['select (select max("amuont") from data b) as m from data a', "amuont"],
    ['select k from data a join data b using (k) where "amuont" = 1 and a.k = b.k', "amuont"],
    ['select "true" as t from data', "true"],
  ])("that is none is no text either: %s", async (sql, name) => {
    const result = await run(sql, few);
    const said = result.ok ? "ran" : `${result.fault.reason}: ${describeSqlFault(result.fault)}`;
    expect(said).toBe(`engine: no such column: ${name}; text stands in single quotes`);
  });
});

describe("a result", () => {
  const limits = { rows: 2, columns: 2, bytes: 1_000 };
  test.each<[string, SqlFault["reason"]]>([
    ["select k from data", "too-many-rows"],
    ["select k, v, name from data limit 1", "too-many-columns"],
    [`select replace(name, 'a', '${"b".repeat(600)}') as long from data limit 1`, "too-many-bytes"],
  ])("comes whole or not at all: %s", async (sql, reason) => {
    expect(await run(sql, few, { limits })).toMatchObject({ ok: false, fault: { reason } });
  });

  test.each([
    ["select sum(9223372036854775807) as s from data", true],
    ["select json_extract(name, '$.a') as a from data", true],
    ["select k from data", true],
    ["select x'00' as b from data", true],
    ["select k, v, name from data limit 1", false],
    ["select k, K from data", false],
    ["select nosuch from data", false],
    ['select "nosuch" from data', false],
    [`with ${cross(6)} select count(*) as n from c6`, false],
  ])("that is not there says whether rows were read for it: %s", async (sql, expected) => {
    const result = await run(sql, few, { limits });
    expect(result.ok ? "ran" : hasRun(result.fault)).toBe(expected);
  });

  test("of which one row may be too large is refused before there is one", async () => {
    const long = `replace('${"a".repeat(1_000)}', 'a', '${"b".repeat(1_000)}') as s`;
    const b = `with b as materialized (select k, ${long} from data)`;
    const copies = (count: number) => Array.from({ length: count }, (_, i) => `s as c${i}`);
    const faultOf = async (sql: string) => {
      const result = await run(sql, few);
      return result.ok ? "ran" : result.fault.reason;
    };
    expect(await faultOf(`${b} select k, ${copies(70)} from b`)).toBe("row-too-large");
    const within = `(select k, ${copies(70)} from b)`;
    expect(await faultOf(`${b} select length(c0) as n from ${within}`)).toBe("row-too-large");
    expect(await faultOf(`${b} select k, ${copies(9)} from b`)).toBe("too-many-bytes");
  });

  test("at its limits comes whole", async () => {
    expect(await run("select k, v from data limit 2", few, { limits })).toMatchObject({
      ok: true,
      rows: [
        [1, 1.5],
        [3, 2.5],
      ],
    });
  });

  test("an error of `prepare` is thrown as it is", async () => {
    const failing = storage((it) =>
      runSql(it, "select 1 as one", STATISTICS, {
        prepare: () => {
          throw new Error("not the caller's");
        },
      }),
    );
    await expect(failing).rejects.toThrow("not the caller's");
  });
});

describe("before a query", () => {
  async function measuring<T>(measure: (sql: SqlStorage) => T): Promise<T | undefined> {
    let found: T | undefined;
    const rollback = new Error("as runSql does");
    const measured = storage((it) =>
      it.transactionSync(() => {
        many(it);
        found = measure(it.sql);
        throw rollback;
      }),
    );
    await expect(measured).rejects.toThrow(rollback.message);
    return found;
  }

  test("the columns are measured that a natural join compares, which no word names", async () => {
    const query = checkSql("select count(*) as n from data a natural join data b");
    if (!query.ok) throw new Error(describeSqlFault(query.fault));
    const measured = await measuring((sql) => measureTexts(sql, query, STATISTICS));
    expect(measured?.longestText).toBe(100);
  });

  test("of many rows only the columns of text are taken to be as long as the longest text", async () => {
    const query = checkSql("select user_id, k from data where v > 1");
    if (!query.ok) throw new Error(describeSqlFault(query.fault));
    const measured = await measuring((sql) => {
      const more = NUMBERS.replace(String(ROWS), String(MAX_SQL_MEASURED_ROWS));
      sql.exec(`INSERT INTO data (k) ${more}`).toArray();
      return measureTexts(sql, query, STATISTICS);
    });
    const rows = ROWS + MAX_SQL_MEASURED_ROWS;
    expect(measured).toMatchObject({ rows, columnsRead: 3, longestText: STATISTICS.longestText });
    expect([...(measured?.columns ?? [])]).toEqual([
      ["user_id", { longest: 100, total: 100 * rows }],
      ["k", { longest: 0, total: 0 }],
      ["v", { longest: 0, total: 0 }],
    ]);
  });

  test("each column is measured that is named, in all rows", async () => {
    const query = checkSql("select user_id, k from data order by name");
    if (!query.ok) throw new Error(describeSqlFault(query.fault));
    const measured = await measuring((sql) => measureTexts(sql, query, STATISTICS));
    expect([...(measured?.columns ?? [])]).toEqual([
      ["user_id", { longest: 4, total: 4 * ROWS }],
      ["k", { longest: 0, total: 0 }],
      ["name", { longest: 100, total: 100 * ROWS }],
    ]);
  });

  test("rows of one value are counted, but not among more text than a query may keep", async () => {
    const plan = [{ id: 1, parent: 0, detail: "SEARCH b USING AUTOMATIC COVERING INDEX (user_id=?)" }];
    const groups = (textCharacters: number) =>
      measuring((sql) => measureGroups(sql, plan, { ...STATISTICS, textCharacters }));
    expect(await groups(MAX_SQL_KEPT_BYTES)).toEqual(new Map([["user_id", ROWS]]));
    expect(await groups(MAX_SQL_KEPT_BYTES + 1)).toEqual(new Map());
  });
});

describe("at creation", () => {
  const check = (sql: string) =>
    storage((it) =>
      checkAgainstSchema(it, sql, [
        ["user_id", "string"],
        ["full name", "float"],
      ]),
    );

  test("the columns of the result are told in order", async () => {
    const sql = 'select max("full name") as m, user_id, count(*) from data group by user_id';
    expect(await check(sql)).toEqual({ ok: true, columns: ["m", "user_id", "count(*)"] });
  });

  test.each([
    ["select nosuch from data", "no such column: nosuch"],
    ["select k.user_id from data", "no such column: k.user_id"],
    ["select from data", /not understood|syntax/],
    ['select user_id, "amuont" as amt from data', "no such column: amuont"],
    ["select sum(user_id, 1) from data", "wrong number of arguments to function sum()"],
    ["select x from (select 1 as y) as fs", "no such column: x"],
  ])("SQL that does not prepare is refused in the engine's words: %s", async (sql, words) => {
    const result = await check(sql);
    expect(result.ok ? "" : describeSqlFault(result.fault)).toMatch(words);
  });

  test("what costs too much without any data is refused", async () => {
    const result = await check(`with ${cross(6)} select count(*) as n from c6`);
    expect(result).toMatchObject({ ok: false, fault: { reason: "too-costly" } });
  });

  test("leaves nothing behind", async () => {
    await check("select user_id from data");
    const tables = await storage((it) =>
      it.sql.exec("SELECT 1 FROM sqlite_schema WHERE name = 'data'").toArray(),
    );
    expect(tables).toEqual([]);
  });
});
