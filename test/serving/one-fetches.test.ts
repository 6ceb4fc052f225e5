/** Many readers of a document whose time in memory is over: one of them fetches it. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { app } from "../../worker/app.ts";
import { settings } from "../../worker/env.ts";
import { answerKnownFirst } from "../../worker/http/known-addresses.ts";
import { documentKey } from "../../worker/keys.ts";
import { encodeDocument } from "../../worker/serving/document.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { FETCH_WAIT_MS } from "../../worker/timings.ts";
import { failBefore, isOfEntities, only, type Watched, watched } from "../setup/faults.ts";
import { entry, type Item, itemPath, ORIGIN, remove, upsert } from "../setup/http.ts";
import { sleep } from "../setup/waiting.ts";
import { ref, stored } from "../setup/writer.ts";
import type { Many } from "./online-asks.ts";

const READERS = 20;
/** What answering takes beside the waiting, on a machine that does other things as well. */
const SLACK_MS = 400;

beforeEach(() => isolateMemory.clear());
afterEach(() => vi.restoreAllMocks());

/** The Worker as a client asks it, with its bindings under watch. */
async function ask<T>(bindings: Watched, path: string, body?: unknown): Promise<{ status: number; body: T }> {
  const headers = { "content-type": "application/json" };
  const asked = body === undefined ? {} : { method: "POST", headers, body: JSON.stringify(body) };
  const execution = createExecutionContext();
  const request = new Request(`${ORIGIN}/api/v1${path}`, asked);
  const response = await answerKnownFirst(app)(request, bindings.env, execution);
  const answer = { status: response.status, body: await response.json<T>() };
  await waitOnExecutionContext(execution);
  return answer;
}

const read = (bindings: Watched, id: string, query = "") => ask<Item>(bindings, itemPath(id, "c", query));

const readers = (bindings: Watched, id: string, count = READERS) =>
  Promise.all(Array.from({ length: count }, () => read(bindings, id)));

/** Status, value and source of each, counted. */
function seen(answers: { status: number; body: Item }[]): Record<string, number> {
  const texts = answers.map(({ status, body }) => `${status} ${body.features?.data.n} ${body.source}`);
  return Object.fromEntries(
    Object.entries(Object.groupBy(texts, (text) => text)).map(([k, v]) => [k, v?.length ?? 0]),
  );
}

const keyOf = (id: string) => documentKey("default", settings(env).writerPartitions, ref(id));

/** An entity with `c:n` in D1 and KV, whose time in memory is over. */
async function remembered(id: string, n = 1): Promise<string> {
  expect((await upsert(id, [entry("c", { n })])).status).toBe(200);
  const document = await stored("default", ref(id));
  if (!document) throw new Error("it was written");
  await env.HOT.put(keyOf(id), encodeDocument(document));
  isolateMemory.put(keyOf(id), document, { nowMs: Date.now() - 2_000, ttlMs: 1_000 });
  return id;
}

/** A fault that holds the first call of KV back, before or after it has run, until it is let go. */
function holding(when: "before" | "after") {
  const { promise, resolve } = Promise.withResolvers<void>();
  const hold = only<{ kind: string }>(
    ({ kind }) => kind === "get",
    async (_, run) => {
      if (when === "before") await promise;
      const result = await run();
      if (when === "after") await promise;
      return result;
    },
    1,
  );
  return { cache: hold, letGo: resolve };
}

describe("readers that come when a document's time is over", () => {
  test("cause one KV read, and all of them have the value", async () => {
    const bindings = watched();
    const id = await remembered("one");
    // No time passes: they wait for the one that fetches, not for the end of its time.
    vi.spyOn(Date, "now").mockReturnValue(Date.now());
    expect(seen(await readers(bindings, id))).toEqual({ "200 1 kv": 1, "200 1 memory": READERS - 1 });
    expect([bindings.cache.map(({ kind }) => kind), bindings.database.filter(isOfEntities)]).toEqual([
      ["get"],
      [],
    ]);
  });

  test("cause one KV read each time it is over, and none between", async () => {
    const bindings = watched();
    const id = await remembered("again");
    await readers(bindings, id);
    await readers(bindings, id);
    expect(bindings.cache).toHaveLength(1);
    const document = isolateMemory.last(keyOf(id), Date.now());
    if (!document) throw new Error("it was read");
    isolateMemory.put(keyOf(id), document, { nowMs: Date.now() - 2_000, ttlMs: 1_000 });
    expect(seen(await readers(bindings, id))).toEqual({ "200 1 kv": 1, "200 1 memory": READERS - 1 });
    expect(bindings.cache).toHaveLength(2);
  });

  test("of several entities read each once, whoever asks for which of them", async () => {
    const bindings = watched();
    const ids = ["several-0", "several-1", "several-2", "several-3"];
    for (const [n, id] of ids.entries()) await remembered(id, n);
    const answers = await Promise.all(
      Array.from({ length: READERS }, (_, i) => {
        const asked = { entity_ids: [ids[i % 4], ids[(i + 1) % 4]], feature_names: ["c:n"] };
        return ask<Many>(bindings, "/features/online", { ...asked, entity_type: "bright_uid" });
      }),
    );
    answers.forEach(({ status, body }, i) => {
      const values = body.results.map(({ entity_id, features }) => [entity_id, features["c:n"]?.value]);
      expect([status, values]).toEqual([200, [i % 4, (i + 1) % 4].map((n) => [ids[n], n])]);
    });
    expect(bindings.cache.flatMap(({ keys }) => keys).sort()).toEqual(await Promise.all(ids.map(keyOf)));
  });

  test("of what was never in memory read it each by itself", async () => {
    const bindings = watched();
    const id = await remembered("cold");
    isolateMemory.clear();
    expect(seen(await readers(bindings, id, 5))).toEqual({ "200 1 kv": 5 });
    expect(bindings.cache).toHaveLength(5);
  });

  test("of what was deleted elsewhere find nothing, and then it is nobody's to wait for", async () => {
    const bindings = watched();
    const id = await remembered("gone");
    const document = isolateMemory.last(keyOf(id), Date.now());
    expect((await remove(`/entities/bright_uid/${id}`)).status).toBeLessThan(300);
    await env.HOT.delete(keyOf(id));
    isolateMemory.clear();
    if (!document) throw new Error("it was remembered");
    isolateMemory.put(keyOf(id), document, { nowMs: Date.now() - 2_000, ttlMs: 1_000 });
    expect((await readers(bindings, id, 5)).map(({ status }) => status)).toEqual(Array(5).fill(404));
    expect(isolateMemory.last(keyOf(id), Date.now())).toBeNull();
  });
});

describe("when the one that fetches", () => {
  test("finds KV down, it and all others have the value of D1", async () => {
    const bindings = watched({ cache: failBefore });
    const id = await remembered("kv-down");
    const found = seen(await readers(bindings, id));
    expect(found).toEqual({ "200 1 d1": 1, "200 1 memory": READERS - 1 });
    expect(bindings.cache).toHaveLength(1);
  });

  test("fails altogether, it alone does: the others fetch by themselves", async () => {
    const bindings = watched({
      cache: only(() => true, failBefore, 1),
      database: only(isOfEntities, failBefore, 1),
    });
    const id = await remembered("all-down");
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const startMs = performance.now();
    const answers = await readers(bindings, id);
    expect(logged).toHaveBeenCalledOnce();
    logged.mockRestore();
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(READERS - 1).fill(200), 503]);
    for (const { status, body } of answers) if (status === 200) expect(body.features.data).toEqual({ n: 1 });
    expect(performance.now() - startMs).toBeLessThan(FETCH_WAIT_MS + SLACK_MS);
    // It is not waited for any more.
    expect(isolateMemory.isFetched(keyOf(id), Date.now())).toBe(false);
    expect(bindings.cache.length).toBeGreaterThan(1);
  });

  test("hangs, the others wait for it so long and answer all the same", async () => {
    const { cache, letGo } = holding("before");
    const bindings = watched({ cache });
    const id = await remembered("hanging");
    const hanging = read(bindings, id);
    const startMs = performance.now();
    const others = await readers(bindings, id, READERS - 1);
    const tookMs = performance.now() - startMs;
    expect(others.map(({ status, body }) => [status, body.features.data.n])).toEqual(
      Array(READERS - 1).fill([200, 1]),
    );
    expect(tookMs).toBeLessThan(FETCH_WAIT_MS + SLACK_MS);
    letGo();
    expect(seen([await hanging])).toEqual({ "200 1 kv": 1 });
  });

  test("hangs, and the next one too, nobody waits for both", async () => {
    const { cache, letGo } = holding("before");
    const bindings = watched({ cache });
    const id = await remembered("hanging-twice");
    const startMs = Date.now();
    const clock = vi.spyOn(Date, "now").mockReturnValue(startMs);
    const hanging = read(bindings, id);
    const waiting = read(bindings, id);
    await sleep(5);
    expect(bindings.cache).toHaveLength(1);
    const laterMs = startMs + FETCH_WAIT_MS;
    clock.mockReturnValue(laterMs);
    expect(isolateMemory.mayFetch(keyOf(id), laterMs)).toBe(true);
    expect(seen([await waiting])).toEqual({ "200 1 kv": 1 });
    letGo();
    expect((await hanging).status).toBe(200);
  });

  test("takes 300 ms, who comes within its time has waited, and who comes later is answered from memory", async () => {
    const slow = async (_: unknown, run: () => Promise<unknown>) => {
      await sleep(300);
      return run();
    };
    const bindings = watched({ cache: only(() => true, slow, 1) });
    const id = await remembered("slow");
    const first = read(bindings, id);
    const startMs = performance.now();
    const [second] = await readers(bindings, id, 1);
    const waitedMs = performance.now() - startMs;
    expect(second?.status).toBe(200);
    expect(waitedMs).toBeGreaterThanOrEqual(FETCH_WAIT_MS - 20);
    expect(seen(await readers(bindings, id, 5))).toEqual({ "200 1 memory": 5 });
    expect(seen([await first])).toEqual({ "200 1 kv": 1 });
    expect(bindings.cache).toHaveLength(2);
  });
});

test("strong waits for nobody, and what it brings all others take", async () => {
  const { cache, letGo } = holding("before");
  const bindings = watched({ cache });
  const id = await remembered("strong");
  const hanging = read(bindings, id);
  const order: string[] = [];
  const note = (what: string) => (answer: { status: number; body: Item }) => {
    order.push(`${what} ${answer.status} ${answer.body.features.data.n} ${answer.body.source}`);
  };
  await Promise.all([
    read(bindings, id).then(note("edge")),
    read(bindings, id, "?consistency=strong").then(note("strong")),
  ]);
  letGo();
  await hanging;
  expect(order).toEqual(["strong 200 1 d1", "edge 200 1 memory"]);
  expect(bindings.cache).toHaveLength(1);
});

describe("a write while one fetches", () => {
  test.each(["before", "after"] as const)(
    "is seen by every reader that comes after it, whether the fetch ends %s they read",
    async (end) => {
      const { cache, letGo } = holding("after");
      const bindings = watched({ cache });
      const id = await remembered(`written-${end}`);
      const fetching = read(bindings, id);
      const waiting = readers(bindings, id, 3);
      while (!bindings.cache[0]?.ran) await sleep(1);
      expect((await upsert(id, [entry("c", { n: 2 })])).status).toBe(200);
      if (end === "before") {
        letGo();
        await fetching;
      }
      const values = async () =>
        (await readers(bindings, id)).map(({ status, body }) => [status, body.features.data.n]);
      const all = Array(READERS).fill([200, 2]);
      expect(await values()).toEqual(all);
      letGo();
      expect((await fetching).status).toBe(200);
      for (const { status } of await waiting) expect(status).toBe(200);
      expect(await values()).toEqual(all);
    },
  );
});
