/** A write sent twice is one write, and a read is never older than it says. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { settings } from "../../worker/env.ts";
import { partitionOf } from "../../worker/keys.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import {
  type Answer,
  ask,
  type BatchWritten,
  entry,
  expectProblem,
  faultPlaces,
  type Item,
  type Items,
  itemPath,
  itemsBody,
  post,
  readItem,
  remove,
  upsert,
  WRITER,
  type Written,
} from "../setup/http.ts";
import { sleep } from "../setup/waiting.ts";

const TOKEN = "x-consistency-token";
const key = (text: string) => ({ "idempotency-key": text });
const tokenOf = ({ headers }: Answer<unknown>) => headers.get(TOKEN) ?? "";
const withToken = (answer: Answer<unknown>) => ({ [TOKEN]: tokenOf(answer) });

async function historyRows(value: string): Promise<number> {
  const count = env.DB.prepare("SELECT count(*) AS n FROM feature_history WHERE entity_value = ?").bind(
    value,
  );
  return (await count.first<number>("n")) ?? 0;
}

/** Registers what was written as text, in the category `retyped`, with another type. */
async function registeredLate(name: string): Promise<void> {
  const feature = { name, entity_type: "bright_uid", category: "retyped", dtype: "int64", version: 1 };
  expect((await post("/features/register", feature)).status).toBe(201);
}

const revisionOf = async (value: string, category = "c") =>
  (await readItem(value, category, "?consistency=strong")).body.revision;

describe("Idempotency-Key", () => {
  test("the same key and body answers the first response again, with its timestamp and token", async () => {
    const write = () => upsert("idem-1", [entry("c", { a: 1 })], { headers: key("k1") });
    const first = await write();
    await sleep(5);
    const second = await write();
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.text).toBe(first.text);
    expect(tokenOf(second)).toBe(tokenOf(first));
    expect(tokenOf(first)).not.toBe("");
    expect(await historyRows("idem-1")).toBe(1);
    expect(await revisionOf("idem-1")).toBe(1);
  });

  test("it does so when the entity was written otherwise meanwhile", async () => {
    const write = () => upsert("idem-2", [entry("c", { a: "first" })], { headers: key("k2") });
    const first = await write();
    await upsert("idem-2", [entry("c", { a: "second" })]);
    expect((await write()).text).toBe(first.text);
    expect((await readItem("idem-2", "c")).body).toMatchObject({
      revision: 2,
      features: { data: { a: "second" } },
    });
  });

  test("without a key, and with another key, the same body is another write", async () => {
    const list = [entry("c", { a: 1 })];
    await upsert("idem-3", list);
    expect((await upsert("idem-3", list)).body.revision).toBe(2);
    expect((await upsert("idem-3", list, { headers: key("k3-a") })).body.revision).toBe(3);
    expect((await upsert("idem-3", list, { headers: key("k3-b") })).body.revision).toBe(4);
  });

  test("the same key with another body is 422, and nothing is written", async () => {
    await upsert("idem-4", [entry("c", { a: 1 })], { headers: key("k4") });
    const other = await upsert("idem-4", [entry("c", { a: 2 })], { headers: key("k4") });
    expect(expectProblem(other, 422).detail).toMatch(/idempotency-key/i);
    expect((await readItem("idem-4", "c")).body).toMatchObject({ revision: 1, features: { data: { a: 1 } } });
  });

  test("a bulk write answers its first response again, row by row", async () => {
    const data = [
      itemsBody("idem-5", [entry("c", { a: 1 })]).data,
      itemsBody("idem-6", [entry("c", { a: 1 })], { data: { if_revision: 5 } }).data,
      itemsBody("idem-7", [entry("c", { a: 1 })]).data,
      itemsBody("idem-5", [entry("c", { b: 1 }, { mode: "merge" })]).data,
    ];
    const write = () => post<BatchWritten>("/items/batch", { metadata: WRITER, data }, key("k5"));
    const first = await write();
    expect(first.body.results.map(({ outcome }) => outcome)).toEqual([
      "applied",
      "rejected",
      "applied",
      "applied",
    ]);
    // The row that was rejected could be applied by now; the answer is the first one all the same.
    for (let i = 0; i < 5; i++) await upsert("idem-6", [entry("c", { other: i })]);
    const second = await write();
    expect(second.text).toBe(first.text);
    expect(tokenOf(second)).toBe(tokenOf(first));
    expect(await historyRows("idem-5")).toBe(2);
    expect(await revisionOf("idem-6")).toBe(5);
  });

  test("a bulk write that comes again has the same rows refused, and every other row its own result", async () => {
    const type = "declared_late";
    const partition = (entityType: string, entityValue: string) =>
      partitionOf({ entityType, entityValue }, { databases: 1, partitions: settings(env).writerPartitions });
    // Both are written by the same writer.
    let n = 0;
    while (partition("bright_uid", `second-${n}`) !== partition(type, "first")) n += 1;
    const data = [
      { ...itemsBody("first", [entry("c", { a: 1 })]).data, entity_type: type },
      itemsBody(`second-${n}`, [entry("c", { a: 1 })]).data,
    ];
    const send = (name: string) => post<BatchWritten>("/items/batch", { metadata: WRITER, data }, key(name));
    const first = await send("late");
    expect(first.body.results).toMatchObject([
      {
        outcome: "rejected",
        reason: { type: "unknown_entity_type", detail: expect.stringContaining("by registering") },
      },
      { outcome: "applied", revision: 1 },
    ]);
    const declared = { name: "late_feature", entity_type: type, dtype: "int64", version: 1, category: "zz" };
    expect((await post("/features/register", declared)).status).toBe(201);
    const again = await send("late");
    expect(again.text).toBe(first.text);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expectProblem(await readItem("first", "c", `?entity_type=${type}&consistency=strong`), 404);
    expect((await readItem(`second-${n}`, "c", "?consistency=strong")).body.revision).toBe(1);
    // Another key is another request: now the row is taken.
    expect((await send("another")).body.results[0]).toMatchObject({ outcome: "applied", revision: 1 });
  });

  test("a bulk write that comes again has its rows applied, though they would be refused by now", async () => {
    const rows = ["idem-20", "idem-21"].map(
      (value) => itemsBody(value, [entry("retyped", { idem_age: "text" })]).data,
    );
    const write = () => post<BatchWritten>("/items/batch", { metadata: WRITER, data: rows }, key("k20"));
    const first = await write();
    expect(first.body.results.map(({ outcome }) => outcome)).toEqual(["applied", "applied"]);
    await registeredLate("idem_age");
    const again = await write();
    expect(again.text).toBe(first.text);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    const other = await post<BatchWritten>("/items/batch", { metadata: WRITER, data: rows }, key("k21"));
    expect(other.body.results.map(({ outcome }) => outcome)).toEqual(["rejected", "rejected"]);
  });

  test("a bulk write of which a part would be refused by now says that it has come again", async () => {
    const { data } = itemsBody("idem-22", [entry("c", { a: 1 })]);
    const rows = [data, { ...data, feature_list: [entry("retyped", { idem_size: "text" })] }];
    const write = () => post<BatchWritten>("/items/batch", { metadata: WRITER, data: rows }, key("k22"));
    const first = await write();
    expect(first.headers.get("idempotency-replayed")).toBeNull();
    await registeredLate("idem_size");
    const again = await write();
    expect(again.text).toBe(first.text);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(tokenOf(again)).toBe(tokenOf(first));
  });

  test("a bulk write of which every row is refused answers its first response again", async () => {
    const data = [{ ...itemsBody("idem-26", [entry("c", { a: 1 })]).data, entity_type: "not_declared" }];
    const write = () => post<BatchWritten>("/items/batch", { metadata: WRITER, data }, key("k26"));
    const first = await write();
    expect([first.status, first.body.results[0]?.outcome]).toEqual([200, "rejected"]);
    expect(first.headers.get("idempotency-replayed")).toBeNull();
    await sleep(5);
    const again = await write();
    expect(again.text).toBe(first.text);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
  });

  test("a refusal comes again with its reason of then, and says so", async () => {
    const body = itemsBody("idem-27", [entry("c", { a: 1 })]);
    const routes = {
      write: () => post("/items", { ...body, data: { ...body.data, if_revision: 1 } }, key("k27")),
      deletion: () => ask("DELETE", "/entities/bright_uid/idem-27", { headers: key("k28") }),
    };
    const first = { write: await routes.write(), deletion: await routes.deletion() };
    expect((await upsert("idem-27", [entry("c", { a: 0 })])).body.revision).toBe(1);
    for (const [route, status] of [
      ["write", 409],
      ["deletion", 404],
    ] as const) {
      const again = expectProblem(await routes[route](), status, route);
      expect(again.detail).toBe(expectProblem(first[route], status, route).detail);
      expect(first[route].headers.get("idempotency-replayed"), route).toBeNull();
      expect((await routes[route]()).headers.get("idempotency-replayed"), route).toBe("true");
    }
  });

  test("a write that comes again is answered as the first time, though it would be refused by now", async () => {
    const list = [entry("retyped", { idem_weight: "text" })];
    const routes = {
      long: () => upsert("idem-23", list, { headers: key("k23") }),
      short: () => post<Written>("/items/idem-24", { retyped: { idem_weight: "text" } }, key("k24")),
    };
    const first = { long: await routes.long(), short: await routes.short() };
    expect([first.long.status, first.short.status]).toEqual([200, 200]);
    await registeredLate("idem_weight");
    for (const route of ["long", "short"] as const) {
      const again = await routes[route]();
      expect(again.text, route).toBe(first[route].text);
      expect(again.headers.get("idempotency-replayed"), route).toBe("true");
      expect(tokenOf(again), route).toBe(tokenOf(first[route]));
    }
    expect(await historyRows("idem-23")).toBe(1);
    // Another request is refused: with the key of the first, with one that is new, and without.
    for (const headers of [key("k23"), key("k25"), {}]) {
      expectProblem(await upsert("idem-23", [...list, entry("c", { a: 1 })], { headers }), 422);
    }
    expect((await upsert("idem-23", [entry("c", { a: 1 })], { headers: key("k25") })).status).toBe(200);
  });

  test("a bulk write of another body under the same key is 422", async () => {
    const bulk = (a: number) => ({ metadata: WRITER, data: [itemsBody("idem-8", [entry("c", { a })]).data] });
    await post("/items/batch", bulk(1), key("k8"));
    expectProblem(await post("/items/batch", bulk(2), key("k8")), 422);
    expect((await readItem("idem-8", "c")).body.features.data).toEqual({ a: 1 });
  });

  test("many at the same time are one write, and all get its answer", async () => {
    const write = () => upsert("idem-9", [entry("c", { a: 1 })], { headers: key("k9") });
    const answers = await Promise.all(Array.from({ length: 10 }, write));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers[0]?.body).toMatchObject({ revision: 1, outcome: "applied" });
    expect(await historyRows("idem-9")).toBe(1);
  });

  test("of two bodies under one key at the same time one is written, the other is 422", async () => {
    const answers = await Promise.all(
      [1, 2].map((a) => upsert("idem-10", [entry("c", { a })], { headers: key("k10") })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 422]);
    expect(await historyRows("idem-10")).toBe(1);
  });

  test("a key is one key of the tenant, whatever entity or route it is used for", async () => {
    expect((await upsert("idem-14", [entry("c", { a: 1 })], { headers: key("k14") })).status).toBe(200);
    // Enough entities that some of them belong to each of the writers.
    for (let i = 0; i < 12; i++) {
      const other = `idem-14-${i}`;
      expectProblem(await upsert(other, [entry("c", { a: 1 })], { headers: key("k14") }), 422, other);
      expectProblem(await post(`/items/${other}`, { c: { a: 1 } }, key("k14")), 422, other);
      expectProblem(await readItem(other, "c"), 404, other);
    }
    expectProblem(await remove("/entities/bright_uid/idem-14", key("k14")), 422);
    expect((await readItem("idem-14", "c")).status).toBe(200);
  });

  test("of a bulk write that is refused for its key no row is written", async () => {
    const bulk = (ids: string[]) => ({
      metadata: WRITER,
      data: ids.map((id) => itemsBody(id, [entry("c", { of: ids.length })]).data),
    });
    await post("/items/batch", bulk(["idem-15-0", "idem-15-1"]), key("k15"));
    const ids = Array.from({ length: 12 }, (_, i) => `idem-15-${i + 1}`);
    expectProblem(await post("/items/batch", bulk(ids), key("k15")), 422);
    expect((await readItem("idem-15-1", "c")).body.features.data).toEqual({ of: 2 });
    for (const id of ids.slice(1)) expectProblem(await readItem(id, "c"), 404, id);
  });

  test("it holds for the shorter route too", async () => {
    const write = (body: unknown) => post<Written>("/items/idem-11", body, key("k11"));
    const first = await write({ c: { a: 1 } });
    expect((await write({ c: { a: 1 } })).text).toBe(first.text);
    expectProblem(await write({ c: { a: 2 } }), 422);
    expect(await revisionOf("idem-11")).toBe(1);
  });

  test("a deletion sent twice answers what it removed, twice", async () => {
    await upsert("idem-12", [entry("c", { a: 1 })]);
    const erase = () => remove("/entities/bright_uid/idem-12", key("k12"));
    const first = await erase();
    const second = await erase();
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.text).toBe(first.text);
  });

  test("a request that was refused does not use its key up", async () => {
    expectProblem(await upsert("idem-13", [], { headers: key("k13") }), 422);
    expect((await upsert("idem-13", [entry("c", { a: 1 })], { headers: key("k13") })).status).toBe(200);
  });
});

const routes: [
  string,
  (value: string, mode: string, headers?: Record<string, string>) => Promise<Answer<Item | Items>>,
][] = [
  [
    "GET /get/item",
    (value, mode, headers = {}) =>
      ask("GET", itemPath(value, "c", mode && `?consistency=${mode}`), { headers }),
  ],
  [
    "POST /get/items",
    (value, mode, headers = {}) =>
      post(
        "/get/items",
        { data: { entity_value: value, feature_list: ["c:*"], ...(mode && { consistency: mode }) } },
        headers,
      ),
  ],
  [
    "POST /get/item/{id}",
    (value, mode, headers = {}) =>
      post(`/get/item/${value}${mode && `?consistency=${mode}`}`, { c: ["n"] }, headers),
  ],
];

/** The entity's hot-cache document: its key and text, once the writer has put it. */
async function cachedDocument(value: string): Promise<{ name: string; text: string }> {
  const find = async () => (await env.HOT.list()).keys.find(({ name }) => name.endsWith(`/${value}`))?.name;
  await expect.poll(find, { timeout: 5_000 }).toBeTruthy();
  const name = (await find()) ?? "";
  return { name, text: (await env.HOT.get(name)) ?? "" };
}

/** What another isolate is like: it remembers neither documents nor writes of this one. */
const forget = () => isolateMemory.clear();

describe.each(routes)("consistency of %s", (route, read) => {
  const value = (name: string) => `${name}-${routes.findIndex(([title]) => title === route)}`;

  test("a session read is never older than the write whose token it brings", async () => {
    for (let n = 1; n <= 15; n++) {
      const written = await upsert(value("session"), [entry("c", { n })]);
      if (n % 3 === 0) forget();
      const { status, body, text } = await read(value("session"), "session", withToken(written));
      expect(status).toBe(200);
      expect(body.revision).toBe(n);
      expect(text).toContain(`"n":${n}`);
    }
  });

  test("a session read may be answered by a cached document at or past the revision", async () => {
    const id = value("fresh");
    const written = await upsert(id, [entry("c", { n: 1 })]);
    forget();
    await read(id, "");
    await cachedDocument(id);
    forget();
    const session = await read(id, "session", withToken(written));
    expect(session.body).toMatchObject({ revision: 1, source: "kv" });
    expect((await read(id, "session", withToken(written))).body.source).toBe("memory");
  });

  test("the token of a bulk write holds for each of its entities", async () => {
    const ids = [1, 2, 3, 4, 5].map((n) => `${value("bulk")}-${n}`);
    const data = (n: number) => ids.map((id) => itemsBody(id, [entry("c", { n })]).data);
    await post("/items/batch", { metadata: WRITER, data: data(1) });
    const written = await post("/items/batch", { metadata: WRITER, data: data(2) });
    for (const id of ids) {
      forget();
      const { body } = await read(id, "session", withToken(written));
      expect(body.revision).toBe(2);
    }
  });

  test("`session` without a token is 422", async () => {
    await upsert(value("bare"), [entry("c", { n: 1 })]);
    expect(expectProblem(await read(value("bare"), "session"), 422).detail).toMatch(/x-consistency-token/i);
  });

  test("an unknown consistency is 422, naming its place", async () => {
    const [place] = faultPlaces(expectProblem(await read(value("bare"), "eventual"), 422));
    expect(place).toMatch(/^(query|body\.data)\.consistency$/);
  });

  test("nonsense in place of a token is 422", async () => {
    await upsert(value("bare"), [entry("c", { n: 1 })]);
    const nonsense = [
      "nonsense",
      "0",
      "null",
      "%%%",
      "a".repeat(4_000),
      btoa("null"),
      btoa("{}"),
      btoa("[]"),
      btoa(`["bright_uid/x",1]`),
      btoa(`["bright_uid/x","1","00000001"]`),
      btoa(`["bright_uid/x",1.5,null]`),
      btoa(`["bright_uid/x",1,"'; DROP TABLE bright_uid; --"]`),
      btoa(`[null,null,"first-primary' --"]`),
    ];
    for (const text of nonsense) {
      const problem = expectProblem(await read(value("bare"), "session", { [TOKEN]: text }), 422, text);
      expect(problem.detail).not.toContain(text.slice(0, 100));
    }
  });

  test("a token that somebody made up is the caller's fault at most, never an answer of 500", async () => {
    await upsert(value("bare"), [entry("c", { n: 1 })]);
    const own = `bright_uid/${value("bare")}`;
    for (const parts of [
      [null, null, "abc"],
      [null, null, "-"],
      [null, null, "ffffffff-ffffffff-ffffffff-ffffffffffffffffffffffffffffffff"],
      [own, 999, "abc"],
      [own, 999, null],
      [own, -1, null],
      [own, 1, "0"],
    ]) {
      forget();
      const made = btoa(JSON.stringify(parts)).replaceAll("=", "");
      const { status, text } = await read(value("bare"), "session", { [TOKEN]: made });
      expect([200, 422], `${JSON.stringify(parts)} ${text}`).toContain(status);
    }
  });

  test("the first read comes from the database, the next from memory, and both say so", async () => {
    const id = value("source");
    await upsert(id, [entry("c", { n: 1 })]);
    const first = await read(id, "");
    const second = await read(id, "");
    expect([first.body.source, second.body.source]).toEqual(["d1", "memory"]);
    expect([first.body.revision, second.body.revision]).toEqual([1, 1]);
    expect((await read(id, "strong")).body.source).toBe("d1");
  });

  test("a write is seen at once where it was made, whatever memory holds", async () => {
    const id = value("own");
    for (let n = 1; n <= 10; n++) {
      await upsert(id, [entry("c", { n })]);
      expect((await read(id, "")).body.revision).toBe(n);
      expect((await read(id, "")).text).toContain(`"n":${n}`);
    }
  });

  test("another isolate reads the document of the hot cache once somebody has read the entity", async () => {
    const id = value("hot");
    await upsert(id, [entry("c", { n: 1 })]);
    forget();
    await read(id, "");
    await cachedDocument(id);
    forget();
    expect((await read(id, "")).body).toMatchObject({ revision: 1, source: "kv" });
  });

  test("an entity that does not exist causes no KV write", async () => {
    const before = (await env.HOT.list()).keys.length;
    for (let i = 0; i < 5; i++) expectProblem(await read(value(`nobody${i}`), ""), 404);
    await sleep(50);
    expect((await env.HOT.list()).keys.length).toBe(before);
  });
});

describe("a cached document from before a write", () => {
  /** Writes revision 1, has it cached, does `change`, and puts the old document back: KV that lags behind. */
  async function lagging<T>(value: string, change: () => Promise<T>): Promise<T> {
    await upsert(value, [entry("c", { n: 1 })]);
    forget();
    await readItem(value, "c");
    const old = await cachedDocument(value);
    const changed = await change();
    // The writer has its say first: it puts, or deletes, at most once a second.
    await expect.poll(() => env.HOT.get(old.name), { timeout: 5_000 }).not.toBe(old.text);
    await env.HOT.put(old.name, old.text);
    return changed;
  }
  const rewrite = (value: string) => () => upsert(value, [entry("c", { n: 2 })]);

  test("is passed over by a session read, with or without its name, and by a strong one", async () => {
    const written = await lagging("lag-1", rewrite("lag-1"));
    for (const [route, read] of routes) {
      for (const mode of ["session", "", "strong"]) {
        forget();
        const { body, text } = await read("lag-1", mode, mode === "strong" ? {} : withToken(written));
        expect(body, `${route} ${mode}`).toMatchObject({ revision: 2, source: "d1" });
        expect(text).toContain(`"n":2`);
      }
      forget();
      // The control: without a token the old document is a right answer, so those reads had it to pass over.
      expect((await read("lag-1", "edge")).body, route).toMatchObject({ revision: 1, source: "kv" });
    }
  });

  test("is passed over by a session read with the token of another entity's later write", async () => {
    await lagging("lag-2", rewrite("lag-2"));
    const elsewhere = await upsert("lag-2-elsewhere", [entry("c", { n: 1 })]);
    for (const [route, read] of routes) {
      forget();
      expect((await read("lag-2", "session", withToken(elsewhere))).body, route).toMatchObject({
        revision: 2,
      });
    }
  });

  test("is passed over by a session read with the token of a bulk write", async () => {
    const data = [itemsBody("lag-3", [entry("c", { n: 2 })]).data];
    const written = await lagging("lag-3", () => post("/items/batch", { metadata: WRITER, data }));
    for (const [route, read] of routes) {
      forget();
      expect((await read("lag-3", "session", withToken(written))).body, route).toMatchObject({ revision: 2 });
    }
  });

  test("does not bring a deleted entity back for who has the deletion's token, or asks the primary", async () => {
    const erased = await lagging("lag-4", () => remove("/entities/bright_uid/lag-4"));
    expect(erased.status).toBe(200);
    for (const [route, read] of routes) {
      forget();
      expectProblem(await read("lag-4", "session", withToken(erased)), 404, route);
      forget();
      expectProblem(await read("lag-4", "strong"), 404, route);
    }
  });

  test("is never answered by the isolate that made the write", async () => {
    await lagging("lag-5", rewrite("lag-5"));
    for (const [route, read] of routes) {
      expect((await read("lag-5", "")).body, route).toMatchObject({ revision: 2 });
    }
  });
});
