/** Deleting a tenant, as an admin asks for it. */
import { createScheduledController, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import worker from "../../worker/index.ts";
import { writerName } from "../../worker/keys.ts";
import { SCOPES } from "../../worker/tenants/api-key.ts";
import { beginDeletion, findDeletion, updateDeletion } from "../../worker/tenants/deleting/deletion-store.ts";
import { keyMemory } from "../../worker/tenants/key-memory.ts";
import { until } from "../setup/waiting.ts";
import { comeLater, LONG_MS } from "../several-databases/leaving.ts";
import { ask, production, storedKey, storedTenant } from "./service.ts";

const TENANTS = "/api/v1/admin/tenants";
let root = "";

beforeAll(async () => {
  root = (await storedKey("default", ["admin"])).key;
});
beforeEach(() => keyMemory.clear());

interface State {
  tenant_id: string;
  name: string;
  status: string;
  deletion: { step: string; removed: number; next_at: string | null } | null;
}

async function state(tenant: string): Promise<State> {
  const { status, text } = await ask(`GET ${TENANTS}/${tenant}`, { key: root });
  expect(status, text).toBe(200);
  return JSON.parse(text) as State;
}

const change = (tenant: string, status: string) =>
  ask(`PATCH ${TENANTS}/${tenant}`, { key: root, body: { status } });

const remove = (tenant: string, name = tenant, key = root) =>
  ask(`DELETE ${TENANTS}/${tenant}?name=${encodeURIComponent(name)}`, { key });

async function suspended(id: string) {
  const tenant = await storedTenant(id);
  const { key } = await storedKey(tenant, [...SCOPES]);
  expect(await change(tenant, "suspended")).toMatchObject({ status: 200 });
  return { tenant, key };
}

describe("a deletion is refused", () => {
  test("of an active tenant, which is to be suspended first", async () => {
    const { status, json } = await remove(await storedTenant("in-use"));
    expect([status, json.detail]).toEqual([409, "the tenant is active: suspend it first"]);
    expect(await state("in-use")).toMatchObject({ status: "active", deletion: null });
  });

  test("without the name of the tenant", async () => {
    const { tenant } = await suspended("unconfirmed");
    for (const name of ["Unconfirmed", "unconfirmed ", "other"]) {
      const { status, text, json } = await remove(tenant, name);
      expect([status, json.errors]).toEqual([
        422,
        [{ loc: ["query", "name"], msg: "must be the name of the tenant", type: "value_error" }],
      ]);
      expect(text).not.toContain("other");
    }
    expect(await ask(`DELETE ${TENANTS}/${tenant}`, { key: root })).toMatchObject({ status: 422 });
    expect(await state(tenant)).toMatchObject({ status: "suspended" });
  });

  test("of `default`, whose keys administer all others", async () => {
    const { status, json } = await remove("default");
    expect([status, json.detail]).toEqual([409, "the tenant `default` cannot be deleted"]);
  });

  test("to who does not administer all tenants", async () => {
    await suspended("theirs");
    const { key } = await storedKey(await storedTenant("meddler"), ["admin"]);
    expect(await remove("theirs", "theirs", key)).toMatchObject({ status: 404 });
    expect(await remove("meddler", "meddler", key)).toMatchObject({ status: 403 });
    expect(await remove("nobody")).toMatchObject({ status: 404 });
    expect(await state("theirs")).toMatchObject({ status: "suspended" });
  });
});

test(
  "a tenant is deleted by the queue, and the cron goes on where that has lost its message",
  async () => {
    const { tenant, key } = await suspended("queued");
    const { status, text } = await remove(tenant);
    expect(status, text).toBe(202);
    expect(JSON.parse(text)).toMatchObject({
      tenant_id: tenant,
      status: "deleting",
      deletion: { step: "writers" },
    });
    // Said again, it goes on.
    expect(await remove(tenant)).toMatchObject({ status: 202 });
    await until("a sweep is over", async () => (await state(tenant)).deletion?.next_at !== null, LONG_MS);
    expect(await state(tenant)).toMatchObject({ name: "queued", deletion: { step: "writers" } });
    // Its keys are gone.
    expect(await ask("GET /api/v1/features", { key })).toMatchObject({ status: 401 });
    await comeLater(tenant);
    await worker.scheduled(createScheduledController(), env);
    if ((await state(tenant)).status === "deleting") {
      await comeLater(tenant);
      await worker.scheduled(createScheduledController(), env);
    }
    expect(await state(tenant)).toEqual({
      tenant_id: tenant,
      name: "",
      created_at: expect.any(String),
      status: "deleted",
      deletion: null,
    });
    const { json } = await ask(`GET ${TENANTS}?limit=1000`, { key: root });
    expect(json.tenants.map(({ tenant_id }) => tenant_id)).not.toContain(tenant);
    expect(await remove(tenant)).toMatchObject({ status: 202 });
  },
  LONG_MS,
);

test("while it is deleted nothing of it can be changed any more, and its keys are refused", async () => {
  const { tenant, key } = await suspended("half-gone");
  await env.DB.prepare("UPDATE tenants SET status = 'deleting' WHERE tenant_id = ?").bind(tenant).run();
  expect(await change(tenant, "active")).toMatchObject({ status: 409 });
  const body = { name: "k", scopes: ["read"] };
  expect(await ask(`POST ${TENANTS}/${tenant}/keys`, { key: root, body })).toMatchObject({ status: 404 });
  expect(await ask(`POST ${TENANTS}/${tenant}/spread`, { key: root, body: {} })).toMatchObject({
    status: 404,
  });
  expect(await ask("GET /api/v1/features", { key })).toMatchObject({ status: 403 });
  const { json } = await ask(`GET ${TENANTS}?limit=1000`, { key: root });
  expect(json.tenants).toContainEqual(expect.objectContaining({ tenant_id: tenant, status: "deleting" }));
});

test("a deletion is not begun of a tenant that is resumed in this moment", async () => {
  const { tenant } = await suspended("just-paid");
  await change(tenant, "active");
  await beginDeletion(env.DB, tenant);
  expect(await findDeletion(env.DB, tenant)).toBeNull();
  expect(await state(tenant)).toMatchObject({ status: "active" });
});

test("of two that go on with a deletion, the record is one's", async () => {
  const { tenant } = await suspended("raced");
  await beginDeletion(env.DB, tenant);
  const found = await findDeletion(env.DB, tenant);
  if (!found) throw new Error("it is being deleted");
  const next = { ...found, deletion: { ...found.deletion, removed: 1 } };
  expect(await updateDeletion(env.DB, tenant, next)).not.toBeNull();
  expect(await updateDeletion(env.DB, tenant, next)).toBeNull();
});

test("a writer of another WRITER_PARTITIONS forgets a tenant that is gone, with its next alarm", async () => {
  const { tenant, key } = await suspended("earlier-writers");
  await change(tenant, "active");
  const body = {
    metadata: { source: "prediction_service" },
    data: {
      entity_type: "bright_uid",
      entity_value: "u",
      feature_list: [{ category: "c", features: { n: 1 } }],
    },
  };
  const headers = { "idempotency-key": "earlier" };
  const before: Env = { ...production, WRITER_PARTITIONS: "1" };
  expect(await ask("POST /api/v1/items", { key, body, headers, env: before })).toMatchObject({ status: 200 });
  const writer = env.ENTITY_WRITER.getByName(writerName(tenant, 1, 0));
  const knows = () =>
    runInDurableObject(
      writer,
      (_, { storage }) => storage.sql.exec("SELECT * FROM identity").toArray().length,
    );
  await runDurableObjectAlarm(writer);
  expect(await knows()).toBe(1);
  await env.DB.prepare("UPDATE tenants SET status = 'deleted' WHERE tenant_id = ?").bind(tenant).run();
  await runInDurableObject(writer, (_, { storage }) => storage.setAlarm(Date.now() + 60_000));
  await runDurableObjectAlarm(writer);
  expect(await knows()).toBe(0);
});
