/** The variables of `wrangler.toml`, read once per isolate into the types that the code wants. */
import { Problem } from "./errors.ts";
import { KV_MIN_EXPIRATION_SECONDS, MAX_GROUP_WRITES, MIN_API_KEY_SECRET_CHARACTERS } from "./limits.ts";
import { LOG_LEVELS, type Log, type LogLevel } from "./log.ts";

export interface Settings {
  isDevelopment: boolean;
  logLevel: LogLevel;
  writerPartitions: number;
  /** Writes that one transaction takes at most. */
  writerGroupWrites: number;
  /** Where writers are made, near the database; empty: where the first write comes from. */
  locationHint: (typeof LOCATION_HINTS)[number];
  memoryTtlMs: number;
  documentTtlSeconds: number;
  /** Origins that may call from a browser; `"*"` in development. */
  corsOrigins: "*" | string[];
  queueStorage: "durable" | "memory";
  historyRetentionDays: number;
  /** The pepper of API keys. Null when it is missing or too short: then no key is accepted. */
  apiKeySecret: string | null;
  rateLimit: "on" | "off";
  metrics: "on" | "off";
  /** Opens `/metrics`, as an `admin` key of the tenant `default` does; null when it is not set. */
  metricsToken: string | null;
  /** Null when there is no StatsD server. */
  statsd: { host: string; port: number; prefix: string; tags: "datadog" | "none" } | null;
  /** The topic of `kafka-rest` subscriptions that name none. */
  topicName: string;
  /** The longest wait before a failed delivery's second try; each further one is doubled. */
  deliveryFirstRetryMs: number;
  deliveryTimeoutMs: number;
}

/** What every part of the service works with, whoever asks it. */
export interface ServiceContext {
  env: Env;
  settings: Settings;
  log: Log;
}

/**
 * @param purpose What cannot be done without it, for the caller.
 * @throws Problem 503 where the service has none: what is made without one would be worthless later.
 */
export function pepperOf({ apiKeySecret }: Settings, purpose: string): string {
  if (apiKeySecret !== null) return apiKeySecret;
  throw new Problem(503, `${purpose}: the service has no API_KEY_SECRET of a sufficient length`);
}

let cached: { env: Env; settings: Settings } | undefined;

export function settings(env: Env): Settings {
  if (cached?.env !== env) cached = { env, settings: readSettings(env) };
  return cached.settings;
}

/** Those that D1 and Durable Objects both know; empty: wherever they are first asked from. */
const LOCATION_HINTS = ["", "wnam", "enam", "weur", "eeur", "apac", "oc"] as const;

/** @throws Error naming the variable, when one is not what it must be: a deployment mistake, found at once. */
export function readSettings(env: Env): Settings {
  const isDevelopment = env.ENVIRONMENT === "development";
  return {
    isDevelopment,
    logLevel: oneOf("LOG_LEVEL", String(env.LOG_LEVEL).toUpperCase(), LOG_LEVELS),
    writerPartitions: integerBetween("WRITER_PARTITIONS", env.WRITER_PARTITIONS, 1, 1024),
    writerGroupWrites: integerBetween("WRITER_GROUP_WRITES", env.WRITER_GROUP_WRITES, 1, MAX_GROUP_WRITES),
    locationHint: oneOf("LOCATION_HINT", env.LOCATION_HINT ?? "", LOCATION_HINTS),
    memoryTtlMs: integerBetween("MEMORY_TTL_MS", env.MEMORY_TTL_MS, 0, 60_000),
    documentTtlSeconds: integerBetween(
      "DOCUMENT_TTL_SECONDS",
      env.DOCUMENT_TTL_SECONDS,
      // Twice what KV takes: its clock may be ahead of ours.
      2 * KV_MIN_EXPIRATION_SECONDS,
      365 * 86_400,
    ),
    corsOrigins: isDevelopment
      ? "*"
      : (env.CORS_ORIGINS ?? "")
          .split(",")
          .map((origin) => origin.trim())
          .filter(Boolean),
    queueStorage: oneOf("QUEUE_STORAGE", env.QUEUE_STORAGE, ["durable", "memory"] as const),
    historyRetentionDays: integerBetween("HISTORY_RETENTION_DAYS", env.HISTORY_RETENTION_DAYS, 1, 36_500),
    apiKeySecret: secretOf(env.API_KEY_SECRET),
    rateLimit: oneOf("RATE_LIMIT", env.RATE_LIMIT ?? "on", ["on", "off"] as const),
    metrics: oneOf("METRICS", env.METRICS ?? "on", ["on", "off"] as const),
    metricsToken: env.METRICS_TOKEN || null,
    statsd: env.STATSD_HOST
      ? {
          host: env.STATSD_HOST,
          port: integerBetween("STATSD_PORT", env.STATSD_PORT ?? "8125", 1, 65_535),
          prefix: env.STATSD_PREFIX ?? "feature_store",
          tags: oneOf("STATSD_TAGS", env.STATSD_TAGS ?? "datadog", ["datadog", "none"] as const),
        }
      : null,
    topicName: env.TOPIC_NAME || "feature-availability",
    deliveryFirstRetryMs: integerBetween("DELIVERY_FIRST_RETRY_MS", env.DELIVERY_FIRST_RETRY_MS, 1, 600_000),
    deliveryTimeoutMs: integerBetween("DELIVERY_TIMEOUT_MS", env.DELIVERY_TIMEOUT_MS, 50, 60_000),
  };
}

function secretOf(text: string | undefined): string | null {
  return text !== undefined && text.length >= MIN_API_KEY_SECRET_CHARACTERS ? text : null;
}

function integerBetween(name: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Error(`variable ${name} must be a whole number from ${least} to ${most}`);
}

function oneOf<T extends string>(name: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === text);
  if (found === undefined) throw new Error(`variable ${name} must be one of ${allowed.join(", ")}`);
  return found;
}
