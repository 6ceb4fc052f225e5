import { describe, expect, test } from "vitest";
import type { EntityRef } from "../../worker/keys.ts";
import type { ChangeReply, EntityChange } from "../../worker/writing/entity-write.ts";
import { isCommit, only, watched } from "../setup/faults.ts";
import { sleep, until } from "../setup/waiting.ts";
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
  type TestWriter,
  user,
  write,
} from "../setup/writer.ts";

/** A writer in an object of its own. What happens in there may be asked for from anywhere. */
class Owner {
  readonly bindings = watched();
  readonly #asked: (() => void)[] = [];
  #isOver = false;
  #writer: TestWriter | null = null;

  submit(changes: EntityChange | EntityChange[]): Promise<ChangeReply> {
    return this.#ask((writer) => writer.submit(changes));
  }

  fill(entity: EntityRef): Promise<void> {
    return this.#ask((writer) => writer.fill(entity));
  }

  /** Objects may not touch each other's storage: each does what it is asked for in its own context. */
  run(tenant: string): Promise<void> {
    return inWriterObject(async ({ start }) => {
      this.#writer = start(this.bindings.env);
      while (!this.#isOver) {
        for (const begin of this.#asked.splice(0)) begin();
        await sleep(1);
      }
    }, tenant);
  }

  stop(): void {
    this.#isOver = true;
  }

  async #ask<R>(work: (writer: TestWriter) => Promise<R>): Promise<R> {
    const done: R[] = [];
    this.#asked.push(() => {
      if (this.#writer) void work(this.#writer).then((result) => done.push(result));
    });
    await until("the other object answers", () => done.length > 0);
    return done[0] as R;
  }
}

/** Two writers in two objects, each of which believes that it owns all entities of the tenant. */
async function withTwoOwners(
  use: (one: Owner, other: Owner, tenant: string) => Promise<void>,
): Promise<void> {
  const tenant = newTenant();
  const [one, other] = [new Owner(), new Owner()];
  const running = [one.run(tenant), other.run(tenant)];
  try {
    await use(one, other, tenant);
  } finally {
    one.stop();
    other.stop();
    await Promise.all(running);
  }
}

describe.concurrent("two objects that believe to own the same entity", () => {
  test("use no revision twice, lose no write and keep the whole history", () =>
    withTwoOwners(async (one, other, tenant) => {
      const written: { revision: number; owner: string; n: number }[] = [];
      const run = async (writer: Owner, owner: string) => {
        for (let n = 0; n < 25; n++) {
          const reply = await writer.submit(write("user-1", { a: { owner, n }, b: { owner, n } }));
          if (reply.kind !== "settled") continue;
          const [result] = resultsOf(reply);
          expect(result?.outcome).toBe("applied");
          written.push({ revision: result?.revision ?? 0, owner, n });
          await sleep(Math.random() * 8);
        }
      };
      await Promise.all([run(one, "one"), run(other, "other")]);
      expect(written.length).toBeGreaterThan(40);
      const revisions = written.map(({ revision }) => revision).sort((x, y) => x - y);
      expect(revisions).toEqual(revisions.map((_, i) => i + 1));

      const rows = await history(tenant);
      for (const { revision, owner, n } of written) {
        const own = rows.filter((row) => row.revision === revision);
        expect(own.map(({ category }) => category)).toEqual(["a", "b"]);
        for (const { data } of own) expect(JSON.parse(data)).toEqual({ owner, n });
      }
      expect(rows).toHaveLength(written.length * 2);
      const last = await stored(tenant, user);
      const newest = written.find(({ revision }) => revision === last?.revision);
      for (const { data } of last?.categories.values() ?? []) {
        expect(JSON.parse(data)).toEqual({ owner: newest?.owner, n: newest?.n });
      }
      const sent = () => [...one.bindings.sent(), ...other.bindings.sent()];
      await until("all events are sent", () => sent().length === rows.length);
      expect(idsOf(sent()).sort()).toEqual(rows.map(({ event_id }) => event_id).sort());
    }));

  test("decide anew when the entity moved on between decision and transaction", () =>
    withTwoOwners(async (one, other, tenant) => {
      await one.submit(write("user-1", { a: { n: 1 }, b: { n: 1 } }));
      // The other's write goes in while the transaction of the first is on its way.
      one.bindings.faults = {
        database: only(
          isCommit,
          async (_call, run) => {
            await other.submit(write("user-1", { b: { n: 2 } }));
            return run();
          },
          1,
        ),
      };
      const reply = await one.submit([
        write("user-1", { a: { n: 3 } }),
        write("user-2", { a: { n: 3 } }),
        write("user-1", { c: { n: 4 } }),
      ]);
      expect(resultsOf(reply)).toMatchObject([
        { outcome: "applied", revision: 3 },
        { outcome: "applied", revision: 1 },
        { outcome: "applied", revision: 4 },
      ]);
      const entity = await stored(tenant, user);
      expect([...(entity?.categories ?? [])].map(([name, { data }]) => [name, data])).toEqual([
        ["a", '{"n":3}'],
        ["b", '{"n":2}'],
        ["c", '{"n":4}'],
      ]);
      await until("all is announced", () => one.bindings.sent().length === 5);
      const ofUser = one.bindings.sent().filter(({ entity_id }) => entity_id === "user-1");
      expect(ofUser.map(({ revision }) => revision)).toEqual([1, 1, 3, 4]);
    }));

  test("give up, and say so, when the entity moves on at every attempt", () =>
    withTwoOwners(async (one, other, tenant) => {
      one.bindings.faults = {
        database: only(isCommit, async (_call, run) => {
          await other.submit(write("user-1", { b: { at: Math.random() } }));
          return run();
        }),
      };
      expect(await one.submit(write("user-1", { a: { n: 1 } }))).toEqual({ kind: "unavailable" });
      expect((await stored(tenant, user))?.categories.has("a")).toBe(false);
    }));

  test("answer from what D1 holds, not from what one of them remembers", () =>
    withTwoOwners(async (one, other) => {
      const same = write("user-1", { a: { n: 1 } }, { eventTime: 1_000_000 });
      await one.submit([same, write("user-2", { a: { n: 1 } }), remove("user-3")]);
      await other.submit(write("user-1", { a: { n: 2 } }, { eventTime: 2_000_000 }));
      await other.submit([remove("user-2"), write("user-3", { a: { n: 1 } })]);
      // What the first one remembers would make a duplicate, a match, a mismatch and a deletion of nothing.
      expect(resultsOf(await one.submit(same))).toMatchObject([{ outcome: "stale", revision: 2 }]);
      const conditional = write("user-1", { b: { n: 3 } }, { ifRevision: 1 });
      expect(resultsOf(await one.submit(conditional))).toMatchObject([{ outcome: "rejected", revision: 2 }]);
      await other.submit(write("user-1", { a: { n: 4 } }));
      const matching = write("user-1", { b: { n: 5 } }, { ifRevision: 3 });
      expect(resultsOf(await one.submit(matching))).toMatchObject([{ outcome: "applied", revision: 4 }]);
      expect(resultsOf(await one.submit(remove("user-3")))).toMatchObject([{ outcome: "deleted" }]);
      expect(resultsOf(await one.submit(remove("user-2")))).toMatchObject([{ outcome: "not_found" }]);
    }));

  test("a deletion by one of them and a write by the other: either order, never a mixture", () =>
    withTwoOwners(async (one, other, tenant) => {
      for (let round = 0; round < 10; round++) {
        const value = `user-${round}`;
        await one.submit(write(value, { a: { n: 1 }, b: { n: 1 } }));
        const [deleted, wrote] = await Promise.all([
          one.submit(remove(value)),
          other.submit(write(value, { b: { n: 2 }, c: { n: 2 } })),
        ]);
        const [removal] = resultsOf(deleted);
        const [writing] = resultsOf(wrote);
        const left = [...((await stored(tenant, ref(value)))?.categories.keys() ?? [])];
        const isWrittenLast = (writing?.revision ?? 0) > (removal?.revision ?? 0);
        expect(left).toEqual(isWrittenLast ? ["b", "c"] : []);
        const kept = (await history(tenant)).filter(({ entity_value }) => entity_value === value);
        expect(kept.map(({ category }) => category)).toEqual(left);
      }
    }));
});

describe.concurrent("a writer whose memory is behind D1", () => {
  test("does not put an old document: after a lost guard it reads again", () =>
    withTwoOwners(async (one, other, tenant) => {
      await one.submit(write("user-1", { a: { n: 1 } }));
      await one.fill(user);
      await other.submit(write("user-1", { a: { n: 2 } }));
      expect(resultsOf(await one.submit(write("user-1", { b: { n: 3 } })))).toMatchObject([{ revision: 3 }]);
      await until("KV shows it", async () => (await cached(tenant, user))?.revision === 3);
      expect(await cached(tenant, user)).toEqual(await stored(tenant, user));
    }));
});
