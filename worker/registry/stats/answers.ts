/** Statistics of a feature as they are answered. Pure. */
import * as z from "zod";
import { answeredTimestamp } from "../../http/fields.ts";
import { lazily } from "../../lazily.ts";
import { formatTimestamp, MICROS_PER_SECOND, type Micros, timestampOrNull } from "../../timestamps.ts";
import type { RegisteredFeature } from "../registry-store.ts";
import type { FeatureNumbers } from "./feature-stats.ts";
import { addRollUps, EMPTY, summaryOf } from "./roll-up.ts";
import { startOf } from "./series.ts";

const numbers = lazily(() => ({
  values: z.int().meta({ description: "Values that were written, nulls included.", example: 120 }),
  nulls: z.int().meta({ example: 3 }),
  null_rate: z.number().nullable().meta({ description: "nulls / values", example: 0.025 }),
  min: z.number().nullable().meta({
    description:
      "Of numbers and booleans; true is 1. As float64, so of an int64 beyond 2^53 the nearest one.",
    example: 18,
  }),
  mean: z
    .number()
    .nullable()
    .meta({ description: "As float64; of a boolean the share of true.", example: 41.5 }),
  max: z.number().nullable().meta({ description: "As `min`.", example: 93 }),
}));

const totals = lazily(() => z.object(numbers()).meta({ id: "StatsTotals" }));

export const statsSchema = lazily(() =>
  z
    .object({
      feature_id: z.int().meta({ example: 1 }),
      name: z.string().meta({ example: "user_lifetime_value" }),
      version: z.int().meta({ example: 1 }),
      entity_type: z.string().meta({ example: "user" }),
      last_write: answeredTimestamp
        .nullable()
        .meta({ description: "When the store last learned of a value." }),
      last_event_time: answeredTimestamp
        .nullable()
        .meta({ description: "The newest event time of a value." }),
      freshness_seconds: z
        .number()
        .nullable()
        .meta({ description: "Since last_event_time; negative when that is in the future.", example: 12.5 }),
      totals: totals(),
      columns: z
        .record(z.string(), totals())
        .optional()
        .meta({ description: "Of a computed feature: each column of its vector, over all the hours." }),
      hours: z
        .array(z.object({ hour: answeredTimestamp, ...numbers() }))
        .meta({ description: "Oldest first, those in which nothing was written left out." }),
      timestamp: answeredTimestamp,
    })
    .meta({ id: "FeatureStats" }),
);

export function statsAnswer(
  feature: RegisteredFeature,
  version: number,
  { lastWrite, lastEventTime, hours, columns }: FeatureNumbers,
  now: Micros,
) {
  const total = hours.map(({ rollUp }) => rollUp).reduce(addRollUps, EMPTY);
  const ofColumns = columns.map(({ column, total: own }) => [column, summaryOf(own)] as const);
  return {
    feature_id: feature.featureId,
    name: feature.name,
    version,
    entity_type: feature.entityType,
    last_write: timestampOrNull(lastWrite),
    last_event_time: timestampOrNull(lastEventTime),
    freshness_seconds: lastEventTime === null ? null : (now - lastEventTime) / MICROS_PER_SECOND,
    totals: summaryOf(total),
    ...(feature.kind === "computed" && { columns: Object.fromEntries(ofColumns) }),
    hours: hours.map(({ hour, rollUp }) => ({ hour: formatTimestamp(startOf(hour)), ...summaryOf(rollUp) })),
    timestamp: formatTimestamp(now),
  };
}
