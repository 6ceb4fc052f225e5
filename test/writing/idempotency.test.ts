import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { readSettings } from "../../worker/env.ts";
import { partitionOf } from "../../worker/keys.ts";
import { Log } from "../../worker/log.ts";
import { IDEMPOTENCY_TTL_SECONDS } from "../../worker/timings.ts";
import { sleep } from "../../worker/waits.ts";
import type { RequestRow } from "../../worker/writing/entity-write.ts";
import { claimIdempotencyKey, submitChanges } from "../../worker/writing/submit-changes.ts";
import { dieBefore, failAfter, failBefore, isCommit, only, watched } from "../setup/faults.ts";
import { until } from "../setup/waiting.ts";
import {
  history,
  inWriterObject,
  keyed,
  newTenant,
  ref,
  remove,
  resultsOf,
  stored,
  user,
  write,
} from "../setup/writer.ts";

const reason = { type: "feature_type", detail: "it is of another type" };

describe.concurrent("the Idempotency-Key", () => {
  test("of a request under way waits for it: the same answer, one revision", () =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const change = write("user-1", { a: { n: 1 } });
      const replies = await Promise.all([1, 2, 3].map(() => writer.submit(change, keyed("k"))));
      expect(replies.map((reply) => reply.kind === "settled" && reply.replayed)).toEqual([false, true, true]);
      expect(new Set(replies.map((reply) => JSON.stringify(resultsOf(reply)))).size).toBe(1);
      expect(await history(tenant)).toHaveLength(1);
    }));

  test("with another body is refused, also while the first is under way", () =>
    inWriterObject(async ({ start }) => {
      const writer = start(watched().env);
      const first = writer.submit(write("user-1", { a: { n: 1 } }), keyed("k"));
      const other = { key: "k", fingerprint: "another-body" };
      expect(await writer.submit(write("user-1", { a: { n: 2 } }), other)).toEqual({ kind: "key_reused" });
      await first;
      expect(await writer.submit(write("user-1", { a: { n: 2 } }), other)).toEqual({ kind: "key_reused" });
    }));

  test("is not recalled before the request under way has ended", () =>
    inWriterObject(async ({ start }) => {
      const slow = only(isCommit, async (_call, run) => {
        await sleep(100);
        return run();
      });
      const writer = start(watched({ database: slow }).env);
      const first = writer.submit(write("user-1", { a: { n: 1 } }), keyed("k"));
      expect(await writer.recall(keyed("k"))).toMatchObject({ result: { outcome: "applied", revision: 1 } });
      expect((await first).kind).toBe("settled");
    }));

  test("is neither recalled nor refused while nobody knows whether the transaction was committed", () =>
    inWriterObject(async ({ start }) => {
      const bindings = watched();
      const hasCommitted = () => bindings.database.some((call) => isCommit(call) && call.ran);
      bindings.faults = {
        database: (call, run) =>
          isCommit(call) ? failAfter(call, run) : hasCommitted() ? failBefore() : run(),
      };
      const writer = start(bindings.env);
      expect(await writer.submit(write("user-1", { a: { n: 1 } }), keyed("k"))).toEqual({
        kind: "unavailable",
      });
      expect(await writer.recall(keyed("k"))).toBe("unknown");
      const refusal: RequestRow = { kind: "refused", ...user, reason };
      expect(await writer.submit(refusal, keyed("k"))).toEqual({ kind: "unavailable" });
      bindings.faults = {};
      expect(resultsOf(await writer.submit(refusal, keyed("k")))).toMatchObject([
        { outcome: "applied", revision: 1 },
      ]);
      expect(await writer.recall(keyed("k"))).toMatchObject({ result: { outcome: "applied", revision: 1 } });
    }));

  test("of a bulk write of which a part was lost: the repetition applies the missing part alone", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      const changes = [write("user-1", { a: { n: 1 } }), remove("user-1"), write("user-2", { a: { n: 1 } })];
      // Three transactions, since a deletion goes alone; the last one never arrives.
      const isThird = () => bindings.database.filter(isCommit).length === 3;
      bindings.faults = { database: only((call) => isCommit(call) && isThird(), failBefore, 1) };
      expect(await writer.submit(changes, keyed("k"))).toEqual({ kind: "unavailable" });
      const again = await writer.submit(changes, keyed("k"));
      expect(resultsOf(again)).toMatchObject([
        { outcome: "applied", revision: 1 },
        { outcome: "deleted", revision: 2 },
        { outcome: "applied", revision: 1 },
      ]);
      expect(await history(tenant)).toMatchObject([{ entity_value: "user-2", revision: 1 }]);
    }));

  test("is remembered by the next instance, with the results of a transaction that the last one did not survive", () =>
    inWriterObject(async ({ start, tenant }) => {
      const dying = watched({
        database: only(isCommit, async (_call, run) => {
          await run();
          return dieBefore();
        }),
      });
      const change = write("user-1", { a: { n: 1 } });
      void start(dying.env).submit(change, keyed("k"));
      await until("it is committed", async () => (await stored(tenant, user)) !== null);
      const bindings = watched();
      const reply = await start(bindings.env).submit(change, keyed("k"));
      expect(resultsOf(reply)).toMatchObject([{ outcome: "applied", revision: 1 }]);
      expect(await history(tenant)).toHaveLength(1);
    }));
});

describe("the Idempotency-Key, in time", () => {
  afterEach(() => vi.useRealTimers());

  test("is forgotten after a day, and so is all that was kept for it", () =>
    inWriterObject(async ({ start, state, tenant }) => {
      const writer = start(watched().env);
      await writer.submit(write("user-1", { a: { n: 1 } }), keyed("k"));
      const kept = () =>
        state.storage.sql
          .exec<{ n: number }>(
            "SELECT (SELECT count(*) FROM idempotency_keys) + (SELECT count(*) FROM idempotent_results) AS n",
          )
          .one().n;
      expect(kept()).toBe(2);
      await writer.alarm();
      expect(kept()).toBe(2);
      const later = Date.now() + IDEMPOTENCY_TTL_SECONDS * 1_000 + 1;
      vi.useFakeTimers({ toFake: ["Date"], now: later });
      const other = { key: "k", fingerprint: "another-body" };
      expect(resultsOf(await writer.submit(write("user-1", { a: { n: 2 } }), other))).toMatchObject([
        { revision: 2 },
      ]);
      expect(await history(tenant)).toHaveLength(2);
      vi.setSystemTime(later + IDEMPOTENCY_TTL_SECONDS * 1_000 + 1);
      await writer.alarm();
      expect(kept()).toBe(0);
    }));

  test("recalls nothing of a request that is another one, or a day ago, though nothing was cleaned up since", () =>
    inWriterObject(async ({ start }) => {
      const writer = start(watched().env);
      const [first] = resultsOf(await writer.submit(write("user-1", { a: { n: 1 } }), keyed("k")));
      expect(await writer.recall(keyed("k"))).toMatchObject({ result: first });
      expect(await writer.recall({ key: "k", fingerprint: "another-body" })).toBeNull();
      const later = Date.now() + IDEMPOTENCY_TTL_SECONDS * 1_000 + 1;
      vi.useFakeTimers({ toFake: ["Date"], now: later });
      expect(await writer.recall(keyed("k"))).toBeNull();
    }));
});

describe("the Idempotency-Key, across the writers of a tenant", () => {
  const settings = readSettings(env);
  const log = new Log("test", { level: "ERROR", readable: false });
  /** An entity for each of the tenant's writers. */
  const values = [0, 1, 2, 3].map((partition) => {
    for (let i = 0; ; i++)
      if (
        partitionOf(ref(`user-${i}`), { databases: 1, partitions: settings.writerPartitions }) === partition
      )
        return `user-${i}`;
  });

  test("with another body is refused, whatever entity that is about", async () => {
    const tenant = newTenant();
    const submit = (value: string, fingerprint: string) =>
      submitChanges({ env, settings, tenant, log }, [write(value, { a: { n: 1 } })], {
        key: "k",
        fingerprint,
      });
    const [first = "", ...others] = values;
    expect((await submit(first, "body")).results).toMatchObject([{ outcome: "applied", revision: 1 }]);
    for (const other of others) {
      await expect(submit(other, `body-of-${other}`)).rejects.toMatchObject({ status: 422 });
      expect(await stored(tenant, ref(other))).toBeNull();
    }
    expect(await submit(first, "body")).toMatchObject({ replayed: true, results: [{ revision: 1 }] });
  });

  test("of a bulk write is one key for all of its writers", async () => {
    const tenant = newTenant();
    const changes = values.map((value) => write(value, { a: { n: 1 } }));
    const submit = () => submitChanges({ env, settings, tenant, log }, changes, keyed("bulk"));
    const first = await submit();
    expect(await submit()).toEqual({ ...first, replayed: true });
    expect(await history(tenant)).toHaveLength(4);
  });

  test("a row that was answered as refused stays refused, though the first try had not refused it", async () => {
    const tenant = newTenant();
    const context = { env, settings, tenant, log };
    const [first = "", second = ""] = values;
    const rows = [write(first, { a: { n: 1 } }), write(second, { a: { n: 1 } })];
    const refusal: RequestRow = { kind: "refused", ...ref(second), reason };
    // The first try dies with nothing but its claim done; and the registry is not everywhere of the same age.
    await claimIdempotencyKey(context, keyed("k"));
    const { results } = await submitChanges(context, [rows[0] ?? refusal, refusal], keyed("k"));
    expect(results).toMatchObject([
      { outcome: "applied", revision: 1 },
      { outcome: "refused", reason },
    ]);
    const again = await submitChanges(context, rows, keyed("k"));
    expect(again).toMatchObject({ results, replayed: true });
    expect(await stored(tenant, ref(second))).toBeNull();
  });
});
