/**
 * Removes history past its retention, so that every answer about a time inside the window stays right, with a
 * `known_at` inside it too: of each entity and feature the last value before the limit is kept.
 *
 * A row is past it when both its times are before the limit: when it was true, and when it was ingested. So what is
 * imported of long ago stays as long as what is of today. It may go when something newer, past its retention too,
 * stands in for all it says: a replacement of its category, or, for a merge, rows that name every feature it names. A
 * replacement falls only to a replacement: what it dropped would come back without it.
 *
 * The table is walked in the order of its key, so many rows a run, and the place is kept for the next one. With an
 * archive a row is removed once it is there, and no row else.
 *
 * What a step costs depends on what stands in for its rows. One that does not end, by an error or with the run, is tried
 * with an eighth of its rows by the next, and in the end passed over: no place of one tenant holds up all others.
 */
import * as z from "zod";
import { jsonParts } from "../db/json-parts.ts";
import { RETENTION_ROWS_PER_STEP, RETENTION_STEPS_PER_RUN } from "../limits.ts";
import type { Log } from "../log.ts";
import { formatTimestamp, type Micros, nowMicros } from "../timestamps.ts";
import { archivedAtOnce, archiveRows, type HistoryRow, type SizedRow } from "./archive.ts";

/** A step that did not end is tried again with its rows divided by this. */
const SMALLER = 8;

const TASK = "history-retention-steps";

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
  AND ${r}.ingested_at <= ?8 AND (${r}.event_time, ${r}.revision, ${r}.ingested_at) > (h.event_time, h.revision, h.ingested_at)`;

const AFTER_PLACE = `(${KEY}) > (?1, ?2, ?3, ?4, ?5, ?6, ?7)`;

const STEP = `SELECT * FROM feature_history WHERE ${AFTER_PLACE} ORDER BY ${KEY} LIMIT ?9`;

/**
 * Whether a row `h` of the step may go. The test for merges comes first: in a category that is only ever merged a look at
 * the next few rows decides it.
 */
const MAY_GO = `h.event_time < ?8 AND h.ingested_at < ?8 AND (
      h.mode = 'merge' AND NOT EXISTS (
        SELECT 1 FROM json_each(h.data) AS f WHERE NOT EXISTS (
          SELECT 1 FROM feature_history AS r WHERE ${LATER("r")}
            AND EXISTS (SELECT 1 FROM json_each(r.data) AS e WHERE e.key = f.key)))
      OR EXISTS (SELECT 1 FROM feature_history AS r WHERE ${LATER("r")} AND r.mode = 'replace'))`;

/** Exported, as those below, for the test that looks at the plans. */
export const REMOVE_STEP_SQL = `
  DELETE FROM feature_history WHERE (${KEY}) IN (SELECT ${KEY} FROM (${STEP}) AS h WHERE ${MAY_GO})`;

/** Without their data: what one step archives of them is decided by their size. */
export const SELECT_STEP_SQL = `
  SELECT ${KEY}, octet_length(data) + octet_length(entity_value) + octet_length(category) AS bytes FROM (${STEP}) AS h WHERE ${MAY_GO} ORDER BY ${KEY}`;

const HAS_KEY = `(${KEY}) IN (
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    FROM json_each(?1))`;

export const SELECT_ROWS_SQL = `SELECT * FROM feature_history WHERE ${HAS_KEY} ORDER BY ${KEY}`;
export const REMOVE_ROWS_SQL = `DELETE FROM feature_history WHERE ${HAS_KEY}`;

const STEP_END_SQL = `
  SELECT ${KEY} FROM feature_history WHERE ${AFTER_PLACE} ORDER BY ${KEY} LIMIT 1 OFFSET ?8`;

export interface RetentionRun {
  removed: number;
  /** The whole table has been walked; the next run begins anew. */
  finished: boolean;
}

interface Retention {
  db: D1Database;
  retentionDays: number;
  /** Where rows go before they are removed; undefined: nowhere. */
  archive: R2Bucket | undefined;
  log: Log;
}

interface Step {
  removed: number;
  /** How many of the steps of a run it counts as. */
  taken: number;
  /** Where the next step begins; null: the table is at its end. */
  next: Place | null;
}

/** Where the next step begins, and what it looks at. */
interface Progress {
  place: Place;
  rows: number;
  /** Nobody has noted the step's end: it is under way, or did not come to one. */
  isBegun: boolean;
}

/** One bounded run. Two at once do no harm: each removes only what may go. */
export async function removeOldHistory({
  db,
  retentionDays,
  archive,
  log,
}: Retention): Promise<RetentionRun> {
  const now = nowMicros();
  const limit = now - retentionDays * 86_400 * 1_000_000;
  let { place, rows } = await resume(db, log);
  let removed = 0;
  let finished = false;
  for (let left = RETENTION_STEPS_PER_RUN; left > 0 && !finished; ) {
    await writeProgress(db, { place, rows, isBegun: true });
    const done: Step = archive
      ? await archiveStep(db, { place, rows }, { archive, limit, now, left })
      : await removeStep(db, { place, rows }, limit);
    removed += done.removed;
    left -= done.taken;
    finished = done.next === null;
    place = done.next ?? START;
    rows = Math.min(SMALLER * rows, RETENTION_ROWS_PER_STEP);
    await writeProgress(db, { place, rows, isBegun: false });
  }
  log.info("history retention", { removed, finished, limit: formatTimestamp(limit) });
  return { removed, finished };
}

/** Where to go on: behind what even a step of one row did not come to an end with. */
async function resume(db: D1Database, log: Log): Promise<Omit<Progress, "isBegun">> {
  const { place, rows, isBegun } = await readProgress(db);
  if (!isBegun) return { place, rows };
  if (rows > 1) return { place, rows: Math.max(1, Math.floor(rows / SMALLER)) };
  log.warning("history retention passes over a row that it could not judge");
  const last = await db
    .prepare(STEP_END_SQL)
    .bind(...place, 0)
    .first<Record<string, string | number>>();
  return { place: last ? (Object.values(last) as Place) : START, rows: 1 };
}

type StepFrom = Pick<Progress, "place" | "rows">;

async function removeStep(db: D1Database, { place, rows }: StepFrom, limit: Micros): Promise<Step> {
  // Where the step ends is asked before it removes rows, so that none is passed over.
  const [end, deleted] = await db.batch<Record<string, string | number>>([
    db.prepare(STEP_END_SQL).bind(...place, rows - 1),
    db.prepare(REMOVE_STEP_SQL).bind(...place, limit, rows),
  ]);
  const [last] = end?.results ?? [];
  return {
    removed: deleted?.meta.changes ?? 0,
    taken: 1,
    next: last ? (Object.values(last) as Place) : null,
  };
}

/** The rows are looked for once, and archived in parts that memory can hold. @param left Parts, at most. */
async function archiveStep(
  db: D1Database,
  { place, rows: looked }: StepFrom,
  { archive, limit, now, left }: { archive: R2Bucket; limit: Micros; now: Micros; left: number },
): Promise<Step> {
  const [end, found] = await db.batch<Record<string, string | number>>([
    db.prepare(STEP_END_SQL).bind(...place, looked - 1),
    db.prepare(SELECT_STEP_SQL).bind(...place, limit, looked),
  ]);
  let mayGo = (found?.results ?? []) as unknown as SizedKey[];
  let [removed, taken] = [0, 0];
  while (mayGo.length > 0) {
    const part = archivedAtOnce(mayGo);
    const keys = jsonParts(part.map(keyOf));
    const all = (sql: string) => db.batch<HistoryRow>(keys.map((json) => db.prepare(sql).bind(json)));
    const rows = (await all(SELECT_ROWS_SQL)).flatMap(({ results }) => results);
    await archiveRows(archive, rows, now);
    removed += (await all(REMOVE_ROWS_SQL)).reduce((sum, { meta }) => sum + meta.changes, 0);
    mayGo = mayGo.slice(part.length);
    taken += 1;
    const last = part.at(-1);
    if (taken === left && last && mayGo.length > 0) return { removed, taken, next: keyOf(last) };
  }
  const [last] = end?.results ?? [];
  return { removed, taken: Math.max(1, taken), next: last ? (Object.values(last) as Place) : null };
}

type SizedKey = Omit<HistoryRow, "mode" | "data" | "compute_id" | "expires_at" | "event_id"> & SizedRow;

const keyOf = (row: SizedKey): Place => [
  row.tenant_id,
  row.entity_type,
  row.entity_value,
  row.category,
  row.event_time,
  row.revision,
  row.ingested_at,
];

const storedProgress = z.object({
  place: z.tuple([z.string(), z.string(), z.string(), z.string(), z.int(), z.int(), z.int()]),
  rows: z.int().min(1),
  isBegun: z.boolean(),
});

async function readProgress(db: D1Database): Promise<Progress> {
  const row = await db
    .prepare("SELECT cursor FROM maintenance WHERE task = ?")
    .bind(TASK)
    .first<{ cursor: string }>();
  return row
    ? storedProgress.parse(JSON.parse(row.cursor))
    : { place: START, rows: RETENTION_ROWS_PER_STEP, isBegun: false };
}

async function writeProgress(db: D1Database, progress: Progress): Promise<void> {
  await db
    .prepare("INSERT OR REPLACE INTO maintenance (task, cursor, updated_at) VALUES (?, ?, ?)")
    .bind(TASK, JSON.stringify(progress), nowMicros())
    .run();
}
