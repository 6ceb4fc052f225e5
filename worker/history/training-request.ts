/** Which training rows a request asks for, as system B's batch route takes them. */
import * as z from "zod";
import { unprocessable } from "../errors.ts";
import type { RequestContext } from "../http/context.ts";
import { DEFAULT_ENTITY_TYPE } from "../http/entity-type.ts";
import { elsewhere, entityType, entityValue, optional, tableTypeInBody, timestamp } from "../http/fields.ts";
import { assertOneOf } from "../http/one-of.ts";
import { MAX_FEATURES_PER_REQUEST } from "../limits.ts";
import { catalogOf } from "../registry/catalog.ts";
import {
  entityTypeFor,
  ofEntityType,
  resolveReferences,
  WHOLE_CATEGORY,
} from "../registry/resolve-references.ts";
import { featureNames } from "../registry/versions.ts";
import type { TrainingColumn, TrainingRow } from "./training-answers.ts";

const LOOKED_FROM = "The time from which is looked back: nothing that became true later is in the row.";
const rowTime = timestamp.meta({ description: LOOKED_FROM });

const ofAllRows = elsewhere("stands beside `rows`, for all of them: `entity_type`, `known_at`");

const isTimestamp = elsewhere("is called `timestamp`");

/** @param mostRows How many rows one request may have. */
export function trainingRequest(mostRows: number) {
  return z.object({
    entity_ids: optional(z.array(entityValue).min(1).max(mostRows)).meta({
      example: ["user_123", "user_456", "user_789"],
    }),
    timestamp: optional(rowTime).meta({
      description: `${LOOKED_FROM} Of all \`entity_ids\`, and of the rows that have none.`,
    }),
    rows: optional(
      z
        .array(
          z.object({
            entity_id: entityValue,
            timestamp: optional(rowTime),
            event_timestamp: isTimestamp,
            entity_type: ofAllRows,
            table_type: ofAllRows,
            known_at: ofAllRows,
          }),
        )
        .min(1)
        .max(mostRows),
    ).meta({ description: "Instead of `entity_ids`: a time for each row, where it is not `timestamp`." }),
    feature_names: featureNames()
      .max(MAX_FEATURES_PER_REQUEST)
      .meta({
        description: "Registered names, `name@version` or `category:feature`.",
        example: ["user_age", "user_lifetime_value"],
      }),
    entity_type: optional(entityType).meta({
      description: `Without it that of the registered features named, \`${DEFAULT_ENTITY_TYPE}\` where none is.`,
      example: "user",
    }),
    known_at: optional(timestamp.meta({ description: undefined })).meta({
      description: "Only what had been ingested by then, so that a training set can be produced again.",
      example: "2025-10-13T09:15:51.358632+00:00",
    }),
    table_type: tableTypeInBody,
    event_timestamp: isTimestamp,
    max_age_seconds: elsewhere(
      "is taken by `POST /api/v1/features/online`: here the TTLs of the values and features hold",
    ),
  });
}

/** The rows of a request, and the features that each of them has. */
export interface AskedRows {
  entityType: string;
  columns: TrainingColumn[];
  rows: TrainingRow[];
}

/** @throws Problem 422 naming what does not fit. */
export async function askedRows(
  context: RequestContext,
  asked: z.output<ReturnType<typeof trainingRequest>>,
): Promise<AskedRows> {
  const catalog = await catalogOf(context);
  const references = resolveReferences(catalog, asked.feature_names, ["body", "feature_names"]);
  const wildcard = references.find(({ feature, stored }) => !feature && stored === WHOLE_CATEGORY);
  if (wildcard) {
    const position = asked.feature_names.indexOf(wildcard.asked);
    const msg = "must name a feature: training data have the same columns in every row";
    throw unprocessable({ loc: ["body", "feature_names", position], msg, type: "invalid_reference" });
  }
  const entityType = entityTypeFor(catalog, references, {
    asked: asked.entity_type,
    fallback: DEFAULT_ENTITY_TYPE,
  });
  return { entityType, columns: ofEntityType(catalog, references, entityType), rows: rowsOf(asked) };
}

/**
 * That a mistyped name has no values is seen at once in the answer of `/features/batch`; in files not before they are read.
 *
 * @throws Problem 422 naming the first that no row can have.
 */
export function assertFound(columns: readonly TrainingColumn[], names: readonly string[]): void {
  const nowhere = columns.find(({ category }) => category === null);
  if (!nowhere) return;
  throw unprocessable({
    loc: ["body", "feature_names", names.indexOf(nowhere.asked)],
    msg: "is not a registered feature of this entity type, or has no such active version",
    type: "unknown_feature",
  });
}

function rowsOf({
  entity_ids,
  rows,
  timestamp: at,
}: z.output<ReturnType<typeof trainingRequest>>): TrainingRow[] {
  assertOneOf(["body", "rows"], { entity_ids, rows });
  if (rows)
    return rows.map((row, i) => ({
      entityId: row.entity_id,
      at: row.timestamp ?? at ?? missing(["rows", i, "timestamp"], "is needed where the request has none"),
    }));
  if (at === undefined) return missing(["timestamp"], "is needed with entity_ids");
  return (entity_ids ?? []).map((entityId) => ({ entityId, at }));
}

function missing(place: (string | number)[], msg: string): never {
  throw unprocessable({ loc: ["body", ...place], msg, type: "missing" });
}
