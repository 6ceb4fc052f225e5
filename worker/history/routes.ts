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
import { fromHistory, type ReadRows, readTrainingRows } from "./read-training-rows.ts";
import { featuresText, type TrainingRow, type TrainingValue } from "./training-answers.ts";
import { assertColumnNames, trainingParquet } from "./training-parquet.ts";
import type { ValueIn } from "./training-questions.ts";
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
    const read = fromHistory(
      c.env.DB.withSession("first-unconstrained"),
      context.tenant,
      json.known_at ?? null,
    );
    context.metrics?.about(asked.entityType, rows.length);
    const parts = readTrainingRows(asked, (questions, mostBytes) =>
      timed(context.metrics, { operation: "d1.history", items: questions.length }, () =>
        read(questions, mostBytes),
      ).catch((cause) => {
        context.log.error("D1 did not answer for training data", cause, { rows: rows.length });
        throw unavailable("the database does not answer; try again", RETRY_AFTER_SECONDS);
      }),
    );
    const textIn = (valueIn: ValueIn) => (row: TrainingRow) =>
      featuresText(columns, (column) => valueIn(row, column));
    // Lines leave as they are made; anything else is put together first.
    if (form === NDJSON_TYPE) return streamRows(parts, textIn);
    let characters = 0;
    const count = (text: string) => {
      characters += text.length;
      assertAnswerSize(characters);
    };
    if (form === PARQUET_TYPE) {
      const values = new Map(columns.map((column) => [column, [] as TrainingValue[]]));
      for await (const part of parts) {
        for (const [column, all] of values) {
          for (const row of part.rows) {
            const value = part.valueIn(row, column);
            count(value.json);
            all.push(value);
          }
        }
      }
      return parquetAnswer(trainingParquet(columns, rows, (column) => values.get(column) ?? []).file);
    }
    // By entity one that was asked for twice stands once.
    const texts = new Map<unknown, string>();
    const written = json.rows ? rowText : entityText;
    for await (const part of parts) {
      const textOf = textIn(part.valueIn);
      for (const row of part.rows) {
        const text = written(row, textOf(row));
        count(text);
        texts.set(json.rows ? row : row.entityId, text);
      }
    }
    const all = [...texts.values()].join(",");
    return jsonTextAnswer(
      json.rows
        ? `{"rows":[${all}],"count":${texts.size}}`
        : `{"features":{${all}},"timestamp":"${formatTimestamp(rows[0]?.at ?? 0)}","count":${texts.size}}`,
    );
  },
);

function rowText({ entityId, at }: TrainingRow, text: string): string {
  return `{"entity_id":${JSON.stringify(entityId)},"timestamp":"${formatTimestamp(at)}","features":${text}}`;
}

function entityText({ entityId }: TrainingRow, text: string): string {
  return `${JSON.stringify(entityId)}:${text}`;
}

/** Lines leave as they are made: a large answer never stands in memory as a whole. The first part is there before it begins. */
async function streamRows(
  parts: AsyncGenerator<ReadRows>,
  textIn: (valueIn: ValueIn) => (row: TrainingRow) => string,
): Promise<Response> {
  const encoder = new TextEncoder();
  const linesOf = ({ rows, valueIn }: ReadRows) => {
    const textOf = textIn(valueIn);
    return rows.values().map((row) => encoder.encode(`${rowText(row, textOf(row))}\n`));
  };
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

function parquetAnswer(file: Uint8Array<ArrayBuffer>): Answer {
  return { status: 200, body: file, contentType: PARQUET_TYPE, headers: {} };
}

export const historyEndpoints = [readTrainingData];
