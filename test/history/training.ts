/** Writing histories and asking for training data, as the tests of the history do. */
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { type Answer, type BatchWritten, post, WRITER } from "../setup/http.ts";
import { type Event, isoOf, type Past } from "./oracle.ts";

export interface TrainingRows {
  rows: { entity_id: string; timestamp: string; features: Record<string, Past> }[];
  count: number;
}

export interface TrainingByEntity {
  features: Record<string, Record<string, Past>>;
  timestamp: string;
  count: number;
}

export interface Row {
  entity_id: string;
  timestamp: string;
}

export const register = async (name: string, over: Record<string, unknown> = {}) => {
  const definition = { name, version: 1, dtype: "float64", entity_type: "user", ...over };
  const { status, text } = await post("/features/register", definition);
  expect(status, text).toBe(201);
};

/** Writes all, in order, in one request. @returns when the store had learned them. */
export async function writeAll(events: readonly Event[]): Promise<string> {
  const data = events.map(({ entity, category, mode, data: features, atMs, ttlSeconds }) => ({
    entity_type: "user",
    entity_value: entity,
    feature_list: [{ category, mode, features, event_timestamp: isoOf(atMs), ttl_seconds: ttlSeconds }],
  }));
  const { status, body, text } = await post<BatchWritten>("/items/batch", { metadata: WRITER, data });
  expect(status, text.slice(0, 500)).toBe(200);
  expect(body.results.filter(({ outcome }) => outcome === "rejected")).toEqual([]);
  return body.timestamp;
}

/**
 * As if the store had learned each row of these entities, by their prefix, so many days after it was true.
 *
 * @param lagDays SQL of the row. What is less than a second stays, so that no two rows become one.
 */
export const ingestedLater = (prefix: string, lagDays: string) =>
  env.DB.prepare(
    `UPDATE feature_history SET ingested_at = event_time + (${lagDays}) * 86400000000 + ingested_at % 1000000
     WHERE entity_value LIKE ? || '%'`,
  )
    .bind(prefix)
    .run();

/** A write of the category `alpha` that replaces it, unless it says otherwise. */
export const event = (entity: string, data: Event["data"], over: Partial<Event> = {}): Event => ({
  ...{ entity, category: "alpha", mode: "replace", data, atMs: 0, ttlSeconds: null },
  ...over,
});

export const askRows = (
  rows: readonly Row[],
  names: readonly string[],
  over: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Promise<Answer<TrainingRows>> =>
  post<TrainingRows>(
    "/features/batch",
    { rows, feature_names: names, entity_type: "user", ...over },
    headers,
  );

/** `value status` of each feature of one entity at one time. */
export async function pastOf(entity: string, atMs: number, names: readonly string[]): Promise<string[]> {
  const { body, text } = await askRows([{ entity_id: entity, timestamp: isoOf(atMs) }], names);
  return names.map((name) => {
    const { value, status } = body.rows?.[0]?.features[name] ?? {};
    return status ? `${JSON.stringify(value)} ${status}` : text;
  });
}
