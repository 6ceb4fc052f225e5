/** Registering, listing and finding features: the routes of system B. */
import * as z from "zod";
import { computationsOf } from "../compute/compute-store.ts";
import { jsonAnswer } from "../http/answer.ts";
import { endpoint } from "../http/endpoint.ts";
import { entityTypeQuery, namedEntityType } from "../http/entity-type.ts";
import { answeredTimestamp, textUpTo } from "../http/fields.ts";
import { idIn, nextCursor, pageOf, pageQuery } from "../http/pages.ts";
import { lazily } from "../lazily.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { formatTimestamp, nowMicros } from "../timestamps.ts";
import { forgetCatalog } from "./catalog.ts";
import { featureOf, registerBody, versionOf } from "./definitions.ts";
import { oneReference, referredFeature } from "./existing-feature.ts";
import { featureAnswer, featureSchema } from "./feature-answers.ts";
import { insertVersion } from "./insert-feature.ts";
import { whyNotAdded } from "./may-be-added.ts";
import { assertSameDefinition, notAdded } from "./same-definition.ts";
import { selectFeatures } from "./select-features.ts";

const registeredSchema = lazily(() =>
  z
    .object({
      feature_id: z.int().meta({ example: 1 }),
      name: z.string().meta({ example: "user_lifetime_value" }),
      version: z.int().meta({ example: 1 }),
      status: z.literal("registered"),
      created_at: answeredTimestamp,
    })
    .meta({ id: "Registered" }),
);

const registerFeature = endpoint(
  {
    method: "post",
    path: "/api/v1/features/register",
    tag: "features",
    summary: "Register a feature, or a further version of it",
    description:
      "The same registration again changes nothing and answers 200; another one of the same version is 409.",
    scope: "write",
    request: { json: registerBody },
    answers: {
      201: { description: "Registered.", schema: registeredSchema },
      200: { description: "It was registered before, in the same way.", schema: registeredSchema },
    },
    problems: [409],
  },
  async (c, { json }) => {
    const { tenant } = c.principal;
    const feature = featureOf(json);
    const version = versionOf(json, null);
    const { added, feature: registered } = await insertVersion(
      c.env.DB,
      tenant,
      feature,
      version,
      nowMicros(),
    );
    forgetCatalog(tenant);
    const row = added
      ? registered?.versions.find((each) => each.version === version.version)
      : registered && assertSameDefinition(registered, { feature, version }, json);
    if (!registered || !row)
      throw notAdded(feature, await whyNotAdded(c.env.DB, tenant, registered ?? feature, version));
    return jsonAnswer(
      {
        feature_id: registered.featureId,
        name: registered.name,
        version: version.version,
        status: "registered",
        created_at: formatTimestamp(row.createdAt),
      },
      added ? 201 : 200,
    );
  },
);

const CURSOR = /^f(\d{1,15})$/;

const listSchema = lazily(() =>
  z.object({ features: z.array(featureSchema()), next_cursor: nextCursor }).meta({ id: "FeatureList" }),
);

const listFeatures = endpoint(
  {
    method: "get",
    path: "/api/v1/features",
    tag: "features",
    summary: "List registered features",
    scope: "read",
    request: {
      query: () =>
        z.object({
          ...entityTypeQuery,
          tag: textUpTo(MAX_NAME_CHARACTERS).optional(),
          q: textUpTo(MAX_NAME_CHARACTERS)
            .optional()
            .meta({ description: "Part of a name or a description." }),
          ...pageQuery().shape,
        }),
    },
    answers: { 200: { description: "A page of features, oldest first.", schema: listSchema } },
  },
  async (c, { query }) => {
    const after = Number(idIn(query.cursor, CURSOR) ?? 0);
    const filter = {
      entityType: namedEntityType(query),
      tag: query.tag,
      q: query.q,
      after,
      limit: query.limit + 1,
    };
    const found = await selectFeatures(c.env.DB, c.principal.tenant, filter);
    const { rows, last } = pageOf(found, query.limit);
    const next_cursor = last ? `f${last.featureId}` : null;
    const computations = await computationsOf(c.env.DB, c.principal.tenant, rows);
    return jsonAnswer({ features: rows.map((feature) => featureAnswer(feature, computations)), next_cursor });
  },
);

const getFeature = endpoint(
  {
    method: "get",
    path: "/api/v1/features/{feature}",
    tag: "features",
    summary: "A registered feature with its versions",
    scope: "read",
    request: { param: oneReference },
    answers: { 200: { description: "The feature.", schema: featureSchema } },
    problems: [404],
  },
  async (c, { param }) => {
    const { feature, version } = await referredFeature(c, param.feature);
    const computations = await computationsOf(c.env.DB, c.principal.tenant, [feature]);
    return jsonAnswer(featureAnswer(feature, computations, version));
  },
);

export const registryEndpoints = [registerFeature, listFeatures, getFeature];
