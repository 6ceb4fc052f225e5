/** Subscriptions as they are asked for and answered. */
import * as z from "zod";
import { EVENT_FORMATS, SUBSCRIPTION_KINDS, SUBSCRIPTION_STATUSES } from "../db/column-values.ts";
import {
  answeredTimestamp,
  type Checked,
  category,
  elsewhere,
  entityType,
  featureName,
  optional,
  optionalOr,
  textUpTo,
} from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import {
  MAX_AUTHORIZATION_CHARACTERS,
  MAX_DESCRIPTION_CHARACTERS,
  MAX_FILTER_NAMES,
  MAX_NAME_CHARACTERS,
  MAX_PENDING_DELIVERIES,
  MAX_RECEIVER_URL_CHARACTERS,
  MAX_TOPIC_CHARACTERS,
} from "../limits.ts";
import { formatTimestamp } from "../timestamps.ts";
import type { Filters } from "./match-subscriptions.ts";
import { isAuthorized } from "./receiver-authorization.ts";
import type { SubscriberFacts } from "./subscriber.ts";
import type { Subscription } from "./subscription-store.ts";

export const SUBSCRIPTIONS = "subscriptions";

export const subscriptionParam = lazily(() =>
  z.object({
    subscription_id: textUpTo(MAX_NAME_CHARACTERS).meta({ example: "sub_5f0c3f0e7e3c4d6b" }),
  }),
);

const url = lazily(() =>
  z.string().max(MAX_RECEIVER_URL_CHARACTERS).meta({
    description:
      "Where events are posted to: https on the public Internet; in development any http or https. Of a Kafka REST proxy its base, to which `/topics/<topic>` is added.",
    example: "https://receiver.example/features",
  }),
);
const authorization = lazily(() =>
  z
    .string()
    .max(MAX_AUTHORIZATION_CHARACTERS)
    .regex(/^[!-~]([ -~]*[!-~])?$/, "must be visible ASCII characters, with spaces only between them")
    .nullish()
    .meta({
      description:
        "What the receiver wants as the header `Authorization`: sent with every delivery, kept encrypted, and never shown again. null: none. Give it anew with a `url` of another origin.",
      example: "Bearer <token>",
    }),
);
/** A subscription may be sent back whole, as it was answered; another value would seem to be taken. */
const hasAuthorization = z.boolean().nullish().meta({
  description: "As it is, or left out: it follows from `authorization`.",
  example: null,
});
const description = lazily(() =>
  textUpTo(MAX_DESCRIPTION_CHARACTERS)
    .refine((text) => text.isWellFormed(), "must be well-formed Unicode text")
    .nullable()
    .meta({ example: "Refreshes the recommendations." }),
);

function filter(name: z.ZodType<string>, what: string, example: string[]) {
  return z
    .array(name)
    .min(1)
    .max(MAX_FILTER_NAMES)
    .nullable()
    .meta({ description: `Only ${what}; null or absent: all.`, example });
}

const filters = lazily(() => ({
  entity_types: filter(entityType, "events of these entity types", ["bright_uid"]),
  categories: filter(category, "events of these categories", ["user_features"]),
  features: filter(
    featureName,
    "events that name one of these features, or whose names were too many for one message",
    ["age", "city"],
  ),
}));
const asked = lazily(() => ({
  entity_types: filters().entity_types.optional(),
  categories: filters().categories.optional(),
  features: filters().features.optional(),
  // Passed over, a filter would let everything through.
  entity_type: elsewhere("is called `entity_types`, and is a list"),
  category: elsewhere("is called `categories`, and is a list"),
  feature: elsewhere("is called `features`, and is a list"),
  headers: elsewhere("cannot be chosen; what the receiver wants as `Authorization` is `authorization`"),
}));

export const newSubscription = lazily(() =>
  z.object({
    url: url(),
    kind: optionalOr(z.enum(SUBSCRIPTION_KINDS), "webhook").meta({
      description:
        "`webhook`: one signed request for each event, as https://www.standardwebhooks.com says. `kafka-rest`: records to a Kafka REST proxy (v2).",
    }),
    format: optionalOr(z.enum(EVENT_FORMATS), "json").meta({
      description: "Avro is single-object encoded (`avro/binary`).",
    }),
    topic: z.string().min(1).max(MAX_TOPIC_CHARACTERS).nullable().optional().meta({
      description: "Of `kafka-rest` alone; without it the topic that the service is configured with.",
    }),
    authorization: authorization(),
    has_authorization: hasAuthorization,
    description: description().optional(),
    ...asked(),
    status: z
      .literal("active", { error: "is active at first: pause it by PATCH" })
      .nullish()
      .meta({ description: "As it will be, or left out." }),
    secret: elsewhere("is made here, and answered once"),
  }),
);

const asMade = z.string().nullish().meta({ description: "As it was made, or left out.", example: null });

export const subscriptionChange = lazily(() =>
  z.object({
    status: optional(z.enum(SUBSCRIPTION_STATUSES)).meta({
      description: `Paused: events gather, up to ${MAX_PENDING_DELIVERIES}, and nothing is delivered until it is active again.`,
      example: "active",
    }),
    url: optional(url()),
    authorization: authorization(),
    has_authorization: hasAuthorization,
    description: description().optional(),
    secret: elsewhere("stays as it was made: make another subscription, and then delete this one"),
    // A subscription may be sent back whole, as it was answered.
    kind: asMade,
    format: asMade,
    topic: asMade,
    ...asked(),
  }),
);

const answered = lazily(() => ({
  subscription_id: z.string().meta({ example: "sub_5f0c3f0e7e3c4d6b" }),
  kind: z.enum(SUBSCRIPTION_KINDS),
  url: z.string().meta({ example: "https://receiver.example/features" }),
  format: z.enum(EVENT_FORMATS),
  topic: z.string().nullable().meta({ example: null }),
  has_authorization: z.boolean().meta({
    description: "Whether deliveries have an `Authorization`, which is never shown.",
    example: false,
  }),
  description: z.string().nullable().meta({ example: "Refreshes the recommendations." }),
  ...filters(),
  status: z.enum(SUBSCRIPTION_STATUSES),
  created_at: answeredTimestamp,
  updated_at: answeredTimestamp,
}));

export const subscriptionSchema = lazily(() => z.object(answered()).meta({ id: "Subscription" }));

export const createdSchema = lazily(() =>
  z
    .object({
      ...answered(),
      secret: z.string().nullable().meta({
        description:
          "What a webhook's signatures are made with, shown now and never again, but to a repetition with the same `Idempotency-Key`.",
        example: "whsec_<base64>",
      }),
    })
    .meta({ id: "NewSubscription" }),
);

export const detailSchema = lazily(() =>
  z
    .object({
      ...answered(),
      pending: z.int().meta({ description: "Deliveries that wait or are under way.", example: 0 }),
      dead: z.int().meta({ description: "Deliveries that were given up and can be replayed.", example: 0 }),
      paused_reason: z
        .enum(["requested", "too_many_pending"])
        .nullable()
        .meta({
          description: `\`too_many_pending\`: more than ${MAX_PENDING_DELIVERIES} events waited, so the subscription paused itself; see \`missed\`.`,
          example: null,
        }),
      missed: z.object({ from: answeredTimestamp, to: answeredTimestamp }).nullable().meta({
        description:
          "Times of ingestion of events that were not kept because too many waited. Replay this range once it is active again; doing so clears it.",
        example: null,
      }),
      replay: z.enum(["running"]).nullable().meta({ example: null }),
    })
    .meta({ id: "SubscriptionDetail" }),
);

export function subscriptionAnswer(subscription: Subscription) {
  return {
    subscription_id: subscription.subscriptionId,
    kind: subscription.kind,
    url: subscription.url,
    format: subscription.format,
    topic: subscription.topic,
    has_authorization: isAuthorized(subscription),
    description: subscription.description,
    entity_types: subscription.entityTypes,
    categories: subscription.categories,
    features: subscription.features,
    status: subscription.status,
    created_at: formatTimestamp(subscription.createdAt),
    updated_at: formatTimestamp(subscription.updatedAt),
  };
}

/** What the object knows is newer than D1 where it has paused itself. */
export function detailAnswer(subscription: Subscription, facts: SubscriberFacts) {
  const isSelfPaused = facts.pausedReason === "too_many_pending";
  return {
    ...subscriptionAnswer(subscription),
    status: isSelfPaused ? "paused" : subscription.status,
    pending: facts.pending,
    dead: facts.dead,
    paused_reason: isSelfPaused ? facts.pausedReason : subscription.status === "paused" ? "requested" : null,
    missed: facts.missed,
    replay: facts.isReplaying ? "running" : null,
  };
}

/** The filters that a body names. */
export function filtersOf(body: Checked<typeof subscriptionChange>): Partial<{
  [Name in keyof Filters]: string[] | null;
}> {
  return {
    ...(body.entity_types !== undefined && { entityTypes: body.entity_types }),
    ...(body.categories !== undefined && { categories: body.categories }),
    ...(body.features !== undefined && { features: body.features }),
  };
}
