/**
 * Events to Kafka through Confluent's REST Proxy, API v2
 * (https://docs.confluent.io/platform/current/kafka-rest/api.html). One request takes several events, and its answer
 * says of each whether it was taken.
 */
import * as z from "zod";
import type { Checked } from "../http/fields.ts";
import { entityKey } from "../keys.ts";
import { lazily } from "../lazily.ts";
import { MAX_KAFKA_REASON_CHARACTERS, MAX_TOPIC_CHARACTERS } from "../limits.ts";
import { type EventFormat, encodeEvent } from "./encode-event.ts";
import type { FeatureAvailable } from "./feature-available.ts";

type KafkaOutcome =
  | { kind: "delivered" }
  | {
      kind: "failed";
      reason: string;
      /** Which of the request's events were not taken, ascending. */
      failedIndexes: number[];
      /** `permanent`: Kafka says of each of them that the same request will fail again. */
      cause: "temporary" | "permanent";
    };

/** What Kafka takes as a topic's name. `.` and `..` it refuses, and in a URL they would lead elsewhere. */
export function isTopicName(text: string): boolean {
  return text.length <= MAX_TOPIC_CHARACTERS && /^[a-zA-Z0-9._-]+$/.test(text) && !/^\.\.?$/.test(text);
}

/**
 * The request that produces `events`, in their order, to `topic` of the proxy at `url`. A record's key is the entity,
 * so that its events stay in one partition and in order.
 *
 * @throws Error when the topic is none: {@link isTopicName} is to be asked before one is stored.
 */
export function kafkaRequest(
  events: readonly FeatureAvailable[],
  { url, topic, format }: { url: string; topic: string; format: EventFormat },
): { url: string; headers: Record<string, string>; body: Uint8Array<ArrayBuffer> } {
  if (!isTopicName(topic)) throw new Error("not the name of a topic");
  const target = new URL(url);
  target.pathname = `${target.pathname.replace(/\/+$/, "")}/topics/${topic}`;
  target.hash = "";
  const records = events.map((event) => (format === "avro" ? binaryRecord(event) : jsonRecord(event)));
  return {
    url: target.href,
    headers: {
      "content-type": `application/vnd.kafka.${format === "avro" ? "binary" : "json"}.v2+json`,
      accept: "application/vnd.kafka.v2+json, application/json",
    },
    body: new Uint8Array(new TextEncoder().encode(JSON.stringify({ records }))),
  };
}

function jsonRecord(event: FeatureAvailable) {
  return { key: recordKey(event), value: event };
}

function binaryRecord(event: FeatureAvailable) {
  const { body } = encodeEvent(event, "avro");
  return {
    key: Buffer.from(recordKey(event)).toString("base64"),
    value: Buffer.from(body).toString("base64"),
  };
}

/** With the tenant, because tenants may share a topic. */
function recordKey({ tenant_id, entity_type, entity_id }: FeatureAvailable): string {
  return `${encodeURIComponent(tenant_id)}/${entityKey({ entityType: entity_type, entityValue: entity_id })}`;
}

/** One record in the answer. It was taken when it has an offset and no error. */
const recordResult = lazily(() =>
  z.object({
    offset: z.number().nullish(),
    error_code: z.number().nullish(),
    error: z.string().nullish(),
  }),
);
type RecordResult = Checked<typeof recordResult>;
const produceAnswer = lazily(() => z.object({ offsets: z.array(recordResult()) }));
const errorAnswer = lazily(() => z.object({ error_code: z.number(), message: z.string() }));

/**
 * What the proxy's answer says about the `count` events of a request. An answer that does not say it of each means that
 * none was taken: sending one twice is allowed, losing one is not.
 *
 * @param isAuthorized Whether the request had an authorization: then nothing of the answer's words is kept, which may repeat
 * a part of it.
 */
export function kafkaOutcome(
  { status, text }: { status: number; text: string },
  count: number,
  isAuthorized: boolean,
): KafkaOutcome {
  const answer = parsed(text);
  const produced = produceAnswer().safeParse(answer);
  const fail = () => allFailed({ status, answer }, count, isAuthorized);
  if (!produced.success || produced.data.offsets.length !== count) return fail();
  const failed = [...produced.data.offsets.entries()].filter(([, result]) => !isTaken(result));
  const [first] = failed;
  // With an error status the proxy still says which records it took; when it says all, it contradicts itself.
  if (!first) return isSuccess(status) ? { kind: "delivered" } : fail();
  return {
    kind: "failed",
    reason: reasonOf(first[1].error_code, first[1].error, isAuthorized),
    failedIndexes: failed.map(([index]) => index),
    cause: failed.every(([, result]) => isPermanent(result)) ? "permanent" : "temporary",
  };
}

function allFailed(
  { status, answer }: { status: number; answer: unknown },
  count: number,
  isAuthorized: boolean,
): KafkaOutcome {
  const error = errorAnswer().safeParse(answer);
  const unreadable = isSuccess(status) ? "the answer is not that of a Kafka REST proxy" : `status ${status}`;
  return {
    kind: "failed",
    reason: error.success ? reasonOf(error.data.error_code, error.data.message, isAuthorized) : unreadable,
    failedIndexes: Array.from({ length: count }, (_, index) => index),
    // A missing topic, a wrong password or path: somebody may mend it while it is tried again.
    cause: "temporary",
  };
}

function isTaken({ offset, error_code }: RecordResult): boolean {
  return typeof offset === "number" && (error_code === null || error_code === undefined);
}

/** By the documentation 1 is not worth a repetition and 2 is; the proxy itself answers 50002 and 50003. */
function isPermanent({ error_code }: RecordResult): boolean {
  return error_code === 1 || error_code === 50_002;
}

function reasonOf(
  code: number | null | undefined,
  message: string | null | undefined,
  isAuthorized: boolean,
): string {
  const told = isAuthorized ? null : message;
  const text = `Kafka error ${code ?? "without a code"}${told ? `: ${told}` : ""}`;
  return text.replace(/\p{Cc}+/gu, " ").slice(0, MAX_KAFKA_REASON_CHARACTERS);
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
