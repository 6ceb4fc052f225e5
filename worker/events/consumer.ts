/**
 * Consumes `feature-availability`: checks each event of a message against the schema, logs it, hands it to the
 * subscriptions that want it and counts it for the statistics. A message of which an event fails in any of these goes
 * back, and after the configured tries to the dead-letter queue; its other events, and the other messages of its batch,
 * are not held up. Whoever gets an event again knows it.
 */
import { type ServiceContext, settings } from "../env.ts";
import { partitionOf } from "../keys.ts";
import { Log } from "../log.ts";
import { recordStats } from "../registry/stats/record.ts";
import { retryDelaySeconds } from "../retry-delay.ts";
import { layoutOf, writerOf } from "../writing/writer-access.ts";
import type { FeatureAvailable } from "./feature-available.ts";
import { handOver } from "./hand-over.ts";
import { type MessageContents, readMessage } from "./read-message.ts";

/** A message with what it holds. */
interface Opened extends MessageContents {
  message: Message;
}

export async function consumeAvailability(batch: MessageBatch, env: Env): Promise<void> {
  const own = settings(env);
  const log = Log.of("events", own);
  const context = { env, settings: own, log };
  const opened = batch.messages.map((message) => open(message, log));
  const events = opened.flatMap((one) => one.events);
  const failed = await passOn(context, events);
  // Only a queue that forgets its messages with its process needs this; see `writing/effects.ts`.
  if (own.queueStorage === "memory") {
    const handled = events.filter(({ event_id: id }) => !failed.has(id));
    // A writer that is not told would wait for it as long as it lives.
    for (const { event_id: id } of await confirm(context, handled)) failed.add(id);
  }
  for (const one of opened) settle(one, failed);
}

function open(message: Message, log: Log): Opened {
  const contents = readMessage(message.body);
  for (const event of contents.events) logEvent(log, event, message.attempts);
  if (contents.faults !== null) {
    log.warning("not an availability event", {
      message_id: message.id,
      attempts: message.attempts,
      faults: contents.faults,
    });
  }
  return { message, ...contents };
}

/** A message ends when all that it holds was handled; until then it comes again as a whole. */
function settle({ message, events, faults }: Opened, failed: ReadonlySet<string>): void {
  if (faults === null && !events.some(({ event_id: id }) => failed.has(id))) {
    message.ack();
    return;
  }
  message.retry({ delaySeconds: retryDelaySeconds(message.attempts) });
}

/** @returns the ids of the events that somebody could not take. */
async function passOn(context: ServiceContext, events: readonly FeatureAvailable[]): Promise<Set<string>> {
  const [failed, uncounted] = await Promise.all([handOver(context, events), recordStats(context, events)]);
  for (const { tenant_id: tenant, event_id: id } of events) if (uncounted.has(tenant)) failed.add(id);
  return failed;
}

function logEvent(log: Log, event: FeatureAvailable, attempts: number): void {
  log.info("feature available", {
    event_id: event.event_id,
    tenant_id: event.tenant_id,
    entity_type: event.entity_type,
    resource_name: event.resource_name,
    revision: event.revision,
    feature_count: event.features.length,
    attempts,
  });
}

/** @returns the events of which a writer could not be told. */
async function confirm(
  context: ServiceContext,
  events: readonly FeatureAvailable[],
): Promise<FeatureAvailable[]> {
  const byTenant = Map.groupBy(events, ({ tenant_id: tenant }) => tenant);
  const untold = [...byTenant].map(([tenant, own]) => confirmTenant({ ...context, tenant }, own));
  return (await Promise.all(untold)).flat();
}

async function confirmTenant(
  context: ServiceContext & { tenant: string },
  events: readonly FeatureAvailable[],
): Promise<FeatureAvailable[]> {
  const layout = await layoutOf(context).catch(() => null);
  if (!layout) return [...events];
  const byPartition = Map.groupBy(events, ({ entity_type: entityType, entity_id: entityValue }) =>
    partitionOf({ entityType, entityValue }, layout),
  );
  const untold = [...byPartition].map(async ([partition, own]) => {
    const { writer, identity } = writerOf(context, partition, layout);
    const ids = own.map(({ event_id: id }) => id);
    try {
      await writer.confirm(identity, ids);
      return [];
    } catch (cause) {
      context.log.error("a writer was not told that its events were handled", cause, { events: own.length });
      return own;
    }
  });
  return (await Promise.all(untold)).flat();
}
