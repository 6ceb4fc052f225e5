import { describe, expect, test } from "vitest";
import { WHOLE_ENTITY } from "../../worker/db/current-rows.ts";
import { failAfter, failBefore, isCommit, only, watched } from "../setup/faults.ts";
import { sleep, until } from "../setup/waiting.ts";
import {
  cached,
  history,
  idsOf,
  inWriterObject,
  keyed,
  remove,
  resultsOf,
  stored,
  user,
  write,
} from "../setup/writer.ts";

/** The transaction leaves, its caller is told of an error at once, and it lands after `ms` all the same. */
const landLate = (ms: number) => async (_call: unknown, run: () => Promise<unknown>) => {
  void sleep(ms).then(run);
  throw new Error("the connection was lost");
};

describe.concurrent("D1 fails before the commit", () => {
  test("the write is unavailable, nothing is written or announced, and the next write works", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched({ database: only(isCommit, failBefore, 1) });
      const writer = start(bindings.env);
      expect(await writer.submit(write("user-1", { a: { n: 1 } }))).toEqual({ kind: "unavailable" });
      expect(await stored(tenant, user)).toBeNull();
      expect(await history(tenant)).toEqual([]);
      expect(resultsOf(await writer.submit(write("user-1", { a: { n: 2 } })))).toMatchObject([
        { revision: 1 },
      ]);
      await until("the one event is sent", () => bindings.sent().length === 1);
      expect(bindings.sent()).toMatchObject([{ revision: 1, entity_id: "user-1" }]);
    }));

  test("a write with an Idempotency-Key works too, its own and any other, as soon as D1 does", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched({ database: only(isCommit, failBefore, 1) });
      const writer = start(bindings.env);
      const change = write("user-1", { a: { n: 1 } });
      expect(await writer.submit(change, keyed("one"))).toEqual({ kind: "unavailable" });
      expect(await writer.submit(write("user-2", { a: { n: 1 } }), keyed("other"))).toMatchObject({
        kind: "settled",
        replayed: false,
      });
      const first = await writer.submit(change, keyed("one"));
      expect(resultsOf(first)).toMatchObject([{ outcome: "applied", revision: 1 }]);
      expect(await writer.submit(change, keyed("one"))).toMatchObject({
        settled: [{ result: { outcome: "applied", revision: 1 } }],
        replayed: true,
      });
      expect(await history(tenant)).toHaveLength(2);
    }));

  test("a read that the decision needs fails: unavailable, and no intent is left", () =>
    inWriterObject(async ({ start, intents }) => {
      const bindings = watched({ database: failBefore });
      const writer = start(bindings.env);
      expect(await writer.submit(write("user-1", { a: { n: 1 } }))).toEqual({ kind: "unavailable" });
      expect(intents()).toBe(0);
      bindings.faults = {};
      expect(resultsOf(await writer.submit(write("user-1", { a: { n: 1 } })))).toMatchObject([
        { revision: 1 },
      ]);
    }));
});

describe.concurrent("D1 commits and the answer is lost", () => {
  test("the write is acknowledged after D1 was asked: one revision, one event id", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const bindings = watched({ database: only(isCommit, failAfter, 1) });
      const writer = start(bindings.env);
      const change = write("user-1", { a: { n: 1 }, b: { x: "y" } });
      const reply = await writer.submit(change, keyed("k"));
      expect(resultsOf(reply)).toMatchObject([{ outcome: "applied", revision: 1, categories: ["a", "b"] }]);
      const again = await writer.submit(change, keyed("k"));
      expect(resultsOf(again)).toEqual(resultsOf(reply));
      await until("the intent is done", () => intents() === 0);
      const rows = await history(tenant);
      expect(rows.map(({ revision }) => revision)).toEqual([1, 1]);
      expect(idsOf(bindings.sent()).sort()).toEqual(rows.map(({ event_id }) => event_id).sort());
    }));

  test("its event, made from D1, is the event that would have been sent", () =>
    inWriterObject(async ({ start, intents }) => {
      const values = {
        'quo"te': 1,
        "back\\slash": 2,
        __proto__x: 3,
        "é…☃": 4,
        "10": 5,
        "9": 6,
        "sp ace": null,
      };
      const events = [];
      for (const fault of [undefined, only(isCommit, failAfter, 1)]) {
        const bindings = watched(fault && { database: fault });
        const writer = start(bindings.env);
        const value = fault ? "user-lost" : "user-told";
        await writer.submit(write(value, { a: values }, { computeId: "c-1" }));
        await until("it is sent", () => bindings.sent().length === 1);
        events.push(...bindings.sent());
        // What is still in the log the next writer would send again.
        await until("it is done", () => intents() === 0);
      }
      const [told, lost] = events;
      expect(lost).toEqual({
        ...told,
        entity_id: "user-lost",
        event_id: lost?.event_id,
        timestamp: lost?.timestamp,
        event_timestamp: lost?.event_timestamp,
      });
      expect(lost?.features).toEqual(Object.keys(values));
    }));

  test("a deletion is acknowledged, and the document goes", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.fill(user);
      bindings.faults = { database: only(isCommit, failAfter, 1) };
      expect(resultsOf(await writer.submit(remove("user-1")))).toMatchObject([
        { outcome: "deleted", revision: 2 },
      ]);
      expect(await stored(tenant, user)).toBeNull();
      await until("the document is gone", async () => (await cached(tenant, user)) === null);
      await until("the intent is done", () => intents() === 0);
      expect(await history(tenant)).toEqual([]);
      expect(resultsOf(await writer.submit(write("user-1", { a: { n: 2 } })))).toMatchObject([
        { revision: 3 },
      ]);
    }));
});

describe.concurrent("D1 fails for long", () => {
  test("nobody is told anything wrong, and what was committed is found and announced when D1 is back", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      // The transaction commits, and from then on D1 is gone.
      bindings.faults = {
        database: async (call, run) => (isCommit(call) ? failAfter(call, run) : failBefore()),
      };
      const change = write("user-1", { a: { n: 2 } });
      expect(await writer.submit(change, keyed("k"))).toEqual({ kind: "unavailable" });
      expect(await writer.submit(write("user-1", { a: { n: 3 } }))).toEqual({ kind: "unavailable" });
      expect(await writer.submit(change, keyed("k"))).toEqual({ kind: "unavailable" });
      expect(await writer.submit(remove("user-1"))).toEqual({ kind: "unavailable" });

      bindings.faults = {};
      expect(await writer.submit(change, keyed("k"))).toMatchObject({
        settled: [{ result: { outcome: "applied", revision: 2 } }],
        replayed: true,
      });
      expect(resultsOf(await writer.submit(write("user-1", { a: { n: 4 } })))).toMatchObject([
        { revision: 3 },
      ]);
      await until("all is done", () => intents() === 0);
      const rows = await history(tenant);
      expect(rows.map(({ revision, data }) => [revision, data])).toEqual([
        [1, '{"n":1}'],
        [2, '{"n":2}'],
        [3, '{"n":4}'],
      ]);
      expect(idsOf(bindings.sent())).toEqual(rows.map(({ event_id }) => event_id));
    }));

  test("changes without a result of their own in D1 are unavailable as well, not lost in silence", () =>
    inWriterObject(async ({ start }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      bindings.faults = { database: only(isCommit, failBefore, 1) };
      const reply = await writer.submit([
        write("user-1", { a: { n: 2 } }, { ifRevision: 9 }),
        write("user-2", { a: {} }),
      ]);
      expect(reply).toEqual({ kind: "unavailable" });
    }));
});

describe.concurrent("a transaction lands late", () => {
  test("it is found, announced once and cached, though its caller was told that it is unavailable", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.fill(user);
      bindings.faults = { database: only(isCommit, landLate(400), 1) };
      const change = write("user-1", { a: { n: 2 } });
      expect(await writer.submit(change, keyed("k"))).toEqual({ kind: "unavailable" });
      // Before it lands the writer looks at the entity again, and knows revision 1.
      const refused = await writer.submit(write("user-1", { a: { n: 3 } }, { ifRevision: 9 }));
      expect(resultsOf(refused)).toMatchObject([{ outcome: "rejected", revision: 1 }]);
      await until("it has landed", async () => (await stored(tenant, user))?.revision === 2);
      await writer.alarm();
      await until("all is done", () => intents() === 0);
      expect(await cached(tenant, user)).toEqual(await stored(tenant, user));
      expect(resultsOf(await writer.submit(change, keyed("k")))).toMatchObject([{ revision: 2 }]);
      const rows = await history(tenant);
      expect(rows).toHaveLength(2);
      expect(idsOf(bindings.sent())).toEqual(rows.map(({ event_id }) => event_id));
    }));

  test("it does nothing after another write of the entity was committed", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched({ database: only(isCommit, landLate(400), 1) });
      const writer = start(bindings.env);
      expect(await writer.submit(write("user-1", { a: { late: 1 }, b: { late: 1 } }))).toEqual({
        kind: "unavailable",
      });
      expect(resultsOf(await writer.submit(write("user-1", { a: { n: 2 } })))).toMatchObject([
        { revision: 1 },
      ]);
      await sleep(500);
      const after = await stored(tenant, user);
      expect([...(after?.categories.keys() ?? [])]).toEqual(["a"]);
      expect(await history(tenant)).toMatchObject([{ revision: 1, data: '{"n":2}' }]);
      await writer.alarm();
      expect(bindings.sent()).toHaveLength(1);
    }));

  test("the repetition of its request, decided before it lands, does not apply it twice", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      bindings.faults = { database: only(isCommit, landLate(400), 1) };
      const change = write("user-1", { a: { n: 2 } });
      expect(await writer.submit(change, keyed("k"))).toEqual({ kind: "unavailable" });
      // The second transaction leaves before the first has landed, and arrives after it.
      const later = async (_call: unknown, run: () => Promise<unknown>) => sleep(600).then(run);
      bindings.faults = { database: only(isCommit, later, 1) };
      expect(resultsOf(await writer.submit(change, keyed("k")))).toMatchObject([
        { outcome: "applied", revision: 2 },
      ]);
      await until("all is done", () => intents() === 0);
      expect((await history(tenant)).map(({ revision }) => revision)).toEqual([1, 2]);
      expect(new Set(idsOf(bindings.sent())).size).toBe(2);
    }));

  test("a late deletion does not remove what was written since", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      bindings.faults = { database: only(isCommit, landLate(400), 1) };
      expect(await writer.submit(remove("user-1"))).toEqual({ kind: "unavailable" });
      expect(resultsOf(await writer.submit(write("user-1", { b: { n: 2 } })))).toMatchObject([
        { revision: 2 },
      ]);
      await sleep(500);
      expect([...((await stored(tenant, user))?.categories.keys() ?? [])].sort()).toEqual(["a", "b"]);
      expect(await history(tenant)).toHaveLength(2);
      expect((await stored(tenant, user))?.categories.has(WHOLE_ENTITY)).toBe(false);
    }));
});
