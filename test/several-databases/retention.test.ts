/** The cron over several databases. */
import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { entityDatabases } from "../../worker/db/entity-databases.ts";
import { retainHistory } from "../../worker/history/retention-run.ts";
import worker from "../../worker/index.ts";
import { RETENTION_ROWS_PER_STEP } from "../../worker/limits.ts";
import { Log } from "../../worker/log.ts";
import { sleep } from "../../worker/waits.ts";
import { only, watched } from "../setup/faults.ts";

/** When each of the databases last began or ended a step of the retention. */
const progress = () =>
  Promise.all(
    entityDatabases(env).map((db) =>
      db.prepare("SELECT cursor, updated_at FROM maintenance").first<{ updated_at: number }>(),
    ),
  );

test("retention is at work in one database at a time, and in the others though one fails", async () => {
  const [, ...before] = await progress();
  let [atFirst, later]: unknown[][] = [[], []];
  const fault = only<{ sql: string[] }>(
    ({ sql }) => sql.some((text) => text.includes("feature_history")),
    async () => {
      atFirst = await progress();
      await sleep(300);
      later = await progress();
      throw new Error("down");
    },
  );
  const { env: own } = watched({ database: fault });
  await expect(worker.scheduled(createScheduledController(), own)).rejects.toThrow("down");
  expect(atFirst).toHaveLength(3);
  expect(later).toEqual(atFirst);
  const [, ...after] = await progress();
  for (const [i, one] of after.entries()) expect(one).not.toEqual(before[i]);
});

test("all databases share the steps of a run: a full one leaves the others their part, and has what they leave", async () => {
  const [first, ...others] = entityDatabases(env);
  if (!first) throw new Error("there is one");
  // Two replacements of each entity, long ago: four steps, and the fifth finds none.
  const pairs = 2 * RETENTION_ROWS_PER_STEP;
  await first
    .prepare(
      `INSERT INTO feature_history (tenant_id, entity_type, entity_value, category, event_time, revision, mode, data, ingested_at)
       WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
       SELECT 'shared', 'user', printf('e-%06d', i / 2), 'c', i % 2, 1 + i % 2, 'replace', '{}', 1 FROM n`,
    )
    .bind(2 * pairs)
    .run();
  const log = new Log("test", { level: "ERROR", readable: false });
  const left = async () => {
    const counted = "SELECT count(*) AS n FROM feature_history WHERE tenant_id = 'shared'";
    return (await first.prepare(counted).first<{ n: number }>())?.n;
  };
  const run = (databases: readonly D1Database[], steps: number) =>
    retainHistory(databases, 0, { retentionDays: 90, archive: undefined, log, steps });
  await run([first, ...others], 3);
  expect(await left()).toBe(2 * pairs - RETENTION_ROWS_PER_STEP / 2);
  // The others may take two each, and need one: four are left, of which three are enough.
  await run([...others, first], 6);
  expect(await left()).toBe(pairs);
});
