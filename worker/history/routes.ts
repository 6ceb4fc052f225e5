/** Training data: the batch route of system B. */
import * as z from "zod";
import { databasesOf } from "../db/entity-databases.ts";
import { unavailable } from "../errors.ts";
import { preferredType } from "../http/accept.ts";
import { type Answer, jsonTextAnswer } from "../http/answer.ts";
import { assertAnswerSize } from "../http/answer-size.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredTimestamp, optional } from "../http/fields.ts";
import { databaseOf } from "../keys.ts";
import { lazily } from "../lazily.ts";
import { MAX_ENTITIES_PER_REQUEST } from "../limits.ts";
import { timed } from "../monitoring/timed.ts";
import { VALUE_STATUSES } from "../monitoring/value-tally.ts";
import { sessionStart } from "../serving/consistency.ts";
import {
  consistency,
  oneConsistency,
  queryBesideBody,
  readContext,
  TOKEN_HEADER,
} from "../serving/read-context.ts";
import { type ReadContext, requirementsOf } from "../serving/read-entities.ts";
import { spreadOf } from "../tenants/spread.ts";
import { formatTimestamp, type Micros } from "../timestamps.ts";
import { RETRY_AFTER_SECONDS } from "../timings.ts";
import { PARQUET_TYPE } from "./parquet-file.ts";
import {
  addValues,
  fromHistory,
  noValues,
  type ReadQuestions,
  type ReadRows,
  readTrainingRows,
} from "./read-training-rows.ts";
import { featuresText, type TrainingColumn, type TrainingRow } from "./training-answers.ts";
import { assertColumnNames, trainingParquet } from "./training-parquet.ts";
import { type AskedRows, askedRows, trainingRequest } from "./training-request.ts";

const body = lazily(() =>
  trainingRequest(MAX_ENTITIES_PER_REQUEST).extend({ consistency: optional(consistency) }),
);

const features = lazily(() =>
  z.record(
    z.string(),
    z.object({
      value: z.unknown().meta({ example: 34 }),
      timestamp: answeredTimestamp.nullable().meta({ description: "Its event time, never after the row's." }),
      status: z.enum(VALUE_STATUSES),
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

const readTrainingData = endpoint(
  {
    method: "post",
    path: "/api/v1/features/batch",
    tag: "features",
    summary: "Training data: features as they were known at given times",
    description: `For each row the values with the latest event time at or before its time, within their TTL; never one of the future. With \`Accept: ${NDJSON_TYPE}\` one row a line, streamed; with \`Accept: ${PARQUET_TYPE}\` a Parquet file.`,
    scope: "read",
    request: { query: queryBesideBody, json: body },
    requestHeaders: { [TOKEN_HEADER]: "Of an earlier write: the answer is never older than it." },
    answers: {
      200: {
        description: "Every feature asked for, for every row.",
        schema: batchSchema,
        otherContentTypes: [NDJSON_TYPE, PARQUET_TYPE],
      },
    },
  },
  async (c, { query, json }) => {
    const context = readContext(c, oneConsistency(query.consistency, json.consistency));
    const asked = await askedRows(context, json);
    const form = preferredType(c.header("accept"), FORMS);
    if (form === PARQUET_TYPE) assertColumnNames(asked.columns);
    context.metrics?.about(asked.entityType, asked.rows.length);
    const parts = readTrainingRows(asked, await historyOf(context, asked, json.known_at ?? null));
    if (form === NDJSON_TYPE) return streamRows(asked, parts);
    if (form === PARQUET_TYPE) return parquetAnswer(asked, parts);
    return jsonRows(asked, parts, json.rows ? "row" : "entity");
  },
);

/** Read and measured as one of the request's own operations. No cache knows the past: it is D1 that has to be fresh enough. */
async function historyOf(
  context: ReadContext,
  { entityType, rows }: AskedRows,
  knownAt: Micros | null,
): Promise<ReadQuestions> {
  const { env, tenant, metrics, log } = context;
  const databases = await spreadOf(context, tenant);
  const refs = rows.map(({ entityId }) => ({ entityType, entityValue: entityId }));
  const required = Map.groupBy(requirementsOf(context, refs), ({ ref }) => databaseOf(ref, databases));
  const sessions = databasesOf(env, databases).map((db, database) => {
    const requirements = required.get(database)?.map(({ requirement }) => requirement) ?? [];
    // A replica may not have learned yet what was known by then: the same request must say the same for ever.
    return db.withSession(knownAt === null ? sessionStart(requirements, database) : "first-primary");
  });
  const read = fromHistory(sessions, tenant, knownAt);
  return (questions, mostBytes) =>
    timed(metrics, { operation: "d1.history", items: questions.length }, () =>
      read(questions, mostBytes),
    ).catch((cause) => {
      log.error("D1 did not answer for training data", cause, { rows: rows.length });
      throw unavailable("the database does not answer; try again", RETRY_AFTER_SECONDS);
    });
}

type Parts = AsyncGenerator<ReadRows>;

/** @param by Under what a row stands: an entity that was asked for twice stands once. */
async function jsonRows({ columns, rows }: AskedRows, parts: Parts, by: "row" | "entity"): Promise<Answer> {
  const texts = new Map<unknown, string>();
  let characters = 0;
  for await (const part of parts) {
    for (const row of part.rows) {
      const features = featuresIn(part, row, columns);
      const text = by === "row" ? rowText(row, features) : entityText(row, features);
      characters += text.length;
      assertAnswerSize(characters);
      texts.set(by === "row" ? row : row.entityId, text);
    }
  }
  const all = [...texts.values()].join(",");
  return jsonTextAnswer(
    by === "row"
      ? `{"rows":[${all}],"count":${texts.size}}`
      : `{"features":{${all}},"timestamp":"${formatTimestamp(rows[0]?.at ?? 0)}","count":${texts.size}}`,
  );
}

async function parquetAnswer({ columns, rows }: AskedRows, parts: Parts): Promise<Answer> {
  const values = noValues(columns);
  let characters = 0;
  for await (const part of parts) {
    characters += addValues(values, part);
    assertAnswerSize(characters);
  }
  const { file } = trainingParquet(columns, rows, (column) => values.get(column) ?? []);
  return { status: 200, body: file, contentType: PARQUET_TYPE, headers: {} };
}

const featuresIn = ({ valueIn }: ReadRows, row: TrainingRow, columns: readonly TrainingColumn[]) =>
  featuresText(columns, (column) => valueIn(row, column));

function rowText({ entityId, at }: TrainingRow, text: string): string {
  return `{"entity_id":${JSON.stringify(entityId)},"timestamp":"${formatTimestamp(at)}","features":${text}}`;
}

function entityText({ entityId }: TrainingRow, text: string): string {
  return `${JSON.stringify(entityId)}:${text}`;
}

/** Lines leave as they are made: a large answer never stands in memory as a whole. The first part is there before it begins. */
async function streamRows({ columns }: AskedRows, parts: Parts): Promise<Response> {
  const encoder = new TextEncoder();
  const linesOf = (part: ReadRows) =>
    part.rows.values().map((row) => encoder.encode(`${rowText(row, featuresIn(part, row, columns))}\n`));
  const first = await parts.next();
  let lines = first.done ? [].values() : linesOf(first.value);
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      let line = lines.next();
      if (line.done) {
        const part = await parts.next();
        if (part.done) return controller.close();
        lines = linesOf(part.value);
        line = lines.next();
      }
      if (!line.done) controller.enqueue(line.value);
    },
  });
  return new Response(stream, { headers: { "content-type": NDJSON_TYPE } });
}

export const historyEndpoints = [readTrainingData];
