/** What objects forget of what they remember, and what that costs: D1's and the objects' rows that are read are billed. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test, vi } from "vitest";
import { ReplyStore } from "../../worker/db/reply-store.ts";
import { DOCUMENT_WALK_MS, IDEMPOTENCY_TTL_SECONDS } from "../../worker/timings.ts";
import { forgetExpired } from "../../worker/writing/forget-expired.ts";
import { WriterStore } from "../../worker/writing/writer-store.ts";
import { isPut, watched } from "../setup/faults.ts";
import { sleep } from "../setup/waiting.ts";
import { cached, inWriterObject, user, write } from "../setup/writer.ts";

afterEach(() => void vi.useRealTimers());

const NOW_MS = 1_790_000_000_000;
const HOUR_MS = 3_600_000;

interface Counted {
  sql: SqlStorage;
  /** Rows read since it was last asked. */
  rowsRead: () => number;
}

let made = 0;

/** The SQLite of an object that nobody else uses. */
async function inObject(use: (counted: Counted) => void): Promise<void> {
  made += 1;
  const stub = env.ENTITY_WRITER.getByName(`forgets-${made}`);
  await runInDurableObject(stub, async (_, { storage }) => {
    await storage.deleteAll();
    let rows = 0;
    const exec: SqlStorage["exec"] = (...given) => {
      const cursor = storage.sql.exec(...given);
      const all = cursor.toArray();
      rows += cursor.rowsRead;
      return { toArray: () => all, one: () => all[0] } as never;
    };
    use({
      sql: { exec } as SqlStorage,
      rowsRead: () => {
        const read = rows;
        rows = 0;
        return read;
      },
    });
  });
}

const numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)";

function remember(
  { sql }: Counted,
  table: string,
  columns: string,
  count: number,
  expiresAtMs: number,
): void {
  sql.exec(`INSERT INTO ${table} ${numbers} SELECT ${columns} FROM n`, count, expiresAtMs).toArray();
}

const count = ({ sql }: Counted, from: string) =>
  sql.exec<{ n: number }>(`SELECT count(*) AS n FROM ${from}`).one().n;

/** @returns after how many alarms nothing is left to look at. */
function forgetAll(store: WriterStore, nowMs: number): number {
  for (let alarms = 1; ; alarms++) if (!forgetExpired(store, nowMs)) return alarms;
}

test("an alarm reads next to nothing of what a writer remembers, and a walk over it so much at a time", () =>
  inObject((object) => {
    const store = new WriterStore(object.sql);
    remember(object, "documents", "'bright_uid/' || i, ?, 0", 12_000, NOW_MS + HOUR_MS);
    remember(object, "idempotency_keys", "'key-' || i, 'print', ?", 12_000, NOW_MS + DOCUMENT_WALK_MS);
    object.rowsRead();
    const walked: number[] = [];
    while (forgetExpired(store, NOW_MS)) walked.push(object.rowsRead());
    expect(walked).toHaveLength(2);
    expect(Math.max(...walked)).toBeLessThan(11_000);
    object.rowsRead();
    expect(forgetExpired(store, NOW_MS + DOCUMENT_WALK_MS - 1)).toBe(false);
    expect(store.dirtyDocuments(1)).toEqual([]);
    expect(store.remembersAnything()).toBe(true);
    expect(object.rowsRead()).toBeLessThan(10);
    expect(count(object, "documents") + count(object, "idempotency_keys")).toBe(24_000);
  }));

test("documents that are over go, wherever they lie among others, and those that are owed stay", () =>
  inObject((object) => {
    const store = new WriterStore(object.sql);
    const isOver = (i: number) => i % 3 === 0;
    const isDirty = (i: number) => i % 7 === 0;
    const expiresAtMs = (i: number) => NOW_MS + (isOver(i) ? -1 : 1) * HOUR_MS;
    const all = Array.from({ length: 11_000 }, (_, i) => i);
    for (const i of all)
      store.putDocument({ entity: `e/${i}`, expiresAtMs: expiresAtMs(i), dirty: isDirty(i) });
    // Put again, it lies behind all others.
    store.putDocument({ entity: "e/6", expiresAtMs: expiresAtMs(6), dirty: false });
    expect(store.documents(["e/1", "e/3", "e/6", "e/21"], NOW_MS).map(({ entity }) => entity)).toEqual([
      "e/1",
      "e/21",
    ]);
    expect(forgetAll(store, NOW_MS)).toBe(3);
    const left = object.sql.exec<{ entity: string }>("SELECT entity FROM documents ORDER BY rowid").toArray();
    expect(left.map(({ entity }) => entity)).toEqual(
      all.filter((i) => !isOver(i) || isDirty(i)).map((i) => `e/${i}`),
    );
    expect(forgetAll(store, NOW_MS)).toBe(1);
    // The next walk finds what is over by then.
    expect(forgetAll(store, NOW_MS + DOCUMENT_WALK_MS)).toBe(2);
    expect(count(object, "documents WHERE dirty = 0")).toBe(0);
  }));

test("keys whose day is over go with their results, so many with each alarm; those of today stay", () =>
  inObject((object) => {
    const store = new WriterStore(object.sql);
    remember(object, "idempotency_keys", "'old-' || i, 'print', ?", 7_000, NOW_MS);
    object.sql.exec("INSERT INTO idempotent_results SELECT key, 0, '{}' FROM idempotency_keys").toArray();
    remember(object, "idempotency_keys", "'new-' || i, 'print', ?", 10, NOW_MS + 1);
    store.setDocumentWalk({ after: 0, dueAtMs: NOW_MS + 1 });
    expect(forgetExpired(store, NOW_MS)).toBe(true);
    expect(count(object, "idempotency_keys")).toBe(2_010);
    expect(forgetExpired(store, NOW_MS)).toBe(false);
    expect(count(object, "idempotency_keys WHERE key LIKE 'new-%'")).toBe(10);
    expect([count(object, "idempotency_keys"), count(object, "idempotent_results")]).toEqual([10, 0]);
  }));

test("a write puts no document that is over, though its record is still there", () =>
  inWriterObject(async ({ start, documents }) => {
    const bindings = watched({}, { DOCUMENT_TTL_SECONDS: "3600" });
    const writer = start(bindings.env);
    await writer.submit(write("user-1", { a: { n: 1 } }));
    await writer.fill(user);
    expect(bindings.cache.filter(isPut)).toHaveLength(1);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 1.1 * HOUR_MS });
    await writer.submit(write("user-1", { a: { n: 2 } }));
    expect(await writer.invalidate(user)).toBe(false);
    expect(bindings.cache.filter(isPut)).toHaveLength(1);
    expect(documents()).toHaveLength(1);
  }));

test("a document lives as long as it was filled for, however often it changes, and goes with the last change", () =>
  inWriterObject(async ({ start, tenant, state }) => {
    const bindings = watched({}, { DOCUMENT_TTL_SECONDS: "3600" });
    const writer = start(bindings.env);
    const expiries = () =>
      state.storage.sql.exec<{ at: number }>("SELECT expires_at AS at FROM documents").toArray();
    const filledMs = Date.now();
    await writer.submit(write("user-1", { a: { n: 0 } }));
    await writer.fill(user);
    const [{ at } = { at: 0 }] = expiries();
    for (const [n, secondsLeft] of [3_000, 100, 80, 70].entries()) {
      vi.useFakeTimers({ toFake: ["Date"], now: filledMs + (3_600 - secondsLeft) * 1_000 });
      await writer.submit(write("user-1", { a: { n: n + 1 } }));
      await sleep(50);
      expect(expiries()).toEqual(secondsLeft > 90 ? [{ at }] : []);
    }
    expect(bindings.cache.map(({ kind }) => kind)).toEqual(["put", "put", "put", "delete"]);
    expect(await cached(tenant, user)).toBeNull();
    await writer.fill(user);
    expect(await cached(tenant, user)).toMatchObject({ revision: 5 });
    expect(expiries()[0]?.at).toBeGreaterThan(at + 3_000_000);
  }));

test("a reply costs the same however many are kept, and brings some of the oldest to their end", () =>
  inObject((object) => {
    vi.useFakeTimers({ toFake: ["Date"], now: NOW_MS });
    const store = new ReplyStore(object.sql);
    const keep = (key: string, reply: string) => store.keep({ key, fingerprint: "print" }, reply);
    keep("k", "first");
    keep("k", "second");
    expect(store.earlier("k")?.reply).toBe("first");
    const dayMs = IDEMPOTENCY_TTL_SECONDS * 1_000;
    remember(object, "fs_idempotency", "'old-' || i, 'print', '1', ?", 5_000, NOW_MS + dayMs);
    object.rowsRead();
    keep("other", "1");
    expect(object.rowsRead()).toBeLessThan(10);
    vi.setSystemTime(NOW_MS + dayMs);
    keep("k", "of the next day");
    expect(store.earlier("k")?.reply).toBe("of the next day");
    expect(count(object, "fs_idempotency")).toBe(5_002 - 100);
    for (let i = 0; i < 60; i++) keep(`new-${i}`, "1");
    expect(count(object, "fs_idempotency WHERE key LIKE 'old-%'")).toBe(0);
    expect(count(object, "fs_idempotency")).toBe(61);
  }));
