/** Brings events to the objects of the subscriptions that want them. */
import { HAND_OVERS_AT_ONCE, MAX_HAND_OVER_BYTES } from "../limits.ts";
import type { Log } from "../log.ts";
import type { FeatureAvailable } from "./feature-available.ts";
import { matches } from "./match-subscriptions.ts";
import { partsOf } from "./pack-events.ts";
import { subscriberObject } from "./subscriber-access.ts";
import { type Subscription, subscriptionsOf } from "./subscription-store.ts";

interface HandOver {
  subscription: Subscription;
  events: FeatureAvailable[];
}

/**
 * Asks D1 once, whatever the number of events. A subscription that cannot take its events holds up no other.
 *
 * @returns the ids of the events to be handed over again; those that had them before know them.
 */
export async function handOver(
  { env, log }: { env: Env; log: Log },
  events: readonly FeatureAvailable[],
): Promise<Set<string>> {
  const failed = new Set<string>();
  if (events.length === 0) return failed;
  const tenants = [...new Set(events.map(({ tenant_id: tenant }) => tenant))];
  let subscriptions: Subscription[];
  try {
    subscriptions = await subscriptionsOf(env.DB, tenants);
  } catch (cause) {
    log.error("subscriptions could not be read", cause, { events: events.length });
    return new Set(events.map(({ event_id: id }) => id));
  }
  const waiting = handOversOf(subscriptions, events);
  const take = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      for (const event of await handOverOne(env, log, next)) failed.add(event.event_id);
    }
  };
  await Promise.all(Array.from({ length: HAND_OVERS_AT_ONCE }, take));
  return failed;
}

function handOversOf(
  subscriptions: readonly Subscription[],
  events: readonly FeatureAvailable[],
): HandOver[] {
  return subscriptions.flatMap((subscription) => {
    const own = events.filter(
      (event) => event.tenant_id === subscription.tenantId && matches(subscription, event),
    );
    return own.length > 0 ? [{ subscription, events: own }] : [];
  });
}

/** @returns those that could not be handed over. */
async function handOverOne(
  env: Env,
  log: Log,
  { subscription, events }: HandOver,
): Promise<readonly FeatureAvailable[]> {
  let left: readonly FeatureAvailable[] = events;
  try {
    const object = subscriberObject(env, subscription);
    for (const part of partsOf(events, MAX_HAND_OVER_BYTES)) {
      await object.accept(subscription, part);
      left = left.slice(part.length);
    }
  } catch (cause) {
    const { tenantId: tenant_id, subscriptionId: subscription_id } = subscription;
    log.error("events could not be handed over", cause, { tenant_id, subscription_id, events: left.length });
  }
  return left;
}
