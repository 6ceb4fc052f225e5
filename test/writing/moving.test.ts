/** What a writer does while its tenant is spread over more databases. The move as a whole: `several-databases/moving.test.ts`. */
import { describe, expect, test } from "vitest";
import { entityKey } from "../../worker/keys.ts";
import { type DatabaseCall, failBefore, isCommit, isPut, only, watched } from "../setup/faults.ts";
import { until } from "../setup/waiting.ts";
import { inWriterObject, remove, resultsOf, user, write } from "../setup/writer.ts";

/** A call that waits until it is let go. */
function held() {
  let letGo = () => {};
  const released = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let isThere = false;
  const hold = async (_call: unknown, run: () => Promise<unknown>) => {
    isThere = true;
    await released;
    return run();
  };
  return { hold, letGo, isThere: () => isThere };
}

describe("a writer that pauses", () => {
  test("takes no write, nor fills the cache, and goes on after the move that did not happen", () =>
    inWriterObject(async ({ start, documents }) => {
      const writer = start(watched().env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await until("nothing is under way", writer.pause);
      expect(await writer.submit(write("user-1", { a: { n: 2 } }))).toEqual({ kind: "moving" });
      await writer.fill(user);
      expect(documents()).toEqual([]);
    }));

  test("still does so after a restart", () =>
    inWriterObject(async ({ start }) => {
      await start(watched().env).pause();
      expect(await start(watched().env).submit(write("user-1", { a: { n: 1 } }))).toEqual({
        kind: "moving",
      });
    }));

  test("has something under way while a write waits for D1, and finishes it", () =>
    inWriterObject(async ({ start }) => {
      const commit = held();
      const writer = start(watched({ database: only(isCommit, commit.hold) }).env);
      const reply = writer.submit(write("user-1", { a: { n: 1 } }));
      expect(await writer.pause()).toBe(false);
      await until("the commit waits", commit.isThere);
      expect(await writer.pause()).toBe(false);
      commit.letGo();
      expect(resultsOf(await reply)).toMatchObject([{ outcome: "applied" }]);
      await until("nothing is under way", writer.pause);
    }));

  test("has something under way while its state is read, before any intent", () =>
    inWriterObject(async ({ start, intents }) => {
      const read = held();
      const writer = start(watched({ database: only<DatabaseCall>(({ writes }) => !writes, read.hold) }).env);
      const reply = writer.submit(write("user-1", { a: { n: 1 } }));
      await until("the read waits", read.isThere);
      expect(intents()).toBe(0);
      expect(await writer.pause()).toBe(false);
      read.letGo();
      await reply;
    }));

  test("has something under way while a deletion waits for D1", () =>
    inWriterObject(async ({ start, intents }) => {
      const read = held();
      const writer = start(watched({ database: only<DatabaseCall>(({ writes }) => !writes, read.hold) }).env);
      const reply = writer.submit(remove("user-1"));
      await until("the read waits", read.isThere);
      expect(intents()).toBe(0);
      expect(await writer.pause()).toBe(false);
      read.letGo();
      await reply;
      await until("nothing is under way", writer.pause);
    }));

  test("owes events and documents until they are where they belong", () =>
    inWriterObject(async ({ start, documents }) => {
      const all = watched();
      const writer = start(all.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.fill(user);
      all.faults.queue = failBefore;
      await writer.submit(write("user-1", { a: { n: 2 } }));
      expect(await writer.pause()).toBe(false);
      all.faults = { cache: only(isPut, failBefore) };
      await until("the document is owed", () => documents().some(({ dirty }) => dirty === 1));
      expect(await writer.pause()).toBe(false);
      all.faults = {};
      await writer.alarm();
      await until("nothing is owed", writer.pause);
    }));

  test("has something under way while it fills the cache", () =>
    inWriterObject(async ({ start }) => {
      const put = held();
      const writer = start(watched({ cache: only(isPut, put.hold) }).env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      const filled = writer.fill(user);
      await until("the put waits", put.isThere);
      await until("events are sent", async () => {
        await writer.alarm();
        return true;
      });
      expect(await writer.pause()).toBe(false);
      put.letGo();
      await filled;
      await until("nothing is under way", writer.pause);
    }));
});

describe("a writer that is watched", () => {
  const key = (value: string) => entityKey({ entityType: "bright_uid", entityValue: value });

  test("notes whatever changes, once, from the moment on that it is told", () =>
    inWriterObject(async ({ start }) => {
      const writer = start(watched().env);
      await writer.submit(write("before", { a: { n: 1 } }));
      await writer.watch();
      expect(await writer.changed()).toEqual([]);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.submit(write("user-2", { a: { n: 1 } }));
      await writer.submit(write("user-1", { a: { n: 2 } }, { eventTime: 1_000 }));
      await writer.submit(remove("before"));
      expect(await writer.changed()).toEqual(["user-2", "user-1", "before"].map(key));
      const again = start(watched().env);
      expect(await again.changed()).toHaveLength(3);
      await again.submit(write("user-3", { a: { n: 1 } }));
      expect(await again.changed()).toHaveLength(4);
    }));

  test("notes an entity that was copied while its transaction was under way", () =>
    inWriterObject(async ({ start }) => {
      const commit = held();
      const writer = start(watched({ database: only(isCommit, commit.hold) }).env);
      await writer.watch();
      const reply = writer.submit(write("user-1", { a: { n: 1 } }));
      await until("the commit waits", commit.isThere);
      // Whoever copies the entity now does not see the write.
      await writer.copied();
      commit.letGo();
      await reply;
      expect(await writer.changed()).toEqual([key("user-1")]);
    }));

  test("notes what a transaction of before has changed that landed late", () =>
    inWriterObject(async ({ start }) => {
      const landing = held();
      const all = watched({
        database: only(isCommit, async (call, run) => {
          void landing.hold(call, run);
          return failBefore();
        }),
      });
      const writer = start(all.env);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.watch();
      landing.letGo();
      await until("it has landed", async () => {
        await writer.alarm();
        return writer.pause();
      });
      expect(await writer.changed()).toEqual([key("user-1")]);
    }));

  test("forgets nothing when a run is late that was overtaken, also after a restart", () =>
    inWriterObject(async ({ start }) => {
      const writer = start(watched().env);
      await writer.watch(2);
      await writer.submit(write("user-1", { a: { n: 1 } }));
      await writer.watch(1);
      expect(await writer.changed()).toEqual([key("user-1")]);
      await until("nothing is under way", writer.pause);
      const again = start(watched().env);
      await again.watch(1);
      expect(await again.changed()).toEqual([key("user-1")]);
      expect(await again.submit(write("user-1", { a: { n: 2 } }))).toEqual({ kind: "moving" });
      await again.watch(3);
      expect(await again.changed()).toEqual([]);
    }));

  test("is told once what was under way before is committed", () =>
    inWriterObject(async ({ start }) => {
      const commit = held();
      const writer = start(watched({ database: only(isCommit, commit.hold) }).env);
      const reply = writer.submit(write("user-1", { a: { n: 1 } }));
      await until("the commit waits", commit.isThere);
      let isWatched = false;
      const watching = writer.watch().then(() => {
        isWatched = true;
      });
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(isWatched).toBe(false);
      commit.letGo();
      await Promise.all([reply, watching]);
    }));
});
