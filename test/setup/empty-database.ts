import { applyD1Migrations, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, expect } from "vitest";
import { fnv1a } from "../../worker/keys.ts";

/** The local queue hands over a batch within 50 ms of its last message. */
const QUEUE_IDLE_MS = 200;

/** No row, no object with its alarm, no message under way. */
async function empty(): Promise<void> {
  await reset();
  // At once: a late message still finds the tables, and nothing in them.
  await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
}

/** Far more than the raw tables of a file. */
const IDS_PER_FILE = 10_000;

/**
 * Ids that no other file has. An object that is deleted while it still writes may come back on a slow machine, and
 * those of raw tables are named by ids, which would begin anew with an empty database.
 */
async function startIds(): Promise<void> {
  const start = IDS_PER_FILE * (fnv1a(expect.getState().testPath ?? "") % 1_000_000);
  await env.DB.batch([
    env.DB.prepare(
      "INSERT INTO raw_tables (table_id, tenant_id, name, columns, created_at) VALUES (?, 'nobody', 'first', '[]', 0)",
    ).bind(start),
    env.DB.prepare("DELETE FROM raw_tables"),
  ]);
}

// The file before it in this runtime has left nothing. But on a slow machine what it had under way, such as a consumer,
// may have ended after that.
await empty();
await startIds();

afterAll(async () => {
  await scheduler.wait(QUEUE_IDLE_MS);
  await empty();
});
