/** What a plan costs, and what it keeps. */
import { describe, expect, test, vi } from "vitest";
import { estimateCost } from "../../../worker/compute/sql/cost.ts";
import { checkSql, describeSqlFault } from "../../../worker/compute/sql/gate.ts";
import { Plan } from "../../../worker/compute/sql/plan.ts";
import { RowBounds } from "../../../worker/compute/sql/rows.ts";
import { readPlan } from "../../../worker/compute/sql/steps.ts";

describe("a plan", () => {
  const query = (sql: string) => {
    const checked = checkSql(sql);
    if (!checked.ok) throw new Error(describeSqlFault(checked.fault));
    return checked;
  };
  const rows = (...details: [number, string][]) =>
    details.map(([parent, detail], i) => ({ id: i + 1, parent, detail }));
  const small = { rows: 1_000, longestText: 20 };
  const stepsOf = (sql: string, plan: ReturnType<typeof rows>, statistics = small) => {
    const estimate = estimateCost(query(sql), plan, statistics);
    if (estimate.ok) return estimate.steps;
    return estimate.fault.reason === "too-costly" ? estimate.fault.estimate : estimate.fault.reason;
  };

  test("with a step that is not understood is refused", () => {
    const plan = rows([0, "SCAN data VIRTUAL TABLE INDEX 0:"]);
    expect(stepsOf("select k from data", plan)).toBe("plan-not-understood");
  });

  test("with a search by a stored index is refused, since a list after IN may drive it", () => {
    const plan = rows([0, "SEARCH data USING INTEGER PRIMARY KEY (rowid=?)"]);
    expect(stepsOf("select k from data where rowid in (1, 2)", plan)).toBe("plan-not-understood");
  });

  test("with a recursive step is refused, however it came by", () => {
    const plan = rows([0, "CO-ROUTINE data"], [1, "SETUP"], [1, "RECURSIVE STEP"]);
    expect(stepsOf("select k from data", plan)).toBe("recursion");
  });

  test("that reads what the statement does not name is refused", () => {
    expect(stepsOf("select k from data", rows([0, "SCAN elsewhere"]))).toBe("plan-not-understood");
  });

  test("costs the product of its loops", () => {
    const sql = "select 1 as one from data a, data b";
    const one = stepsOf(sql, rows([0, "SCAN a"]));
    const two = stepsOf(sql, rows([0, "SCAN a"], [0, "SCAN b"]));
    expect(Number(two) / Number(one)).toBeGreaterThan(900);
  });

  test("a search by an index finds all rows, unless they are known to differ", () => {
    const plan = rows([0, "SCAN a"], [0, "SEARCH b USING AUTOMATIC COVERING INDEX (k=?)"]);
    const sql = "select 1 as one from data a join data b on a.k = b.k";
    const worst = Number(stepsOf(sql, plan));
    const known = Number(stepsOf(sql, plan, { ...small, ...{ largestGroup: new Map([["k", 2]]) } }));
    expect(worst / known).toBeGreaterThan(100);
  });

  test("a search among groups by their key finds one", () => {
    const plan = rows(
      [0, "MATERIALIZE g"],
      [1, "SCAN data"],
      [0, "SCAN a"],
      [0, "SEARCH g USING AUTOMATIC COVERING INDEX (k=?)"],
    );
    const sql = (key: string, as: string) =>
      `with g as (select ${key} as ${as}, count(*) as n from data group by ${key}) select n from data a join g on g.k = a.k`;
    const one = Number(stepsOf(sql("k", "k"), plan));
    // `k` is another column's name here, and of that many rows may have the same.
    const many = Number(stepsOf(sql("user_id", "k").replace("group by user_id", "group by ts"), plan));
    expect(many / one).toBeGreaterThan(50);
  });

  test("a correlated subquery is paid for each row around it, also where it is used again", () => {
    const sql = "select (select count(*) from data b where b.k = a.k) as n from data a";
    const inner: [number, string][] = [
      [0, "SCAN a"],
      [0, "CORRELATED SCALAR SUBQUERY 1"],
      [2, "SCAN b"],
    ];
    const once = Number(stepsOf(sql, rows(...inner)));
    const twice = Number(stepsOf(sql, rows(...inner, [0, "REUSE SUBQUERY 1"])));
    expect(once).toBeGreaterThan(1_000 * 1_000 * 20);
    expect(twice / once).toBeGreaterThan(1.8);
  });

  test("a name of WITH that is read in an expression has a row for each of data: its sum is of the select around", () => {
    const sql =
      "with t as materialized (select sum(o.v) s from data i) select (select count(*) from t a, t b, t c) as n from data o";
    const plan = rows(
      [0, "SCAN o"],
      [0, "CORRELATED SCALAR SUBQUERY 2"],
      [2, "MATERIALIZE t"],
      [3, "SCAN i"],
      [2, "SCAN a"],
      [2, "SCAN b"],
      [2, "SCAN c"],
    );
    expect(Number(stepsOf(sql, plan))).toBeGreaterThan(1e12);
  });

  test("is added up once, however deep it nests", () => {
    const { shape } = query("select k from data");
    const bounds = new RowBounds(shape, 10);
    const scans = vi.spyOn(bounds, "of");
    const levels = Array.from({ length: 12 }, (_, i): [number, string][] => [
      [Math.max(0, 2 * i - 1), `CORRELATED LIST SUBQUERY ${i}`],
      [2 * i + 1, "SCAN data"],
    ]);
    const read = readPlan(rows(...levels.flat()));
    if (!read.ok) throw new Error(read.step);
    const kept = { of: () => 0, ofData: () => 0 };
    const facts = {
      select: shape.select,
      kept,
      hasLimit: false,
      bounds,
      statistics: small,
      distrustsColumns: false,
    };
    new Plan(read.nodes, facts).work(read.nodes);
    expect(scans).toHaveBeenCalledTimes(12);
  });

  test.each([
    [
      "behind a star",
      "with a as (select replace(name, 'a', name) as x from data), b as (select * from a) select replace(x, 'a', x) as y from b",
      "with a as (select replace(name, 'a', name) as x from data), b as (select x from a) select replace(x, 'a', x) as y from b",
    ],
    [
      "in a blob",
      `select replace(x'${"61".repeat(900)}', 'a', name) as x from data`,
      `select replace('${"a".repeat(900)}', 'a', name) as x from data`,
    ],
    [
      "of a select around that is longer than the one before",
      "select (with c as (select replace(x, 'a', x) as y) select (select y from c) from c c2, (select replace(x, 'a', 'b') || x as x) z) as n from (select name as x from data)",
      "select (with c as (select replace(x, 'a', x) as y) select (select y from c) from (select replace(x, 'a', 'b') || x as x) z) as n from (select name as x from data)",
    ],
  ])("costs what its text does %s", (_, sql, same) => {
    const statistics = { rows: 100, longestText: 1_000 };
    const plan = rows([0, "SCAN data"]);
    const [steps, least] = [sql, same].map((one) => Number(stepsOf(one, plan, statistics)));
    expect(steps).toBeGreaterThan(0.9 * Number(least));
  });

  test("without a sort or an aggregate keeps one row's text, however much text it goes through", () => {
    const kept = (sql: string, ...more: [number, string][]) => {
      const plan = rows([0, "SCAN data"], ...more);
      const estimate = estimateCost(query(sql), plan, { rows: 50, longestText: 55_000 });
      if (!estimate.ok) throw new Error(describeSqlFault(estimate.fault));
      return estimate.keptBytes;
    };
    const sort: [number, string] = [0, "USE TEMP B-TREE FOR ORDER BY"];
    expect(kept("select user_id, json_array_length(name) as n from data")).toBeLessThan(1_000_000);
    expect(kept("select json_array_length(name) as n from data order by 1", sort)).toBeLessThan(1_000_000);
    expect(kept("select name as n from data order by 1", sort)).toBeGreaterThan(50 * 55_000);
    // Of one row, but all of it is there at once.
    const nested = (levels: number): string => (levels === 0 ? "name" : `upper(${nested(levels - 1)})`);
    expect(kept(`select length(${nested(20)}) as n from data`)).toBeGreaterThan(20 * 55_000);
  });

  test.each<[what: string, dear: string, cheap: string, times: number]>([
    ["going to local time", "julianday(ts, 'localtime')", "julianday(ts)", 4],
    ["a modifier that is not written out", "julianday(ts, name)", "julianday(ts)", 4],
    ["each of many modifiers", `julianday(ts${", '+1 day'".repeat(60)})`, "julianday(ts)", 20],
    ["each character that may be cut off", `trim(name, '${"b".repeat(40)}')`, "upper(name)", 30],
    ["a pattern", `name like '%${"a".repeat(40)}'`, "name like '%a'", 12],
    [
      "a pattern of which a wildcard is escaped",
      `name like '%${"!%".repeat(20)}' escape '!'`,
      "name like '%a'",
      8,
    ],
    ["a pattern with a set of characters", `name glob '*[${"b*".repeat(20)}]'`, "name glob '*a'", 8],
    ["a pattern that is not written out", "name like ts", "name like '%a'", 12],
    ["a match of replace", "length(replace(name, 'a', 'b'))", "length(upper(name))", 1.5],
  ])("costs %s", (_, dear, cheap, times) => {
    const steps = [dear, cheap].map((one) =>
      Number(
        stepsOf(`select ${one} as x from data`, rows([0, "SCAN data"]), { rows: 1_000, longestText: 200 }),
      ),
    );
    expect(Number(steps[0]) / Number(steps[1])).toBeGreaterThan(times);
  });

  test("costs what is made of a part of a text, though the text may grow and the part not", () => {
    const made = "replace(substr(name, 1, 2500), 'a', substr(name, 1, 3200))";
    const steps = stepsOf(`select length(${made}) as x from data`, rows([0, "SCAN data"]), {
      rows: 20,
      longestText: 60_000,
    });
    expect(Number(steps)).toBeGreaterThan(20 * 2_500 * 3_200);
    const small = stepsOf(
      "select length(substr(name, 1, 9)) as x from data order by 1",
      rows([0, "SCAN data"]),
      {
        rows: 20,
        longestText: 60_000,
      },
    );
    expect(Number(small)).toBeLessThan(20 * 60_000 * 4);
  });

  test("costs the product of two columns, of which each alone makes little", () => {
    const column = { longest: 1_000, total: 100_000 };
    const statistics = {
      rows: 100,
      longestText: 1_000,
      columnsRead: 2,
      columns: new Map([
        ["name", column],
        ["ts", column],
      ]),
    };
    const sql = "select length(replace(name, 'a', ts)) as x from data";
    const estimate = estimateCost(query(sql), rows([0, "SCAN data"]), statistics);
    expect(estimate.ok && estimate.steps).toBeGreaterThan(100 * 1_000 * 1_000);
  });

  test("costs a pattern as its longest piece between wildcards", () => {
    const steps = ["%aaaa%aaaa%aaaa%", "%aaaa%"].map((pattern) =>
      stepsOf(`select name like '${pattern}' as x from data`, rows([0, "SCAN data"])),
    );
    expect(steps[0]).toBe(steps[1]);
  });

  test("costs what it keeps, which may go to a file", () => {
    const statistics = { rows: 1_000, longestText: 10_000 };
    const sql = "select name as x from data order by ts";
    const sorted = rows([0, "SCAN data"], [0, "USE TEMP B-TREE FOR ORDER BY"]);
    const [kept, scanned] = [sorted, sorted.slice(0, 1)].map((plan) =>
      Number(stepsOf(sql, plan, statistics)),
    );
    expect(Number(kept) - Number(scanned)).toBeGreaterThan(4 * 10_000_000);
  });

  test("of a few rows is refused for the text that it makes", () => {
    const nested = (levels: number): string =>
      levels === 0 ? "name" : `replace(${nested(levels - 1)}, 'a', ${nested(0)})`;
    const statistics = { rows: 100, longestText: 1_000 };
    expect(
      stepsOf(`select length(${nested(1)}) as n from data`, rows([0, "SCAN data"]), statistics),
    ).toBeLessThan(1e9);
    expect(
      stepsOf(`select length(${nested(3)}) as n from data`, rows([0, "SCAN data"]), statistics),
    ).toBeGreaterThan(1e9);
  });
});
