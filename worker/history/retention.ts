/**
 * Removes history past its retention, so that point in time inside the window stays right: of each entity and
 * feature the last value before the limit is kept.
 *
 * A row may go when something newer, itself before the limit, stands in for all it says: a replacement of its
 * category, or, for a merge, rows that name every feature it names. A replacement falls only to a replacement: what
 * it dropped would come back without it.
 *
 * The table is walked in the order of its key, so many rows a run, and the place is kept for the next one.
 */
import type { Log } from "../log.ts";
import { formatTimestamp, type Micros, nowMicros } from "../timestamps.ts";

/** Rows looked at in one statement, and statements in one run of the cron: far under D1's 30 s each. */
const ROWS_PER_STEP = 2_000;
const STEPS_PER_RUN = 50;

const TASK = "history-retention";

/** The key of the last row that was looked at. */
type Place = [
  tenant: string,
  type: string,
  value: string,
  category: string,
  time: Micros,
  revision: number,
  at: Micros,
];

const KEY = "tenant_id, entity_type, entity_value, category, event_time, revision, ingested_at";
const START: Place = ["", "", "", "", Number.MIN_SAFE_INTEGER, 0, 0];

const LATER = (r: string) => `${r}.tenant_id = h.tenant_id AND ${r}.entity_type = h.entity_type
  AND ${r}.entity_value = h.entity_value AND ${r}.category = h.category AND ${r}.event_time <= ?8
  AND (${r}.event_time, ${r}.revision, ${r}.ingested_at) > (h.event_time, h.revision, h.ingested_at)`;

const AFTER_PLACE = `(${KEY}) > (?1, ?2, ?3, ?4, ?5, ?6, ?7)`;

/** Exported for the test that looks at its plan. */
export const REMOVE_STEP_SQL = `
  DELETE FROM feature_history WHERE (${KEY}) IN (
    SELECT ${KEY} FROM (
      SELECT * FROM feature_history WHERE ${AFTER_PLACE} ORDER BY ${KEY} LIMIT ${ROWS_PER_STEP}
    ) AS h
    WHERE h.event_time < ?8 AND (
      EXISTS (SELECT 1 FROM feature_history AS r WHERE ${LATER("r")} AND r.mode = 'replace')
      OR h.mode = 'merge' AND NOT EXISTS (
        SELECT 1 FROM json_each(h.data) AS f WHERE NOT EXISTS (
          SELECT 1 FROM feature_history AS r WHERE ${LATER("r")}
            AND EXISTS (SELECT 1 FROM json_each(r.data) AS e WHERE e.key = f.key)))))`;

const STEP_END_SQL = `
  SELECT ${KEY} FROM feature_history WHERE ${AFTER_PLACE} ORDER BY ${KEY} LIMIT 1 OFFSET ${ROWS_PER_STEP - 1}`;

export interface RetentionRun {
  removed: number;
  /** The whole table has been walked; the next run begins anew. */
  finished: boolean;
}

/** One bounded run. Two at once do no harm: each removes only what may go. */
export async function removeOldHistory(
  db: D1Database,
  retentionDays: number,
  log: Log,
): Promise<RetentionRun> {
  const limit = nowMicros() - retentionDays * 86_400 * 1_000_000;
  let place = await readPlace(db);
  let removed = 0;
  let finished = false;
  for (let step = 0; step < STEPS_PER_RUN && !finished; step++) {
    // Where the step ends is asked before it removes rows, so that none is passed over.
    const [end, deleted] = await db.batch<Record<string, string | number>>([
      db.prepare(STEP_END_SQL).bind(...place),
      db.prepare(REMOVE_STEP_SQL).bind(...place, limit),
    ]);
    removed += deleted?.meta.changes ?? 0;
    const [last] = end?.results ?? [];
    finished = last === undefined;
    place = last ? (Object.values(last) as Place) : START;
    await writePlace(db, place);
  }
  log.info("history retention", { removed, finished, limit: formatTimestamp(limit) });
  return { removed, finished };
}

async function readPlace(db: D1Database): Promise<Place> {
  const row = await db
    .prepare("SELECT cursor FROM maintenance WHERE task = ?")
    .bind(TASK)
    .first<{ cursor: string }>();
  return row ? (JSON.parse(row.cursor) as Place) : START;
}

async function writePlace(db: D1Database, place: Place): Promise<void> {
  await db
    .prepare("INSERT OR REPLACE INTO maintenance (task, cursor, updated_at) VALUES (?, ?, ?)")
    .bind(TASK, JSON.stringify(place), nowMicros())
    .run();
}
