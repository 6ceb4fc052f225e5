/**
 * What was known of entities at given times, from the history alone and in one query.
 *
 * For a category at a time T, the newest row with event time ≤ T decides. If it replaced the category, it decides for
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
  /** Of a whole category into which `json` was merged: the other values that it has then, by name. */
  older?: ReadonlyMap<string, PastValue>;
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

/** What is carried along from where it was found; what is longer is looked up once more, when all is known to fit. */
const CARRIED_BYTES = 1_000;

/** In place of a question, where nothing is read because it would be too much. */
const TOO_LARGE = -1;

const SAME_CATEGORY = (h: string) => `${h}.tenant_id = ?1 AND ${h}.entity_type = w.entity_type
    AND ${h}.entity_value = w.entity_value AND ${h}.category = w.category`;
const NEWEST_FIRST = (h: string) => `${h}.event_time DESC, ${h}.revision DESC, ${h}.ingested_at DESC`;

/** What the row `h` has of the features of a row `w`, and perhaps more. */
const CUT = `CASE WHEN octet_length(h.data) <= ${WHOLE_DATA_BYTES} OR instr(w.features, '"${WHOLE_CATEGORY}"') THEN h.data
    ELSE (SELECT json_group_object(e.key, json(h.data -> e.fullkey)) FROM json_each(h.data) AS e
          WHERE e.key IN (SELECT value FROM json_each(w.features))) END`;

/**
 * To each row of `asked` the newest row of the history that may decide it, with the size of what it says. A limit of
 * none keeps SQLite from taking the cut apart: it is made once.
 */
const NEWEST = (asked: string, which: string) => `
    SELECT w.*, octet_length(w.cut) AS bytes, CASE WHEN octet_length(w.cut) <= ${CARRIED_BYTES} THEN w.cut END AS carried
    FROM (
      SELECT w.*, h.mode AS mode, h.event_time AS event_time, h.revision AS revision, h.ingested_at AS ingested_at,
        h.expires_at AS expires_at, ${CUT} AS cut
      FROM ${asked} AS w CROSS JOIN feature_history AS h
      WHERE ${SAME_CATEGORY("h")} AND (h.event_time, h.revision, h.ingested_at) = (
        SELECT n.event_time, n.revision, n.ingested_at FROM feature_history AS n
        WHERE ${SAME_CATEGORY("n")} AND n.event_time <= w.at ${which}
        ORDER BY ${NEWEST_FIRST("n")} LIMIT 1)
      LIMIT -1
    ) AS w WHERE w.cut IS NOT NULL`;

/** Without the cut itself, which may be large. */
const KEPT =
  "question, entity_type, entity_value, category, at, features, mode, event_time, revision, ingested_at, expires_at, bytes, carried";

/** What a row `w` was found to say. */
const SAID = `ifnull(w.carried, (SELECT ${CUT} FROM feature_history AS h
    WHERE ${SAME_CATEGORY("h")} AND (h.event_time, h.revision, h.ingested_at) = (w.event_time, w.revision, w.ingested_at)))`;

/** Whether the whole category is missing in a row `w`, which was merged into it. */
const IS_WHOLE = `instr(w.missing, '"${WHOLE_CATEGORY}"')`;

/** The names that a category has at the time of a row `w`: of all rows since it was last replaced. */
const NAMES_SINCE_REPLACED = (known: string) => `(
      SELECT json_group_array(DISTINCT e.key) FROM feature_history AS n CROSS JOIN json_each(n.data) AS e
      WHERE ${SAME_CATEGORY("n")} AND n.event_time <= w.at ${known} AND n.event_time >= ifnull((
        SELECT n.event_time FROM feature_history AS n
        WHERE ${SAME_CATEGORY("n")} AND n.event_time <= w.at ${known} AND n.mode = 'replace'
        ORDER BY ${NEWEST_FIRST("n")} LIMIT 1), ${Number.MIN_SAFE_INTEGER}))`;

/**
 * Those of the names `missing` of a row `w` that may ever have been written; where the whole category is missing, all of
 * its names. Every write since the category was last replaced has added its names to the current values: a name that is
 * not among them need not be looked for in all of the history. All names are kept where that replacement came after the
 * row's time, or may not have been known by then.
 */
const EVER_WRITTEN = (table: CurrentTable, known: string) => `CASE
    WHEN w.missing = '[]' THEN w.missing
    ELSE ifnull((
      SELECT (SELECT json_group_array(e.key) FROM json_each(t.data) AS e
              WHERE ${IS_WHOLE} OR instr(w.missing, json_quote(e.key)))
      FROM ${table.name} AS t
      WHERE t.tenant_id = ?1 AND ${table.matches("t", "w.entity_type", "w.entity_value")} AND t.category = w.category
        AND t.data IS NOT NULL AND ${known ? "t.floor IS NULL" : "ifnull(t.floor, w.at) <= w.at"}
    ), iif(${IS_WHOLE}, ${NAMES_SINCE_REPLACED(known)}, w.missing)) END`;

/**
 * Parameters: the tenant, the questions, and how many bytes of data the answer may have; where it would have more, one
 * row says so and nothing is sent. Until that is known only keys, sizes and short data are held.
 *
 * @param entityType The one of all questions.
 * @param knownAt Restricts to rows ingested by then; a parameter only where it is used, so that the plan stays simple.
 */
export function pointInTimeSql(entityType: string, knownAt: boolean): string {
  const known = knownAt ? "AND n.ingested_at <= ?4" : "";
  const names = `(n.mode = 'replace' OR EXISTS (SELECT 1 FROM json_each(n.data) AS e WHERE e.key = w.feature))`;
  return `
  WITH asked AS MATERIALIZED (
    SELECT ref.value ->> 0 AS question, ref.value ->> 1 AS entity_type, ref.value ->> 2 AS entity_value,
      ref.value ->> 3 AS category, ref.value ->> 4 AS at, ref.value -> 5 AS features
    FROM json_each(?2) AS ref
  ), head AS MATERIALIZED (
    SELECT ${KEPT} FROM (${NEWEST("asked", known)})
  ), merged AS MATERIALIZED (
    SELECT w.*, (SELECT json_group_array(f.value) FROM json_each(w.features) AS f
                 WHERE f.value = '${WHOLE_CATEGORY}' OR f.value NOT IN (SELECT e.key FROM json_each(${SAID}) AS e)) AS missing
    FROM head AS w WHERE w.mode = 'merge'
  ), unnamed AS MATERIALIZED (
    SELECT w.question, w.entity_type, w.entity_value, w.category, w.at, f.value AS feature, json_array(f.value) AS features
    FROM merged AS w CROSS JOIN json_each(${EVER_WRITTEN(currentTable(entityType), known)}) AS f
    WHERE f.value <> '${WHOLE_CATEGORY}'
  ), older AS MATERIALIZED (
    SELECT feature, ${KEPT} FROM (${NEWEST("unnamed", `${known} AND ${names}`)})
  ), size AS MATERIALIZED (
    SELECT (SELECT total(bytes) FROM head) + (SELECT total(bytes) FROM older) AS bytes
  )
  SELECT w.question AS question, NULL AS feature, w.event_time AS event_time, w.expires_at AS expires_at, ${SAID} AS data
  FROM head AS w WHERE (SELECT bytes FROM size) <= ?3
  UNION ALL
  SELECT w.question, w.feature, w.event_time, w.expires_at, ${SAID}
  FROM older AS w WHERE (SELECT bytes FROM size) <= ?3
  UNION ALL
  SELECT ${TOO_LARGE}, NULL, 0, NULL, '' FROM size WHERE bytes > ?3`;
}

/**
 * @param questions All of one entity type.
 * @param knownAt Only what had been ingested by then; null: all.
 * @param mostBytes What the values found may have together.
 * @returns for each question the values found, by stored name; null when they have more than `mostBytes`: then none of
 * them has left the database.
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
  const parts = jsonParts(rows);
  const share = Math.floor(mostBytes / Math.max(1, parts.length));
  const statements = parts.map((json) =>
    db.prepare(sql).bind(tenant, json, share, ...(knownAt === null ? [] : [knownAt])),
  );
  if (statements.length === 0) return answers;
  for (const { results } of await db.batch<FoundRow>(statements)) {
    for (const row of results) {
      if (row.question === TOO_LARGE) return null;
      note(answers[row.question], questions[row.question], row);
    }
  }
  return answers.map(withOlder);
}

/** What was found of single names is part of the whole, where that is asked for; in one order, whenever it is asked. */
function withOlder(answer: Map<string, PastValue>): Map<string, PastValue> {
  const whole = answer.get(WHOLE_CATEGORY);
  if (!whole || answer.size === 1) return answer;
  const named = new Map(splitObject(whole.json));
  const older = [...answer].filter(([name]) => name !== WHOLE_CATEGORY && !named.has(name));
  if (older.length === 0) return answer;
  return answer.set(WHOLE_CATEGORY, { ...whole, older: new Map(older.sort(([a], [b]) => (a < b ? -1 : 1))) });
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
