import { env, exports } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { readSettings } from "../../worker/env.ts";
import { Problem } from "../../worker/errors.ts";
import { problemAnswer } from "../../worker/http/answer.ts";
import { documentKey, entityKey } from "../../worker/keys.ts";
import { Log } from "../../worker/log.ts";
import type { Bookmarks, ConsistencyToken } from "../../worker/serving/consistency.ts";
import { encodeDocument } from "../../worker/serving/document.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { type ReadContext, readEntities, readEntity } from "../../worker/serving/read-entities.ts";
import type { EntityChange } from "../../worker/writing/entity-write.ts";
import { type Submitted, submitChanges } from "../../worker/writing/submit-changes.ts";
import { failBefore, only, type Watched, watched } from "../setup/faults.ts";
import { sleep, until } from "../setup/waiting.ts";
import { cached, newTenant, ref, remove, user, write } from "../setup/writer.ts";

const settings = readSettings(env);
const log = new Log("test", { level: "ERROR", readable: false });
const silent = new Log("test", { level: "ERROR", readable: false });
silent.error = () => {};

type Options = Partial<Pick<ReadContext, "consistency" | "token" | "nowMs" | "settings">>;

/** A reader with its bindings under watch, and what it asked to be done after its answers. */
function readerOf(tenant: string, bindings: Watched) {
  const afterwards: Promise<unknown>[] = [];
  const context = (options: Options): ReadContext => ({
    env: bindings.env,
    settings,
    tenant,
    consistency: "edge",
    token: null,
    log: silent,
    nowMs: Date.now(),
    after: (work) => afterwards.push(work),
    ...options,
  });
  return {
    afterwards,
    one: (value: string, options: Options = {}) => readEntity(context(options), ref(value)),
    many: (values: string[], options: Options = {}) =>
      readEntities(
        context(options),
        values.map((value) => ref(value)),
      ),
    fills: () => Promise.all(afterwards),
  };
}

/** Through the real writers. */
function submit(tenant: string, changes: EntityChange | EntityChange[]): Promise<Submitted> {
  return submitChanges({ env, settings, tenant, log }, [changes].flat(), null);
}

function costs({ cache, database }: Watched) {
  return { cache: cache.map(({ kind }) => kind), database: database.map(({ kind }) => kind) };
}

beforeEach(() => isolateMemory.clear());

describe("one entity", () => {
  test("costs one KV read and one D1 query when cold, one KV read from then on, and nothing while it is remembered", async () => {
    const tenant = newTenant();
    await submit(tenant, write("user-1", { a: { n: 1 }, b: { n: 2 }, c: { n: 3 } }));
    const bindings = watched();
    const reader = readerOf(tenant, bindings);
    const cold = await reader.one("user-1");
    expect(cold).toMatchObject({ source: "d1", revision: 1 });
    expect(cold.document?.categories.size).toBe(3);
    expect(costs(bindings)).toEqual({ cache: ["get"], database: ["query"] });

    bindings.forgetCalls();
    expect(await reader.one("user-1")).toEqual({ ...cold, source: "memory" });
    expect(costs(bindings)).toEqual({ cache: [], database: [] });

    await reader.fills();
    const later = Date.now() + settings.memoryTtlMs + 1;
    expect(await reader.one("user-1", { nowMs: later })).toEqual({ ...cold, source: "kv" });
    expect(costs(bindings)).toEqual({ cache: ["get"], database: [] });
  });

  test("that does not exist costs the same, is not remembered, and is not filled", async () => {
    const bindings = watched();
    const reader = readerOf(newTenant(), bindings);
    for (let i = 0; i < 2; i++) {
      expect(await reader.one("nobody")).toEqual({ document: null, revision: 0, source: "d1" });
    }
    expect(costs(bindings)).toEqual({ cache: ["get", "get"], database: ["query", "query"] });
    expect(reader.afterwards).toEqual([]);
  });

  test("that was deleted has no document, and the revision of its tombstone", async () => {
    const tenant = newTenant();
    await submit(tenant, write("user-1", { a: { n: 1 } }));
    await submit(tenant, remove("user-1"));
    const reader = readerOf(tenant, watched());
    expect(await reader.one("user-1")).toEqual({ document: null, revision: 2, source: "d1" });
    expect(reader.afterwards).toEqual([]);
  });

  test("many misses at once ask for one fill", async () => {
    const tenant = newTenant();
    await submit(tenant, write("user-1", { a: { n: 1 } }));
    const reader = readerOf(tenant, watched({}, { MEMORY_TTL_MS: "0" }));
    await Promise.all(Array.from({ length: 20 }, () => reader.one("user-1")));
    expect(reader.afterwards).toHaveLength(1);
    await reader.fills();
    expect((await cached(tenant, user, settings.writerPartitions))?.revision).toBe(1);
  });

  test("with MEMORY_TTL_MS = 0 is asked of KV every time", async () => {
    const tenant = newTenant();
    await submit(tenant, write("user-1", { a: { n: 1 } }));
    const bindings = watched();
    const reader = readerOf(tenant, bindings);
    const off = { settings: { ...settings, memoryTtlMs: 0 } };
    await reader.one("user-1", off);
    await reader.fills();
    bindings.forgetCalls();
    for (let i = 0; i < 3; i++) expect((await reader.one("user-1", off)).source).toBe("kv");
    expect(costs(bindings)).toEqual({ cache: ["get", "get", "get"], database: [] });
  });

  test("whose document has another form than ours is read from D1, and filled anew", async () => {
    const tenant = newTenant();
    for (const [i, text] of ["not json", "null", "[]", '{"format":0}'].entries()) {
      const value = `user-${i}`;
      await submit(tenant, write(value, { a: { n: 1 } }));
      await env.HOT.put(documentKey(tenant, settings.writerPartitions, ref(value)), text);
      const reader = readerOf(tenant, watched());
      expect((await reader.one(value)).source).toBe("d1");
      await reader.fills();
      expect((await cached(tenant, ref(value), settings.writerPartitions))?.revision).toBe(1);
    }
  });
});

describe("many entities", () => {
  /** As KV has it. */
  const documentText = (categories: string[], data: string) => {
    const rest = {
      eventTime: 1,
      eventTimes: null,
      createdAt: 1,
      updatedAt: 1,
      computeId: null,
      expiresAt: null,
    };
    const all = categories.map((category) => [category, { data, ...rest }] as const);
    return encodeDocument({ revision: 1, categories: new Map(all), size: 0 });
  };

  test("are not too large for the names of their categories", async () => {
    const tenant = newTenant();
    const values = Array.from({ length: 200 }, (_, i) => `user-${i}`);
    const names = Array.from({ length: 200 }, (_, i) => `${i}`.padStart(440, "c"));
    const text = documentText(names, '{"n":1}');
    for (const value of values) {
      await env.HOT.put(documentKey(tenant, settings.writerPartitions, ref(value)), text);
    }
    const reads = await readerOf(tenant, watched()).many(values);
    expect(reads.map(({ source }) => source)).toEqual(Array(200).fill("kv"));
  });

  test.each([
    // 10 MB, then as many more as may be there at once: 24 MiB.
    [100_000, 3],
    // 20 MB, and twice as many would be too many.
    [200_000, 2],
  ])(
    "that are large are fetched a few at a time, and no more once they are too many (%i)",
    async (size, reads) => {
      const tenant = newTenant();
      const values = Array.from({ length: 1_000 }, (_, i) => `user-${i}`);
      const text = documentText(["c"], JSON.stringify({ text: "x".repeat(size) }));
      for (const value of values.slice(0, 300)) {
        await env.HOT.put(await documentKey(tenant, settings.writerPartitions, ref(value)), text);
      }
      const bindings = watched();
      await expect(readerOf(tenant, bindings).many(values)).rejects.toMatchObject({ status: 422 });
      expect(costs(bindings)).toEqual({ cache: Array(reads).fill("bulk get"), database: [] });
    },
  );

  test.each<[string, string | null, number]>([
    ["that there is not", null, 4],
    ["that are small", '{"n":1}', 5],
  ])("that are large are not fetched all at once behind others %s", async (_, before, reads) => {
    const tenant = newTenant();
    const values = Array.from({ length: 1_000 }, (_, i) => `user-${i}`);
    const put = (value: string, data: string) =>
      env.HOT.put(documentKey(tenant, settings.writerPartitions, ref(value)), documentText(["c"], data));
    if (before !== null) for (const value of values.slice(0, 100)) await put(value, before);
    const large = JSON.stringify({ text: "x".repeat(100_000) });
    for (const value of values.slice(100, 600)) await put(value, large);
    const bindings = watched();
    await expect(readerOf(tenant, bindings).many(values)).rejects.toMatchObject({ status: 422 });
    expect(costs(bindings)).toEqual({ cache: Array(reads).fill("bulk get"), database: [] });
  });

  test("a thousand cost ten KV reads and one round trip to D1 for all that is missing", async () => {
    const tenant = newTenant();
    const values = Array.from({ length: 1_000 }, (_, i) => `user-${i}`);
    const isWritten = (i: number) => i % 2 === 0;
    await submit(
      tenant,
      values.flatMap((value, i) => (isWritten(i) ? write(value, { a: { i } }) : [])),
    );
    const bindings = watched();
    const reader = readerOf(tenant, bindings);
    const reads = await reader.many(values);
    expect(costs(bindings)).toEqual({ cache: Array(10).fill("bulk get"), database: ["query"] });
    for (const { keys } of bindings.cache) expect(keys.length).toBeLessThanOrEqual(100);
    reads.forEach(({ document }, i) => {
      expect(document?.categories.get("a")?.data).toBe(isWritten(i) ? `{"i":${i}}` : undefined);
    });
    // One fill for each of the writers that own them.
    expect(reader.afterwards).toHaveLength(settings.writerPartitions);
    await reader.fills();
    bindings.forgetCalls();
    isolateMemory.clear();
    const again = await reader.many(values.filter((_, i) => isWritten(i)));
    expect(new Set(again.map(({ source }) => source))).toEqual(new Set(["kv"]));
    expect(costs(bindings)).toEqual({ cache: Array(5).fill("bulk get"), database: [] });
  });

  test("of several tables are one round trip too", async () => {
    const tenant = newTenant();
    const types = ["bright_uid", "account_id", "device"];
    await submit(
      tenant,
      types.map((type) => write("same", { a: { type } }, { type })),
    );
    const bindings = watched();
    const context = { env: bindings.env, settings, tenant, consistency: "edge", token: null, log } as const;
    const reads = await readEntities(
      { ...context, nowMs: Date.now(), after: () => {} },
      types.map((type) => ref("same", type)),
    );
    expect(reads.map(({ document }) => document?.categories.get("a")?.data)).toEqual(
      types.map((type) => `{"type":"${type}"}`),
    );
    expect(costs(bindings)).toEqual({ cache: ["bulk get"], database: ["batch"] });
  });

  test("come back in the order of the request, duplicates too, each read once", async () => {
    const tenant = newTenant();
    await submit(tenant, [write("a", { c: { at: "a" } }), write("b", { c: { at: "b" } })]);
    const bindings = watched();
    const reader = readerOf(tenant, bindings);
    await reader.one("b");
    bindings.forgetCalls();
    const asked = ["z", "b", "a", "b", "a", "y", "z", "b"];
    const reads = await reader.many(asked);
    expect(
      reads.map(({ document }) => document && JSON.parse(document.categories.get("c")?.data ?? "").at),
    ).toEqual(asked.map((value) => (value < "c" ? value : null)));
    expect(reads.map(({ source }) => source)).toEqual(
      asked.map((value) => (value === "b" ? "memory" : "d1")),
    );
    expect(bindings.cache.flatMap(({ keys }) => keys)).toHaveLength(3);
    expect(costs(bindings).database).toEqual(["query"]);
  });

  test("none cost nothing", async () => {
    const bindings = watched();
    expect(await readerOf(newTenant(), bindings).many([])).toEqual([]);
    expect(costs(bindings)).toEqual({ cache: [], database: [] });
  });
});

describe("a store is down", () => {
  test("KV: reads go on from D1, and no fill is asked for", async () => {
    const tenant = newTenant();
    await submit(tenant, [write("user-1", { a: { n: 1 } }), write("user-2", { a: { n: 2 } })]);
    const reader = readerOf(tenant, watched({ cache: failBefore }));
    expect(await reader.one("user-1")).toMatchObject({ source: "d1", revision: 1 });
    expect((await reader.many(["user-2", "nobody"])).map(({ revision }) => revision)).toEqual([1, 0]);
    expect(reader.afterwards).toEqual([]);
  });

  test("D1: what memory or KV can answer goes on; what it alone can is 503 with Retry-After", async () => {
    const tenant = newTenant();
    await submit(tenant, [
      write("user-1", { a: { n: 1 } }),
      write("user-2", { a: { n: 2 } }),
      write("user-3", {}),
    ]);
    const bindings = watched();
    const reader = readerOf(tenant, bindings);
    await reader.one("user-2");
    await reader.fills();
    isolateMemory.clear();
    await reader.one("user-1");
    bindings.faults = { database: failBefore };
    expect((await reader.many(["user-1", "user-2"])).map(({ source }) => source)).toEqual(["memory", "kv"]);
    const failing = [
      () => reader.one("user-3"),
      () => reader.many(["user-1", "nobody"]),
      () => reader.one("user-1", { consistency: "strong" }),
    ];
    for (const read of failing) {
      const problem = await read().catch((cause: unknown) => cause);
      expect(problem).toBeInstanceOf(Problem);
      const { status, headers, body } = problemAnswer(problem as Problem, "request");
      expect(status).toBe(503);
      expect(Number(headers["retry-after"])).toBeGreaterThan(0);
      expect(body).not.toContain("did not arrive");
    }
  });
});

const UNKNOWN: Bookmarks = new Map([[0, null]]);

describe("consistency", () => {
  const tokenOf = (revision: number, bookmarks: Bookmarks, value = "user-1"): ConsistencyToken => ({
    entity: { key: entityKey(ref(value)), revision },
    bookmarks,
  });

  /** Revision 2 in D1, revision 1 in KV and in memory: another isolate has written. */
  async function behind() {
    const tenant = newTenant();
    const bindings = watched();
    const reader = readerOf(tenant, bindings);
    await submit(tenant, write("user-1", { a: { n: 1 } }));
    await reader.one("user-1");
    await reader.fills();
    const key = documentKey(tenant, settings.writerPartitions, user);
    const old = (await env.HOT.get(key)) ?? "";
    const { bookmarks } = await submit(tenant, write("user-1", { a: { n: 2 } }));
    await until("the writer has put revision 2", async () => (await cached(tenant, user, 4))?.revision === 2);
    await env.HOT.put(key, old);
    bindings.forgetCalls();
    return { tenant, bindings, reader, bookmarks, bookmark: bookmarks.get(0) };
  }

  test("strong never uses a cache and asks the primary", async () => {
    const { bindings, reader } = await behind();
    expect(await reader.one("user-1", { consistency: "strong" })).toMatchObject({
      source: "d1",
      revision: 2,
    });
    expect(await reader.many(["user-1", "user-2"], { consistency: "strong" })).toMatchObject([
      { revision: 2 },
      {},
    ]);
    expect(bindings.cache).toEqual([]);
    expect(bindings.database.map(({ session }) => session)).toEqual(["first-primary", "first-primary"]);
  });

  test("a session is never older than the write of its token, and takes a cached document that is new enough", async () => {
    const { bindings, reader, bookmarks, bookmark } = await behind();
    const session = { consistency: "session", token: tokenOf(2, bookmarks) } as const;
    expect(await reader.one("user-1", session)).toMatchObject({ source: "d1", revision: 2 });
    expect(bindings.database.map((call) => call.session)).toEqual([bookmark]);
    expect(await reader.one("user-1", session)).toMatchObject({ source: "memory", revision: 2 });
    isolateMemory.clear();
    const older = { consistency: "session", token: tokenOf(1, UNKNOWN) } as const;
    expect(await reader.one("user-1", older)).toMatchObject({ source: "kv", revision: 1 });
  });

  test("a token of another entity, or of a bulk write, is held by its bookmark alone", async () => {
    for (const entity of [tokenOf(1, UNKNOWN, "user-2").entity, null]) {
      const { bindings, reader, bookmarks, bookmark } = await behind();
      const token = { entity, bookmarks };
      expect(await reader.one("user-1", { consistency: "session", token })).toMatchObject({
        source: "d1",
        revision: 2,
      });
      expect(bindings.cache).toEqual([]);
      expect(bindings.database.map(({ session }) => session)).toEqual([bookmark]);
    }
  });

  test("a read of many asks D1 once, at the newest of the bookmarks it needs", async () => {
    const { bindings, reader, bookmarks, bookmark } = await behind();
    isolateMemory.clear();
    isolateMemory.noteWrite(documentKey(newTenant(), 4, user), 1, UNKNOWN, Date.now());
    const session = { consistency: "session", token: tokenOf(2, bookmarks) } as const;
    expect(await reader.many(["user-1", "user-2"], session)).toMatchObject([
      { revision: 2 },
      { revision: 0 },
    ]);
    expect(bindings.database.map((call) => call.session)).toEqual([bookmark]);
  });

  test("what was written through this isolate is read through it, though KV is behind and the session's token is older", async () => {
    const { tenant, bindings, reader, bookmarks, bookmark } = await behind();
    isolateMemory.noteWrite(documentKey(tenant, settings.writerPartitions, user), 2, bookmarks, Date.now());
    expect(await reader.one("user-1")).toMatchObject({ source: "d1", revision: 2 });
    isolateMemory.forget(documentKey(tenant, settings.writerPartitions, user));
    const session = { consistency: "session", token: tokenOf(1, UNKNOWN) } as const;
    expect(await reader.one("user-1", session)).toMatchObject({ source: "d1", revision: 2 });
    expect(bindings.database.map((call) => call.session)).toEqual([bookmark, bookmark]);
  });

  test("an answer that a write has overtaken is not remembered", async () => {
    const tenant = newTenant();
    await submit(tenant, write("user-1", { a: { n: 1 } }));
    const slow = watched({
      database: only(
        () => true,
        async (_call, run) => {
          const answer = await run();
          await sleep(200);
          return answer;
        },
        1,
      ),
    });
    const reader = readerOf(tenant, slow);
    const reading = reader.one("user-1");
    await until("the read has left", () => slow.database.length === 1);
    const { bookmarks } = await submit(tenant, write("user-1", { a: { n: 2 } }));
    isolateMemory.noteWrite(documentKey(tenant, settings.writerPartitions, user), 2, bookmarks, Date.now());
    expect((await reading).revision).toBe(1);
    expect((await reader.one("user-1")).revision).toBe(2);
  });
});

test("over HTTP, every read after a write shows it, though at most one document a second reaches KV", async () => {
  const url = "http://store.test/api/v1";
  for (let n = 1; n <= 25; n++) {
    const written = await exports.default.fetch(`${url}/items/own-writes`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ a: { n } }),
    });
    expect(written.status).toBe(200);
    for (let i = 0; i < 2; i++) {
      const read = await exports.default.fetch(`${url}/get/item/own-writes/a`);
      expect(await read.json()).toMatchObject({ features: { data: { n } }, revision: n });
    }
    await sleep(20);
  }
});
