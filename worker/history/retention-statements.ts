/**
 * The statements of retention. Those of a step take its place, ?8 the limit in microseconds and ?9 how many rows it judges
 * at most.
 */
import { RETENTION_WALKED_PER_STEP } from "../limits.ts";
import type { Micros } from "../timestamps.ts";

/** The key of the last row that was looked at. */
export type Place = [
  tenant: string,
  type: string,
  value: string,
  category: string,
  time: Micros,
  revision: number,
  at: Micros,
];

const KEY = "tenant_id, entity_type, entity_value, category, event_time, revision, ingested_at";

const LATER = (r: string) => `${r}.tenant_id = h.tenant_id AND ${r}.entity_type = h.entity_type
  AND ${r}.entity_value = h.entity_value AND ${r}.category = h.category AND ${r}.event_time <= ?8
  AND ${r}.ingested_at <= ?8 AND (${r}.event_time, ${r}.revision, ${r}.ingested_at) > (h.event_time, h.revision, h.ingested_at)`;

/** The next rows, as far as a step goes: all of it is in the index. */
const WALKED = `SELECT rowid AS id, ${KEY} FROM feature_history WHERE (${KEY}) > (?1, ?2, ?3, ?4, ?5, ?6, ?7)
  ORDER BY ${KEY} LIMIT ${RETENTION_WALKED_PER_STEP}`;

const aged = (rows: string) =>
  `SELECT * FROM ${rows} WHERE event_time < ?8 AND ingested_at < ?8 ORDER BY ${KEY} LIMIT ?9`;

/** Where a step ends and how many rows it judges. Without an end it comes to that of the table. */
export const STEP_END_SQL = `
  WITH walked AS MATERIALIZED (${WALKED}), aged AS MATERIALIZED (${aged("walked")})
  SELECT * FROM (SELECT count(*) AS judged FROM aged) LEFT JOIN (
    SELECT * FROM (SELECT ${KEY} FROM aged ORDER BY ${KEY} LIMIT 1 OFFSET ?9 - 1)
    UNION ALL
    SELECT * FROM (SELECT ${KEY} FROM walked ORDER BY ${KEY} LIMIT 1 OFFSET ${RETENTION_WALKED_PER_STEP - 1})
    ORDER BY ${KEY} LIMIT 1)`;

/**
 * Whether a row `h` of the step may go. The test for merges comes first: in a category that is only ever merged a look at
 * the next few rows decides it.
 */
const MAY_GO = `(
      h.mode = 'merge' AND NOT EXISTS (
        SELECT 1 FROM json_each(h.data) AS f WHERE NOT EXISTS (
          SELECT 1 FROM feature_history AS r WHERE ${LATER("r")}
            AND EXISTS (SELECT 1 FROM json_each(r.data) AS e WHERE e.key = f.key)))
      OR EXISTS (SELECT 1 FROM feature_history AS r WHERE ${LATER("r")} AND r.mode = 'replace'))`;

/** The rows that a step judges, whole, that may go. */
const GOING = `(SELECT id FROM (${aged(`(${WALKED})`)})) AS step
  CROSS JOIN feature_history AS h ON h.rowid = step.id WHERE ${MAY_GO}`;

export const REMOVE_STEP_SQL = `DELETE FROM feature_history WHERE rowid IN (SELECT h.rowid FROM ${GOING})`;

/** Without their data: what one step archives of them is decided by their size. */
export const SELECT_STEP_SQL = `
  SELECT ${KEY}, octet_length(data) + octet_length(entity_value) + octet_length(category) AS bytes FROM ${GOING} ORDER BY ${KEY}`;

const HAS_KEY = `(${KEY}) IN (
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    FROM json_each(?1))`;

export const SELECT_ROWS_SQL = `SELECT * FROM feature_history WHERE ${HAS_KEY} ORDER BY ${KEY}`;
export const REMOVE_ROWS_SQL = `DELETE FROM feature_history WHERE ${HAS_KEY}`;
