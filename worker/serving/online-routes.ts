/** Online reads of registered features: the route of system B. */
import * as z from "zod";
import { ByteWriter } from "../byte-writer.ts";
import { jsonTextAnswer, toResponse } from "../http/answer.ts";
import { endpoint } from "../http/endpoint.ts";
import { DEFAULT_ENTITY_TYPE } from "../http/entity-type.ts";
import {
  answeredRevision,
  answeredTimestamp,
  type Checked,
  elsewhere,
  entityType,
  entityValue,
  optional,
  tableTypeInBody,
} from "../http/fields.ts";
import { assertOneOf } from "../http/one-of.ts";
import type { EntityRef } from "../keys.ts";
import { lazily } from "../lazily.ts";
import { MAX_ENTITIES_PER_REQUEST, MAX_ONLINE_FEATURES, MAX_TTL_SECONDS } from "../limits.ts";
import { madeOnce } from "../made-once.ts";
import { TIERS } from "../monitoring/metric-record.ts";
import { VALUE_STATUSES } from "../monitoring/value-tally.ts";
import { type Catalog, catalogOf } from "../registry/catalog.ts";
import { entityTypeFor, ofEntityType, resolveReferences } from "../registry/resolve-references.ts";
import { featureNames } from "../registry/versions.ts";
import { MICROS_PER_MS } from "../timestamps.ts";
import { OnlineAnswers, type OnlineQuestion, questionOf } from "./online-answers.ts";
import { consistency, oneConsistency, queryBesideBody, readContext, TOKEN_HEADER } from "./read-context.ts";
import { readEntities } from "./read-entities.ts";

const ofThePast = elsewhere("is taken by `POST /api/v1/features/batch`: here is what is true now");

const body = lazily(() =>
  z.object({
    entity_id: optional(entityValue).meta({ example: "user_123" }),
    entity_ids: optional(z.array(entityValue).min(1).max(MAX_ENTITIES_PER_REQUEST)).meta({
      description: "Instead of `entity_id`, for several.",
    }),
    feature_names: featureNames().max(MAX_ONLINE_FEATURES),
    entity_type: optional(entityType).meta({
      description:
        "Without it that of the registered features named, `bright_uid` where none is; needed where they belong to several.",
      example: "user",
    }),
    max_age_seconds: optional(z.number().min(0).max(MAX_TTL_SECONDS)),
    consistency: optional(consistency),
    table_type: tableTypeInBody,
    timestamp: ofThePast,
    known_at: ofThePast,
  }),
);

const value = lazily(() =>
  z.object({
    value: z.unknown().meta({ example: 34 }),
    status: z.enum(VALUE_STATUSES),
    timestamp: answeredTimestamp.nullable().meta({ description: "Its event time." }),
    freshness_seconds: z.number().nullable().meta({ description: "Since its event time.", example: 12.5 }),
    version: z.int().nullable().meta({ description: "Null when it is not registered.", example: 1 }),
  }),
);

const online = lazily(() => ({
  entity_id: z.string().meta({ example: "user_123" }),
  features: z.record(z.string(), value()),
  revision: answeredRevision,
  source: z.enum(TIERS),
  cache_hit: z.boolean(),
  timestamp: answeredTimestamp,
}));

const onlineSchema = lazily(() =>
  z
    .union([
      z.object(online()),
      z.object({ results: z.array(z.object(online())), timestamp: answeredTimestamp }),
    ])
    .meta({ id: "Online", description: "For `entity_ids`: `results`, in the order of the request." }),
);

/** The buffer in which large answers are put together: a new one each time would have to be allocated and collected. */
const room = new ByteWriter(0);

const readOnline = endpoint(
  {
    method: "post",
    path: "/api/v1/features/online",
    tag: "features",
    summary: "Read features of one or many entities",
    description:
      "TTL and `max_age_seconds` are judged now. What is too old has status `OUTSIDE_MAX_AGE` and no value.",
    scope: "read",
    isRepeated: true,
    request: { query: queryBesideBody, json: body },
    requestHeaders: { [TOKEN_HEADER]: "Of an earlier write: the answer is never older than it." },
    answers: { 200: { description: "The values with their status.", schema: onlineSchema } },
  },
  async (c, { query, json }) => {
    const context = readContext(c, oneConsistency(query.consistency, json.consistency));
    const catalog = await catalogOf(context);
    const { question, refs } = preparedWith(catalog)(json);
    const reads = await readEntities(context, refs);
    const now = context.nowMs * MICROS_PER_MS;
    const answers = new OnlineAnswers(question, { now, tally: context.metrics?.tally });
    const entities = reads.map((read, i) => ({ entityId: refs[i]?.entityValue ?? "", read }));
    const [only] = entities;
    if (only && !json.entity_ids) return jsonTextAnswer(answers.one(only));
    // A Response takes a copy of its bytes: made here, before another request's answer is put together in the same room.
    return toResponse(jsonTextAnswer(answers.many(entities, room)), c.requestId);
  },
);

type Body = Checked<typeof body>;

/** What a body asks, kept for as long as both the catalog and the body live. @throws as `newQuestion` and `idsOf`. */
const preparedWith = madeOnce((catalog: Catalog) =>
  madeOnce((json: Body): { question: OnlineQuestion; refs: readonly EntityRef[] } => {
    const question = newQuestion(json, catalog);
    const { entityType } = question;
    return { question, refs: idsOf(json).map((entityValue) => ({ entityType, entityValue })) };
  }),
);

/** @throws Problem 422 for a name or an entity type that means nothing. */
function newQuestion(json: Body, catalog: Catalog): OnlineQuestion {
  const resolved = resolveReferences(catalog, json.feature_names, ["body", "feature_names"]);
  const type = entityTypeFor(catalog, resolved, { asked: json.entity_type, fallback: DEFAULT_ENTITY_TYPE });
  return questionOf({
    catalog,
    entityType: type,
    resolved: ofEntityType(catalog, resolved, type),
    maxAgeSeconds: json.max_age_seconds ?? null,
  });
}

function idsOf({ entity_id, entity_ids }: Body): string[] {
  assertOneOf(["body", "entity_id"], { entity_id, entity_ids });
  return entity_ids ?? (entity_id === undefined ? [] : [entity_id]);
}

export const onlineEndpoints = [readOnline];
