/** What must be done while writes come so fast that the queue of a writer is never empty. */
import { describe, expect, test } from "vitest";
import { failBefore, isCommit, isPut, only, watched } from "../setup/faults.ts";
import { sleep, until } from "../setup/waiting.ts";
import { cached, inWriterObject, keyed, resultsOf, type TestWriter, user, write } from "../setup/writer.ts";

/** A database as far away as it is in production, so that more writes come while each transaction is under way. */
async function far(_call: unknown, run: () => Promise<unknown>): Promise<unknown> {
  const result = await run();
  await sleep(30);
  return result;
}

/** So many writes a second, whether or not the others are answered. @returns ends the load. */
function load(writer: TestWriter, rate: number): () => Promise<void> {
  const submitted: Promise<unknown>[] = [];
  const startMs = Date.now();
  const timer = setInterval(() => {
    const due = ((Date.now() - startMs) * rate) / 1_000;
    while (submitted.length < due) {
      const i = submitted.length;
      submitted.push(writer.submit(write(`load-${i % 50}`, { a: { i } })));
    }
  }, 2);
  return async () => {
    clearInterval(timer);
    await Promise.all(submitted);
  };
}

describe.concurrent("under load", () => {
  test("a write with a key is answered, though the outcome of an earlier transaction is open", () =>
    inWriterObject(async ({ start }) => {
      const bindings = watched({ database: only(isCommit, failBefore, 1) });
      const writer = start(bindings.env);
      expect((await writer.submit(write("user-1", { a: { n: 1 } }))).kind).toBe("unavailable");
      bindings.faults = { database: far };
      const endLoad = load(writer, 100);
      await sleep(300);
      const isAnswered = writer.submit(write("user-2", { a: { n: 1 } }), keyed("k")).then(() => true);
      expect(await Promise.race([isAnswered, sleep(10_000).then(() => false)])).toBe(true);
      await endLoad();
    }));

  test("the alarm comes to its end, and pays the debt of a document", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      resultsOf(await writer.submit(write("user-1", { a: { n: 1 } })));
      await writer.fill(user);
      bindings.faults = { cache: only(isPut, failBefore, 1) };
      resultsOf(await writer.submit(write("user-1", { a: { n: 2 } })));
      await until("its put has failed", () => bindings.cache.some(({ ran, kind }) => kind === "put" && !ran));
      bindings.faults = { database: far };
      const endLoad = load(writer, 100);
      await sleep(300);
      const isOver = writer.alarm().then(() => true);
      expect(await Promise.race([isOver, sleep(10_000).then(() => false)])).toBe(true);
      await until("the document is current", async () => (await cached(tenant, user))?.revision === 2);
      await endLoad();
    }));
});
