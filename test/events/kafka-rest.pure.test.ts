import { expect, test } from "vitest";
import { encodeEvent } from "../../worker/events/encode-event.ts";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import { isTopicName, kafkaOutcome, kafkaRequest } from "../../worker/events/kafka-rest.ts";

const EVENT: FeatureAvailable = {
  event_id: "0b9d9d0c-3c1e-4a61-9d9a-3a7f6a1f2b3c",
  event_type: "feature_available",
  timestamp: "2025-10-13T09:15:51.358632+00:00",
  event_timestamp: "2025-10-13T09:00:00.000000+00:00",
  entity_type: "bright_uid",
  entity_id: "user-語",
  resource_type: "feature",
  resource_name: "user_features",
  compute_id: null,
  features: ["age", "__proto__"],
  features_truncated: false,
  tenant_id: "default",
  revision: 3,
  schema_version: 1,
};
const TARGET = { url: "https://kafka.example.com", topic: "feature-availability", format: "json" } as const;
const bodyOf = (request: { body: Uint8Array }) => JSON.parse(Buffer.from(request.body).toString());

test("events go to the topic as JSON records, in their order, with the entity as key", () => {
  const second = { ...EVENT, entity_id: "user-2" };
  const request = kafkaRequest([EVENT, second], TARGET);
  expect(request.url).toBe("https://kafka.example.com/topics/feature-availability");
  expect(request.headers).toEqual({
    "content-type": "application/vnd.kafka.json.v2+json",
    accept: "application/vnd.kafka.v2+json, application/json",
  });
  expect(bodyOf(request)).toEqual({
    records: [
      { key: "default/bright_uid/user-%E8%AA%9E", value: EVENT },
      { key: "default/bright_uid/user-2", value: second },
    ],
  });
});

test("Avro goes as a binary record: key and value in base64", () => {
  const request = kafkaRequest([EVENT], { ...TARGET, format: "avro" });
  expect(request.headers["content-type"]).toBe("application/vnd.kafka.binary.v2+json");
  const [{ key, value }] = bodyOf(request).records;
  expect(Buffer.from(key, "base64").toString()).toBe("default/bright_uid/user-%E8%AA%9E");
  expect(new Uint8Array(Buffer.from(value, "base64"))).toEqual(encodeEvent(EVENT, "avro").body);
});

test("two entities never share a key, and all events of one do", () => {
  const keyOf = (change: Partial<FeatureAvailable>) =>
    bodyOf(kafkaRequest([{ ...EVENT, ...change }], TARGET)).records[0].key;
  const keys = [
    keyOf({ entity_type: "a/b", entity_id: "c" }),
    keyOf({ entity_type: "a", entity_id: "b/c" }),
    keyOf({ tenant_id: "a", entity_type: "b", entity_id: "c" }),
    keyOf({ tenant_id: "a/b", entity_type: "c", entity_id: "" }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
  expect(keyOf({ resource_name: "other", revision: 9 })).toBe(keyOf({}));
});

test.each([
  ["https://kafka.example.com", "https://kafka.example.com/topics/t"],
  ["https://kafka.example.com/", "https://kafka.example.com/topics/t"],
  ["https://kafka.example.com/proxy", "https://kafka.example.com/proxy/topics/t"],
  ["https://kafka.example.com/proxy//", "https://kafka.example.com/proxy/topics/t"],
  ["https://kafka.example.com/proxy?tenant=1#part", "https://kafka.example.com/proxy/topics/t?tenant=1"],
])("the topic is below the proxy's path: %s", (url, expected) => {
  expect(kafkaRequest([EVENT], { ...TARGET, url, topic: "t" }).url).toBe(expected);
});

test.each(["a", "A.b_c-9", "...", "a".repeat(249)])("%s is a topic", (topic) => {
  expect(isTopicName(topic)).toBe(true);
});

test.each(["", ".", "..", "a b", "a/b", "../a", "ä", "a\n", "a?b", "a%2fb", "a".repeat(250)])(
  "%j is no topic, and nothing is sent to it",
  (topic) => {
    expect(isTopicName(topic)).toBe(false);
    expect(() => kafkaRequest([EVENT], { ...TARGET, topic })).toThrow();
  },
);

const taken = (offset: number) => ({ partition: 0, offset, error_code: null, error: null });
const failed = (error_code: number, error = "m") => ({ partition: null, offset: null, error_code, error });
const answer = (...offsets: unknown[]) =>
  JSON.stringify({ key_schema_id: null, value_schema_id: null, offsets });

const outcomeOf = (status: number, text: string, count: number) =>
  kafkaOutcome({ status, text }, count, false);

test.each([
  ["with fields that are null", answer(taken(0), taken(100))],
  ["without them", answer({ partition: 2, offset: 0 }, { partition: 1, offset: 101 })],
  ["with fields of a later version", answer({ ...taken(1), new_field: 1 }, taken(2))],
])("all have been delivered when each has an offset: %s", (_, text) => {
  expect(outcomeOf(200, text, 2)).toEqual({ kind: "delivered" });
});

test.each([
  ["as documented, retriable", answer(taken(1), failed(2)), [1], "temporary"],
  ["as documented, not retriable", answer(failed(1), taken(1)), [0], "permanent"],
  ["as the proxy answers, retriable", answer(taken(1), failed(50_003)), [1], "temporary"],
  ["as the proxy answers, not retriable", answer(taken(1), failed(50_002)), [1], "permanent"],
  ["one of each", answer(failed(1), failed(2)), [0, 1], "temporary"],
  ["no right to write", answer(taken(1), failed(40_301)), [1], "temporary"],
  ["neither an offset nor an error", answer(taken(1), { partition: 1, offset: null }), [1], "temporary"],
  ["an offset and an error", answer(taken(1), { ...taken(2), error_code: 2 }), [1], "temporary"],
])("the answer tells which events were not taken: %s", (_, text, failedIndexes, cause) => {
  expect(outcomeOf(200, text, 2)).toMatchObject({ kind: "failed", failedIndexes, cause });
});

test("what was taken is so with an error status, too", () => {
  expect(outcomeOf(403, answer(taken(1), failed(40_301, "Not authorized")), 2)).toEqual({
    kind: "failed",
    reason: "Kafka error 40301: Not authorized",
    failedIndexes: [1],
    cause: "temporary",
  });
});

test.each([
  [
    "an error",
    404,
    '{"error_code":40401,"message":"Topic not found."}',
    "Kafka error 40401: Topic not found.",
  ],
  ["a retriable error", 500, '{"error_code":50003,"message":"later"}', "Kafka error 50003: later"],
  ["an error with a status of success", 200, '{"error_code":500,"message":"m"}', "Kafka error 500: m"],
  ["a page of a load balancer", 503, "<html>", "status 503"],
  ["nothing", 502, "", "status 502"],
  ["a redirect", 302, "", "status 302"],
  ["an error status with only offsets", 500, answer(taken(1), taken(2)), "status 500"],
  ["nothing at all", 200, "", "the answer is not that of a Kafka REST proxy"],
  ["another service", 200, "ok", "the answer is not that of a Kafka REST proxy"],
  ["null", 200, "null", "the answer is not that of a Kafka REST proxy"],
  ["too few offsets", 200, answer(taken(1)), "the answer is not that of a Kafka REST proxy"],
  [
    "too many offsets",
    200,
    answer(taken(1), taken(2), taken(3)),
    "the answer is not that of a Kafka REST proxy",
  ],
  ["offsets that are none", 200, answer("a", "b"), "the answer is not that of a Kafka REST proxy"],
])("none counts as taken when the answer does not say it of each: %s", (_, status, text, reason) => {
  expect(outcomeOf(status, text, 2)).toEqual({
    kind: "failed",
    reason,
    failedIndexes: [0, 1],
    cause: "temporary",
  });
});

test("the proxy's words are kept short and on one line", () => {
  const outcome = outcomeOf(
    500,
    JSON.stringify({ error_code: 1, message: `a\r\n\u0000b${"x".repeat(9_999)}` }),
    1,
  );
  expect(outcome).toMatchObject({ reason: expect.stringMatching(/^Kafka error 1: a bx{180,185}$/) });
});

test.each([
  ["of all records", JSON.stringify({ error_code: 40_101, message: "bad password" })],
  ["of one record", answer(failed(40_101, "bad password"), failed(2))],
])("of a request with an authorization no word of the proxy's is kept: %s", (_, text) => {
  const reason = "Kafka error 40101";
  expect(kafkaOutcome({ status: 401, text }, 2, true)).toMatchObject({ reason });
});
