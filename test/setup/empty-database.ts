import { applyD1Migrations, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll } from "vitest";

/** The local queue hands over a batch within 50 ms of its last message. */
const QUEUE_IDLE_MS = 200;

const migrate = () => applyD1Migrations(env.DB, env.TEST_MIGRATIONS);

await migrate();

/** The next file in the same runtime finds nothing of this one: no row, no object with its alarm, no message under way. */
afterAll(async () => {
  await scheduler.wait(QUEUE_IDLE_MS);
  await reset();
  // At once: a late message still finds the tables, and nothing in them.
  await migrate();
});
