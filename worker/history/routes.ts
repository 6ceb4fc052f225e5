/** Training data: the batch route of system B. */
import * as z from "zod";
import { unavailable } from "../errors.ts";
import { preferredType } from "../http/accept.ts";
import { type Answer, jsonTextAnswer } from "../http/answer.ts";
import { assertAnswerSize } from "../http/answer-size.ts";
import { requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredTimestamp } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_ENTITIES_PER_REQUEST, RETRY_AFTER_SECONDS } from "../limits.ts";
import { timed } from "../monitoring/timed.ts";
import { VALUE_STATUSES } from "../monitoring/value-tally.ts";
import { formatTimestamp } from "../timestamps.ts";
import { PARQUET_TYPE } from "./parquet-file.ts";
import { readPast } from "./point-in-time.ts";
import { featuresText, type TrainingColumn, type TrainingRow } from "./training-answers.ts";
import { assertColumnNames, trainingParquet } from "./training-parquet.ts";
import { trainingQuestions, type ValueIn } from "./training-questions.ts";
import { askedRows, trainingRequest } from "./training-request.ts";

const body = trainingRequest(MAX_ENTITIES_PER_REQUEST);

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
    const asked = await askedRows(context, json);
    const { columns, rows } = asked;
    const form = preferredType(c.header("accept"), FORMS);
    if (form === PARQUET_TYPE) assertColumnNames(columns);
    const { questions, valuesIn } = trainingQuestions(asked);
    const db = c.env.DB.withSession("first-unconstrained");
    const read = () => readPast(db, context.tenant, questions, json.known_at ?? null);
    context.metrics?.about(asked.entityType, rows.length);
    const measured = { operation: "d1.history", items: questions.length } as const;
    const found = await timed(context.metrics, measured, read).catch((cause) => {
      context.log.error("D1 did not answer for training data", cause, { rows: rows.length });
      throw unavailable("the database does not answer; try again", RETRY_AFTER_SECONDS);
    });
    // Lines leave as they are made; anything else is put together first.
    const isStreamed = form === NDJSON_TYPE;
    const valueIn = valuesIn(found);
    let characters = 0;
    const boundedValueIn: ValueIn = (row, column) => {
      const value = valueIn(row, column);
      characters += value.json.length;
      if (!isStreamed) assertAnswerSize(characters);
      return value;
    };
    if (form === PARQUET_TYPE) {
      const valuesOf = (column: TrainingColumn) => rows.map((row) => boundedValueIn(row, column));
      return parquetAnswer(trainingParquet(columns, rows, valuesOf).file);
    }
    const textOf = (row: TrainingRow) => featuresText(columns, (column) => boundedValueIn(row, column));
    if (isStreamed) return streamRows(rows, textOf);
    const text = json.rows
      ? `{"rows":[${rows.map((row) => rowText(row, textOf(row))).join(",")}],"count":${rows.length}}`
      : byEntity(rows, textOf);
    return jsonTextAnswer(text);
  },
);

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
