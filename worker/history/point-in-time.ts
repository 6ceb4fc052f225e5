/**
 * What was known of entities at given times, from the history alone and in one query.
 *
 * Of a category at a time T the newest row with event time ≤ T decides. If it replaced the category, it decides for
 * every feature; if it merged, it decides for the features that it names, and each other one is decided by the newest
 * row that names it or replaced the category. Every step is one look-up in the primary key, so the cost of a row
 * grows with the logarithm of the history.
 */

import { type CurrentTable, currentTable } from "../db/current-rows.ts";
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
const WHOLE_DATA_BYTES = 4_000;

/** Data that are carried along from where a row was found; longer ones are looked up once more, when all is known to fit. */
const CARRIED_DATA_BYTES = 1_000;

/** In place of a question, where nothing is read because it would be too much. */
const TOO_LARGE = -1;

const SAME_CATEGORY = (h: string) => `${h}.tenant_id = ?1 AND ${h}.entity_type = w.entity_type
    AND ${h}.entity_value = w.entity_value AND ${h}.category = w.category`;
const NEWEST_FIRST = (h: string) => `${h}.event_time DESC, ${h}.revision DESC, ${h}.ingested_at DESC`;
/** The row of the history that was found for a row `w`. */
const FOUND = (h: string) => `${SAME_CATEGORY(h)}
    AND (${h}.event_time, ${h}.revision, ${h}.ingested_at) = (w.event_time, w.revision, w.ingested_at)`;
const data = (
  h: string,
  features: string,
) => `CASE WHEN octet_length(${h}.data) <= ${WHOLE_DATA_BYTES} OR instr(${features}, '"${WHOLE_CATEGORY}"') THEN ${h}.data
    ELSE (SELECT json_group_object(e.key, json(${h}.data -> e.fullkey)) FROM json_each(${h}.data) AS e
          WHERE e.key IN (SELECT value FROM json_each(${features}))) END`;
const ONE_FEATURE = "json_array(w.feature)";
const SIZED = (h: string, features: string) => `octet_length(${data(h, features)}) AS bytes,
      CASE WHEN octet_length(${h}.data) <= ${CARRIED_DATA_BYTES} THEN ${h}.data END AS carried`;
const CARRIED_OR = (features: string) => `ifnull(w.carried,
      (SELECT ${data("h", features)} FROM feature_history AS h WHERE ${FOUND("h")}))`;

/**
 * Of the features of a row `w` those that may ever have been written: a name that is not in the current values, to
 * which every write since the category was last replaced has added its own, need not be looked for in all of its
 * history. All of them where the replacement came after the row's time, or may not have been known by then.
 */
const EVER_WRITTEN = (
  table: CurrentTable,
  knownAt: boolean,
) => `CASE WHEN instr(w.features, '"${WHOLE_CATEGORY}"')
    THEN w.features ELSE ifnull((
      SELECT (SELECT json_group_array(e.key) FROM json_each(t.data) AS e WHERE instr(w.features, json_quote(e.key)))
      FROM ${table.name} AS t
      WHERE t.tenant_id = ?1 AND ${table.matches("t", "w.entity_type", "w.entity_value")} AND t.category = w.category
        AND t.data IS NOT NULL AND ${knownAt ? "t.floor IS NULL" : "ifnull(t.floor, w.at) <= w.at"}), w.features) END`;

/**
 * Parameters: the tenant, the questions, and how many bytes of data the answer may have; where it would have more, one
 * row says so and nothing is sent. Until that is known only keys, sizes and short data are held.
 *
 * @param entityType Of all questions.
 * @param knownAt Restricts to rows ingested by then; a parameter only where it is used, so that the plan stays simple.
 */
export function pointInTimeSql(entityType: string, knownAt: boolean): string {
  const everWritten = EVER_WRITTEN(currentTable(entityType), knownAt);
  const known = (h: string) => (knownAt ? `AND ${h}.ingested_at <= ?4` : "");
  return `
  WITH asked AS MATERIALIZED (
    SELECT ref.value ->> 0 AS question, ref.value ->> 1 AS entity_type, ref.value ->> 2 AS entity_value,
      ref.value ->> 3 AS category, ref.value ->> 4 AS at, ref.value -> 5 AS features
    FROM json_each(?2) AS ref
  ), head AS MATERIALIZED (
    SELECT w.*, h.mode AS mode, h.event_time AS event_time, h.revision AS revision, h.ingested_at AS ingested_at,
      h.expires_at AS expires_at, ${SIZED("h", "w.features")}
    FROM asked AS w CROSS JOIN feature_history AS h
    WHERE ${SAME_CATEGORY("h")} AND (h.event_time, h.revision, h.ingested_at) = (
      SELECT n.event_time, n.revision, n.ingested_at FROM feature_history AS n
      WHERE ${SAME_CATEGORY("n")} AND n.event_time <= w.at ${known("n")}
      ORDER BY ${NEWEST_FIRST("n")} LIMIT 1)
  ), unnamed AS MATERIALIZED (
    SELECT w.question, w.entity_type, w.entity_value, w.category, w.at, f.value AS feature
    FROM head AS w CROSS JOIN json_each(${everWritten}) AS f
    WHERE w.mode = 'merge' AND NOT EXISTS (
      SELECT 1 FROM json_each(${CARRIED_OR("w.features")}) AS e WHERE e.key = f.value)
  ), older AS MATERIALIZED (
    SELECT w.*, h.event_time AS event_time, h.revision AS revision, h.ingested_at AS ingested_at,
      h.expires_at AS expires_at, ${SIZED("h", ONE_FEATURE)}
    FROM unnamed AS w CROSS JOIN feature_history AS h
    WHERE ${SAME_CATEGORY("h")} AND (h.event_time, h.revision, h.ingested_at) = (
      SELECT n.event_time, n.revision, n.ingested_at FROM feature_history AS n
      WHERE ${SAME_CATEGORY("n")} AND n.event_time <= w.at ${known("n")}
        AND (n.mode = 'replace' OR EXISTS (SELECT 1 FROM json_each(n.data) AS e WHERE e.key = w.feature))
      ORDER BY ${NEWEST_FIRST("n")} LIMIT 1)
  ), size AS MATERIALIZED (
    SELECT (SELECT total(bytes) FROM head) + (SELECT total(bytes) FROM older) AS bytes
  )
  SELECT w.question AS question, NULL AS feature, w.event_time AS event_time, w.expires_at AS expires_at,
    ${CARRIED_OR("w.features")} AS data
  FROM head AS w WHERE (SELECT bytes FROM size) <= ?3
  UNION ALL
  SELECT w.question, w.feature, w.event_time, w.expires_at, ${CARRIED_OR(ONE_FEATURE)}
  FROM older AS w WHERE (SELECT bytes FROM size) <= ?3
  UNION ALL
  SELECT ${TOO_LARGE}, NULL, 0, NULL, '' FROM size WHERE bytes > ?3`;
}

/**
 * @param questions All of one entity type.
 * @param knownAt Only what had been ingested by then; null: all.
 * @param mostBytes Of the values found.
 * @returns for each question the values found, by stored name; null when they are more than `mostBytes`, of which then
 * nothing left the database.
 */
export async function readPast(
  db: D1DatabaseSession,
  tenant: string,
  questions: readonly Question[],
  { knownAt, mostBytes }: { knownAt: Micros | null; mostBytes: number },
): Promise<Map<string, PastValue>[] | null> {
  const answers = questions.map(() => new Map<string, PastValue>());
  const rows = questions.map(({ entityType, entityValue, category, at, features }, question) => [
    question,
    entityType,
    entityValue,
    category,
    at,
    [...features],
  ]);
  const sql = pointInTimeSql(questions[0]?.entityType ?? "", knownAt !== null);
  const statements = jsonParts(rows).map((json) =>
    db.prepare(sql).bind(tenant, json, mostBytes, ...(knownAt === null ? [] : [knownAt])),
  );
  if (statements.length === 0) return answers;
  for (const { results } of await db.batch<FoundRow>(statements)) {
    for (const row of results) {
      if (row.question === TOO_LARGE) return null;
      note(answers[row.question], questions[row.question], row);
    }
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
