/** SQL over `data(customer, ts, amount, text)` of 10,000 rows with 2,000 characters each, and whether it runs. */
export const KEEPING: ["runs" | "too-much-memory" | "too-costly", sql: string][] = [
  // A number or a few characters of each text are kept, or the text once.
  [
    "runs",
    "select customer, count(*) as n, sum(length(text)) as s, avg(length(text)) as a, max(length(text)) as m, min(instr(text, '1')) as i, sum(text like '%1') as l from data group by customer",
  ],
  [
    "runs",
    "select customer, sum(case when text like '%01' then amount else 0 end) as a, sum(case when instr(text, '02') then amount else 0 end) as b, sum(case when text glob '*3' then 1 else 0 end) as c from data group by customer order by 2 desc",
  ],
  ["runs", "select customer, ts, length(text) as n, substr(text, 1, 10) as head from data order by ts"],
  [
    "runs",
    "select customer, upper(substr(text, 1, 20)) as head, text > 'b' as late from data order by customer, ts desc",
  ],
  [
    "runs",
    "select customer, n from (select customer, length(text) as n, row_number() over (partition by customer order by ts desc) as r from data) where r = 1",
  ],
  [
    "runs",
    "select customer, length(text) as n, lag(amount) over (partition by customer order by ts) as before, avg(amount) over (partition by customer order by ts) as mean from data",
  ],
  ["runs", "select distinct substr(text, 1, 10) as head from data"],
  ["runs", "select customer, count(distinct substr(text, -4)) as n from data group by customer"],
  [
    "runs",
    "select substr(text, 1, 8) as head, count(*) as n from data group by substr(text, 1, 8) order by n desc",
  ],
  [
    "runs",
    "with lengths as (select customer, length(text) as n from data), means as (select customer, avg(n) as mean from lengths group by customer) select lengths.customer, sum(n > mean) as longer from lengths join means using (customer) group by 1",
  ],
  ["runs", "select customer, max(text) as last from data group by customer having length(max(text)) > 5"],
  // The texts themselves, more than once or made longer.
  ["too-much-memory", "select text as a, text || 'b' as b from data order by ts"],
  ["too-much-memory", "select customer, hex(text) as h, text as t from data order by ts"],
  ["too-much-memory", "select distinct text || text || text as t from data"],
  [
    "too-much-memory",
    "with t as materialized (select *, text || ts as u, ts || text as v from data) select count(*) as n from t",
  ],
  [
    "too-much-memory",
    "select count(*) as n from (select text from data union select text || '1' from data union select text || '2' from data)",
  ],
  [
    "too-much-memory",
    "select length(text) as n, lag(amount) over (order by ts) as a, lag(amount) over (order by customer) as b, lag(amount) over (order by amount) as c from data",
  ],
  [
    "too-much-memory",
    "select customer, json_group_array(text) as a, json_group_array(text || 'b') as b from data group by customer",
  ],
  [
    "too-costly",
    "select customer, length(group_concat(replace(text, 'a', text))) as n from data group by customer",
  ],
];
