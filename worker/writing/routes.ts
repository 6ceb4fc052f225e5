/** Writing items: the routes of system A. */
import * as z from "zod";
import { assert } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { type AppContext, requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { assertKnownEntityType, entityTypeOf, entityTypeQuery } from "../http/entity-type.ts";
import {
  answeredRevision,
  answeredTimestamp,
  categoriesOf,
  entityValue,
  featureValues,
} from "../http/fields.ts";
import type { EntityRef } from "../keys.ts";
import { lazily } from "../lazily.ts";
import { MAX_CATEGORIES_PER_ENTITY } from "../limits.ts";
import { catalogOf } from "../registry/catalog.ts";
import { putItemsBatch } from "./batch-routes.ts";
import { deleteCategory, deleteEntity } from "./delete-routes.ts";
import { rejectionProblem, typeProblem } from "./rejections.ts";
import {
  type Answered,
  answeredBefore,
  submitRequest,
  writeAnswerHeaders,
  writeRequestHeaders,
} from "./submit-request.ts";
import { typedWrite, type UntypedWrite } from "./typed-write.ts";
import {
  itemsBody,
  optionsOfBody,
  toCategoryOptions,
  toEntityWrite,
  writeQuery,
  writingMetadata,
} from "./write-body.ts";

const outcome = lazily(() =>
  z.enum(["applied", "stale", "duplicate"]).meta({
    description:
      "`stale`: newer values stand, nothing current changed. `duplicate`: the very same write is there already.",
  }),
);

const written = lazily(() => ({
  entity_value: z.string().meta({ example: "user-123" }),
  entity_type: z.string().meta({ example: "bright_uid" }),
  categories_updated: z.array(z.string()).meta({ example: ["user_features", "credit_features"] }),
  timestamp: answeredTimestamp,
  revision: answeredRevision,
  outcome: outcome(),
}));

const writtenSchema = lazily(() => z.object(written()).meta({ id: "Written" }));
const countedSchema = lazily(() =>
  z
    .object({
      ...written(),
      feature_counts: z.record(z.string(), z.int()).meta({ example: { user_features: 3 } }),
    })
    .meta({ id: "WrittenWithCounts" }),
);

const putItems = endpoint(
  {
    method: "post",
    path: "/api/v1/items",
    tag: "items",
    summary: "Write categories of an entity",
    description: `All categories are applied or none. \`created_at\` stays that of the first write. An entity may have ${MAX_CATEGORIES_PER_ENTITY} categories.`,
    scope: "write",
    request: { query: writeQuery, json: itemsBody },
    requestHeaders: writeRequestHeaders,
    answers: { 200: { description: "Committed.", schema: writtenSchema, headers: writeAnswerHeaders } },
    problems: [409],
  },
  async (c, { json }) => {
    const metadata = writingMetadata(json);
    await assertKnownEntityType(c, json.data.entity_type, ["body", "data", "entity_type"]);
    const placeOf = (position: number) => ["body", "data", "feature_list", position, "features"];
    const { answer, headers } = await submitWrite(c, toEntityWrite(json.data, metadata), placeOf);
    return jsonAnswer(answer, 200, headers);
  },
);

const optionsOfLongForm = lazily(() =>
  optionsOfBody("is taken by `POST /api/v1/items` only: this form always replaces, as of now"),
);

const putItemsOf = endpoint(
  {
    method: "post",
    path: "/api/v1/items/{entity_value}",
    tag: "items",
    summary: "Write categories of an entity, the short form",
    description:
      "The body maps categories to their features; each category is replaced. The scope `write` is enough, no `source` is needed. An entity whose value is `batch` is written by `POST /api/v1/items`.",
    scope: "write",
    request: {
      param: () => z.object({ entity_value: entityValue }),
      query: () => z.object({ ...entityTypeQuery, ...optionsOfLongForm() }),
      json: () =>
        categoriesOf(featureValues, {
          most: MAX_CATEGORIES_PER_ENTITY,
          example: { user_features: { age: 30, income: 60000 } },
        }),
    },
    requestHeaders: writeRequestHeaders,
    answers: { 200: { description: "Committed.", schema: countedSchema, headers: writeAnswerHeaders } },
    problems: [409],
  },
  async (c, { param, query, json }) => {
    const asked: UntypedWrite = {
      kind: "write",
      entityType: await entityTypeOf(c, query),
      entityValue: param.entity_value,
      source: null,
      ifRevision: null,
      categories: json.map(([name, features]) => ({
        category: name,
        features,
        ...toCategoryOptions({}, {}),
      })),
    };
    const placeOf = (position: number) => ["body", asked.categories[position]?.category ?? ""];
    const { answer, headers } = await submitWrite(c, asked, placeOf);
    const counts = Object.fromEntries(json.map(([name, { names }]) => [name, names.length]));
    return jsonAnswer({ ...answer, feature_counts: counts }, 200, headers);
  },
);

/**
 * Writes one entity. What an earlier request with the same `Idempotency-Key` has written is answered again, though features
 * were registered since with which it does not fit.
 *
 * @param placeOf Where the features of a category stand in the request.
 */
async function submitWrite(
  c: AppContext,
  asked: UntypedWrite,
  placeOf: (position: number) => (string | number)[],
) {
  const typed = typedWrite(await catalogOf(requestContext(c)), asked);
  const answered = typed.ok
    ? await submitRequest(c, [typed.write])
    : await answeredBefore(c, asked, typeProblem(typed.fault, placeOf(typed.position)));
  return { answer: writtenAnswer(asked, answered), headers: answered.headers };
}

/** @throws Problem where it was refused. */
function writtenAnswer(write: EntityRef, { results: [result], timestamp, refusalHeaders }: Answered) {
  assert(
    result && "revision" in result && result.outcome !== "deleted" && result.outcome !== "not_found",
    "a write has a write's result",
  );
  if (result.outcome === "rejected") throw rejectionProblem(result.rejection, refusalHeaders);
  return {
    entity_value: write.entityValue,
    entity_type: write.entityType,
    categories_updated: result.outcome === "applied" ? result.categories : [],
    timestamp,
    revision: result.revision,
    outcome: result.outcome,
  };
}

export const writingEndpoints = [putItems, putItemsBatch, putItemsOf, deleteEntity, deleteCategory];
