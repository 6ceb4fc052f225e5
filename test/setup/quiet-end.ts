import { listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll } from "vitest";

/** The local queue hands over a batch within 50 ms of its last message. */
const QUEUE_IDLE_MS = 200;

/**
 * No alarm and no queue message outlives its test file: the runtime would look for the Worker's module while vitest
 * takes the file down, and report an error of its own.
 */
afterAll(async () => {
  await deleteAlarms(env.ENTITY_WRITER);
  await deleteAlarms(env.RAW_TABLE);
  await deleteAlarms(env.SUBSCRIBER);
  await scheduler.wait(QUEUE_IDLE_MS);
});

async function deleteAlarms<T extends Rpc.DurableObjectBranded>(namespace: DurableObjectNamespace<T>) {
  for (const id of await listDurableObjectIds(namespace)) {
    await runInDurableObject(namespace.get(id), (_, { storage }) => storage.deleteAlarm());
  }
}
