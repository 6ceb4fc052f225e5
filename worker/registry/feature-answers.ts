/** A registered feature as it is answered. Pure. */
import * as z from "zod";
import { answeredTimestamp } from "../http/fields.ts";
import { parseJson } from "../json.ts";
import { formatTimestamp } from "../timestamps.ts";
import type { RegisteredFeature, VersionRow } from "./registry-store.ts";

const HOUR_SECONDS = 3_600;

const definition = {
  dtype: z.string().meta({ example: "float64" }),
  ttl_hours: z.number().nullable().meta({ example: 24 }),
  ttl_seconds: z.number().nullable().meta({ example: 86400 }),
  default_value: z.unknown().meta({ example: null }),
  status: z.enum(["draft", "active", "deprecated"]),
};

export const versionSchema = z
  .object({
    feature_version_id: z.int().meta({ example: 1 }),
    feature_id: z.int().meta({ example: 1 }),
    version: z.int().meta({ example: 1 }),
    ...definition,
    created_at: answeredTimestamp,
    updated_at: answeredTimestamp,
  })
  .meta({ id: "FeatureVersion" });

export const featureSchema = z
  .object({
    feature_id: z.int().meta({ example: 1 }),
    name: z.string().meta({ example: "user_lifetime_value" }),
    entity_type: z.string().meta({ example: "user" }),
    category: z.string().meta({ example: "default" }),
    description: z.string().nullable(),
    owner: z.string().nullable(),
    tags: z.array(z.string()).meta({ example: ["revenue", "prediction"] }),
    version: z
      .int()
      .nullable()
      .meta({ description: "The one that the bare name means; null when none is active.", example: 1 }),
    dtype: z.string().nullable().meta({ example: "float64" }),
    ttl_hours: z.number().nullable().meta({ example: 24 }),
    versions: z.array(versionSchema),
    created_at: answeredTimestamp,
    updated_at: answeredTimestamp,
  })
  .meta({ id: "Feature" });

export function versionAnswer(featureId: number, row: VersionRow) {
  return {
    feature_version_id: row.versionId,
    feature_id: featureId,
    version: row.version,
    dtype: row.dtype,
    ttl_hours: hoursOf(row.ttlSeconds),
    ttl_seconds: row.ttlSeconds,
    default_value: row.defaultValue === null ? null : parseJson(row.defaultValue),
    status: row.status,
    created_at: formatTimestamp(row.createdAt),
    updated_at: formatTimestamp(row.updatedAt),
  };
}

export function featureAnswer(feature: RegisteredFeature) {
  const active = feature.versions.findLast(({ status }) => status === "active");
  return {
    feature_id: feature.featureId,
    name: feature.name,
    entity_type: feature.entityType,
    category: feature.category,
    description: feature.description,
    owner: feature.owner,
    tags: JSON.parse(feature.tags) as string[],
    version: active?.version ?? null,
    dtype: active?.dtype ?? null,
    ttl_hours: hoursOf(active?.ttlSeconds ?? null),
    versions: feature.versions.map((row) => versionAnswer(feature.featureId, row)),
    created_at: formatTimestamp(feature.createdAt),
    updated_at: formatTimestamp(feature.versions.at(-1)?.updatedAt ?? feature.updatedAt),
  };
}

function hoursOf(seconds: number | null): number | null {
  return seconds === null ? null : seconds / HOUR_SECONDS;
}
