/** Reading items: the routes of system A. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import { type Answer, jsonTextAnswer } from "../http/answer.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import {
  assertKnownEntityType,
  DEFAULT_ENTITY_TYPE,
  entityTypeIn,
  entityTypeOf,
  entityTypeQuery,
  isBuiltIn,
} from "../http/entity-type.ts";
import {
  type Checked,
  categoriesOf,
  category,
  elsewhere,
  entityType,
  entityValue,
  featureName,
  optional,
  optionalOr,
  tableTypeInBody,
} from "../http/fields.ts";
import type { EntityRef } from "../keys.ts";
import { lazily } from "../lazily.ts";
import { MAX_ENTITIES_PER_REQUEST } from "../limits.ts";
import { madeOnce } from "../made-once.ts";
import { WHOLE_CATEGORY } from "../registry/resolve-references.ts";
import { parseReference } from "../registry/versions.ts";
import type { Consistency } from "./consistency.ts";
import { itemAnswer, itemsAnswer, type Selection } from "./item-answers.ts";
import { itemSchema, itemsSchema } from "./item-schemas.ts";
import { consistency, oneConsistency, queryBesideBody, readContext, TOKEN_HEADER } from "./read-context.ts";
import { readFound } from "./read-found.ts";
import { itemsAsked, registeredSelection } from "./select-items.ts";

const requestHeaders = { [TOKEN_HEADER]: "Of an earlier write: the answer is never older than it." };

const itemQuery = lazily(() => z.object({ ...entityTypeQuery, consistency: consistency.optional() }));

const itemRef = madeOnce(
  (asked: { param: { entity_value: string }; query: Checked<typeof itemQuery> }): EntityRef => ({
    entityType: entityTypeIn(asked.query),
    entityValue: asked.param.entity_value,
  }),
);

const categoryAsked = madeOnce(
  (asked: { category: string }): Selection => new Map([[asked.category, { whole: true, names: [] }]]),
);

const getItem = endpoint(
  {
    method: "get",
    path: "/api/v1/get/item/{entity_value}/{category}",
    tag: "items",
    summary: "Read one category of an entity",
    scope: "read",
    isRepeated: true,
    request: {
      param: () => z.object({ entity_value: entityValue, category }),
      query: itemQuery,
    },
    requestHeaders,
    answers: { 200: { description: "The category's features.", schema: itemSchema } },
    problems: [404],
  },
  async (c, input) => {
    const { param, query } = input;
    const ref = itemRef(input);
    if (!isBuiltIn(ref.entityType)) await entityTypeOf(c, query);
    const context = readContext(c, query.consistency);
    const { read, found } = await readFound(context, ref, categoryAsked(param));
    const [only] = found;
    return answer(only ? itemAnswer(ref, only, read) : null);
  },
);

const reference = z
  .string()
  .transform((text, ctx) => {
    const parsed = parseReference(text);
    const names =
      parsed?.kind === "category"
        ? [category.safeParse(parsed.category), featureName.safeParse(parsed.feature)]
        : [];
    if (parsed && names.every(({ success }) => success)) return parsed;
    ctx.addIssue({
      code: "custom",
      message: "must be `category:feature`, `category:*`, a registered name or `name@version`",
    });
    return z.NEVER;
  })
  .meta({
    description: "`category:feature`, `category:*`, a registered name or `name@version`.",
    example: "user_features:age",
  });

const inData = elsewhere("stands in `data`, or in the query");

const getItems = endpoint(
  {
    method: "post",
    path: "/api/v1/get/items",
    tag: "items",
    summary: "Read features of several categories",
    description:
      "`category:*` reads all features of a category. What is missing is named; all missing is 404.",
    scope: "read",
    isRepeated: true,
    request: {
      query: queryBesideBody,
      json: () =>
        z.object({
          meta: optional(z.looseObject({ consistency: inData })).meta({ example: { source: "api" } }),
          metadata: optional(z.looseObject({ consistency: inData })).meta({
            description: "Another name of `meta`.",
          }),
          consistency: inData,
          // Passed over, the entity of another type would be read.
          entity_type: elsewhere("stands in `data`"),
          table_type: elsewhere("is called `entity_type`, and stands in `data`"),
          data: z.object({
            entity_type: optionalOr(entityType, DEFAULT_ENTITY_TYPE),
            table_type: tableTypeInBody,
            entity_value: entityValue,
            feature_list: z
              .array(reference)
              .min(1)
              .max(MAX_ENTITIES_PER_REQUEST)
              .meta({ example: ["user_features:age", "user_features:income", "transaction_features:*"] }),
            consistency: optional(consistency),
          }),
        }),
    },
    requestHeaders,
    answers: { 200: { description: "What there is of the features.", schema: itemsSchema } },
    problems: [404],
  },
  async (c, { query, json: { data: asked } }) => {
    const { ref, selection } = itemsAsked(asked);
    const { entityType: type } = ref;
    if (!isBuiltIn(type)) await assertKnownEntityType(c, type, ["body", "data", "entity_type"]);
    const selected = selection ?? (await registeredSelection(c, type, asked.feature_list));
    const consistency = oneConsistency(query.consistency, asked.consistency);
    return readSelection(c, ref, { selected, known: selection }, consistency);
  },
);

const getItemFiltered = endpoint(
  {
    method: "post",
    path: "/api/v1/get/item/{entity_value}",
    tag: "items",
    summary: "Read named features of several categories",
    scope: "read",
    isRepeated: true,
    request: {
      param: () => z.object({ entity_value: entityValue }),
      query: itemQuery,
      json: () =>
        categoriesOf(z.array(featureName).max(MAX_ENTITIES_PER_REQUEST), {
          most: MAX_ENTITIES_PER_REQUEST,
          example: { trans_features: ["avg_credit_30d", "num_transactions"] },
        }),
    },
    requestHeaders,
    answers: { 200: { description: "What there is of the features.", schema: itemsSchema } },
    problems: [404],
  },
  async (c, { param, query, json }) => {
    const ref = { entityType: await entityTypeOf(c, query), entityValue: param.entity_value };
    const selection = json.map(([name, asked]) => {
      const names = [...new Set(asked)].filter((feature) => feature !== WHOLE_CATEGORY);
      return [name, { whole: asked.includes(WHOLE_CATEGORY), names }] as const;
    });
    return readSelection(c, ref, { selected: new Map(selection), known: null }, query.consistency);
  },
);

/** @param selection `known`: the selection, where a repeated request brings the same object again; else null. */
async function readSelection(
  c: AppContext,
  ref: EntityRef,
  { selected, known }: { selected: Selection; known: Selection | null },
  asked: Consistency | undefined,
) {
  const context = readContext(c, asked);
  const { read, found } = await readFound(context, ref, selected);
  return answer(itemsAnswer(ref, known, found, read));
}

function answer(text: string | null): Answer {
  if (text === null) throw new Problem(404, "there are no such features of this entity");
  return jsonTextAnswer(text);
}

export const servingEndpoints = [getItem, getItems, getItemFiltered];
