/** The endpoints of subscriptions, the way of events to them, and their replay from the history. */
import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { consumeAvailability } from "../../worker/events/consumer.ts";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import { refill } from "../../worker/events/refill.ts";
import { FIRST_SQL, PASSED_SQL, startOf, WALK_SQL, WITHIN_SQL } from "../../worker/events/replay.ts";
import { SubscriberState } from "../../worker/events/subscriber-state.ts";
import { SubscriberStore } from "../../worker/events/subscriber-store.ts";
import {
  MAX_SUBSCRIPTIONS_PER_TENANT,
  REPLAY_PASSED_PER_STEP,
  REPLAY_ROWS_PER_STEP,
} from "../../worker/limits.ts";
import { Log } from "../../worker/log.ts";
import { SCOPES } from "../../worker/tenants/api-key.ts";
import { failBefore } from "../setup/faults.ts";
import { ask, expectProblem, faultPlaces, get, post } from "../setup/http.ts";
import { until } from "../setup/waiting.ts";
import { ask as askProduction, production, storedKey, storedTenant } from "../tenants/service.ts";
import {
  databaseWatchedBy,
  event,
  failingSubscriptions,
  inSubscriber,
  objectOf,
  storedSubscription,
} from "./receiving.ts";

const log = new Log("test", { level: "ERROR", readable: false });

vi.setConfig({ testTimeout: 60_000 });
afterEach(() => vi.restoreAllMocks());

// Nobody listens there, and no event is of that category.
const BODY = { url: "http://127.0.0.1:9/hook", categories: ["none"] };

interface Answered {
  subscription_id: string;
  secret: string | null;
  status: string;
}

async function subscribed(more: Record<string, unknown> = {}): Promise<Answered> {
  const { status, body, text } = await post<Answered>("/subscriptions", { ...BODY, ...more });
  expect(status, text).toBe(201);
  return body;
}

describe("the endpoints", () => {
  test("a secret is shown when a webhook is made and never again; each has its own", async () => {
    const [one, two] = [await subscribed(), await subscribed()];
    expect(one.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(two.secret).not.toBe(one.secret);
    const secret = (one.secret ?? "").slice(10, 30);
    for (const path of ["/subscriptions", `/subscriptions/${one.subscription_id}`]) {
      expect((await get(path)).text).not.toContain(secret);
    }
    const { results } = await env.DB.prepare("SELECT * FROM subscriptions").all();
    expect(JSON.stringify(results)).not.toContain(secret);
  });

  test("is active at first, with a secret of ours: what asks for another is refused", async () => {
    const { body } = await post("/subscriptions", { url: "http://localhost:9/x", status: "active" });
    expect(body).toMatchObject({ status: "active" });
    for (const [name, value] of Object.entries({ status: "paused", secret: "whsec_bWluZQ==" })) {
      const refused = await post("/subscriptions", { url: "http://localhost:9/x", [name]: value });
      expect(expectProblem(refused, 422).errors).toMatchObject([{ loc: ["body", name] }]);
    }
  });

  test("a filter is changed, and taken away with null; what is not named stays", async () => {
    const { subscription_id: id } = await subscribed({ features: ["a"], description: "d" });
    const path = `/subscriptions/${id}`;
    const change = { categories: null, features: ["b", "c"], url: "http://127.0.0.1:9/other" };
    const changed = await ask("PATCH", path, { body: change });
    expect(changed.body).toMatchObject({ ...change, description: "d", status: "active", entity_types: null });
    expect((await get(path)).body).toMatchObject({ ...change, pending: 0, dead: 0, paused_reason: null });
  });

  test.each([
    ["kind", "kafka-rest"],
    ["format", "avro"],
    ["topic", "other"],
  ])(
    "its %s stays as it was made: a change of it is 422, the same again is nothing",
    async (field, value) => {
      const made = await subscribed();
      const change = (body: object) => ask("PATCH", `/subscriptions/${made.subscription_id}`, { body });
      expect(faultPlaces(expectProblem(await change({ [field]: value }), 422))).toEqual([`body.${field}`]);
      const same = { kind: "webhook", format: "json", topic: null, description: "d" };
      expect((await change(same)).body).toMatchObject(same);
    },
  );

  test("a list comes in pages, oldest first", async () => {
    await subscribed();
    await subscribed();
    interface Page {
      subscriptions: { subscription_id: string; created_at: string }[];
      next_cursor: string | null;
    }
    const all = (await get<Page>("/subscriptions")).body.subscriptions;
    const paged: Page["subscriptions"] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page: Page = (await get<Page>(`/subscriptions?limit=1${cursor && `&cursor=${cursor}`}`)).body;
      expect(page.subscriptions.length).toBeLessThanOrEqual(1);
      paged.push(...page.subscriptions);
      cursor = page.next_cursor;
    }
    expect(paged).toEqual(all);
    expect(all.map(({ created_at }) => created_at)).toEqual(
      all.map(({ created_at }) => created_at).toSorted(),
    );
    for (const cursor of ["x", "1-", "1-sub_G", "-sub_1"]) {
      expectProblem(await get(`/subscriptions?cursor=${cursor}`), 422);
    }
  });

  test("what was deleted is gone, with what waited", async () => {
    const { subscription_id: id } = await subscribed();
    expect(await ask("DELETE", `/subscriptions/${id}`)).toMatchObject({ status: 200 });
    for (const line of ["GET ", "DELETE ", "GET /deliveries", "POST /test"]) {
      const [method = "", rest = ""] = line.split(" ");
      expectProblem(await ask(method, `/subscriptions/${id}${rest}`), 404, line);
    }
  });

  test.each([
    [{ kind: "webhook", topic: "t" }, "body.topic"],
    [{ kind: "kafka-rest", topic: "a/b" }, "body.topic"],
    [{ kind: "kafka-rest", topic: ".." }, "body.topic"],
    [{ url: "ftp://127.0.0.1/" }, "body.url"],
    [{ url: "http://user:password@127.0.0.1/" }, "body.url"],
    [{ url: "nowhere" }, "body.url"],
    [{ categories: [] }, "body.categories"],
    [{ categories: ["a:b"] }, "body.categories.0"],
  ])("%j is refused by name", async (more, place) => {
    const problem = expectProblem(await post("/subscriptions", { ...BODY, ...more }), 422);
    expect(faultPlaces(problem)).toEqual([place]);
  });

  test.each([
    [{}, "body.from"],
    [{ delivery_ids: ["1"], dead: true }, "body.from"],
    [{ dead: true, category: "c" }, "body.from"],
    [{ from: "2025-10-13T00:00:00Z" }, "body.to"],
    [{ to: "2025-10-13T00:00:00Z" }, "body.from"],
    [{ from: "2025-10-13T00:00:01Z", to: "2025-10-13T00:00:00Z" }, "body.to"],
    [{ from: "2025-10-13T00:00:00Z", to: "2025-10-13T00:00:00Z", entity_id: "user-1" }, "body.entity_type"],
    [{ delivery_ids: ["x"] }, "body.delivery_ids.0"],
  ])("a replay of %j is refused", async (body, place) => {
    const { subscription_id: id } = await subscribed();
    const problem = expectProblem(await post(`/subscriptions/${id}/replay`, body), 422);
    expect(faultPlaces(problem)).toEqual([place]);
    await ask("DELETE", `/subscriptions/${id}`);
  });
});

describe("in production", () => {
  test("only a receiver on the public Internet is taken, and nothing is sent into the network around", async () => {
    const tenant = await storedTenant("refused");
    const { key } = await storedKey(tenant, [...SCOPES]);
    const urls = [
      "http://receiver.example/",
      "https://127.0.0.1/",
      "https://10.0.0.1/",
      "https://[::1]/",
      "https://localhost/",
      "https://169.254.169.254/latest",
      "https://2130706433/",
    ];
    for (const url of urls) {
      const answer = await askProduction("POST /api/v1/subscriptions", { key, body: { url } });
      expect([url, answer.status, answer.json.errors?.[0]?.loc]).toEqual([url, 422, ["body", "url"]]);
    }
    // One that was stored in other times is not called either.
    const stored = await storedSubscription({ tenantId: tenant, url: "https://10.0.0.1/" });
    const fetched = vi.spyOn(globalThis, "fetch");
    const { json } = await askProduction(`POST /api/v1/subscriptions/${stored.subscriptionId}/test`, { key });
    expect(json).toMatchObject({ delivered: false, error: expect.stringMatching(/^not sent: the URL/) });
    expect(fetched).not.toHaveBeenCalled();
  });

  test("without a pepper there is nothing to sign with", async () => {
    const tenant = await storedTenant("unsigned");
    const { key } = await storedKey(tenant, [...SCOPES]);
    const unsigned = { ...production, ENVIRONMENT: "development", API_KEY_SECRET: "" };
    const answer = await askProduction("POST /api/v1/subscriptions", { body: BODY, env: unsigned });
    expect([answer.status, answer.json.detail]).toEqual([503, expect.stringContaining("API_KEY_SECRET")]);
    expect((await askProduction("POST /api/v1/subscriptions", { key, body: BODY })).status).toBe(422);
  });

  test("a tenant has so many subscriptions and no more, however many ask at once", async () => {
    const tenant = await storedTenant("many");
    const { key } = await storedKey(tenant, [...SCOPES]);
    const body = { url: "https://receiver.example/", categories: ["none"] };
    const asked = Array.from({ length: MAX_SUBSCRIPTIONS_PER_TENANT + 5 }, () =>
      askProduction("POST /api/v1/subscriptions", { key, body }),
    );
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(MAX_SUBSCRIPTIONS_PER_TENANT);
    expect(statuses.filter((status) => status === 409)).toHaveLength(5);
  });
});

/** Each in a message of its own. */
async function consume(events: FeatureAvailable[], over: Partial<Env> = {}) {
  const messages = events.map((event, i) => {
    return { id: `m${i}`, timestamp: new Date(), attempts: 1, body: [event] };
  });
  const batch = createMessageBatch("feature-availability", messages);
  await consumeAvailability(batch, { ...env, QUEUE_STORAGE: "durable", ...over });
  const { explicitAcks, retryMessages } = await getQueueResult(batch, createExecutionContext());
  return { acked: explicitAcks, retried: retryMessages.map(({ msgId }) => msgId) };
}

describe("the consumer", () => {
  test("hands events to whom they are for, with one query", async () => {
    const all = await storedSubscription({ status: "paused" });
    const some = await storedSubscription({ tenantId: all.tenantId, features: ["b"], status: "paused" });
    const other = await storedSubscription({ status: "paused" });
    const events = [
      event(all, "user-1"),
      event(all, "user-2", 1, { features: ["b"] }),
      event(other, "user-3"),
    ];
    const asked: string[] = [];
    const DB = databaseWatchedBy((sql) => asked.push(sql));
    expect(await consume(events, { DB })).toEqual({ acked: ["m0", "m1", "m2"], retried: [] });
    expect(asked.filter((sql) => sql.includes("subscriptions"))).toHaveLength(1);
    const waiting = async (subscription: typeof all) => (await objectOf(subscription).facts()).pending;
    expect([await waiting(all), await waiting(some), await waiting(other)]).toEqual([2, 1, 1]);
  });

  test("keeps back only what a subscription could not take, and all others have theirs", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const broken = await storedSubscription({ categories: ["b"], status: "paused" });
    const sound = await storedSubscription({ tenantId: broken.tenantId, status: "paused" });
    const events = [event(sound, "user-1"), event(sound, "user-2", 1, { resource_name: "b" })];
    const failing = objectOf(broken);
    const SUBSCRIBER = new Proxy(env.SUBSCRIBER, {
      get: (namespace, property) =>
        property === "getByName"
          ? (name: string) =>
              name.endsWith(`/${broken.subscriptionId}`)
                ? { accept: failBefore, id: failing.id }
                : namespace.getByName(name)
          : Reflect.get(namespace, property),
    });
    expect(await consume(events, { SUBSCRIBER })).toEqual({ acked: ["m0"], retried: ["m1"] });
    expect((await objectOf(sound).facts()).pending).toBe(2);
    expect(await consume(events)).toEqual({ acked: ["m0", "m1"], retried: [] });
    expect((await objectOf(sound).facts()).pending).toBe(2);
    expect((await objectOf(broken).facts()).pending).toBe(1);
  });

  test("keeps back what could not be counted, of the tenant whose it is", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const definition = { name: "counted", dtype: "float64", entity_type: "bright_uid", category: "c" };
    expect((await post("/features/register", definition)).status).toBe(201);
    const other = await storedSubscription({ status: "paused" });
    const own = event({ ...other, tenantId: "default" }, "user-1", 1, { features: ["counted"] });
    const DB = databaseWatchedBy((sql) => {
      if (sql.includes("AS cells")) throw new Error("the database does not answer");
    });
    expect(await consume([own, event(other, "user-1")], { DB })).toEqual({ acked: ["m1"], retried: ["m0"] });
  });

  test("keeps everything back when it cannot know who is subscribed", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const subscription = await storedSubscription({ status: "paused" });
    expect(await consume([event(subscription, "user-1")], { DB: failingSubscriptions() })).toEqual({
      acked: [],
      retried: ["m0"],
    });
  });
});

describe("a replay from the history", () => {
  /** Straight into the table: as many rows as no test could write. */
  async function storedHistory(tenant: string, entities: Record<string, number>): Promise<void> {
    for (const [entity, rows] of Object.entries(entities)) {
      await env.DB.prepare(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?3)
         INSERT INTO feature_history
         SELECT ?1, 'bright_uid', ?2, 'c' || (i % 3), 1000000 - i, i, 'merge', '{"f' || i || '":1}', i, NULL, NULL,
           CASE WHEN i % 5 = 0 THEN NULL ELSE printf('00000000-0000-4000-8000-%012x', i + ?4) END FROM n`,
      )
        .bind(tenant, entity, rows, entity.length * 1_000_000)
        .run();
    }
  }

  test("brings every announced row once, each entity's in revision order, in bounded steps that a crash only repeats", async () => {
    const subscription = await storedSubscription();
    const big = REPLAY_ROWS_PER_STEP + 500;
    const entities = { a: 3, "a big one": big, "another entity": 1_900, "the last entity": 150 };
    await storedHistory(subscription.tenantId, entities);
    await inSubscriber(subscription, async ({ state: { storage } }) => {
      const store = new SubscriberStore(storage.sql);
      const state = new SubscriberState(store);
      const range = { from: 1, to: big, entityType: null, entityId: null, category: null };
      state.setReplay({ kind: "history", id: "r", range, place: startOf(range) });
      let waiting = 0;
      for (let i = 0; state.replay !== null; i++) {
        expect(i).toBeLessThan(20);
        const before = state.replay;
        await refill({ env, log, store, state, subscription });
        expect(store.count("pending") - waiting).toBeLessThanOrEqual(REPLAY_ROWS_PER_STEP);
        waiting = store.count("pending");
        // As if the process had died before it could note its place.
        if (i === 1) state.setReplay(before);
      }
      const announced = (rows: number) => rows - Math.floor(rows / 5);
      const rows = storage.sql
        .exec<{ entity: string; revision: number }>("SELECT entity, revision FROM deliveries ORDER BY seq")
        .toArray();
      const byEntity = Map.groupBy(rows, ({ entity }) => decodeURIComponent(entity.split("/")[1] ?? ""));
      for (const [entity, count] of Object.entries(entities)) {
        const revisions = byEntity.get(entity)?.map(({ revision }) => revision) ?? [];
        expect(revisions.length, entity).toBe(announced(count));
        expect(revisions, entity).toEqual(revisions.toSorted((a, b) => a - b));
      }
      expect(store.firstOf(rows[0]?.entity ?? "")?.event).toMatchObject({
        tenant_id: subscription.tenantId,
        features: ["f1"],
        revision: 1,
        resource_name: "c1",
      });
    });
  });

  test("passes over what lies before its range, and misses nothing where an entity goes on behind that", async () => {
    const subscription = await storedSubscription();
    const { tenantId } = subscription;
    const rows = REPLAY_PASSED_PER_STEP + 1_000;
    const row = (entity: string, i: string) =>
      `SELECT ?1, 'bright_uid', '${entity}', 'c', ${i}, ${i}, 'merge', '{"f":1}', ${i}, NULL, NULL,
        printf('0000000${entity.length}-0000-4000-8000-%012x', ${i})`;
    await env.DB.prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
       INSERT INTO feature_history ${row("a", "1")} UNION ALL ${row("long", "i")} FROM n
       UNION ALL ${row("none", "7")} UNION ALL ${row("z", String(rows))}`,
    )
      .bind(tenantId, rows)
      .run();
    await inSubscriber(subscription, async ({ state: { storage } }) => {
      const store = new SubscriberStore(storage.sql);
      const state = new SubscriberState(store);
      const range = { from: rows - 99, to: rows, entityType: null, entityId: null, category: null };
      state.setReplay({ kind: "history", id: "r", range, place: startOf(range) });
      let steps = 0;
      for (; state.replay !== null; steps++) await refill({ env, log, store, state, subscription });
      // To the long one's place, the long one, and the rest.
      expect(steps).toBe(3);
      const told = storage.sql
        .exec<{ entity: string; revision: number }>("SELECT entity, revision FROM deliveries ORDER BY seq")
        .toArray()
        .map(({ entity, revision }) => `${entity.split("/")[1]} ${revision}`);
      const expected = Array.from({ length: 100 }, (_, i) => `long ${rows - 99 + i}`);
      expect(told).toEqual([...expected, `z ${rows}`]);
    });
  });

  test("keeps to the filters of the subscription and of the request", async () => {
    const subscription = await storedSubscription({ categories: ["c1", "c2"] });
    await storedHistory(subscription.tenantId, { one: 100, three: 100 });
    await inSubscriber(subscription, async ({ state: { storage } }) => {
      const store = new SubscriberStore(storage.sql);
      const state = new SubscriberState(store);
      const range = { from: 10, to: 40, entityType: "bright_uid", entityId: "three", category: null };
      state.setReplay({ kind: "history", id: "r", range, place: startOf(range) });
      await refill({ env, log, store, state, subscription });
      expect(state.replay).toBeNull();
      const told = Array.from({ length: 31 }, (_, i) => i + 10).filter((i) => i % 5 !== 0 && i % 3 !== 0);
      expect(store.count("pending")).toBe(told.length);
    });
  });

  test("walks the primary key and sorts no more than one entity", async () => {
    const plan = async (sql: string, ...parameters: unknown[]) =>
      (
        await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
          .bind(...parameters)
          .all<{ detail: string }>()
      ).results.map(({ detail }) => detail);
    const search = (using: string) =>
      `SEARCH feature_history USING ${using} sqlite_autoindex_feature_history_1 (tenant_id=? AND (entity_type,entity_value)>(?,?))`;
    expect(await plan(WALK_SQL, "t", "", "")).toEqual([search("INDEX")]);
    expect(await plan(PASSED_SQL, "t", "", "")).toEqual([search("COVERING INDEX")]);
    // As far as it must, no further: rows are handed on one by one.
    expect(await plan(FIRST_SQL, "t", "", "", 0, 1)).toEqual([
      "CO-ROUTINE (subquery-1)",
      search("COVERING INDEX"),
      "SCAN (subquery-1)",
    ]);
    const [within] = await plan(WITHIN_SQL, "t", "", "", 0, "", 0, 1);
    expect(within).toMatch(
      /USING INDEX sqlite_autoindex_feature_history_1 \(tenant_id=\? AND entity_type=\? AND entity_value=\?\)/,
    );
  });

  test("over HTTP fills the deliveries of a paused subscription only when it is resumed", async () => {
    const { subscription_id: id } = await subscribed({ categories: ["replayed"] });
    await ask("PATCH", `/subscriptions/${id}`, { body: { status: "paused" } });
    await post("/items/replayed-1", { replayed: { a: 1 } });
    interface Detail {
      pending: number;
      replay: string | null;
    }
    const detail = async () => (await get<Detail>(`/subscriptions/${id}`)).body;
    await until("it waits", async () => (await detail()).pending === 1);
    const range = { from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z" };
    expect(await post(`/subscriptions/${id}/replay`, range)).toMatchObject({ status: 202 });
    expectProblem(await post(`/subscriptions/${id}/replay`, range), 409);
    expect(await detail()).toMatchObject({ pending: 1, replay: "running" });
    await ask("PATCH", `/subscriptions/${id}`, { body: { status: "active" } });
    await until("it is over", async () => (await detail()).replay === null);
    expect((await detail()).pending).toBe(1);
  });

  test("over HTTP begins once for an Idempotency-Key", async () => {
    const { subscription_id: id } = await subscribed();
    const path = `/subscriptions/${id}`;
    await ask("PATCH", path, { body: { status: "paused" } });
    const range = { from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z" };
    const replay = (body: object, key = `replay-${id}`) =>
      post(`${path}/replay`, body, { "idempotency-key": key });
    const isReplayed = ({ headers }: { headers: Headers }) => headers.get("idempotency-replayed");
    const first = await replay(range);
    expect([first.status, isReplayed(first)]).toEqual([202, null]);
    // While it runs, and when it is over.
    for (const isRunning of [true, false]) {
      const again = await replay(range);
      expect([again.status, again.text, isReplayed(again)]).toEqual([202, first.text, "true"]);
      expectProblem(await replay({ ...range, to: "2099-01-01T00:00:00Z" }), 422);
      const { body } = await get<{ replay: string | null }>(path);
      expect(body.replay).toBe(isRunning ? "running" : null);
      if (isRunning) await ask("PATCH", path, { body: { status: "active" } });
      await until("it is over", async () => {
        const { body: now } = await get<{ replay: string | null }>(path);
        return now.replay === null;
      });
    }
    // A key is one key of the tenant: this one was used to make something else.
    const made = { "idempotency-key": `made-${id}` };
    expect((await post("/subscriptions", { ...BODY, description: id }, made)).status).toBe(201);
    expectProblem(await replay(range, `made-${id}`), 422);
  });
});
