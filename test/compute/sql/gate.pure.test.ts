/** What the gate refuses by the words alone, and what a plan costs. */
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { estimateCost } from "../../../worker/compute/sql/cost.ts";
import { checkSql, describeSqlFault, type SqlFault } from "../../../worker/compute/sql/gate.ts";
import { checkWrittenOut } from "../../../worker/compute/sql/parts.ts";
import { Plan } from "../../../worker/compute/sql/plan.ts";
import { RowBounds } from "../../../worker/compute/sql/rows.ts";
import { readShape } from "../../../worker/compute/sql/shape.ts";
import { readPlan } from "../../../worker/compute/sql/steps.ts";
import { readTokens } from "../../../worker/compute/sql/tokens.ts";
import { MAX_SQL_CHARACTERS, MAX_SQL_NESTING } from "../../../worker/limits.ts";
import { countLooks } from "./count-looks.ts";
import { cross } from "./gate-hostile.ts";

const faultOf = (sql: string): SqlFault | null => {
  const checked = checkSql(sql);
  return checked.ok ? null : checked.fault;
};
const textsOf = (sql: string) => {
  const read = readTokens(sql);
  return read.ok ? read.tokens.map(({ text }) => text) : read.reason;
};

describe("tokens", () => {
  test.each([
    ["a||b->>'$.c'", ["a", "||", "b", "->>", "'$.c'"]],
    ["1.5e3+.5-0xFF", ["1.5e3", "+", ".5", "-", "0xFF"]],
    ["'it''s; -- here'", ["'it''s; -- here'"]],
    ['"a ""b""" `c``d` [e f]', ['"a ""b"""', "`c``d`", "[e f]"]],
    ["x'00ff' X''", ["x'00ff'", "X''"]],
    ["a -- b\n+/* c * / */d", ["a", "+", "d"]],
    ["a<=b<>c!=d==e<<f", ["a", "<=", "b", "<>", "c", "!=", "d", "==", "e", "<<", "f"]],
  ])("of %s", (sql, texts) => expect(textsOf(sql)).toEqual(texts));

  test.each([
    ["'open", "unfinished"],
    ['"open', "unfinished"],
    ["[open", "unfinished"],
    ["`open", "unfinished"],
    ["'a''", "unfinished"],
    ["/* open", "unfinished"],
    ["x'0'", "unfinished"],
    ["12abc", "not-a-token"],
    ["a \\ b", "not-a-token"],
    ["a\u000bb", "not-a-token"],
    ["?", "parameter"],
    ["?1", "parameter"],
    [":a", "parameter"],
    ["@a", "parameter"],
    ["$a", "parameter"],
    ["#1", "parameter"],
    ["\uff53elect", "not-ascii"],
    ["\ufeffselect", "not-ascii"],
  ])("are refused in %s: %s", (sql, reason) => expect(textsOf(sql)).toBe(reason));

  test("keep every character of the statement that is not white space or a comment", () => {
    const piece = fc.constantFrom(
      "a",
      "'b c'",
      '"d"',
      "1",
      "(",
      ")",
      "--x\n",
      "/*y*/",
      " ",
      "||",
      ";",
      "[e]",
      "->",
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const read = readTokens(pieces.join(" "));
        const expected = pieces.filter((one) => !/^(?: |--|\/\*)/.test(one));
        expect(read.ok && read.tokens.map(({ text }) => text)).toEqual(expected);
      }),
    );
  });

  test("a comment leaves a space, so that it can neither join words nor swallow what follows", () => {
    const checked = checkSql("select/**/1--x");
    expect(checked.ok && checked.sql).toBe("select 1");
  });
});

describe("the gate refuses", () => {
  test.each<[SqlFault["reason"], string]>([
    ["empty", ""],
    ["empty", " -- nothing\n ;"],
    ["not-a-query", "drop table data"],
    ["not-a-query", "(select 1)"],
    ["not-a-query", "values (1)"],
    ["not-a-query", "/* select */ delete from data"],
    ["not-a-query", '"select" 1'],
    ["several-statements", "select 1; select 2"],
    ["several-statements", "select 1;;"],
    ["several-statements", "select 1) ; delete from data; select * from (select 1"],
    ["parentheses", "select 1) union select * from (select 2"],
    ["parentheses", "select (1"],
    ["too-deep", `select ${"(".repeat(MAX_SQL_NESTING)}1${")".repeat(MAX_SQL_NESTING)}`],
    ["too-long", `select 1 --${" ".repeat(MAX_SQL_CHARACTERS)}`],
    ["null-character", "select 1\0; drop table data"],
    ["null-character", "select '\ud800'"],
    ["forbidden-word", "with x as (select 1) insert into data select * from x"],
    ["forbidden-word", "with x as (select 1) replace into data select 1"],
    ["forbidden-word", "with recursive x as (select 1) select * from x"],
    ["forbidden-word", "select 1 union all pragma table_info(data)"],
    ["forbidden-word", "select * from data indexed by x"],
    ["forbidden-word", "select sum(k) over (order by k rows 1 preceding exclude ties) from data"],
    ["reserved-name", "select * from sqlite_schema"],
    ["reserved-name", 'select * from "sqlite_master"'],
    ["reserved-name", "select * from [Fs_Rows]"],
    ["reserved-name", "select * from `_cf_KV`"],
    ["reserved-name", "select k in fs_rows from data"],
    ["reserved-name", "select * from pragma_table_info('data')"],
    ["function", "select printf('%.*c', 1000000, 'x')"],
    ["function", "select format('%1000000d', 1)"],
    ["function", "select randomblob(1000000)"],
    ["function", "select ZeroBlob(1000000)"],
    ["function", 'select "zeroblob"(1000000)'],
    ["function", "select load_extension('x')"],
    ["function", "select like('%a', name) from data"],
    ["function", "select json_set('{}', '$.a', 1)"],
    ["function", "select nosuch(1)"],
    ["function", "select count(*) from data where abs(char(65)) > 1"],
    ["table-function", "select * from json_each('[1]')"],
    ["table-function", "select * from data, json_tree(data.ts)"],
    ["table-function", "select * from generate_series(1, 1000000000)"],
    ["table", "select * from other"],
    ["table", "select * from data, (select * from more) m"],
    ["table", "with a as (select * from b), b as (select 1) select * from a"],
    ["name", "select * from 'data'"],
    ["name", "with data as (select 1) select * from data"],
    ["name", "with a as (select 1), a as (select 2) select * from a"],
    ["name", 'select * from data as "a USING INTEGER PRIMARY KEY (rowid=?)"'],
    ["join", "select * from data a full join data b on a.k = b.k"],
    ["join", "select * from data a natural right join data b"],
    ["row-in-list", "select (k, v) not in (select v, k from data) as x from data"],
    ["row-in-list", "select count(*) from data where ((k, v)) in (select v, k from data)"],
    ["row-in-list", "select (select k, v) in (select v, k from data) as x from data"],
    ["row-in-list", "select (values (1, 2)) in (select v, k from data) as x from data"],
    ["row-in-list", "select (select * from data limit 1) not in (select * from data) as x"],
    ["recursion", "with c(x) as (select 1 union all select x + 1 from c) select count(*) from c"],
    ["recursion", "with c as (select 1 x union all select x from (select * from c)) select x from c"],
    ["not-understood", "select k in data from data"],
    ["not-understood", "select * from main.data"],
    ["not-understood", "select * from (data a join data b)"],
    ["incomplete", "select * from data window, data b"],
    ["not-understood", "select * from data where 1 from data"],
    ["not-understood", "select max(k from data) from data"],
    ["not-understood", "select 1 values (2)"],
    [
      "too-large-when-written-out",
      `select y+y y from ${"(select y+y as y from ".repeat(16)}(select 1 as y)${")".repeat(16)}`,
    ],
    ["too-large-when-written-out", `with ${cross(20)} select count(*) from c20`],
  ])("%s: %s", (reason, sql) => {
    const fault = faultOf(sql);
    expect(fault?.reason).toBe(reason);
    expect(fault && describeSqlFault(fault)).not.toMatch(/undefined|NaN/);
  });
});

describe("the gate itself takes no time", () => {
  /** Each level asks twice for the one below, inside columns that are twice as wide each time. */
  function widening(levels: number): string {
    const names = Array.from({ length: levels }, (_, i) => {
      const wide = `a${" + 0".repeat(2 ** i)}`;
      return `, c${i + 1} AS (SELECT (SELECT 1 FROM c${i}) + (SELECT (SELECT 1 FROM c${i}) FROM (SELECT ${wide})))`;
    });
    return `SELECT user_id, (WITH c0 AS (SELECT 1)${names.join("")} SELECT 1 FROM c${levels}) AS v FROM data`;
  }

  const chain = (levels: number) => {
    const names = Array.from({ length: levels }, (_, i) => `c${i + 1} AS(SELECT*FROM c${i})`);
    return `WITH c0 AS(SELECT*FROM data),${names.join()} SELECT user_id,1 v FROM c${levels}`;
  };

  test("where a query is too large written out it is not written out to its end to know that", () => {
    const looksInto = (sql: string) => {
      const read = readTokens(sql);
      const reading = read.ok ? readShape(read.tokens) : null;
      if (!reading?.ok) throw new Error(sql);
      const looks = countLooks(reading.shape);
      expect(checkWrittenOut(reading.shape)?.reason).toBe("too-large-when-written-out");
      return looks();
    };
    expect(looksInto(widening(12))).toBeLessThan(50_000);
  });

  test.each<[string, string, RegExp]>([
    ["is told where that is cheap", widening(8), /has \d{6} parts; at most 30000 are allowed/],
    ["is not told where it is not", widening(12), /has far more than 30000 parts/],
    ["is not looked for in hundreds of selects", chain(700), /has far more than 30000 parts/],
  ])("how large it is %s", (_, sql, words) => {
    const fault = faultOf(sql);
    expect(fault && describeSqlFault(fault)).toMatch(words);
  });

  test("whatever a text is full of", () => {
    const ms = (filling: string) => {
      const sql = `SELECT user_id, '${filling.repeat(19_900)}' AS v FROM data`;
      const runs = Array.from({ length: 5 }, () => {
        const begun = performance.now();
        expect(faultOf(sql)).toBeNull();
        return performance.now() - begun;
      });
      return Math.min(...runs);
    };
    expect(ms(" ")).toBeLessThan(50 * ms("x"));
    expect(ms(";")).toBeLessThan(50 * ms("x"));
  });
});

describe("what is missing is told by what stands before it", () => {
  test.each<[string, string, number]>([
    ["select user_id, sum(k) as s from data group by", "by", 44],
    ["select user_id from data where", "where", 25],
    ["select user_id from data where group by 1", "where", 25],
    ["select user_id from data where k >", ">", 33],
    ["select user_id from data group by 1 having;", "having", 36],
    ["select user_id from data order by k,", ",", 35],
    ["select user_id,, k from data", ",", 14],
    ["select user_id, from data", ",", 14],
    ["select from data", "select", 0],
    ["select k from", "from", 9],
    ["select k from where k = 1", "from", 9],
    ["select k from data,", ",", 18],
    ["select k from data d join", "join", 21],
    ["select k from data a join data b on", "on", 33],
    ["select k from data union all", "all", 25],
    ["select k from data where k in", "in", 27],
    ["select k from data as", "as", 19],
    ["select k from (select k from data where) t", "where", 34],
    ["select sum(k + ) from data", "+", 13],
    ["select k from data window, data b", "window", 19],
    ["select sum(, k) from data", "(", 10],
    ["SELECT k IS DISTINCT FROM 1 FROM data LIMIT", "LIMIT", 38],
  ])("%s", (sql, after, at) => {
    const fault = faultOf(sql);
    expect(fault).toEqual({ reason: "incomplete", after: { text: after, at } });
    expect(sql.slice(at, at + after.length)).toBe(after);
    const words = `the SQL is not understood: something is missing after "${after}" at character ${at}`;
    expect(fault && describeSqlFault(fault)).toBe(words);
  });

  test.each(["select cast() as x from data", "with t"])("or not at all: %s", (sql) => {
    const fault = faultOf(sql);
    expect(fault && describeSqlFault(fault)).toBe("the SQL is not understood: something is missing");
  });
});

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
    const bounds = new RowBounds(query("select k from data").shape, 10);
    const scans = vi.spyOn(bounds, "of");
    const levels = Array.from({ length: 12 }, (_, i): [number, string][] => [
      [Math.max(0, 2 * i - 1), `CORRELATED LIST SUBQUERY ${i}`],
      [2 * i + 1, "SCAN data"],
    ]);
    const read = readPlan(rows(...levels.flat()));
    if (!read.ok) throw new Error(read.step);
    new Plan(read.nodes, { bounds, statistics: small, distrustsColumns: false }).work(read.nodes);
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
