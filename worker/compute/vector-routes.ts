/** Reading the vector of a computed feature: a route of system C. */
import * as z from "zod";
import { Problem, unprocessable } from "../errors.ts";
import { jsonTextAnswer } from "../http/answer.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredRevision, answeredTimestamp, entityValue, textUpTo, wholeNumber } from "../http/fields.ts";
import { assertOneOf } from "../http/one-of.ts";
import { lazily } from "../lazily.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { TIERS } from "../monitoring/metric-record.ts";
import { ttlOfAll } from "../registry/catalog.ts";
import { referredFeature } from "../registry/existing-feature.ts";
import { findFeatureOfVersion } from "../registry/registry-store.ts";
import { newestActive, storedName, versionAt } from "../registry/versions.ts";
import { liveCategory } from "../serving/document.ts";
import { consistency, readContext, TOKEN_HEADER } from "../serving/read-context.ts";
import { readEntity } from "../serving/read-entities.ts";
import { formatTimestamp, MICROS_PER_MS } from "../timestamps.ts";

const vectorSchema = lazily(() =>
  z
    .object({
      entity_id: z.string().meta({ example: "user_001" }),
      feature_id: z.int().meta({ example: 1 }),
      feature_name: z.string().meta({ example: "avg_transaction_amount" }),
      feature_version_id: z.int().meta({ example: 1 }),
      version: z.int().meta({ example: 1 }),
      vector: z.record(z.string(), z.unknown()).meta({ example: { avg_amount: 150.5 } }),
      event_timestamp: answeredTimestamp,
      created_at: answeredTimestamp,
      updated_at: answeredTimestamp,
      revision: answeredRevision,
      source: z.enum(TIERS),
    })
    .meta({ id: "FeatureVector" }),
);

const getVector = endpoint(
  {
    method: "get",
    path: "/api/v1/feature-vectors",
    tag: "computed features",
    summary: "Read an entity's vector",
    description: "By name (the newest active version), by `name@version`, or by the id of a version.",
    scope: "read",
    request: {
      query: () =>
        z.object({
          entity_id: entityValue.meta({ example: "user_001" }),
          feature_name: textUpTo(MAX_NAME_CHARACTERS).optional().meta({ example: "avg_transaction_amount" }),
          version: z
            .string()
            .optional()
            .meta({ description: "Of `feature_name`, as `feature_name@version`.", example: "v1" }),
          feature_version_id: wholeNumber(1).optional().meta({ example: 1 }),
          consistency: consistency.optional(),
        }),
    },
    requestHeaders: { [TOKEN_HEADER]: "Of an earlier write: the answer is never older than it." },
    answers: { 200: { description: "The vector.", schema: vectorSchema } },
    problems: [404],
  },
  async (c, { query }) => {
    const { feature_name, feature_version_id } = query;
    assertOneOf(["query", "feature_name"], { feature_name, feature_version_id });
    if (feature_version_id !== undefined && query.version !== undefined)
      throw unprocessable({
        loc: ["query", "version"],
        msg: "stands beside feature_name: feature_version_id says the version itself",
        type: "conflicting_fields",
      });
    const { feature, version } =
      query.feature_name === undefined
        ? await versionOfId(c, query.feature_version_id ?? 0)
        : await versionOfName(c, query.feature_name, query.version);
    if (!feature || !version || feature.kind !== "computed") {
      throw new Problem(404, "there is no such computed feature, or none of its versions is active");
    }
    const context = readContext(c, query.consistency);
    const ref = { entityType: feature.entityType, entityValue: query.entity_id };
    const { document, revision, source } = await readEntity(context, ref);
    const now = context.nowMs * MICROS_PER_MS;
    const category = document?.categories.get(storedName(feature.name, version.version));
    const found = liveCategory(category, now, ttlOfAll(version.ttlSeconds));
    if (!found) {
      const why = category
        ? "the TTL of the vector of this entity is over"
        : "there is no vector of this entity";
      throw new Problem(404, `${why}, in version ${version.version}`);
    }
    const head = {
      entity_id: query.entity_id,
      feature_id: feature.featureId,
      feature_name: feature.name,
      feature_version_id: version.versionId,
      version: version.version,
    };
    const tail = {
      event_timestamp: formatTimestamp(found.eventTime),
      created_at: formatTimestamp(found.createdAt),
      updated_at: formatTimestamp(found.updatedAt),
      revision,
      source,
    };
    const text = `${JSON.stringify(head).slice(0, -1)},"vector":${found.data},${JSON.stringify(tail).slice(1)}`;
    return jsonTextAnswer(text);
  },
);

async function versionOfId(c: AppContext, id: number) {
  const feature = await findFeatureOfVersion(c.env.DB, c.principal.tenant, id);
  return { feature, version: feature?.versions.find(({ versionId }) => versionId === id) };
}

/** The version that is named, in either way, else the newest active one. */
async function versionOfName(c: AppContext, reference: string, asked: string | undefined) {
  const { feature, version } = await referredFeature(c, reference);
  if (asked === undefined) return { feature, version: version ?? newestActive(feature.versions) };
  const number = versionAt(["query", "version"], asked);
  if (version && version.version !== number)
    throw unprocessable({
      loc: ["query", "version"],
      msg: "must be that of feature_name, when both say one",
      type: "conflicting_fields",
    });
  return { feature, version: feature.versions.find((row) => row.version === number) };
}

export const vectorEndpoints = [getVector];
