/** The object of a subscription, on its real storage: nothing is lost, and nothing comes in the wrong order. */
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { ReplayRequest } from "../../worker/events/begin-replay.ts";
import type { Subscriber } from "../../worker/events/subscriber.ts";
import {
  findSubscription,
  removeSubscription,
  updateSubscription,
} from "../../worker/events/subscription-store.ts";
import { DELIVERIES_AT_ONCE, MAX_DELIVERY_ATTEMPTS, MAX_PENDING_DELIVERIES } from "../../worker/limits.ts";
import { formatTimestamp, nowMicros } from "../../worker/timestamps.ts";
import { DELIVERY_RECOVERY_MS, IDEMPOTENCY_TTL_SECONDS } from "../../worker/timings.ts";
import { dieBefore } from "../setup/faults.ts";
import { sleep, until } from "../setup/waiting.ts";
import { event, failingSubscriptions, inSubscriber, receiving, storedSubscription } from "./receiving.ts";

vi.setConfig({ testTimeout: 60_000 });
afterEach(() => vi.restoreAllMocks());

const ok = () => new Response(null, { status: 204 });
const failing = () => new Response("no", { status: 500 });
const everything = { status: null, before: Number.MAX_SAFE_INTEGER, limit: 1_000 };

/** Wakes the object until nothing waits. */
async function deliverAll(subscriber: Subscriber): Promise<void> {
  await until("all is delivered or dead", async () => {
    await subscriber.alarm();
    return (await subscriber.facts()).pending === 0;
  });
}

describe("events that are handed over", () => {
  test("twice, at once and later, are delivered once", async () => {
    const subscription = await storedSubscription();
    const sent = receiving(ok);
    await inSubscriber(subscription, async ({ start }) => {
      const subscriber = start();
      const one = event(subscription, "user-1");
      await Promise.all([
        subscriber.accept(subscription, [one, one]),
        subscriber.accept(subscription, [one]),
      ]);
      await deliverAll(subscriber);
      await subscriber.accept(subscription, [one]);
      await start().accept(subscription, [one]);
      expect(await subscriber.facts()).toMatchObject({ pending: 0, delivered: 1 });
    });
    expect(sent).toHaveLength(1);
  });

  test("of one entity go out in revision order, though they came in another, and one at a time", async () => {
    const subscription = await storedSubscription();
    let underWay = 0;
    const sent = receiving(async () => {
      underWay += 1;
      expect(underWay).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 2));
      underWay -= 1;
      return ok();
    });
    await inSubscriber(subscription, async ({ start }) => {
      const subscriber = start();
      await subscriber.accept(
        subscription,
        [4, 2, 5, 1, 3].map((revision) => event(subscription, "user-1", revision)),
      );
      await deliverAll(subscriber);
    });
    expect(sent.map((one) => one.event.revision)).toEqual([1, 2, 3, 4, 5]);
  });

  test("an entity that fails holds up no other, and its next event only until it is dead", async () => {
    const subscription = await storedSubscription();
    const sent = receiving(({ event: { entity_id, revision } }) =>
      entity_id === "user-bad" && revision === 1 ? failing() : ok(),
    );
    await inSubscriber(subscription, async ({ start }) => {
      const subscriber = start();
      const bad = [event(subscription, "user-bad", 1), event(subscription, "user-bad", 2)];
      await subscriber.accept(subscription, [...bad, event(subscription, "user-good")]);
      await subscriber.alarm();
      expect(sent.some((one) => one.event.entity_id === "user-good")).toBe(true);
      await deliverAll(subscriber);
      expect(await subscriber.facts()).toMatchObject({ delivered: 2, dead: 1 });
    });
    const bad = sent.filter((one) => one.event.entity_id === "user-bad").map((one) => one.event.revision);
    expect(bad).toEqual([...Array.from({ length: MAX_DELIVERY_ATTEMPTS }, () => 1), 2]);
  });

  test("ten thousand of them for one receiver all arrive, and only so many are kept to look at", async () => {
    const subscription = await storedSubscription();
    const arrived = new Set<string>();
    receiving((one) => {
      arrived.add(one.event.event_id);
      return ok();
    });
    await inSubscriber(subscription, async ({ start, state }) => {
      const subscriber = start();
      const events = Array.from({ length: 10_500 }, (_, i) =>
        event(subscription, `user-${i % 3_000}`, i + 1),
      );
      for (let i = 0; i < events.length; i += 100) {
        await subscriber.accept(subscription, events.slice(i, i + 100));
      }
      await deliverAll(subscriber);
      expect(arrived.size).toBe(events.length);
      expect(await subscriber.facts()).toMatchObject({ pending: 0, delivered: 10_000, dead: 0 });
      const { heads } = state.storage.sql
        .exec<{ heads: number }>("SELECT count(*) AS heads FROM heads")
        .one();
      expect(heads).toBe(0);
    });
  });
});

describe("whatever happens to the object", () => {
  test("it is woken for what it has: from the moment it has it, and after a crash in the middle", async () => {
    const subscription = await storedSubscription();
    const sent = receiving(ok);
    await inSubscriber(subscription, async ({ start, alarmAt }) => {
      await start().accept(subscription, [event(subscription, "user-1")]);
      expect(await alarmAt()).not.toBeNull();
      const dying = start();
      vi.spyOn(globalThis, "fetch").mockImplementationOnce(() => dieBefore());
      void dying.alarm();
      await until("it delivers", () => vi.mocked(globalThis.fetch).mock.calls.length > 0);
      // The alarm under way never ends; another one stands for the next instance.
      expect(await alarmAt()).toBeGreaterThan(Date.now());
      await deliverAll(start());
    });
    expect(sent).toHaveLength(1);
  });

  test("D1 does not answer: what it knows is delivered all the same", async () => {
    const subscription = await storedSubscription();
    const sent = receiving(ok);
    await inSubscriber(subscription, async ({ start }) => {
      const errors = vi.spyOn(console, "error").mockImplementation(() => {});
      const subscriber = start({ DB: failingSubscriptions() });
      await subscriber.accept(subscription, [event(subscription, "user-1")]);
      await subscriber.alarm();
      expect(errors).toHaveBeenCalled();
      expect(await subscriber.facts()).toMatchObject({ pending: 0 });
    });
    expect(sent).toHaveLength(1);
  });

  test("its run fails: there is another one", async () => {
    const subscription = await storedSubscription();
    const sent = receiving(ok);
    await inSubscriber(subscription, async ({ start, alarmAt, state }) => {
      vi.spyOn(console, "error").mockImplementation(() => {});
      const subscriber = start();
      await subscriber.accept(subscription, [event(subscription, "user-1")]);
      state.storage.sql.exec("ALTER TABLE heads RENAME TO hidden");
      await subscriber.alarm().catch(() => {});
      expect(await alarmAt()).toBeGreaterThan(Date.now() - 1_000);
      state.storage.sql.exec("ALTER TABLE hidden RENAME TO heads");
      await deliverAll(subscriber);
    });
    expect(sent).toHaveLength(1);
  });
});

describe("pausing", () => {
  test("while a delivery is under way lets it end and starts no other", async () => {
    const subscription = await storedSubscription();
    let answer: (response: Response) => void = () => {};
    const sent = receiving(() => new Promise<Response>((resolve) => (answer = resolve)));
    await inSubscriber(subscription, async ({ start }) => {
      const subscriber = start();
      await subscriber.accept(
        subscription,
        [1, 2].map((revision) => event(subscription, "user-1", revision)),
      );
      const run = subscriber.alarm();
      await until("it is under way", () => sent.length === 1);
      const paused = await updateSubscription(env.DB, subscription, {
        change: { status: "paused" },
        now: nowMicros(),
      });
      if (!paused) throw new Error("it is gone");
      await subscriber.configure(paused);
      answer(ok());
      await run;
      expect(await subscriber.facts()).toMatchObject({ pending: 1, delivered: 1, pausedReason: "requested" });
    });
    expect(sent).toHaveLength(1);
  });

  test("is found in D1 when nobody could tell the object, and a version heard late changes nothing", async () => {
    const subscription = await storedSubscription();
    const sent = receiving(ok);
    await updateSubscription(env.DB, subscription, { change: { status: "paused" }, now: nowMicros() });
    await inSubscriber(subscription, async ({ start }) => {
      const subscriber = start();
      await subscriber.accept(subscription, [event(subscription, "user-1")]);
      await subscriber.alarm();
      await subscriber.accept(subscription, [event(subscription, "user-2")]);
      await subscriber.alarm();
      expect(await subscriber.facts()).toMatchObject({ pending: 2, pausedReason: "requested" });
    });
    expect(sent).toEqual([]);
  });

  test("happens by itself when too many wait; what is missed is told, and resuming goes on", async () => {
    const subscription = await storedSubscription();
    const sent = receiving(ok);
    await inSubscriber(subscription, async ({ start, state }) => {
      vi.spyOn(console, "warn").mockImplementation(() => {});
      const subscriber = start();
      await subscriber.accept(subscription, [event(subscription, "user-1")]);
      const set = (n: number) =>
        state.storage.sql.exec("UPDATE totals SET deliveries = ? WHERE status = 'pending'", n).toArray();
      set(MAX_PENDING_DELIVERIES - 1);
      const timestamps = [3, 1, 2].map((second) => formatTimestamp(second * 1_000_000));
      const late = timestamps.map((timestamp) => event(subscription, "user-2", 1, { timestamp }));
      await subscriber.accept(subscription, [event(subscription, "user-3"), ...late]);
      await subscriber.alarm();
      expect(await subscriber.facts()).toMatchObject({
        pending: MAX_PENDING_DELIVERIES,
        pausedReason: "too_many_pending",
        missed: { from: timestamps[1], to: timestamps[0] },
      });
      expect(sent).toEqual([]);
      const paused = await findSubscription(env.DB, subscription);
      expect(paused?.status).toBe("paused");
      set(2);
      const resumed = await updateSubscription(env.DB, subscription, {
        change: { status: "active" },
        now: nowMicros(),
      });
      if (!resumed) throw new Error("it is gone");
      await subscriber.configure(resumed);
      await deliverAll(subscriber);
      expect(await subscriber.facts()).toMatchObject({ pausedReason: null, missed: { from: timestamps[1] } });
      const all = { from: 1_000_000, to: 3_000_000, entityType: null, entityId: null, category: null };
      const reply = await subscriber.replay(resumed, { kind: "history", range: { ...all, to: 2_000_000 } });
      expect(reply).toEqual({ kind: "running", replayed: false });
      expect((await subscriber.facts()).missed).not.toBeNull();
      expect(await subscriber.replay(resumed, { kind: "history", range: all })).toEqual({ kind: "busy" });
      await subscriber.alarm();
      await subscriber.replay(resumed, { kind: "history", range: all });
      expect((await subscriber.facts()).missed).toBeNull();
    });
    expect(sent).toHaveLength(2);
  });
});

describe("a replay with an Idempotency-Key", () => {
  const keyed = (key: string, fingerprint = "same") => ({ key, fingerprint });

  test("begins once, in a new instance too, and answers the same", async () => {
    const subscription = await storedSubscription();
    const sent = receiving(ok);
    await inSubscriber(subscription, async ({ start }) => {
      const subscriber = start();
      await subscriber.accept(subscription, [event(subscription, "user-1")]);
      await deliverAll(subscriber);
      const all: ReplayRequest = { kind: "deliveries", seqs: [1] };
      const queued = { kind: "queued", queued: 1 };
      expect(await subscriber.replay(subscription, all, keyed("k"))).toEqual({ ...queued, replayed: false });
      await deliverAll(subscriber);
      for (const each of [subscriber, start()]) {
        expect(await each.replay(subscription, all, keyed("k"))).toEqual({ ...queued, replayed: true });
        const reused = { kind: "key_reused" };
        expect(await each.replay(subscription, { kind: "dead" }, keyed("k", "another"))).toEqual(reused);
        await deliverAll(each);
      }
      expect(sent).toHaveLength(2);
      expect(await subscriber.replay(subscription, all, keyed("l"))).toEqual({ ...queued, replayed: false });
      await deliverAll(subscriber);
      expect(sent).toHaveLength(3);
    });
  });

  test("that was refused begins when it comes again; a day later it is another one", async () => {
    const subscription = await storedSubscription({ status: "paused" });
    await inSubscriber(subscription, async ({ start }) => {
      const subscriber = start();
      const range = { from: 0, to: 1, entityType: null, entityId: null, category: null };
      const history = { kind: "history", range } as const;
      const running = { kind: "running" };
      expect(await subscriber.replay(subscription, history)).toMatchObject(running);
      for (let i = 0; i < 2; i++)
        expect(await subscriber.replay(subscription, history, keyed("k"))).toEqual({ kind: "busy" });
      const active = { ...subscription, status: "active", updatedAt: subscription.updatedAt + 1 } as const;
      await updateSubscription(env.DB, subscription, { change: { status: "active" }, now: active.updatedAt });
      await subscriber.configure(active);
      const isOver = async () => {
        await subscriber.alarm();
        return !(await subscriber.facts()).isReplaying;
      };
      await until("it is over", isOver);
      expect(await subscriber.replay(active, history, keyed("k"))).toEqual({ ...running, replayed: false });
      await until("it is over", isOver);
      const dayMs = IDEMPOTENCY_TTL_SECONDS * 1_000;
      const now = Date.now();
      vi.spyOn(Date, "now").mockReturnValue(now + dayMs - 1_000);
      expect(await subscriber.replay(active, history, keyed("k"))).toEqual({ ...running, replayed: true });
      vi.spyOn(Date, "now").mockReturnValue(now + dayMs + 1_000);
      expect(await subscriber.replay(active, history, keyed("k"))).toEqual({ ...running, replayed: false });
    });
  });
});

describe("a subscription that is gone", () => {
  test("while a delivery is under way leaves nothing behind", async () => {
    const subscription = await storedSubscription();
    let answer: (response: Response) => void = () => {};
    const sent = receiving(() => new Promise<Response>((resolve) => (answer = resolve)));
    await inSubscriber(subscription, async ({ start, alarmAt }) => {
      const subscriber = start();
      await subscriber.accept(
        subscription,
        [1, 2].map((revision) => event(subscription, "user-1", revision)),
      );
      const run = subscriber.alarm();
      await until("it is under way", () => sent.length === 1);
      await removeSubscription(env.DB, subscription);
      await subscriber.drop();
      answer(failing());
      await run;
      expect(await subscriber.deliveries(everything)).toEqual([]);
      expect(await alarmAt()).toBeNull();
    });
    expect(sent).toHaveLength(1);
  });

  test("that nobody tells of is found out, whatever the object does meanwhile", async () => {
    const subscription = await storedSubscription();
    let answer: (response: Response) => void = () => {};
    const sent = receiving(() => new Promise<Response>((resolve) => (answer = resolve)));
    await inSubscriber(subscription, async ({ start, alarmAt }) => {
      const subscriber = start();
      await subscriber.accept(subscription, [event(subscription, "user-1")]);
      const run = subscriber.alarm();
      await until("it is under way", () => sent.length === 1);
      await subscriber.expectDrop();
      answer(ok());
      await run;
      await subscriber.configure({ ...subscription, updatedAt: subscription.updatedAt + 1 });
      // The Worker dies before it says so.
      await removeSubscription(env.DB, subscription);
      expect(await alarmAt()).toBeLessThanOrEqual(Date.now() + DELIVERY_RECOVERY_MS);
      await subscriber.alarm();
      expect(await subscriber.deliveries(everything)).toEqual([]);
      expect(await alarmAt()).toBeNull();
    });
  });

  test("that two ask for at once leaves an object at rest", async () => {
    const subscription = await storedSubscription();
    await inSubscriber(subscription, async ({ start, alarmAt }) => {
      const subscriber = start();
      await subscriber.configure(subscription);
      await subscriber.expectDrop();
      await removeSubscription(env.DB, subscription);
      await subscriber.drop();
      await subscriber.expectDrop();
      await subscriber.alarm();
      expect(await alarmAt()).toBeNull();
    });
  });

  test("of what it has not heard of is not looked for again and again", async () => {
    const subscription = await storedSubscription();
    await inSubscriber(subscription, async ({ start, alarmAt, state: { storage } }) => {
      storage.sql.exec("INSERT INTO notes (name, body) VALUES ('look_by', '1')");
      const subscriber = start();
      await subscriber.alarm();
      expect(await alarmAt()).toBeNull();
    });
  });

  test("ends a run under way as soon as D1 must be asked, though nobody tells of it", async () => {
    const subscription = await storedSubscription();
    const sent = receiving(async () => {
      await sleep(10);
      return ok();
    });
    await inSubscriber(subscription, async ({ start, alarmAt }) => {
      const subscriber = start();
      const events = Array.from({ length: 300 }, (_, i) => event(subscription, `user-${i}`));
      await subscriber.accept(subscription, events);
      const run = subscriber.alarm();
      await until("it delivers", () => sent.length > 5);
      await subscriber.expectDrop();
      await removeSubscription(env.DB, subscription);
      const now = Date.now.bind(Date);
      vi.spyOn(Date, "now").mockImplementation(() => now() + DELIVERY_RECOVERY_MS);
      const before = sent.length;
      await run;
      expect(sent.length - before).toBeLessThanOrEqual(DELIVERIES_AT_ONCE);
      expect(await alarmAt()).toBeLessThanOrEqual(Date.now());
      await subscriber.alarm();
      expect(await subscriber.facts()).toMatchObject({ pending: 0, delivered: 0 });
    });
  });

  test("keeps nothing that comes late, in a new instance too, even while D1 does not answer", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const subscription = await storedSubscription();
    const sent = receiving(ok);
    await inSubscriber(subscription, async ({ start, alarmAt }) => {
      const subscriber = start();
      await subscriber.accept(subscription, [event(subscription, "user-0")]);
      await subscriber.expectDrop();
      await removeSubscription(env.DB, subscription);
      await subscriber.drop();
      const DB = failingSubscriptions();
      for (const late of [subscriber, start({ DB })]) {
        await late.accept(subscription, [event(subscription, "user-1")]);
        await late.configure({ ...subscription, updatedAt: subscription.updatedAt + 1 });
        expect(await late.replay(subscription, { kind: "dead" })).toEqual({ kind: "dropped" });
        expect(await alarmAt()).toBeNull();
        await late.alarm();
        expect(await late.facts()).toMatchObject({ pending: 0, delivered: 0, isReplaying: false });
      }
    });
    expect(sent).toEqual([]);
  });

  test("before a change that is told late leaves nothing behind", async () => {
    const subscription = await storedSubscription();
    await removeSubscription(env.DB, subscription);
    await inSubscriber(subscription, async ({ start, alarmAt, state: { storage } }) => {
      const subscriber = start();
      await subscriber.configure(subscription);
      expect(await alarmAt()).toBeLessThanOrEqual(Date.now() + DELIVERY_RECOVERY_MS);
      await subscriber.alarm();
      expect(storage.sql.exec("SELECT name FROM notes").toArray()).toEqual([{ name: "dropped" }]);
      expect(await alarmAt()).toBeNull();
    });
  });

  test("that did not happen after all is looked for once, and again as long as D1 does not answer", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const subscription = await storedSubscription();
    await inSubscriber(subscription, async ({ start, alarmAt }) => {
      const away = start({ DB: failingSubscriptions() });
      await away.configure(subscription);
      vi.spyOn(Date, "now").mockReturnValue(Date.now() + 2 * DELIVERY_RECOVERY_MS);
      await away.alarm();
      expect(await alarmAt()).toBe(Date.now() + DELIVERY_RECOVERY_MS);
      const subscriber = start();
      vi.spyOn(Date, "now").mockReturnValue(Date.now() + 2 * DELIVERY_RECOVERY_MS);
      await subscriber.alarm();
      expect(await alarmAt()).toBeNull();
    });
  });

  test("is found out by the object that nobody told", async () => {
    const subscription = await storedSubscription();
    const sent = receiving(ok);
    await removeSubscription(env.DB, subscription);
    await inSubscriber(subscription, async ({ start, alarmAt }) => {
      const subscriber = start();
      await subscriber.accept(subscription, [event(subscription, "user-1")]);
      await subscriber.alarm();
      expect(await subscriber.facts()).toMatchObject({ pending: 0, delivered: 0 });
      expect(await alarmAt()).toBeNull();
    });
    expect(sent).toEqual([]);
  });
});
