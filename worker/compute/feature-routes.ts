/** Computed features: creating and computing. Routes of system C. */
import * as z from "zod";
import { MATERIALIZATIONS } from "../db/column-values.ts";
import { jsonParts } from "../db/json-parts.ts";
import { Problem } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { type AppContext, requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { elsewhere, optionalOr, textUpTo } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import {
  MAX_COLUMN_NAME_CHARACTERS,
  MAX_DESCRIPTION_CHARACTERS,
  MAX_INGEST_ROWS,
  MAX_INLINE_ENTITIES,
  MAX_NAME_CHARACTERS,
  MAX_TAGS,
} from "../limits.ts";
import { forgetCatalog } from "../registry/catalog.ts";
import { RESERVED_TYPES } from "../registry/definitions.ts";
import { existingFeature } from "../registry/existing-feature.ts";
import { featureAnswer, featureSchema } from "../registry/feature-answers.ts";
import { insertComputedFeature } from "../registry/insert-feature.ts";
import { whyNotAdded } from "../registry/may-be-added.ts";
import {
  type Computed,
  findFeature,
  type NewFeature,
  type RegisteredFeature,
} from "../registry/registry-store.ts";
import { assertSameFeature, notAdded } from "../registry/same-definition.ts";
import { registeredName } from "../registry/versions.ts";
import { encodeToken } from "../serving/consistency.ts";
import { TOKEN_HEADER } from "../serving/read-context.ts";
import { MICROS_PER_MS, nowMicros } from "../timestamps.ts";
import { replayedHeader, writeAnswerHeaders, writeRequestHeaders } from "../writing/submit-request.ts";
import { answerOnce } from "./answer-once.ts";
import type { WhyCutOff } from "./computation-store.ts";
import { computeByHand } from "./compute-by-hand.ts";
import { computationsOf, FEATURE_REMOVED } from "./compute-store.ts";
import { assertComputable, computableVersion, computationLogic, isOutdated } from "./computed-feature.ts";
import { existingTable } from "./existing-table.ts";
import { answeredSkips, jobAnswer, jobSchema } from "./job-answers.ts";
import { COLUMN_NAME, checkRows, type RawSchema } from "./raw-columns.ts";
import { rawTableObject } from "./raw-table-access.ts";
import { rawTableReference } from "./raw-table-schemas.ts";
import type { ComputeSource } from "./raw-table-store.ts";
import { problemOf } from "./refused-computation.ts";

const ofVersion = elsewhere("is a version's: it stands in the body of `POST /features/{feature}/versions`");

const createFeature = endpoint(
  {
    method: "post",
    path: "/api/v1/features",
    tag: "computed features",
    summary: "Create a feature that is computed from a raw table",
    description:
      "The SQL is checked against the table now. The same feature again changes nothing and answers 200; another one of its name is 409. Its entities are of the type named by `entity_key`; its vector, the other columns, is the category of its name. A version is added by `POST /features/{feature}/versions`.",
    scope: "write",
    request: {
      json: () =>
        z.object({
          name: registeredName.meta({ example: "avg_transaction_amount" }),
          description: textUpTo(MAX_DESCRIPTION_CHARACTERS)
            .nullish()
            .meta({ example: "Average transaction amount per user" }),
          raw_table_id: rawTableReference,
          computation_logic: computationLogic,
          entity_key: z
            .string()
            .max(MAX_COLUMN_NAME_CHARACTERS)
            .regex(COLUMN_NAME, "must be letters, digits and `_`")
            .refine((key) => !RESERVED_TYPES.includes(key), "must not be a reserved word")
            .meta({ example: "user_id" }),
          materialize: optionalOr(z.enum(MATERIALIZATIONS), "manual").meta({
            description:
              "`on_ingest`: active versions are recomputed for the entities that new rows touch, from their rows alone, so the entity key must be the column of its name, unchanged, and the SQL may not look at other entities.",
          }),
          owner: textUpTo(MAX_NAME_CHARACTERS).min(1).nullish(),
          tags: optionalOr(z.array(textUpTo(MAX_NAME_CHARACTERS).min(1)).max(MAX_TAGS), []),
          ttl_hours: ofVersion,
          ttl_seconds: ofVersion,
          version: ofVersion,
          status: ofVersion,
        }),
    },
    answers: {
      201: { description: "Created.", schema: featureSchema },
      200: { description: "It was there before, in the same way.", schema: featureSchema },
    },
    problems: [404, 409],
  },
  async (c, { json }) => {
    const { tenant } = c.principal;
    const { tableId } = await existingTable(c, json.raw_table_id);
    const feature = {
      name: json.name,
      kind: "computed",
      entityType: json.entity_key,
      category: json.name,
      rawTableId: tableId,
      entityKey: json.entity_key,
      materialize: json.materialize,
      computationLogic: json.computation_logic,
      description: json.description ?? null,
      owner: json.owner ?? null,
      tags: json.tags,
    } as const;
    const added = await addProved(c, feature);
    if (added) return jsonAnswer(featureAnswer(added, []), 201);
    const existing = await findFeature(c.env.DB, tenant, feature.name);
    if (!existing) throw notAdded(feature, await whyNotAdded(c.env.DB, tenant, feature, null));
    assertSameFeature(existing, feature);
    const computations = await computationsOf(c.env.DB, tenant, [existing]);
    return jsonAnswer(featureAnswer(existing, computations), 200);
  },
);

/** @returns null when it could not be added, or is there already. */
async function addProved(c: AppContext, feature: Computed<NewFeature>): Promise<RegisteredFeature | null> {
  const { tenant } = c.principal;
  const { rawTableId: tableId, computationLogic: sql, entityKey, materialize } = feature;
  for (;;) {
    const proof = await assertComputable(c, { tableId, sql, entityKey, materialize });
    const added = await insertComputedFeature(c.env.DB, tenant, { feature, proof }, nowMicros());
    forgetCatalog(tenant);
    // No more often than a table has columns; or it is gone.
    if (added || !(await isOutdated(c, proof))) return added;
  }
}

const reportSchema = lazily(() =>
  z
    .object({
      feature_id: z.int().meta({ example: 1 }),
      version: z.int().meta({ example: 1 }),
      computed: z.int().meta({ description: "Entities whose vector was written.", example: 2 }),
      ...answeredSkips(),
      duration_ms: z.number().meta({ example: 12 }),
    })
    .meta({ id: "Computed" }),
);

const compute = endpoint(
  {
    method: "post",
    path: "/api/v1/features/{feature}/compute",
    tag: "computed features",
    summary: "Compute a feature",
    description: `Over the rows in the body (up to ${MAX_INGEST_ROWS}) or, without any, over the ingested rows. Writes one vector per entity; more than ${MAX_INLINE_ENTITIES} entities become a job.`,
    scope: "write",
    request: {
      param: () => z.object({ feature: textUpTo(MAX_NAME_CHARACTERS).meta({ example: "1" }) }),
      query: () =>
        z.object({
          version: z
            .string()
            .optional()
            .meta({ description: "Left out: the newest active version, else the newest.", example: "v1" }),
        }),
      json: () =>
        z
          .array(z.unknown())
          .max(MAX_INGEST_ROWS)
          .meta({
            example: [{ user_id: "user_001", transaction_amount: 150.5, transaction_date: "2024-01-15" }],
          }),
    },
    bodyOptional: true,
    requestHeaders: writeRequestHeaders,
    answers: {
      200: {
        description: "Computed.",
        schema: reportSchema,
        headers: {
          ...writeAnswerHeaders,
          [TOKEN_HEADER]: "Send it with a read that must not be older than this computation.",
        },
      },
      202: { description: "It goes on as a job.", schema: jobSchema, headers: replayedHeader },
    },
    problems: [404, 409],
  },
  async (c, { param, query, json }) => {
    const started = nowMicros();
    const { tenant } = c.principal;
    const feature = await existingFeature(c, param.feature);
    const version = computableVersion(feature, query.version);
    const table = await existingTable(c, version.tableId);
    const source = sourceOf(table.schema, json);
    return answerOnce(c, rawTableObject(c.env, tenant, table), async () => {
      const outcome = await computeByHand(requestContext(c), { feature, version, table, source });
      if (outcome.kind === "job") return jsonAnswer(jobAnswer(outcome.job), 202);
      if (outcome.kind === "refused") throw problemOf(outcome.reply);
      if (outcome.kind === "cut off") throw new Problem(409, WHY_CUT_OFF[outcome.why]);
      const report = {
        feature_id: feature.featureId,
        version: version.row.version,
        computed: outcome.written,
        skipped: outcome.skipped,
        skipped_count: outcome.skippedCount,
        duration_ms: (nowMicros() - started) / MICROS_PER_MS,
      };
      const token = encodeToken({ entity: null, bookmarks: outcome.bookmarks });
      return jsonAnswer(report, 200, { [TOKEN_HEADER]: token });
    });
  },
);

const WHY_CUT_OFF = {
  overtaken: "the version is being computed from later rows; nothing of this was written",
  erased: "rows of the table were erased meanwhile, or it took too long; nothing more of this is written",
  removed: FEATURE_REMOVED,
} as const satisfies Record<WhyCutOff, string>;

function sourceOf(schema: RawSchema, rows: readonly unknown[] | undefined): ComputeSource {
  if (rows === undefined || rows.length === 0) return { kind: "ingested" };
  const checked = checkRows(schema, rows, ["body"]);
  if (!checked.ok) throw new Problem(400, "rows do not fit their table", { errors: checked.faults });
  return {
    kind: "given",
    parts: jsonParts(checked.rows),
    count: rows.length,
    longestText: checked.longestText,
  };
}

export const computedFeatureEndpoints = [createFeature, compute];
