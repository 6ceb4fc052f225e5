/** Training data: the batch route of system B. */
import * as z from "zod";
import { unavailable, unprocessable } from "../errors.ts";
import { preferredType } from "../http/accept.ts";
import { type Answer, jsonTextAnswer } from "../http/answer.ts";
import { assertAnswerSize } from "../http/answer-size.ts";
import { requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { DEFAULT_ENTITY_TYPE } from "../http/entity-type.ts";
import { answeredTimestamp, entityType, entityValue, optional, timestamp } from "../http/fields.ts";
import { assertOneOf } from "../http/one-of.ts";
import { lazily } from "../lazily.ts";
import { MAX_ENTITIES_PER_REQUEST, MAX_FEATURES_PER_REQUEST, RETRY_AFTER_SECONDS } from "../limits.ts";
import { timed } from "../monitoring/timed.ts";
import { catalogOf } from "../registry/catalog.ts";
import {
  entityTypeFor,
  ofEntityType,
  type Resolved,
  resolveReferences,
} from "../registry/resolve-references.ts";
import { featureNames } from "../serving/online-routes.ts";
import { formatTimestamp } from "../timestamps.ts";
import { PARQUET_TYPE } from "./parquet-file.ts";
import { type PastValue, type Question, readPast } from "./point-in-time.ts";
import { featuresText, type TrainingRow, trainingValue } from "./training-answers.ts";
import { trainingParquet } from "./training-parquet.ts";

const body = z.object({
  entity_ids: optional(z.array(entityValue).min(1).max(MAX_ENTITIES_PER_REQUEST)).meta({
    example: ["user_123", "user_456", "user_789"],
  }),
  timestamp: optional(timestamp),
  rows: optional(
    z
      .array(z.object({ entity_id: entityValue, timestamp }))
      .min(1)
      .max(MAX_ENTITIES_PER_REQUEST),
  ).meta({ description: "Instead of `entity_ids`: a time for each row." }),
  feature_names: featureNames
    .max(MAX_FEATURES_PER_REQUEST)
    .meta({ example: ["user_age", "user_lifetime_value"] }),
  entity_type: optional(entityType).meta({ example: "user" }),
  known_at: optional(timestamp).meta({
    description: "Only what had been ingested by then, so that a training set can be produced again.",
    example: "2025-10-13T09:15:51.358632+00:00",
  }),
});

const features = lazily(() =>
  z.record(
    z.string(),
    z.object({
      value: z.unknown().meta({ example: 34 }),
      timestamp: answeredTimestamp.nullable().meta({ description: "Its event time, never after the row's." }),
      status: z.enum(["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"]),
    }),
  ),
);

const batchSchema = lazily(() =>
  z
    .union([
      z.object({
        features: z.record(z.string(), features()),
        timestamp: answeredTimestamp,
        count: z.int().meta({ example: 3 }),
      }),
      z.object({
        rows: z.array(
          z.object({ entity_id: z.string(), timestamp: answeredTimestamp, features: features() }),
        ),
        count: z.int(),
      }),
    ])
    .meta({
      id: "TrainingData",
      description: "`features` by entity, or `rows` in the order of the request.",
    }),
);

const NDJSON_TYPE = "application/x-ndjson";
const FORMS = ["application/json", NDJSON_TYPE, PARQUET_TYPE] as const;

export const readTrainingData = endpoint(
  {
    method: "post",
    path: "/api/v1/features/batch",
    tag: "features",
    summary: "Training data: features as they were known at given times",
    description: `For each row the values with the latest event time at or before its time, within their TTL; never one of the future. With \`Accept: ${NDJSON_TYPE}\` one row a line, streamed; with \`Accept: ${PARQUET_TYPE}\` a Parquet file.`,
    scope: "read",
    request: { json: body },
    answers: {
      200: {
        description: "Every feature asked for, for every row.",
        schema: batchSchema,
        otherContentTypes: [NDJSON_TYPE, PARQUET_TYPE],
      },
    },
  },
  async (c, { json }) => {
    const context = requestContext(c);
    const catalog = await catalogOf(context);
    const references = resolveReferences(catalog, json.feature_names, ["body", "feature_names"]);
    const wildcard = references.find(({ feature, stored }) => !feature && stored === "*");
    if (wildcard) {
      const position = json.feature_names.indexOf(wildcard.asked);
      const msg = "must name a feature: training data have the same columns in every row";
      throw unprocessable({ loc: ["body", "feature_names", position], msg, type: "invalid_reference" });
    }
    const type = entityTypeFor(catalog, references, {
      asked: json.entity_type,
      fallback: DEFAULT_ENTITY_TYPE,
    });
    const resolved = ofEntityType(catalog, references, type);
    const rows = rowsOf(json);
    const { questions, positionOf } = questionsOf(resolved, type, rows);
    const db = c.env.DB.withSession("first-unconstrained");
    const read = () => readPast(db, context.tenant, questions, json.known_at ?? null);
    context.metrics?.about(type, rows.length);
    const measured = { operation: "d1.history", items: questions.length } as const;
    const found = await timed(context.metrics, measured, read).catch((cause) => {
      context.log.error("D1 did not answer for training data", cause, { rows: rows.length });
      throw unavailable("the database does not answer; try again", RETRY_AFTER_SECONDS);
    });
    const form = preferredType(c.header("accept"), FORMS);
    // Lines leave as they are made; anything else is put together first.
    const isStreamed = form === NDJSON_TYPE;
    let characters = 0;
    const valueIn = (row: TrainingRow, one: Resolved) => {
      const value = trainingValue(one, pastValue(found, positionOf, row, one), row.at);
      characters += value.json.length;
      if (!isStreamed) assertAnswerSize(characters);
      return value;
    };
    if (form === PARQUET_TYPE) return parquetAnswer(trainingParquet(resolved, rows, valueIn));
    const textOf = (row: TrainingRow) => featuresText(resolved, (one) => valueIn(row, one));
    if (isStreamed) return streamRows(rows, textOf);
    const text = json.rows
      ? `{"rows":[${rows.map((row) => rowText(row, textOf(row))).join(",")}],"count":${rows.length}}`
      : byEntity(rows, textOf);
    return jsonTextAnswer(text);
  },
);

function rowsOf({ entity_ids, rows, timestamp: at }: z.output<typeof body>): TrainingRow[] {
  assertOneOf(["body", "rows"], { entity_ids, rows });
  if (rows) return rows.map((row) => ({ entityId: row.entity_id, at: row.timestamp }));
  if (at === undefined)
    throw unprocessable({ loc: ["body", "timestamp"], msg: "is needed with entity_ids", type: "missing" });
  return [...new Set(entity_ids)].map((entityId) => ({ entityId, at }));
}

const questionKey = (row: TrainingRow, category: string) => JSON.stringify([row.entityId, row.at, category]);

/** One question for each distinct entity, time and category. */
function questionsOf(resolved: readonly Resolved[], type: string, rows: readonly TrainingRow[]) {
  const byCategory = Map.groupBy(
    resolved.filter(({ category }) => category !== null),
    ({ category }) => category ?? "",
  );
  const questions: Question[] = [];
  const positionOf = new Map<string, number>();
  for (const row of rows) {
    for (const [category, wanted] of byCategory) {
      const key = questionKey(row, category);
      if (positionOf.has(key)) continue;
      positionOf.set(key, questions.length);
      const names = [...new Set(wanted.map(({ stored }) => stored))];
      questions.push({ entityType: type, entityValue: row.entityId, category, at: row.at, features: names });
    }
  }
  return { questions, positionOf };
}

function pastValue(
  found: readonly ReadonlyMap<string, PastValue>[],
  positionOf: ReadonlyMap<string, number>,
  row: TrainingRow,
  { category, stored }: Resolved,
): PastValue | undefined {
  if (category === null) return undefined;
  return found[positionOf.get(questionKey(row, category)) ?? -1]?.get(stored);
}

function rowText({ entityId, at }: TrainingRow, text: string): string {
  return `{"entity_id":${JSON.stringify(entityId)},"timestamp":"${formatTimestamp(at)}","features":${text}}`;
}

function byEntity(rows: readonly TrainingRow[], textOf: (row: TrainingRow) => string): string {
  const entities = rows.map((row) => `${JSON.stringify(row.entityId)}:${textOf(row)}`);
  const [first] = rows;
  return `{"features":{${entities.join(",")}},"timestamp":"${formatTimestamp(first?.at ?? 0)}","count":${rows.length}}`;
}

/** Lines leave as they are made: a large answer never stands in memory as a whole. */
function streamRows(rows: readonly TrainingRow[], textOf: (row: TrainingRow) => string): Response {
  const encoder = new TextEncoder();
  const remaining = rows.values();
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const { value: row, done } = remaining.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(`${rowText(row, textOf(row))}\n`));
    },
  });
  return new Response(stream, { headers: { "content-type": NDJSON_TYPE } });
}

function parquetAnswer(file: Uint8Array<ArrayBuffer>): Answer {
  return { status: 200, body: file, contentType: PARQUET_TYPE, headers: {} };
}

export const historyEndpoints = [readTrainingData];
