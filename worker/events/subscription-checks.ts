/** What the endpoints of subscriptions check before they do anything. */
import { pepperOf } from "../env.ts";
import { Problem, unavailable, unprocessable } from "../errors.ts";
import type { AppContext } from "../http/context.ts";
import type { Checked } from "../http/fields.ts";
import { RETRY_AFTER_SECONDS } from "../timings.ts";
import { isTopicName } from "./kafka-rest.ts";
import { isAuthorized, sealAuthorization } from "./receiver-authorization.ts";
import { checkReceiverUrl } from "./receiver-url.ts";
import type { newSubscription, subscriptionChange } from "./subscription-schemas.ts";
import { findSubscription, type Subscription, type SubscriptionKey } from "./subscription-store.ts";
import { signingSecret } from "./webhook-signature.ts";

/** @throws Problem 404 for another tenant's as for none. */
export async function existingSubscription(c: AppContext, subscriptionId: string): Promise<Subscription> {
  const { tenant: tenantId } = c.principal;
  const found = await findSubscription(c.env.DB, { tenantId, subscriptionId });
  if (!found) throw noSuchSubscription();
  return found;
}

/** @throws Problem 503 when the subscription's object does not answer. */
export async function reached<T>(c: AppContext, call: () => Promise<T>): Promise<T> {
  return call().catch((cause: unknown) => {
    c.log.error("a subscriber did not answer", cause, { request_id: c.requestId });
    throw unavailable("the subscription cannot be reached now; try again", RETRY_AFTER_SECONDS);
  });
}

export function noSuchSubscription(): Problem {
  return new Problem(404, "there is no such subscription");
}

/** @throws Problem 422 for a URL to which nothing may be sent. */
export function receiverUrl(c: AppContext, text: string): string {
  const { isDevelopment } = c.settings;
  const checked = checkReceiverUrl(text, { isDevelopment });
  if (checked.kind === "ok") return checked.url.href;
  throw unprocessable({ loc: ["body", "url"], msg: checked.reason, type: "invalid_url" });
}

/** @throws Problem 422 for a topic that is none, or that nothing is sent to. */
export function assertTopic({ kind, topic }: Checked<typeof newSubscription>): void {
  if (topic == null) return;
  const loc = ["body", "topic"];
  if (kind !== "kafka-rest") {
    throw unprocessable({
      loc,
      msg: "is only for subscriptions of the kind kafka-rest",
      type: "not_allowed",
    });
  }
  if (!isTopicName(topic)) {
    const msg = "must be letters, digits, `.`, `_` and `-`, as a Kafka topic's name is";
    throw unprocessable({ loc, msg, type: "invalid_topic" });
  }
}

/** @throws Problem 422 for a change of what stays: passed over, it would seem to be made. */
export function assertAsMade(made: Subscription, change: Checked<typeof subscriptionChange>): void {
  for (const field of ["kind", "format", "topic"] as const) {
    if (change[field] == null || change[field] === made[field]) continue;
    const msg = "stays as it was made: make another subscription";
    throw unprocessable({ loc: ["body", field], msg, type: "not_allowed" });
  }
}

type Asked = Pick<Checked<typeof subscriptionChange>, "authorization" | "has_authorization">;

/** @throws Problem 422 for a `has_authorization` that is not so, and that nothing makes so. */
export function assertHas(
  { authorization, has_authorization: has }: Asked,
  made: Partial<Subscription>,
): void {
  if (authorization !== undefined || has == null || has === isAuthorized(made)) return;
  const msg = "follows from `authorization`: give that, or null to take it away";
  throw unprocessable({ loc: ["body", "has_authorization"], msg, type: "not_allowed" });
}

/**
 * What is kept of the authorization given; undefined: what there is stays.
 *
 * @param url Where it is to be sent.
 * @throws Problem 422 where it may not be sent there; 503 where the service has no pepper.
 */
export async function authorizationToKeep(
  c: AppContext,
  { authorization }: Asked,
  { url, ...key }: SubscriptionKey & Pick<Subscription, "url">,
): Promise<string | null | undefined> {
  if (authorization == null) return authorization;
  // One that was made in development may lead to what is no place for a secret.
  const checked = checkReceiverUrl(url, c.settings);
  if (checked.kind === "refused") {
    const msg = `cannot be sent to the subscription's url, which ${checked.reason}`;
    throw unprocessable({ loc: ["body", "authorization"], msg, type: "invalid_url" });
  }
  const pepper = pepperOf(c.settings, "an authorization cannot be kept");
  return sealAuthorization(authorization, pepper, { ...key, url });
}

/** @throws Problem 422 for another origin, to which nobody has said that the authorization may be sent. */
export function assertSameOrigin(made: Subscription, url: string, { authorization }: Asked): void {
  if (authorization !== undefined || !isAuthorized(made)) return;
  if (new URL(url).origin === new URL(made.url).origin) return;
  const msg = "must be given anew for a url of another origin, or null to send none";
  throw unprocessable({ loc: ["body", "authorization"], msg, type: "missing" });
}

/** @throws Problem 503 where the service has no pepper: nothing could be signed. */
export async function secretOf(c: AppContext, subscription: Subscription): Promise<string | null> {
  if (subscription.kind !== "webhook") return null;
  const pepper = pepperOf(c.settings, "webhooks cannot be signed");
  return signingSecret(pepper, subscription.subscriptionId, subscription.secretNonce);
}
