import { describe, expect, test } from "vitest";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import {
  MAX_EVENT_NAMES_BYTES,
  MAX_QUEUE_BATCH_BYTES,
  MAX_QUEUE_BATCH_MESSAGES,
  MAX_QUEUE_MESSAGE_BYTES,
} from "../../worker/limits.ts";
import { failAfter, failBefore, isPut, only, watched } from "../setup/faults.ts";
import { sleep, until } from "../setup/waiting.ts";
import { cached, history, idsOf, inWriterObject, user, write } from "../setup/writer.ts";

const revisionsOf = (events: readonly FeatureAvailable[], value: string) =>
  events.filter((event) => event.entity_id === value).map(({ revision }) => revision);

describe.concurrent("the queue fails", () => {
  test("the write is acknowledged at once, and the events follow in revision order when the queue is back", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const bindings = watched({ queue: only(() => true, failBefore, 3) });
      const writer = start(bindings.env);
      for (let n = 1; n <= 5; n++) {
        await writer.submit([write("user-1", { a: { n } }), write("user-2", { a: { n }, b: { n } })]);
      }
      expect(bindings.sent()).toEqual([]);
      await until("all is sent", () => intents() === 0);
      expect(revisionsOf(bindings.sent(), "user-1")).toEqual([1, 2, 3, 4, 5]);
      expect(revisionsOf(bindings.sent(), "user-2")).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
      const ids = (await history(tenant)).map(({ event_id }) => event_id);
      expect(idsOf(bindings.sent()).sort()).toEqual(ids.sort());
    }));

  test("a batch that was taken though its answer was lost is repeated with the same ids", () =>
    inWriterObject(async ({ start, intents }) => {
      const bindings = watched({ queue: only(() => true, failAfter, 2) });
      await start(bindings.env).submit(write("user-1", { a: { n: 1 } }));
      await until("all is sent", () => intents() === 0);
      expect(bindings.sent()).toHaveLength(3);
      expect(new Set(bindings.sent().map((event) => JSON.stringify(event))).size).toBe(1);
    }));

  test("nothing is lost when the object is gone meanwhile: the next instance sends all, in order", () =>
    inWriterObject(async ({ start, tenant, intents, state }) => {
      const failing = watched({ queue: failBefore });
      const first = start(failing.env);
      for (let n = 1; n <= 4; n++) await first.submit(write("user-1", { a: { n } }));
      expect(intents()).toBe(4);
      expect(await state.storage.getAlarm()).not.toBeNull();
      failing.faults = { queue: () => new Promise(() => {}) };

      const bindings = watched();
      await start(bindings.env).alarm();
      await until("all is sent", () => intents() === 0);
      expect(revisionsOf(bindings.sent(), "user-1")).toEqual([1, 2, 3, 4]);
      expect(idsOf(bindings.sent())).toEqual((await history(tenant)).map(({ event_id }) => event_id));
      // What the first instance tried to send are the same events.
      const tried = failing.queue.flatMap(({ events }) => events);
      for (const event of tried) expect(bindings.sent()).toContainEqual(event);
    }));

  test("the alarm stays armed for as long as events are owed", () =>
    inWriterObject(async ({ start, state, intents }) => {
      const bindings = watched({ queue: failBefore });
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      for (let round = 0; round < 2; round++) {
        await state.storage.deleteAlarm();
        await writer.alarm();
        expect(await state.storage.getAlarm()).not.toBeNull();
      }
      bindings.faults = {};
      await until("it is sent", () => intents() === 0);
      await state.storage.deleteAlarm();
      await writer.alarm();
      expect(await state.storage.getAlarm()).toBeNull();
    }));

  test("documents do not wait for the queue", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.fill(user);
      bindings.faults = { queue: failBefore };
      await writer.submit(write("user-1", { a: { n: 2 } }));
      await until("KV shows it", async () => (await cached(tenant, user))?.revision === 2);
      bindings.faults = {};
    }));

  test("writers refuse further writes before what they owe fills their memory", () =>
    inWriterObject(async ({ start, intents }) => {
      const bindings = watched({ queue: failBefore });
      const writer = start(bindings.env);
      // 96 KB of names in each event.
      const values = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`${i}-`.padEnd(500, "x"), i]));
      let refused = 0;
      for (let round = 0; round < 50 && refused === 0; round++) {
        const changes = Array.from({ length: 20 }, (_, i) => write(`user-${round}-${i}`, { a: values }));
        if ((await writer.submit(changes)).kind === "unavailable") refused += 1;
      }
      expect(refused).toBe(1);
      expect(intents()).toBeLessThan(30);
      bindings.faults = {};
      await until("all is sent", () => intents() === 0);
      expect((await writer.submit(write("user-1", { a: { n: 1 } }))).kind).toBe("settled");
    }));
});

describe.concurrent("many and large events", () => {
  test("no sendBatch is larger than Queues takes, and order holds across them", () =>
    inWriterObject(async ({ start, intents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      const small = Array.from({ length: 150 }, (_, i) => write(`user-${i}`, { a: { n: i }, b: { n: i } }));
      const names = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`${i}-`.padEnd(512, "é"), i]));
      const large = Array.from({ length: 6 }, (_, i) => write(`user-${i}`, { big: names }));
      await writer.submit([...small, ...large]);
      await until("all is sent", () => intents() === 0);
      expect(bindings.sent()).toHaveLength(306);
      for (const { messages } of bindings.queue) {
        expect(messages.length).toBeLessThanOrEqual(MAX_QUEUE_BATCH_MESSAGES);
        const bytes = messages.reduce((sum, message) => sum + byteLength(message), 0);
        expect(bytes).toBeLessThanOrEqual(MAX_QUEUE_BATCH_BYTES);
        for (const message of messages) {
          if (message.length > 1) expect(byteLength(message)).toBeLessThanOrEqual(MAX_QUEUE_MESSAGE_BYTES);
        }
      }
      expect(revisionsOf(bindings.sent(), "user-3")).toEqual([1, 1, 2]);
    }));

  test("the events of a write are one message, whatever the number of its categories", () =>
    inWriterObject(async ({ start, intents }) => {
      const bindings = watched();
      await start(bindings.env).submit(write("user-1", { a: { n: 1 }, b: { n: 1 }, c: { n: 1 } }));
      await until("all is sent", () => intents() === 0);
      expect(bindings.queue.map(({ messages }) => messages.map(({ length }) => length))).toEqual([[3]]);
    }));

  test("a category with thousands of long names still fits a message, which says that names were left out", () =>
    inWriterObject(async ({ start, intents, tenant }) => {
      for (const character of ["x", "☃", '"', "\\", "😀"]) {
        const bindings = watched();
        const writer = start(bindings.env);
        const length = character.length;
        const names = Array.from({ length: 3_000 }, (_, i) =>
          `${i}-`.padEnd(Math.floor(100 / length) * length, character),
        );
        await writer.submit(write("user-1", { a: Object.fromEntries(names.map((name, i) => [name, i])) }));
        await until("it is sent", () => intents() === 0);
        const [event] = bindings.sent();
        expect(event && byteLength(event)).toBeLessThan(128_000);
        expect(event?.features_truncated).toBe(true);
        expect(event?.features).toEqual(names.slice(0, event?.features.length));
        expect(event?.features.length).toBeGreaterThan(MAX_EVENT_NAMES_BYTES / 400);
      }
      expect(await history(tenant)).toHaveLength(5);
    }));
});

describe.concurrent("QUEUE_STORAGE = memory", () => {
  const local = { QUEUE_STORAGE: "memory" };

  test("an intent stays until the consumer has confirmed all of its events, and a moment longer", () =>
    inWriterObject(async ({ start, intents }) => {
      const bindings = watched({}, local);
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 }, b: { n: 1 } }));
      await until("both are sent", () => bindings.sent().length === 2);
      const [one = "", other = ""] = idsOf(bindings.sent());
      await writer.confirm([one, one, "unknown"]);
      await sleep(2_300);
      expect(intents()).toBe(1);
      await writer.confirm([other]);
      expect(intents()).toBe(1);
      await until("the intent is done", () => intents() === 0);
    }));

  test("events that were taken and not confirmed are sent again by the next instance, as they were", () =>
    inWriterObject(async ({ start, intents }) => {
      const first = watched({}, local);
      await start(first.env).submit(write("user-1", { a: { n: 1 } }));
      await until("it is sent", () => first.sent().length === 1);
      const second = watched({}, local);
      const writer = start(second.env);
      await writer.alarm();
      await until("it is sent again", () => second.sent().length === 1);
      expect(second.sent()).toEqual(first.sent());
      await writer.confirm(idsOf(second.sent()));
      await until("the intent is done", () => intents() === 0);
    }));

  test("events of a writer of another number of them are done when they are sent: the consumer tells today's writers", () =>
    inWriterObject(async ({ start, intents }) => {
      const first = watched({}, local);
      await start(first.env).submit(write("user-1", { a: { n: 1 } }));
      await until("it is sent", () => first.sent().length === 1);
      const second = watched({}, local);
      await start(second.env, 4).alarm();
      await until("it is sent again and done", () => second.sent().length === 1 && intents() === 0);
    }));

  test("a confirmation does not end an intent whose document is still on its way", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const bindings = watched({}, local);
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.fill(user);
      await writer.confirm(idsOf(bindings.sent()));
      await until("the first intent is done", () => intents() === 0);
      bindings.faults = { cache: only(isPut, () => new Promise(() => {})) };
      await writer.submit(write("user-1", { a: { n: 2 } }));
      await until("the second event is sent", () => bindings.sent().length === 2);
      await writer.confirm(idsOf(bindings.sent()));
      await sleep(2_300);
      // The process dies here.
      const next = start(watched({}, local).env);
      await next.alarm();
      await until("KV shows the write", async () => (await cached(tenant, user))?.revision === 2);
    }));
});

const byteLength = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).length;
