/** The cron over several databases. */
import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { entityDatabases } from "../../worker/db/entity-databases.ts";
import worker from "../../worker/index.ts";
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
