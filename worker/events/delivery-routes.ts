/** What became of a subscription's events: trying its receiver, looking at deliveries, sending events again. */
import * as z from "zod";
import { Problem, unprocessable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import {
  answeredTimestamp,
  type Checked,
  category,
  entityType,
  entityValue,
  optional,
  timestamp,
} from "../http/fields.ts";
import { assertOneOf } from "../http/one-of.ts";
import { idIn, nextCursor, pageOf, pageQuery } from "../http/pages.ts";
import { lazily } from "../lazily.ts";
import { MAX_DEAD_KEPT, MAX_DELIVERED_KEPT, MAX_DELIVERY_ATTEMPTS, MAX_PAGE_ROWS } from "../limits.ts";
import { formatTimestamp, MICROS_PER_MS, nowMicros } from "../timestamps.ts";
import { claimIdempotencyKey, keyReused } from "../writing/submit-changes.ts";
import { idempotencyOf, REPLAYED, replayedHeader, writeRequestHeaders } from "../writing/submit-request.ts";
import type { ReplayRequest } from "./begin-replay.ts";
import { deliver } from "./deliver.ts";
import type { DeliveryRecord } from "./delivery-list.ts";
import { eventOf, type FeatureAvailable } from "./feature-available.ts";
import { subscriberObject } from "./subscriber-access.ts";
import { existingSubscription, noSuchSubscription, reached } from "./subscription-checks.ts";
import { SUBSCRIPTIONS, subscriptionParam } from "./subscription-schemas.ts";

/** The entity and the category of the event that tries a receiver. */
const TEST_NAME = "subscription-test";

const status = z.enum(["pending", "delivered", "dead"]);
const DELIVERY_ID = /^\d{1,15}$/;
const deliveryId = z
  .string()
  .regex(DELIVERY_ID, "must be the delivery_id of a delivery")
  .meta({ example: "1" });

const testSubscription = endpoint(
  {
    method: "post",
    path: "/api/v1/subscriptions/{subscription_id}/test",
    tag: SUBSCRIPTIONS,
    summary: "Try the receiver once, now",
    description: `Sends an event of the entity and category \`${TEST_NAME}\`, which is neither kept nor repeated.`,
    scope: "admin",
    request: { param: subscriptionParam },
    answers: {
      200: {
        description: "What happened; also when the receiver has failed.",
        schema: lazily(() =>
          z
            .object({
              delivered: z.boolean(),
              status: z.int().nullable().meta({ description: "Of the receiver's answer.", example: 200 }),
              duration_ms: z.int().meta({ example: 42 }),
              error: z.string().nullable().meta({ example: null }),
            })
            .meta({ id: "SubscriptionTest" }),
        ),
      },
    },
    problems: [404],
  },
  async (c, { param }) => {
    const subscription = await existingSubscription(c, param.subscription_id);
    const startMs = Date.now();
    const tried = await deliver([testEvent(subscription.tenantId)], subscription, c.settings);
    const answer = {
      delivered: tried.error === null,
      status: tried.status,
      duration_ms: Date.now() - startMs,
      error: tried.error,
    };
    return jsonAnswer(answer);
  },
);

const deliverySchema = lazily(() =>
  z
    .object({
      delivery_id: z.string().meta({ example: "1" }),
      event_id: z.string().meta({ example: "0b9d9d0c-3c1e-4a61-9d9a-3a7f6a1f2b3c" }),
      entity_type: z.string().meta({ example: "bright_uid" }),
      entity_id: z.string().meta({ example: "user-123" }),
      resource_name: z.string().meta({ example: "user_features" }),
      revision: z.int().meta({ example: 1 }),
      status,
      attempts: z.int().meta({ example: 1 }),
      last_status: z.int().nullable().meta({ description: "Of the last answer.", example: 200 }),
      last_error: z.string().nullable().meta({ example: null }),
      created_at: answeredTimestamp,
      next_attempt_at: answeredTimestamp.nullable().meta({
        description: "When the entity's next event will be tried; this one, if it is the first that waits.",
        example: null,
      }),
      delivered_at: answeredTimestamp.nullable(),
    })
    .meta({ id: "Delivery" }),
);

const listDeliveries = endpoint(
  {
    method: "get",
    path: "/api/v1/subscriptions/{subscription_id}/deliveries",
    tag: SUBSCRIPTIONS,
    summary: "List deliveries",
    description: `A delivery is dead after ${MAX_DELIVERY_ATTEMPTS} tries. The last ${MAX_DELIVERED_KEPT} delivered and ${MAX_DEAD_KEPT} dead ones are kept; older ones can be replayed by time.`,
    scope: "admin",
    request: { param: subscriptionParam, query: () => pageQuery().extend({ status: status.optional() }) },
    answers: {
      200: {
        description: "A page of deliveries, newest first.",
        schema: lazily(() =>
          z
            .object({ deliveries: z.array(deliverySchema()), next_cursor: nextCursor })
            .meta({ id: "Deliveries" }),
        ),
      },
    },
    problems: [404],
  },
  async (c, { param, query }) => {
    const before = Number(idIn(query.cursor, DELIVERY_ID) ?? Number.MAX_SAFE_INTEGER);
    const object = subscriberObject(c.env, await existingSubscription(c, param.subscription_id));
    const page = { status: query.status ?? null, before, limit: query.limit + 1 };
    const { rows, last } = pageOf(await reached(c, () => object.deliveries(page)), query.limit);
    const next_cursor = last ? String(last.seq) : null;
    return jsonAnswer({ deliveries: rows.map(deliveryAnswer), next_cursor });
  },
);

const replayBody = lazily(() =>
  z.object({
    delivery_ids: optional(z.array(deliveryId).min(1).max(MAX_PAGE_ROWS)).meta({
      description: "Instead of a time range: these deliveries, dead or delivered.",
    }),
    dead: optional(z.literal(true)).meta({ description: "Instead of a time range: all that are dead." }),
    from: optional(timestamp).meta({
      description: "From the history: what was ingested from here on.",
      example: "2025-10-13T00:00:00+00:00",
    }),
    to: optional(timestamp).meta({
      description: "To here, both included.",
      example: "2025-10-14T00:00:00+00:00",
    }),
    entity_type: optional(entityType),
    entity_id: optional(entityValue).meta({ description: "With `entity_type`.", example: "user-123" }),
    category: optional(category),
  }),
);

const replaySubscription = endpoint(
  {
    method: "post",
    path: "/api/v1/subscriptions/{subscription_id}/replay",
    tag: SUBSCRIPTIONS,
    summary: "Send events again",
    description:
      "Events have the `event_id` that they had. Either `delivery_ids`, or `dead`, or `from` and `to`: then every event of that time that the filters let through and the history still holds, whether or not it was delivered; of each entity in revision order. It runs beside what is new; `replay` of the subscription tells when it is done.",
    scope: "admin",
    request: { param: subscriptionParam, json: replayBody },
    requestHeaders: writeRequestHeaders,
    answers: {
      202: {
        description: "How many were queued, or that the history is being replayed.",
        schema: lazily(() =>
          z
            .union([
              z.object({ queued: z.int().meta({ example: 1 }) }),
              z.object({ replay: z.literal("running") }),
            ])
            .meta({ id: "Replay" }),
        ),
        headers: replayedHeader,
      },
    },
    problems: [404, 409],
  },
  async (c, { param, json }) => {
    const request = replayRequest(json);
    const subscription = await existingSubscription(c, param.subscription_id);
    const object = subscriberObject(c.env, subscription);
    const idempotency = await idempotencyOf(c);
    // The object remembers the answer; that the key is of this request alone is known to the tenant's writers.
    if (idempotency) await claimIdempotencyKey(requestContext(c), idempotency);
    const reply = await reached(c, async () => object.replay(subscription, request, idempotency));
    if (reply.kind === "dropped") throw noSuchSubscription();
    if (reply.kind === "busy") throw new Problem(409, "a replay of this subscription is running");
    if (reply.kind === "key_reused") throw keyReused();
    const answer = reply.kind === "running" ? { replay: "running" } : { queued: reply.queued };
    return jsonAnswer(answer, 202, reply.replayed ? REPLAYED : {});
  },
);

/** @throws Problem 422 unless it is exactly one of the three, and whole. */
function replayRequest(json: Checked<typeof replayBody>): ReplayRequest {
  const { delivery_ids: ids, dead, from, to, ...within } = json;
  const isRange = [from, to, ...Object.values(within)].some((part) => part !== undefined);
  assertOneOf(["body", "from"], {
    delivery_ids: ids,
    dead,
    "from with to": isRange ? within : undefined,
  });
  if (ids) return { kind: "deliveries", seqs: ids.map(Number) };
  if (dead) return { kind: "dead" };
  if (from === undefined) throw faulty("from", "is needed with `to`", "missing");
  if (to === undefined) throw faulty("to", "is needed with `from`", "missing");
  if (from > to) throw faulty("to", "must not be before `from`", "invalid_range");
  const { entity_type, entity_id, category: only } = within;
  if (entity_id !== undefined && entity_type === undefined) {
    throw faulty("entity_type", "is needed with `entity_id`", "missing");
  }
  const range = {
    from,
    to,
    entityType: entity_type ?? null,
    entityId: entity_id ?? null,
    category: only ?? null,
  };
  return { kind: "history", range };
}

function faulty(field: string, msg: string, type: string): Problem {
  return unprocessable({ loc: ["body", field], msg, type });
}

function testEvent(tenant: string): FeatureAvailable {
  const now = nowMicros();
  const ref = { entityType: "bright_uid", entityValue: TEST_NAME };
  return eventOf(tenant, ref, {
    eventId: crypto.randomUUID(),
    category: TEST_NAME,
    revision: 1,
    ingestedAt: now,
    eventTime: now,
    computeId: null,
    names: [TEST_NAME],
  });
}

function deliveryAnswer({ event, ...delivery }: DeliveryRecord) {
  return {
    delivery_id: String(delivery.seq),
    ...event,
    status: delivery.status,
    attempts: delivery.attempts,
    last_status: delivery.lastStatus,
    last_error: delivery.lastError,
    created_at: timeOf(delivery.createdAtMs),
    next_attempt_at: timeOf(delivery.nextAttemptAtMs),
    delivered_at: timeOf(delivery.deliveredAtMs),
  };
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : formatTimestamp(Math.round(ms) * MICROS_PER_MS);
}

export const deliveryEndpoints = [testSubscription, listDeliveries, replaySubscription];
