import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { UNRESOLVED_INTENT_MS } from "../../worker/timings.ts";
import {
  dieAfter,
  dieBefore,
  type Faults,
  failBefore,
  isCommit,
  isPut,
  only,
  watched,
} from "../setup/faults.ts";
import { until } from "../setup/waiting.ts";
import {
  cached,
  history,
  idsOf,
  inWriterObject,
  newTenant,
  ref,
  remove,
  resultsOf,
  stored,
  user,
  write,
} from "../setup/writer.ts";

/** Where the first instance dies. Everything that it had under way stands still for ever. */
const STEPS: { step: string; faults: Faults; isAnswered: boolean }[] = [
  {
    step: "after the transaction, before the answer",
    faults: { database: only(isCommit, dieAfter) },
    isAnswered: false,
  },
  {
    step: "after the answer, before events and document",
    faults: { queue: dieBefore, cache: dieBefore },
    isAnswered: true,
  },
  {
    step: "after the events are taken, before that is known",
    faults: { queue: dieAfter, cache: dieBefore },
    isAnswered: true,
  },
  { step: "after the events, before the document", faults: { cache: dieBefore }, isAnswered: true },
  { step: "after the document, before the events", faults: { queue: dieBefore }, isAnswered: true },
  {
    step: "after events and document, before the intent is removed",
    faults: { queue: dieAfter, cache: only(isPut, dieAfter) },
    isAnswered: true,
  },
];

describe.concurrent("a writer dies", () => {
  for (const queueStorage of ["durable", "memory"]) {
    for (const { step, faults, isAnswered } of STEPS) {
      test(`${step} (${queueStorage}): the next instance brings all to its end`, () =>
        inWriterObject(async ({ start, tenant, intents, state }) => {
          const variables = { QUEUE_STORAGE: queueStorage };
          const before = watched({}, variables);
          const first = start(before.env);
          await first.submit([write("user-1", { a: { n: 1 } }), write("user-2", { a: { n: 1 } })]);
          await first.fill(user);
          await until("the first write is sent", () => before.sent().length === 2);
          await first.confirm(idsOf(before.sent()));
          await until("the first write is done", () => intents() === 0);

          before.faults = faults;
          const replying = first.submit([
            write("user-1", { a: { n: 2 }, b: { n: 2 } }),
            write("user-2", { c: { n: 2 } }),
            write("user-1", { a: { n: 3 } }),
          ]);
          if (isAnswered) {
            expect(resultsOf(await replying)).toMatchObject([
              { revision: 2 },
              { revision: 2 },
              { revision: 3 },
            ]);
          } else await until("it is committed", async () => (await stored(tenant, user))?.revision === 3);
          await until("it stands still", () => intents() === 1);
          expect(await state.storage.getAlarm()).not.toBeNull();

          const after = watched({}, variables);
          const next = start(after.env);
          await next.alarm();
          await until("KV shows it", async () => (await cached(tenant, user))?.revision === 3);
          await until("all events are sent", () => after.sent().length >= 4);
          await next.confirm(idsOf(after.sent()));
          await until("the intents are gone", () => intents() === 0);

          expect(await cached(tenant, user)).toEqual(await stored(tenant, user));
          expect(await cached(tenant, ref("user-2"))).toBeNull();
          const rows = await history(tenant);
          expect(rows).toHaveLength(6);
          const sent = [...before.sent(), ...after.sent()];
          expect(new Set(idsOf(sent))).toEqual(new Set(rows.map(({ event_id }) => event_id)));
          const contents = new Set(sent.map((event) => JSON.stringify(event)));
          expect(contents.size).toBe(6);
          const ofUser = after.sent().filter(({ entity_id }) => entity_id === "user-1");
          expect(ofUser.map(({ revision }) => revision)).toEqual([2, 2, 3]);
        }));
    }
  }

  test("before its transaction leaves: nothing was written, and the next instance writes on", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const dying = watched({ database: only(isCommit, dieBefore) });
      void start(dying.env).submit(write("user-1", { a: { n: 1 } }));
      await until("the intent is written", () => dying.database.some(isCommit));
      const bindings = watched();
      const next = start(bindings.env);
      await next.alarm();
      expect(await stored(tenant, user)).toBeNull();
      // The transaction might still be on its way.
      expect(intents()).toBe(1);
      expect(resultsOf(await next.submit(write("user-1", { a: { n: 2 } })))).toMatchObject([{ revision: 1 }]);
      await until("only the doubtful intent is left", () => intents() === 1);
      expect(bindings.sent()).toHaveLength(1);
    }));

  test("after a deletion is committed: the next instance removes the document", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const dying = watched();
      const first = start(dying.env);
      await first.submit(write("user-1", { a: { n: 1 } }));
      await first.fill(user);
      await until("the write is done", () => intents() === 0);
      dying.faults = { database: only(isCommit, dieAfter) };
      void first.submit(remove("user-1"));
      await until("it is committed", async () => (await stored(tenant, user)) === null);
      await start(watched().env).alarm();
      await until("the document is gone", async () => (await cached(tenant, user)) === null);
      await until("the intent is done", () => intents() === 0);
    }));

  test("while events are owed of an entity that was deleted since: they are sent all the same, as they were", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const dying = watched({ queue: failBefore });
      const first = start(dying.env);
      await first.submit([write("user-1", { a: { n: 1 }, b: { n: 1 } }), write("user-2", { a: { n: 1 } })]);
      await first.submit(write("user-2", { a: { n: 2 } }));
      await first.submit(remove("user-1"));
      await first.submit(remove("user-2", "a"));
      await first.submit(write("user-1", { c: { n: 3 } }));
      expect(await history(tenant)).toHaveLength(1);
      dying.faults = { queue: dieBefore };
      const tried = new Map(
        dying.queue.flatMap(({ events }) => events).map((event) => [event.event_id, event]),
      );
      const after = watched();
      await start(after.env).alarm();
      await until("the intents are gone", () => intents() === 0);
      const places = after.sent().map((event) => [event.entity_id, event.resource_name, event.revision]);
      expect(places).toEqual([
        ["user-1", "a", 1],
        ["user-1", "b", 1],
        ["user-2", "a", 1],
        ["user-2", "a", 2],
        ["user-1", "c", 3],
      ]);
      for (const [id, event] of tried) expect(after.sent().find((one) => one.event_id === id)).toEqual(event);
    }));

  test("twice, and a part of a group cannot be proved any more: the order of the log stays that of the commits", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const first = start(watched({ queue: dieBefore }).env);
      await first.submit([write("user-1", { a: { n: 1 } }), write("user-2", { a: { n: 1 } })]);
      await first.submit(write("user-1", { a: { n: 2 } }));
      // Another owner removes the rows that would prove the second entity's write.
      await inWriterObject(async (other) => {
        await other.start(watched().env).submit(remove("user-2"));
      }, tenant);
      await start(watched({ queue: dieBefore }).env).alarm();
      const last = watched();
      await start(last.env).alarm();
      await until("only the doubtful intent is left", () => intents() === 1);
      const ofUser = last.sent().filter(({ entity_id }) => entity_id === "user-1");
      expect(ofUser.map(({ revision }) => revision)).toEqual([1, 2]);
    }));

  test("twice at the same step: nothing is lost", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const first = watched({ queue: dieAfter });
      await start(first.env).submit(write("user-1", { a: { n: 1 } }));
      const second = watched({ queue: dieAfter });
      const dying = start(second.env);
      await dying.alarm();
      await dying.submit(write("user-1", { a: { n: 2 } }));
      const third = watched();
      await start(third.env).alarm();
      await until("the intents are gone", () => intents() === 0);
      const ids = (await history(tenant)).map(({ event_id }) => event_id);
      expect(idsOf(third.sent())).toEqual(ids);
      expect(idsOf(first.sent())).toEqual(ids.slice(0, 1));
      expect(second.sent()).toEqual(first.sent());
    }));
});

describe("an intent whose transaction never landed", () => {
  afterEach(() => vi.useRealTimers());

  test("is dropped when no transaction can land any more, and a document that was owed stays owed", () =>
    inWriterObject(async ({ start, intents, state, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      bindings.faults = {
        database: only(isCommit, async () => {
          throw new Error("the connection was lost");
        }),
      };
      expect(await writer.submit(write("user-1", { a: { n: 2 } }))).toEqual({ kind: "unavailable" });
      await until("only the doubtful intent is left", () => intents() === 1);
      await writer.alarm();
      expect(intents()).toBe(1);
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + UNRESOLVED_INTENT_MS + 1_000 });
      await writer.alarm();
      expect(intents()).toBe(0);
      await state.storage.deleteAlarm();
      await writer.alarm();
      expect(await state.storage.getAlarm()).toBeNull();
      expect(await history(tenant)).toHaveLength(1);
    }));
});

test("the object itself, evicted right after a write: its alarm sends the event again, and the consumer ends the intent", async () => {
  const tenant = newTenant();
  const stub = env.ENTITY_WRITER.getByName(
    `${tenant}/4/${await import("../../worker/keys.ts").then((keys) => keys.partitionOf(user, { databases: 1, partitions: 4 }))}`,
  );
  const identity = { tenant, partitions: 4, database: 0, databases: 1 };
  const reply = await stub.change(identity, {
    rows: [write("user-1", { a: { n: 1 } })],
    positions: [0],
    idempotency: null,
  });
  expect(reply.kind).toBe("settled");
  await stub.fill(identity, [user]);
  await evictDurableObject(stub);
  const intents = () =>
    runInDurableObject(
      stub,
      (_instance, state) =>
        state.storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM intents").one().n,
    );
  expect(await intents()).toBe(1);
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  await until("the consumer has confirmed the event", async () => (await intents()) === 0);
  expect((await cached(tenant, user, 4))?.revision).toBe(1);
});
