/** What retention removes is in the archive first: all of it, and nothing else is removed. */
import { env } from "cloudflare:workers";
import { parquetReadObjects } from "hyparquet";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { removeOldHistory } from "../../worker/history/retention.ts";
import { MAX_ENTITY_DATABASES } from "../../worker/limits.ts";
import { Log } from "../../worker/log.ts";
import { watched } from "../setup/faults.ts";
import { archive, broken, IN_ONE_RUN } from "./bucket.ts";
import { event, ingestedLater, register, writeAll } from "./training.ts";

const DAY_MS = 86_400_000;
const NOW_MS = Date.now();
const LIMIT_MS = NOW_MS - 90 * DAY_MS;
const daysBeforeLimit = (days: number) => LIMIT_MS - days * DAY_MS;
const log = new Log("test", { level: "ERROR", readable: false });

async function retain({
  db = env.DB,
  bucket = archive(),
  steps = IN_ONE_RUN.steps,
}: {
  db?: D1Database;
  bucket?: R2Bucket;
  steps?: number;
} = {}) {
  const clock = vi.spyOn(Date, "now").mockReturnValue(NOW_MS);
  try {
    return await removeOldHistory({ db, retentionDays: 90, archive: bucket, log, ...IN_ONE_RUN, steps });
  } finally {
    clock.mockRestore();
  }
}

type Archived = Record<string, unknown> & { data: string };

async function filesOf(prefix: string): Promise<{ key: string; size: number; rows: Archived[] }[]> {
  const { objects } = await archive().list({ prefix });
  return Promise.all(
    objects.map(async ({ key, size }) => {
      const file = await (await archive().get(key))?.arrayBuffer();
      return {
        key,
        size,
        rows: (await parquetReadObjects({ file: file ?? new ArrayBuffer() })) as Archived[],
      };
    }),
  );
}

const archivedOf = async (prefix: string) =>
  (await filesOf("default/")).flatMap(({ rows }) =>
    rows.filter(({ entity_value }) => String(entity_value).startsWith(prefix)),
  );

async function historyOf(prefix: string): Promise<Archived[]> {
  const { results } = await env.DB.prepare(
    `SELECT * FROM feature_history WHERE entity_value LIKE ? || '%'
     ORDER BY tenant_id, entity_type, entity_value, category, event_time, revision, ingested_at`,
  )
    .bind(prefix)
    .all<Archived>();
  return results;
}

/** Two replacements of each of `count` entities, both before the limit: the first of them may go. */
const insertPairs = (prefix: string, count: number, { tenant = "default", bytes = 1 } = {}) =>
  env.DB.prepare(
    `INSERT INTO feature_history (tenant_id, entity_type, entity_value, category, event_time, revision, mode, data, ingested_at)
     WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
     SELECT ?4, 'user', ?1 || printf('%06d', i / 2), 'alpha', ?3 + i % 2, 1 + i % 2, 'replace',
       json_object('a', hex(zeroblob(?5))), ?3 FROM n`,
  )
    .bind(prefix, 2 * count, daysBeforeLimit(10) * 1_000, tenant, bytes / 2)
    .run();

beforeAll(() => register("declares_the_type"));
beforeEach(async () => {
  await env.DB.prepare("DELETE FROM feature_history").run();
  for (const { key } of (await archive().list()).objects) await archive().delete(key);
});
afterEach(() => void vi.restoreAllMocks());

test("each row that goes is in a file of its tenant, with all it held", async () => {
  await writeAll([
    event("kept", { a: 1 }, { atMs: daysBeforeLimit(-1) }),
    event("old", { a: 1, b: null }, { atMs: daysBeforeLimit(9), ttlSeconds: 60 }),
    event("old", { a: 2 }, { atMs: daysBeforeLimit(8) }),
    event("old", { a: 3 }, { atMs: daysBeforeLimit(7), mode: "merge" }),
    event("old", { a: 4 }, { atMs: daysBeforeLimit(6), mode: "merge" }),
  ]);
  await ingestedLater("", "0");
  await insertPairs("other-", 1, { tenant: "tenant/ä" });
  const before = await historyOf("");
  expect(await retain()).toMatchObject({ removed: 3, finished: true });
  const left = await historyOf("");
  const gone = before.filter((row) => !left.some((kept) => JSON.stringify(kept) === JSON.stringify(row)));
  const day = new Date(NOW_MS).toISOString().slice(0, 10);
  const [own, ...more] = await filesOf("default/");
  expect(own?.key).toMatch(new RegExp(`^default/history/${day}/[0-9a-f]{64}\\.parquet$`));
  expect(more).toEqual([]);
  const micros = (time: unknown) => (time === null ? null : new Date(Number(time) / 1_000));
  expect(own?.rows).toEqual(
    gone
      .filter(({ tenant_id }) => tenant_id === "default")
      .map((row) => ({
        ...row,
        revision: BigInt(Number(row.revision)),
        event_time: micros(row.event_time),
        ingested_at: micros(row.ingested_at),
        expires_at: micros(row.expires_at),
      })),
  );
  const [foreign] = await filesOf("tenant%2F%C3%A4/");
  expect(foreign?.rows.map(({ entity_value }) => entity_value)).toEqual(["other-000000"]);
  expect(await retain()).toMatchObject({ removed: 0, finished: true });
  expect((await archive().list()).objects).toHaveLength(2);
});

describe("a failure", () => {
  test("of the bucket removes nothing, and the next run does both", async () => {
    await insertPairs("bucket-", 3);
    const bucket = broken(archive(), "put", () => Promise.reject(new Error("the bucket went away")));
    await expect(retain({ bucket })).rejects.toThrow("the bucket went away");
    expect(await historyOf("bucket-")).toHaveLength(6);
    expect(await retain()).toMatchObject({ removed: 3, finished: true });
    expect(await archivedOf("bucket-")).toHaveLength(3);
  });

  test("after the file was put removes nothing, and the file is written again, not a second one", async () => {
    await insertPairs("crash-", 3);
    let batches = 0;
    const db = broken(env.DB, "batch", (statements: never) => {
      batches += 1;
      if (batches === 2) throw new Error("the process died");
      return env.DB.batch(statements);
    });
    await expect(retain({ db })).rejects.toThrow("died");
    expect(await historyOf("crash-")).toHaveLength(6);
    expect(await archivedOf("crash-")).toHaveLength(3);
    expect(await retain()).toMatchObject({ removed: 3, finished: true });
    expect(await archivedOf("crash-")).toHaveLength(3);
    expect(await historyOf("crash-")).toHaveLength(3);
  });
});

describe("a step is bounded", () => {
  test("by its bytes: large rows go into several files, each row into one", async () => {
    await insertPairs("large-", 12, { bytes: 900_000 });
    expect(await retain()).toMatchObject({ removed: 12, finished: true });
    const files = await filesOf("default/");
    expect(files.map(({ rows }) => rows.length).sort()).toEqual([4, 4, 4]);
    expect(new Set((await archivedOf("large-")).map(({ entity_value }) => entity_value)).size).toBe(12);
  });

  test("by its files: many tenants take several steps, and none is passed over", async () => {
    for (let tenant = 0; tenant < 25; tenant++) await insertPairs("t-", 1, { tenant: `tenant-${tenant}` });
    expect(await retain()).toMatchObject({ removed: 25, finished: true });
    expect((await archive().list()).objects).toHaveLength(25);
    expect(await historyOf("t-")).toHaveLength(25);
  });
});

test("a run is bounded: what it leaves in the middle of a step the next one takes", async () => {
  const tenants = Array.from({ length: 60 }, (_, i) => `many-${String(i).padStart(3, "0")}`);
  for (const tenant of tenants) await insertPairs("t-", 1, { tenant });
  expect(await retain({ steps: 5 })).toEqual({ removed: 50, finished: false, steps: 5 });
  expect(await retain()).toMatchObject({ removed: 10, finished: true });
  expect((await archive().list()).objects.map(({ key }) => key.split("/")[0])).toEqual(tenants);
});

test("a run keeps within the queries that D1 takes of an invocation, whatever its steps find", async () => {
  const most = 6;
  expect(most * IN_ONE_RUN.steps + 3 * MAX_ENTITY_DATABASES).toBeLessThanOrEqual(1_000);
  for (const bytes of [1, 900_000]) {
    await insertPairs(`queries-${bytes}-`, 12, { bytes });
    const { env: own, database } = watched();
    const { steps } = await retain({ db: own.DB });
    expect(steps, `${bytes} bytes a row`).toBeGreaterThan(bytes === 1 ? 0 : 2);
    expect(database.length, `${bytes} bytes a row`).toBeLessThanOrEqual(most * steps);
  }
});

test("without a failure nothing is looked at twice: many small rows are a file a step", async () => {
  await insertPairs("small-", 2_500);
  expect(await retain()).toMatchObject({ removed: 2_500, finished: true });
  expect((await filesOf("default/")).map(({ rows }) => rows.length).sort((a, b) => a - b)).toEqual([
    500, 1_000, 1_000,
  ]);
});
