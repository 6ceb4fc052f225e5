/**
 * What was known of entities at given times, from the history alone and in one query.
 *
 * Of a category at a time T the newest row with event time ≤ T decides. If it replaced the category, it decides for
 * every feature; if it merged, it decides for the features that it names, and each other one is decided by the newest
 * row that names it or replaced the category. Every step is one look-up in the primary key, so the cost of a row
 * grows with the logarithm of the history.
 */

import { jsonParts } from "../db/json-parts.ts";
import { splitObject } from "../json.ts";
import { WHOLE_CATEGORY } from "../registry/resolve-references.ts";
import type { Micros } from "../timestamps.ts";

/** The features of one category of one entity, at one time. */
export interface Question {
  entityType: string;
  entityValue: string;
  category: string;
  at: Micros;
  /** Names under which values are stored; `*` stands for all of the category, as one object. */
  features: readonly string[];
}

export interface PastValue {
  /** JSON text. */
  json: string;
  eventTime: Micros;
  /** End of the category's TTL, as it was written; null: none. */
  expiresAt: Micros | null;
}

interface FoundRow {
  question: number;
  /** Null: the row decides for all features of the question that it names, and for all when it replaced. */
  feature: string | null;
  event_time: Micros;
  expires_at: Micros | null;
  data: string;
}

/** Longer data are not sent whole: only the features asked for are cut out of them. */
const WHOLE_DATA_CHARACTERS = 4_000;

const SAME_CATEGORY = (h: string) => `${h}.tenant_id = ?1 AND ${h}.entity_type = w.entity_type
    AND ${h}.entity_value = w.entity_value AND ${h}.category = w.category`;
const NEWEST_FIRST = (h: string) => `${h}.event_time DESC, ${h}.revision DESC, ${h}.ingested_at DESC`;
const data = (
  h: string,
  features: string,
) => `CASE WHEN length(${h}.data) <= ${WHOLE_DATA_CHARACTERS} OR instr(${features}, '"${WHOLE_CATEGORY}"') THEN ${h}.data
    ELSE (SELECT json_group_object(e.key, json(${h}.data -> e.fullkey)) FROM json_each(${h}.data) AS e
          WHERE e.key IN (SELECT value FROM json_each(${features}))) END`;

/** @param knownAt Restricts to rows ingested by then; a parameter only where it is used, so that the plan stays simple. */
export function pointInTimeSql(knownAt: boolean): string {
  const known = (h: string) => (knownAt ? `AND ${h}.ingested_at <= ?3` : "");
  return `
  WITH w AS MATERIALIZED (
    SELECT ref.value ->> 0 AS question, ref.value ->> 1 AS entity_type, ref.value ->> 2 AS entity_value,
      ref.value ->> 3 AS category, ref.value ->> 4 AS at, ref.value -> 5 AS features
    FROM json_each(?2) AS ref
  ), head AS MATERIALIZED (
    SELECT w.*, h.mode AS mode, h.data AS data, h.event_time AS event_time, h.expires_at AS expires_at
    FROM w CROSS JOIN feature_history AS h
    WHERE ${SAME_CATEGORY("h")} AND (h.event_time, h.revision, h.ingested_at) = (
      SELECT n.event_time, n.revision, n.ingested_at FROM feature_history AS n
      WHERE ${SAME_CATEGORY("n")} AND n.event_time <= w.at ${known("n")}
      ORDER BY ${NEWEST_FIRST("n")} LIMIT 1)
  )
  SELECT w.question AS question, NULL AS feature, w.event_time AS event_time, w.expires_at AS expires_at,
    ${data("w", "w.features")} AS data
  FROM head AS w
  UNION ALL
  SELECT w.question, f.value, h.event_time, h.expires_at, ${data("h", "json_array(f.value)")}
  FROM head AS w CROSS JOIN json_each(w.features) AS f CROSS JOIN feature_history AS h
  WHERE w.mode = 'merge' AND NOT EXISTS (SELECT 1 FROM json_each(w.data) AS e WHERE e.key = f.value)
    AND ${SAME_CATEGORY("h")} AND (h.event_time, h.revision, h.ingested_at) = (
      SELECT n.event_time, n.revision, n.ingested_at FROM feature_history AS n
      WHERE ${SAME_CATEGORY("n")} AND n.event_time <= w.at ${known("n")}
        AND (n.mode = 'replace' OR EXISTS (SELECT 1 FROM json_each(n.data) AS e WHERE e.key = f.value))
      ORDER BY ${NEWEST_FIRST("n")} LIMIT 1)`;
}

/**
 * @param knownAt Only what had been ingested by then; null: all.
 * @returns for each question the values found, by stored name.
 */
export async function readPast(
  db: D1DatabaseSession,
  tenant: string,
  questions: readonly Question[],
  knownAt: Micros | null,
): Promise<Map<string, PastValue>[]> {
  const answers = questions.map(() => new Map<string, PastValue>());
  const rows = questions.map(({ entityType, entityValue, category, at, features }, question) => [
    question,
    entityType,
    entityValue,
    category,
    at,
    [...features],
  ]);
  const sql = pointInTimeSql(knownAt !== null);
  const statements = jsonParts(rows).map((json) =>
    knownAt === null ? db.prepare(sql).bind(tenant, json) : db.prepare(sql).bind(tenant, json, knownAt),
  );
  if (statements.length === 0) return answers;
  for (const { results } of await db.batch<FoundRow>(statements)) {
    for (const row of results) note(answers[row.question], questions[row.question], row);
  }
  return answers;
}

function note(
  answer: Map<string, PastValue> | undefined,
  question: Question | undefined,
  row: FoundRow,
): void {
  if (!answer || !question) return;
  const wanted = row.feature === null ? question.features : [row.feature];
  const values = new Map(splitObject(row.data));
  for (const name of wanted) {
    const json = name === WHOLE_CATEGORY ? row.data : values.get(name);
    if (json !== undefined) answer.set(name, { json, eventTime: row.event_time, expiresAt: row.expires_at });
  }
}
