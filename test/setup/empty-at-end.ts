import { reset } from "cloudflare:test";
import { afterAll } from "vitest";

/** The local queue hands over a batch within 50 ms of its last message. */
const QUEUE_IDLE_MS = 200;

/** The next file in the same runtime finds nothing of this one: no row, no object with its alarm, no message under way. */
afterAll(async () => {
  await scheduler.wait(QUEUE_IDLE_MS);
  await reset();
});
