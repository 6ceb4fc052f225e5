import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { currentTable, ROW_COLUMNS, WHOLE_ENTITY } from "../../worker/db/current-rows.ts";
import { type EntityRef, entityKey } from "../../worker/keys.ts";
import { MAX_PACKED_DATA_CHARACTERS } from "../../worker/limits.ts";
import type { EntityWrite, WriteMode } from "../../worker/writing/entity-write.ts";
import { isCommit, watched } from "../setup/faults.ts";
import { inWriterObject, newTenant, ref, remove, resultsOf, user, write } from "../setup/writer.ts";

/** Each of the two built-in types has a table of its own, all others share one. */
const TYPES = ["bright_uid", "account_id", "device"];

type CurrentRow = Record<(typeof ROW_COLUMNS)[number], string | number | null> & { hex: string };

interface WrittenRow {
  entity: string;
  category: string;
  revision: number;
  event_time: number;
  mode: WriteMode;
  data: string;
  hex: string;
  event_id: string | null;
}

/** The current rows of an entity by category, tombstones among them, with the very bytes of their data. */
async function currentRows(tenant: string, entity: EntityRef): Promise<Map<string, CurrentRow>> {
  const table = currentTable(entity.entityType);
  const { results } = await env.DB.prepare(
    `SELECT ${ROW_COLUMNS.join(", ")}, hex(data) AS hex FROM ${table.name} AS t
     WHERE tenant_id = ?1 AND ${table.matches("t", "?2", "?3")} ORDER BY category`,
  )
    .bind(tenant, entity.entityType, entity.entityValue)
    .all<CurrentRow>();
  return new Map(results.map((row) => [String(row.category), row]));
}

/** The history of a tenant, each entity's in the order of its writes, with the very bytes of its data. */
async function writtenRows(tenant: string): Promise<WrittenRow[]> {
  const { results } = await env.DB.prepare(
    `SELECT entity_type || '/' || entity_value AS entity, category, revision, event_time, mode, data,
       hex(data) AS hex, event_id
     FROM feature_history WHERE tenant_id = ? ORDER BY entity, ingested_at, category`,
  )
    .bind(tenant)
    .all<WrittenRow>();
  return results;
}

const hexOf = (text: string) =>
  [...new TextEncoder().encode(text)]
    .map((byte) => byte.toString(16).padStart(2, "0").toUpperCase())
    .join("");

/** Compared by length first: a difference of megabytes would not be readable. */
function expectData(row: { data: string | number | null; hex: string } | undefined, text: string): void {
  expect(typeof row?.data).toBe("string");
  expect(String(row?.data).slice(0, 200)).toBe(text.slice(0, 200));
  expect(String(row?.data).length).toBe(text.length);
  expect(row?.data === text && row.hex === hexOf(text)).toBe(true);
}

/** A write whose data are exactly these texts. */
function writeTexts(
  entity: EntityRef,
  texts: Record<string, string>,
  { mode = "replace", eventTime = null }: { mode?: WriteMode; eventTime?: number | null } = {},
): EntityWrite {
  const made = write(entity.entityValue, {}, { type: entity.entityType });
  const categories = Object.entries(texts).map(([category, data]) => {
    const names = Object.keys(JSON.parse(data));
    return { category, data, names, mode, eventTime, computeId: null, ttlSeconds: null };
  });
  return { ...made, categories };
}

const padded = (start: string, length: number) => `${start}${"x".repeat(length - start.length - 2)}"}`;

/** Data as JSON texts: D1 gets them through JSON, as a parameter or from the history, and none may change them. */
const TEXTS: Record<string, string> = {
  empty: "{}",
  plain: '{"a":1,"b":null,"c":[true,{"d":"e"}]}',
  quotes: String.raw`{"q\"uo'te":"a\"b''c","back\\slash":"\\\\n\\","slash":"\/"}`,
  escapes: String.raw`{"nul":"\u0000","surrogate":"\ud83d","line":"\n\r\t\u2028"}`,
  text: '{"é…☃":"naïve ÅÅ","emoji":"😀👩‍👩‍👧 𝄞","rtl":"שלום","raw line":"\u2028"}',
  numbers: '{"max":9223372036854775807,"min":-9223372036854775808,"one":1.0,"exp":1E+5,"tiny":-0.0}',
  spaces: '{ "a" :  1 ,\n"b":2 }',
  sql: `{"a":"?3 $1 '); DROP TABLE bright_uid; --","data":"ref.data"}`,
  "at the limit": padded('{"a":"é\\"☃😀', MAX_PACKED_DATA_CHARACTERS),
  "over the limit": padded('{"a":"é\\"☃😀', MAX_PACKED_DATA_CHARACTERS + 1),
  long: padded(`{"n":9223372036854775807,"s":"${String.raw`\\\"é`.repeat(40_000)}`, 500_000),
};

describe.concurrent("a current row has the data of its write", () => {
  test.each(TYPES)("byte for byte, also when another write follows: %s", (type) =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const entity = ref("user-1", type);
      const names = Object.keys(TEXTS);
      const turned = (by: number) =>
        Object.fromEntries(names.map((name, i) => [name, TEXTS[names[(i + by) % names.length] ?? ""] ?? ""]));
      for (const by of [0, 1]) {
        const reply = await writer.submit(writeTexts(entity, turned(by)));
        expect(resultsOf(reply)).toMatchObject([{ outcome: "applied", revision: by + 1 }]);
        const rows = await currentRows(tenant, entity);
        expect(rows.size).toBe(names.length);
        for (const [name, text] of Object.entries(turned(by))) expectData(rows.get(name), text);
      }
      const rows = await writtenRows(tenant);
      expect(rows).toHaveLength(2 * names.length);
      for (const row of rows) {
        expect(row.entity).toBe(entityKey(entity));
        expectData(row, turned(row.revision - 1)[row.category] ?? "");
      }
    }),
  );

  test("and not that of another entity, type or category of the same group", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      const refs = [...TYPES, "house"].flatMap((type) => ["1", "2"].map((value) => ref(value, type)));
      const eventTime = 1_700_000_000_000_000;
      const text = (entity: EntityRef, category: string) =>
        JSON.stringify({ of: `${entityKey(entity)} ${category}` });
      const changes = refs.map((entity) =>
        writeTexts(entity, { a: text(entity, "a"), b: text(entity, "b") }, { eventTime }),
      );
      await writer.submit(changes);
      expect(bindings.database.filter(isCommit)).toHaveLength(1);
      for (const entity of refs) {
        const rows = await currentRows(tenant, entity);
        expect([...rows.keys()]).toEqual(["a", "b"]);
        for (const [category, row] of rows) expectData(row, text(entity, category));
      }
      const rows = await writtenRows(tenant);
      expect(rows).toHaveLength(2 * refs.length);
      for (const { entity, category, data } of rows) {
        expect(data).toBe(JSON.stringify({ of: `${entity} ${category}` }));
      }
    }));

  test("and not that of another tenant, which wrote the same at the same time", () => {
    const eventTime = 1_700_000_000_000_000;
    const own = (tenant: string) =>
      inWriterObject(async ({ start }) => {
        const change = writeTexts(user, { a: JSON.stringify({ tenant }) }, { eventTime });
        await start(watched().env).submit(change);
        expectData((await currentRows(tenant, user)).get("a"), JSON.stringify({ tenant }));
      }, tenant);
    return Promise.all([own(newTenant()), own(newTenant())]);
  });
});

describe.concurrent("a merge", () => {
  const long = (start: string) => padded(start, MAX_PACKED_DATA_CHARACTERS + 10_000);
  const big = '"big":"é\\"😀';
  const body = long(`{${big}`).slice(1, -1);

  const cases: [string, string, string, string][] = [
    ["changes what it names", '{"a":1,"b":2}', '{"b":3}', '{"a":1,"b":3}'],
    [
      "adds what it names, every digit of it",
      '{"a":9223372036854775807}',
      '{"é\\"":9007199254740993}',
      '{"a":9223372036854775807,"é\\"":9007199254740993}',
    ],
    // As long as what was written, and not the same.
    ["names all of them in another order", '{"a":1,"b":2}', '{"b":4,"a":3}', '{"a":3,"b":4}'],
    ["is what was there already, and more", '{"a":1}', '{"a":1,"b":2}', '{"a":1,"b":2}'],
    ["names nothing", '{"a":1}', "{}", '{"a":1}'],
    ["of little makes of little something long", `{"a":1}`, `{${body}}`, `{"a":1,${body}}`],
    ["leaves what is long", `{${body},"a":1}`, '{"a":2}', `{${body},"a":2}`],
    ["makes long data short", `{${body},"a":1}`, '{"big":null}', '{"big":null,"a":1}'],
    ["of something long to something long", `{${body}}`, `{"a":1,${body}}`, `{${body},"a":1}`],
  ];

  test.each(cases)("%s: the current row is what came of it, the history what was written", (_, ...texts) =>
    inWriterObject(async ({ start, tenant }) => {
      const [first, second, merged] = texts;
      const writer = start(watched().env);
      const refs = TYPES.map((type) => ref("user-1", type));
      await writer.submit(refs.map((entity) => writeTexts(entity, { c: first }, { eventTime: 1_000_000 })));
      // A remembered state, and one that is read again.
      for (const [own, eventTime] of [
        [writer, 2_000_000],
        [start(watched().env), 3_000_000],
      ] as const) {
        await own.submit(
          refs.map((entity) => writeTexts(entity, { c: second }, { mode: "merge", eventTime })),
        );
        for (const entity of refs) expectData((await currentRows(tenant, entity)).get("c"), merged);
      }
      const rows = await writtenRows(tenant);
      expect(rows).toHaveLength(3 * refs.length);
      for (const row of rows) {
        expect(row.mode).toBe(row.revision === 1 ? "replace" : "merge");
        expectData(row, row.revision === 1 ? first : second);
      }
    }),
  );

  test.each([
    ["short", '{"é":"\\"","n":9223372036854775807}'],
    ["long", `{${body}}`],
  ])("into nothing is what was written: %s", (_, text) =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      for (const type of TYPES) {
        await writer.submit(writeTexts(ref("user-1", type), { c: text }, { mode: "merge" }));
        expectData((await currentRows(tenant, ref("user-1", type))).get("c"), text);
      }
      for (const row of await writtenRows(tenant)) expectData(row, text);
    }),
  );
});

describe.concurrent("several writes of an entity in one transaction", () => {
  const long = padded('{"a":1,"l":"é\\"', MAX_PACKED_DATA_CHARACTERS + 1);
  const grown = `${long.slice(0, -1)},"b":2}`;
  /** Each write as its mode and its data. */
  const cases: [string[], string][] = [
    [['replace {"a":1,"b":2}', 'merge {"b":3}'], '{"a":1,"b":3}'],
    [['merge {"a":1}', 'replace {"b":3}'], '{"b":3}'],
    [['replace {"a":1}', 'replace {"a":2}'], '{"a":2}'],
    [['replace {"a":1}', 'replace {"a":1}'], '{"a":1}'],
    [['merge {"a":1}', 'merge {"b":2}', 'merge {"a":3}'], '{"a":3,"b":2}'],
    [[`replace ${long}`, 'merge {"b":2}'], grown],
    [['merge {"b":2}', `replace ${long}`], long],
    [[`replace ${long}`, 'replace {"a":1}'], '{"a":1}'],
  ];
  const named = cases.map(([texts, end]) => ({
    name: texts.map((text) => text.slice(0, 30)).join(", "),
    writes: texts.map((text) => ({ mode: text.split(" ")[0] as WriteMode, data: text.replace(/^\w+ /, "") })),
    end,
  }));

  test.each(named)("$name: the current row is where they end, the history each of them", ({ writes, end }) =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      const refs = TYPES.map((type) => ref("user-1", type));
      const changes = writes.flatMap(({ mode, data }) =>
        refs.map((entity) => writeTexts(entity, { c: data, other: `{"was":${data.length}}` }, { mode })),
      );
      await writer.submit(changes);
      expect(bindings.database.filter(isCommit)).toHaveLength(1);
      const rows = await writtenRows(tenant);
      for (const entity of refs) {
        const current = await currentRows(tenant, entity);
        expectData(current.get("c"), end);
        expect(current.get("c")?.revision).toBe(writes.length);
        const own = rows.filter((row) => row.entity === entityKey(entity) && row.category === "c");
        expect(own.map(({ mode, revision }) => [mode, revision])).toEqual(
          writes.map(({ mode }, i) => [mode, i + 1]),
        );
        own.forEach((row, i) => {
          expectData(row, writes[i]?.data ?? "");
        });
      }
    }),
  );

  test("each of another category: every row has its own", () =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      await writer.submit([
        writeTexts(user, { a: '{"n":1}', b: '{"n":1}' }),
        writeTexts(user, { b: '{"m":2}' }, { mode: "merge" }),
        writeTexts(user, { c: '{"n":3}' }),
      ]);
      const rows = await currentRows(tenant, user);
      expect([...rows.values()].map(({ category, data, revision }) => [category, data, revision])).toEqual([
        ["a", '{"n":1}', 1],
        ["b", '{"n":1,"m":2}', 2],
        ["c", '{"n":3}', 3],
      ]);
    }));
});

describe.concurrent("a write that comes late", () => {
  const long = padded('{"late":"é\\"', MAX_PACKED_DATA_CHARACTERS + 1);
  const late = { eventTime: 1_000_000 };
  const newer = { eventTime: 2_000_000 };

  test.each(TYPES)("does not touch the current row, and is in the history once: %s", (type) =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const entity = ref("user-1", type);
      await writer.submit(writeTexts(entity, { a: '{"n":1}', b: TEXTS.long ?? "" }, newer));
      const before = await currentRows(tenant, entity);
      const change = writeTexts(entity, { a: long, b: '{"late":2}' }, late);
      // Alone, again, and twice in one group, beside a write that is not late.
      await writer.submit(change);
      await writer.submit(change);
      const reply = await writer.submit([
        change,
        writeTexts(entity, { c: '{"n":3}' }),
        change,
        writeTexts(ref("user-2", type), { a: '{"n":4}' }, late),
      ]);
      expect(resultsOf(reply).map(({ outcome }) => outcome)).toEqual([
        "stale",
        "applied",
        "stale",
        "applied",
      ]);
      const after = await currentRows(tenant, entity);
      expect(after.get("a")).toEqual(before.get("a"));
      expect(after.get("b")).toEqual(before.get("b"));
      expectData(after.get("b"), TEXTS.long ?? "");
      expectData((await currentRows(tenant, ref("user-2", type))).get("a"), '{"n":4}');
      const own = (await writtenRows(tenant)).filter(({ entity: of }) => of === entityKey(entity));
      const lateRows = own.filter(({ event_time: time }) => time === late.eventTime);
      expect(lateRows.map(({ category, event_id }) => [category, event_id])).toEqual([
        ["a", null],
        ["b", null],
      ]);
      expectData(lateRows[0], long);
      expectData(lateRows[1], '{"late":2}');
      expect(own).toHaveLength(5);
    }),
  );

  const merged = (data: string) => writeTexts(user, { a: data }, { ...late, mode: "merge" });
  const replaced = (data: string) => writeTexts(user, { a: data }, late);

  test("is in the history once, though others of the same time say other things", () =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const [one, other] = [merged('{"n":1,"é":1}'), merged(`{"m":${JSON.stringify(long)}}`)];
      await writer.submit(writeTexts(user, { a: '{"n":0,"m":0,"é":0}' }, newer));
      for (const group of [[one], [other], [one], [other], [one, other], [other, one, other], [one, one]]) {
        const reply = await writer.submit(group);
        expect(resultsOf(reply).map(({ outcome }) => outcome)).toEqual(group.map(() => "stale"));
      }
      const rows = (await writtenRows(tenant)).filter(({ event_time: time }) => time === late.eventTime);
      expect(rows).toHaveLength(2);
      for (const [i, { categories }] of [one, other].entries()) {
        if (rows[i]) expectData(rows[i], categories[0]?.data ?? "");
      }
    }));

  test.each([
    ["another value", merged('{"n":1}'), merged('{"m":2,"n":2}')],
    ["a replacement", merged('{"n":1}'), replaced('{"m":2}')],
    ["a merge, where it replaces", replaced('{"n":1}'), merged('{"m":2}')],
  ])("comes again after %s of the same time, and is in the history again: it counts now", (_, one, other) =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      await writer.submit(writeTexts(user, { a: '{"n":0,"m":0}' }, newer));
      for (const group of [[one], [other], [one], [one], [other, one]]) await writer.submit(group);
      const rows = (await writtenRows(tenant)).filter(({ event_time: time }) => time === late.eventTime);
      const datas = [one, other, one, other, one].map(({ categories }) => categories[0]?.data);
      expect(rows.map(({ data }) => data)).toEqual(datas);
    }),
  );

  test("in the same group as what it came after leaves that alone too", () =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      await writer.submit([
        writeTexts(user, { a: '{"n":1}' }, newer),
        writeTexts(user, { a: '{"late":1}' }, late),
      ]);
      expectData((await currentRows(tenant, user)).get("a"), '{"n":1}');
      expect((await writtenRows(tenant)).map(({ data, event_id: id }) => [data, id === null])).toEqual([
        ['{"n":1}', false],
        ['{"late":1}', true],
      ]);
    }));

  test("is in the history of its own entity, though another had the very same", () =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const refs = TYPES.flatMap((type) => ["1", "2"].map((value) => ref(value, type)));
      await writer.submit(refs.map((entity) => writeTexts(entity, { a: '{"n":1}', b: '{"n":1}' }, newer)));
      for (const entity of refs) {
        await writer.submit(writeTexts(entity, { a: '{"late":1}' }, late));
        await writer.submit(writeTexts(entity, { b: '{"late":1}' }, late));
      }
      const found = (await writtenRows(tenant)).filter(({ data }) => data === '{"late":1}');
      expect(found.map(({ entity, category }) => `${entity} ${category}`).toSorted()).toEqual(
        refs.flatMap((entity) => [`${entityKey(entity)} a`, `${entityKey(entity)} b`]).toSorted(),
      );
    }));

  test.each<[string, string, string, string]>([
    ["beside newer ones", '{"n":1}', '{"n":0,"m":0}', '{"n":1,"m":0}'],
    // What comes of it is the very text that was written, though the row's event time is another.
    ["where nothing was", "{}", '{"m":0}', '{"m":0}'],
    ["where nothing was, and long", "{}", long, long],
  ])("and merges features that nobody has set since adds them: %s", (_, first, second, merged) =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      for (const type of TYPES) {
        const entity = ref("user-1", type);
        await writer.submit(writeTexts(entity, { a: first }, { ...newer, mode: "merge" }));
        const reply = await writer.submit(writeTexts(entity, { a: second }, { ...late, mode: "merge" }));
        expect(resultsOf(reply)).toMatchObject([{ outcome: "applied", revision: 2 }]);
        const row = (await currentRows(tenant, entity)).get("a");
        expectData(row, merged);
        expect(row).toMatchObject({ revision: 2, event_time: newer.eventTime });
      }
      const rows = await writtenRows(tenant);
      expect(rows).toHaveLength(2 * TYPES.length);
      for (const row of rows) expectData(row, row.revision === 1 ? first : second);
    }),
  );

  test("twice for the same event time: the later arrival stands, the history has both", () =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const texts = ['{"n":1}', long, '{"n":3}', '{"n":4}'];
      const changes = texts.map((text) => writeTexts(user, { a: text }, newer));
      for (const group of [changes.slice(0, 1), changes.slice(1, 2), changes.slice(2)]) {
        await writer.submit(group);
        expectData((await currentRows(tenant, user)).get("a"), group.at(-1)?.categories[0]?.data ?? "");
      }
      const rows = await writtenRows(tenant);
      expect(rows.map(({ revision }) => revision)).toEqual([1, 2, 3, 4]);
      rows.forEach((row, i) => {
        expectData(row, texts[i] ?? "");
      });
    }));
});

describe.concurrent("a deletion", () => {
  const deletion = (entity: EntityRef, category: string | null = null) => ({
    ...remove(entity.entityValue, category),
    ...entity,
  });
  const short = '{"é":1}';
  const long = TEXTS["over the limit"] ?? "";

  test.each(TYPES)("leaves no data, and what is written after it is there whole: %s", (type) =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const entity = ref("user-1", type);
      await writer.submit(writeTexts(entity, { a: long, b: short }));
      await writer.submit(deletion(entity));
      const gone = await currentRows(tenant, entity);
      expect([...gone.values()].map(({ category, data }) => [category, data])).toEqual([
        [WHOLE_ENTITY, null],
      ]);
      expect(await writtenRows(tenant)).toEqual([]);
      // The same again, the other way round, and by a merge.
      await writer.submit(writeTexts(entity, { a: short, b: long }));
      await writer.submit(writeTexts(entity, { c: long }, { mode: "merge" }));
      const back = await currentRows(tenant, entity);
      expect([...back.keys()]).toEqual([WHOLE_ENTITY, "a", "b", "c"]);
      expect(back.get(WHOLE_ENTITY)).toEqual(gone.get(WHOLE_ENTITY));
      expectData(back.get("a"), short);
      expectData(back.get("b"), long);
      expectData(back.get("c"), long);
      const rows = await writtenRows(tenant);
      expect(rows.map(({ category, revision }) => [category, revision])).toEqual([
        ["a", 3],
        ["b", 3],
        ["c", 4],
      ]);
      for (const row of rows) expectData(row, row.category === "a" ? short : long);
    }),
  );

  test.each(TYPES)("of a category leaves the others as they were: %s", (type) =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const entity = ref("user-1", type);
      await writer.submit(writeTexts(entity, { a: short, b: long }));
      const before = await currentRows(tenant, entity);
      await writer.submit([deletion(entity, "a"), writeTexts(entity, { a: long }, { eventTime: 1_000_000 })]);
      const gone = await currentRows(tenant, entity);
      expect(gone.get("a")).toMatchObject({ data: null, revision: 2 });
      expect(gone.get("b")).toEqual(before.get("b"));
      expect((await writtenRows(tenant)).map(({ category }) => category)).toEqual(["b"]);
      await writer.submit(writeTexts(entity, { a: '{"back":1}' }, { mode: "merge" }));
      const back = await currentRows(tenant, entity);
      expectData(back.get("a"), '{"back":1}');
      expect(back.get("b")).toEqual(before.get("b"));
    }),
  );
});

/** Every text that is bound to a statement of the writer's transactions, on its way to the real D1. */
function recorded(texts: string[]): D1Database {
  const around = <T extends object>(real: T, own: Record<string, unknown>): T =>
    new Proxy(real, {
      get(target, property) {
        const value: unknown = own[String(property)] ?? Reflect.get(target, property);
        return typeof value === "function" && !(String(property) in own) ? value.bind(target) : value;
      },
    });
  return around(env.DB, {
    withSession: (at?: string) => {
      const session = env.DB.withSession(at);
      return around(session, {
        prepare: (sql: string) => {
          const statement = session.prepare(sql);
          return around(statement, {
            bind: (...values: unknown[]) => {
              if (sql.includes("INSERT")) texts.push(...values.filter((value) => typeof value === "string"));
              return statement.bind(...values);
            },
          });
        },
      });
    },
  });
}

describe.concurrent("data that the history row has too", () => {
  const marked = (length: number) => padded('{"s":"needle', length);
  /** How often data of so many characters go to D1 with a write of it. */
  async function timesSent(length: number, mode: WriteMode, before: string | null): Promise<number> {
    return inWriterObject(async ({ start, tenant }) => {
      const texts: string[] = [];
      const writer = start({ ...watched().env, DB: recorded(texts) });
      if (before !== null) await writer.submit(writeTexts(user, { a: before }));
      texts.length = 0;
      await writer.submit(writeTexts(user, { a: marked(length) }, { mode }));
      expect((await currentRows(tenant, user)).get("a")?.data).toContain("needle");
      return texts.join().split("needle").length - 1;
    });
  }

  test.each<[WriteMode, number, string | null, number]>([
    ["replace", 100, null, 1],
    ["replace", MAX_PACKED_DATA_CHARACTERS + 1, null, 1],
    ["replace", 100, '{"b":1}', 1],
    ["merge", 100, null, 1],
    // What comes of it is nowhere else.
    ["merge", 100, '{"b":1}', 2],
    ["merge", MAX_PACKED_DATA_CHARACTERS + 1, '{"b":1}', 2],
  ])(
    "go to D1 once, merged data by themselves: %s of %i characters onto %s",
    async (mode, length, before, times) => {
      expect(await timesSent(length, mode, before)).toBe(times);
    },
  );
});

/** A feature's value as JSON text, a long one among them. */
const VALUES = [
  "1",
  "9223372036854775807",
  '"é\\"😀\\\\"',
  "null",
  `"${"x☃".repeat(20_000)}"`,
  `"${"y".repeat(64_000)}"`,
];

test("any writes in any groups: current rows are what they come to, in order, and the history is all of them", async () => {
  const features = fc.dictionary(fc.constantFrom("a", "b", 'c"\\'), fc.constantFrom(...VALUES), {
    noNullPrototype: true,
    maxKeys: 3,
  });
  const change = fc.record({
    entity: fc.constantFrom(...TYPES, "house").map((type) => ref("same", type)),
    mode: fc.constantFrom<WriteMode>("replace", "merge"),
    values: fc.dictionary(fc.constantFrom("x", "y"), features, { noNullPrototype: true, minKeys: 1 }),
  });
  const textOf = (values: Iterable<[string, string]>) =>
    `{${[...values].map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(",")}}`;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(change, { minLength: 1, maxLength: 6 }), { maxLength: 5 }), (groups) =>
      inWriterObject(async ({ start, tenant }) => {
        const writer = start(watched().env);
        const current = new Map<string, Map<string, string>>();
        const written: string[] = [];
        let eventTime = 1_000_000;
        for (const group of groups) {
          const changes = group.map(({ entity, mode, values }) => {
            eventTime += 1;
            for (const [category, own] of Object.entries(values)) {
              const key = `${entityKey(entity)} ${category}`;
              const before = mode === "merge" ? (current.get(key) ?? []) : [];
              current.set(key, new Map([...before, ...Object.entries(own)]));
              written.push(`${key} ${mode} ${eventTime} ${textOf(Object.entries(own))}`);
            }
            const texts = Object.entries(values).map(([category, own]) => [
              category,
              textOf(Object.entries(own)),
            ]);
            return writeTexts(entity, Object.fromEntries(texts), { mode, eventTime });
          });
          for (const { outcome } of resultsOf(await writer.submit(changes))) expect(outcome).toBe("applied");
        }
        for (const [key, values] of current) {
          const [type = "", value = "", category = ""] = key.split(/[/ ]/);
          expectData((await currentRows(tenant, ref(value, type))).get(category), textOf(values));
        }
        const found = (await writtenRows(tenant)).map(
          ({ entity, category, mode, event_time: at, data }) => `${entity} ${category} ${mode} ${at} ${data}`,
        );
        expect(found.length).toBe(written.length);
        expect(found.toSorted().join("\n") === written.toSorted().join("\n")).toBe(true);
      }),
    ),
    { numRuns: 15 },
  );
});
