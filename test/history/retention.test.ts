/** Old history goes, and no answer inside the window changes by it. */
import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type RetentionRun, removeOldHistory } from "../../worker/history/retention.ts";
import {
  REMOVE_ROWS_SQL,
  REMOVE_STEP_SQL,
  SELECT_ROWS_SQL,
  SELECT_STEP_SQL,
  STEP_END_SQL,
} from "../../worker/history/retention-statements.ts";
import worker from "../../worker/index.ts";
import { Log } from "../../worker/log.ts";
import { broken, IN_ONE_RUN } from "./bucket.ts";
import { eventDrafts, isoOf, questionDrafts } from "./oracle.ts";
import { askRows, event, ingestedLater, pastOf, register, writeAll } from "./training.ts";

const DAY_MS = 86_400_000;
const NOW_MS = Date.now();
const RETENTION_DAYS = 90;
const LIMIT_MS = NOW_MS - RETENTION_DAYS * DAY_MS;
const daysBeforeLimit = (days: number) => LIMIT_MS - days * DAY_MS;

const log = new Log("test", { level: "ERROR", readable: false });

/** Time stands still for it, so that the limit is known to the microsecond. */
async function retain(db: D1Database = env.DB, most = IN_ONE_RUN): Promise<RetentionRun> {
  const clock = vi.spyOn(Date, "now").mockReturnValue(NOW_MS);
  try {
    return await removeOldHistory({ db, retentionDays: RETENTION_DAYS, archive: undefined, log, ...most });
  } finally {
    clock.mockRestore();
  }
}

interface HistoryRow {
  entity_value: string;
  category: string;
  event_time: number;
  ingested_at: number;
  mode: string;
  data: string;
}

/** In the order of the key. */
async function historyOf(prefix: string): Promise<HistoryRow[]> {
  const { results } = await env.DB.prepare(
    `SELECT entity_value, category, event_time, ingested_at, mode, data FROM feature_history WHERE entity_value LIKE ? || '%'
     ORDER BY entity_value, category, event_time, revision, ingested_at`,
  )
    .bind(prefix)
    .all<HistoryRow>();
  return results;
}

/**
 * What must stay, by the contract alone: whatever is of the limit or later or was ingested then, and of what is older
 * the newest replacement and, of each feature, the newest row since then that names it.
 */
function mustStay(rows: readonly HistoryRow[]): HistoryRow[] {
  const limit = LIMIT_MS * 1_000;
  const groups = Map.groupBy(rows, ({ entity_value, category }) => `${entity_value} ${category}`);
  return [...groups.values()].flatMap((group) => {
    const until = group.filter(({ event_time, ingested_at }) => Math.max(event_time, ingested_at) <= limit);
    const since = until.slice(
      Math.max(
        0,
        until.findLastIndex(({ mode }) => mode === "replace"),
      ),
    );
    const kept = new Set(since.filter(({ mode }) => mode === "replace"));
    for (const name of new Set(since.flatMap(({ data }) => Object.keys(JSON.parse(data))))) {
      const newest = since.findLast(({ data }) => Object.hasOwn(JSON.parse(data), name));
      if (newest) kept.add(newest);
    }
    return group.filter((row) => Math.max(row.event_time, row.ingested_at) >= limit || kept.has(row));
  });
}

beforeAll(() => register("declares_the_type"));
afterEach(() => void vi.restoreAllMocks());

describe("for any history", () => {
  const NAMES = ["alpha:a", "alpha:b", "alpha:c", "beta:a", "beta:d"];
  let runs = 0;

  test("answers inside the window stay the same, what may go is gone, and a second time nothing more", async () => {
    await fc.assert(
      fc.asyncProperty(eventDrafts, questionDrafts, async (drafts, asked) => {
        runs += 1;
        // One second of the draft is a day here; twenty of them are before the limit, some events on it.
        const timeOf = (second: number) => daysBeforeLimit(20 - second);
        const events = drafts.map(({ entity, second, ttlSeconds, ...draft }) => ({
          ...{ ...draft, entity: `run-${runs}-${entity}`, atMs: timeOf(second) },
          ttlSeconds: ttlSeconds === null ? null : ttlSeconds * 86_400,
        }));
        await writeAll(events);
        // At once, or after 8, 16 or 24 days.
        await ingestedLater(`run-${runs}-`, "(revision * 5 + event_time / 86400000000 * 3) % 4 * 8");
        const rows = asked.map(([entity, half]) => ({
          entity_id: `run-${runs}-${entity}`,
          timestamp: isoOf(Math.max(LIMIT_MS, timeOf(half / 2))),
        }));
        const answers = async () => {
          const known = [0, 5, 15].map((days) => ({ known_at: isoOf(daysBeforeLimit(-days)) }));
          const all = await Promise.all([{}, ...known].map((over) => askRows(rows, NAMES, over)));
          return all.map(({ text }) => text);
        };
        const before = { texts: await answers(), history: await historyOf(`run-${runs}-`) };
        const run = await retain();
        expect((await answers()).map((text, i) => text === before.texts[i])).toEqual(Array(4).fill(true));
        const left = await historyOf(`run-${runs}-`);
        expect(left).toEqual(mustStay(before.history));
        expect(run).toMatchObject({ removed: before.history.length - left.length, finished: true });
        expect(await retain()).toMatchObject({ removed: 0, finished: true });
      }),
      { numRuns: 20, endOnFailure: true },
    );
  });
});

describe("a row before the limit", () => {
  test("goes when a replacement follows it before the limit, and stays when that comes after", async () => {
    await writeAll([
      event("replaced", { a: 1 }, { atMs: daysBeforeLimit(9) }),
      event("replaced", { a: 2 }, { atMs: daysBeforeLimit(8) }),
      event("replaced", { a: 3 }, { atMs: daysBeforeLimit(-1) }),
    ]);
    await ingestedLater("replaced", "0");
    await retain();
    expect((await historyOf("replaced")).map(({ data }) => data)).toEqual(['{"a":2}', '{"a":3}']);
    expect(await pastOf("replaced", LIMIT_MS, ["alpha:a"])).toEqual(["2 PRESENT"]);
  });

  test("that replaced stays for what it dropped, though others have named all that it names", async () => {
    await writeAll([
      event("drop", { a: 1, b: 1 }, { atMs: daysBeforeLimit(9) }),
      event("drop", { a: 2 }, { atMs: daysBeforeLimit(8) }),
      event("drop", { a: 3 }, { atMs: daysBeforeLimit(7), mode: "merge" }),
    ]);
    await ingestedLater("drop", "0");
    await retain();
    expect((await historyOf("drop")).map(({ data }) => data)).toEqual(['{"a":2}', '{"a":3}']);
    expect(await pastOf("drop", LIMIT_MS, ["alpha:a", "alpha:b"])).toEqual(["3 PRESENT", "null NOT_FOUND"]);
  });
});

describe("a row that was ingested inside the window", () => {
  const written = (name: string) =>
    writeAll([9, 8, 7].map((days, a) => event(name, { a }, { atMs: daysBeforeLimit(days) })));
  const valuesOf = async (name: string) => (await historyOf(name)).map(({ data }) => JSON.parse(data).a);

  test("stays, however old it is: an import is not removed before anybody has trained on it", async () => {
    await written("imported");
    await retain();
    expect(await valuesOf("imported")).toEqual([0, 1, 2]);
  });

  test("lets nothing older go: who asks what was known before it still hears of that", async () => {
    await written("corrected");
    await ingestedLater("corrected", `iif(event_time = ${daysBeforeLimit(7) * 1_000}, 10, 0)`);
    await retain();
    expect(await valuesOf("corrected")).toEqual([1, 2]);
    const asked = [{ entity_id: "corrected", timestamp: isoOf(LIMIT_MS) }];
    const before = await askRows(asked, ["alpha:a"], { known_at: isoOf(daysBeforeLimit(-1)) });
    const after = await askRows(asked, ["alpha:a"], { known_at: isoOf(daysBeforeLimit(-4)) });
    expect([before, after].map(({ body }) => body.rows[0]?.features["alpha:a"]?.value)).toEqual([1, 2]);
  });

  test("goes only by what is past its retention: one that came late stays until it is", async () => {
    await written("late");
    await ingestedLater("late", `iif(event_time = ${daysBeforeLimit(9) * 1_000}, 10, 0)`);
    await retain();
    expect(await valuesOf("late")).toEqual([0, 2]);
  });
});

test("the cron removes what HISTORY_RETENTION_DAYS lets go", async () => {
  await writeAll([95, 92, 80].map((days, a) => event("cron", { a }, { atMs: NOW_MS - days * DAY_MS })));
  await ingestedLater("cron", "0");
  await worker.scheduled(createScheduledController(), env);
  expect((await historyOf("cron")).map(({ data }) => data)).toEqual(['{"a":1}', '{"a":2}']);
});

describe("steps", () => {
  /** Two replacements of each of `count` entities, both before the limit: the first of them may go. */
  const insertPairs = (prefix: string, count: number, at = daysBeforeLimit(10) * 1_000) =>
    env.DB.prepare(
      `INSERT INTO feature_history (tenant_id, entity_type, entity_value, category, event_time, revision, mode, data, ingested_at)
       WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
       SELECT 'default', 'user', ?1 || printf('%06d', i / 2), 'alpha', ?3 + i % 2, 1 + i % 2, 'replace', '{"a":1}', ?3 FROM n`,
    )
      .bind(prefix, 2 * count, at)
      .run();

  const count = async (prefix: string) => (await historyOf(prefix)).length;

  function failingRemoval(nth: number): D1Database {
    let removals = 0;
    return broken(env.DB, "prepare", (sql: string) => {
      removals += Number(sql === REMOVE_STEP_SQL);
      if (removals === nth) throw new Error("the database went away");
      return env.DB.prepare(sql);
    });
  }

  test("that fail lose nothing: the next run goes on where the last step ended, and the one after begins anew", async () => {
    await insertPairs("~steps-", 2_500);
    await expect(retain(failingRemoval(3))).rejects.toThrow("went away");
    const left = await count("~steps-");
    expect(left).toBeGreaterThan(2_500);
    expect(left).toBeLessThan(5_000);
    await insertPairs("!early-", 1);
    expect(await retain()).toMatchObject({ removed: left - 2_500, finished: true });
    expect([await count("~steps-"), await count("!early-")]).toEqual([2_500, 2]);
    expect(await retain()).toMatchObject({ removed: 1, finished: true });
    expect(await count("!early-")).toBe(1);
  });

  test("are bounded: one run leaves the rest of a large table to the next", async () => {
    await insertPairs("large-", 10_000);
    const first = await retain(env.DB, { ...IN_ONE_RUN, steps: 4 });
    expect(first).toMatchObject({ finished: false, steps: 4 });
    expect(first.removed).toBeGreaterThan(0);
    const second = await retain();
    expect(second).toMatchObject({ removed: 10_000 - first.removed, finished: true });
    await env.DB.prepare("DELETE FROM feature_history WHERE entity_value LIKE 'large-%'").run();
  });

  test("pass over what is not past its retention, many rows at a time and so many times a run", async () => {
    await retain();
    await insertPairs("~between-", 2);
    await insertPairs("~new-", 25_000, Date.now() * 1_000);
    await insertPairs("~newer-", 2);
    const once = await retain(env.DB, { ...IN_ONE_RUN, walks: 1 });
    expect(once).toMatchObject({ removed: 2, finished: false, steps: 1 });
    const rest = await retain();
    expect(rest).toMatchObject({ removed: 2, finished: true });
    expect(rest.steps).toBeLessThan(5);
    await env.DB.prepare("DELETE FROM feature_history WHERE entity_value LIKE '~new%'").run();
  });

  test("that do not end become smaller, and in the end one row is passed over", async () => {
    await retain();
    await insertPairs(" stuck-", 3);
    // With 2,000 rows, 250, 31, 3 and 1.
    for (let hour = 0; hour < 5; hour += 1)
      await expect(retain(failingRemoval(1))).rejects.toThrow("went away");
    expect(await retain()).toMatchObject({ removed: 2, finished: true });
    expect(await count(" stuck-")).toBe(4);
    expect(await retain()).toMatchObject({ removed: 1, finished: true });
  });

  test("read no more than a few rows for each, though a category has been merged thousands of times", async () => {
    await env.DB.prepare(
      `INSERT INTO feature_history (tenant_id, entity_type, entity_value, category, event_time, revision, mode, data, ingested_at)
       WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < 5000)
       SELECT 'default', 'user', 'hot', 'alpha', ?1 + i, 1 + i, 'merge', '{"a":1}', ?1 FROM n`,
    )
      .bind(daysBeforeLimit(10) * 1_000)
      .run();
    const { results, meta } = await env.DB.prepare(SELECT_STEP_SQL)
      .bind("default", "user", "hot", "", 0, 0, 0, LIMIT_MS * 1_000, 2_000)
      .all();
    expect(results).toHaveLength(2_000);
    expect(meta.rows_read).toBeLessThan(5_000 + 10 * 2_000);
    await env.DB.prepare("DELETE FROM feature_history WHERE entity_value = 'hot'").run();
  });

  const detailsOf = async (sql: string, bound: unknown[]) => {
    const { results } = await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .bind(...bound)
      .all<{ detail: string }>();
    return results.map(({ detail }) => detail);
  };
  const searchesOf = (details: string[]) =>
    details.filter((detail) =>
      /^SEARCH (feature_history|r)( EXISTS)? USING (COVERING )?INDEX sqlite_autoindex_feature_history_1/.test(
        detail,
      ),
    );

  test.each([
    ["end", STEP_END_SQL, 0],
    ["remove", REMOVE_STEP_SQL, 2],
    ["archive", SELECT_STEP_SQL, 2],
  ])("that %s walk over the index alone, and find what they judge", async (_, sql, looks) => {
    const details = await detailsOf(sql, ["", "", "", "", 0, 0, 0, 0, 1]);
    expect(details.filter((detail) => /^SCAN (feature_history|h|r)\b/.test(detail))).toEqual([]);
    const searches = searchesOf(details);
    const walks = searches.filter((detail) => /\(\(tenant_id,.*,ingested_at\)>\(/.test(detail));
    expect(walks).toEqual([expect.stringContaining("COVERING INDEX")]);
    expect(searches.filter((detail) => /category=\? AND event_time>\?/.test(detail))).toHaveLength(looks);
    expect(details.filter((detail) => /^SEARCH h USING INTEGER PRIMARY KEY/.test(detail))).toHaveLength(
      looks / 2,
    );
  });

  test.each([
    ["read", SELECT_ROWS_SQL],
    ["remove", REMOVE_ROWS_SQL],
  ])("%s what is archived by the whole key", async (_, sql) => {
    const details = await detailsOf(sql, ["[]"]);
    expect(searchesOf(details).filter((detail) => /ingested_at=\?/.test(detail))).toHaveLength(1);
  });
});
