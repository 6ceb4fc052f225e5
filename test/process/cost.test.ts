/** That `npm run cost` counts what the service does: on the real bundle, in a real runtime. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CountedService, QUIET_MS, startCounted } from "../../scripts/cost/counted-service.ts";
import { CATALOG_FRESH_MS, OUTBOX_PAUSE_MS } from "../../worker/timings.ts";
import { endServices, newDirectory } from "../setup/service.ts";

const CATEGORIES = 3;
let service: CountedService;

beforeAll(async () => {
  service = await startCounted(newDirectory(), {
    categories: CATEGORIES,
    features: 2,
    clients: 64,
    batch: 10,
  });
});
afterAll(async () => {
  await service?.end();
  await endServices();
});

const ids = ["a", "b", "c"];

test("a write is counted: its rows in D1, its events in one message, the writer's request and rows", async () => {
  const alone = async (id: string) => {
    await service.write(id);
    await sleep(2 * OUTBOX_PAUSE_MS);
  };
  // With the first request it is noted over how many databases the tenant is spread.
  await service.counts(() => alone("first"), QUIET_MS);
  const first = await service.each(ids, alone, QUIET_MS);
  expect(first).toMatchObject({ workerRequests: 1, kvWrites: 0, queueMessages: 1, queueBlocks: 1 });
  // The current values and their history, each with its key; no other index.
  expect(first.d1RowsWritten).toBe(4 * CATEGORIES);
  expect(first.objectRequests).toBeGreaterThanOrEqual(1);
  expect(first.objectRowsWritten).toBeGreaterThan(0);
  expect(first.consumerBatches).toBeGreaterThan(0);
  expect(first.d1Bytes).toBeGreaterThan(0);
  // Current values that are there already keep their key.
  expect((await service.each(ids, alone, QUIET_MS)).d1RowsWritten).toBe(3 * CATEGORIES);
});

test("a read that KV misses is one KV read and one D1 query, and fills KV behind the answer", async () => {
  const miss = await service.each(ids, (id) => service.read(id), QUIET_MS);
  expect(miss).toMatchObject({ workerRequests: 1, kvReads: 1, d1Queries: 1, kvWrites: 1 });
  expect(miss.d1RowsRead).toBeGreaterThanOrEqual(CATEGORIES);
});

test("a read that KV answers is one KV read and nothing of D1", async () => {
  const read = (id: string) => service.read(id, { "x-without-memory": "1" });
  // One that finds the catalog ageing asks behind its answer whether the registry has changed; here it has just been asked.
  await sleep(CATALOG_FRESH_MS);
  await service.counts(() => read(ids[0] ?? ""), QUIET_MS);
  const hit = await service.each(ids, read, 0);
  expect(hit).toMatchObject({ kvReads: 1, kvWrites: 0, d1Queries: 0, d1RowsRead: 0 });
});

test("a read from memory costs neither KV nor D1", async () => {
  for (const id of ids) await service.read(id);
  await service.counts(async () => undefined, 0);
  const hot = await service.each(ids, (id) => service.read(id), 0);
  expect(hot).toMatchObject({ workerRequests: 1, kvReads: 0, d1Queries: 0, d1RowsRead: 0 });
});

test("writes that arrive together share batches of D1 and messages, and not their rows", async () => {
  const many = Array.from({ length: 64 }, (_, i) => `many-${i}`);
  const grouped = await service.together(many, (id) => service.write(id));
  expect(grouped.d1RowsWritten).toBe(4 * CATEGORIES);
  expect(grouped.d1Queries).toBeLessThan(1);
  expect(grouped.queueMessages).toBeLessThan(1);
});
