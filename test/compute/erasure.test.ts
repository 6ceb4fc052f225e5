/** Erasing rows of a raw table beside those who compute from them, or bring more: none of what is erased comes back. */
import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ChosenRowsStore, type Erasure } from "../../worker/compute/chosen-rows-store.ts";
import type { RawTable } from "../../worker/compute/raw-table.ts";
import { PURGE_BLOCK_ROWS, PURGE_BLOCKS_PER_STEP } from "../../worker/limits.ts";
import { ERASURE_WAIT_MS, FOLLOWER_LEASE_MS } from "../../worker/timings.ts";
import { ask, expectProblem, get, remove } from "../setup/http.ts";
import { sleep } from "../setup/waiting.ts";
import {
  arrived,
  askWith,
  clockAhead,
  consume,
  followerOf,
  gate,
  ingestUnannounced,
  SCHEMA,
  silent,
  slowToAnswer,
  withoutQueue,
  withStubs,
} from "./racing.ts";
import {
  alarm,
  compute,
  eventTime,
  evict,
  freshName,
  ingest,
  inside,
  type Job,
  newFeature,
  newTable,
  objectOf,
  row,
  streaming,
  type Table,
  TENANT,
  vector,
  vectorOf,
} from "./tables.ts";

afterEach(() => vi.restoreAllMocks());

type Erased = { rows_removed: number; row_count: number };
const erase = (table: Table, user: string) =>
  ask<Erased>("DELETE", `/raw-tables/${table.id}/rows?column=user_id&value=${encodeURIComponent(user)}`);

/** Whether it has been answered by the time in which it would have been, were it not waiting. */
async function isWaiting(work: Promise<unknown>): Promise<boolean> {
  const waiting = Symbol("waiting");
  return (await Promise.race([work, sleep(500).then(() => waiting)])) === waiting;
}

/** For whoever looks at a clock. */
function later(ms: number): void {
  vi.restoreAllMocks();
  silent();
  clockAhead(ms);
}

/** Does something once, after the first step of the next erasure. */
function afterTheFirstStep(meanwhile: () => void): void {
  const real = ChosenRowsStore.prototype.erase;
  let isFirst = true;
  vi.spyOn(ChosenRowsStore.prototype, "erase").mockImplementation(function (this: ChosenRowsStore, ...asked) {
    const step = real.apply(this, asked);
    if (isFirst) meanwhile();
    isFirst = false;
    return step;
  });
}

const dying = (own: Env) =>
  withStubs(
    "RAW_TABLE",
    Object.fromEntries(
      ["written", "followed", "release"].map((method) => [method, () => Promise.reject(new Error("gone"))]),
    ),
    own,
  );

/** The bindings, with writers that take nothing until `open`. */
function slowToWrite(own?: Env) {
  const { stop, ...doors } = gate();
  return { ...doors, slow: withStubs("ENTITY_WRITER", { change: (real) => stop().then(real) }, own) };
}

/** A table with a row of somebody who stays and one of somebody who goes. */
async function twoUsers() {
  const table = await newTable();
  const [stays, goes] = [freshName("stays"), freshName("goes")];
  return { table, stays, goes, both: [stays, goes] };
}

describe("a computation by hand of rows that are erased", () => {
  test.each([
    ["", async () => {}],
    [", though its table's object dies", evict],
  ])("is refused when it has not been written yet%s", async (_, meanwhile) => {
    const { table, stays, goes } = await twoUsers();
    const { name } = await newFeature(table);
    await ingest(table, [row(stays, 1), row(goes, 2)]);
    const { slow, open, reached } = slowToAnswer();
    const older = askWith<{ detail: string }>(slow, "POST", `/features/${name}/compute`);
    await reached;
    await meanwhile(table);
    const erasing = erase(table, goes);
    expect(await isWaiting(erasing)).toBe(true);
    open();
    const refused = await older;
    expect([refused.status, refused.body.detail]).toEqual([409, expect.stringContaining("were erased")]);
    expect((await erasing).body).toMatchObject({ rows_removed: 1, row_count: 1 });
    for (const user of [stays, goes]) expect(await vectorOf(user, name)).toBeNull();
    expect((await compute(name)).body.computed).toBe(1);
  });

  test("that is being written holds the erasure up until it is, and is computed again", async () => {
    const { table, stays, goes } = await twoUsers();
    const { name } = await newFeature(table);
    const sql = "SELECT 'all' AS user_id, sum(amount) AS total FROM data";
    const all = await newFeature(table, { computation_logic: sql });
    await ingest(table, [row(stays, 1), row(goes, 2)]);
    const { own, sent } = withoutQueue();
    const { slow, open, reached } = slowToWrite(own);
    const older = [name, all.name].map((one) => askWith(slow, "POST", `/features/${one}/compute`));
    await reached;
    await sleep(300);
    const erasing = erase(table, goes);
    expect(await isWaiting(erasing)).toBe(true);
    expect(await inside(table, "SELECT user_id FROM fs_rows")).toEqual([{ user_id: stays }]);
    open();
    for (const one of older) expect((await one).status).toBe(200);
    expect((await erasing).body).toMatchObject({ rows_removed: 1, row_count: 1 });
    // It was written before the erasure was answered: whoever deletes the entity now has all of it gone.
    expect(await vectorOf(goes, name)).toEqual({ total: 2, n: 1 });
    expect((await remove(`/entities/user_id/${goes}`)).status).toBe(200);
    await consume(sent);
    expect(await vectorOf(goes, name)).toBeNull();
    expect(await vectorOf("all", all.name)).toEqual({ total: 1 });
    expect(await inside(table, "SELECT * FROM fs_debts")).toEqual([]);
    expect(await inside(table, "SELECT * FROM fs_under_way")).toEqual([]);
  });

  test("that dies while it is being written holds it up until nothing can come of that any more", async () => {
    silent();
    const { table, stays, goes } = await twoUsers();
    const { name } = await newFeature(table);
    await ingest(table, [row(stays, 1), row(goes, 2)]);
    const { slow, open, reached } = slowToWrite(dying(withoutQueue().own));
    const older = askWith(slow, "POST", `/features/${name}/compute`);
    await reached;
    const early = erase(table, goes);
    expect(await isWaiting(early)).toBe(true);
    open();
    expect((await older).status).toBe(500);
    later(ERASURE_WAIT_MS + 1);
    const answer = await early;
    expect(expectProblem(answer, 503).detail).toContain("1 rows were removed");
    expect(answer.headers.get("retry-after")).not.toBeNull();
    later(FOLLOWER_LEASE_MS + 1);
    expect((await erase(table, goes)).body).toMatchObject({ rows_removed: 0, row_count: 1 });
  });

  test("that has been taken for dead is refused, since no erasure has waited for it", async () => {
    const { table, stays, goes } = await twoUsers();
    const { name } = await newFeature(table);
    await ingest(table, [row(stays, 1), row(goes, 2)]);
    const { slow, open, reached } = slowToAnswer();
    const older = askWith<{ detail: string }>(slow, "POST", `/features/${name}/compute`);
    await reached;
    later(FOLLOWER_LEASE_MS + 1);
    await alarm(table);
    vi.restoreAllMocks();
    expect((await erase(table, goes)).body.rows_removed).toBe(1);
    open();
    expect((await older).body.detail).toContain("took too long");
    expect(await vectorOf(goes, name)).toBeNull();
  });

  test("of many entities goes on no further than the round that is being written", async () => {
    const table = await newTable();
    const { name } = await newFeature(table);
    const users = Array.from({ length: 1_001 }, (_, i) => `${name}-${String(i).padStart(4, "0")}`);
    await ingest(
      table,
      users.map((user) => row(user, 1)),
    );
    const { own, sent } = withoutQueue();
    const { slow, open, reached } = slowToWrite(own);
    const older = askWith(slow, "POST", `/features/${name}/compute`);
    await reached;
    const erasing = erase(table, `${name}-1000`);
    expect(await isWaiting(erasing)).toBe(true);
    open();
    expect((await older).status).toBe(409);
    expect((await erasing).status).toBe(200);
    expect(await vectorOf(`${name}-0000`, name)).toEqual({ total: 1, n: 1 });
    expect(await vectorOf(`${name}-1000`, name)).toBeNull();
    // Half of it is of before: the version is computed again.
    expect(sent).toEqual([arrived(table)]);
    await consume(sent.splice(0), own);
    expect(await vectorOf(`${name}-0999`, name)).toEqual({ total: 1, n: 1 });
    expect(await vectorOf(`${name}-1000`, name)).toBeNull();
  });

  test("goes on where nothing was erased, and one of given rows in any case", async () => {
    const { table, stays, goes } = await twoUsers();
    const { name } = await newFeature(table);
    await ingest(table, [row(stays, 1), row(goes, 2)]);
    const none = slowToAnswer();
    const older = askWith(none.slow, "POST", `/features/${name}/compute`);
    await none.reached;
    expect((await erase(table, "nobody")).body.rows_removed).toBe(0);
    none.open();
    expect((await older).status).toBe(200);
    const given = slowToAnswer();
    const other = askWith(given.slow, "POST", `/features/${name}/compute`, [row(stays, 5, 9)]);
    await given.reached;
    expect((await erase(table, goes)).body.rows_removed).toBe(1);
    given.open();
    expect((await other).status).toBe(200);
    expect(await vectorOf(stays, name)).toEqual({ total: 5, n: 1 });
  });
});

test("a vector of a feature that is made while rows are erased is dated no earlier than they are, once it is computed again", async () => {
  const table = await newTable({ user_id: "string", shop: "string", at: "timestamp" });
  const [user, shop] = [freshName("u"), freshName("s")];
  await ingest(table, [
    { user_id: user, shop, at: eventTime(9) },
    { user_id: freshName("other"), shop, at: eventTime(1) },
  ]);
  // It has read by which keys there are features.
  const { stop, open, reached } = gate();
  const slow = withStubs("RAW_TABLE", { erase: (real) => stop().then(real) });
  const erasing = askWith<Erased>(
    slow,
    "DELETE",
    `/raw-tables/${table.id}/rows?column=user_id&value=${user}`,
  );
  await reached;
  const counts = "SELECT shop, count(*) AS n FROM data GROUP BY shop";
  const { name } = await newFeature(table, { computation_logic: counts, entity_key: "shop" });
  expect((await compute(name)).body.computed).toBe(1);
  open();
  expect((await erasing).body.rows_removed).toBe(1);
  expect((await compute(name)).body).toMatchObject({ computed: 1, skipped: [] });
  expect((await vector(shop, name)).body).toMatchObject({ vector: { n: 1 }, event_timestamp: eventTime(9) });
});

describe("the stream over rows that are erased", () => {
  test("that has computed and not written computes what is left", async () => {
    const { table, stays, goes, both } = await twoUsers();
    const feature = await streaming(table);
    await ingestUnannounced(table, [followerOf(feature)], both);
    const { slow, open, reached } = slowToAnswer();
    const consuming = consume([arrived(table)], slow);
    await reached;
    const erasing = erase(table, goes);
    expect(await isWaiting(erasing)).toBe(true);
    open();
    expect((await consuming).explicitAcks).toEqual(["m0"]);
    expect((await erasing).body.rows_removed).toBe(1);
    expect(await vectorOf(goes, feature.name)).toBeNull();
    expect(await vectorOf(stays, feature.name)).toEqual({ total: 1, n: 1 });
    expect((await vector(stays, feature.name)).body.revision).toBe(1);
    expect(await inside(table, "SELECT * FROM fs_touched")).toEqual([]);
    expect(await inside(table, "SELECT * FROM fs_under_way")).toEqual([]);
  });

  test("that is being written holds the erasure up until it is, and computes once more", async () => {
    const { table, stays, goes } = await twoUsers();
    const feature = await streaming(table);
    const data = [row(stays, 1, 1), row(stays, 2, 2), row(goes, 4, 1)];
    await askWith(withoutQueue().own, "POST", "/ingest", { raw_table_id: table.id, data });
    const { slow, open, reached } = slowToWrite();
    const consuming = consume([arrived(table)], slow);
    await reached;
    const erasing = erase(table, goes);
    const ofAmount = ask<Erased>("DELETE", `/raw-tables/${table.id}/rows?column=amount&value=2`);
    expect(await isWaiting(Promise.race([erasing, ofAmount]))).toBe(true);
    open();
    await consuming;
    expect([(await erasing).status, (await ofAmount).status]).toEqual([200, 200]);
    expect((await remove(`/entities/user_id/${goes}`)).status).toBe(200);
    expect(await vectorOf(stays, feature.name)).toEqual({ total: 1, n: 1 });
    expect(await vectorOf(goes, feature.name)).toBeNull();
    expect(await inside(table, "SELECT * FROM fs_touched")).toEqual([]);
    expect(await inside(table, "SELECT * FROM fs_under_way")).toEqual([]);
  });

  test("that dies while it is written has what it touched computed again", async () => {
    silent();
    const { table, stays, goes } = await twoUsers();
    const sql = "SELECT user_id, count(*) AS n FROM data GROUP BY user_id";
    const feature = await streaming(table, { computation_logic: sql });
    await ingestUnannounced(table, [followerOf(feature)], [stays, goes, stays]);
    const { slow, open, reached } = slowToWrite(dying(withoutQueue().own));
    const consuming = consume([arrived(table)], slow);
    await reached;
    const early = erase(table, goes);
    expect(await isWaiting(early)).toBe(true);
    open();
    await consuming;
    later(FOLLOWER_LEASE_MS + 1);
    expect((await early).status).toBe(200);
    await evict(table);
    await alarm(table);
    vi.restoreAllMocks();
    await consume([arrived(table)]);
    expect(await vectorOf(stays, feature.name)).toEqual({ n: 2 });
    expect(await inside(table, "SELECT * FROM fs_touched")).toEqual([]);
  });
});

describe("a job over rows that are erased", () => {
  const COUNT = 2_500;

  async function begun() {
    const table = await newTable();
    const { name } = await newFeature(table);
    const users = Array.from({ length: COUNT }, (_, i) => `${name}-${i}`);
    const { own, sent } = withoutQueue();
    await ingestUnannounced(table, [], users);
    const { status, body } = await askWith<Job>(own, "POST", `/features/${name}/compute`);
    expect(status).toBe(202);
    const rest = async () => {
      for (let next = sent.splice(0); next.length > 0; next = sent.splice(0)) await consume(next, own);
    };
    const job = async () => (await get<Job>(`/jobs/${body.job_id}`)).body;
    return { table, name, own, sent, rest, job };
  }

  test("ends as failed, keeps nothing of them, and is computed again", async () => {
    const { table, name, sent, rest, job } = await begun();
    expect((await erase(table, `${name}-0`)).body.rows_removed).toBe(1);
    expect(await inside(table, "SELECT count(*) AS n FROM fs_job_rows")).toEqual([{ n: 0 }]);
    await rest();
    expect(await job()).toMatchObject({
      status: "failed",
      error: expect.stringContaining("erased"),
      computed: 0,
    });
    expect(await inside(table, "SELECT * FROM fs_jobs")).toEqual([]);
    expect(await alarm(table)).toBe(true);
    // The alarm has told the queue itself.
    await vi.waitUntil(async () => (await vectorOf(`${name}-2499`, name)) !== null, 20_000);
    sent.push(arrived(table));
    await rest();
    expect(await vectorOf(`${name}-0`, name)).toBeNull();
    expect(await inside(table, "SELECT * FROM fs_debts")).toEqual([]);
  });

  test("holds the erasure up while a page is being written", async () => {
    const { table, name, own, sent, rest, job } = await begun();
    const [page] = sent.splice(0);
    const { slow, open, reached } = slowToWrite(own);
    const writing = consume([page], slow);
    await reached;
    const erasing = erase(table, `${name}-2000`);
    expect(await isWaiting(erasing)).toBe(true);
    open();
    await writing;
    expect((await erasing).status).toBe(200);
    await rest();
    expect(await job()).toMatchObject({ status: "failed", computed: 1_000 });
    expect(await vectorOf(`${name}-2000`, name)).toBeNull();
    expect(await inside(table, "SELECT * FROM fs_under_way")).toEqual([]);
  });

  test("of given rows goes on", async () => {
    const { table, name, own, sent, rest } = await begun();
    await rest();
    const rows = Array.from({ length: COUNT }, (_, i) => row(`${name}-${i}`, 7, 9));
    const { body } = await askWith<Job>(own, "POST", `/features/${name}/compute`, rows);
    expect((await erase(table, `${name}-1`)).body.rows_removed).toBe(1);
    expect(sent).toHaveLength(1);
    await rest();
    expect((await get<Job>(`/jobs/${body.job_id}`)).body.status).toBe("done");
  });
});

const OF_A: Erasure = { choice: { column: "user_id", type: "string", value: "a" }, entityKeys: [] };

test("an ingest that comes while rows are being erased stays whole, though rows that are gone had its numbers", async () => {
  const table = await newTable();
  const count = PURGE_BLOCK_ROWS * PURGE_BLOCKS_PER_STEP;
  for (const [user, amount] of [
    ["a", count / 2],
    ["a", count / 2],
    ["b", 100],
  ] as const)
    await ingest(
      table,
      Array.from({ length: amount }, () => row(user, 1)),
    );
  const request = (size: number) => ({
    ...{
      schema: SCHEMA,
      parts: [JSON.stringify(Array.from({ length: size }, () => ["a", 1, eventTime(1)]))],
    },
    ...{ count: size, longestText: 40, followers: [], isRetained: false, idempotency: null },
    table: { tenant: TENANT, tableId: table.id },
  });
  await runInDurableObject(objectOf(table), async (instance: RawTable, { storage }) => {
    let ingested: Promise<unknown> | null = null;
    afterTheFirstStep(() => {
      storage.sql.exec("DELETE FROM fs_rows WHERE user_id = 'b'").toArray();
      ingested = instance.ingest(request(150));
    });
    const { removed } = await instance.erase(SCHEMA, OF_A);
    expect(removed).toBe(count);
    await ingested;
  });
  expect(await inside(table, "SELECT user_id, count(*) AS n FROM fs_rows GROUP BY 1")).toEqual([
    { user_id: "a", n: 150 },
  ]);
});

test("two erasures at once remove each row once", async () => {
  const table = await newTable();
  const data = Array.from({ length: 10_000 }, (_, i) => row(i % 2 ? "a" : "b", 1));
  for (let i = 0; i < 3; i++) await ingest(table, data);
  const both = await Promise.all([erase(table, "a"), erase(table, "a"), erase(table, "b")]);
  const removed = both.map(({ body }) => body.rows_removed);
  expect((removed[0] ?? 0) + (removed[1] ?? 0)).toBe(15_000);
  expect(removed[2]).toBe(15_000);
  expect((await get<Table>(`/raw-tables/${table.id}`)).body.row_count).toBe(0);
});

test("a table that is dropped while its rows are erased stays dropped", async () => {
  const table = await newTable();
  for (let i = 0; i < 2; i++)
    await ingest(
      table,
      Array.from({ length: 10_000 }, () => row("a", 1)),
    );
  await runInDurableObject(objectOf(table), async (instance: RawTable) => {
    let dropping: Promise<unknown> | null = null;
    afterTheFirstStep(() => {
      dropping = instance.drop();
    });
    const erased = await instance.erase(SCHEMA, OF_A);
    await dropping;
    expect(erased).toMatchObject({ rows: 0, isSettled: true });
    expect(erased.removed).toBeLessThan(20_000);
  });
  expect(
    await inside(table, "SELECT name FROM sqlite_schema WHERE name IN ('fs_rows', 'fs_dropped')"),
  ).toEqual([{ name: "fs_dropped" }]);
});
