/** The authorization that a receiver wants: what is taken and told, where it is kept, and where it is sent. */
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { openAuthorization, sealAuthorization } from "../../worker/events/receiver-authorization.ts";
import {
  findSubscription,
  type Subscription,
  updateSubscription,
} from "../../worker/events/subscription-store.ts";
import {
  MAX_AUTHORIZATION_CHARACTERS,
  MAX_DELIVERY_ATTEMPTS,
  MAX_PENDING_DELIVERIES,
} from "../../worker/limits.ts";
import { SCOPES } from "../../worker/tenants/api-key.ts";
import { nowMicros } from "../../worker/timestamps.ts";
import { ask, expectProblem, faultPlaces, get, post } from "../setup/http.ts";
import { until } from "../setup/waiting.ts";
import { ask as askProduction, PEPPER, production, storedKey, storedTenant } from "../tenants/service.ts";
import { event, inSubscriber, receiving, storedSubscription } from "./receiving.ts";

vi.setConfig({ testTimeout: 60_000 });
afterEach(() => vi.restoreAllMocks());

const TOKEN = "a-token-that-nobody-sees";
const BEARER = `Bearer ${TOKEN}`;
// Nobody listens there, and no event is of that category.
const BODY = { url: "http://127.0.0.1:9/hook", categories: ["none"] };
const ANOTHER_PEPPER = "another pepper of 32 characters and more";

interface Answered {
  subscription_id: string;
  url: string;
  has_authorization: boolean;
}

async function subscribed(more: Record<string, unknown> = {}): Promise<string> {
  const { status, body, text } = await post<Answered>("/subscriptions", { ...BODY, ...more });
  expect(status, text).toBe(201);
  return body.subscription_id;
}

const patch = (id: string, body: object) => ask<Answered>("PATCH", `/subscriptions/${id}`, { body });

/** What would be sent to its receiver now; null: it cannot be read. */
async function kept(subscriptionId: string): Promise<string | null | undefined> {
  const found = await findSubscription(env.DB, { tenantId: "default", subscriptionId });
  if (!found) throw new Error("it is gone");
  return found.authorization === null ? undefined : openAuthorization(found.authorization, PEPPER, found);
}

describe("an authorization", () => {
  test("is given, replaced, left and taken away, and only whether there is one is told", async () => {
    const id = await subscribed();
    expect(await kept(id)).toBeUndefined();
    for (const [change, has, expected] of [
      [{ authorization: BEARER }, true, BEARER],
      [{ description: "d" }, true, BEARER],
      [{ authorization: "Basic dXNlcjpwYXNz" }, true, "Basic dXNlcjpwYXNz"],
      [{ authorization: null }, false, undefined],
      [{ status: "paused" }, false, undefined],
    ] as const) {
      expect((await patch(id, change)).body).toMatchObject({ has_authorization: has });
      expect((await get(`/subscriptions/${id}`)).body).toMatchObject({ has_authorization: has });
      expect(await kept(id)).toBe(expected);
    }
  });

  test("stands in no answer, no row and no object", async () => {
    const key = { "idempotency-key": "with-an-authorization" };
    const made = [
      await post<Answered>("/subscriptions", { ...BODY, authorization: BEARER }, key),
      await post<Answered>("/subscriptions", { ...BODY, authorization: BEARER }, key),
    ];
    const [{ body } = { body: undefined }] = made;
    const id = body?.subscription_id ?? "";
    expect(made[1]?.text).toBe(made[0]?.text);
    expect(body).toMatchObject({ has_authorization: true });
    const answers = [
      ...made,
      await patch(id, { authorization: BEARER }),
      await get(`/subscriptions/${id}`),
      await get("/subscriptions"),
      await ask("POST", `/subscriptions/${id}/test`),
    ];
    const subscription = await findSubscription(env.DB, { tenantId: "default", subscriptionId: id });
    if (!subscription) throw new Error("it is gone");
    const noted = await inSubscriber(subscription, async ({ state: { storage } }) =>
      storage.sql.exec("SELECT * FROM notes").toArray(),
    );
    const tables = ["subscriptions", "idempotency_records"];
    const rows = await Promise.all(tables.map((name) => env.DB.prepare(`SELECT * FROM ${name}`).all()));
    const places = { answers, noted, rows: rows.map(({ results }) => results) };
    for (const [place, found] of Object.entries(places)) {
      const text = JSON.stringify(found);
      expect(text, place).toContain(id);
      for (const hidden of [TOKEN, btoa(BEARER), btoa(TOKEN)]) expect(text, place).not.toContain(hidden);
    }
  });

  test("cannot be guessed from what is remembered of a request, and another one is another request", async () => {
    const headers = { "idempotency-key": "guessed" };
    const request = { ...BODY, authorization: BEARER };
    expect((await post("/subscriptions", request, headers)).status).toBe(201);
    expectProblem(await post("/subscriptions", { ...request, authorization: "Bearer b" }, headers), 422);
    const guess = `POST\n/api/v1/subscriptions\n\n${JSON.stringify(request)}`;
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(guess));
    const { results } = await env.DB.prepare("SELECT * FROM idempotency_records").all();
    expect(JSON.stringify(results)).toContain("guessed");
    expect(JSON.stringify(results)).not.toContain(new Uint8Array(digest).toHex());
  });

  test.each([
    "",
    " ",
    " Bearer a",
    "Bearer a ",
    "Bearer a\nb",
    "Bearer a\r\nx-other: 1",
    "Bearer ä",
    "Bearer\ta",
    "Bearer \u0000",
    "Bearer a\u007f",
    "Bearer 語",
    "x".repeat(MAX_AUTHORIZATION_CHARACTERS + 1),
    5,
    ["Bearer a"],
  ])("that is no header's value is refused, unrepeated: %j", async (authorization) => {
    const id = await subscribed();
    for (const answer of [
      await post("/subscriptions", { ...BODY, authorization }),
      await patch(id, { authorization }),
    ]) {
      expect(faultPlaces(expectProblem(answer, 422))).toEqual(["body.authorization"]);
      if (String(authorization).length > 3) expect(answer.text).not.toContain(String(authorization));
    }
    await ask("DELETE", `/subscriptions/${id}`);
  });

  test.each([
    "x",
    "Bearer a  b",
    'Digest username="u", response="~!"',
    "x".repeat(MAX_AUTHORIZATION_CHARACTERS),
  ])("may be any other: %j", async (authorization) =>
    expect(await kept(await subscribed({ authorization }))).toBe(authorization),
  );

  test("needs a pepper, also where nothing is signed", async () => {
    const unsigned = { ...production, ENVIRONMENT: "development", API_KEY_SECRET: "" };
    const asked = (more: object, headers = {}) =>
      askProduction("POST /api/v1/subscriptions", {
        body: { ...BODY, kind: "kafka-rest", ...more },
        env: unsigned,
        headers,
      });
    expect((await asked({})).status).toBe(201);
    for (const headers of [{}, { "idempotency-key": "without-a-pepper" }]) {
      const { status, json } = await asked({ authorization: BEARER }, headers);
      expect([status, json.detail]).toEqual([503, expect.stringContaining("API_KEY_SECRET")]);
    }
  });
});

describe("whether there is one", () => {
  test.each([
    ["as it is", false, { has_authorization: false }, false],
    ["as it is", true, { has_authorization: true }, true],
    ["null", true, { has_authorization: null }, true],
    ["with the one that makes it so", false, { has_authorization: true, authorization: BEARER }, true],
    ["as it was, with another one", true, { has_authorization: true, authorization: BEARER }, true],
    ["as it was before one is given", false, { has_authorization: false, authorization: BEARER }, true],
    ["as it was before it is taken away", true, { has_authorization: true, authorization: null }, false],
  ])("may be sent back: %s (%j, %j)", async (_, had, change, has) => {
    const id = await subscribed(had ? { authorization: "Bearer before" } : {});
    const { status, body, text } = await patch(id, change);
    expect(status, text).toBe(200);
    expect(body.has_authorization).toBe(has);
  });

  test("is not changed by saying so", async () => {
    const [without, having] = [await subscribed(), await subscribed({ authorization: BEARER })];
    for (const answer of [
      await patch(without, { has_authorization: true }),
      await patch(having, { has_authorization: false }),
      await post("/subscriptions", { ...BODY, has_authorization: true }),
    ]) {
      expect(faultPlaces(expectProblem(answer, 422))).toEqual(["body.has_authorization"]);
    }
    expect((await post("/subscriptions", { ...BODY, has_authorization: false })).status).toBe(201);
  });
});

describe("a change of the URL", () => {
  test.each(["http://127.0.0.1:10/hook", "https://127.0.0.1:9/hook", "http://127.0.0.2:9/hook"])(
    "to another origin needs the authorization anew, or none: %s",
    async (url) => {
      const id = await subscribed({ authorization: BEARER });
      for (const body of [{ url }, { url, status: "paused" }, { url, has_authorization: true }]) {
        expect(faultPlaces(expectProblem(await patch(id, body), 422))).toEqual(["body.authorization"]);
      }
      expect((await get(`/subscriptions/${id}`)).body).toMatchObject({ url: BODY.url, status: "active" });
      expect((await patch(id, { url, authorization: "Bearer b" })).body).toMatchObject({ url });
      expect(await kept(id)).toBe("Bearer b");
      const none = await patch(id, { url: BODY.url, authorization: null });
      expect(none.body).toMatchObject({ url: BODY.url, has_authorization: false });
      expect((await patch(id, { url })).body).toMatchObject({ url });
    },
  );

  test("within its origin keeps it", async () => {
    const id = await subscribed({ authorization: BEARER });
    const url = "http://127.0.0.1:9/other?a=1";
    expect((await patch(id, { url })).body).toMatchObject({ url, has_authorization: true });
    expect(await kept(id)).toBe(BEARER);
  });

  test("and of the authorization, both at once, leave the authorization of that origin", async () => {
    const id = await subscribed({ authorization: BEARER });
    for (let i = 0; i < 10; i++) {
      const url = `http://127.0.0.1:${10 + i}/`;
      const answers = await Promise.all([
        patch(id, { url, authorization: "Bearer there" }),
        patch(id, { authorization: "Bearer here" }),
        patch(id, { description: `${i}` }),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
      expect((await get(`/subscriptions/${id}`)).body).toMatchObject({ url, description: `${i}` });
      expect(["Bearer there", "Bearer here"]).toContain(await kept(id));
    }
  });
});

test("in production none is taken for a receiver that is not called", async () => {
  const tenant = await storedTenant("authorized");
  const { key } = await storedKey(tenant, [...SCOPES]);
  const sent = (line: string, body: object) => askProduction(line, { key, body });
  const body = { url: "http://receiver.example/", authorization: BEARER };
  const first = await sent("POST /api/v1/subscriptions", body);
  expect([first.status, first.json.errors[0]?.loc]).toEqual([422, ["body", "url"]]);
  // One that was made in development.
  const { subscriptionId: id } = await storedSubscription({
    tenantId: tenant,
    url: "http://receiver.example/",
  });
  const path = `PATCH /api/v1/subscriptions/${id}`;
  const given = await sent(path, { authorization: BEARER });
  expect([given.status, given.json.errors[0]?.loc]).toEqual([422, ["body", "authorization"]]);
  expect(await sent(path, { authorization: null })).toMatchObject({ status: 200 });
  const moved = await sent(path, { authorization: BEARER, url: "https://receiver.example/" });
  expect(moved).toMatchObject({ status: 200, json: { has_authorization: true } });
});

async function authorized(over: Partial<Subscription> = {}): Promise<Subscription> {
  const subscription = await storedSubscription(over);
  const authorization = await sealAuthorization(BEARER, PEPPER, subscription);
  return changedInD1(subscription, { authorization });
}

async function changedInD1(of: Subscription, change: Partial<Subscription>): Promise<Subscription> {
  const changed = await updateSubscription(env.DB, of, { change, now: nowMicros() });
  if (!changed) throw new Error("it is gone");
  return changed;
}

const logged = () =>
  (["log", "warn"] as const).map((level) => vi.spyOn(console, level).mockImplementation(() => {}));
const ok = () => new Response(null, { status: 204 });
const everything = { status: null, before: Number.MAX_SAFE_INTEGER, limit: 1_000 };

describe("a delivery", () => {
  test.each(["webhook", "kafka-rest"] as const)(
    "to a %s brings it; without one there is none",
    async (kind) => {
      const offsets = [{ partition: 0, offset: 1, error_code: null, error: null }];
      const sent = receiving(() => Response.json({ offsets }));
      for (const [subscription, authorization] of [
        [await authorized({ kind }), BEARER],
        [await storedSubscription({ kind }), null],
      ] as const) {
        await inSubscriber(subscription, async ({ start }) => {
          const subscriber = start();
          await subscriber.accept(subscription, [event(subscription, "user-1")]);
          await subscriber.alarm();
          expect(await subscriber.facts()).toMatchObject({ pending: 0, delivered: 1 });
        });
        expect(sent.at(-1)?.headers.get("authorization")).toBe(authorization);
        expect(sent.at(-1)?.headers.has("webhook-signature")).toBe(kind === "webhook");
      }
      expect(sent).toHaveLength(2);
    },
  );

  test("is not made where it cannot be read: tried again, dead, and sent when it is given anew", async () => {
    const written = logged();
    const subscription = await authorized({ kind: "webhook" });
    const sent = receiving(ok);
    await inSubscriber(subscription, async ({ start }) => {
      const subscriber = start({ API_KEY_SECRET: ANOTHER_PEPPER, LOG_LEVEL: "INFO" });
      await subscriber.accept(subscription, [event(subscription, "user-1")]);
      await until("it is dead", async () => {
        await subscriber.alarm();
        return (await subscriber.facts()).dead === 1;
      });
      expect(sent).toEqual([]);
      const lastError = expect.stringMatching(/^not sent: its authorization cannot be read .* give it anew$/);
      expect(await subscriber.deliveries(everything)).toMatchObject([
        { status: "dead", attempts: MAX_DELIVERY_ATTEMPTS, lastStatus: null, lastError },
      ]);
      const lines = written.flatMap(({ mock }) => mock.calls.flat().map(String));
      const told = lines.filter((line) => line.includes("its authorization cannot be read"));
      expect(told).toHaveLength(MAX_DELIVERY_ATTEMPTS);
      const authorization = await sealAuthorization("Bearer anew", ANOTHER_PEPPER, subscription);
      const anew = await changedInD1(subscription, { authorization });
      await subscriber.replay(anew, { kind: "dead" });
      await subscriber.alarm();
      expect(await subscriber.facts()).toMatchObject({ pending: 0, delivered: 1 });
    });
    expect(sent.map(({ headers }) => headers.get("authorization"))).toEqual(["Bearer anew"]);
  });

  test("is not made with that of another subscription, to an origin that it was not given for, or without a pepper", async () => {
    const sent = receiving(ok);
    const { tenantId, url, authorization } = await authorized();
    const cases: [Subscription, Partial<Env>][] = [
      [await storedSubscription({ tenantId, url, authorization }), {}],
      [await storedSubscription({ url, authorization }), {}],
      [await changedInD1(await authorized(), { url: "https://receiver-elsewhere.test/" }), {}],
      [await authorized({ kind: "kafka-rest" }), { API_KEY_SECRET: "" }],
    ];
    for (const [subscription, over] of cases) {
      await inSubscriber(subscription, async ({ start }) => {
        const subscriber = start({ ...over, DELIVERY_FIRST_RETRY_MS: "600000" });
        await subscriber.accept(subscription, [event(subscription, "user-1")]);
        await subscriber.alarm();
        expect(await subscriber.deliveries(everything)).toMatchObject([
          { status: "pending", lastError: expect.stringContaining("its authorization cannot be read") },
        ]);
      });
    }
    expect(sent).toEqual([]);
  });

  test("that fails keeps nothing of what a receiver repeats of it", async () => {
    const written = logged();
    const subscription = await authorized({ kind: "kafka-rest" });
    receiving(({ headers }) => {
      const message = `unknown: ${headers.get("authorization")}`;
      return Response.json({ error_code: 40_101, message }, { status: 401 });
    });
    await inSubscriber(subscription, async ({ start }) => {
      const subscriber = start({ LOG_LEVEL: "INFO", DELIVERY_FIRST_RETRY_MS: "600000" });
      await subscriber.accept(subscription, [event(subscription, "user-1")]);
      await subscriber.alarm();
      expect(await subscriber.deliveries(everything)).toMatchObject([
        { lastStatus: 401, lastError: expect.stringMatching(/^Kafka error 40101/) },
      ]);
      const kept = [await subscriber.deliveries(everything), written.map(({ mock }) => mock.calls)];
      expect(JSON.stringify(kept)).toContain("40101");
      expect(JSON.stringify(kept)).not.toContain(TOKEN);
    });
  });
});

describe("an isolate of the code before, which does not know of it,", () => {
  test("tells of a version without it: what D1 has of that version counts, and no pause is answered", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const subscription = await authorized();
    const { authorization: _, ...asBefore } = subscription;
    const sent = receiving(ok);
    await inSubscriber(subscription, async ({ start, state: { storage } }) => {
      const subscriber = start();
      await subscriber.accept(asBefore as Subscription, [event(subscription, "user-1")]);
      await subscriber.alarm();
      expect(sent.map(({ headers }) => headers.get("authorization"))).toEqual([BEARER]);
      // The other way round nothing is forgotten.
      await subscriber.accept(asBefore as Subscription, [event(subscription, "user-2")]);
      await subscriber.alarm();
      expect(sent.map(({ headers }) => headers.get("authorization"))).toEqual([BEARER, BEARER]);
      storage.sql.exec("UPDATE totals SET deliveries = ? WHERE status = 'pending'", MAX_PENDING_DELIVERIES);
      storage.sql.exec(
        "UPDATE notes SET body = json_remove(body, '$.authorization') WHERE name = 'subscription'",
      );
      const next = start();
      await next.accept(asBefore as Subscription, [event(subscription, "user-3")]);
      await next.accept(subscription, []);
      expect(await next.facts()).toMatchObject({ pausedReason: "too_many_pending" });
    });
  });

  test("has remembered what it made: that is told of as it is told of by now", async () => {
    const headers = { "idempotency-key": "made-before" };
    const first = await post("/subscriptions", BODY, headers);
    await env.DB.prepare(
      "UPDATE idempotency_records SET made = json_remove(made, '$.authorization') WHERE key = 'made-before'",
    ).run();
    expect((await post("/subscriptions", BODY, headers)).text).toBe(first.text);
  });
});
