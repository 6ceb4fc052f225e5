/** Writing and deleting: the routes of system A, and the deletion of entities. */
import * as z from "zod";
import { assert, Problem } from "../errors.ts";
import { requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import {
  assertKnownEntityType,
  entityTypeOf,
  entityTypeQuery,
  isKnownEntityType,
} from "../http/entity-type.ts";
import {
  answeredRevision,
  answeredTimestamp,
  category,
  entityType,
  entityValue,
  entriesOf,
  featureValues,
} from "../http/fields.ts";
import { MAX_CATEGORIES_PER_ENTITY, MAX_ENTITIES_PER_REQUEST } from "../limits.ts";
import { type Catalog, catalogOf } from "../registry/catalog.ts";
import { describeFault } from "../registry/enforce-types.ts";
import type { ChangeResult, EntityWrite } from "./entity-write.ts";
import { type Reason, reasonOf, rejectionProblem, typeProblem } from "./rejections.ts";
import { submitRequest, writeAnswerHeaders, writeRequestHeaders } from "./submit-request.ts";
import { typedWrite, type UntypedWrite } from "./typed-write.ts";
import {
  assertCategoryCount,
  batchBody,
  itemsBody,
  toCategoryOptions,
  toEntityWrite,
  writingMetadata,
} from "./write-body.ts";

const outcome = z.enum(["applied", "stale", "duplicate"]).meta({
  description:
    "`stale`: newer values stand, nothing current changed. `duplicate`: the very same write is there already.",
});

const written = {
  entity_value: z.string().meta({ example: "user-123" }),
  entity_type: z.string().meta({ example: "bright_uid" }),
  categories_updated: z.array(z.string()).meta({ example: ["user_features", "credit_features"] }),
  timestamp: answeredTimestamp,
  revision: answeredRevision,
  outcome,
};

const writtenSchema = z.object(written).meta({ id: "Written" });
const countedSchema = z
  .object({
    ...written,
    feature_counts: z.record(z.string(), z.int()).meta({ example: { user_features: 3 } }),
  })
  .meta({ id: "WrittenWithCounts" });

export const putItems = endpoint(
  {
    method: "post",
    path: "/api/v1/items",
    tag: "items",
    summary: "Write categories of an entity",
    description: `All categories are applied or none. \`created_at\` stays that of the first write. An entity may have ${MAX_CATEGORIES_PER_ENTITY} categories.`,
    scope: "write",
    request: { json: itemsBody },
    requestHeaders: writeRequestHeaders,
    answers: { 200: { description: "Committed.", schema: writtenSchema, headers: writeAnswerHeaders } },
    problems: [409],
  },
  async (c, { json }) => {
    const metadata = writingMetadata(json);
    await assertKnownEntityType(c, json.data.entity_type, ["body", "data", "entity_type"]);
    const catalog = await catalogOf(requestContext(c));
    const typed = typedWrite(catalog, toEntityWrite(json.data, metadata));
    if (!typed.ok)
      throw typeProblem(typed.fault, ["body", "data", "feature_list", typed.position, "features"]);
    const { write } = typed;
    const { results, timestamp, headers } = await submitRequest(c, [write]);
    return c.json(writtenAnswer(write, results[0], timestamp), 200, headers);
  },
);

export const putItemsOf = endpoint(
  {
    method: "post",
    path: "/api/v1/items/{identifier}",
    tag: "items",
    summary: "Write categories of an entity, the short form",
    description:
      "The body is categories with their features; each category is replaced. The key's scope decides who may. An entity called `batch` is written by the long form.",
    scope: "write",
    request: {
      param: z.object({ identifier: entityValue }),
      query: z.object(entityTypeQuery),
      json: entriesOf(category, featureValues, { user_features: { age: 30, income: 60000 } }),
    },
    requestHeaders: writeRequestHeaders,
    answers: { 200: { description: "Committed.", schema: countedSchema, headers: writeAnswerHeaders } },
    problems: [409],
  },
  async (c, { param, query, json }) => {
    assertCategoryCount(json.length);
    const asked: UntypedWrite = {
      kind: "write",
      entityType: await entityTypeOf(c, query),
      entityValue: param.identifier,
      source: null,
      ifRevision: null,
      categories: json.map(([name, features]) => ({
        category: name,
        features,
        ...toCategoryOptions({}, {}),
      })),
    };
    const typed = typedWrite(await catalogOf(requestContext(c)), asked);
    if (!typed.ok) throw typeProblem(typed.fault, ["body", asked.categories[typed.position]?.category ?? ""]);
    const { write } = typed;
    const { results, timestamp, headers } = await submitRequest(c, [write]);
    const answer = writtenAnswer(write, results[0], timestamp);
    const counts = Object.fromEntries(
      write.categories.map(({ category: name, names }) => [name, names.length]),
    );
    return c.json({ ...answer, feature_counts: counts }, 200, headers);
  },
);

const rowResult = z.object({
  entity_type: z.string(),
  entity_value: z.string(),
  outcome: z.enum(["applied", "stale", "duplicate", "rejected"]),
  revision: answeredRevision.nullable(),
  categories_updated: z.array(z.string()),
  reason: z
    .object({ type: z.string(), detail: z.string() })
    .optional()
    .meta({ description: "Why a row was rejected." }),
});

const batchSchema = z
  .object({ results: z.array(rowResult), timestamp: answeredTimestamp })
  .meta({ id: "BatchWritten" });

export const putItemsBatch = endpoint(
  {
    method: "post",
    path: "/api/v1/items/batch",
    tag: "items",
    summary: "Write many entities",
    description: `Up to ${MAX_ENTITIES_PER_REQUEST} rows, each applied whole or not at all, with one result per row in the order of the request. The same entity may come several times.`,
    scope: "write",
    request: { json: batchBody },
    requestHeaders: writeRequestHeaders,
    answers: {
      200: { description: "One result per row.", schema: batchSchema, headers: writeAnswerHeaders },
    },
  },
  async (c, { json }) => {
    const metadata = writingMetadata(json);
    const catalog = await catalogOf(requestContext(c));
    const rows = json.data.map((row) => typedRow(catalog, toEntityWrite(row, metadata)));
    const writes = rows.flatMap((row) => (row.ok ? row.write : []));
    const { results, timestamp, headers } = await submitRequest(c, writes);
    const remaining = results.values();
    const answers = json.data.map((body, i) => {
      const row = rows[i];
      const entity = { entity_type: body.entity_type, entity_value: body.entity_value };
      return { ...entity, ...(row?.ok ? outcomeOf(remaining.next().value) : refusedRow(row?.reason)) };
    });
    return c.json({ results: answers, timestamp }, 200, headers);
  },
);

const deletedSchema = z
  .object({
    entity_type: z.string().meta({ example: "bright_uid" }),
    entity_value: z.string().meta({ example: "user-123" }),
    categories_removed: z.array(z.string()).meta({ example: ["user_features"] }),
    removed: z.object({
      current: z.int().meta({ description: "Current rows in D1.", example: 1 }),
      history: z.int().meta({ description: "History rows in D1.", example: 12 }),
      cache: z.int().meta({ description: "Hot-cache documents in KV.", example: 1 }),
    }),
    revision: answeredRevision,
    timestamp: answeredTimestamp,
  })
  .meta({ id: "Deleted" });

const entityParam = z.object({ entity_type: entityType, entity_value: entityValue });

const deleteSpec = {
  method: "delete",
  tag: "entities",
  description:
    "A tombstone stays, so that a write with an older event time cannot bring it back. Its history and cached document go too.",
  scope: "write",
  requestHeaders: writeRequestHeaders,
  answers: { 200: { description: "What was removed.", schema: deletedSchema, headers: writeAnswerHeaders } },
  problems: [404],
} as const satisfies Partial<Parameters<typeof endpoint>[0]>;

export const deleteEntity = endpoint(
  {
    ...deleteSpec,
    problems: [404],
    path: "/api/v1/entities/{entity_type}/{entity_value}",
    summary: "Delete an entity",
    request: { param: entityParam },
  },
  (c, { param }) => remove(c, param.entity_type, param.entity_value, null),
);

export const deleteCategory = endpoint(
  {
    ...deleteSpec,
    problems: [404],
    path: "/api/v1/entities/{entity_type}/{entity_value}/{category}",
    summary: "Delete one category of an entity",
    request: { param: entityParam.extend({ category }) },
  },
  (c, { param }) => remove(c, param.entity_type, param.entity_value, param.category),
);

async function remove(
  c: Parameters<typeof submitRequest>[0],
  type: string,
  value: string,
  name: string | null,
) {
  await assertKnownEntityType(c, type, ["path", "entity_type"]);
  const ref = { entityType: type, entityValue: value };
  const { results, timestamp, headers } = await submitRequest(c, [
    { kind: "delete", ...ref, category: name },
  ]);
  const [result] = results;
  if (result?.outcome !== "deleted") throw new Problem(404, "there is nothing to delete");
  return c.json(
    {
      entity_type: type,
      entity_value: value,
      categories_removed: result.categories,
      removed: { current: result.categories.length, history: result.history, cache: result.cached ? 1 : 0 },
      revision: result.revision,
      timestamp,
    },
    200,
    headers,
  );
}

function writtenAnswer(write: EntityWrite, result: ChangeResult | undefined, timestamp: string) {
  assert(
    result && result.outcome !== "deleted" && result.outcome !== "not_found",
    "a write has a write's result",
  );
  if (result.outcome === "rejected") throw rejectionProblem(result.rejection);
  return {
    entity_value: write.entityValue,
    entity_type: write.entityType,
    categories_updated: result.outcome === "applied" ? result.categories : [],
    timestamp,
    revision: result.revision,
    outcome: result.outcome,
  };
}

function typedRow(
  catalog: Catalog,
  asked: UntypedWrite,
): { ok: true; write: EntityWrite } | { ok: false; reason: Reason } {
  if (!isKnownEntityType(asked.entityType, catalog)) {
    return {
      ok: false,
      reason: { type: "unknown_entity_type", detail: "entity_type: is not a known entity type" },
    };
  }
  const typed = typedWrite(catalog, asked);
  return typed.ok
    ? typed
    : { ok: false, reason: { type: "type_mismatch", detail: describeFault(typed.fault) } };
}

function outcomeOf(result: ChangeResult | undefined) {
  assert(result, "every write has a result");
  const { outcome: became, revision } = result;
  const reason = result.outcome === "rejected" ? reasonOf(result.rejection) : undefined;
  const updated = result.outcome === "applied" ? result.categories : [];
  return { outcome: became, revision, categories_updated: updated, ...(reason && { reason }) };
}

function refusedRow(reason: Reason | undefined) {
  return { outcome: "rejected", revision: null, categories_updated: [], reason };
}

export const writingEndpoints = [putItems, putItemsBatch, putItemsOf, deleteEntity, deleteCategory];
