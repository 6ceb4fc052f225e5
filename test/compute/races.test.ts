/** Whoever comes between two steps of a computation: each test stops one of the two where the other passes. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type Follower, FollowerStore } from "../../worker/compute/follower-store.ts";
import { ENTITIES_PER_ROUND, MAX_INLINE_ENTITIES, MAX_ROUNDS_PER_MESSAGE } from "../../worker/limits.ts";
import { FOLLOWER_LEASE_MS, JOB_START_MS, JOB_TTL_MS } from "../../worker/timings.ts";
import type { ChangeRequest } from "../../worker/writing/entity-write.ts";
import { type DatabaseCall, failBefore, only, watched } from "../setup/faults.ts";
import { ask, expectProblem, get, remove } from "../setup/http.ts";
import { until } from "../setup/waiting.ts";
import {
  arrived,
  askWith,
  clockAhead,
  consume,
  followerOf,
  gate,
  ingestOf,
  ingestUnannounced,
  SCHEMA,
  silent,
  slowToAnswer,
  withoutQueue,
  withStubs,
} from "./racing.ts";
import {
  addVersion,
  alarm,
  type Computed,
  compute,
  createFeature,
  eventTime,
  evict,
  type Feature,
  freshName,
  ingest,
  inside,
  type Job,
  newFeature,
  newTable,
  objectOf,
  row,
  SUMS,
  streaming,
  type Table,
  TENANT,
  type Vector,
  vector,
  vectorOf,
} from "./tables.ts";

afterEach(() => vi.restoreAllMocks());

/** The bindings, with tables that never hear of this. */
const mute = (method: string, own?: Env) =>
  withStubs("RAW_TABLE", { [method]: () => Promise.reject(new Error("the Worker is gone")) }, own);

/** The table looks after its computations, once they can have ended, and the queue brings what it asks for. */
async function afterTheLease(table: Table): Promise<void> {
  waitForTheLease();
  await alarm(table);
  vi.restoreAllMocks();
  await consume([arrived(table)]);
}

const waitForTheLease = () => clockAhead(FOLLOWER_LEASE_MS + 1);

describe("the consumer", () => {
  test("that has read the registry before a version was activated leaves what the version owes", async () => {
    const table = await newTable();
    const feature = await streaming(table);
    const { name } = feature;
    await addVersion(name, { version: 2 });
    await ingestUnannounced(table, [followerOf(feature)], [freshName("other")]);
    const { stop, open, reached } = gate();
    const slow = withStubs("RAW_TABLE", { keepFollowers: (real) => stop().then(real) });
    const earlier = consume([arrived(table)], slow);
    await reached;
    const body = { status: "active" };
    expect((await ask("PATCH", `/features/${name}/versions/2`, { body })).status).toBe(200);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf(feature), followerOf(feature, 2)], [entity]);
    open();
    await earlier;
    await consume([arrived(table)]);
    expect(await vectorOf(entity, `${name}@1`)).toEqual({ total: 1, n: 1 });
    expect(await vectorOf(entity, `${name}@2`)).toEqual({ total: 1, n: 1 });
  });

  test.each([
    ["with its object", evict],
    ["by being too slow", waitForTheLease],
  ])("that has lost its lease %s and writes last computes once more", async (_, lose) => {
    const table = await newTable();
    const feature = await streaming(table);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf(feature)], [entity]);
    const { slow, open, reached } = slowToAnswer();
    const late = consume([arrived(table)], slow);
    await reached;
    await ingestUnannounced(table, [followerOf(feature)], [entity]);
    await lose(table);
    await consume([arrived(table)]);
    vi.restoreAllMocks();
    expect(await vectorOf(entity, feature.name)).toEqual({ total: 2, n: 2 });
    open();
    await late;
    expect(await vectorOf(entity, feature.name)).toEqual({ total: 2, n: 2 });
  });

  test("that has lost its lease, writes on top of newer vectors and dies has them computed again", async () => {
    silent();
    const table = await newTable();
    const feature = await streaming(table);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf(feature)], [entity]);
    const { slow, open, reached } = slowToAnswer();
    const dying = consume([arrived(table)], mute("followed", slow));
    await reached;
    await ingestUnannounced(table, [followerOf(feature)], [entity]);
    await evict(table);
    await consume([arrived(table)]);
    expect(await vectorOf(entity, feature.name)).toEqual({ total: 2, n: 2 });
    open();
    await dying;
    expect(await vectorOf(entity, feature.name)).toEqual({ total: 1, n: 1 });
    await afterTheLease(table);
    expect(await vectorOf(entity, feature.name)).toEqual({ total: 2, n: 2 });
    expect(await alarm(table)).toBe(true);
    expect(await alarm(table)).toBe(false);
  });

  test("that dies without newer rows leaves what it claimed to be computed once", async () => {
    silent();
    const table = await newTable();
    const feature = await streaming(table);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf(feature)], [entity]);
    await consume([arrived(table)], mute("followed", mute("release")));
    await evict(table);
    await consume([arrived(table)]);
    await afterTheLease(table);
    expect((await vector(entity, feature.name)).body.revision).toBe(2);
  });

  test("that fails half way leaves its entities to be computed, with its lease or without", async () => {
    const table = await newTable();
    const follower = followerOf(await streaming(table));
    const entities = [freshName("e")];
    await ingestUnannounced(table, [follower], entities);
    await consume([arrived(table)]);
    const object = objectOf(table);
    for (const holder of ["lost", "next"]) {
      await object.followed(follower, holder, { entities, upTo: 1, isWritten: false });
      expect(await object.claim(follower, "next", 10)).toMatchObject({ entities });
    }
  });

  test.each([
    ["the stream", (own: Env, table: Table, _: string) => consume([arrived(table)], own)],
    [
      "a computation by hand",
      (own: Env, _: Table, name: string) => askWith(own, "POST", `/features/${name}/compute`),
    ],
  ])(
    "that is written by %s after who asked for it was told that it had failed does not stand",
    async (_, run) => {
      silent();
      const table = await newTable();
      const feature = await streaming(table);
      const entity = freshName("e");
      await ingestUnannounced(table, [followerOf(feature)], [entity]);
      let late = async (): Promise<unknown> => undefined;
      // The connection is lost while the write is on its way to the writer, or with it.
      const change = (real: () => Promise<unknown>) => {
        late = real;
        return failBefore();
      };
      await run(withStubs("ENTITY_WRITER", { change }), table, feature.name);
      await ingestUnannounced(table, [followerOf(feature)], [entity]);
      await consume([arrived(table)]);
      expect(await vectorOf(entity, feature.name)).toEqual({ total: 2, n: 2 });
      await late();
      // Nothing of it is in this isolate's memory.
      const path = `/feature-vectors?entity_id=${encodeURIComponent(entity)}&feature_name=${feature.name}`;
      const stored = async () => (await get<Vector>(`${path}&consistency=strong`)).body.vector;
      expect(await stored()).toEqual({ total: 1, n: 1 });
      await afterTheLease(table);
      expect(await stored()).toEqual({ total: 2, n: 2 });
    },
  );

  test("goes on to the next table however steadily rows arrive, and asks to come back", async () => {
    const [busy, quiet] = [await newTable(), await newTable()];
    const [steady, other] = [await streaming(busy), await streaming(quiet)];
    const entity = freshName("e");
    await ingestUnannounced(quiet, [followerOf(other)], [entity]);
    let claims = 0;
    // With every claim something is there to compute, fifty times.
    const raining = withStubs("RAW_TABLE", {
      claim: async (real, follower: Follower) => {
        const isBusy = follower.featureId === steady.feature_id;
        if (isBusy && claims++ < 50) await ingestUnannounced(busy, [follower], [`u${claims}`]);
        return real();
      },
    });
    const { own, sent } = withoutQueue(raining);
    const { explicitAcks } = await consume([arrived(busy), arrived(quiet)], own);
    expect(explicitAcks).toEqual(["m0", "m1"]);
    expect([claims, sent]).toEqual([MAX_ROUNDS_PER_MESSAGE, [arrived(busy)]]);
    expect(await vectorOf(entity, other.name)).toEqual({ total: 1, n: 1 });
    // Nobody holds it meanwhile.
    await consume(sent.splice(0), own);
    expect(claims).toBe(2 * MAX_ROUNDS_PER_MESSAGE);
  });

  test("leaves out the entities on which the SQL fails, and says so", async () => {
    const table = await newTable();
    const sql = "SELECT user_id, sum(json_extract(user_id, '$.a')) AS a FROM data GROUP BY user_id";
    const feature = await streaming(table, { computation_logic: sql });
    const good = Array.from({ length: 20 }, (_, i) => `{"a":${i}}`);
    const bad = ["no json", "{"];
    await ingestUnannounced(table, [followerOf(feature)], [...good, ...bad]);
    expect((await consume([arrived(table)])).explicitAcks).toEqual(["m0"]);
    for (const [i, entity] of good.entries()) expect(await vectorOf(entity, feature.name)).toEqual({ a: i });
    for (const entity of bad) expect(await vectorOf(entity, feature.name)).toBeNull();
    const { body } = await get<Feature>(`/features/${feature.name}`);
    expect(body.versions[0]?.computation?.last_error).toMatch(
      /^2 entities were not computed, such as `(no json|\{)`: malformed JSON$/,
    );
    // They are not asked for again.
    expect(await objectOf(table).claim(followerOf(feature), "next", 10)).toEqual({ kind: "nothing" });
  });

  test("that fails on an entity leaves what came meanwhile to the alarm", async () => {
    const table = await newTable();
    const sql = "SELECT user_id, sum(json_extract(user_id, '$.a')) AS a FROM data GROUP BY user_id";
    const follower = followerOf(await streaming(table, { computation_logic: sql }));
    const { own, sent } = withoutQueue();
    await ingestUnannounced(table, [follower], ["no json"]);
    const { stop, open, reached } = gate();
    const slow = withStubs("RAW_TABLE", { compute: (real) => stop().then(real) }, own);
    const failing = consume([arrived(table)], slow);
    await reached;
    await ingestUnannounced(table, [follower], ['{"a":1}']);
    // Another one is at it: the message is done.
    expect((await consume([arrived(table)], own)).explicitAcks).toEqual(["m0"]);
    open();
    expect((await failing).retryMessages).toHaveLength(1);
    const behind = () =>
      runInDurableObject(objectOf(table), (_, { storage }) => new FollowerStore(storage.sql).countBehind());
    expect(await behind()).toBe(1);
    // Where nothing came it is not asked for again.
    await objectOf(table).release(follower, "other", 2);
    expect([await behind(), sent]).toEqual([0, []]);
  });
});

describe("dropping a table", () => {
  const drop = (own: Env, { id }: Table) => askWith(own, "DELETE", `/raw-tables/${id}`);

  test("is 409 when a feature has been created from it meanwhile", async () => {
    const table = await newTable();
    const { stop, open, reached } = gate();
    const dropping = drop(withStubs("RAW_TABLE", { numbers: (real) => stop().then(real) }), table);
    await reached;
    const { body } = await createFeature(table);
    open();
    const dropped = await dropping;
    expect(dropped).toMatchObject({ status: 409, body: { detail: expect.stringContaining(body.name) } });
    expect((await get(`/raw-tables/${table.id}`)).status).toBe(200);
  });

  test("leaves a feature that is being created from it 404", async () => {
    const table = await newTable();
    const { stop, open, reached } = gate();
    const slow = withStubs("RAW_TABLE", { check: (real) => stop().then(real) });
    const feature = {
      name: freshName("late"),
      raw_table_id: table.id,
      computation_logic: SUMS,
      entity_key: "user_id",
    };
    const creating = askWith(slow, "POST", "/features", feature);
    await reached;
    expect((await remove(`/raw-tables/${table.id}`)).status).toBe(200);
    open();
    expect(await creating).toMatchObject({ status: 404, body: { detail: "there is no such raw table" } });
    expectProblem(await get(`/features/${feature.name}`), 404);
  });

  test("that its rows are not told of removes them all the same", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    expect((await drop(mute("drop"), table)).status).toBe(200);
    expect(await inside(table, "SELECT count(*) AS n FROM fs_rows")).toEqual([{ n: 1 }]);
    expect(await alarm(table)).toBe(true);
    expect(await inside(table, "SELECT name FROM sqlite_schema WHERE name = 'fs_rows'")).toEqual([]);
    expect(await alarm(table)).toBe(false);
  });

  test("while its first rows ask whether it is registered leaves them 404", async () => {
    const table = await newTable();
    const gone: unknown[] = [];
    const answeredLate = async (_: unknown, run: () => Promise<unknown>) => {
      const answer = await run();
      const { status, body } = await remove(`/raw-tables/${table.id}`);
      gone.push(status, body);
      return answer;
    };
    const isOfTables = ({ sql }: DatabaseCall) => sql.some((text) => text.includes("raw_tables"));
    const slow = watched({ database: only(isOfTables, answeredLate, 1) });
    const reply = await runInDurableObject(objectOf(table), (instance) => {
      Object.assign(instance, { env: slow.env });
      return instance.ingest(ingestOf(table, ["u"]));
    });
    expect(gone).toEqual([200, { id: table.id, row_count: 0 }]);
    expect(reply).toEqual({ kind: "dropped" });
    expect(await inside(table, "SELECT name FROM sqlite_schema WHERE name = 'fs_rows'")).toEqual([]);
  });

  test("answers how many rows went, those that came meanwhile too", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    const { stop, open, reached } = gate();
    const dropping = drop(withStubs("RAW_TABLE", { expectChange: (real) => real().then(stop) }), table);
    await reached;
    await ingest(table, [row("u", 2), row("u", 3)]);
    open();
    expect((await dropping).body).toMatchObject({ row_count: 3 });
  });

  test("that its object is not told of leaves rows 404 that come even later, be they the first", async () => {
    const table = await newTable();
    const { stop, open, reached } = gate();
    const slow = withStubs("RAW_TABLE", { ingest: (real) => stop().then(real) });
    const late = askWith(slow, "POST", "/ingest", { raw_table_id: table.id, data: [row("u", 1)] });
    await reached;
    expect((await drop(mute("drop"), table)).status).toBe(200);
    expect(await alarm(table)).toBe(true);
    open();
    expect((await late).status).toBe(404);
    expect(await alarm(table)).toBe(false);
  });

  test("is looked for only when the registry must have decided it", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    const { stop, open, reached } = gate();
    const dropping = drop(withStubs("RAW_TABLE", { expectChange: (real) => real().then(stop) }), table);
    await reached;
    const alarm = await runInDurableObject(objectOf(table), (_, { storage }) => storage.getAlarm());
    expect(alarm).toBeGreaterThan(Date.now() + 30_000);
    open();
    expect((await dropping).status).toBe(200);
  });

  test("is looked for again where an alarm rings before that", async () => {
    const table = await newTable();
    const object = objectOf(table);
    await runInDurableObject(object, (_, { storage }) => storage.setAlarm(Date.now() + 5_000));
    await object.expectChange({ tenant: TENANT, tableId: table.id }, "deletion");
    // Its memory may be gone by then.
    await evict(table);
    expect(await runDurableObjectAlarm(object)).toBe(true);
    const alarm = await runInDurableObject(object, (_, { storage }) => storage.getAlarm());
    expect(alarm).toBeGreaterThan(Date.now() + 30_000);
    await env.DB.prepare("DELETE FROM raw_tables WHERE table_id = ?").bind(table.id).run();
    expect(await runDurableObjectAlarm(object)).toBe(true);
    expect(await inside(table, "SELECT name FROM sqlite_schema WHERE name = 'fs_dropped'")).toHaveLength(1);
  });

  test("that is not done after all leaves its rows", async () => {
    const table = await newTable();
    await ingest(table, [row("u", 1)]);
    await objectOf(table).expectChange({ tenant: TENANT, tableId: table.id }, "deletion");
    expect(await alarm(table)).toBe(true);
    expect(await inside(table, "SELECT count(*) AS n FROM fs_rows")).toEqual([{ n: 1 }]);
  });

  test("leaves rows 404 that were on their way to it, whatever becomes of its object", async () => {
    const table = await newTable();
    const { stop, open, reached } = gate();
    const slow = withStubs("RAW_TABLE", { ingest: (real) => stop().then(real) });
    const body = { raw_table_id: table.id, data: [row("u", 1)] };
    const late = askWith(slow, "POST", "/ingest", body);
    await reached;
    expect((await remove(`/raw-tables/${table.id}`)).status).toBe(200);
    await evict(table);
    open();
    expect((await late).status).toBe(404);
    expect(await inside(table, "SELECT name FROM sqlite_schema WHERE name = 'fs_rows'")).toEqual([]);
  });

  test("leaves rows 404 that were on their way to it, though it died before it noted that it is gone", async () => {
    const table = await newTable();
    const { stop, open, reached } = gate();
    const slow = withStubs("RAW_TABLE", { ingest: (real) => stop().then(real) });
    const late = askWith(slow, "POST", "/ingest", { raw_table_id: table.id, data: [row("u", 1)] });
    await reached;
    expect((await remove(`/raw-tables/${table.id}`)).status).toBe(200);
    await runInDurableObject(objectOf(table), (_, { storage }) => storage.deleteAll());
    await evict(table);
    open();
    expect((await late).status).toBe(404);
    expect(await inside(table, "SELECT name FROM sqlite_schema WHERE name = 'fs_rows'")).toEqual([]);
  });
});

describe("a job", () => {
  test("is kept only where an alarm stands that asks for it", async () => {
    const table = await newTable();
    const reply = runInDurableObject(objectOf(table), (instance, { storage }) => {
      vi.spyOn(storage, "setAlarm").mockRejectedValue(new Error("the process died"));
      return instance.compute({
        schema: SCHEMA,
        sql: SUMS,
        entityKey: "user_id",
        source: { kind: "given", parts: [`[["u",1,"${eventTime(1)}"]]`], count: 1, longestText: 40 },
        job: { jobId: crypto.randomUUID(), moreThan: 0, table: { tenant: TENANT, tableId: table.id } },
      });
    });
    await expect(reply).rejects.toThrow("the process died");
    expect(await inside(table, "SELECT * FROM fs_jobs")).toEqual([]);
  });
});

describe("what a computation has kept or written", () => {
  const lost = (own: Env) => ({ ...own, FEATURE_COMPUTE: { send: failBefore } }) as unknown as Env;

  test("stands though the queue does not take a message, and the table asks again", async () => {
    silent();
    const table = await newTable();
    const { name } = await newFeature(table);
    const rows = Array.from({ length: MAX_INLINE_ENTITIES + 1 }, (_, i) => row(`q${i}`, 1));
    const { status, body } = await askWith<Job>(lost(env), "POST", `/features/${name}/compute`, rows);
    expect([status, body.total]).toEqual([202, rows.length]);
    const feature = await streaming(table);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf(feature)], [entity]);
    const { slow, open, reached } = slowToAnswer(lost(env));
    const late = askWith<Computed>(slow, "POST", `/features/${feature.name}/compute`);
    await reached;
    await ingestUnannounced(table, [followerOf(feature)], [entity]);
    open();
    expect(await late).toMatchObject({ status: 200, body: { computed: 1 } });
    await afterTheLease(table);
    await until(
      "the job is done",
      async () => (await get<Job>(`/jobs/${body.job_id}`)).body.status === "done",
    );
    expect(await vectorOf(entity, feature.name)).toEqual({ total: 2, n: 2 });
  });

  test("is not dropped while the entry of its job may still be on its way to the registry", async () => {
    const table = await newTable();
    const { name } = await newFeature(table);
    const rows = Array.from({ length: MAX_INLINE_ENTITIES + 1 }, (_, i) => row(`r${i}`, 1));
    const { stop, open, reached } = gate();
    const insert = (call: DatabaseCall) => call.sql.some((sql) => sql.startsWith('insert into "jobs"'));
    const { env: slow } = watched({ database: only(insert, (_, run) => stop().then(run)) });
    const asked = askWith<Job>(slow, "POST", `/features/${name}/compute`, rows);
    await reached;
    const [{ jobId } = { jobId: "" }] = await inside(table, 'SELECT job_id AS "jobId" FROM fs_jobs');
    const message = { kind: "job", tenant_id: TENANT, job_id: jobId, table_id: table.id };
    await consume([message]);
    open();
    const { body } = await asked;
    await until("the job has ended", async () =>
      ["done", "failed"].includes((await get<Job>(`/jobs/${body.job_id}`)).body.status),
    );
    expect((await get<Job>(`/jobs/${body.job_id}`)).body).toMatchObject({ status: "done", error: null });
    const forgotten = crypto.randomUUID();
    const keep = `INSERT INTO fs_jobs VALUES ('${forgotten}', NULL, 0, 0, ${Date.now() + JOB_TTL_MS - JOB_START_MS})`;
    await inside(table, keep);
    await consume([{ ...message, job_id: forgotten }]);
    expect(await inside(table, "SELECT * FROM fs_jobs")).toEqual([]);
  });
});

describe("the pages of a job", () => {
  const COUNT = 2_500;

  /** A job of values that are all older than those that are there, with no message; all its rows will be skipped. */
  async function staleJob() {
    const table = await newTable();
    const feature = await newFeature(table);
    const { own, sent } = withoutQueue();
    const start = async (second: number) => {
      const rows = Array.from({ length: COUNT }, (_, i) => row(`j${i}`, 1, second));
      const started = await askWith<Job>(own, "POST", `/features/${feature.name}/compute`, rows);
      expect(started.status).toBe(202);
      return started.body.job_id;
    };
    const first = sent.length;
    await start(2);
    while (sent.length > first) await consume(sent.splice(first), own);
    const jobId = await start(1);
    const job = async () => (await get<Job>(`/jobs/${jobId}`)).body;
    return { table, feature, own, sent, job, page: sent.splice(0)[0] };
  }

  test("that come twice, one after the other, count their skips once", async () => {
    const { own, sent, page, job } = await staleJob();
    for (let next = [page]; next.length > 0; next = sent.splice(0)) {
      await consume(next, own);
      await consume([page, ...next], own);
    }
    expect(await job()).toMatchObject({ status: "done", computed: COUNT, skipped_count: COUNT });
  });

  test("that come at once count their skips once", async () => {
    const { own, sent, page, job } = await staleJob();
    for (let next = [page]; next.length > 0; next = sent.splice(0)) {
      await Promise.all([consume(next, own), consume([page], own), consume([page], own)]);
    }
    expect(await job()).toMatchObject({ status: "done", computed: COUNT, skipped_count: COUNT });
  });

  test("are not written over what was computed from later rows since, in whatever order they come", async () => {
    const table = await newTable();
    const { name } = await newFeature(table);
    const users = Array.from({ length: COUNT }, (_, i) => `o${i}`);
    const { own, sent } = withoutQueue();
    const start = async () => {
      await ingestUnannounced(table, [], users);
      const started = await askWith<Job>(own, "POST", `/features/${name}/compute`);
      expect(started.status).toBe(202);
      return { jobId: started.body.job_id, messages: sent.splice(0) };
    };
    const [older, newer] = [await start(), await start()];
    for (let next = newer.messages; next.length > 0; next = sent.splice(0)) await consume(next, own);
    await evict(table);
    for (let next = older.messages; next.length > 0; next = sent.splice(0)) await consume(next, own);
    expect(await vectorOf("o0", name)).toEqual({ total: 2, n: 2 });
    expect((await get<Job>(`/jobs/${older.jobId}`)).body).toMatchObject({
      status: "failed",
      error: expect.stringContaining("later rows"),
    });
    expect((await get<Job>(`/jobs/${newer.jobId}`)).body.status).toBe("done");
    expect(await inside(table, "SELECT * FROM fs_jobs")).toEqual([]);
  });

  test.each([
    ["and says so", (own: Env) => own],
    ["and dies", (own: Env) => mute("written", own)],
  ])("one of which is written on top of a later computation %s are computed again", async (_, how) => {
    silent();
    const table = await newTable();
    const { name } = await newFeature(table);
    const users = Array.from({ length: COUNT }, (_, i) => `p${i}`);
    const { own, sent } = withoutQueue();
    await ingestUnannounced(table, [], users);
    await askWith<Job>(own, "POST", `/features/${name}/compute`);
    const [page] = sent.splice(0);
    const { stop, open, reached } = gate();
    const slow = withStubs("ENTITY_WRITER", { change: (real) => stop().then(real) }, how(own));
    const late = consume([page], slow);
    await reached;
    await ingestUnannounced(table, [], users);
    await askWith<Job>(own, "POST", `/features/${name}/compute`);
    for (let next = sent.splice(0); next.length > 0; next = sent.splice(0)) await consume(next, own);
    expect(await vectorOf("p0", name)).toEqual({ total: 2, n: 2 });
    open();
    await late;
    expect(await vectorOf("p0", name)).toEqual({ total: 1, n: 1 });
    // The queue brings the page again, as long as it is not done, and then what it has asked for.
    for (let next = [page, ...sent.splice(0)]; next.length > 0; next = sent.splice(0))
      await consume(next, own);
    expect(await vectorOf("p0", name)).toEqual({ total: 2, n: 2 });
    expect(await inside(table, "SELECT * FROM fs_jobs")).toEqual([]);
    expect(await inside(table, "SELECT * FROM fs_debts")).toEqual([]);
  });

  /** A job whose feature is removed: `while`: before its row is there, or after its first page. */
  async function removedJob(while_: "it begins" | "it is written") {
    const table = await newTable();
    const { name } = await newFeature(table);
    const { own, sent } = withoutQueue();
    const rows = Array.from({ length: COUNT }, (_, i) => row(`${name}-${i}`, 1));
    const { slow, open, reached } = slowToAnswer(own);
    const starting = askWith<Job>(slow, "POST", `/features/${name}/compute`, rows);
    await reached;
    const removed = () => remove(`/features/${name}?force=true`);
    if (while_ === "it begins") expect((await removed()).status).toBe(200);
    open();
    const { status, body } = await starting;
    expect(status).toBe(202);
    if (while_ === "it is written") {
      await consume(sent.splice(0), own);
      expect((await removed()).status).toBe(200);
      expect((await get<Job>(`/jobs/${body.job_id}`)).body.status).toBe("failed");
    }
    return { table, name, own, sent, job: async () => (await get<Job>(`/jobs/${body.job_id}`)).body };
  }

  test.each([
    ["it begins", 0],
    ["it is written", 1_000],
  ] as const)("of a feature that is removed while %s end as failed, and say so", async (when, computed) => {
    const { table, name, own, sent, job } = await removedJob(when);
    for (let next = sent.splice(0); next.length > 0; next = sent.splice(0)) await consume(next, own);
    expect(await job()).toMatchObject({
      ...{ status: "failed", computed, error: expect.stringContaining("the feature was removed") },
    });
    expect(await inside(table, "SELECT * FROM fs_jobs")).toEqual([]);
    const noted =
      "SELECT count(*) AS n FROM computations WHERE feature_id NOT IN (SELECT feature_id FROM features)";
    expect(await env.DB.prepare(noted).first("n")).toBe(0);
    expectProblem(await compute(name), 404);
    expect((await remove(`/raw-tables/${table.id}`)).status).toBe(200);
  });

  test("of a feature that is removed, and its table with it, end too", async () => {
    const { table, own, sent, job } = await removedJob("it begins");
    expect((await remove(`/raw-tables/${table.id}`)).status).toBe(200);
    expect((await consume(sent.splice(0), own)).explicitAcks).toEqual(["m0"]);
    expect(await job()).toMatchObject({ status: "failed", computed: 0 });
  });

  test("note no failure when they come after the end", async () => {
    const { own, sent, page, job, feature } = await staleJob();
    const { stop, open, reached } = gate();
    const late = consume([page], withStubs("RAW_TABLE", { jobPage: (real) => stop().then(real) }, own));
    await reached;
    for (let next = [page]; next.length > 0; next = sent.splice(0)) await consume(next, own);
    open();
    await late;
    expect((await job()).status).toBe("done");
    const { body } = await get<Feature>(`/features/${feature.name}`);
    expect(body.versions[0]?.computation).toMatchObject({ last_error: null, failed_at: null });
  });
});

describe("a feature that is removed and made anew with other SQL", () => {
  const MOST = "SELECT user_id, max(amount) AS most FROM data GROUP BY user_id";

  /** What one of its name has instead, computed since. */
  async function madeAnew(table: Table, name: string, entity: string): Promise<void> {
    expect((await remove(`/features/${name}?force=true`)).status).toBe(200);
    await newFeature(table, { name, computation_logic: MOST });
    expect((await compute(name)).status).toBe(200);
    expect(await vectorOf(entity, name)).toEqual({ most: 1 });
  }

  test.each([
    ["the stream", (own: Env, table: Table, _: string) => consume([arrived(table)], own)],
    [
      "a computation by hand",
      (own: Env, _: Table, name: string) => askWith(own, "POST", `/features/${name}/compute`),
    ],
  ])("keeps its vectors where %s of the removed one comes to its end after that", async (_, begin) => {
    const table = await newTable();
    const feature = await streaming(table);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf(feature)], [entity]);
    const { slow, open, reached } = slowToAnswer();
    const late = begin(slow, table, feature.name);
    await reached;
    await madeAnew(table, feature.name, entity);
    open();
    await late;
    expect(await vectorOf(entity, feature.name)).toEqual({ most: 1 });
    expect(await inside(table, "SELECT * FROM fs_under_way")).toEqual([]);
    await consume([arrived(table)]);
    expect(await inside(table, "SELECT * FROM fs_followers")).toEqual([]);
    expect(await vectorOf(entity, feature.name)).toEqual({ most: 1 });
  });

  test("keeps them where a page of the removed one's job has been given out before", async () => {
    const table = await newTable();
    const { name } = await newFeature(table);
    const { own, sent } = withoutQueue();
    const users = Array.from({ length: MAX_INLINE_ENTITIES + 1 }, (_, i) => `${name}-${i}`);
    await ingestUnannounced(table, [], users);
    const { body } = await askWith<Job>(own, "POST", `/features/${name}/compute`);
    const { stop, open, reached } = gate();
    const jobPage = async (real: () => Promise<unknown>) => real().finally(stop);
    const late = consume(sent.splice(0), withStubs("RAW_TABLE", { jobPage }, own));
    await reached;
    expect((await remove(`/features/${name}?force=true`)).status).toBe(200);
    open();
    expect((await late).explicitAcks).toEqual(["m0"]);
    expect((await get(`/get/item/${users[0]}/${name}?entity_type=user_id`)).status).toBe(404);
    expect((await get<Job>(`/jobs/${body.job_id}`)).body).toMatchObject({ status: "failed", computed: 0 });
    expect(await inside(table, "SELECT 1 FROM fs_under_way UNION ALL SELECT 1 FROM fs_jobs")).toEqual([]);
  });

  test.each([
    [
      "a computation by hand",
      { asksFirst: 0, of: newFeature },
      async (own: Env, _: Table, name: string) =>
        expect((await askWith(own, "POST", `/features/${name}/compute`)).status).toBe(409),
    ],
    [
      "the stream",
      { asksFirst: 1, of: streaming },
      async (own: Env, table: Table) => void (await consume([arrived(table)], own)),
    ],
  ])("keeps them where %s of the removed one has written a round and goes on", async (_, how, begin) => {
    const table = await newTable();
    const feature = await how.of(table);
    const { name } = feature;
    // In the order of their names they are written: the second round holds the last of them.
    const users = Array.from(
      { length: ENTITIES_PER_ROUND + 1 },
      (_, i) => `${name}-${String(i).padStart(4, "0")}`,
    );
    await ingestUnannounced(table, how.of === streaming ? [followerOf(feature)] : [], users);
    const { stop, open, reached } = gate();
    let asked = 0;
    const mayGoOn = async (real: () => Promise<unknown>) => {
      asked += 1;
      if (asked === how.asksFirst + 1) await stop();
      return real();
    };
    const late = begin(withStubs("RAW_TABLE", { mayGoOn }), table, name);
    await reached;
    const last = users.at(-1) ?? "";
    expect((await get(`/get/item/${users[0]}/${name}?entity_type=user_id`)).status).toBe(200);
    await madeAnew(table, name, last);
    open();
    await late;
    expect(await vectorOf(last, name)).toEqual({ most: 1 });
  });
});

test("a computation whose feature is removed meanwhile leaves no note, nor does an earlier one", async () => {
  const table = await newTable();
  const { name } = await newFeature(table);
  await ingest(table, [row(freshName("e"), 1)]);
  expect((await compute(name)).status).toBe(200);
  const { slow, open, reached } = slowToAnswer();
  const computing = askWith(slow, "POST", `/features/${name}/compute`);
  await reached;
  expect((await remove(`/features/${name}?force=true`)).status).toBe(200);
  open();
  expect((await computing).status).toBe(409);
  const noted =
    "SELECT count(*) AS n FROM computations WHERE feature_id NOT IN (SELECT feature_id FROM features)";
  expect(await env.DB.prepare(noted).first("n")).toBe(0);
});

describe("a computation by hand", () => {
  test("that fails half way has all its entities computed again where the stream has overtaken it", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const table = await newTable();
    const feature = await streaming(table);
    const users = Array.from({ length: 1_001 }, (_, i) => `h${String(i).padStart(4, "0")}`);
    await ingestUnannounced(table, [followerOf(feature)], users);
    const { slow, open, reached } = slowToAnswer();
    // The second round holds the last of them.
    const failing = withStubs(
      "ENTITY_WRITER",
      {
        change: (real, _identity, { rows }: ChangeRequest) =>
          rows.some(({ entityValue }) => entityValue === "h1000")
            ? Promise.reject(new Error("reset"))
            : real(),
      },
      slow,
    );
    const { own, sent } = withoutQueue(failing);
    const byHand = askWith(own, "POST", `/features/${feature.name}/compute`);
    await reached;
    await ingestUnannounced(table, [followerOf(feature)], ["h0000"]);
    await consume([arrived(table)]);
    expect(await vectorOf("h0000", feature.name)).toEqual({ total: 2, n: 2 });
    open();
    expect((await byHand).status).toBeGreaterThanOrEqual(500);
    expect(await vectorOf("h0000", feature.name)).toEqual({ total: 1, n: 1 });
    expect(sent).toEqual([arrived(table)]);
    await consume(sent);
    expect(await vectorOf("h0000", feature.name)).toEqual({ total: 2, n: 2 });
  });

  /** One by hand that stops before it writes, while another one computes newer rows and is answered. */
  async function overtaken(table: Table, name: string, { rows, own }: { rows: unknown[]; own: Env }) {
    await ingest(table, rows);
    const { stop, open, reached } = gate();
    const slow = withStubs("ENTITY_WRITER", { change: (real) => stop().then(real) }, own);
    const older = askWith(slow, "POST", `/features/${name}/compute`);
    await reached;
    await ingest(table, rows);
    expect((await compute(name)).status).toBe(200);
    open();
    return older;
  }

  test("that writes on top of a later one has all of it computed again", async () => {
    const table = await newTable();
    const { name } = await newFeature(table);
    const entity = freshName("e");
    const { own, sent } = withoutQueue();
    const answer = await overtaken(table, name, { rows: [row(entity, 1, 1)], own });
    expect(answer).toMatchObject({ status: 200, body: { computed: 1 } });
    expect(await vectorOf(entity, name)).toEqual({ total: 1, n: 1 });
    expect(sent).toEqual([arrived(table)]);
    expect((await consume(sent)).explicitAcks).toEqual(["m0"]);
    expect(await vectorOf(entity, name)).toEqual({ total: 2, n: 2 });
    // It is owed no more.
    await consume([arrived(table)]);
    expect((await vector(entity, name)).body.revision).toBe(3);
    expect(await inside(table, "SELECT * FROM fs_under_way")).toEqual([]);
  });

  test("that writes on top of a later one and dies has all of it computed again", async () => {
    silent();
    const table = await newTable();
    const { name } = await newFeature(table);
    const entity = freshName("e");
    const answer = await overtaken(table, name, { rows: [row(entity, 1, 1)], own: mute("written") });
    expect(answer.status).toBe(500);
    expect(await vectorOf(entity, name)).toEqual({ total: 1, n: 1 });
    await afterTheLease(table);
    expect(await vectorOf(entity, name)).toEqual({ total: 2, n: 2 });
  });

  test("of rows without a time is older than a later one, whenever it is written", async () => {
    const table = await newTable({ user_id: "string", amount: "integer" });
    const { name } = await newFeature(table);
    const entity = freshName("e");
    const { own, sent } = withoutQueue();
    const rows = [{ user_id: entity, amount: 1 }];
    const answer = await overtaken(table, name, { rows, own });
    expect(answer).toMatchObject({ status: 200, body: { computed: 0, skipped_count: 1 } });
    expect(await vectorOf(entity, name)).toEqual({ total: 2, n: 2 });
    await consume(sent);
    expect(await vectorOf(entity, name)).toEqual({ total: 2, n: 2 });
  });

  test("of rows without a time is younger than all before it, on a machine whose clock is behind too", async () => {
    const table = await newTable({ user_id: "string", amount: "integer" });
    const { name } = await newFeature(table);
    const entity = freshName("e");
    const rows = (count: number) => Array.from({ length: count }, () => ({ user_id: entity, amount: 1 }));
    const now = Date.now();
    vi.spyOn(Date, "now").mockReturnValue(now + 5_000);
    await compute(name, rows(1));
    await evict(table);
    vi.spyOn(Date, "now").mockReturnValue(now);
    expect((await compute(name, rows(2))).body).toMatchObject({ computed: 1, skipped: [] });
    expect(await vectorOf(entity, name)).toEqual({ total: 2, n: 2 });
  });

  test("over a streaming feature that dies before it has told the table is computed again", async () => {
    silent();
    const table = await newTable();
    const feature = await streaming(table);
    const entity = freshName("e");
    await ingestUnannounced(table, [followerOf(feature)], [entity]);
    const { slow, open, reached } = slowToAnswer(mute("written"));
    const { own, sent } = withoutQueue(slow);
    const byHand = askWith(own, "POST", `/features/${feature.name}/compute`);
    await reached;
    await ingestUnannounced(table, [followerOf(feature)], [entity]);
    await consume([arrived(table)]);
    expect(await vectorOf(entity, feature.name)).toEqual({ total: 2, n: 2 });
    open();
    expect([(await byHand).status, sent]).toEqual([500, []]);
    expect(await vectorOf(entity, feature.name)).toEqual({ total: 1, n: 1 });
    await afterTheLease(table);
    expect(await vectorOf(entity, feature.name)).toEqual({ total: 2, n: 2 });
  });

  test("that was taken for dead and answers all the same is answered as the one that took its place", async () => {
    const object = objectOf(await newTable());
    const idempotency = { key: freshName("key"), fingerprint: "of a request" };
    expect(await object.keepAnswer(idempotency, "of the one in its place")).toBe("of the one in its place");
    expect(await object.keepAnswer(idempotency, "its own")).toBe("of the one in its place");
  });

  test("that a later one of newer rows has overtaken is 409 and writes nothing", async () => {
    const table = await newTable();
    const { name } = await newFeature(table);
    const entity = freshName("e");
    await ingest(table, [row(entity, 1, 1)]);
    const { slow, open, reached } = slowToAnswer();
    const older = askWith(slow, "POST", `/features/${name}/compute`);
    await reached;
    await ingest(table, [row(entity, 1, 1)]);
    expect((await compute(name)).status).toBe(200);
    open();
    expect(await older).toMatchObject({ status: 409 });
    expect(await vectorOf(entity, name)).toEqual({ total: 2, n: 2 });
    // Of the same rows each is as good as the other.
    const both = await Promise.all([compute(name), compute(name)]);
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
  });
});
