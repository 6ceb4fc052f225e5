import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { consumeAvailability } from "../../worker/events/consumer.ts";
import {
  availabilityMessage,
  type FeatureAvailable,
  featureAvailable,
} from "../../worker/events/feature-available.ts";
import { watched } from "../setup/faults.ts";
import { sleep, until } from "../setup/waiting.ts";
import { inWriterObject, newTenant, remove, write } from "../setup/writer.ts";

afterEach(() => vi.restoreAllMocks());

/** The events of changes, as the queue took them. */
function eventsOf(changes: Parameters<typeof write>[], tenant = newTenant()): Promise<FeatureAvailable[]> {
  return inWriterObject(async ({ start, intents }) => {
    const bindings = watched();
    const writer = start(bindings.env);
    for (const change of changes) await writer.submit(write(...change));
    await until("all is sent", () => intents() === 0);
    return bindings.sent();
  }, tenant);
}

async function consume(bodies: unknown[]) {
  const messages = bodies.map((body, i) => ({ id: `m${i}`, timestamp: new Date(), attempts: 1, body }));
  const batch = createMessageBatch("feature-availability", messages);
  const context = createExecutionContext();
  await consumeAvailability(batch, env);
  return getQueueResult(batch, context);
}

/** Looks on while the service consumes its real queue: every message that it checks, each time, and what it holds. */
function watchConsumer(): unknown[][] {
  const bodies: unknown[][] = [];
  const check = availabilityMessage.safeParse;
  vi.spyOn(availabilityMessage, "safeParse").mockImplementation((body, ...rest) => {
    bodies.push(body as unknown[]);
    return check(body, ...rest);
  });
  return bodies;
}

describe("an availability event", () => {
  test("says what the contract says, and nothing else", async () => {
    const before = Date.now();
    const tenant = newTenant();
    const [event] = await eventsOf(
      [["user-1", { user_features: { age: 30, city: "SF" } }, { computeId: "compute-123" }]],
      tenant,
    );
    expect(event).toEqual({
      event_id: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      event_type: "feature_available",
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/),
      event_timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/),
      entity_type: "bright_uid",
      entity_id: "user-1",
      resource_type: "feature",
      resource_name: "user_features",
      compute_id: "compute-123",
      features: ["age", "city"],
      features_truncated: false,
      tenant_id: tenant,
      revision: 1,
      schema_version: 1,
    });
    const atMs = Date.parse(event?.timestamp ?? "");
    expect(atMs).toBeGreaterThanOrEqual(before - 1);
    expect(atMs).toBeLessThanOrEqual(Date.now() + 1);
    expect(featureAvailable.safeParse(event).success).toBe(true);
  });

  test("names what was written, not the merged whole, whatever it is called", async () => {
    const names = ["__proto__", "constructor", "10", 'quo"te', "☃", " "];
    const odd = JSON.parse(`{${names.map((name) => `${JSON.stringify(name)}:1`).join(",")}}`);
    const events = await eventsOf([
      ["user-1", { a: { old: 1 } }],
      ["user-1", { a: odd }, { mode: "merge" }],
    ]);
    expect(events[1]?.features.toSorted()).toEqual(names.toSorted());
    expect(events.map(({ compute_id }) => compute_id)).toEqual([null, null]);
  });

  test("is sent once for each category of each applied write, and for nothing else", async () => {
    const at = (eventTime: number) => ({ eventTime });
    const events = await eventsOf([
      ["user-1", { a: { n: 1 }, b: { n: 1 } }, at(2_000_000)],
      ["user-1", { a: { n: 1 }, b: { n: 1 } }, at(2_000_000)],
      ["user-1", { a: { n: 0 } }, at(1_000_000)],
      ["user-1", { a: { n: 2 } }, { ...at(3_000_000), ifRevision: 7 }],
      ["user-1", { b: { n: 2 } }, at(3_000_000)],
    ]);
    expect(events.map(({ resource_name, revision }) => [resource_name, revision])).toEqual([
      ["a", 1],
      ["b", 1],
      ["b", 2],
    ]);
    expect(new Set(events.map(({ event_id }) => event_id)).size).toBe(3);
  });

  test("is not sent for a deletion", () =>
    inWriterObject(async ({ start, intents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit([write("user-1", { a: { n: 1 } }), remove("user-1")]);
      await until("all is done", () => intents() === 0);
      expect(bindings.sent().map(({ revision }) => revision)).toEqual([1]);
    }));
});

describe("the consumer", () => {
  test("acknowledges what fits the schema and sends back what does not, without holding up the others", async () => {
    const [event] = await eventsOf([["user-1", { a: { n: 1 } }]]);
    const poison = [
      null,
      "text",
      {},
      { ...event, event_type: "other" },
      { ...event, revision: 0 },
      { ...event, schema_version: 2 },
      { ...event, features: [1] },
      { ...event, event_id: "not-an-id" },
    ];
    for (const asSent of [(one: unknown) => one, (one: unknown) => [one], (one: unknown) => [event, one]]) {
      const bodies = [event, ...poison, event].map(asSent);
      const { explicitAcks, retryMessages, outcome } = await consume(bodies);
      expect(outcome).toBe("ok");
      expect(explicitAcks).toEqual(["m0", `m${poison.length + 1}`]);
      expect(retryMessages.map(({ msgId }) => msgId)).toEqual(poison.map((_, i) => `m${i + 1}`));
    }
    expect((await consume([[], [event]])).retryMessages.map(({ msgId }) => msgId)).toEqual(["m0"]);
  });

  test("logs each event without a value and without the entity's name", async () => {
    const lines: string[] = [];
    vi.spyOn(console, "log").mockImplementation((line) => lines.push(String(line)));
    const values = { a: { n: "a-secret-value" }, b: { n: "a-secret-value", m: 1 } };
    const events = await eventsOf([["a-secret-person", values]]);
    const batch = createMessageBatch("feature-availability", [
      { id: "m", timestamp: new Date(), attempts: 2, body: events },
    ]);
    await consumeAvailability(batch, {
      ...env,
      LOG_LEVEL: "INFO",
      ENVIRONMENT: "production",
      QUEUE_STORAGE: "durable",
    });
    const told = { name: "events", levelname: "INFO", attempts: 2 };
    expect(lines.map((text) => JSON.parse(text))).toMatchObject([
      { ...told, event_id: events[0]?.event_id, resource_name: "a", feature_count: 1 },
      { ...told, event_id: events[1]?.event_id, resource_name: "b", feature_count: 2 },
    ]);
    expect(lines.join()).not.toContain("a-secret");
  });
});

describe("the real queue", () => {
  test("delivers the events of a write that came over HTTP", async () => {
    const bodies = watchConsumer();
    const response = await exports.default.fetch("http://store.test/api/v1/items/queued", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ a: { n: 1 }, b: { n: 1 }, c: { n: 1 } }),
    });
    expect(response.status).toBe(200);
    const isOwn = (body: unknown) => (body as FeatureAvailable).entity_id === "queued";
    await until("the consumer has it", () => bodies.flat().some(isOwn));
    const told = { tenant_id: "default", revision: 1 };
    // One message, and it came once.
    expect(bodies.filter((body) => body.some(isOwn))).toMatchObject([
      ["a", "b", "c"].map((name) => ({ resource_name: name, ...told })),
    ]);
  });

  test("tries a poison message three times, then never again, and delivers the others of its batch once", async () => {
    const [event] = await eventsOf([["user-1", { a: { n: 1 } }]]);
    const bodies = watchConsumer();
    const poison = { event_type: "feature_available", poison: true };
    const good = Array.from({ length: 7 }, () => ({ ...event, event_id: crypto.randomUUID() }));
    const [bare, first, last, ...others] = good;
    const queue: Queue = env.FEATURE_AVAILABILITY;
    const poisoned = [first, poison, last];
    const messages = [bare, poisoned, ...others.map((one) => [one])];
    await queue.sendBatch(messages.map((body) => ({ body, contentType: "json" })));
    const tries = (one: unknown) =>
      bodies.flat().filter((body) => JSON.stringify(body) === JSON.stringify(one)).length;
    await until("the poison is tried for the last time", () => tries(poison) === 3);
    await sleep(500);
    expect(tries(poison)).toBe(3);
    // What was in its message came with it each time.
    expect([first, last].map(tries)).toEqual([3, 3]);
    expect([bare, ...others].map(tries)).toEqual([1, 1, 1, 1, 1]);
  });
});
