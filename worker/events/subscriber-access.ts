/** From a subscription to the object that delivers for it. */
import { subscriberName } from "../keys.ts";
import type { Subscriber } from "./subscriber.ts";
import type { SubscriptionKey } from "./subscription-store.ts";

export function subscriberObject(
  env: Env,
  { tenantId, subscriptionId }: SubscriptionKey,
): DurableObjectStub<Subscriber> {
  return env.SUBSCRIBER.getByName(subscriberName(tenantId, subscriptionId));
}
