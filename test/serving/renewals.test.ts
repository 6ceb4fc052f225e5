/** What is read all the time: renewed behind the answers, before its time in memory is over. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { app } from "../../worker/app.ts";
import { settings } from "../../worker/env.ts";
import { answerKnownFirst } from "../../worker/http/known-addresses.ts";
import { documentKey } from "../../worker/keys.ts";
import { encodeDocument } from "../../worker/serving/document.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { failBefore, isOfEntities, only, type Watched, watched } from "../setup/faults.ts";
import { entry, type Item, itemPath, ORIGIN, upsert } from "../setup/http.ts";
import { sleep } from "../setup/waiting.ts";
import { ref, stored } from "../setup/writer.ts";

const LASTS_MS = 60_000;
/** So much of its time is over: past four fifths, not at its end. */
const AGE_MS = 50_000;

beforeEach(() => isolateMemory.clear());
afterEach(() => vi.restoreAllMocks());

const keyOf = (id: string) => documentKey("default", settings(env).writerPartitions, ref(id));

/** An entity with `c:n`: 1 in memory, near the end of its time; in KV what `inKv` says. */
async function ageing(id: string, inKv = 1): Promise<string> {
  expect((await upsert(id, [entry("c", { n: 1 })])).status).toBe(200);
  const document = await stored("default", ref(id));
  if (!document) throw new Error("it was written");
  isolateMemory.clear();
  const key = keyOf(id);
  const shown = encodeDocument({ ...document, revision: inKv }).replace('\\"n\\":1', `\\"n\\":${inKv}`);
  await env.HOT.put(key, shown);
  isolateMemory.put(key, document, { nowMs: Date.now() - AGE_MS, ttlMs: LASTS_MS });
  return id;
}

/** The answer, as soon as it is there; what goes on behind it is over with `behind`. */
async function read(bindings: Watched, id: string) {
  const execution = createExecutionContext();
  const request = new Request(`${ORIGIN}/api/v1${itemPath(id, "c")}`);
  const response = await answerKnownFirst(app)(request, bindings.env, execution);
  const { features, source } = await response.json<Item>();
  return { told: [response.status, features?.data.n, source], behind: waitOnExecutionContext(execution) };
}

test("a reader near the end is answered from memory, and the next one has what KV had meanwhile", async () => {
  const bindings = watched();
  const id = await ageing("renewed", 2);
  const first = await read(bindings, id);
  expect(first.told).toEqual([200, 1, "memory"]);
  await first.behind;
  expect((await read(bindings, id)).told).toEqual([200, 2, "memory"]);
  expect(bindings.cache.map(({ kind, keys }) => [kind, keys])).toEqual([["get", [keyOf(id)]]]);
  expect(bindings.database.filter(isOfEntities)).toEqual([]);
});

test("many are renewed by one read of KV", async () => {
  const bindings = watched();
  const ids = ["many-0", "many-1", "many-2"];
  for (const id of ids) {
    await ageing(id);
  }
  // Each `ageing` begins with an empty memory: they are put beside each other here.
  for (const id of ids) {
    const document = await stored("default", ref(id));
    if (document) isolateMemory.put(keyOf(id), document, { nowMs: Date.now() - 35_000, ttlMs: LASTS_MS });
  }
  for (const id of ids) expect((await read(bindings, id)).told).toEqual([200, 1, "memory"]);
  expect(bindings.cache).toEqual([]);
  const now = Date.now();
  vi.spyOn(Date, "now").mockReturnValue(now + 14_000);
  const last = await read(bindings, "many-0");
  await last.behind;
  expect(bindings.cache.map(({ keys }) => keys.toSorted())).toEqual([await Promise.all(ids.map(keyOf))]);
});

test("KV that fails is nobody's failure: one reader fetches, and memory goes on for the others", async () => {
  const bindings = watched({ cache: only(() => true, failBefore, 1) });
  const id = await ageing("kv-down");
  vi.spyOn(console, "warn").mockImplementation(() => {});
  const told = [];
  for (let i = 0; i < 4; i++) {
    const one = await read(bindings, id);
    await one.behind;
    told.push(one.told);
  }
  const fromMemory = [200, 1, "memory"];
  expect(told).toEqual([fromMemory, [200, 1, "kv"], fromMemory, fromMemory]);
  expect(bindings.cache).toHaveLength(2);
});

test("of what KV does not have as memory has it, one of many readers asks D1, and no other waits", async () => {
  const bindings = watched();
  const id = await ageing("not-in-kv");
  await env.HOT.delete(keyOf(id));
  const first = await read(bindings, id);
  await first.behind;
  const readers = await Promise.all(Array.from({ length: 20 }, () => read(bindings, id)));
  const sources = readers.map(({ told }) => told.join(" ")).sort();
  expect(sources).toEqual(["200 1 d1", ...Array(19).fill("200 1 memory")]);
  expect([bindings.cache.length, bindings.database.filter(isOfEntities).length]).toEqual([2, 1]);
  await Promise.all(readers.map(({ behind }) => behind));
});

test("what is written while it is renewed does not come back as it was", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const hold = only<{ kind: string }>(
    () => true,
    async (_, run) => {
      const result = await run();
      await promise;
      return result;
    },
    1,
  );
  const bindings = watched({ cache: hold });
  const id = await ageing("written");
  const one = await read(bindings, id);
  while (!bindings.cache[0]?.ran) await sleep(1);
  expect((await upsert(id, [entry("c", { n: 3 })])).status).toBe(200);
  resolve();
  await one.behind;
  expect(isolateMemory.last(keyOf(id), Date.now())).toBeNull();
  expect((await read(bindings, id)).told.slice(0, 2)).toEqual([200, 3]);
});
