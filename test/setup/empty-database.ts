import { applyD1Migrations, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll } from "vitest";
import { entityDatabases } from "../../worker/db/entity-databases.ts";

/** The local queue hands over a batch within 50 ms of its last message. */
const QUEUE_IDLE_MS = 200;

/** No row, no object with its alarm, no message under way. */
async function empty(): Promise<void> {
  await reset();
  // At once: a late message still finds the tables, and nothing in them.
  for (const db of entityDatabases(env)) await applyD1Migrations(db, env.TEST_MIGRATIONS);
}

// The file before it in this runtime has left nothing. But on a slow machine what it had under way, such as a consumer,
// may have ended after that.
await empty();

afterAll(async () => {
  await scheduler.wait(QUEUE_IDLE_MS);
  await empty();
});
