import { listDurableObjectIds } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { partitionOf, writerName } from "../../worker/keys.ts";
import { Log } from "../../worker/log.ts";
import { DocumentKeeper } from "../../worker/writing/document-keeper.ts";
import { failBefore, isPut, only, watched } from "../setup/faults.ts";
import { get, post } from "../setup/http.ts";
import { sleep, until } from "../setup/waiting.ts";
import {
  cached,
  inWriterObject,
  newTenant,
  ref,
  remove,
  resultsOf,
  stored,
  user,
  write,
} from "../setup/writer.ts";

afterEach(() => vi.useRealTimers());

describe.concurrent("the documents of a writer", () => {
  test("a document is made only for an entity that somebody has read", () =>
    inWriterObject(async ({ start, tenant, documents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await sleep(50);
      expect(bindings.cache).toEqual([]);
      await writer.fill(user);
      expect(await cached(tenant, user)).toEqual(await stored(tenant, user));
      expect(documents()).toEqual([{ entity: "bright_uid/user-1", dirty: 0 }]);
    }));

  test("an id that does not exist costs no KV write, whoever asks for its document", () =>
    inWriterObject(async ({ start, documents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.fill(user, ref("user-2", "account_id"));
      expect(await writer.invalidate(user)).toBe(false);
      await writer.submit(remove("user-1"));
      expect(bindings.cache).toEqual([]);
      expect(documents()).toEqual([]);
    }));

  test("reading an id that does not exist makes no object and no KV key", async () => {
    // A tenant of its own: the runtime lists objects of earlier files as well.
    await post("/admin/tenants", { name: "Reads nothing", tenant_id: "reads-nothing" });
    const scopes = ["read"];
    const { body: made } = await post<{ key: string }>("/admin/tenants/reads-nothing/keys", {
      name: "k",
      scopes,
    });
    const read = () => get("/get/item/nobody/any", { "x-api-key": made.key });
    for (const answer of [await read(), await read()]) expect(answer.status).toBe(404);
    await sleep(50);
    const owner = writerName("reads-nothing", 4, partitionOf(ref("nobody"), { databases: 1, partitions: 4 }));
    const ids = (await listDurableObjectIds(env.ENTITY_WRITER)).map((id) => id.toString());
    expect(ids).not.toContain(env.ENTITY_WRITER.idFromName(owner).toString());
    expect((await env.HOT.list({ prefix: "reads-nothing/doc" })).keys).toEqual([]);
  });

  test("the writer keeps a filled document current, at most one put a second, the last state last", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 0 } }));
      await writer.fill(user);
      for (let n = 1; n <= 30; n++) {
        await writer.submit(write("user-1", { a: { n } }));
        await sleep(40);
      }
      await until("KV shows revision 31", async () => (await cached(tenant, user))?.revision === 31);
      expect(await cached(tenant, user)).toEqual(await stored(tenant, user));
      const puts = bindings.cache.filter(isPut).map(({ atMs }) => atMs);
      expect(puts.length).toBeLessThan(15);
      for (const [i, atMs] of puts.slice(1).entries())
        expect(atMs - (puts[i] ?? 0)).toBeGreaterThanOrEqual(1_000);
    }));

  test("a slow reader's fill cannot put an old document over a newer one", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      // The fill has encoded revision 1 and is on its way to KV when revision 2 is committed.
      bindings.faults = {
        cache: only(
          isPut,
          async (_call, run) => {
            await sleep(1_500);
            return run();
          },
          1,
        ),
      };
      const filling = writer.fill(user);
      await until("the put is on its way", () => bindings.cache.some(isPut));
      await writer.submit(write("user-1", { a: { n: 2 } }));
      await filling;
      await until("KV shows revision 2", async () => (await cached(tenant, user))?.revision === 2);
      await sleep(1_200);
      expect(await cached(tenant, user)).toEqual(await stored(tenant, user));
      expect(bindings.cache.filter(isPut)).toHaveLength(2);
    }));

  test("a fill that meets a write half-way ends with the newer state", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      await start(bindings.env).submit(write("user-1", { a: { n: 1 } }));
      // A new instance knows nothing: the fill has to ask D1, and the answer is slow.
      const writer = start(bindings.env);
      bindings.faults = {
        database: only(
          ({ writes }) => !writes,
          async (_call, run) => {
            const answer = await run();
            await sleep(300);
            return answer;
          },
          1,
        ),
      };
      const filling = writer.fill(user);
      await sleep(50);
      expect(resultsOf(await writer.submit(write("user-1", { a: { n: 2 } })))).toMatchObject([
        { revision: 2 },
      ]);
      await filling;
      expect((await cached(tenant, user))?.revision).toBe(2);
    }));

  test("KV failing: the write is acknowledged, the debt is durable, and the alarm of a later instance pays it", () =>
    inWriterObject(async ({ start, tenant, documents, intents, state }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.fill(user);
      bindings.faults = { cache: failBefore };
      expect(resultsOf(await writer.submit(write("user-1", { a: { n: 2 } })))).toMatchObject([
        { outcome: "applied", revision: 2 },
      ]);
      await until("the debt is written down", () => documents().some(({ dirty }) => dirty === 1));
      await until("the debt has taken the intent's place", () => intents() === 0);
      expect((await cached(tenant, user))?.revision).toBe(1);
      expect(await state.storage.getAlarm()).toBeGreaterThan(Date.now());

      bindings.faults = {};
      await start(bindings.env).alarm();
      expect((await cached(tenant, user))?.revision).toBe(2);
      expect(documents()).toEqual([{ entity: "bright_uid/user-1", dirty: 0 }]);
    }));

  test("a debt outlives a fill that dies before its put", () =>
    inWriterObject(async ({ start, tenant, documents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.fill(user);
      bindings.faults = { cache: failBefore };
      await writer.submit(write("user-1", { a: { n: 2 } }));
      await until("the debt is written down", () => documents().some(({ dirty }) => dirty === 1));
      bindings.faults = { cache: () => new Promise(() => {}) };
      void writer.fill(user);
      await sleep(100);

      bindings.faults = {};
      await start(bindings.env).alarm();
      expect((await cached(tenant, user))?.revision).toBe(2);
    }));

  test("deleting an entity removes its document, also when KV is down at first", () =>
    inWriterObject(async ({ start, tenant, documents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit([write("user-1", { a: { n: 1 } }), write("user-2", { a: { n: 1 } })]);
      await writer.fill(user, ref("user-2"));
      expect(resultsOf(await writer.submit(remove("user-1")))).toMatchObject([
        { outcome: "deleted", cached: true, history: 1, categories: ["a"] },
      ]);
      await until("the document is gone", async () => (await cached(tenant, user)) === null);
      bindings.faults = { cache: failBefore };
      await writer.submit(remove("user-2"));
      await until("the debt is written down", () => documents().some(({ dirty }) => dirty === 1));
      bindings.faults = {};
      await start(bindings.env).alarm();
      expect(await cached(tenant, ref("user-2"))).toBeNull();
      expect(documents()).toEqual([]);
    }));

  test("deleting one category leaves the document of the others", () =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      await writer.submit(write("user-1", { a: { n: 1 }, b: { n: 2 } }));
      await writer.fill(user);
      await writer.submit(remove("user-1", "a"));
      await until(
        "the document has one category",
        async () => (await cached(tenant, user))?.categories.size === 1,
      );
      expect(await cached(tenant, user)).toEqual(await stored(tenant, user));
    }));

  test("one that is larger than KV takes is not put", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      // Each is 900 KB as JSON, and twice that as JSON within the document.
      const text = '"'.repeat(450_000);
      const categories = Array.from({ length: 14 }, (_, i) => [`c${i}`, { text }] as const);
      await writer.submit(write("user-1", Object.fromEntries(categories)));
      await writer.fill(user);
      expect(bindings.cache.filter(({ kind }) => kind === "put")).toEqual([]);
      expect(await cached(tenant, user)).toBeNull();
    }));

  test("invalidating removes the document until somebody reads the entity again", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.fill(user);
      expect(await writer.invalidate(user)).toBe(true);
      expect(await cached(tenant, user)).toBeNull();
      expect(await writer.invalidate(user)).toBe(false);
      await writer.submit(write("user-1", { a: { n: 2 } }));
      await sleep(50);
      expect(await cached(tenant, user)).toBeNull();
      await writer.fill(user);
      expect((await cached(tenant, user))?.revision).toBe(2);
    }));

  test("a crash while a document is being invalidated leaves none that no writer keeps current", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.fill(user);
      bindings.faults = { cache: () => new Promise(() => {}) };
      void writer.invalidate(user);
      await until("the removal is on its way", () => bindings.cache.some(({ kind }) => kind === "delete"));

      bindings.faults = {};
      const next = start(bindings.env);
      await next.alarm();
      await next.submit(write("user-1", { a: { n: 2 } }));
      await until("KV shows no old state", async () => (await cached(tenant, user))?.revision !== 1);
    }));

  test("two tenants with the same entity have documents of their own", async () => {
    const [one, other] = [newTenant(), newTenant()];
    for (const tenant of [one, other]) {
      await inWriterObject(async ({ start }) => {
        const writer = start(watched().env);
        await writer.submit(write("user-1", { a: { owner: tenant } }));
        await writer.fill(user);
      }, tenant);
    }
    expect((await cached(one, user))?.categories.get("a")?.data).toContain(one);
    expect((await cached(other, user))?.categories.get("a")?.data).toContain(other);
  });
});

test("the second between two puts is counted from when the first has reached KV", async () => {
  const reachedMs: number[] = [];
  const keeper = new DocumentKeeper({
    put: async () => {
      // The first has to read the entity from a slow D1.
      if (reachedMs.length === 0) await sleep(300);
      reachedMs.push(Date.now());
    },
    owe: () => {},
    log: new Log("test", { level: "ERROR", readable: false }),
  });
  const first = keeper.keep("entity");
  await sleep(10);
  await Promise.all([first, keeper.keep("entity")]);
  const [one = 0, two = 0] = reachedMs;
  expect(two - one).toBeGreaterThanOrEqual(1_000);
});

test("a put that hangs for minutes is waited for, however many other documents are kept meanwhile", async () => {
  const order: string[] = [];
  let letGo = () => {};
  const hanging = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const keeper = new DocumentKeeper({
    put: async (entity) => {
      if (entity !== "hanging") return;
      order.push("begins");
      if (order.length === 1) await hanging;
      order.push("ends");
    },
    owe: () => {},
    log: new Log("test", { level: "ERROR", readable: false }),
  });
  const first = keeper.keep("hanging");
  await until("the put is on its way", () => order.length === 1);
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 120_000 });
  await Promise.all(Array.from({ length: 1_100 }, (_, i) => keeper.keep(`other-${i}`)));
  const second = keeper.keep("hanging");
  await sleep(20);
  expect(order).toEqual(["begins"]);
  letGo();
  await Promise.all([first, second]);
  expect(order).toEqual(["begins", "ends", "begins", "ends"]);
});
