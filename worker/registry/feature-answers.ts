/** A registered feature as it is answered. Pure. */
import * as z from "zod";
import { FEATURE_KINDS, MATERIALIZATIONS, VERSION_STATUSES } from "../db/column-values.ts";
import { answeredTimestamp } from "../http/fields.ts";
import { parseJson } from "../json.ts";
import { lazily } from "../lazily.ts";
import { formatTimestamp, type Micros, SECONDS_PER_HOUR, timestampOrNull } from "../timestamps.ts";
import { type RegisteredFeature, type RegisteredVersion, wordsOfVersion } from "./registry-store.ts";
import { newestActive } from "./versions.ts";

const words = lazily(() => ({
  description: z.string().nullable(),
  owner: z.string().nullable(),
  tags: z.array(z.string()).meta({ example: ["revenue", "prediction"] }),
}));

const definition = lazily(() => ({
  dtype: z.string().meta({ description: "`vector` of a computed feature.", example: "float64" }),
  computation_logic: z
    .string()
    .nullable()
    .meta({ description: "The SQL of a computed feature.", example: null }),
  ttl_hours: z.number().nullable().meta({ example: 24 }),
  ttl_seconds: z.number().nullable().meta({ example: 86400 }),
  default_value: z.unknown().meta({ example: null }),
  status: z.enum(VERSION_STATUSES),
}));

export const versionSchema = lazily(() =>
  z
    .object({
      id: z.int().meta({ description: "Another name of `feature_version_id`.", example: 1 }),
      feature_version_id: z.int().meta({ example: 1 }),
      feature_id: z.int().meta({ example: 1 }),
      version: z.int().meta({ example: 1 }),
      ...definition(),
      ...words(),
      computation: z
        .object({
          computed_at: answeredTimestamp.nullable(),
          failed_at: answeredTimestamp.nullable(),
          last_error: z.string().nullable(),
        })
        .nullable()
        .meta({ description: "How the last computations went; null when there was none." }),
      created_at: answeredTimestamp,
      updated_at: answeredTimestamp,
    })
    .meta({ id: "FeatureVersion" }),
);

export const featureSchema = lazily(() =>
  z
    .object({
      id: z.int().meta({ description: "Another name of `feature_id`.", example: 1 }),
      feature_id: z.int().meta({ example: 1 }),
      name: z.string().meta({ example: "user_lifetime_value" }),
      entity_type: z.string().meta({ example: "user" }),
      category: z.string().meta({ example: "default" }),
      kind: z.enum(FEATURE_KINDS),
      raw_table_id: z.int().nullable().meta({ example: null }),
      entity_key: z.string().nullable().meta({ example: null }),
      materialize: z.enum(MATERIALIZATIONS).nullable(),
      computation_logic: z.string().nullable().meta({ example: null }),
      ...words(),
      version: z.int().nullable().meta({
        description:
          "The one that was asked for, else the one that the bare name means; null when none is active. What is said here is said of it.",
        example: 1,
      }),
      dtype: z.string().nullable().meta({ example: "float64" }),
      ttl_hours: z.number().nullable().meta({ example: 24 }),
      versions: z.array(versionSchema()),
      created_at: answeredTimestamp,
      updated_at: answeredTimestamp,
    })
    .meta({ id: "Feature" }),
);

/** How a version's computations went, as D1 has it. */
interface Computation {
  featureId: number;
  version: number;
  computedAt: Micros | null;
  failedAt: Micros | null;
  lastError: string | null;
}

/** @param computations Of any features. */
export function versionAnswer(
  feature: RegisteredFeature,
  row: RegisteredVersion,
  computations: readonly Computation[],
) {
  const computation = computations.find(
    ({ featureId, version }) => featureId === feature.featureId && version === row.version,
  );
  return {
    id: row.versionId,
    feature_version_id: row.versionId,
    feature_id: feature.featureId,
    version: row.version,
    dtype: row.dtype,
    computation_logic: row.computationLogic,
    ttl_hours: hoursOf(row.ttlSeconds),
    ttl_seconds: row.ttlSeconds,
    default_value: row.defaultValue === null ? null : parseJson(row.defaultValue),
    status: row.status,
    ...wordsOfVersion(feature, row),
    computation: computation
      ? {
          computed_at: timestampOrNull(computation.computedAt),
          failed_at: timestampOrNull(computation.failedAt),
          last_error: computation.lastError,
        }
      : null,
    created_at: formatTimestamp(row.createdAt),
    updated_at: formatTimestamp(row.updatedAt),
  };
}

/**
 * @param computations Of any features.
 * @param asked The version that was named; null: the one that the bare name means.
 */
export function featureAnswer(
  feature: RegisteredFeature,
  computations: readonly Computation[],
  asked: RegisteredVersion | null = null,
) {
  const shown = asked ?? newestActive(feature.versions);
  return {
    id: feature.featureId,
    feature_id: feature.featureId,
    name: feature.name,
    entity_type: feature.entityType,
    category: feature.category,
    kind: feature.kind,
    raw_table_id: feature.rawTableId,
    entity_key: feature.entityKey,
    materialize: feature.materialize,
    computation_logic: shown?.computationLogic ?? feature.computationLogic,
    ...wordsOfVersion(feature, shown),
    version: shown?.version ?? null,
    dtype: shown?.dtype ?? null,
    ttl_hours: hoursOf(shown?.ttlSeconds ?? null),
    versions: feature.versions.map((row) => versionAnswer(feature, row, computations)),
    created_at: formatTimestamp(feature.createdAt),
    updated_at: formatTimestamp(Math.max(feature.updatedAt, ...feature.versions.map((row) => row.updatedAt))),
  };
}

function hoursOf(seconds: number | null): number | null {
  return seconds === null ? null : seconds / SECONDS_PER_HOUR;
}
