/** Messages of many events: what becomes of the message when not all of them can be handled, and of the events. */
import {
  createExecutionContext,
  createMessageBatch,
  getQueueResult,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { settings } from "../../worker/env.ts";
import { consumeAvailability } from "../../worker/events/consumer.ts";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import type { Subscriber } from "../../worker/events/subscriber.ts";
import type { Subscription } from "../../worker/events/subscription-store.ts";
import { partitionOf, writerName } from "../../worker/keys.ts";
import { MAX_HAND_OVER_BYTES } from "../../worker/limits.ts";
import { announced, counted, tenantWith } from "../registry/stats/tenants.ts";
import { failBefore } from "../setup/faults.ts";
import { event, objectOf, storedSubscription } from "./receiving.ts";

afterEach(() => vi.restoreAllMocks());

async function consume(
  bodies: unknown[],
  { attempts = 1, ...over }: Partial<Env> & { attempts?: number } = {},
) {
  const messages = bodies.map((body, i) => ({ id: `m${i}`, timestamp: new Date(), attempts, body }));
  const batch = createMessageBatch("feature-availability", messages);
  const retries = batch.messages.map((message) => vi.spyOn(message, "retry"));
  await consumeAvailability(batch, { ...env, QUEUE_STORAGE: "durable", ...over });
  const { explicitAcks, retryMessages } = await getQueueResult(batch, createExecutionContext());
  const delays = retries.flatMap(({ mock }) => mock.calls.map(([options]) => options?.delaySeconds ?? null));
  return { acked: explicitAcks, retried: retryMessages.map(({ msgId }) => msgId), delays };
}

/** A tenant with a registered feature `f` and a subscription that is paused: what it is handed stays to be seen. */
async function receiver(over: Partial<Subscription> = {}): Promise<Subscription> {
  const tenantId = await tenantWith("f");
  return storedSubscription({ tenantId, status: "paused", ...over });
}

/** The ids that a subscription was handed, in order, each as often as it was taken for a new one. */
const handed = (subscription: Subscription) =>
  runInDurableObject(objectOf(subscription), (_, { storage }) => {
    const rows = storage.sql.exec<{ event_id: string }>("SELECT event_id FROM deliveries ORDER BY seq");
    return rows.toArray().map((row) => row.event_id);
  });

const idsOf = (events: readonly FeatureAvailable[]) => events.map(({ event_id: id }) => id);

/** Events that count a value of `f` each. */
async function countedEvents(tenant: string, count: number): Promise<FeatureAvailable[]> {
  const events: FeatureAvailable[] = [];
  for (let n = 0; n < count; n++) events.push(await announced(tenant, { f: n }));
  return events;
}

describe("a message of many events", () => {
  test("is acknowledged when all were handed over and counted, in their order", async () => {
    const subscription = await receiver();
    const events = await countedEvents(subscription.tenantId, 7);
    expect(await consume([events.slice(0, 4), events.slice(4)])).toEqual({
      acked: ["m0", "m1"],
      retried: [],
      delays: [],
    });
    expect(await handed(subscription)).toEqual(idsOf(events));
    expect(await counted(subscription.tenantId, "f")).toMatchObject([{ values: 7 }]);
  });

  test("a bare event is one too", async () => {
    const subscription = await receiver();
    const [bare, ...packed] = await countedEvents(subscription.tenantId, 3);
    expect(await consume([bare, packed])).toEqual({ acked: ["m0", "m1"], retried: [], delays: [] });
    expect(await handed(subscription)).toHaveLength(3);
    expect(await counted(subscription.tenantId, "f")).toMatchObject([{ values: 3 }]);
  });

  test("with one that does not fit comes back until the queue gives it up; the others have arrived, each once", async () => {
    const subscription = await receiver();
    const good = await countedEvents(subscription.tenantId, 3);
    const [first, ...rest] = good;
    const poisoned = [first, { ...first, revision: 0 }, ...rest];
    const others = await countedEvents(subscription.tenantId, 2);
    expect(await consume([poisoned, others])).toEqual({ acked: ["m1"], retried: ["m0"], delays: [2] });
    const all = idsOf([...good, ...others]);
    expect(await handed(subscription)).toEqual(all);
    expect(await counted(subscription.tenantId, "f")).toMatchObject([{ values: 5 }]);
    // As the queue brings it again.
    for (const attempts of [2, 3]) {
      const delays = [2 ** attempts];
      expect(await consume([poisoned], { attempts })).toEqual({ acked: [], retried: ["m0"], delays });
    }
    expect(await handed(subscription)).toEqual(all);
    expect(await counted(subscription.tenantId, "f")).toMatchObject([{ values: 5 }]);
  });

  test("comes back later when one of them cannot be handed over, and is whole again then", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const sound = await receiver();
    const broken = await storedSubscription({
      tenantId: sound.tenantId,
      categories: ["b"],
      status: "paused",
    });
    const SUBSCRIBER = without(broken);
    const packed = [event(sound, "u1"), event(sound, "u2", 1, { resource_name: "b" }), event(sound, "u3")];
    const other = [event(sound, "u4")];
    expect(await consume([packed, other], { SUBSCRIBER, attempts: 3 })).toEqual({
      acked: ["m1"],
      retried: ["m0"],
      delays: [8],
    });
    expect(await handed(sound)).toEqual(idsOf([...packed, ...other]));
    expect(await consume([packed])).toEqual({ acked: ["m0"], retried: [], delays: [] });
    expect(await handed(sound)).toEqual(idsOf([...packed, ...other]));
    expect(await handed(broken)).toEqual(idsOf(packed.slice(1, 2)));
  });

  test("comes back when its values cannot be counted, with the same events, and they are counted once", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const subscription = await receiver();
    const events = await countedEvents(subscription.tenantId, 4);
    const FEATURE_STATS = { getByName: () => ({ record: failBefore }) } as unknown as Env["FEATURE_STATS"];
    expect(await consume([events], { FEATURE_STATS })).toEqual({ acked: [], retried: ["m0"], delays: [2] });
    expect(await counted(subscription.tenantId, "f")).toEqual([]);
    for (let again = 0; again < 2; again++) {
      expect(await consume([events])).toEqual({ acked: ["m0"], retried: [], delays: [] });
    }
    expect(await counted(subscription.tenantId, "f")).toMatchObject([{ values: 4 }]);
    expect(await handed(subscription)).toEqual(idsOf(events));
  });

  test("full messages, as many as one invocation gets, are handed over in a few calls and counted", async () => {
    const subscription = await receiver();
    const [one] = await countedEvents(subscription.tenantId, 1);
    // Of one row of the history, which the others repeat: what counts is how many they are.
    const events = Array.from({ length: 1_800 }, (_, i) => {
      return one && i > 0 ? { ...one, entity_id: `u${i}`, event_id: crypto.randomUUID() } : one;
    });
    const messages = Array.from({ length: 20 }, (_, i) => events.slice(i * 90, (i + 1) * 90));
    const sizes: number[] = [];
    const SUBSCRIBER = answering(subscription, async (...accepted) => {
      sizes.push(JSON.stringify(accepted[1]).length);
      return objectOf(subscription).accept(...accepted);
    });
    const { acked, retried } = await consume(messages, { SUBSCRIBER });
    expect([acked.length, retried]).toEqual([20, []]);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MAX_HAND_OVER_BYTES);
    expect(sizes.length).toBeLessThan(6);
    expect(await handed(subscription)).toHaveLength(1_800);
    expect(await counted(subscription.tenantId, "f")).toMatchObject([{ values: 1 }]);
  });
});

/** All subscriptions but one take their events. */
const without = (broken: Subscription) => answering(broken, failBefore);

/** Of one subscription something else is asked in the place of its object. */
function answering(asked: Subscription, accept: Subscriber["accept"]): Env["SUBSCRIBER"] {
  return new Proxy(env.SUBSCRIBER, {
    get: (namespace, property) =>
      property === "getByName"
        ? (name: string) =>
            name.endsWith(`/${asked.subscriptionId}`) ? { accept } : namespace.getByName(name)
        : Reflect.get(namespace, property),
  });
}

describe("a queue that forgets", () => {
  /** Writers that note what they are told, by their names. */
  function noting() {
    const calls: [writer: string, ids: string[]][] = [];
    const getByName = (name: string) => ({
      confirm: async (_: unknown, ids: string[]) => void calls.push([name, ids]),
    });
    return { calls, ENTITY_WRITER: { getByName } as unknown as Env["ENTITY_WRITER"] };
  }

  test("has each writer told once of all its events that were handled, and of no other", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const [one, two] = [await receiver(), await receiver({ categories: ["b"] })];
    const { writerPartitions: partitions } = settings(env);
    const { calls, ENTITY_WRITER } = noting();
    const events = Array.from({ length: 20 }, (_, i) => [event(one, `u${i}`), event(two, `u${i}`)]).flat();
    const failing = event(two, "u0", 2, { resource_name: "b" });
    const bodies = [events.slice(0, 15), [...events.slice(15), failing, "poison"]];
    await consume(bodies, { QUEUE_STORAGE: "memory", ENTITY_WRITER, SUBSCRIBER: without(two) });
    const writers = calls.map(([writer]) => writer);
    expect(writers.toSorted()).toEqual([...new Set(writers)].toSorted());
    const expected = Map.groupBy(events, ({ tenant_id, entity_type: entityType, entity_id: entityValue }) =>
      writerName(
        tenant_id,
        partitions,
        partitionOf({ entityType, entityValue }, { databases: 1, partitions }),
      ),
    );
    expect(new Map(calls)).toEqual(new Map([...expected].map(([writer, own]) => [writer, idsOf(own)])));
  });

  test("brings again what a writer could not be told of", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const subscription = await receiver();
    const ENTITY_WRITER = { getByName: () => ({ confirm: failBefore }) } as unknown as Env["ENTITY_WRITER"];
    const bodies = [[event(subscription, "u")], "poison"];
    expect(await consume(bodies, { QUEUE_STORAGE: "memory", ENTITY_WRITER })).toEqual({
      acked: [],
      retried: ["m0", "m1"],
      delays: [2, 2],
    });
    expect(await handed(subscription)).toHaveLength(1);
  });
});
