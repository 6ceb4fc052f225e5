/** What the gate refuses by the words alone. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkSql, describeSqlFault, type SqlFault } from "../../../worker/compute/sql/gate.ts";
import { checkWrittenOut } from "../../../worker/compute/sql/parts.ts";
import { readShape } from "../../../worker/compute/sql/shape.ts";
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
