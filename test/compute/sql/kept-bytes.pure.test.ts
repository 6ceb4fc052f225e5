/** The memory that a query is estimated to take, beside what it was measured to take. */
import { describe, expect, test } from "vitest";
import { estimateCost, type TableStatistics } from "../../../worker/compute/sql/cost.ts";
import { checkSql, describeSqlFault } from "../../../worker/compute/sql/gate.ts";

/** Of 10,000 rows with 2,000 characters of text. */
const STATISTICS: TableStatistics = {
  rows: 10_000,
  longestText: 2_000,
  longestRow: 2_060,
  columnsRead: 4,
  columns: new Map([
    ["customer", { longest: 4, total: 40_000 }],
    ["ts", { longest: 20, total: 200_000 }],
    ["amount", { longest: 8, total: 80_000 }],
    ["text", { longest: 2_000, total: 20_000_000 }],
  ]),
};

/** Lines below the one that is as many spaces further left. */
function planOf(lines: string) {
  const above: { id: number; depth: number }[] = [];
  return lines.split("\n").map((line, i) => {
    const depth = line.search(/\S/);
    while ((above.at(-1)?.depth ?? -1) >= depth) above.pop();
    const parent = above.at(-1)?.id ?? 0;
    above.push({ id: i + 1, depth });
    return { id: i + 1, parent, detail: line.trim() };
  });
}

function keptMegabytes(sql: string, plan: string, statistics = STATISTICS): number {
  const checked = checkSql(sql);
  if (!checked.ok) throw new Error(describeSqlFault(checked.fault));
  const estimate = estimateCost(checked, planOf(plan), statistics);
  if (estimate.ok) return estimate.keptBytes / 1e6;
  if (estimate.fault.reason !== "too-much-memory") throw new Error(describeSqlFault(estimate.fault));
  return estimate.fault.bytes / 1e6;
}

const WINDOW = `CO-ROUTINE (subquery-1)
 CO-ROUTINE (subquery-3)
  SCAN data
  USE TEMP B-TREE FOR ORDER BY
 SCAN (subquery-3)
SCAN (subquery-1)`;

describe("memory", () => {
  // Files of SQLite's, and memory of workerd above what it has for a scan, in megabytes.
  test.each<[measured: number, sql: string, plan: string]>([
    [46.1, "select customer, text from data order by ts", "SCAN data\nUSE TEMP B-TREE FOR ORDER BY"],
    [
      0.5,
      "select customer, length(text) as l from data order by ts",
      "SCAN data\nUSE TEMP B-TREE FOR ORDER BY",
    ],
    [
      20.1,
      "select customer, max(length(text)) as m from data group by customer",
      "CO-ROUTINE (subquery-1)\n SCAN data\n USE TEMP B-TREE FOR GROUP BY\nSCAN (subquery-1)",
    ],
    [
      20.4,
      "select length(text) as l, row_number() over (partition by customer order by ts) as r from data",
      WINDOW,
    ],
    [39.2, "select length(text) as l, lag(amount) over (order by ts) as r from data", WINDOW],
    [
      46,
      "select count(*) as n from (select distinct text from data)",
      "CO-ROUTINE (subquery-1)\n SCAN data\n USE TEMP B-TREE FOR DISTINCT\nSCAN (subquery-1)",
    ],
    [
      45.9,
      "select count(distinct text) as n from data",
      "CO-ROUTINE (subquery-1)\n USE TEMP B-TREE FOR count(DISTINCT)\n SCAN data\nSCAN (subquery-1)",
    ],
    [
      46.2,
      "select count(*) as n from data where text in (select text from data)",
      "CO-ROUTINE (subquery-2)\n SCAN data\n LIST SUBQUERY 1\n  SCAN data\n  CREATE BLOOM FILTER\nSCAN (subquery-2)",
    ],
    [
      39.3,
      "with t as materialized (select * from data) select count(*) as n from t",
      "CO-ROUTINE (subquery-2)\n MATERIALIZE t\n  SCAN data\n SCAN t\nSCAN (subquery-2)",
    ],
    [
      13,
      "select length(group_concat(substr(text, 1, 300))) as n from data",
      "CO-ROUTINE (subquery-1)\n SCAN data\nSCAN (subquery-1)",
    ],
  ])("is not estimated below the %d MB that were measured, nor far above: %s", (measured, sql, plan) => {
    const kept = keptMegabytes(sql, plan);
    expect(kept).toBeGreaterThan(measured);
    expect(kept).toBeLessThan(5 * measured + 5);
  });

  const sorted = "SCAN data\nUSE TEMP B-TREE FOR ORDER BY";

  test("of a few long texts among short ones is theirs, not as if all were long", () => {
    const columns = new Map([["text", { longest: 60_000, total: 100_000 }]]);
    const skewed = { ...STATISTICS, rows: 100, longestText: 60_000, columnsRead: 1, columns };
    expect(keptMegabytes("select text from data order by 1", sorted, skewed)).toBeLessThan(3);
    // Which rows meet in a join is not known.
    const joined = "select a.text from data a, data b where a.text = b.text order by 1";
    const plan = "SCAN a\nSEARCH b USING AUTOMATIC COVERING INDEX (text=?)\nUSE TEMP B-TREE FOR ORDER BY";
    const unique = { ...skewed, largestGroup: new Map([["text", 1]]) };
    expect(keptMegabytes(joined, plan, unique)).toBeGreaterThan(6);
  });

  test.each([
    ["two columns of one text", "select text as a, text as b from data order by ts"],
    ["what JSON5 becomes", "select text -> '$' as a from data order by ts"],
    [
      "a column whose name stands in single quotes",
      "select data.'text' as a, data.'text' as b from data order by ts",
    ],
    ["a sort by the place of a long column", "select text from data group by 1"],
    [
      "a sort by the alias of a long column",
      "select length(text) as n, text || text as x from data order by x",
    ],
    ["a plus before a text", "select +text as a, text || +text as b from data order by ts"],
    [
      "numbers and a text in CASE",
      "select case when amount + 1 > 2 then text end as a, text as b from data order by ts",
    ],
  ])("of %s is counted", (_, sql) => {
    const plan = sql.includes("group by") ? "SCAN data\nUSE TEMP B-TREE FOR GROUP BY" : sorted;
    expect(keptMegabytes(sql, plan)).toBeGreaterThan(sql.includes("group by") ? 40 : 80);
  });

  test("of a sort by what a column makes has it as a key too", () => {
    const by = (key: string) =>
      keptMegabytes(`select length(text) as n, text || 'b' as x from data order by ${key}`, sorted);
    expect(by("x") - by("n")).toBeGreaterThan(15);
    expect(by("2") - by("n")).toBeGreaterThan(15);
  });

  test("of numbers is that of numbers", () => {
    const sums = Array.from(
      { length: 80 },
      (_, i) => `sum(case when amount > ${i} then 1 else 0 end) / 2 as n${i}`,
    );
    const plan =
      "CO-ROUTINE (subquery-1)\n SCAN data\n USE TEMP B-TREE FOR GROUP BY\nSCAN (subquery-1)\nUSE TEMP B-TREE FOR ORDER BY";
    const columns = new Map([...(STATISTICS.columns ?? [])].filter(([name]) => name !== "text"));
    const statistics = { ...STATISTICS, columns, columnsRead: 3, longestText: 20, longestRow: 60 };
    const sql = `select customer, ${sums} from data group by customer order by n1`;
    expect(keptMegabytes(sql, plan, statistics)).toBeGreaterThan(10_000 * 80 * 9e-6);
    expect(keptMegabytes(sql, plan, statistics)).toBeLessThan(50);
  });

  test("of ORDER BY within is that of a sorter, but of a tree where LIMIT is said", () => {
    const plan = "CO-ROUTINE t\n SCAN data\n USE TEMP B-TREE FOR ORDER BY\nSCAN t";
    const within = (limit: string) =>
      keptMegabytes(`select count(text) as n from (select text from data order by ts ${limit}) as t`, plan);
    expect(within("")).toBeLessThan(25);
    expect(within("limit 10000")).toBeGreaterThan(46);
  });

  test("of a join with a short table is that of the short table", () => {
    const sql = (rest: string) =>
      `with m as materialized (select customer, avg(amount) as a${rest} from data group by customer) select count(*) as n from m`;
    const plan = "MATERIALIZE m\n SCAN data\nSCAN m";
    expect(keptMegabytes(sql(""), plan)).toBeLessThan(2);
    expect(keptMegabytes(sql(", max(text) as t"), plan)).toBeGreaterThan(20);
  });

  test("of rows that are gathered grows with them, and each of the texts has its own", () => {
    const columns = new Map([["text", { longest: 400, total: 400_000 }]]);
    const few = { ...STATISTICS, rows: 1_000, longestText: 400, columnsRead: 1, columns };
    const gather = (count: number) =>
      Array.from({ length: count }, (_, i) => `length(group_concat(text || '${i}')) as n${i}`).join(", ");
    const [one, ten] = [1, 10].map((count) =>
      keptMegabytes(`select ${gather(count)} from data`, "SCAN data", few),
    );
    expect(Number(ten) - Number(one)).toBeGreaterThan(9 * 0.4);
  });
});
