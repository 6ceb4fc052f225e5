/**
 * Removes history past its retention, so that every answer about a time inside the window stays right, with a
 * `known_at` inside it too: of each entity and feature the last value before the limit is kept.
 *
 * A row is past it when both its times are before the limit: when it was true, and when it was ingested. So what is
 * imported of long ago stays as long as what is of today. It may go when something newer, past its retention too,
 * stands in for all it says: a replacement of its category, or, for a merge, rows that name every feature it names. A
 * replacement falls only to a replacement: what it dropped would come back without it.
 *
 * The table is walked in the order of its key, so many rows a run, and the place is kept for the next one. A step walks
 * over the index alone, up to so many rows past their retention; only those are judged. With an archive a row is removed
 * once it is there, and no row else.
 *
 * What judging costs depends on what stands in for the rows. A step that does not end, by an error or with the run, is
 * tried with an eighth of its rows by the next, and in the end passed over: no place of one tenant holds up all others.
 */
import * as z from "zod";
import { jsonParts } from "../db/json-parts.ts";
import { assert } from "../errors.ts";
import { lazily } from "../lazily.ts";
import { RETENTION_ROWS_PER_STEP } from "../limits.ts";
import type { Log } from "../log.ts";
import { formatTimestamp, type Micros, nowMicros } from "../timestamps.ts";
import { archivedAtOnce, archiveRows, type HistoryRow, type SizedRow } from "./archive.ts";
import {
  type Place,
  REMOVE_ROWS_SQL,
  REMOVE_STEP_SQL,
  SELECT_ROWS_SQL,
  SELECT_STEP_SQL,
  STEP_END_SQL,
} from "./retention-statements.ts";

/** A step that did not end is tried again with its rows divided by this. */
const SMALLER = 8;

/** By which the place where it goes on is kept: a key of the history. */
export const RETENTION_TASK = "history-retention-steps";

const START: Place = ["", "", "", "", Number.MIN_SAFE_INTEGER, 0, 0];

export interface RetentionRun {
  removed: number;
  /** The whole table has been walked; the next run begins anew. */
  finished: boolean;
  /** Steps that it took of those that it was given. */
  steps: number;
}

interface Retention {
  db: D1Database;
  retentionDays: number;
  /** Where rows go before they are removed; undefined: nowhere. */
  archive: R2Bucket | undefined;
  log: Log;
  /** At most; `walks`: that find fewer rows past their retention than they could judge. */
  steps: number;
  walks: number;
}

/** Where a step begins, and how many rows it judges at most. */
interface StepStart {
  place: Place;
  rows: number;
}

interface StepEnd {
  judged: number;
  /** Null: the table is at its end. */
  place: Place | null;
}

interface Step {
  removed: number;
  /** How many of the steps of a run it counts as. */
  taken: number;
  /** Where the next one begins, where that is not behind the rows of this one. */
  stoppedAt: Place | null;
}

interface Progress extends StepStart {
  /** Nobody has noted the step's end: it is under way, or did not come to one. */
  isBegun: boolean;
}

/** One bounded run. Two at once do no harm: each removes only what may go. */
export async function removeOldHistory({
  db,
  retentionDays,
  archive,
  log,
  steps,
  walks,
}: Retention): Promise<RetentionRun> {
  const now = nowMicros();
  const limit = now - retentionDays * 86_400 * 1_000_000;
  let start = await resume(db, limit, log);
  let [removed, left, walksLeft, finished] = [0, steps, walks, false];
  while (left > 0 && walksLeft > 0 && !finished) {
    const end = await endOfStep(db, start, limit);
    let done: Step = { removed: 0, taken: 1, stoppedAt: null };
    if (end.judged > 0) {
      await writeProgress(db, { ...start, isBegun: true });
      done = archive
        ? await archiveStep(db, start, { archive, limit, now, left })
        : await removeStep(db, start, limit);
    }
    if (end.judged < start.rows) walksLeft -= 1;
    removed += done.removed;
    left -= done.taken;
    const place = done.stoppedAt ?? end.place;
    finished = place === null;
    const rows = end.judged > 0 ? Math.min(SMALLER * start.rows, RETENTION_ROWS_PER_STEP) : start.rows;
    start = { place: place ?? START, rows };
    await writeProgress(db, { ...start, isBegun: false });
  }
  log.info("history retention", { removed, finished, limit: formatTimestamp(limit) });
  return { removed, finished, steps: steps - left };
}

/** Where to go on: behind what even a step of one row did not come to an end with. */
async function resume(db: D1Database, limit: Micros, log: Log): Promise<StepStart> {
  const { place, rows, isBegun } = await readProgress(db);
  if (!isBegun) return { place, rows };
  if (rows > 1) return { place, rows: Math.max(1, Math.floor(rows / SMALLER)) };
  log.warning("history retention passes over a row that it could not judge");
  const end = await endOfStep(db, { place, rows: 1 }, limit);
  return { place: end.place ?? START, rows: 1 };
}

async function endOfStep(db: D1Database, { place, rows }: StepStart, limit: Micros): Promise<StepEnd> {
  const { results } = await db
    .prepare(STEP_END_SQL)
    .bind(...place, limit, rows)
    .all<StepEndRow>();
  const [row] = results;
  assert(row, "a count has a row");
  const { judged, ...key } = row;
  return { judged, place: key.tenant_id === null ? null : (Object.values(key) as Place) };
}

type StepEndRow = { judged: number; tenant_id: string | null } & Record<string, string | number | null>;

async function removeStep(db: D1Database, { place, rows }: StepStart, limit: Micros): Promise<Step> {
  const { meta } = await db
    .prepare(REMOVE_STEP_SQL)
    .bind(...place, limit, rows)
    .run();
  return { removed: meta.changes, taken: 1, stoppedAt: null };
}

/** The rows are looked for once, and archived in parts that memory can hold. @param left Parts, at most. */
async function archiveStep(
  db: D1Database,
  { place, rows: judged }: StepStart,
  { archive, limit, now, left }: { archive: R2Bucket; limit: Micros; now: Micros; left: number },
): Promise<Step> {
  const found = await db
    .prepare(SELECT_STEP_SQL)
    .bind(...place, limit, judged)
    .all<SizedKey>();
  let mayGo = found.results;
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
    if (taken === left && last && mayGo.length > 0) return { removed, taken, stoppedAt: keyOf(last) };
  }
  return { removed, taken: Math.max(1, taken), stoppedAt: null };
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

const storedProgress = lazily(() =>
  z.object({
    place: z.tuple([z.string(), z.string(), z.string(), z.string(), z.int(), z.int(), z.int()]),
    rows: z.int().min(1),
    isBegun: z.boolean(),
  }),
);

async function readProgress(db: D1Database): Promise<Progress> {
  const row = await db
    .prepare("SELECT cursor FROM maintenance WHERE task = ?")
    .bind(RETENTION_TASK)
    .first<{ cursor: string }>();
  return row
    ? storedProgress().parse(JSON.parse(row.cursor))
    : { place: START, rows: RETENTION_ROWS_PER_STEP, isBegun: false };
}

async function writeProgress(db: D1Database, progress: Progress): Promise<void> {
  await db
    .prepare("INSERT OR REPLACE INTO maintenance (task, cursor, updated_at) VALUES (?, ?, ?)")
    .bind(RETENTION_TASK, JSON.stringify(progress), nowMicros())
    .run();
}
