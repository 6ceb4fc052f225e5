/**
 * Random SQL over `data(card, amount, ts, kind)`: mostly such that each entity, a card, is by itself, and at times not.
 * Every select has those four columns, so that any may stand where `data` may.
 */
import fc from "fast-check";

/** Choices out of a list of numbers; the first once it has ended, so that queries end too. */
class Choices {
  readonly #numbers: readonly number[];
  #at = 0;
  #names = 0;
  /** Names of WITH that may be read. */
  readonly ctes: string[] = [];

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  of<T>(...options: readonly T[]): T {
    const number = this.#numbers[this.#at++] ?? 0;
    const option = options[number % options.length];
    if (option === undefined) throw new Error("impossible: no options");
    return option;
  }

  /** One time in `times`. */
  once(times: number): boolean {
    return (this.#numbers[this.#at++] ?? 0) % times === times - 1;
  }

  name(): string {
    this.#names += 1;
    return `t${this.#names}`;
  }
}

export const anySql: fc.Arbitrary<string> = fc
  .array(fc.nat(9_999), { minLength: 30, maxLength: 120 })
  .map((numbers) => query(new Choices(numbers)));

function query(c: Choices): string {
  const ctes: string[] = [];
  for (let left = c.of(0, 0, 1, 2); left > 0; left -= 1) {
    const body = select(c, 1);
    const name = c.name();
    ctes.push(`${name} AS ${c.of("", "", "MATERIALIZED ", "NOT MATERIALIZED ")}(${body})`);
    c.ctes.push(name);
  }
  const body = c.once(6) ? compound(c, 1) : select(c, 2);
  return ctes.length === 0 ? body : `WITH ${ctes.join(", ")} ${body}`;
}

const compound = (c: Choices, depth: number) =>
  `${select(c, depth)} ${c.of("UNION ALL", "UNION", "EXCEPT", "INTERSECT")} ${select(c, depth)}`;

function source(c: Choices, depth: number): string {
  const cte = c.ctes.length > 0 && c.of(true, false) ? c.of(...c.ctes) : null;
  if (cte !== null) return cte;
  if (depth <= 0 || c.of(true, true, false)) return "data";
  return c.once(6) ? `(${compound(c, depth - 1)})` : `(${select(c, depth - 1)})`;
}

function select(c: Choices, depth: number): string {
  const form = c.of(rows, grouped, windowed, joined, newest, grouped, joined);
  const made = form(c, depth);
  return c.once(14) ? `${made} ORDER BY amount, ts LIMIT ${c.of(1, 2, 3)}` : made;
}

/** The key, or what looks like it. */
const key = (c: Choices, table: string) =>
  c.once(18)
    ? c.of(`lower(${table}.card)`, `${table}.kind`, `max(${table}.card)`, `${table}.card || ''`)
    : `${table}.card`;

function rows(c: Choices, depth: number): string {
  const t = c.name();
  const distinct = c.of("", "", "DISTINCT ");
  const columns = c.once(6)
    ? "*"
    : `${key(c, t)} AS card, ${amount(c, t, depth)} AS amount, ${t}.ts, ${t}.kind`;
  return `SELECT ${distinct}${columns} FROM ${source(c, depth)} ${t}${where(c, t, depth)}`;
}

function grouped(c: Choices, depth: number): string {
  const t = c.name();
  const by = c.of(
    `${t}.card`,
    `${t}.card`,
    "1",
    `${t}.card, ${t}.kind`,
    `1, 4`,
    c.of(`${t}.kind`, "4", "lower(1)"),
  );
  const group = c.once(16) ? "" : ` GROUP BY ${by}`;
  const having = c.of("", "", ` HAVING ${c.of("COUNT(*)", `MAX(${t}.amount)`)} > 1`);
  const total = c.of(
    `SUM(${t}.amount)`,
    "COUNT(*)",
    `MAX(${t}.amount)`,
    `COUNT(DISTINCT ${t}.kind)`,
    `SUM(${t}.amount) FILTER (WHERE ${condition(c, t, depth)})`,
    `SUM(${amount(c, t, depth)})`,
    `AVG(${t}.amount) * ${amount(c, t, depth)}`,
    `RANK() OVER (${c.once(4) ? "" : `PARTITION BY ${t}.card `}ORDER BY SUM(${t}.amount))`,
  );
  const ts = c.of(`MAX(${t}.ts)`, `${t}.ts`, `group_concat(${t}.ts)`);
  return `SELECT ${key(c, t)} AS card, ${total} AS amount, ${ts} AS ts, ${t}.kind FROM ${source(c, depth)} ${t}${where(c, t, depth)}${group}${group && having}`;
}

function windowed(c: Choices, depth: number): string {
  const t = c.name();
  const call = c.of(`SUM(${t}.amount)`, "COUNT(*)", "row_number()", `LAG(${t}.amount)`, "PERCENT_RANK()");
  const by = c.once(8)
    ? c.of("", `PARTITION BY ${t}.kind`)
    : c.of(`PARTITION BY ${t}.card`, `PARTITION BY ${t}.kind, ${t}.card`);
  const order = c.of(
    "",
    ` ORDER BY ${t}.ts`,
    ` ORDER BY ${t}.ts DESC, ${t}.amount`,
    ` ORDER BY ${t}.amount ROWS 1 PRECEDING`,
  );
  const [over, window] = c.of([`(${by}${order})`, ""], ["w", ` WINDOW w AS (${by}${order})`]);
  return `SELECT ${t}.card, ${call} OVER ${over} AS amount, ${t}.ts, ${t}.kind FROM ${source(c, depth)} ${t}${where(c, t, depth)}${window}`;
}

function joined(c: Choices, depth: number): string {
  const [a, b] = [c.name(), c.name()];
  const of = c.once(10) ? b : a;
  const join = `${source(c, depth)} ${a} ${c.of("JOIN", "LEFT JOIN", "CROSS JOIN")} ${source(c, depth)} ${b}`;
  const on = c.of(
    `ON ${a}.card = ${b}.card`,
    "USING (card)",
    `ON (${b}.card = ${a}.card) AND ${condition(c, b, depth)}`,
    `ON ${a}.amount BETWEEN 0 AND 2 AND ${a}.card = ${b}.card AND ${a}.rowid < ${b}.rowid`,
    "USING (card, kind)",
    `ON ${c.of(`${a}.kind = ${b}.kind`, `${a}.card = ${b}.card OR ${a}.ts = ${b}.ts`, `${a}.ts = ${b}.ts OR ${a}.kind = 'p' AND ${a}.card = ${b}.card`, `${a}.card <> ${b}.card`, "1")}`,
  );
  const value = c.of(
    `${a}.amount + coalesce(${b}.amount, 0)`,
    `COUNT(${b}.amount)`,
    `SUM(${b}.amount)`,
    `${b}.amount`,
  );
  const isAggregate = /COUNT|SUM/.test(value) && !c.once(12);
  const group = isAggregate ? ` GROUP BY ${c.of(a, a, b)}.card` : "";
  const third = c.once(5) ? ` LEFT JOIN ${source(c, depth)} t0 ON t0.card = ${c.of(a, b)}.card` : "";
  return `SELECT ${of}.card, ${value} AS amount, ${a}.ts, ${c.of(a, b)}.kind FROM ${join} ${on}${third}${where(c, a, depth)}${group}`;
}

function newest(c: Choices, depth: number): string {
  const t = c.name();
  const by = c.once(8) ? "kind" : "card";
  const ranked = `SELECT *, row_number() OVER (PARTITION BY ${by} ORDER BY ${c.of("ts DESC, amount", "rowid DESC", "ts")}) AS place FROM ${c.of("data", source(c, depth))}`;
  return `SELECT card, amount, ts, kind FROM (${ranked}) ${t} WHERE place ${c.of("= 1", "<= 2")}`;
}

function amount(c: Choices, t: string, depth: number): string {
  return c.of(
    () => `${t}.amount`,
    () => `CASE WHEN ${condition(c, t, depth)} THEN ${t}.amount ELSE -1 END`,
    () => `coalesce(${scalar(c, t, depth)}, 0)`,
    () => `${t}.amount * 10 + (SELECT COUNT(*) FROM (VALUES (1), (2)))`,
    () => c.of(`${t}.rowid`, `${t}.amount`, `${t}.amount`),
  )();
}

function scalar(c: Choices, t: string, depth: number): string {
  if (depth <= 0) return `${t}.amount`;
  const u = c.name();
  const value = c.of(
    `MAX(${u}.amount)`,
    `SUM(${u}.amount)`,
    "COUNT(*)",
    `${u}.amount`,
    `SUM(${u}.amount + ${t}.amount)`,
  );
  const tail = c.of("", ` ORDER BY ${u}.ts, ${u}.amount LIMIT 1`, ` GROUP BY ${u}.kind ORDER BY ${u}.kind`);
  return `(SELECT ${value} FROM ${source(c, depth - 1)} ${u} WHERE ${link(c, t, u)}${c.of("", ` AND ${u}.amount <= ${t}.amount`)}${tail})`;
}

/** That rows of `u` are of the entity of `t`, or something like it. */
const link = (c: Choices, t: string, u: string) =>
  c.once(8)
    ? c.of(`${u}.kind = ${t}.kind`, "1", `${u}.card <> ${t}.card`, `${u}.card = card`)
    : c.of(`${u}.card = ${t}.card`, `${t}.card = ${u}.card`, `(${u}.card = ${t}.card AND 1)`);

const where = (c: Choices, t: string, depth: number) =>
  c.of(
    "",
    "",
    ` WHERE ${condition(c, t, depth)}`,
    ` WHERE ${condition(c, t, depth)} AND ${condition(c, t, 0)}`,
  );

function condition(c: Choices, t: string, depth: number): string {
  const simple = () =>
    c.of(`${t}.amount > 1`, `${t}.kind = 'p'`, `${t}.ts IS NOT NULL`, `${t}.amount BETWEEN 1 AND 2`);
  if (depth <= 0) return simple();
  const u = c.name();
  return c.of(
    simple,
    () => `(${simple()} OR ${condition(c, t, depth - 1)})`,
    () =>
      `${c.of("", "NOT ")}EXISTS (SELECT 1 FROM ${source(c, depth - 1)} ${u} WHERE ${link(c, t, u)} AND ${condition(c, u, depth - 1)})`,
    () =>
      `${t}.card ${c.of("IN", "IN", "NOT IN")} (SELECT ${c.once(6) ? `${u}.kind` : `${u}.card`} FROM ${source(c, depth - 1)} ${u}${where(c, u, depth - 1)})`,
    () => `${t}.amount > ${scalar(c, t, depth)}`,
  )();
}
