/** A suspended tenant: refused everywhere, and resumed as it was. */
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { endpoints } from "../../worker/app.ts";
import { openApiDocument } from "../../worker/docs/openapi.ts";
import { SCOPES } from "../../worker/tenants/api-key.ts";
import { keyMemory } from "../../worker/tenants/key-memory.ts";
import { changeStatus } from "../../worker/tenants/tenant-store.ts";
import { KEY_MEMORY_MS } from "../../worker/timings.ts";
import { ask, ofAnotherSecret, storedKey, storedTenant } from "./service.ts";

const TENANTS = "/api/v1/admin/tenants";
const ITEM = "/api/v1/get/item/user-1/c";
const SUSPENDED = "the tenant of this key is suspended: nothing is answered until it is resumed";

let root = "";

beforeAll(async () => {
  root = (await storedKey("default", ["admin"])).key;
});
beforeEach(() => keyMemory.clear());
afterEach(() => vi.restoreAllMocks());

const change = (tenant: string, status: unknown, key = root) =>
  ask(`PATCH ${TENANTS}/${tenant}`, { key, body: { status } });

/** A tenant with a value, and a key that may do everything. */
async function tenantInUse(id: string) {
  const tenant = await storedTenant(id);
  const { key } = await storedKey(tenant, [...SCOPES]);
  const feature_list = [{ category: "c", features: { n: 1 } }];
  const body = {
    metadata: { source: "prediction_service" },
    data: { entity_type: "bright_uid", entity_value: "user-1", feature_list },
  };
  expect(await ask("POST /api/v1/items", { key, body })).toMatchObject({ status: 200 });
  return { tenant, key };
}

interface Operation {
  security: unknown[];
}

/** Every operation that needs a key, as the API documents have them. */
const guarded = Object.entries(openApiDocument(endpoints, "0").paths).flatMap(([path, operations]) =>
  Object.entries(operations as unknown as Record<string, Operation>)
    .filter(([, { security }]) => security.length > 0)
    .map(([method]) => `${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, "1")}`),
);

test("there are operations that need a key", () => expect(guarded.length).toBeGreaterThan(40));

describe("a suspended tenant", () => {
  let key = "";
  beforeAll(async () => {
    const inUse = await tenantInUse("in-arrears");
    ({ key } = inUse);
    const { status, json } = await change(inUse.tenant, "suspended");
    expect([status, json]).toMatchObject([200, { tenant_id: inUse.tenant, status: "suspended" }]);
  });

  test.each(guarded)("is refused: %s", async (line) => {
    const { status, headers, json } = await ask(line, { key, ...(!line.startsWith("GET") && { body: {} }) });
    expect([status, json.detail]).toEqual([403, SUSPENDED]);
    expect(headers.get("content-type")).toBe("application/problem+json");
  });

  test("is not told of to who holds no key of it", async () => {
    const key = await ofAnotherSecret("in-arrears");
    expect(await ask(`GET ${ITEM}`, { key })).toMatchObject({ status: 401 });
  });

  test("is listed as such", async () => {
    const { json } = await ask(`GET ${TENANTS}?limit=1000`, { key: root });
    expect(json.tenants).toContainEqual(
      expect.objectContaining({ tenant_id: "in-arrears", status: "suspended" }),
    );
    expect(json.tenants).toContainEqual(expect.objectContaining({ tenant_id: "default", status: "active" }));
  });

  test("holds up nobody else", async () => {
    const other = await tenantInUse("pays");
    expect(await ask(`GET ${ITEM}`, { key: other.key })).toMatchObject({ status: 200 });
  });
});

test("a resumed tenant has all that it had, and its keys; both may be said again", async () => {
  const { tenant, key } = await tenantInUse("back-again");
  for (const status of ["suspended", "suspended", "active", "active"]) {
    expect((await change(tenant, status)).json).toMatchObject({ status });
    const { status: answered } = await ask(`GET ${ITEM}`, { key });
    expect(answered).toBe(status === "active" ? 200 : 403);
  }
  expect((await ask(`GET ${ITEM}`, { key })).text).toContain('"data":{"n":1}');
});

test("a suspension elsewhere, and its end, are effective within the stated time", async () => {
  const { tenant, key } = await tenantInUse("elsewhere");
  const startedMs = Date.now();
  const clock = vi.spyOn(Date, "now").mockReturnValue(startedMs);
  keyMemory.clear();
  const statusOf = async () => (await ask(`GET ${ITEM}`, { key })).status;
  expect(await statusOf()).toBe(200);
  await changeStatus(env.DB, tenant, "suspended");
  clock.mockReturnValue(startedMs + KEY_MEMORY_MS);
  expect(await statusOf()).toBe(403);
  await changeStatus(env.DB, tenant, "active");
  clock.mockReturnValue(startedMs + 2 * KEY_MEMORY_MS);
  expect(await statusOf()).toBe(200);
});

describe("nobody suspends", () => {
  test("the tenant `default`, whose keys alone could resume it", async () => {
    const { status, json } = await change("default", "suspended");
    expect([status, json.detail]).toEqual([409, "the tenant `default` cannot be suspended"]);
    expect(await ask(`GET ${TENANTS}`, { key: root })).toMatchObject({ status: 200 });
  });

  test("a tenant that is not there", async () => {
    expect(await change("nobody", "suspended")).toMatchObject({ status: 404 });
  });

  test("its own tenant, or another's, without administering all", async () => {
    const { tenant, key } = await tenantInUse("own-admin");
    expect(await change(tenant, "suspended", key)).toMatchObject({ status: 403 });
    expect(await change("pays", "suspended", key)).toMatchObject({ status: 404 });
    expect(await ask(`GET ${ITEM}`, { key })).toMatchObject({ status: 200 });
  });

  test.each(["deleting", "deleted", "gone", null, 1])("into the status %j", async (status) => {
    const answer = await change(await storedTenant("has-a-status"), status);
    expect([answer.status, answer.json.errors[0]?.loc]).toEqual([422, ["body", "status"]]);
  });
});
