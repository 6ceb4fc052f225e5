/** SQL that must not run, each with the reason for which it does not. */
import type { SqlFault } from "../../../worker/compute/sql/gate.ts";

const nest = (levels: number, form: (inner: string) => string, start: string): string =>
  levels === 0 ? start : form(nest(levels - 1, form, start));

const ones = (count: number) => Array.from({ length: count }, () => "1").join();

export const HOSTILE: [reason: SqlFault["reason"], sql: string][] = [
  // Other statements.
  ["several-statements", "select 1; delete from fs_kept"],
  ["several-statements", "select 1; drop table fs_kept;"],
  ["several-statements", "select 1) ; delete from data; select * from (select 1"],
  ["several-statements", "select '--' ; attach 'x' as y --"],
  ["parentheses", "select 1) limit 1 union select * from (select 2"],
  ["not-a-query", "attach database 'x' as y"],
  ["not-a-query", "explain pragma foreign_keys = off"],
  ["not-a-query", "pragma foreign_keys = off"],
  ["not-a-query", "delete from data returning *"],
  ["not-a-query", "/**/drop/**/table/**/fs_kept"],
  ["not-a-query", "-- select\ndelete from data"],
  ["forbidden-word", "with x as (select 1) delete from data"],
  ["forbidden-word", "with x as (select 1) update data set k = 1 returning k"],
  ["forbidden-word", "with x as (select 1) replace into data(k) select 1"],
  // Tricks with comments, quotes and characters.
  ["unfinished", "select 1 /* ) limit 1"],
  ["unfinished", "select 'it''s"],
  ["unfinished", 'select "k from data'],
  ["unfinished", "select [k from data"],
  ["null-character", "select 1\0; drop table fs_kept"],
  ["not-ascii", "\u017felect 1"],
  ["not-ascii", "select 1 from \u0501ata"],
  ["parameter", "select ?1"],
  ["parameter", "select :name"],
  // Tables other than data.
  ["reserved-name", "select * from sqlite_schema"],
  ["reserved-name", 'select * from "sqlite_schema"'],
  ["reserved-name", "select * from [sqlite_master]"],
  ["reserved-name", "select * from `fs_kept`"],
  ["reserved-name", "select * from FS_KEPT"],
  ["reserved-name", "select k in fs_kept from data"],
  ["reserved-name", "select * from _cf_METADATA"],
  ["reserved-name", "select * from pragma_table_list"],
  ["reserved-name", "select * from pragma_function_list()"],
  ["name", "select * from 'fs_kept'"],
  ["not-understood", "select * from main.data"],
  ["not-understood", "select k in 'fs_kept' from data"],
  ["table", "select * from kept"],
  ["table", "select * from data where exists (select 1 from kept)"],
  ["table-function", "select * from json_each('[1]')"],
  ["table-function", "select count(*) from generate_series(1, 1000000000)"],
  // Functions.
  ["function", "select printf('%.*c', 100000000, 'x')"],
  ["function", "select length(randomblob(1000000000))"],
  ["function", 'select length("zeroblob"(1000000000))'],
  ["function", "select load_extension('x')"],
  ["function", "select json_patch(name, name) from data"],
  // Recursion.
  ["recursion", "with c(x) as (select 1 union all select x+1 from c) select count(*) from c"],
  ["recursion", 'with "C" as (select 1 x union select x+1 from [c]) select count(*) from c'],
  ["forbidden-word", "with recursive c(x) as (select 1 union all select x+1 from c) select count(*) from c"],
  // Rows upon rows.
  ["too-costly", "select count(*) as n from data a, data b, data c"],
  ["too-costly", "select count(*) as n from data a join data b using (user_id) join data c using (user_id)"],
  [
    "too-costly",
    "select (select count(*) from data b where b.v < a.v and exists (select 1 from data c where c.v > b.v)) as n from data a",
  ],
  ["too-costly", `with ${cross(6)} select count(*) as n from c6`],
  [
    "too-costly",
    `with v(x) as (values ${"(1),".repeat(499)}(1)) select count(*) as n from v a, v b, v c, v d`,
  ],
  ["too-costly", "with x as materialized (select * from data) select count(*) as n from x a, x b, x c"],
  ["too-costly", "select count(*) as n from (select 1 from data a, data b limit 10000000) x, data y"],
  [
    "too-costly",
    "select (with t as (select sum(o.v) s from data i) select count(*) from t a, t b) as n from data o",
  ],
  // What no plan shows: for each row the whole list is gone through.
  ["row-in-list", "select count(*) as n from data where (name, v) not in (select name, v + 1 from data)"],
  // Written out.
  [
    "too-large-when-written-out",
    nest(15, (inner) => `select y+y as y from (${inner})`, "select k as y from data"),
  ],
  ["too-large-when-written-out", `with ${cross(20)} select count(*) as n from c20`],
  [
    "too-large-when-written-out",
    nest(14, (inner) => `select y+y as y from (select * from (${inner}))`, "select k as y from data"),
  ],
  [
    "too-large-when-written-out",
    nest(
      5,
      (inner) => `select y+y as y from (${inner})`,
      `select (select k in (${ones(1_000)})) as y from data`,
    ),
  ],
  [
    "too-large-when-written-out",
    `select k in (${ones(500)}) as z from data where k in (${"z,".repeat(500)} z)`,
  ],
  ["too-large-when-written-out", `select k in (${ones(500)}) as z from data order by ${"1,".repeat(80)} 1`],
  // What SQLite keeps is not written out, but conditions are copied into it, and into what that reads.
  ...[
    (inner: string) => `select distinct y+y as y from (${inner})`,
    (inner: string) => `select y+y as y from (${inner}) group by y+y`,
    (inner: string) => `select y+y as y from (${inner}) except select 1`,
    (inner: string) => `select y+y as y, lag(1) over (partition by y+y) as z from (${inner})`,
  ].map((form): [SqlFault["reason"], string] => [
    "too-large-when-written-out",
    `select y from (${nest(14, form, "select k as y from data")}) where y > 0`,
  ]),
  [
    "too-large-when-written-out",
    `select y from (${nest(14, (inner) => `select y+y as y from (${inner}) group by y+y having y > 0`, "select k as y from data")})`,
  ],
  // `over` is an alias, `limit` no barrier, and `"y:1"` a name that SQLite makes up.
  [
    "too-large-when-written-out",
    nest(15, (inner) => `select abs(y+y) over, y+y as y from (${inner})`, "select k as y from data"),
  ],
  [
    "too-large-when-written-out",
    nest(15, (inner) => `select y+y as y from (${inner}) limit 9`, "select k as y from data"),
  ],
  [
    "too-large-when-written-out",
    nest(15, (inner) => `select 1 as y, "y:1"+"y:1" as y from (${inner})`, "select 1 as y, k as y from data"),
  ],
  ["too-large-when-written-out", nest(15, (inner) => `select y+y y from (${inner})`, "select k y from data")],
  [
    "too-large-when-written-out",
    nest(
      15,
      (inner) => `select "y+y"+"y+y", y+y from (select "y+y" as y from (${inner}))`,
      `select k as "y+y" from data`,
    ),
  ],
  [
    "too-large-when-written-out",
    `with ${names(15, "as not materialized (select y+y as y from")} select y from c15`,
  ],
  // A name of WITH stands for its select in an expression too, where the aggregate is of the select around.
  [
    "too-costly",
    "with t as materialized (select sum(o.v) s from data i) select (select count(*) from t a, t b, t c, t d) as n from data o",
  ],
  // Text.
  [
    "too-costly",
    `select length(${nest(6, (inner) => `replace(${inner}, 'a', 'aaaaaaaaaa')`, "name")}) as n from data`,
  ],
  [
    "too-costly",
    "with a as (select replace(name,'a',name) x from data), b as (select replace(x,'a',x) y from a) select max(length(replace(y,'a',y))) as n from b",
  ],
  [
    "too-costly",
    "select sum(instr(x || x, x || 'b')) as n from (select replace(replace(name, 'a', name), 'a', name) as x from data)",
  ],
  [
    "too-costly",
    `select sum(x like '%a%a_a%a__a%b') as n from (select ${nest(3, (inner) => `replace(${inner}, 'a', name)`, "name")} as x from data)`,
  ],
  [
    "too-costly",
    "select sum(x glob '*[a-z]*[a-z]*[0-9]') as n from (select replace(replace(name, 'a', name), 'a', name) as x from data)",
  ],
  ["too-costly", "select sum(length(g)) as n from data, (select group_concat(name) as g from data) as t"],
  [
    "too-costly",
    "select length(group_concat(g)) as n from (select group_concat(name) over (order by v) as g from data)",
  ],
  [
    "too-costly",
    "select max(length(g)) as n from (select json_group_array(name) over (order by v) as g from data)",
  ],
  [
    "too-costly",
    `select count(*) as n from data where trim(${nest(2, (inner) => `replace(${inner}, 'a', name)`, "name")}, name) = ''`,
  ],
  [
    "too-costly",
    "select count(*) as n from data where unhex(replace(name, 'a', 'zzzzzzzzzz'), replace(name, 'a', 'yyyyyyyyyy') || 'z') = ''",
  ],
  ["too-costly", `select sum(length(${nest(12, (inner) => `hex(${inner})`, "name")})) as n from data`],
  ["too-costly", `select sum(length(strftime('${"%J".repeat(4_000)}', ts))) as n from data`],
  [
    "forbidden-word",
    "select sum(v) over (order by v rows between unbounded preceding and current row exclude current row) as s from data",
  ],
  // What the engine itself refuses.
  ["engine", `select ${"1+".repeat(150)}1 as n`],
  ["engine", `select ${"k union all select ".repeat(6)}k from data`],
  ["engine", `select name like '%${"a".repeat(60)}' as n from data`],
  ["engine", "select sum(9223372036854775807) as n from data"],
  ["engine", "select nosuch from data"],
  ["engine", "select name from data order by name collate nosuch"],
  ["engine", "select json_extract(name, '$.a') as n from data"],
  // Results.
  ["duplicate-column", "select k, K from data"],
  ["duplicate-column", "select a.*, b.* from data a, (select 1 as k) b"],
  ["blob-column", "select x'00' as b from data"],
];

/** Each name of WITH joins the one before with itself: 3 to the power of 2 to the power of `levels` rows. */
export function cross(levels: number): string {
  const names = Array.from({ length: levels }, (_, i) => `c${i + 1} as (select a.x from c${i} a, c${i} b)`);
  return `c0(x) as (values (1),(2),(3)), ${names.join(", ")}`;
}

/** Each name of WITH reads the one before. */
function names(levels: number, form: string): string {
  const all = Array.from({ length: levels }, (_, i) => `c${i + 1} ${form} c${i})`);
  return `c0 as (select k as y from data), ${all.join(", ")}`;
}
