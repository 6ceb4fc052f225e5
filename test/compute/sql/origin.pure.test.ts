/** Of which SQL it is proven that its entity key is the column of that name. */
import { describe, expect, test } from "vitest";
import { checkSql, describeSqlFault } from "../../../worker/compute/sql/gate.ts";
import { isColumnOfData } from "../../../worker/compute/sql/origin.ts";
import { countLooks } from "./count-looks.ts";

const COLUMNS = ["user_id", "amt", "Seen", "other_id"];

function isProven(sql: string, key = "user_id"): boolean {
  const checked = checkSql(sql);
  if (!checked.ok) throw new Error(describeSqlFault(checked.fault));
  return isColumnOfData(checked.shape, key, COLUMNS);
}

describe("the entity key is the column itself", () => {
  test.each([
    "SELECT user_id, amt FROM data",
    "SELECT user_id, sum(amt) AS s FROM data GROUP BY user_id",
    "SELECT sum(amt) AS s, user_id FROM data WHERE amt > 0 GROUP BY 2 HAVING count(*) > 1 ORDER BY s LIMIT 9",
    "SELECT DISTINCT user_id, amt FROM data",
    "SELECT data.user_id, amt FROM data",
    "SELECT d.user_id, sum(amt) s FROM data d GROUP BY d.user_id",
    "SELECT d.user_id, sum(amt) s FROM data AS d GROUP BY user_id",
    "SELECT user_id AS user_id, amt FROM data",
    "SELECT user_id user_id, amt FROM data",
    "SELECT d.user_id user_id, amt FROM data d",
    'SELECT "user_id", amt FROM data',
    'SELECT "D"."USER_ID" AS "user_id", amt FROM data d',
    "SELECT d.user_id AS 'user_id', amt FROM data d",
    "SELECT [user_id], `amt` FROM [data]",
    "SELECT * FROM data",
    "SELECT data.*, 1 AS one FROM data",
    "SELECT *, amt * 2 AS twice FROM data GROUP BY user_id",
    "SELECT user_id, lower(other_id) AS l, count(*) AS n FROM data GROUP BY user_id, other_id",
    "SELECT user_id, s FROM (SELECT user_id, sum(amt) AS s FROM data GROUP BY user_id)",
    "SELECT t.user_id, max(s) AS m FROM (SELECT d.user_id, amt AS s FROM data d) AS t GROUP BY 1",
    "SELECT u AS user_id, amt FROM (SELECT user_id AS u, amt FROM data)",
    "SELECT d.user_id AS user_id, sum(amt) AS s FROM (SELECT user_id, amt FROM data) d GROUP BY user_id",
    "SELECT uid AS user_id, sum(amt) AS s FROM (SELECT user_id AS uid, amt FROM data) GROUP BY uid",
    `WITH ranked AS (SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY seen DESC) AS place FROM data)
     SELECT user_id, sum(amt) AS total, max(CASE place WHEN 1 THEN amt END) AS latest FROM ranked GROUP BY user_id`,
    "WITH a AS (SELECT user_id, amt FROM data), b AS (SELECT * FROM a) SELECT user_id, sum(amt) s FROM b GROUP BY 1",
    "SELECT a.user_id, count(*) AS n FROM data a, data b GROUP BY a.user_id",
    "SELECT user_id, n FROM data JOIN (SELECT user_id, count(*) AS n FROM data GROUP BY 1) USING (user_id)",
    "SELECT user_id, amt / m AS share FROM data, (SELECT avg(amt) AS m FROM data)",
    "SELECT user_id, amt, (SELECT max(amt) FROM data) AS m FROM data",
    "SELECT user_id, amt, (SELECT sum(e.amt + amt) + count(*) FROM data e WHERE e.user_id = d.user_id) AS m FROM data d",
    "SELECT user_id, amt, (SELECT m FROM (SELECT max(amt) AS m FROM data)) AS m FROM data",
    "WITH all_of AS (SELECT max(amt) AS m FROM data) SELECT user_id, (SELECT m FROM all_of) AS m FROM data",
    "SELECT user_id, sum(amt) FILTER (WHERE amt > 5) AS s FROM data GROUP BY user_id",
    "SELECT user_id, sum(amt) FILTER (WHERE amt > 5) OVER (PARTITION BY user_id) AS s FROM data",
    "WITH t(user_id, s) AS (SELECT user_id, sum(amt) FROM data GROUP BY user_id) SELECT user_id, s FROM t",
    "SELECT user_id, amt FROM data WHERE amt > 0 UNION ALL SELECT d.user_id, 0 FROM data d",
  ])("%s", (sql) => expect(isProven(sql)).toBe(true));

  test("whatever the case of its name", () => {
    expect(isProven("SELECT SEEN, amt FROM data", "Seen")).toBe(true);
  });
});

describe("it is not proven that the entity key is the column", () => {
  test.each([
    "SELECT lower(user_id) AS user_id, sum(amt) AS s FROM data GROUP BY 1",
    "SELECT lower(user_id) user_id, sum(amt) AS s FROM data GROUP BY 1",
    "SELECT lower(user_id) AS 'user_id', sum(amt) AS s FROM data GROUP BY 1",
    "SELECT 'all' AS user_id, count(*) AS n FROM data",
    "SELECT user_id, count(*) FILTER (WHERE amt > 0) AS s FROM data",
    "SELECT user_id, sum(amt) FILTER (WHERE amt > 5) AS s FROM data",
    "SELECT user_id, sum(amt) AS s FROM data GROUP BY 1.0",
    "SELECT user_id, sum(amt) over FROM data",
    "SELECT user_id, sum(amt) AS s FROM data GROUP BY user_id ISNULL",
    "SELECT d.user_id, sum(d.amt) AS s FROM data d LEFT JOIN data e ON e.user_id = d.user_id AND e.amt > 5 GROUP BY e.user_id",
    "WITH t(one) AS (SELECT 1) SELECT user_id, (SELECT sum(amt) FROM t) AS s FROM data",
    "SELECT user_id, sum(amt) AS s FROM data GROUP BY 1e0",
    "SELECT d.user_id, (SELECT max(d.amt)) AS m FROM data d",
    "SELECT d.user_id, (SELECT sum(d.amt) FROM data) AS s FROM data d",
    "SELECT d.user_id, (SELECT m FROM (SELECT max(d.amt) AS m)) AS m FROM data d",
    "SELECT d.user_id, (WITH w AS (SELECT max(d.amt) AS m) SELECT m FROM w) AS m FROM data d",
    "SELECT user_id, (SELECT m FROM (SELECT sum(amt) AS m FROM (SELECT 1 AS one))) AS m FROM data",
    "SELECT d.user_id, (SELECT m FROM data e JOIN (SELECT max(d.amt) AS m) ON 1 LIMIT 1) AS m FROM data d",
    "SELECT d.user_id, 1 + (SELECT 1 FROM data WHERE (SELECT total(d.amt)) > 0) AS s FROM data d",
    "SELECT user_id, (SELECT sum(amt) FROM (SELECT 1 AS one)) AS s FROM data",
    "SELECT 'user_id' AS user_id, amt FROM data",
    "SELECT other_id AS user_id, amt FROM data",
    "SELECT d.other_id user_id, amt FROM data d",
    "SELECT user_id || '' AS user_id, amt FROM data",
    "SELECT other_id || user_id AS user_id, amt FROM data",
    "SELECT -user_id AS user_id, amt FROM data",
    "SELECT CASE amt WHEN 1 THEN user_id END AS user_id, amt FROM data",
    "SELECT max(user_id) AS user_id, amt FROM data",
    "SELECT (SELECT max(user_id) FROM data) AS user_id, amt FROM data",
    "SELECT rowid AS user_id, amt FROM data",
    "SELECT current_date AS user_id, amt FROM data",
    // From a subquery or WITH.
    "SELECT user_id, amt FROM (SELECT lower(user_id) AS user_id, amt FROM data)",
    "WITH t AS (SELECT trim(user_id) AS user_id, amt FROM data) SELECT t.user_id, sum(amt) AS s FROM t GROUP BY 1",
    "WITH t(user_id, amt) AS (SELECT other_id, amt FROM data) SELECT user_id, amt FROM t",
    "WITH t AS (SELECT other_id AS user_id, amt FROM data) SELECT * FROM t",
    "SELECT user_id, amt FROM (SELECT other_id AS user_id, user_id, amt FROM data)",
    "SELECT user_id, amt FROM (SELECT (t.user_id), d.user_id, amt FROM (SELECT 'x' AS user_id) t, data d)",
    "SELECT column1 AS user_id, amt FROM (VALUES ('a')), data",
    "SELECT t.user_id, d.amt FROM (SELECT 'x' AS user_id) t, data d",
    "SELECT user_id, amt FROM (SELECT 'x' AS user_id) t JOIN data d USING (user_id)",
    // By its place, not its name.
    "SELECT user_id, amt FROM data UNION ALL SELECT other_id, amt FROM data",
    "SELECT user_id, amt FROM data UNION SELECT lower(user_id) AS user_id, amt FROM data",
    "SELECT * FROM data UNION ALL SELECT amt, user_id, seen, other_id FROM data",
    // Rows of several entities become one.
    "SELECT user_id, sum(amt) AS s FROM data",
    "SELECT user_id, sum(amt) AS s FROM data GROUP BY lower(user_id)",
    "SELECT user_id, sum(amt) AS s FROM data GROUP BY user_id COLLATE NOCASE",
    "SELECT user_id, sum(amt) AS s FROM data GROUP BY 2 + 0",
    "SELECT user_id, max(amt) AS s FROM data GROUP BY other_id",
    "SELECT d.user_id AS uid, d.user_id, sum(amt) AS s FROM data d GROUP BY seen",
    "SELECT user_id, s FROM (SELECT user_id, sum(amt) AS s FROM data GROUP BY other_id)",
    "SELECT other_id AS o, user_id, sum(amt) AS s FROM data GROUP BY 1",
    "SELECT user_id, amt FROM data UNION ALL SELECT user_id, sum(amt) FROM data",
  ])("%s", (sql) => expect(isProven(sql)).toBe(false));
});

describe("a select is looked into once for each name", () => {
  const chain = (length: number, body: string) =>
    Array.from({ length }, (_, i) => `, c${i + 1} AS (SELECT ${body.replaceAll("$", `c${i}`)})`).join("");

  test.each([
    ["user_id, user_id, user_id, user_id FROM $", false],
    ["*, * FROM $", false],
    ["user_id FROM $ a JOIN $ b USING (user_id)", true],
    ["user_id FROM $ UNION ALL SELECT user_id FROM $", true],
    ["user_id FROM $ GROUP BY user_id, user_id, user_id", true],
  ])("however often its columns are named: SELECT %s", (body, proven) => {
    const checked = checkSql(
      `WITH c0 AS (SELECT user_id FROM data)${chain(8, body)} SELECT user_id, 1 AS v FROM c8`,
    );
    if (!checked.ok) throw new Error(describeSqlFault(checked.fault));
    const looks = countLooks(checked.shape);
    expect(isColumnOfData(checked.shape, "user_id", COLUMNS)).toBe(proven);
    expect(looks()).toBeLessThan(20 * checked.shape.selects.length);
  });
});
