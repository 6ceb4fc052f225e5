/** From a subscription to the object that delivers for it. */
import type { Subscriber } from "./subscriber.ts";
import type { SubscriptionKey } from "./subscription-store.ts";

/** The tenant comes first in the name, as in every key. */
export function subscriberObject(
  env: Env,
  { tenantId, subscriptionId }: SubscriptionKey,
): DurableObjectStub<Subscriber> {
  return env.SUBSCRIBER.getByName(`${encodeURIComponent(tenantId)}/${subscriptionId}`);
}
