import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { app } from "../../worker/app.ts";
import { formatApiKey, newApiKey, SCOPES } from "../../worker/tenants/api-key.ts";
import { keyMemory } from "../../worker/tenants/key-memory.ts";
import { revokeKey } from "../../worker/tenants/key-store.ts";
import { nowMicros } from "../../worker/timestamps.ts";
import { KEY_GRACE_MS, KEY_MEMORY_MS } from "../../worker/timings.ts";
import {
  type Answer,
  ask,
  type Body,
  ofAnotherSecret,
  PEPPER,
  production,
  storedKey,
  storedTenant,
} from "./service.ts";

const READ = "GET /api/v1/get/item/nobody/c";
const TENANTS = "/api/v1/admin/tenants";
/** The read's own answer, to whoever is let in. */
const LET_IN = 404;

let root = "";

beforeAll(async () => {
  root = (await storedKey("default", ["admin"])).key;
});
beforeEach(() => keyMemory.clear());
afterEach(() => vi.restoreAllMocks());

async function newTenant(name: string): Promise<string> {
  const made = await ask(`POST ${TENANTS}`, { key: root, body: { name } });
  expect(made.status, made.text).toBe(201);
  return made.json.tenant_id;
}

describe("tenants", () => {
  test("the tenant `default` is there from the start", async () => {
    const { json } = await ask(`GET ${TENANTS}?limit=1000`, { key: root });
    expect(json.tenants).toContainEqual(expect.objectContaining({ tenant_id: "default" }));
  });

  test("an id is made from the name, or given, and never given twice", async () => {
    expect(await newTenant("First Bank")).toBe("first-bank");
    const again = await ask(`POST ${TENANTS}`, { key: root, body: { name: "first bank" } });
    expect(again.status).toBe(409);
    const given = await ask(`POST ${TENANTS}`, { key: root, body: { name: "First Bank", tenant_id: "fb2" } });
    expect([given.status, given.json]).toMatchObject([201, { tenant_id: "fb2", name: "First Bank" }]);
  });

  test.each([
    {},
    { name: "" },
    { name: "日本" },
    { name: "a", tenant_id: "A" },
    { name: "a", tenant_id: "a/b" },
  ])("%j makes no tenant", async (body) => {
    expect(await ask(`POST ${TENANTS}`, { key: root, body })).toMatchObject({ status: 422 });
  });

  test("an admin of another tenant sees its own alone and creates none", async () => {
    const tenant = await storedTenant("lonely");
    const { key } = await storedKey(tenant, ["admin"]);
    const { json } = await ask(`GET ${TENANTS}`, { key });
    expect(json.tenants.map((each) => each.tenant_id)).toEqual([tenant]);
    expect(await ask(`POST ${TENANTS}`, { key, body: { name: "more" } })).toMatchObject({ status: 403 });
  });

  test("pages have all of them, once", async () => {
    for (const name of ["p1", "p2", "p3"]) await newTenant(name);
    const whole = await ask(`GET ${TENANTS}?limit=1000`, { key: root });
    expect(await allPages(TENANTS, "tenants")).toEqual(whole.json.tenants);
  });

  test.each(["", "No tenant"])("`%s` is no cursor", async (cursor) => {
    const { status } = await ask(`GET ${TENANTS}?cursor=${encodeURIComponent(cursor)}`, { key: root });
    expect(status).toBe(422);
  });
});

async function allPages<F extends "tenants" | "keys">(path: string, field: F): Promise<Body[F][number][]> {
  const found: Body[F][number][] = [];
  let cursor: string | null = "";
  do {
    const page: Answer = await ask(`GET ${path}?limit=1${cursor && `&cursor=${cursor}`}`, { key: root });
    found.push(...page.json[field]);
    cursor = page.json.next_cursor;
  } while (cursor !== null);
  return found;
}

describe("keys", () => {
  test("a key is shown once, works, and is nowhere in the database", async () => {
    const tenant = await newTenant("shown once");
    const body = { name: "app", scopes: ["read"], expires_at: "2100-01-01T00:00:00Z" };
    const made = await ask(`POST ${TENANTS}/${tenant}/keys`, { key: root, body });
    expect(made.status).toBe(201);
    expect(made.headers.get("cache-control")).toBe("no-store");
    const { key, ...shown } = made.json;
    expect(shown).toMatchObject({
      tenant_id: tenant,
      name: "app",
      scopes: ["read"],
      expires_at: "2100-01-01T00:00:00.000000+00:00",
      revoked_at: null,
    });
    expect(await ask(READ, { key })).toMatchObject({ status: LET_IN });
    expect(await ask(READ, { headers: { authorization: `Bearer ${key}` } })).toMatchObject({
      status: LET_IN,
    });
    const listed = await ask(`GET ${TENANTS}/${tenant}/keys`, { key: root });
    expect(listed.json).toEqual({ keys: [shown], next_cursor: null });
    const { results } = await env.DB.prepare("SELECT * FROM api_keys").all();
    expect(JSON.stringify(results)).not.toContain(key.split("_")[2]);
  });

  test.each([
    [{ scopes: ["read"] }, "body.name"],
    [{ name: "k" }, "body.scopes"],
    [{ name: "k", scopes: [] }, "body.scopes"],
    [{ name: "k", scopes: ["root"] }, "body.scopes.0"],
    [{ name: "k", scopes: ["read"], expires_at: "2020-01-01T00:00:00Z" }, "body.expires_at"],
    [{ name: "k", scopes: ["read"], expires_at: "2100-01-01T00:00:00" }, "body.expires_at"],
  ])("%j makes no key and is told of %s", async (body, place) => {
    const { status, json } = await ask(`POST ${TENANTS}/default/keys`, { key: root, body });
    expect([status, json.errors[0]?.loc.join(".")]).toEqual([422, place]);
  });

  test("a tenant rotates: the new key works beside the old, the old one is revoked, and revoking again changes nothing", async () => {
    const tenant = await newTenant("rotating");
    const old = await storedKey(tenant, ["read"]);
    const next = await storedKey(tenant, ["read"]);
    for (const { key } of [old, next]) expect(await ask(READ, { key })).toMatchObject({ status: LET_IN });
    const revoked = await ask(`DELETE ${TENANTS}/${tenant}/keys/${old.keyId}`, { key: root });
    expect([revoked.status, revoked.json]).toMatchObject([200, { key_id: old.keyId, tenant_id: tenant }]);
    const again = await ask(`DELETE ${TENANTS}/${tenant}/keys/${old.keyId}`, { key: root });
    expect(again.json).toEqual(revoked.json);
    // At once here, though it was remembered; the stated time is for other isolates.
    expect(await ask(READ, { key: old.key })).toMatchObject({ status: 401 });
    expect(await ask(READ, { key: next.key })).toMatchObject({ status: LET_IN });
  });

  test("a key of another tenant is not revoked under one's own", async () => {
    const victim = await storedKey(await storedTenant("victim"), ["read"]);
    const { key } = await storedKey(await storedTenant("thief"), ["admin"]);
    expect(await ask(`DELETE ${TENANTS}/thief/keys/${victim.keyId}`, { key })).toMatchObject({ status: 404 });
    expect(await ask(READ, { key: victim.key })).toMatchObject({ status: LET_IN });
  });

  test("`admin` implies neither `read` nor `write`", async () => {
    expect(await ask(READ, { key: root })).toMatchObject({ status: 403 });
  });

  test("pages have all of a tenant's keys, in the order of their creation, and none of another's", async () => {
    const tenant = await newTenant("paged");
    const ids: string[] = [];
    // Two of the same microsecond, so that the id decides between them.
    for (const createdAt of [3, 1, 2, 2]) ids.push((await storedKey(tenant, ["read"], { createdAt })).keyId);
    const keys = await allPages(`${TENANTS}/${tenant}/keys`, "keys");
    const [third, first, ...second] = ids;
    expect(keys.map(({ key_id }) => key_id)).toEqual([first, ...second.sort(), third]);
  });
});

/** The service with a database whose queries are counted, and fail when told to. */
function watchedDatabase() {
  const state = { queries: 0, isDown: false };
  const prepare = (sql: string) => {
    state.queries++;
    if (state.isDown) throw new Error("D1 is down");
    return env.DB.prepare(sql);
  };
  const DB = new Proxy(env.DB, { get: (db, name) => (name === "prepare" ? prepare : Reflect.get(db, name)) });
  return { state, env: { ...production, DB } };
}

/** Refused before anything is read, so that only what the key costs is counted. */
const SCOPED_OUT = `GET ${TENANTS}`;

describe("what an isolate remembers", () => {
  test("a key costs one query, and then neither a query nor a digest", async () => {
    const { key } = await storedKey("default", ["read"]);
    const { state, env: watched } = watchedDatabase();
    expect(await ask(SCOPED_OUT, { key, env: watched })).toMatchObject({ status: 403 });
    expect(state.queries).toBe(1);
    for (let i = 0; i < 5; i++) await ask(SCOPED_OUT, { key, env: watched });
    expect(state.queries).toBe(1);
    // With another pepper a digest would come out wrong; there is none.
    const repeppered = { ...watched, API_KEY_SECRET: "another pepper of 32 characters and more" };
    expect(await ask(SCOPED_OUT, { key, env: repeppered })).toMatchObject({ status: 403 });
  });

  test("a key that is used all the time is looked up again behind an answer, and refused once D1 says so", async () => {
    const { key, keyId } = await storedKey("default", ["read"]);
    const { state, env: watched } = watchedDatabase();
    const startedMs = Date.now();
    const clock = vi.spyOn(Date, "now").mockReturnValue(startedMs);
    const statusOf = async () => (await ask(SCOPED_OUT, { key, env: watched })).status;
    expect(await statusOf()).toBe(403);
    clock.mockReturnValue(startedMs + KEY_MEMORY_MS / 2);
    for (let i = 0; i < 3; i++) expect(await statusOf()).toBe(403);
    expect(state.queries).toBe(2);
    clock.mockReturnValue(startedMs + KEY_MEMORY_MS + 1);
    expect(await statusOf()).toBe(403);
    expect(state.queries).toBe(3);
    // It does so behind the answer: D1 may fail.
    state.isDown = true;
    clock.mockReturnValue(startedMs + 2 * KEY_MEMORY_MS - 2);
    expect(await statusOf()).toBe(403);
    state.isDown = false;
    keyMemory.clear();
    clock.mockReturnValue(startedMs + KEY_MEMORY_MS);
    expect(await statusOf()).toBe(403);
    await revokeKey(env.DB, { tenantId: "default", keyId }, nowMicros());
    clock.mockReturnValue(startedMs + 2 * KEY_MEMORY_MS - 1);
    expect(await statusOf()).toBe(403);
    expect(await statusOf()).toBe(401);
  });

  test("a made-up key costs no query; one of ours that is not there any more one, however often it comes", async () => {
    const { state, env: watched } = watchedDatabase();
    const madeUp = Array.from({ length: 5 }, () =>
      formatApiKey(newApiKey("another pepper of 32 characters or more")),
    );
    for (const key of [...madeUp, "tenant1_key", `fs_${"0".repeat(16)}_${"0".repeat(64)}`]) {
      expect(await ask(SCOPED_OUT, { key, env: watched })).toMatchObject({ status: 401 });
    }
    expect(state.queries).toBe(0);
    const gone = formatApiKey(newApiKey(PEPPER));
    for (let i = 0; i < 5; i++) await ask(SCOPED_OUT, { key: gone, env: watched });
    expect(state.queries).toBe(1);
  });

  test("a revocation elsewhere is effective within the stated time", async () => {
    const { key, keyId } = await storedKey("default", ["read"]);
    const startedMs = Date.now();
    const clock = vi.spyOn(Date, "now").mockReturnValue(startedMs);
    expect(await ask(READ, { key })).toMatchObject({ status: LET_IN });
    await revokeKey(env.DB, { tenantId: "default", keyId }, nowMicros());
    clock.mockReturnValue(startedMs + KEY_MEMORY_MS);
    expect(await ask(READ, { key })).toMatchObject({ status: 401 });
  });

  test("a key ends at its time, though it is remembered", async () => {
    const startedMs = Date.now();
    const { key } = await storedKey("default", ["read"], { expiresAt: (startedMs + 2_000) * 1_000 });
    const clock = vi.spyOn(Date, "now").mockReturnValue(startedMs);
    expect(await ask(READ, { key })).toMatchObject({ status: LET_IN });
    clock.mockReturnValue(startedMs + 2_000);
    expect(await ask(READ, { key })).toMatchObject({ status: 401 });
  });

  test("while D1 is down, who is remembered is let in, and nobody else", async () => {
    const { key } = await storedKey("default", ["read"]);
    const { state, env: watched } = watchedDatabase();
    await ask(SCOPED_OUT, { key, env: watched });
    vi.spyOn(console, "error").mockImplementation(() => {});
    state.isDown = true;
    expect(await ask(SCOPED_OUT, { key, env: watched })).toMatchObject({ status: 403 });
    const unknown = await ask(SCOPED_OUT, { key: root, env: watched });
    expect([unknown.status, unknown.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(unknown.text).not.toContain("D1");
  });

  test("a key that was proven is good for some minutes more while D1 is down, and one look in five seconds is all it costs", async () => {
    const { key, keyId } = await storedKey("default", ["read"]);
    const { state, env: watched } = watchedDatabase();
    const startedMs = Date.now();
    const clock = vi.spyOn(Date, "now").mockReturnValue(startedMs);
    await ask(SCOPED_OUT, { key, env: watched });
    vi.spyOn(console, "error").mockImplementation(() => {});
    state.isDown = true;
    clock.mockReturnValue(startedMs + KEY_MEMORY_MS);
    for (let i = 0; i < 3; i++)
      expect(await ask(SCOPED_OUT, { key, env: watched })).toMatchObject({ status: 403 });
    expect(state.queries).toBe(2);
    clock.mockReturnValue(startedMs + KEY_GRACE_MS);
    expect(await ask(SCOPED_OUT, { key, env: watched })).toMatchObject({ status: 403 });
    clock.mockReturnValue(startedMs + KEY_MEMORY_MS + KEY_GRACE_MS);
    expect(await ask(SCOPED_OUT, { key, env: watched })).toMatchObject({ status: 503 });
    // What D1 refused once stays refused when it goes down.
    state.isDown = false;
    expect(await ask(SCOPED_OUT, { key, env: watched })).toMatchObject({ status: 403 });
    await revokeKey(env.DB, { tenantId: "default", keyId }, nowMicros());
    clock.mockReturnValue(startedMs + 2 * KEY_MEMORY_MS + KEY_GRACE_MS);
    expect(await ask(SCOPED_OUT, { key, env: watched })).toMatchObject({ status: 401 });
    state.isDown = true;
    clock.mockReturnValue(startedMs + 3 * KEY_MEMORY_MS + KEY_GRACE_MS);
    expect(await ask(SCOPED_OUT, { key, env: watched })).toMatchObject({ status: 503 });
  });
});

describe("the pepper", () => {
  test.each([undefined, "", "too short"])(
    "without a good one (%j) no key is let in, and the log says why",
    async (pepper) => {
      const { API_KEY_SECRET: _, ...rest } = production;
      const unsafe = pepper === undefined ? rest : { ...rest, API_KEY_SECRET: pepper };
      const log = vi.spyOn(console, "error").mockImplementation(() => {});
      expect(await ask(READ, { key: root, env: unsafe })).toMatchObject({ status: 503 });
      expect(log.mock.calls.join()).toContain("API_KEY_SECRET must be set");
      expect(await ask(READ, { env: unsafe })).toMatchObject({ status: 401 });
    },
  );

  test("a key that was made with another is not valid", async () => {
    const other = { ...production, API_KEY_SECRET: "another pepper of 32 characters and more" };
    expect(await ask(READ, { key: root, env: other })).toMatchObject({ status: 401 });
  });
});

describe("development", () => {
  test("no key is the tenant `default` with every scope", async () => {
    expect(await ask(READ, { env })).toMatchObject({ status: LET_IN });
    expect(await ask(`GET ${TENANTS}`, { env })).toMatchObject({ status: 200 });
  });

  test("under a name on the Internet there is no tenant without a key: deployed as it is, it is nobody's", async () => {
    for (const host of ["store.workers.dev", "attacker.com", "localhost.attacker.com"]) {
      const request = new Request(`https://${host}${TENANTS}`);
      const answer = await app.fetch(request, env, createExecutionContext());
      expect(answer.status, host).toBe(401);
    }
  });

  test.each([
    { "x-api-key": "tenant1_key" },
    { "x-api-key": "" },
    { authorization: "Bearer made-up" },
    { authorization: "Basic dXNlcjpwYXNz" },
  ])("%j is refused, as everywhere", async (headers) => {
    expect(await ask(READ, { env, headers: headers as Record<string, string> })).toMatchObject({
      status: 401,
    });
  });
});

describe("the rate limit", () => {
  /** The platform's own counter (the local one takes another limit with each call). */
  const LIMIT = {
    limit: ({ key }: { key: string }) => env.KEY_RATE.limit({ key, limit: 2, period: 60 } as never),
  };

  test("counts each key for itself, and says when to come back", async () => {
    // The local windows are of the wall clock's minutes: not across the end of one.
    const leftMs = 60_000 - (Date.now() % 60_000);
    if (leftMs < 3_000) await new Promise((resolve) => setTimeout(resolve, leftMs + 100));
    const limited = { ...production, KEY_RATE: LIMIT as RateLimit };
    const [one, other] = [await storedKey("default", [...SCOPES]), await storedKey("default", [...SCOPES])];
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await ask(READ, { key: one.key, env: limited })).status);
    expect(statuses).toEqual([LET_IN, LET_IN, 429]);
    expect(await ask(READ, { key: other.key, env: limited })).toMatchObject({ status: LET_IN });
    const refused = await ask(READ, { key: one.key, env: limited });
    expect([refused.headers.get("retry-after"), refused.json.title]).toEqual(["60", "Too Many Requests"]);
    const off = { ...limited, RATE_LIMIT: "off" };
    expect(await ask(READ, { key: one.key, env: off })).toMatchObject({ status: LET_IN });
  });

  test("lets all in while the counter is broken", async () => {
    const { key } = await storedKey("default", ["read"]);
    const broken = { limit: () => Promise.reject(new Error("down")) };
    expect(await ask(READ, { key, env: { ...production, KEY_RATE: broken } })).toMatchObject({
      status: LET_IN,
    });
  });

  test("does not count a key that is not valid, nor development without one", async () => {
    const counter = { limit: vi.fn(async () => ({ success: false })) };
    expect(await ask(READ, { key: "x", env: { ...production, KEY_RATE: counter } })).toMatchObject({
      status: 401,
    });
    expect(await ask(READ, { env: { ...env, KEY_RATE: counter } })).toMatchObject({ status: LET_IN });
    expect(counter.limit).not.toHaveBeenCalled();
  });
});

test("no key is ever logged", async () => {
  const logs = (["log", "warn", "error"] as const).map((level) =>
    vi.spyOn(console, level).mockImplementation(() => {}),
  );
  const verbose = { ...production, LOG_LEVEL: "DEBUG" };
  const { key } = await storedKey("default", [...SCOPES]);
  const wrong = await ofAnotherSecret("default");
  const body = { name: "logged", scopes: ["read"] };
  const made = await ask(`POST ${TENANTS}/default/keys`, { key, body, env: verbose });
  for (const each of [key, wrong, made.json.key, "garbage-key"]) await ask(READ, { key: each, env: verbose });
  const lines = logs.flatMap((log) => log.mock.calls).join("\n");
  expect(lines).toContain("key created");
  expect(lines).toContain("wrong_secret");
  for (const each of [key, wrong, made.json.key]) expect(lines).not.toContain(each.split("_")[2]);
  expect(lines).not.toContain("garbage-key");
});
