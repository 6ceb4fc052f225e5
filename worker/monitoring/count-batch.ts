/** A batch of queue messages is an invocation too. */
import { settings } from "../env.ts";
import { entriesOf } from "../events/read-message.ts";
import { isolateMetrics } from "./isolate-metrics.ts";
import type { Operation } from "./metric-record.ts";
import { InvocationOperations, writePoints } from "./request-metrics.ts";
import { timed } from "./timed.ts";

interface BatchInvocation {
  batch: MessageBatch;
  env: Env;
  ctx: ExecutionContext;
}

/** The messages of a batch are of many tenants. */
const NO_TENANT = "";

export async function countBatch(
  { batch, env, ctx }: BatchInvocation,
  consume: () => Promise<void>,
): Promise<void> {
  if (settings(env).metrics === "off") return consume();
  const operations = new InvocationOperations();
  try {
    await timed(operations, measuredOf(batch), consume);
  } finally {
    writePoints(env, NO_TENANT, operations.take());
    // At once, not a moment later as behind an answer: the next batch may have to wait for the end of this invocation.
    const flushed = await isolateMetrics.flush(env);
    if (flushed === "not sent") isolateMetrics.keepFlushing(env, (work) => ctx.waitUntil(work));
  }
}

/** Computations are counted by message, availability by event: a message holds many. */
function measuredOf({ queue, messages }: MessageBatch): { operation: Operation; items: number } {
  if (queue.startsWith("feature-compute")) return { operation: "compute.consume", items: messages.length };
  const events = messages.reduce((count, { body }) => count + entriesOf(body).length, 0);
  return { operation: "queue.consume", items: events };
}
