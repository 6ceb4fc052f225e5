/**
 * Subscriptions as a user has them: the real service, real receivers that fail, hang and come back, and a `kill -9`.
 *
 * Every test has a category, a path of the receiver and a subscription of its own, so that none sees another's events.
 */
import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import { MAX_DELIVERY_ATTEMPTS } from "../../worker/limits.ts";
import { receiverType } from "../events/avro-receiver.ts";
import { Receiver, type Reply } from "./receiver.ts";
import {
  api,
  arrived,
  begin,
  type Created,
  deliveriesOf,
  end,
  eventOf,
  idsOf,
  kill,
  printed,
  receiver,
  startAgain,
  subscribe,
  succeeded,
  TIMEOUT_MS,
  taken,
  until,
  write,
} from "./subscribing.ts";

beforeAll(begin);
afterAll(end);

describe.concurrent("a webhook", () => {
  test("is the event, signed as the standard says", async () => {
    const { secret } = await subscribe("signed");
    await write("signed-1", "signed", { age: 30, city: "SF" });
    await arrived("signed", 1);
    const [received] = taken("/signed");
    if (!received) throw new Error("nothing came");
    const event = new Webhook(secret).verify(received.body, received.headers) as FeatureAvailable;
    expect(event).toMatchObject({
      event_id: received.headers["webhook-id"],
      entity_id: "signed-1",
      resource_name: "signed",
      features: ["age", "city"],
      revision: 1,
    });
    expect(received.headers["content-type"]).toBe("application/json");
    const changed = Buffer.from(received.body.toString().replace("signed-1", "signed-2"));
    expect(() => new Webhook(secret).verify(changed, received.headers)).toThrow();
  });

  test("as Avro holds the same event", async () => {
    const { secret } = await subscribe("avro", { format: "avro" });
    await write("user-1", "avro");
    await arrived("avro", 1);
    const [received] = taken("/avro");
    if (!received) throw new Error("nothing came");
    // By hand: the package takes a body for text.
    const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature } = received.headers;
    const key = Buffer.from(secret.slice("whsec_".length), "base64");
    const mac = createHmac("sha256", key).update(`${id}.${at}.`).update(received.body).digest("base64");
    expect(signature).toBe(`v1,${mac}`);
    expect(received.headers["content-type"]).toBe("avro/binary");
    // Single-object encoding: a mark of two bytes and the schema's fingerprint of eight stand in front.
    expect(received.body.subarray(0, 2)).toEqual(Buffer.from([0xc3, 0x01]));
    expect(receiverType.fromBuffer(received.body.subarray(10))).toMatchObject({
      entity_id: "user-1",
    });
  });

  test("that fails is tried again, until it succeeds", async () => {
    receiver.replies.set("/flaky", () => ({ status: receiver.at("/flaky").length <= 3 ? 500 : 200 }));
    const created = await subscribe("flaky");
    await write("user-1", "flaky");
    await arrived("flaky", 1);
    expect(new Set(idsOf(receiver.at("/flaky"))).size).toBe(1);
    await until("the delivery is noted", async () => (await deliveriesOf(created, "delivered")).length === 1);
    expect(await deliveriesOf(created)).toMatchObject([
      { status: "delivered", attempts: 4, last_status: 200, last_error: null },
    ]);
  });

  test("to a receiver that hangs, redirects or never ends its answer costs no other entity anything", async () => {
    const stuck: Record<string, Reply> = {
      "user-hang": "hang",
      "user-redirect": { status: 302, headers: { location: receiver.urlOf("/redirected") } },
      "user-slow": { status: 200, afterMs: 3 * TIMEOUT_MS },
    };
    receiver.replies.set("/odd", (received) => {
      const { entity_id: entity } = eventOf(received);
      return entity === "user-endless" ? "endless" : (stuck[entity] ?? { status: 200 });
    });
    const created = await subscribe("odd");
    for (const entity of [...Object.keys(stuck), "user-endless", "user-fine"]) await write(entity, "odd");
    await until("two are delivered", async () => (await deliveriesOf(created, "delivered")).length === 2);
    // What is redirected may have had all of its tries when the first answer that never comes is given up.
    const others = async () => (await deliveriesOf(created)).filter(({ status }) => status !== "delivered");
    await until("the others have failed", async () => (await others()).every(({ attempts }) => attempts > 0));
    const errors = (await others()).map(({ last_error }) => last_error);
    expect(errors.toSorted()).toEqual([
      "answered 302: redirects are not followed",
      `no answer within ${TIMEOUT_MS} ms`,
      `no answer within ${TIMEOUT_MS} ms`,
    ]);
    expect(receiver.at("/redirected")).toEqual([]);
    await succeeded(`DELETE /subscriptions/${created.subscription_id}`);
  });
});

describe.concurrent("a try", () => {
  const tried = ({ subscription_id: id }: Created) => succeeded(`POST /subscriptions/${id}/test`);
  const duration_ms = expect.any(Number);

  test("tells what the receiver answered", async () => {
    receiver.replies.set("/tried", () => ({ status: 503 }));
    expect(await tried(await subscribe("tried"))).toEqual({
      delivered: false,
      status: 503,
      duration_ms,
      error: "answered 503",
    });
  });

  test("tells that nobody is there", async () => {
    const closed = new Receiver();
    await closed.listen();
    const url = closed.urlOf("/");
    closed.close();
    expect(await tried(await subscribe("nobody", { url }))).toEqual({
      delivered: false,
      status: null,
      duration_ms,
      error: "the receiver could not be reached",
    });
  });
});

describe.concurrent("order", () => {
  test("each entity's events come one at a time and in the order of their revisions, whatever fails", async () => {
    const entities = Array.from({ length: 12 }, (_, i) => `order-${i}`);
    let asked = 0;
    receiver.replies.set("/order", () => {
      asked += 1;
      return { status: asked % 4 === 0 ? 503 : 200, afterMs: asked % 5 };
    });
    const { secret } = await subscribe("order");
    const rounds = 8;
    for (let round = 0; round < rounds; round++) {
      // A queue promises no order: what it is sent together it hands over together.
      await Promise.all(entities.map((entity) => write(entity, "order", { round })));
    }
    await arrived("order", entities.length * rounds);
    for (const received of receiver.at("/order")) new Webhook(secret).verify(received.body, received.headers);
    for (const entity of entities) {
      const own = receiver.at("/order").filter((received) => eventOf(received).entity_id === entity);
      const revisions = own.filter(({ status }) => status === 200).map((one) => eventOf(one).revision);
      expect(revisions, entity).toEqual(Array.from({ length: rounds }, (_, i) => i + 1));
      for (const [i, { atMs }] of own.entries()) {
        expect(atMs, `${entity}: two at once`).toBeGreaterThanOrEqual(own[i - 1]?.endMs ?? 0);
      }
    }
  });
});

describe.concurrent("a paused subscription", () => {
  test("delivers nothing, and everything when it is resumed", async () => {
    const { subscription_id: id } = await subscribe("paused");
    await write("user-1", "paused");
    await arrived("paused", 1);
    await succeeded(`PATCH /subscriptions/${id}`, { status: "paused" });
    for (const entity of ["user-1", "user-2", "user-3"]) await write(entity, "paused");
    interface Detail {
      pending: number;
      paused_reason: string | null;
    }
    const detail = () => succeeded<Detail>(`GET /subscriptions/${id}`);
    await until("they wait", async () => (await detail()).pending === 3);
    expect(await detail()).toMatchObject({
      status: "paused",
      paused_reason: "requested",
      pending: 3,
      dead: 0,
    });
    expect(receiver.at("/paused")).toHaveLength(1);
    await succeeded(`PATCH /subscriptions/${id}`, { status: "active" });
    await arrived("paused", 4);
    expect(new Set(idsOf(taken("/paused"))).size).toBe(4);
  });
});

describe.concurrent("replay", () => {
  test("what is dead holds up its entity no longer, and comes with the same id when it is replayed", async () => {
    let isUp = false;
    receiver.replies.set("/dead", (received) => {
      const isFirst = eventOf(received).revision === 1;
      return { status: isFirst && !isUp ? 500 : 200 };
    });
    const created = await subscribe("dead");
    await write("dead-1", "dead");
    await write("dead-1", "dead");
    await arrived("dead", 1);
    expect(taken("/dead").map((received) => eventOf(received).revision)).toEqual([2]);
    const [dead, ...others] = await deliveriesOf(created, "dead");
    expect(others).toEqual([]);
    expect(dead).toMatchObject({ status: "dead", attempts: MAX_DELIVERY_ATTEMPTS, last_status: 500 });
    isUp = true;
    const path = `POST /subscriptions/${created.subscription_id}/replay`;
    expect(await api(path, { dead: true })).toMatchObject({ status: 202, body: { queued: 1 } });
    await arrived("dead", 2);
    expect(idsOf(taken("/dead"))[1]).toBe(dead?.event_id);
    await until("it is noted", async () => (await deliveriesOf(created, "delivered")).length === 2);
    expect(await api(path, { delivery_ids: [dead?.delivery_id] })).toMatchObject({ body: { queued: 1 } });
    await arrived("dead", 3);
    expect(idsOf(taken("/dead"))[2]).toBe(dead?.event_id);
  });

  test("a time range comes from the history, in revision order, to a subscription that was not there", async () => {
    const { subscription_id: earlier } = await subscribe("range", { url: receiver.urlOf("/earlier") });
    await write("range-0", "range");
    await arrived("earlier", 1);
    const from = new Date().toISOString();
    for (const entity of ["range-1", "range-2", "range-1", "range-1"]) await write(entity, "range");
    await arrived("earlier", 5);
    await succeeded(`DELETE /subscriptions/${earlier}`);
    const created = await subscribe("range");
    const path = `POST /subscriptions/${created.subscription_id}/replay`;
    const range = { from, to: new Date().toISOString() };
    expect(await api(path, range)).toMatchObject({ status: 202, body: { replay: "running" } });
    await arrived("range", 4);
    await until("it is over", async () => {
      const { replay } = await succeeded<{ replay: null | string }>(
        `GET /subscriptions/${created.subscription_id}`,
      );
      return replay === null;
    });
    const told = taken("/range").map((received) => eventOf(received));
    expect(told.filter(({ entity_id }) => entity_id === "range-1").map(({ revision }) => revision)).toEqual([
      1, 2, 3,
    ]);
    expect(told.filter(({ entity_id }) => entity_id === "range-2")).toHaveLength(1);
    expect(told).toHaveLength(4);
    await succeeded(path, { ...range, entity_type: "bright_uid", entity_id: "range-2" });
    await arrived("range", 5);
    expect(idsOf(taken("/range"))[4]).toBe(told.find(({ entity_id }) => entity_id === "range-2")?.event_id);
  });
});

describe.concurrent("a Kafka REST proxy", () => {
  test("gets records of the protocol's form, and again those that it did not take", async () => {
    const batches: { key: string; value: FeatureAvailable }[][] = [];
    receiver.replies.set("/proxy/topics/feature.events", ({ body }) => {
      const { records } = JSON.parse(body.toString()) as { records: (typeof batches)[number] };
      batches.push(records);
      const isFirst = batches.length === 1;
      const offsets = records.map((_, i) =>
        isFirst && i === 0
          ? { partition: null, offset: null, error_code: 2, error: "try again" }
          : { partition: 0, offset: i, error_code: null, error: null },
      );
      const headers = { "content-type": "application/vnd.kafka.v2+json" };
      const answer = { key_schema_id: null, value_schema_id: null, offsets };
      return { status: 200, headers, body: JSON.stringify(answer) };
    });
    const created = await subscribe("kafka", {
      kind: "kafka-rest",
      url: receiver.urlOf("/proxy"),
      topic: "feature.events",
    });
    expect(created.secret).toBeNull();
    await succeeded(`PATCH /subscriptions/${created.subscription_id}`, { status: "paused" });
    for (let i = 0; i < 5; i++) await write(`kafka-${i}`, "kafka");
    await until("all wait", async () => (await deliveriesOf(created, "pending")).length === 5);
    await succeeded(`PATCH /subscriptions/${created.subscription_id}`, { status: "active" });
    await until("all are taken", async () => (await deliveriesOf(created, "delivered")).length === 5);
    expect(batches.map(({ length }) => length)).toEqual([5, 1]);
    const [first, second] = batches;
    expect(second?.[0]).toEqual(first?.[0]);
    for (const { key, value } of first ?? []) {
      expect(key).toBe(`default/bright_uid/${value.entity_id}`);
      expect(value).toMatchObject({ event_type: "feature_available", resource_name: "kafka" });
    }
    const [request] = receiver.at("/proxy/topics/feature.events");
    expect(request?.headers["content-type"]).toBe("application/vnd.kafka.json.v2+json");
    expect(request?.headers["webhook-signature"]).toBeUndefined();
  });
});

describe.concurrent("an authorization", () => {
  const authorization = "Bearer a-token-of-the-receivers";
  const authorizations = (path: string) => receiver.at(path).map(({ headers }) => headers.authorization);

  test("comes with every delivery to a webhook and to a Kafka REST proxy, and with no other one", async () => {
    const path = "/proxied/topics/t";
    const offsets = [{ partition: 0, offset: 1, error_code: null, error: null }];
    receiver.replies.set(path, () => ({ status: 200, body: JSON.stringify({ offsets }) }));
    receiver.replies.set("/authorized", () => ({
      status: receiver.at("/authorized").length < 3 ? 401 : 200,
    }));
    const proxy = { kind: "kafka-rest", topic: "t", url: receiver.urlOf("/proxied"), authorization };
    await subscribe("authorized", proxy);
    await subscribe("authorized", { url: receiver.urlOf("/unauthorized") });
    const created = await subscribe("authorized", { authorization });
    expect(created).toMatchObject({ has_authorization: true, secret: expect.any(String) });
    await write("user-1", "authorized");
    await arrived("authorized", 1);
    await arrived("unauthorized", 1);
    await arrived(path.slice(1), 1);
    expect(authorizations("/authorized")).toEqual([authorization, authorization, authorization]);
    expect(authorizations(path)).toEqual([authorization]);
    expect(authorizations("/unauthorized")).toEqual([undefined]);
    const [received] = taken("/authorized");
    new Webhook(created.secret).verify(received?.body ?? "", received?.headers ?? {});
  });

  test("is not sent to where the receiver redirects", async () => {
    const location = receiver.urlOf("/lured");
    receiver.replies.set("/luring", () => ({ status: 307, headers: { location } }));
    const created = await subscribe("luring", { authorization });
    await write("user-1", "luring");
    await until("it is given up", async () => (await deliveriesOf(created, "dead")).length === 1);
    expect(new Set(authorizations("/luring"))).toEqual(new Set([authorization]));
    expect(receiver.at("/lured")).toEqual([]);
  });
});

describe("a kill -9", () => {
  test("while events wait and others are under way loses none and changes no id", async () => {
    let isUp = false;
    receiver.replies.set("/killed", () => (isUp ? { status: 200 } : "hang"));
    const created = await subscribe("killed");
    const entities = Array.from({ length: 30 }, (_, i) => `killed-${i}`);
    await Promise.all(entities.map((entity) => write(entity, "killed")));
    await until("some are under way", () => receiver.at("/killed").length >= 3);
    const before = new Set(idsOf(receiver.at("/killed")));
    await kill();
    isUp = true;
    await startAgain();
    await arrived("killed", entities.length);
    const ids = new Set(idsOf(taken("/killed")));
    expect(ids.size).toBe(entities.length);
    for (const id of before) expect(ids).toContain(id);
    await until(
      "all are noted",
      async () => (await deliveriesOf(created, "delivered")).length === entities.length,
    );
  });

  test("right after a write loses no event on its way to the subscriber", async () => {
    await subscribe("at-once");
    const entities = Array.from({ length: 20 }, (_, i) => `at-once-${i}`);
    await Promise.all(entities.map((entity) => write(entity, "at-once")));
    await kill();
    await startAgain();
    const entitiesThere = () => new Set(taken("/at-once").map((received) => eventOf(received).entity_id));
    await until("all have arrived", () => entitiesThere().size === entities.length);
  });
});

test("no log line names an entity, a URL or a secret", () => {
  const output = printed();
  expect(output).toMatch(/subscription_id=sub_/);
  expect(output).toMatch(/delivery failed/);
  const hidden = [
    /whsec_/,
    new RegExp(receiver.urlOf("")),
    /killed-\d/,
    /at-once-\d/,
    /order-\d/,
    /Bearer/,
    /token-of/,
  ];
  for (const secret of hidden) expect(output).not.toMatch(secret);
});
