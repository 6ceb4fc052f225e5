/** What creates something creates it once for each `Idempotency-Key`. */
import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { removeOldRecords } from "../../worker/db/insert-once.ts";
import worker from "../../worker/index.ts";
import { MAX_IDEMPOTENCY_KEY_CHARACTERS, MAX_SUBSCRIPTIONS_PER_TENANT } from "../../worker/limits.ts";
import { SCOPES } from "../../worker/tenants/api-key.ts";
import { nowMicros } from "../../worker/timestamps.ts";
import { IDEMPOTENCY_TTL_SECONDS } from "../../worker/timings.ts";
import { type DatabaseCall, failAfter, failBefore, only, watched } from "../setup/faults.ts";
import { type AskOptions, ask, type Body, production, storedKey, storedTenant } from "../tenants/service.ts";

interface Creation {
  path: (tenant: string) => string;
  /** @param n Tells one from another. */
  body: (n: number) => Record<string, unknown>;
  status: number;
  table: string;
  id: "training_set_id" | "subscription_id" | "key_id" | "tenant_id";
}

const CREATIONS: Record<string, Creation> = {
  "a training set": {
    path: () => "/api/v1/training-sets",
    body: (n) => ({ entity_ids: [`${n}`], timestamp: "2026-01-01T00:00:00Z", feature_names: ["c:a"] }),
    status: 202,
    table: "training_sets",
    id: "training_set_id",
  },
  "a subscription": {
    path: () => "/api/v1/subscriptions",
    body: (n) => ({ url: "https://receiver.example/features", categories: [`${n}`] }),
    status: 201,
    table: "subscriptions",
    id: "subscription_id",
  },
  "an API key": {
    path: (tenant) => `/api/v1/admin/tenants/${tenant}/keys`,
    body: (n) => ({ name: `${n}`, scopes: ["read"] }),
    status: 201,
    table: "api_keys",
    id: "key_id",
  },
  "a tenant": {
    path: () => "/api/v1/admin/tenants",
    body: (n) => ({ name: `created ${n}` }),
    status: 201,
    table: "tenants",
    id: "tenant_id",
  },
};

interface Caller {
  tenant: string;
  key: string;
}

let root: Caller;
let used = 0;
const another = () => {
  used += 1;
  return used;
};

beforeAll(async () => {
  root = { tenant: "default", key: (await storedKey("default", [...SCOPES])).key };
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function newCaller(): Promise<Caller> {
  const tenant = await storedTenant(`creator-${another()}`);
  return { tenant, key: (await storedKey(tenant, [...SCOPES])).key };
}

const rowsIn = (table: string) => env.DB.prepare(`SELECT count(*) AS n FROM ${table}`).first<number>("n");

/** The transaction that makes something and remembers it. */
const isCreation = ({ kind, sql }: DatabaseCall) =>
  kind === "batch" && sql.some((text) => text.includes("idempotency_records"));

const replayed = (headers: Headers) => headers.get("idempotency-replayed");

describe.each(Object.keys(CREATIONS))("%s", (what) => {
  const { path, body, status, table, id } = CREATIONS[what] as Creation;
  const isTenant = table === "tenants";

  /** Sends a request of one caller with one key, unless it says otherwise. */
  async function creator(by?: Caller) {
    const caller = by ?? (isTenant ? root : await newCaller());
    const [one, other] = [body(another()), body(another())];
    const idempotencyKey = `creation-${another()}`;
    const send = (sent: Record<string, unknown>, { headers, ...over }: AskOptions = {}) =>
      ask(`POST ${path(caller.tenant)}`, {
        key: caller.key,
        body: sent,
        headers: { "idempotency-key": idempotencyKey, ...headers },
        ...over,
      });
    const before = (await rowsIn(table)) ?? 0;
    const created = async () => ((await rowsIn(table)) ?? 0) - before;
    return { caller, one, other, idempotencyKey, send, created };
  }

  test("is made once, and the repetition answers the same", async () => {
    const { one, send, created } = await creator();
    const first = await send(one);
    expect([first.status, replayed(first.headers)], first.text).toEqual([status, null]);
    const again = await send(one);
    expect([again.status, again.text, replayed(again.headers)]).toEqual([status, first.text, "true"]);
    expect(await created()).toBe(1);
  });

  test("of another body under the same key is 422 and not made", async () => {
    const { one, other, send, created } = await creator();
    await send(one);
    const refused = await send(other);
    expect(refused).toMatchObject({
      status: 422,
      json: { errors: [{ loc: ["header", "Idempotency-Key"], type: "idempotency_key_reused" }] },
    });
    expect(await created()).toBe(1);
  });

  test("of another body is 422 though no writer knows the key any more, as after a change of their number", async () => {
    const { one, other, send, created } = await creator();
    const first = await send(one);
    const env = { ...production, WRITER_PARTITIONS: "7" };
    expect(await send(other, { env })).toMatchObject({ status: 422 });
    expect(await send(one, { env })).toMatchObject({ status, text: first.text });
    expect(await created()).toBe(1);
  });

  test("is another one under another key, and without any", async () => {
    const { caller, one, other, send, created } = await creator();
    const bodies = isTenant ? [one, other, body(another())] : [one, one, one];
    const sent = [
      await send(bodies[0] ?? one),
      await send(bodies[1] ?? one, { headers: { "idempotency-key": `creation-${another()}` } }),
      await ask(`POST ${path(caller.tenant)}`, { key: caller.key, body: bodies[2] }),
    ];
    expect(sent.map((answer) => answer.status)).toEqual([status, status, status]);
    expect(new Set(sent.map(({ json }) => json[id])).size).toBe(3);
    expect(await created()).toBe(3);
  });

  test("is one when many ask at once, and all hear of it", async () => {
    const { one, send, created } = await creator();
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(one)));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([status]));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers.filter(({ headers }) => replayed(headers) === null)).toHaveLength(1);
    expect(await created()).toBe(1);
  });

  test("of two bodies under one key at once: one is made, the other is 422", async () => {
    const { one, other, send, created } = await creator();
    const answers = await Promise.all([send(one), send(other)]);
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([status, 422]);
    expect(await created()).toBe(1);
  });

  test("is each tenant's own under the same key", async () => {
    const other = await newCaller();
    const { one, idempotencyKey, send, created } = await creator();
    const first = await send(one);
    const headers = { "idempotency-key": idempotencyKey };
    const own = await ask(`POST ${path(other.tenant)}`, { key: other.key, body: one, headers });
    // Only admins of one tenant make tenants.
    if (isTenant) return expect(own.status).toBe(403);
    expect([own.status, replayed(own.headers)]).toEqual([status, null]);
    expect(own.json[id]).not.toBe(first.json[id]);
    expect(await created()).toBe(2);
  });

  test("is not made where its key was used for a write, nor is a write with its key", async () => {
    const { caller, one, idempotencyKey, send, created } = await creator();
    const write = (key: string) =>
      ask("POST /api/v1/items/written", {
        key: caller.key,
        body: { c: { a: 1 } },
        headers: { "idempotency-key": key },
      });
    await send(one);
    expect(await write(idempotencyKey)).toMatchObject({ status: 422 });
    const key = `creation-${another()}`;
    expect(await write(key)).toMatchObject({ status: 200 });
    expect(await send(one, { headers: { "idempotency-key": key } })).toMatchObject({ status: 422 });
    expect(await created()).toBe(1);
  });

  test("is made after an answer of the database was lost: once, whether or not it had come to that", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    for (const fault of [failAfter, failBefore]) {
      const { one, send, created } = await creator();
      const { env: failing } = watched({ database: only(isCreation, fault, 1) });
      expect(
        (await send(one, { env: { ...failing, ENVIRONMENT: "production" } })).status,
      ).toBeGreaterThanOrEqual(500);
      const again = await send(one);
      expect([again.status, replayed(again.headers)]).toEqual([status, fault === failAfter ? "true" : null]);
      expect((await send(one)).text).toBe(again.text);
      expect(await created()).toBe(1);
    }
  });

  test("is another one a day later, of whatever body", async () => {
    for (const isSame of [true, false]) {
      const { one, other, send, created } = await creator();
      const first = await send(one);
      const now = Date.now();
      const dayMs = IDEMPOTENCY_TTL_SECONDS * 1_000;
      vi.useFakeTimers({ toFake: ["Date"], now: now + dayMs - 10_000 });
      expect((await send(one)).text).toBe(first.text);
      vi.setSystemTime(now + dayMs + 10_000);
      const later = await send(isSame ? one : other);
      if (isTenant && isSame) expect(later.status).toBe(409);
      else {
        expect([later.status, replayed(later.headers)]).toEqual([status, null]);
        expect(later.json[id]).not.toBe(first.json[id]);
        // It is remembered in its turn.
        expect((await send(isSame ? one : other)).text).toBe(later.text);
        expect(await created()).toBe(2);
      }
      vi.useRealTimers();
    }
  });

  test("is refused for a key that is none", async () => {
    const { one, send, created } = await creator();
    for (const key of ["", "k".repeat(MAX_IDEMPOTENCY_KEY_CHARACTERS + 1)])
      expect(await send(one, { headers: { "idempotency-key": key } })).toMatchObject({
        status: 422,
        json: { errors: [{ loc: ["header", "Idempotency-Key"] }] },
      });
    expect(await created()).toBe(0);
    const longest = "k".repeat(MAX_IDEMPOTENCY_KEY_CHARACTERS);
    if (!isTenant)
      expect(await send(one, { headers: { "idempotency-key": longest } })).toMatchObject({ status });
  });

  test("does not use the key up when it is refused", async () => {
    const { one, send } = await creator();
    expect(await send({ nonsense: true })).toMatchObject({ status: 422 });
    expect(await send(one)).toMatchObject({ status });
  });
});

/** Sends a request again and again under one key. */
const sender = ({ key }: Caller, line: string, body: unknown) => {
  const headers = { "idempotency-key": `creation-${another()}` };
  return (over: AskOptions = {}) => ask(line, { key, body, headers, ...over });
};

const subscription = () => ({ url: "https://receiver.example/features", categories: [`${another()}`] });

describe("what was made stays made", () => {
  test.each<[string, string, unknown, (tenant: string, made: Body) => string]>([
    [
      "a subscription",
      "/api/v1/subscriptions",
      subscription(),
      (_, { subscription_id: id }) => `/subscriptions/${id}`,
    ],
    [
      "a training set",
      "/api/v1/training-sets",
      { entity_ids: ["a"], timestamp: "2026-01-01T00:00:00Z", feature_names: ["c:a"] },
      (_, { training_set_id: id }) => `/training-sets/${id}`,
    ],
  ])("%s that is deleted is not made again, and told of as it was", async (_, path, body, pathOf) => {
    const caller = await newCaller();
    const send = sender(caller, `POST ${path}`, body);
    const first = await send();
    const own = `/api/v1${pathOf(caller.tenant, first.json)}`;
    expect(await ask(`DELETE ${own}`, { key: caller.key })).toMatchObject({ status: 200 });
    const again = await send();
    expect([again.status, again.text, replayed(again.headers)]).toEqual([first.status, first.text, "true"]);
    expect(await ask(`GET ${own}`, { key: caller.key })).toMatchObject({ status: 404 });
    const { json } = await ask(`GET ${path}`, { key: caller.key });
    expect(Object.values(json).flat().filter(Boolean)).toEqual([]);
  });

  test("an API key that is revoked is told of as it was, and lets nobody in", async () => {
    const caller = await newCaller();
    const path = `/api/v1/admin/tenants/${caller.tenant}/keys`;
    const send = sender(caller, `POST ${path}`, { name: "app", scopes: ["read"] });
    const first = await send();
    const read = (key: string) => ask("GET /api/v1/features", { key });
    expect(await read(first.json.key)).toMatchObject({ status: 200 });
    expect(await read((await send()).json.key)).toMatchObject({ status: 200 });
    await ask(`DELETE ${path}/${first.json.key_id}`, { key: caller.key });
    expect((await send()).text).toBe(first.text);
    expect(await read(first.json.key)).toMatchObject({ status: 401 });
    expect((await ask(`GET ${path}`, { key: caller.key })).json.keys).toHaveLength(2);
  });

  test("a subscription that was changed is told of as it was, with its secret", async () => {
    const caller = await newCaller();
    const send = sender(caller, "POST /api/v1/subscriptions", subscription());
    const first = await send();
    const path = `/api/v1/subscriptions/${first.json.subscription_id}`;
    const change = { status: "paused", url: "https://other.example/" };
    expect(await ask(`PATCH ${path}`, { key: caller.key, body: change })).toMatchObject({ status: 200 });
    expect((await send()).text).toBe(first.text);
    expect((await ask(`GET ${path}`, { key: caller.key })).json).toMatchObject(change);
  });

  test("a subscription whose URL is refused by now is told of, and made under no other Idempotency-Key", async () => {
    const caller = await newCaller();
    const body = { ...subscription(), url: "http://receiver.example/features" };
    const send = sender(caller, "POST /api/v1/subscriptions", body);
    const first = await send({ env: { ...production, ENVIRONMENT: "development" } });
    expect(first.status).toBe(201);
    expect((await send()).text).toBe(first.text);
    expect(await sender(caller, "POST /api/v1/subscriptions", body)()).toMatchObject({ status: 422 });
  });

  test("a key whose time is over by now is told of, and made under no other Idempotency-Key", async () => {
    const caller = await newCaller();
    const body = { name: "soon", scopes: ["read"], expires_at: new Date(Date.now() + 60_000).toISOString() };
    const line = `POST /api/v1/admin/tenants/${caller.tenant}/keys`;
    const send = sender(caller, line, body);
    const first = await send();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 120_000 });
    expect((await send()).text).toBe(first.text);
    expect(await sender(caller, line, body)()).toMatchObject({ status: 422 });
  });

  test("what there is no room for is not remembered; what took the last room is told of", async () => {
    const caller = await newCaller();
    const send = () => sender(caller, "POST /api/v1/subscriptions", subscription());
    const all = Array.from({ length: MAX_SUBSCRIPTIONS_PER_TENANT }, send);
    const [first, ...others] = await Promise.all(all.map((each) => each()));
    expect(others.map(({ status }) => status)).not.toContain(409);
    const more = send();
    for (let i = 0; i < 2; i++) expect(await more()).toMatchObject({ status: 409 });
    expect((await all[0]?.())?.text).toBe(first?.text);
    const path = `/api/v1/subscriptions/${first?.json.subscription_id}`;
    expect(await ask(`DELETE ${path}`, { key: caller.key })).toMatchObject({ status: 200 });
    expect((await all[0]?.())?.text).toBe(first?.text);
    expect(await more()).toMatchObject({ status: 201 });
    expect(await more()).toMatchObject({ status: 201 });
    expect(await send()()).toMatchObject({ status: 409 });
  });
});

test("a secret that is told again stands in the log, also where the first answer was lost before it could", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const caller = await newCaller();
  for (const [path, body] of [
    [`/api/v1/admin/tenants/${caller.tenant}/keys`, { name: "app", scopes: ["read"] }],
    ["/api/v1/subscriptions", subscription()],
  ] as const) {
    const send = sender(caller, `POST ${path}`, body);
    const { env: failing } = watched({ database: only(isCreation, failAfter, 1) });
    await send({ env: { ...failing, ENVIRONMENT: "production", LOG_LEVEL: "INFO" } });
    const { json, headers } = await send({ env: { ...production, LOG_LEVEL: "INFO" } });
    expect(replayed(headers)).toBe("true");
    const lines = log.mock.calls.flat().map(String);
    expect(lines.filter((line) => line.includes(json.key_id ?? json.subscription_id))).toEqual([
      expect.stringContaining("shown again"),
    ]);
  }
});

test("no secret is remembered", async () => {
  const caller = await newCaller();
  const line = `POST /api/v1/admin/tenants/${caller.tenant}/keys`;
  const made = [
    await sender(caller, line, { name: "app", scopes: ["read"] })(),
    await sender(caller, "POST /api/v1/subscriptions", subscription())(),
  ];
  const { results } = await env.DB.prepare("SELECT * FROM idempotency_records").all();
  const text = JSON.stringify(results);
  for (const { json } of made) {
    const { key, secret, key_id, subscription_id } = json as Body & { secret?: string };
    expect(text).toContain(key_id ?? subscription_id);
    const hidden = key?.split("_")[2] ?? secret?.replace("whsec_", "") ?? "";
    expect(hidden).not.toBe("");
    expect(text).not.toContain(hidden);
    expect(text).not.toContain(Buffer.from(hidden, "base64").toString("hex"));
  }
});

test("records go when their time is over, and no sooner", async () => {
  const caller = await newCaller();
  const send = sender(caller, "POST /api/v1/subscriptions", subscription());
  const first = await send();
  const own = "SELECT count(*) AS n FROM idempotency_records WHERE tenant_id = ?";
  const left = () => env.DB.prepare(own).bind(caller.tenant).first<number>("n");
  await removeOldRecords(env.DB, nowMicros() + IDEMPOTENCY_TTL_SECONDS * 1_000_000 - 60_000_000);
  expect(await left()).toBe(1);
  expect((await send()).text).toBe(first.text);
  await removeOldRecords(env.DB, nowMicros() + IDEMPOTENCY_TTL_SECONDS * 1_000_000);
  expect(await left()).toBe(0);
  // The cron does it.
  await sender(caller, "POST /api/v1/subscriptions", subscription())();
  const over = "UPDATE idempotency_records SET expires_at = ? WHERE tenant_id = ?";
  await env.DB.prepare(over).bind(nowMicros(), caller.tenant).run();
  await worker.scheduled(createScheduledController(), env);
  expect(await left()).toBe(0);
});
