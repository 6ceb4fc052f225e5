import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { MAX_ENTITIES_BYTES, MAX_GROUP_CHARACTERS, MAX_PACKED_DATA_CHARACTERS } from "../../worker/limits.ts";
import { isCommit, watched } from "../setup/faults.ts";
import { until } from "../setup/waiting.ts";
import { cached, history, inWriterObject, ref, resultsOf, stored, user, write } from "../setup/writer.ts";

const text = (length: number) => "x".repeat(length);

describe.concurrent("writes are committed in groups", () => {
  test("fifty at once make far fewer transactions than fifty, and as many results", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      const replies = await Promise.all(
        Array.from({ length: 50 }, (_, i) => writer.submit(write(`user-${i}`, { a: { i }, b: { i } }))),
      );
      for (const reply of replies)
        expect(resultsOf(reply)).toMatchObject([{ outcome: "applied", revision: 1 }]);
      expect(bindings.database.filter(isCommit).length).toBeLessThanOrEqual(3);
      expect(await history(tenant)).toHaveLength(100);
    }));

  test("fifty at once of one entity are fifty revisions in the order in which they came", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      const replies = await Promise.all(
        Array.from({ length: 50 }, (_, i) => writer.submit(write("user-1", { a: { i } }))),
      );
      expect(replies.flatMap(resultsOf).map(({ revision }) => revision)).toEqual(
        Array.from({ length: 50 }, (_, i) => i + 1),
      );
      expect(bindings.database.filter(isCommit).length).toBeLessThanOrEqual(3);
      expect((await history(tenant)).map(({ data }) => JSON.parse(data).i)).toEqual(
        Array.from({ length: 50 }, (_, i) => i),
      );
      expect((await stored(tenant, user))?.categories.get("a")?.data).toBe('{"i":49}');
    }));

  test("one alone goes at once: one look at D1 for a new entity, then one transaction, and only that for a known one", () =>
    inWriterObject(async ({ start }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { a: { n: 1 }, b: { n: 1 }, c: { n: 1 } }));
      expect(bindings.database.map(({ writes }) => writes)).toEqual([false, true]);
      bindings.forgetCalls();
      await writer.submit(write("user-1", { a: { n: 2 }, b: { n: 2 }, c: { n: 2 } }));
      expect(bindings.database.map(({ writes, sql }) => [writes, sql.length])).toEqual([[true, 2]]);
    }));

  test("entities that are too large to be read together are read and written in several groups", () =>
    inWriterObject(async ({ start, tenant }) => {
      const large = { text: text(500_000) };
      const users = Array.from({ length: 60 }, (_, i) => `user-${i}`);
      const first = start(watched().env);
      for (let i = 0; i < users.length; i += 6)
        await first.submit(users.slice(i, i + 6).map((one) => write(one, { a: large })));
      const bindings = watched();
      // Not only is what is too large not kept: it does not leave the database.
      const answers: number[] = [];
      bindings.faults = {
        database: async (_call, run) => {
          const answer = await run();
          answers.push(JSON.stringify(answer).length);
          return answer;
        },
      };
      const writer = start(bindings.env);
      const replies = await Promise.all(users.map((one) => writer.submit(write(one, { b: { n: 1 } }))));
      expect(Math.max(...answers)).toBeGreaterThan(MAX_ENTITIES_BYTES / 4);
      expect(Math.max(...answers)).toBeLessThan(1.1 * MAX_ENTITIES_BYTES);
      for (const reply of replies)
        expect(resultsOf(reply)).toMatchObject([{ outcome: "applied", revision: 2 }]);
      expect(bindings.database.filter(isCommit).length).toBeGreaterThan(1);
      expect(bindings.database.filter(isCommit).length).toBeLessThan(10);
      expect(await history(tenant)).toHaveLength(120);
      // A new instance has none of them in memory.
      await start(bindings.env).fill(...users.map((one) => ref(one)));
      for (const one of users) expect((await cached(tenant, ref(one)))?.revision).toBe(2);
    }));

  test("a thousand entities at once are a few statements, not thousands", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      const changes = Array.from({ length: 1_000 }, (_, i) =>
        write(
          `user-${i}`,
          { a: { i }, b: { i } },
          { type: ["bright_uid", "account_id", "device"][i % 3] ?? "" },
        ),
      );
      expect(resultsOf(await writer.submit(changes)).map(({ revision }) => revision)).toEqual(
        changes.map(() => 1),
      );
      const statements = bindings.database.reduce((count, { sql }) => count + sql.length, 0);
      expect(statements).toBeLessThan(20);
      for (const i of [0, 1, 2, 999]) {
        const entity = await stored(tenant, {
          entityType: changes[i]?.entityType ?? "",
          entityValue: `user-${i}`,
        });
        expect(entity?.categories.get("b")?.data).toBe(`{"i":${i}}`);
      }
    }));

  test("what is too big for one transaction is split between entities, never inside one", () =>
    inWriterObject(async ({ start, tenant }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      const changes = Array.from({ length: 10 }, (_, i) =>
        write(`user-${i}`, { a: { t: text(450_000) }, b: { t: text(450_000) }, c: { i } }),
      );
      await writer.submit(changes);
      const commits = bindings.database.filter(isCommit);
      expect(commits.length).toBeGreaterThanOrEqual(Math.ceil(9_000_000 / MAX_GROUP_CHARACTERS));
      expect(commits.length).toBeLessThan(10);
      const rows = await history(tenant);
      expect(rows).toHaveLength(30);
      for (let i = 0; i < 10; i++) {
        expect((await stored(tenant, ref(`user-${i}`)))?.categories.get("b")?.data).toHaveLength(450_008);
      }
    }));
});

describe.concurrent("a write of one entity is whole, however large", () => {
  const twelve = (last = "c11") =>
    Object.fromEntries(
      Array.from({ length: 12 }, (_, i) => [
        i === 11 ? last : `c${String(i).padStart(2, "0")}`,
        { t: text(900_000), i },
      ]),
    );

  test("twelve categories of 900 KB each are one transaction of many statements", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      const bindings = watched();
      const writer = start(bindings.env);
      expect(resultsOf(await writer.submit(write("user-1", twelve())))).toMatchObject([{ revision: 1 }]);
      const [commit] = bindings.database.filter(isCommit);
      expect(commit?.sql.length).toBeGreaterThanOrEqual(13);
      const entity = await stored(tenant, user);
      expect(entity?.categories.size).toBe(12);
      for (const [name, { data }] of entity?.categories ?? [])
        expect(JSON.parse(data).i).toBe(Number(name.slice(1)));
      await until("all is announced", () => intents() === 0);
      await writer.fill(user);
      expect((await cached(tenant, user))?.categories.size).toBe(12);
    }));

  test("when the last of its statements fails, nothing of it is written, and the entity stays as it was", () =>
    inWriterObject(async ({ start, tenant, intents }) => {
      await env.DB.prepare(
        `CREATE TRIGGER refuse BEFORE INSERT ON bright_uid WHEN new.category = 'refused'
         BEGIN SELECT RAISE(ABORT, 'refused'); END`,
      ).run();
      const bindings = watched();
      const writer = start(bindings.env);
      await writer.submit(write("user-1", { c00: { n: 1 } }));
      const before = await stored(tenant, user);
      expect(await writer.submit(write("user-1", twelve("refused")))).toEqual({ kind: "unavailable" });
      expect(await stored(tenant, user)).toEqual(before);
      expect(await history(tenant)).toHaveLength(1);
      await until("only the doubtful intent is left", () => intents() === 1);
      expect(bindings.sent()).toHaveLength(1);
      expect(resultsOf(await writer.submit(write("user-1", { c01: { n: 2 } })))).toMatchObject([
        { revision: 2 },
      ]);
    }));

  test("data just below and above the size that is sent unpacked come back as they went", () =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const values = [-1, 0, 1].map((more) => ({ t: `"\\☃${text(MAX_PACKED_DATA_CHARACTERS - 11 + more)}` }));
      await writer.submit(write("user-1", Object.fromEntries(values.map((value, i) => [`c${i}`, value]))));
      const entity = await stored(tenant, user);
      values.forEach((value, i) => {
        expect(JSON.parse(entity?.categories.get(`c${i}`)?.data ?? "")).toEqual(value);
      });
      expect((await history(tenant)).map(({ data }) => JSON.parse(data))).toEqual(values);
    }));

  test("a thousand writes of one entity with long category names fit the intent log", () =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const names = Array.from({ length: 5 }, (_, i) => `${i}`.padEnd(512, "é"));
      const changes = Array.from({ length: 1_000 }, (_, n) =>
        write("user-1", Object.fromEntries(names.map((name) => [name, { n }]))),
      );
      const reply = await writer.submit(changes, { key: "k", fingerprint: "f" });
      expect(resultsOf(reply).at(-1)).toMatchObject({ outcome: "applied", revision: 1_000 });
      expect((await stored(tenant, user))?.revision).toBe(1_000);
    }));

  test("a category may not grow past what a row takes by the event times of its features", () =>
    inWriterObject(async ({ start, tenant }) => {
      const writer = start(watched().env);
      const many = Object.fromEntries(Array.from({ length: 85_000 }, (_, i) => [`f${i}`, 1]));
      const at = 1_700_000_000_000_000;
      const first = await writer.submit(write("user-1", { a: many }, { eventTime: at }));
      expect(resultsOf(first)).toMatchObject([{ outcome: "applied" }]);
      // One newer feature, and each of the others needs its own event time beside it.
      const merge = await writer.submit(
        write("user-1", { a: { f1: 0 } }, { mode: "merge", eventTime: at + 1 }),
      );
      expect(resultsOf(merge)).toMatchObject([
        { outcome: "rejected", revision: 1, rejection: { reason: "event_times_too_large" } },
      ]);
      const row = await env.DB.prepare(
        "SELECT length(data) + coalesce(length(event_times), 0) AS size FROM bright_uid WHERE tenant_id = ?",
      )
        .bind(tenant)
        .first<{ size: number }>();
      expect(row?.size).toBeLessThan(2_000_000);
    }));
});
