/**
 * Consumes `feature-availability`: checks each message against the schema, logs it, hands it to the subscriptions that
 * want it and counts it for the statistics. A message that fails in any of these goes back, and after the configured
 * tries to the dead-letter queue; the others of its batch are not held up. Whoever gets an event again knows it.
 */
import { type Settings, settings } from "../env.ts";
import { HAND_OVER_RETRY_MAX_SECONDS } from "../limits.ts";
import { Log } from "../log.ts";
import { recordStats } from "../registry/record-stats.ts";
import { ownerOf } from "../writing/submit-changes.ts";
import { type FeatureAvailable, featureAvailable } from "./feature-available.ts";
import { handOver } from "./hand-over.ts";

interface ConsumerContext {
  env: Env;
  settings: Settings;
  log: Log;
}

export async function consumeAvailability(batch: MessageBatch, env: Env): Promise<void> {
  const own = settings(env);
  const log = new Log("events", { level: own.logLevel, readable: own.isDevelopment });
  const context = { env, settings: own, log };
  const fitting = batch.messages.flatMap((message) => {
    const event = checked(message, log);
    return event ? [{ message, event }] : [];
  });
  const events = fitting.map(({ event }) => event);
  const failed = await passOn(context, events);
  const handled: FeatureAvailable[] = [];
  for (const { message, event } of fitting) {
    if (failed.has(event.event_id)) {
      // What could not take it gets time to come back: all the tries at once would be over in a moment.
      message.retry({ delaySeconds: Math.min(2 ** message.attempts, HAND_OVER_RETRY_MAX_SECONDS) });
    } else {
      message.ack();
      handled.push(event);
    }
  }
  // Only a queue that forgets its messages with its process needs this; see `writing/effects.ts`.
  if (own.queueStorage === "memory") await confirm(env, handled);
}

/** The message's event; a message that holds none goes back. */
function checked(message: Message, log: Log): FeatureAvailable | null {
  const parsed = featureAvailable.safeParse(message.body);
  if (parsed.success) {
    logEvent(log, parsed.data, message.attempts);
    return parsed.data;
  }
  const faults = parsed.error.issues.map(({ path, code }) => `${path.join(".")}: ${code}`).join(", ");
  log.warning("not an availability event", {
    message_id: message.id,
    attempts: message.attempts,
    faults,
  });
  message.retry();
  return null;
}

/** @returns the ids of the events that somebody could not take. */
async function passOn(context: ConsumerContext, events: readonly FeatureAvailable[]): Promise<Set<string>> {
  const [failed, isCounted] = await Promise.all([
    handOver(context, events),
    recordStats(context, events).then(
      () => true,
      (cause: unknown) => {
        context.log.error("statistics could not be recorded", cause, { events: events.length });
        return false;
      },
    ),
  ]);
  return isCounted ? failed : new Set(events.map(({ event_id: id }) => id));
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

async function confirm(env: Env, events: readonly FeatureAvailable[]): Promise<void> {
  const byOwner = new Map<string, { owner: ReturnType<typeof ownerOf>; ids: string[] }>();
  for (const event of events) {
    const ref = { entityType: event.entity_type, entityValue: event.entity_id };
    const owner = ownerOf({ env, settings: settings(env), tenant: event.tenant_id }, ref);
    const known = byOwner.get(owner.writer.id.toString());
    if (known) known.ids.push(event.event_id);
    else byOwner.set(owner.writer.id.toString(), { owner, ids: [event.event_id] });
  }
  await Promise.all([...byOwner.values()].map(({ owner, ids }) => owner.writer.confirm(owner.identity, ids)));
}
