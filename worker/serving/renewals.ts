/**
 * Keeps in memory what is read all the time: shortly before their time is over, documents are read from KV again, many
 * at once and behind an answer. So no reader of a hot entity waits for KV, and none is answered with a document that is
 * older than memory may be. Where KV fails, or does not have what memory has, one reader of it goes the whole way.
 */
import type { RequestContext } from "../http/context.ts";
import { InvocationOperations, writePoints } from "../monitoring/request-metrics.ts";
import { getDocuments } from "./hot-cache.ts";
import { isolateMemory as memory } from "./memory.ts";

/** Returns at once. Cheap when nothing is due. */
export function renewDue(context: RequestContext): void {
  const keys = memory.takeDue(context.nowMs);
  if (keys.length > 0) context.after(renew(context, keys));
}

async function renew(context: RequestContext, keys: readonly string[]): Promise<void> {
  const { env, settings, log } = context;
  // The documents may belong to other tenants than the request: the cost is counted for no tenant.
  const operations = settings.metrics === "on" ? new InvocationOperations() : undefined;
  try {
    const found = await getDocuments(context, operations, keys);
    const lasts = { nowMs: Date.now(), ttlMs: settings.memoryTtlMs };
    for (const [key, document] of found) memory.renewed(key, document, lasts);
  } catch (cause) {
    for (const key of keys) memory.notRenewed(key);
    log.warning("remembered documents were not renewed", { keys: keys.length }, cause);
  }
  if (operations) writePoints(env, "", operations.take());
}
