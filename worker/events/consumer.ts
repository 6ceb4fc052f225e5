/**
 * Consumes `feature-availability`: checks each message against the schema and logs it. A message that fails goes
 * back, and after the configured tries to the dead-letter queue; the others of its batch are not held up.
 */
import { settings } from "../env.ts";
import { Log } from "../log.ts";
import { ownerOf } from "../writing/submit-changes.ts";
import { type FeatureAvailable, featureAvailable } from "./feature-available.ts";

export async function consumeAvailability(batch: MessageBatch, env: Env): Promise<void> {
  const { logLevel, isDevelopment, queueStorage } = settings(env);
  const log = new Log("events", { level: logLevel, readable: isDevelopment });
  const handled: FeatureAvailable[] = [];
  for (const message of batch.messages) {
    const parsed = featureAvailable.safeParse(message.body);
    if (parsed.success) {
      logEvent(log, parsed.data, message.attempts);
      handled.push(parsed.data);
      message.ack();
    } else {
      const faults = parsed.error.issues.map(({ path, code }) => `${path.join(".")}: ${code}`).join(", ");
      log.warning("not an availability event", {
        message_id: message.id,
        attempts: message.attempts,
        faults,
      });
      message.retry();
    }
  }
  // Only a queue that forgets its messages with its process needs this; see `writing/effects.ts`.
  if (queueStorage === "memory") await confirm(env, handled);
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
