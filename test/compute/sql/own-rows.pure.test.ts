/** Of which SQL it is shown that what it tells of an entity comes from that entity's rows alone. */
import { describe, expect, test } from "vitest";
import { checkSql, describeSqlFault } from "../../../worker/compute/sql/gate.ts";
import { isColumnOfData } from "../../../worker/compute/sql/origin.ts";
import { describeOthersSeen } from "../../../worker/compute/sql/others-seen.ts";
import { whatSeesOthers } from "../../../worker/compute/sql/own-rows.ts";
import { REALISTIC } from "./realistic.ts";

const COLUMNS = ["card", "amount", "ts", "kind"];

function seenBy(sql: string, key = "card", columns = COLUMNS) {
  const checked = checkSql(sql);
  if (!checked.ok) throw new Error(describeSqlFault(checked.fault));
  const seen = whatSeesOthers(checked.shape, key, columns);
  if (seen) return describeOthersSeen(seen, key);
  return isColumnOfData(checked.shape, key, columns) ? null : "the key";
}

describe("of the entity's own rows", () => {
  test.each([
    "SELECT card, amount FROM data",
    "SELECT card, AVG(amount) AS mean, COUNT(*) AS n FROM data GROUP BY card",
    "SELECT card, SUM(amount) AS s FROM data WHERE kind = 'buy' GROUP BY 1 HAVING COUNT(*) > 1 ORDER BY s",
    "SELECT card AS card, SUM(amount) FILTER (WHERE kind = 'buy') AS s FROM data GROUP BY card",
    "SELECT card, SUM(CASE WHEN kind = 'buy' AND amount > 1 THEN amount ELSE 0 END) AS s FROM data GROUP BY card",
    "SELECT card, COUNT(DISTINCT kind) AS kinds, group_concat(DISTINCT kind) AS k FROM data GROUP BY card",
    "SELECT DISTINCT card, first_value(amount) OVER (PARTITION BY card ORDER BY ts) AS f FROM data",
    "SELECT DISTINCT * FROM data",
    // The newest row.
    `SELECT card, amount FROM (SELECT *, row_number() OVER (PARTITION BY card ORDER BY ts DESC) AS place FROM data)
     WHERE place = 1`,
    "SELECT card, amount FROM (SELECT card, amount, row_number() OVER w AS n FROM data WINDOW w AS (PARTITION BY card ORDER BY rowid DESC)) WHERE n = 1",
    "SELECT card, amount, max(ts) AS latest FROM data GROUP BY card",
    "SELECT d.card, d.amount FROM data d JOIN (SELECT card, max(ts) AS ts FROM data GROUP BY card) m ON m.card = d.card AND m.ts = d.ts",
    "SELECT card, amount FROM data JOIN (SELECT card, max(ts) AS ts FROM data GROUP BY card) USING (card, ts)",
    "SELECT card, amount FROM data d WHERE ts = (SELECT max(ts) FROM data x WHERE x.card = d.card)",
    "SELECT d.card, d.amount FROM data d WHERE NOT EXISTS (SELECT 1 FROM data x WHERE x.card = d.card AND x.rowid > d.rowid)",
    "SELECT card, (SELECT amount FROM data x WHERE x.card = data.card ORDER BY ts DESC, rowid DESC LIMIT 1) AS latest FROM data GROUP BY card",
    // Windows.
    "SELECT card, SUM(amount) OVER (PARTITION BY card, kind ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS s FROM data",
    "SELECT card, SUM(amount) FILTER (WHERE amount > 1) OVER (PARTITION BY data.card ROWS 1 PRECEDING) AS s FROM data",
    "SELECT card, RANK() OVER (w ORDER BY amount) AS r FROM data WINDOW w AS (PARTITION BY card)",
    "SELECT card, kind, RANK() OVER (PARTITION BY card ORDER BY SUM(amount)) AS r FROM data GROUP BY card, kind",
    // WITH and joins.
    "WITH t AS (SELECT card, SUM(amount) AS s FROM data GROUP BY card) SELECT d.card, COUNT(*) / t.s AS r FROM data d JOIN t ON (t.card = d.card) GROUP BY d.card",
    "WITH t AS (SELECT card AS c, SUM(amount) AS s FROM data GROUP BY 1) SELECT d.card, max(t.s) AS r FROM data d, t WHERE d.amount BETWEEN 1 AND 5 AND d.card = t.c GROUP BY d.card",
    "WITH t AS (SELECT card, SUM(amount) AS s FROM data GROUP BY card) SELECT card, s FROM data LEFT JOIN t USING (card)",
    "WITH t AS (SELECT card, SUM(amount) AS s FROM data GROUP BY card), u AS (SELECT card, COUNT(*) AS n FROM data GROUP BY card) SELECT t.card, s, n FROM t LEFT JOIN u ON u.card = t.card LEFT JOIN data d ON d.card = u.card",
    "SELECT a.card, COUNT(*) AS pairs FROM data a JOIN data b ON a.card = b.card AND a.rowid < b.rowid GROUP BY a.card",
    "WITH p AS (SELECT 7 AS days, julianday('now') AS now LIMIT 1) SELECT card, COUNT(*) AS n FROM data, p WHERE julianday(ts) > now - days GROUP BY card",
    "SELECT card, COUNT(*) AS n FROM data LEFT JOIN (VALUES ('buy', 2), ('view', 1)) ON column1 = kind GROUP BY card",
    "SELECT card, amount * (SELECT max(column1) FROM (VALUES (1), (2))) AS a FROM data",
    "WITH t(c, s) AS (SELECT card, SUM(amount) FROM data GROUP BY card) SELECT card, s FROM data JOIN t ON c = card",
    // Subqueries.
    "SELECT card, (SELECT SUM(x.amount * data.amount) FROM data x WHERE x.card = data.card) AS s FROM data",
    "SELECT card, (SELECT AVG(amount) FROM data d WHERE d.card = data.card AND d.kind = 'buy') AS mean FROM data",
    "SELECT card, AVG(amount) / (SELECT SUM(s) FROM (SELECT SUM(amount) AS s FROM data x WHERE x.card = d.card GROUP BY kind LIMIT 3)) AS r FROM data d GROUP BY card",
    "WITH t AS (SELECT card, SUM(amount) AS s FROM data GROUP BY card) SELECT card, (SELECT s FROM t WHERE t.card = data.card) AS s FROM data",
    "SELECT card, EXISTS (SELECT 1 FROM data x JOIN data y ON y.card = x.card WHERE x.card = d.card AND y.amount < x.amount) AS e FROM data d",
    "SELECT card, EXISTS (SELECT 1 FROM data x JOIN data y WHERE x.card = d.card AND y.card = d.card) AS e FROM data d",
    "SELECT card, COUNT(*) AS n FROM data WHERE amount > 1 AND card IN (SELECT card FROM data WHERE kind = 'buy') GROUP BY card",
    "SELECT card, kind IN ('buy', 'view') AS k FROM data",
    // Compounds.
    "SELECT card, amount FROM data WHERE kind = 'buy' UNION ALL SELECT card, -amount FROM data WHERE kind = 'return'",
    "SELECT card, SUM(a) AS s FROM (SELECT card, amount AS a FROM data UNION SELECT card, 0 FROM data) GROUP BY card",
    "SELECT card, kind FROM data EXCEPT SELECT card, 'buy' FROM data",
    // Columns that are called like the number of a row.
    "SELECT card, max(t.oid) AS m FROM (SELECT card, kind AS oid FROM data) t GROUP BY card",
  ])("%s", (sql) => expect(seenBy(sql)).toBeNull());

  test.each(REALISTIC)("$name", ({ sql }) =>
    expect(seenBy(sql, "user_id", ["user_id", "ts", "amount", "kind", "hour"])).toBeNull(),
  );

  test("a column that has such a name is read like any other", () => {
    const sql = "SELECT card, max(oid) AS last FROM data GROUP BY card";
    expect(seenBy(sql, "card", ["card", "OID"])).toBeNull();
    expect(seenBy(sql)).toContain("oid");
    const compared = `SELECT a.card, COUNT(*) AS n FROM data a JOIN data b ON a.card = b.card AND a.oid < b.rowid
      GROUP BY a.card`;
    expect(seenBy(compared, "card", ["card", "OID"])).toContain("rowid");
    expect(seenBy(compared)).toBeNull();
  });
});

describe("it may see other entities", () => {
  test.each([
    [
      "a subquery reads `data`",
      "SELECT card, AVG(amount) / (SELECT AVG(amount) FROM data) AS ratio FROM data GROUP BY card",
    ],
    ["the window of AVG(…)", "SELECT card, AVG(amount) OVER () AS a FROM data"],
    ["the window of PERCENT_RANK(…)", "SELECT card, PERCENT_RANK() OVER (ORDER BY amount) AS a FROM data"],
    ["the window of RANK(…)", "SELECT card, RANK() OVER (ORDER BY SUM(amount)) AS r FROM data GROUP BY card"],
    [
      "the window of SUM(…)",
      "SELECT card, SUM(amount) OVER (PARTITION BY kind ORDER BY card) AS s FROM data",
    ],
    [
      "the window of SUM(…)",
      "SELECT card, SUM(amount) OVER (PARTITION BY card COLLATE NOCASE) AS s FROM data",
    ],
    [
      "the window of SUM(…)",
      "SELECT card, SUM(amount) OVER (PARTITION BY (card IS NULL), lower(card)) AS s FROM data",
    ],
    ["the window of SUM(…)", "SELECT card, SUM(amount) OVER (PARTITION BY card ISNULL) AS s FROM data"],
    [
      "the window of SUM(…)",
      "SELECT card, SUM(amount) OVER w AS s FROM data WINDOW w AS (ORDER BY card), v AS (PARTITION BY card)",
    ],
    [
      "the window of SUM(…)",
      "SELECT card, SUM(amount) FILTER (WHERE amount > 1) OVER (ORDER BY ts) AS s FROM data",
    ],
    ["the window of COUNT(…)", "SELECT card, amount FROM data ORDER BY COUNT(*) OVER (ORDER BY ts)"],
    ["LIMIT", "SELECT card, amount FROM data ORDER BY amount LIMIT 1"],
    ["LIMIT", "SELECT card, amount FROM data LIMIT -1 OFFSET 2"],
    [
      "LIMIT",
      "SELECT card, max(amount) AS a FROM (SELECT * FROM data ORDER BY ts DESC LIMIT 10) GROUP BY card",
    ],
    ["LIMIT", "SELECT card, amount FROM data UNION ALL SELECT card, 0 FROM data LIMIT 3"],
    [
      "`b` is not joined",
      "SELECT a.card, COUNT(*) AS n FROM data a JOIN data b ON a.kind = b.kind GROUP BY a.card",
    ],
    ["`b` is not joined", "SELECT a.card, COUNT(*) AS n FROM data a, data b GROUP BY a.card"],
    ["`b` is not joined", "SELECT a.card, COUNT(*) AS n FROM data a NATURAL JOIN data b GROUP BY a.card"],
    [
      "`b` is not joined",
      "SELECT a.card, COUNT(*) AS n FROM data a JOIN data b ON a.card = b.card OR a.kind = b.kind GROUP BY a.card",
    ],
    [
      "`b` is not joined",
      "SELECT a.card, COUNT(*) AS n FROM data a JOIN data b ON a.card = b.card COLLATE NOCASE GROUP BY a.card",
    ],
    [
      "`b` is not joined",
      "SELECT a.card, COUNT(*) AS n FROM data a JOIN data b ON a.amount BETWEEN 0 AND a.card = b.card GROUP BY a.card",
    ],
    [
      "`b` is not joined",
      "SELECT a.card, COUNT(*) AS n FROM data a JOIN data b ON CASE WHEN a.kind AND a.card = b.card AND 1 THEN 0 ELSE 1 END GROUP BY a.card",
    ],
    [
      "`b` is not joined",
      "SELECT a.card, COUNT(*) AS n FROM data a JOIN data b ON NOT (a.card = b.card) GROUP BY a.card",
    ],
    [
      "`b` is not joined",
      "SELECT a.card, COUNT(*) AS n FROM data a JOIN data b ON (a.card = b.card) = 0 GROUP BY a.card",
    ],
    [
      "`b` is not joined",
      "SELECT a.card, COUNT(*) AS n FROM data a JOIN data b ON a.card = a.card GROUP BY a.card",
    ],
    [
      "`b` is not joined",
      "SELECT a.card, COUNT(*) AS n FROM data a LEFT JOIN data b ON b.amount > 1 LEFT JOIN data c ON a.card = b.card AND c.card = a.card GROUP BY a.card",
    ],
    [
      "`m` is not joined",
      "WITH m AS (SELECT lower(card) AS card FROM data) SELECT d.card, COUNT(*) AS n FROM data d JOIN m ON m.card = d.card GROUP BY d.card",
    ],
    [
      "without GROUP BY",
      "WITH m AS (SELECT MAX(ts) AS ts FROM data) SELECT card, COUNT(*) AS n FROM data, m WHERE data.ts = m.ts GROUP BY card",
    ],
    [
      "`d` is not joined",
      "SELECT d.card, COUNT(*) AS n FROM (SELECT 1 AS one) p LEFT JOIN data d ON d.amount > 1 GROUP BY d.card",
    ],
    [
      "a GROUP BY",
      "SELECT a.card, SUM(a.amount) AS s FROM data a LEFT JOIN data b ON a.card = b.card AND b.amount > 5 GROUP BY a.kind, a.card || ''",
    ],
    [
      "a GROUP BY",
      "SELECT a.card, SUM(a.amount) AS s FROM data a LEFT JOIN data b ON a.card = b.card AND b.amount > 5 GROUP BY b.card",
    ],
    [
      "a GROUP BY",
      "SELECT d.card, s FROM data d JOIN (SELECT kind, SUM(amount) AS s FROM data GROUP BY kind) k ON k.kind = d.kind",
    ],
    ["a GROUP BY", "SELECT card, SUM(amount) AS s FROM data GROUP BY card NOTNULL"],
    ["SUM(…) without GROUP BY", "SELECT card, SUM(amount) over FROM data"],
    ["DISTINCT", "SELECT card, (SELECT COUNT(*) FROM (SELECT DISTINCT kind FROM data)) AS n FROM data"],
    ["an aggregate in a subquery", "SELECT card, (SELECT SUM(d.amount) FROM (SELECT 1) x) AS s FROM data d"],
    [
      "UNION",
      "SELECT card, COUNT(*) AS n FROM data JOIN (SELECT kind FROM data UNION SELECT 'x') k ON k.kind = data.kind GROUP BY card",
    ],
    [
      "`b` is not joined",
      "SELECT a.card, COUNT(*) AS n FROM data a JOIN data b ON a.card = b.card AND a.kind = b.kind OR a.ts = b.ts GROUP BY a.card",
    ],
    [
      "`t` is not joined",
      "WITH t(card, s) AS (SELECT kind, amount FROM data) SELECT data.card, s FROM data JOIN t ON t.card = data.card",
    ],
    [
      "an aggregate in a subquery",
      "WITH t(one) AS (SELECT 1) SELECT card, (SELECT SUM(amount) FROM t) AS s FROM data",
    ],
    ["an aggregate in a subquery", "SELECT card, (SELECT SUM(amount) FROM (SELECT (1)) t) AS s FROM data"],
    // Subqueries.
    ["a subquery reads `data`", "SELECT card, amount FROM data WHERE card IN (SELECT kind FROM data)"],
    ["a subquery reads `data`", "SELECT card, amount FROM data WHERE card IN (SELECT lower(card) FROM data)"],
    [
      "a subquery reads `x`",
      "SELECT card, EXISTS (SELECT 1 FROM data x WHERE x.kind = d.kind) AS e FROM data d",
    ],
    [
      "a subquery reads `x`",
      "SELECT card, EXISTS (SELECT 1 FROM data x WHERE x.card <> d.card) AS e FROM data d",
    ],
    [
      "a subquery reads `x`",
      "SELECT card, EXISTS (SELECT 1 FROM data x WHERE x.card = card) AS e FROM data d",
    ],
    [
      "a subquery reads `x`",
      "SELECT card, EXISTS (SELECT 1 FROM data x WHERE card = x.card OR x.card = d.card) AS e FROM data d",
    ],
    [
      "`y` is not joined",
      "SELECT card, EXISTS (SELECT 1 FROM data x, data y WHERE x.card = d.card) AS e FROM data d",
    ],
    ["a subquery reads `x`", "SELECT card, (SELECT amount FROM data x WHERE x.card = 'a') AS e FROM data d"],
    ["a subquery reads `data`", "SELECT card, amount FROM data WHERE kind IN (SELECT kind FROM data)"],
    [
      "a subquery reads `data`",
      "SELECT card, amount FROM data WHERE card NOT IN (SELECT card FROM data WHERE kind = 'buy')",
    ],
    [
      "a subquery reads `data`",
      "SELECT card, card IN (SELECT card FROM data WHERE kind = 'buy') AS buys FROM data",
    ],
    ["a subquery reads `data`", "SELECT card, amount FROM data WHERE kind IN (SELECT card FROM data)"],
    ["LIMIT", "SELECT card, amount FROM data WHERE card IN (SELECT card FROM data LIMIT 1)"],
    [
      "a subquery reads `x`",
      `SELECT d.c AS card, EXISTS (SELECT y.kind AS c FROM (SELECT kind FROM data z WHERE z.card = d.c) y
         WHERE EXISTS (SELECT 1 FROM data x WHERE x.card = c)) AS e FROM (SELECT card AS c FROM data) d`,
    ],
    // The number of a row.
    ["rowid", "WITH t(one) AS (SELECT 1) SELECT card, rowid AS r FROM t, data"],
    ["rowid", "SELECT card, rowid AS r FROM (SELECT (1)), data"],
    ["rowid", "SELECT card, rowid AS r FROM data"],
    ["_rowid_", "SELECT card, max(data._rowid_) AS r FROM data GROUP BY card"],
    ["oid", 'SELECT card, amount FROM data d WHERE "d"."oid" % 2 = 0'],
    ["rowid", "SELECT card, amount FROM data ORDER BY rowid % 7"],
    ["rowid", "SELECT card, amount FROM data d WHERE d.'rowid' < 5"],
    ["rowid", "SELECT card, (SELECT max(x.rowid) FROM data x WHERE x.card = d.card) AS r FROM data d"],
    ["rowid", "SELECT card, SUM(amount) OVER (PARTITION BY card, rowid / 10 ORDER BY rowid) AS s FROM data"],
  ])("%s: %s", (words, sql) => expect(seenBy(sql)).toContain(words));
});
