/** Subscriptions to availability events: creating, listing, changing and deleting them. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { audit } from "../http/audit.ts";
import type { AppContext } from "../http/context.ts";
import { createOnce } from "../http/create-once.ts";
import { endpoint } from "../http/endpoint.ts";
import type { Checked } from "../http/fields.ts";
import { formatPosition, nextCursor, pageOf, pageQuery, positionIn } from "../http/pages.ts";
import { lazily } from "../lazily.ts";
import { MAX_SUBSCRIPTIONS_PER_TENANT } from "../limits.ts";
import { newId, randomHex } from "../new-id.ts";
import { nowMicros } from "../timestamps.ts";
import { replayedHeader, writeRequestHeaders } from "../writing/submit-request.ts";
import { subscriberObject } from "./subscriber-access.ts";
import {
  assertAsMade,
  assertHas,
  assertSameOrigin,
  assertTopic,
  authorizationToKeep,
  existingSubscription,
  noSuchSubscription,
  reached,
  receiverUrl,
  secretOf,
} from "./subscription-checks.ts";
import {
  createdSchema,
  detailAnswer,
  detailSchema,
  filtersOf,
  newSubscription,
  SUBSCRIPTIONS,
  subscriptionAnswer,
  subscriptionChange,
  subscriptionParam,
  subscriptionSchema,
} from "./subscription-schemas.ts";
import {
  insertSubscription,
  removeSubscription,
  type Subscription,
  selectSubscriptions,
  updateSubscription,
} from "./subscription-store.ts";

const NONCE_BYTES = 16;
const SUBSCRIPTION_ID = /^sub_[0-9a-f]+$/;

const createSubscription = endpoint(
  {
    method: "post",
    path: "/api/v1/subscriptions",
    tag: SUBSCRIPTIONS,
    summary: "Subscribe to availability events",
    description:
      "Events from now on are delivered at least once, those of one entity one after the other and in the order of their `revision`, with the same `event_id` whenever they are repeated. What a busy queue brings late is delivered late: the `revision` tells. Anything but a 2xx within its time, redirects included, is tried again with growing delays and then kept as dead.",
    scope: "admin",
    request: { json: newSubscription },
    requestHeaders: writeRequestHeaders,
    answers: { 201: { description: "Created.", schema: createdSchema, headers: replayedHeader } },
    problems: [409],
  },
  async (c, { json }) => {
    assertTopic(json);
    assertHas(json, {});
    const { made, isNew, headers } = await createOnce<Subscription>(c, {
      make: async () => {
        const subscription = await subscriptionOf(c, json);
        // Where nothing can be signed, nothing is made.
        await secretOf(c, subscription);
        return subscription;
      },
      insert: (one, once) => insertSubscription(c.env.DB, one, once),
      holdsSecret: json.authorization != null,
      refusal: () => new Problem(409, `a tenant may have ${MAX_SUBSCRIPTIONS_PER_TENANT} subscriptions`),
    });
    audit(c, isNew ? "subscription created" : "subscription shown again", namesOf(made));
    return jsonAnswer({ ...subscriptionAnswer(made), secret: await secretOf(c, made) }, 201, headers);
  },
);

/** @throws Problem 422 for a URL to which nothing may be sent; 503 where an authorization cannot be kept. */
async function subscriptionOf(c: AppContext, json: Checked<typeof newSubscription>): Promise<Subscription> {
  const now = nowMicros();
  const key = { subscriptionId: newId("sub_"), tenantId: c.principal.tenant };
  const url = receiverUrl(c, json.url);
  return {
    ...key,
    url,
    authorization: (await authorizationToKeep(c, json, { ...key, url })) ?? null,
    kind: json.kind,
    format: json.format,
    topic: json.topic ?? null,
    description: json.description ?? null,
    entityTypes: json.entity_types ?? null,
    categories: json.categories ?? null,
    features: json.features ?? null,
    status: "active",
    secretNonce: randomHex(NONCE_BYTES),
    createdAt: now,
    updatedAt: now,
  };
}

const listSubscriptions = endpoint(
  {
    method: "get",
    path: "/api/v1/subscriptions",
    tag: SUBSCRIPTIONS,
    summary: "List subscriptions",
    scope: "admin",
    request: { query: pageQuery },
    answers: {
      200: {
        description: "A page of subscriptions, oldest first; never their secrets.",
        schema: lazily(() =>
          z
            .object({ subscriptions: z.array(subscriptionSchema()), next_cursor: nextCursor })
            .meta({ id: "Subscriptions" }),
        ),
      },
    },
  },
  async (c, { query }) => {
    const after = positionIn(query.cursor, SUBSCRIPTION_ID);
    const { tenant } = c.principal;
    const found = await selectSubscriptions(c.env.DB, tenant, { after, limit: query.limit + 1 });
    const { rows, last } = pageOf(found, query.limit);
    const next_cursor = last ? formatPosition({ createdAt: last.createdAt, id: last.subscriptionId }) : null;
    return jsonAnswer({ subscriptions: rows.map(subscriptionAnswer), next_cursor });
  },
);

const getSubscription = endpoint(
  {
    method: "get",
    path: "/api/v1/subscriptions/{subscription_id}",
    tag: SUBSCRIPTIONS,
    summary: "A subscription, and what waits for its receiver",
    scope: "admin",
    request: { param: subscriptionParam },
    answers: { 200: { description: "The subscription.", schema: detailSchema } },
    problems: [404],
  },
  async (c, { param }) => {
    const subscription = await existingSubscription(c, param.subscription_id);
    const facts = await reached(c, () => subscriberObject(c.env, subscription).facts());
    return jsonAnswer(detailAnswer(subscription, facts));
  },
);

const patchSubscription = endpoint(
  {
    method: "patch",
    path: "/api/v1/subscriptions/{subscription_id}",
    tag: SUBSCRIPTIONS,
    summary: "Pause, resume or change a subscription",
    description:
      "What waits is delivered to the new URL, whatever the new filters are. The signing secret stays, and the authorization unless another is given. A delivery that is under way is finished.",
    scope: "admin",
    request: { param: subscriptionParam, json: subscriptionChange },
    answers: { 200: { description: "Changed.", schema: subscriptionSchema } },
    problems: [404],
  },
  async (c, { param, json }) => {
    const changed = await change(c, param.subscription_id, json);
    // Until the object has heard of it, it goes on as before; so who is not told that it has, asks again.
    await reached(c, () => subscriberObject(c.env, changed).configure(changed));
    audit(c, "subscription changed", namesOf(changed));
    return jsonAnswer(subscriptionAnswer(changed));
  },
);

/** @throws Problem 404, 422 and 503 as the checks do. */
async function change(
  c: AppContext,
  subscriptionId: string,
  json: Checked<typeof subscriptionChange>,
): Promise<Subscription> {
  // Judged on what it changes: of two at once the later one is judged anew. So each turn is a change of somebody's.
  for (;;) {
    const made = await existingSubscription(c, subscriptionId);
    assertAsMade(made, json);
    assertHas(json, made);
    const url = json.url === undefined ? made.url : receiverUrl(c, json.url);
    assertSameOrigin(made, url, json);
    const authorization = await authorizationToKeep(c, json, { ...made, url });
    const changed = await updateSubscription(c.env.DB, made, {
      change: {
        url,
        ...(json.status !== undefined && { status: json.status }),
        ...(json.description !== undefined && { description: json.description }),
        ...(authorization !== undefined && { authorization }),
        ...filtersOf(json),
      },
      now: nowMicros(),
      onlyIf: made.updatedAt,
    });
    if (changed) return changed;
  }
}

const deleteSubscription = endpoint(
  {
    method: "delete",
    path: "/api/v1/subscriptions/{subscription_id}",
    tag: SUBSCRIPTIONS,
    summary: "Delete a subscription and all that waits for its receiver",
    scope: "admin",
    request: { param: subscriptionParam },
    answers: {
      200: {
        description: "Deleted.",
        schema: lazily(() =>
          z
            .object({ subscription_id: z.string(), status: z.literal("deleted") })
            .meta({ id: "DeletedSubscription" }),
        ),
      },
    },
    problems: [404],
  },
  async (c, { param }) => {
    const subscription = await existingSubscription(c, param.subscription_id);
    const object = subscriberObject(c.env, subscription);
    // Should this be the last that the object hears, it finds out by itself.
    await reached(c, () => object.expectDrop());
    if (!(await removeSubscription(c.env.DB, subscription))) throw noSuchSubscription();
    await object.drop().catch((cause: unknown) => {
      c.log.warning("a deleted subscription was not told", { request_id: c.requestId }, cause);
    });
    audit(c, "subscription deleted", namesOf(subscription));
    return jsonAnswer({ subscription_id: subscription.subscriptionId, status: "deleted" });
  },
);

const namesOf = ({ tenantId, subscriptionId }: Subscription) => ({
  tenant_id: tenantId,
  subscription_id: subscriptionId,
});

export const subscriptionEndpoints = [
  createSubscription,
  listSubscriptions,
  getSubscription,
  patchSubscription,
  deleteSubscription,
];
