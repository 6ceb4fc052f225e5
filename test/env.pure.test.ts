import { expect, test } from "vitest";
import { readSettings, settings } from "../worker/env.ts";
import { MIN_API_KEY_SECRET_CHARACTERS } from "../worker/limits.ts";

const VARS = {
  ENVIRONMENT: "production",
  LOG_LEVEL: "INFO",
  WRITER_PARTITIONS: "4",
  WRITER_GROUP_WRITES: "1000",
  MEMORY_TTL_MS: "1000",
  DOCUMENT_TTL_SECONDS: "86400",
  CORS_ORIGINS: "",
  QUEUE_STORAGE: "durable",
  HISTORY_RETENTION_DAYS: "90",
  RATE_LIMIT: "on",
  METRICS: "on",
  STATSD_HOST: "",
  STATSD_PORT: "8125",
  STATSD_PREFIX: "feature_store",
  STATSD_TAGS: "datadog",
  TOPIC_NAME: "feature-availability",
  DELIVERY_FIRST_RETRY_MS: "5000",
  DELIVERY_TIMEOUT_MS: "10000",
};

const SECRET = "s".repeat(MIN_API_KEY_SECRET_CHARACTERS);

const envOf = (vars: Record<string, string | undefined>) => ({ ...VARS, ...vars }) as unknown as Env;

test("the variables of wrangler.toml become settings", () => {
  expect(readSettings(envOf({}))).toEqual({
    isDevelopment: false,
    logLevel: "INFO",
    locationHint: "",
    writerPartitions: 4,
    writerGroupWrites: 1_000,
    memoryTtlMs: 1_000,
    documentTtlSeconds: 86_400,
    corsOrigins: [],
    queueStorage: "durable",
    historyRetentionDays: 90,
    apiKeySecret: null,
    rateLimit: "on",
    metrics: "on",
    metricsToken: null,
    statsd: null,
    topicName: "feature-availability",
    deliveryFirstRetryMs: 5_000,
    deliveryTimeoutMs: 10_000,
  });
});

test.each([
  [{ ENVIRONMENT: "development" }, { isDevelopment: true, corsOrigins: "*" }],
  [{ ENVIRONMENT: "development", CORS_ORIGINS: "https://a.test" }, { corsOrigins: "*" }],
  // Only the exact word opens the doors of development.
  [{ ENVIRONMENT: "Development" }, { isDevelopment: false, corsOrigins: [] }],
  [{ ENVIRONMENT: "" }, { isDevelopment: false, corsOrigins: [] }],
  [{ ENVIRONMENT: "staging", CORS_ORIGINS: "https://a.test" }, { corsOrigins: ["https://a.test"] }],
  [
    { CORS_ORIGINS: " https://a.test ,, https://b.test," },
    { corsOrigins: ["https://a.test", "https://b.test"] },
  ],
  [{ LOG_LEVEL: "debug" }, { logLevel: "DEBUG" }],
  [{ LOG_LEVEL: "Error" }, { logLevel: "ERROR" }],
  [{ WRITER_PARTITIONS: "1" }, { writerPartitions: 1 }],
  [{ WRITER_PARTITIONS: "1024" }, { writerPartitions: 1_024 }],
  [{ MEMORY_TTL_MS: "0" }, { memoryTtlMs: 0 }],
  [{ MEMORY_TTL_MS: "60000" }, { memoryTtlMs: 60_000 }],
  [{ LOCATION_HINT: "weur" }, { locationHint: "weur" }],
  [{ LOCATION_HINT: "" }, { locationHint: "" }],
  [{ DOCUMENT_TTL_SECONDS: "120" }, { documentTtlSeconds: 120 }],
  [{ DOCUMENT_TTL_SECONDS: "31536000" }, { documentTtlSeconds: 31_536_000 }],
  [{ QUEUE_STORAGE: "memory" }, { queueStorage: "memory" }],
  [{ HISTORY_RETENTION_DAYS: "1" }, { historyRetentionDays: 1 }],
  [{ HISTORY_RETENTION_DAYS: "36500" }, { historyRetentionDays: 36_500 }],
  [{ RATE_LIMIT: "off" }, { rateLimit: "off" }],
  [{ RATE_LIMIT: undefined }, { rateLimit: "on" }],
  [{ METRICS: "off" }, { metrics: "off" }],
  [{ METRICS_TOKEN: "t" }, { metricsToken: "t" }],
  [{ METRICS_TOKEN: "" }, { metricsToken: null }],
  [
    { STATSD_HOST: "stats.test" },
    { statsd: { host: "stats.test", port: 8_125, prefix: "feature_store", tags: "datadog" } },
  ],
  [{ STATSD_HOST: "stats.test", STATSD_TAGS: "none" }, { statsd: { tags: "none" } }],
  [{ TOPIC_NAME: "events" }, { topicName: "events" }],
  // A pepper that is too short is none: then no key is accepted.
  [{ API_KEY_SECRET: SECRET }, { apiKeySecret: SECRET }],
  [{ API_KEY_SECRET: SECRET.slice(1) }, { apiKeySecret: null }],
  [{ API_KEY_SECRET: "" }, { apiKeySecret: null }],
])("%j is read as %j", (vars, expected) => {
  expect(readSettings(envOf(vars))).toMatchObject(expected);
});

test.each([
  ["LOG_LEVEL", ["", "WARN", "TRACE"]],
  ["WRITER_PARTITIONS", ["0", "1025", "-4", "2.5", "four", "", "NaN", "Infinity"]],
  ["WRITER_GROUP_WRITES", ["0", "1001", "", "1.5"]],
  ["MEMORY_TTL_MS", ["-1", "60001", "0.5", "1s"]],
  ["LOCATION_HINT", ["europe", "WEUR", "sam"]],
  ["DOCUMENT_TTL_SECONDS", ["119", "31536001", "", "0", "1 day"]],
  ["QUEUE_STORAGE", ["", "Durable", "disk", undefined]],
  ["HISTORY_RETENTION_DAYS", ["0", "36501", "", "1.5", undefined]],
  ["RATE_LIMIT", ["", "ON", "no"]],
  ["METRICS", ["", "ON", "no"]],
  ["DELIVERY_FIRST_RETRY_MS", ["0", "600001", "", "5s", undefined]],
  ["DELIVERY_TIMEOUT_MS", ["49", "60001", "", undefined]],
] as const)("%s is refused by name when it is not what it must be", (name, texts) => {
  for (const text of texts)
    expect(() => readSettings(envOf({ [name]: text })), text).toThrow(`variable ${name} must be`);
});

test.each([
  ["STATSD_PORT", ["0", "65536", "", "statsd"]],
  ["STATSD_TAGS", ["", "Datadog", "graphite"]],
] as const)("%s is refused by name when there is a StatsD server", (name, texts) => {
  for (const text of texts)
    expect(() => readSettings(envOf({ STATSD_HOST: "stats.test", [name]: text })), text).toThrow(
      `variable ${name} must be`,
    );
});

test("settings are read once for each environment, and never taken from another", () => {
  const [first, second] = [envOf({}), envOf({ WRITER_PARTITIONS: "8" })];
  expect(settings(first)).toBe(settings(first));
  expect(settings(second).writerPartitions).toBe(8);
  expect(settings(first).writerPartitions).toBe(4);
});
