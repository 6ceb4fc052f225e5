/** A tenant whose entities are in more databases than are bound: here one is. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { writerName } from "../../worker/keys.ts";
import { Log } from "../../worker/log.ts";
import { settleSpread, spreadOf } from "../../worker/tenants/spread.ts";
import { WriterStore } from "../../worker/writing/writer-store.ts";
import { entry, itemsBody } from "../setup/http.ts";
import { ask, setSpread, storedKey, storedTenant } from "./service.ts";

const log = new Log("test", { level: "ERROR", readable: false });
const DETAIL = "the entities of this tenant are in 3 databases, of which 1 are bound";
const TYPE = "bright_uid";

describe("where one of its three is bound", () => {
  const requests: [string, unknown?][] = [
    [`GET /api/v1/get/item/user-1/c?entity_type=${TYPE}`],
    [`GET /api/v1/entities/${TYPE}/user-1`],
    [`DELETE /api/v1/entities/${TYPE}/user-1`],
    [`DELETE /api/v1/cache/invalidate/user-1?entity_type=${TYPE}`],
    ["POST /api/v1/items", itemsBody("user-1", [entry("c", { n: 1 })])],
  ];

  test.each(requests)("%s is told so, the first time and later", async (request, body) => {
    const tenant = `narrow-${requests.findIndex(([one]) => one === request)}`;
    await storedTenant(tenant);
    await setSpread(tenant, 3);
    const { key } = await storedKey(tenant, ["read", "write", "admin"]);
    for (let time = 0; time < 2; time++) {
      const { status, json } = await ask(request, { key, env, body });
      expect([status, json.detail]).toEqual([503, DETAIL]);
    }
    const { n } = (await env.DB.prepare("SELECT count(*) AS n FROM bright_uid WHERE tenant_id = ?")
      .bind(tenant)
      .first<{ n: number }>()) ?? { n: -1 };
    expect(n).toBe(0);
  });

  test("what no request asks for is not done either", async () => {
    await storedTenant("narrow");
    await setSpread("narrow", 3);
    await expect(spreadOf({ env, log }, "narrow")).rejects.toThrow(DETAIL);
  });

  test("a writer of another looks again until it is bound: what it owes is not given up", async () => {
    const stub = env.ENTITY_WRITER.getByName(writerName("narrow", 4, 5));
    await runInDurableObject(stub, async (_, { storage }) => {
      new WriterStore(storage.sql).setIdentity({
        tenant: "narrow",
        partitions: 4,
        database: 1,
        databases: 2,
      });
      await storage.setAlarm(Date.now() + 60_000);
    });
    await evictDurableObject(stub);
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    const nextMs = await runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
    expect(nextMs).toBeGreaterThan(Date.now());
  });
});

test("what is written before anything is read decides it too", async () => {
  await storedTenant("deletes-first");
  const { key } = await storedKey("deletes-first", ["write"]);
  const { status } = await ask(`DELETE /api/v1/entities/${TYPE}/user-1`, { key, env });
  expect(status).toBe(404);
  const decided = "SELECT databases FROM tenants WHERE tenant_id = 'deletes-first'";
  expect(await env.DB.prepare(decided).first<number>("databases")).toBe(1);
});

test("a tenant that is missing for a time, while D1 is put back and forward again, is not taken for another", async () => {
  expect(await settleSpread({ env, log }, "put-back", { found: undefined, askedMs: Date.now() })).toBe(1);
  await storedTenant("put-back");
  await setSpread("put-back", 3);
  await expect(spreadOf({ env, log }, "put-back")).rejects.toThrow(DETAIL);
});
