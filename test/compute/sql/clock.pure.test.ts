/** Which SQL reads the clock. */
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readsClock } from "../../../worker/compute/sql/clock.ts";
import { checkSql, describeSqlFault } from "../../../worker/compute/sql/gate.ts";
import { type ColumnTypes, TIMES_OF } from "../../../worker/compute/sql/now-texts.ts";
import { SQL_FUNCTIONS } from "../../../worker/compute/sql/words.ts";
import { REALISTIC } from "./realistic.ts";

const COLUMNS: ColumnTypes = [
  ["card", "string"],
  ["Day", "string"],
  ["end", "string"],
  ["ts", "timestamp"],
  ["n", "integer"],
  ["x", "float"],
  ["doc", "json"],
];

function isClock(sql: string, columns = COLUMNS): boolean {
  const checked = checkSql(sql);
  if (!checked.ok) throw new Error(describeSqlFault(checked.fault));
  return readsClock(checked, columns);
}

describe("reads the clock", () => {
  test.each([
    "date()",
    "datetime('now')",
    "datetime('NOW', 'start of day')",
    "julianday('now') - julianday(max(ts))",
    "time('subsec')",
    "unixepoch('Subsecond')",
    "unixepoch( /* nothing */ )",
    "strftime('%s')",
    "strftime('%s', 'now')",
    "timediff('now', ts)",
    "timediff(ts, 'now')",
    "CURRENT_TIMESTAMP",
    "current_date || ''",
    "max(ts) < CURRENT_TIME",
    "sum(CASE WHEN julianday(ts) > julianday('now', '-7 days') THEN n END)",
    "count(*) FILTER (WHERE ts > datetime('now'))",
    "sum(n) OVER (PARTITION BY card ORDER BY julianday('now') - julianday(ts))",
    "(SELECT julianday('now'))",
    // It cannot be excluded.
    "date(day)",
    "julianday(coalesce(ts, day))",
    "date(lower(day))",
    "date('no' || 'w')",
    "date(substr('snow', 2))",
    "date(day || '')",
    "date(CASE WHEN n = 1 THEN 'x' || '1' ELSE day || day END)",
    "date(CASE WHEN n = 1 THEN ts ELSE 'now' END)",
    "date(iif(n, 'now', ts))",
    "date(doc ->> '$.day')",
    "date(doc ->> '$.a1' || day)",
    "date(json_extract(doc, '$.day'))",
    "date(strftime('now', ts))",
    "date(strftime(card, ts))",
    "date(typeof(day))",
    "date(substr(cast('9e999' AS REAL), 2, 1) || 'ow')",
    "date((SELECT day))",
    "date((SELECT max(x.day) FROM data x WHERE x.card = data.card))",
    "date(group_concat(ts))",
    "date(data.'day')",
    "date(rowid)",
    "date(CASE WHEN n = 1 THEN end END)",
    "date(CASE WHEN n = 1 THEN CASE n WHEN 2 THEN ts ELSE day END END)",
  ])("%s", (expression) => expect(isClock(`SELECT card, ${expression} AS v FROM data`)).toBe(true));

  test.each([
    "WITH p AS (SELECT julianday('now') AS now) SELECT card, now - julianday(ts) AS age FROM data, p",
    "SELECT card, ts FROM data WHERE ts > date('now', '-7 days')",
    "SELECT card, max(ts) AS t FROM data GROUP BY card HAVING max(ts) > date('now')",
    "SELECT card, ts FROM data ORDER BY abs(julianday(ts) - julianday('now'))",
    "SELECT a.card, a.n FROM data a JOIN data b ON a.card = b.card AND b.ts > date('now')",
    "SELECT card, row_number() OVER w AS r FROM data WINDOW w AS (PARTITION BY card ORDER BY date('now') > ts)",
    "SELECT card, date(d) AS d FROM (SELECT card, 'now' AS d FROM data)",
    "SELECT card, date(d) AS d FROM (SELECT card, ts AS d FROM data UNION ALL SELECT card, day FROM data)",
    "WITH a AS (SELECT card, max(day) AS d FROM data GROUP BY card), b AS (SELECT * FROM a) SELECT card, date(b.d) AS d FROM b",
    "WITH a(card, d) AS (SELECT card, ts FROM data) SELECT card, date(d) AS d FROM a",
    "SELECT card, date(d) AS v FROM data, (SELECT ('2026-01-01')) t, (SELECT 'now' AS d) u",
    "SELECT card, date(column1) AS d FROM data, (VALUES ('now'))",
    "SELECT card, n FROM data UNION ALL SELECT card, unixepoch('now') FROM data",
  ])("%s", (sql) => expect(isClock(sql)).toBe(true));
});

describe("reads no clock", () => {
  test.each([
    "date(ts)",
    "datetime(data.ts, '+1 day')",
    "strftime('%s', ts)",
    "julianday(max(ts)) - julianday(min(ts))",
    "julianday('2026-01-01')",
    "date(unixepoch(ts), 'unixepoch')",
    "date(n, 'unixepoch') || date(x)",
    "date(substr(ts, 1, 7) || '-01')",
    "date(day || ' 00:00')",
    "date(CASE WHEN card = 'now' AND day > 'now' THEN ts ELSE '2026-01-01' END)",
    "date(iif(card = 'now', ts, data.ts))",
    "date(CASE WHEN CASE day WHEN 'now' THEN day ELSE 'x' END = day THEN data.ts END)",
    "date(CAST(ts AS TEXT))",
    "julianday(lag(ts, 1, '2026-01-01') OVER (PARTITION BY day ORDER BY card))",
    "julianday(max(ts) FILTER (WHERE day = 'now'))",
    "timediff(max(ts), min(ts))",
    "date((SELECT max(x.ts) FROM data x WHERE x.card = data.card))",
    "date(datetime(ts), 'start of month')",
    "date(round(julianday(ts)))",
    "CASE day WHEN 'now' THEN 'subsec' END",
    "max(ts) AS current_date",
    "\"day\" || 'current_timestamp'",
  ])("%s", (expression) =>
    expect(
      isClock(`SELECT card, ${expression}${expression.includes(" AS cur") ? "" : " AS v"} FROM data`),
    ).toBe(false),
  );

  test.each([
    "WITH a AS (SELECT card, max(ts) AS last, min(ts), count(*) AS k FROM data GROUP BY card) SELECT a.card, julianday(last) AS v, date(a.last) AS w FROM a",
    "WITH a AS (SELECT *, date(ts) AS d FROM data), b AS (SELECT a.*, n FROM a) SELECT card, julianday(d) - julianday(b.ts) AS v FROM b",
    "SELECT card, date(d) AS d FROM (SELECT card, ts AS d FROM data UNION ALL SELECT card, '2026-01-01' FROM data)",
    "SELECT t.current_date, card, n FROM (SELECT *, ts AS current_date FROM data) t",
    "WITH unused AS (SELECT date('now') AS d) SELECT card, n FROM data",
  ])("%s", (sql) => expect(isClock(sql)).toBe(false));

  test.each(REALISTIC)("$name", ({ sql }) => {
    const types: ColumnTypes = [
      ["user_id", "string"],
      ["ts", "timestamp"],
      ["amount", "integer"],
      ["kind", "string"],
      ["hour", "integer"],
    ];
    expect(isClock(sql, types)).toBe(false);
  });
});

test("no function may be called but the date functions whose result its arguments do not tell", () => {
  const db = new DatabaseSync(":memory:");
  const DETERMINISTIC = 0x800;
  const functions = db.prepare("SELECT name, flags FROM pragma_function_list").all();
  const others = functions.filter(({ flags }) => (Number(flags) & DETERMINISTIC) === 0);
  const names = new Set(others.map(({ name }) => String(name)));
  expect(names).toContain("random");
  // Of aggregates and windows SQLite never says that they are.
  const windows = /^(?:.*rank|row_number|cume_dist|ntile|lag|lead|.*_value)$/;
  const pure = [...SQL_FUNCTIONS].flatMap(([name, { aggregate }]) =>
    aggregate || windows.test(name) || TIMES_OF.has(name) ? [] : [name],
  );
  expect(pure.length).toBeGreaterThan(60);
  expect(pure.filter((name) => names.has(name))).toEqual([]);
});

/** Texts that mean now, or may become such a text. */
const odd = fc.constantFrom(
  "'now'",
  "'NOW'",
  "'subsec'",
  "'no'",
  "'w'",
  "'snow'",
  "'2026-01-01'",
  "''",
  "'1'",
);
const { expression } = fc.letrec<{ expression: string; time: string }>((tie) => ({
  time: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    odd,
    fc.constantFrom("day", "ts", "n", "x", "d.day", "d.ts", "3", "9e999", "NULL"),
    fc.tuple(tie("time"), tie("time")).map(([a, b]) => `${a} || ${b}`),
    fc.tuple(tie("time"), tie("time")).map(([a, b]) => `coalesce(${a}, ${b})`),
    fc.tuple(tie("time"), fc.integer({ min: -3, max: 3 })).map(([a, b]) => `substr(${a}, ${b})`),
    fc
      .tuple(tie("time"), tie("time"), tie("time"))
      .map(([a, b, c]) => `CASE ${a} WHEN ${b} THEN ${c} ELSE ${b} END`),
    fc.tuple(tie("time"), tie("time"), tie("time")).map(([a, b, c]) => `replace(${a}, ${b}, ${c})`),
    fc.tuple(tie("time"), tie("time")).map(([a, b]) => `iif(${a}, ${b}, 'x')`),
    tie("time").map((a) => `lower(${a})`),
    tie("time").map((a) => `CAST(${a} AS REAL)`),
    tie("time").map((a) => `(${a})`),
    tie("time").map((a) => `${a} + 1`),
    tie("expression"),
  ),
  expression: fc
    .tuple(
      fc.constantFrom(
        "date(",
        "julianday(",
        "strftime('%d', ",
        "strftime('now', ",
        "timediff('2026-01-01', ",
      ),
      tie("time"),
    )
    .map(([call, time]) => `${call}${time})`),
}));

test("whatever is shown to read no clock does not: SQLite lets a column be made by it", () => {
  const seen = { clock: 0, reads: 0, none: 0 };
  const db = new DatabaseSync(":memory:");
  fc.assert(
    fc.property(expression, (one) => {
      const isRead = isClock(`SELECT card, ${one} AS v FROM data d`);
      let reads = false;
      try {
        db.exec(`DROP TABLE IF EXISTS data; CREATE TABLE data (day TEXT, ts TEXT, n INTEGER, x REAL,
          v AS (${one.replaceAll("d.", "")}))`);
        db.exec(`INSERT INTO data VALUES ('now', '2026-01-01T00:00:00.000000+00:00', 1, 9e999), ('no', NULL, 2, 0.5),
          ('sNOW', '2026-01-01T00:00:00.000000+00:00', NULL, NULL), ('2026-01-01', NULL, 0, -9e999)`);
        db.prepare("SELECT v FROM data").all();
      } catch (error) {
        expect(String(error)).toMatch(/non-deterministic use of \w+\(\) in a generated column/);
        reads = true;
      }
      if (isRead) seen.clock += 1;
      else seen.none += 1;
      if (reads) seen.reads += 1;
      if (!isRead) expect(reads, one).toBe(false);
    }),
    { numRuns: 3_000 },
  );
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(300);
});
