/**
 * The statements of a group's transaction. Each is guarded by the revision on which the group was decided (compare
 * and set): against an entity that has moved on, every one of them does nothing.
 *
 * Rows travel in one JSON parameter per statement (`json_each`), since D1 binds at most 100 parameters.
 */
import {
  type CategoryRow,
  type CurrentTable,
  currentTable,
  ROW_COLUMNS,
  WHOLE_ENTITY,
} from "../db/current-rows.ts";
import type { EntityRef } from "../keys.ts";
import { COMPARED_LATE_ROWS } from "../limits.ts";
import { type Cell, chunkRows, type PackedRow, packData } from "./pack-rows.ts";
import type { EntityPlan, GroupPlan, HistoryRow, PlannedRow } from "./plan-group.ts";

/** The first cells of every packed row: the entity and the revision on which its plan rests. */
const KEY_CELLS = ["entity_type", "entity_value", "base"] as const;

const HISTORY_COLUMNS = [
  "category",
  "data",
  "event_time",
  "revision",
  "mode",
  "ingested_at",
  "compute_id",
  "expires_at",
  "event_id",
] as const;

/** `may_repeat` says that a row may be there already: {@link historySql} then leaves it out. */
const HISTORY_CELLS = [...HISTORY_COLUMNS, "may_repeat"] as const;

/** A current row is followed by what identifies its proof beside its own category, revision and time of update. */
const UPSERT_CELLS = [...ROW_COLUMNS, "proof_event_time", "proof_event_id"] as const;

/** The packed rows, each cell under its name. `LIMIT`: else SQLite would write a row down again for each of its cells. */
const refsOf = (cells: readonly string[]) => `(
  SELECT ${[...KEY_CELLS, ...cells].map((name, position) => `cells ->> ${position} AS ${name}`).join(", ")}
  FROM (SELECT value AS cells FROM json_each(?2) LIMIT -1) LIMIT -1) AS ref`;

/** @param dataElse SQL for data that is not in the packed rows: it is too long for them, or D1 has it already. */
const valuesOf = (columns: readonly string[], dataElse: string) =>
  columns.map((name) => (name === "data" ? `coalesce(ref.data, ${dataElse})` : `ref.${name}`)).join(", ");

const isAtBase = (table: CurrentTable) =>
  `(SELECT coalesce(max(g.revision), 0) FROM ${table.name} AS g
    WHERE g.tenant_id = ?1 AND ${table.matches("g", "ref.entity_type", "ref.entity_value")}) = ref.base`;

/** `h`, rows of the history, are of the entity, category and event time of `ref`. */
const isOfRef = (h: string, eventTime: string) => `${h}.tenant_id = ?1 AND ${h}.entity_type = ref.entity_type
  AND ${h}.entity_value = ref.entity_value AND ${h}.category = ref.category AND ${h}.event_time = ${eventTime}`;

/**
 * Whether the newest row of the same event time that speaks of something that `ref` says, says the very same: then `ref`
 * is there already, and nothing has overridden it since. Of rows that are equal only the newest can be one that nothing
 * has overridden: it overrides the others.
 */
const isThere = `coalesce((
    SELECT written.same FROM (
      SELECT h.revision, h.ingested_at, h.mode, h.data, h.data = coalesce(ref.data, ?3) AND h.mode = ref.mode
        AND h.expires_at IS ref.expires_at AS same
      FROM feature_history AS h WHERE ${isOfRef("h", "ref.event_time")}
      ORDER BY h.revision DESC, h.ingested_at DESC LIMIT ${COMPARED_LATE_ROWS}) AS written
    WHERE written.same OR written.mode = 'replace' OR ref.mode = 'replace' OR EXISTS (
      SELECT key FROM json_each(written.data) INTERSECT SELECT key FROM json_each(coalesce(ref.data, ?3)))
    ORDER BY written.revision DESC, written.ingested_at DESC LIMIT 1), 0)`;

// A late row that is there already tells nothing new: retries, and imports that are run again, do not fill the history.
const historySql = (table: CurrentTable) => `
  INSERT INTO feature_history (tenant_id, entity_type, entity_value, ${HISTORY_COLUMNS.join(", ")})
  SELECT ?1, ref.entity_type, ref.entity_value, ${valuesOf(HISTORY_COLUMNS, "?3")} FROM ${refsOf(HISTORY_CELLS)}
  WHERE ${isAtBase(table)} AND (ref.may_repeat = 0 OR NOT ${isThere})`;

const upsertSql = (table: CurrentTable, from: string, dataElse: string) => `
  INSERT INTO ${table.name} (tenant_id, ${table.keyColumns.join(", ")}, ${ROW_COLUMNS.join(", ")})
  SELECT ?1, ${table.keyColumns.length === 1 ? "ref.entity_value" : "ref.entity_type, ref.entity_value"}, ${valuesOf(ROW_COLUMNS, dataElse)}
  FROM ${refsOf(UPSERT_CELLS)} ${from}
  ON CONFLICT DO UPDATE SET ${ROW_COLUMNS.slice(1)
    .map((column) => `${column} = excluded.${column}`)
    .join(", ")}
  RETURNING ${table.keyColumns.join(", ")}`;

/**
 * Where the history row of the same write is there, which proves it: the base revision itself is gone after the first
 * row. That row mostly has the very data too, which then need not come twice.
 */
const provenUpsertSql = (table: CurrentTable) =>
  upsertSql(
    table,
    `CROSS JOIN feature_history AS h WHERE ${isOfRef("h", "ref.proof_event_time")}
     AND h.revision = ref.revision AND h.ingested_at = ref.updated_at AND h.event_id = ref.proof_event_id`,
    "?3, h.data",
  );

const tombstoneSql = (table: CurrentTable) => upsertSql(table, `WHERE ${isAtBase(table)}`, "?3");

/** Names the entities that still have their base revision: for those that get no current row. */
const confirmSql = (table: CurrentTable) => `
  SELECT ref.entity_type, ref.entity_value FROM ${refsOf([])} WHERE ${isAtBase(table)}`;

/** The transaction of a group: its writes, or its one deletion. */
export function groupStatements(
  db: D1DatabaseSession,
  tenant: string,
  plan: GroupPlan,
): D1PreparedStatement[] {
  const [only] = plan.entities.values();
  const [tombstone] = only?.rows.values() ?? [];
  return only?.deletion && tombstone
    ? deleteStatements(db, tenant, only, tombstone.row)
    : commitStatements(db, tenant, plan);
}

/** The transaction of a group, in order: history first, while its guard still sees the base revision. */
function commitStatements(db: D1DatabaseSession, tenant: string, plan: GroupPlan): D1PreparedStatement[] {
  const statements: D1PreparedStatement[] = [];
  const add = (sql: string, rows: PackedRow[]) => {
    for (const { json, longData } of chunkRows(rows)) {
      // The statement that only asks has no third parameter.
      const parameters = sql.includes("?3") ? [tenant, json, longData] : [tenant, json];
      statements.push(db.prepare(sql).bind(...parameters));
    }
  };
  // Rows that are neighbours in the tables are written as neighbours: the pages of many others need not stay in memory.
  const inOrder = [...plan.entities.values()].sort((a, b) => (isBefore(a.ref, b.ref) ? -1 : 1));
  for (const [table, entities] of groupByTable(inOrder)) {
    add(
      historySql(table),
      entities.flatMap((entity) => entity.history.map((row) => packHistory(entity, row))),
    );
    const unchanged = entities.filter((entity) => entity.rows.size === 0);
    add(
      confirmSql(table),
      unchanged.map((entity) => ({ cells: keyCells(entity), longData: null })),
    );
    add(
      provenUpsertSql(table),
      entities.flatMap((entity) => [...entity.rows.values()].map((row) => packRow(entity, row))),
    );
  }
  return statements;
}

/**
 * The transaction of a deletion. Its tombstones go in first, under the guard and in one statement; the rest happens
 * only where the first of them stands. Results in order: the tombstones', the history's and, of a whole entity, the
 * current rows'.
 */
function deleteStatements(
  db: D1DatabaseSession,
  tenant: string,
  plan: EntityPlan,
  tombstone: CategoryRow,
): D1PreparedStatement[] {
  const { entityType, entityValue } = plan.ref;
  const table = currentTable(entityType);
  const stands = `EXISTS (SELECT 1 FROM ${table.name} AS t WHERE t.tenant_id = ?1 AND ${table.matches("t", "?2", "?3")}
    AND t.category = ?4 AND t.revision = ?5 AND t.updated_at = ?6 AND t.data IS NULL)`;
  const inScope = tombstone.category === WHOLE_ENTITY ? "category <> ?4" : "category = ?4";
  const remove = (target: string, matches: string) =>
    db
      .prepare(
        `DELETE FROM ${target} AS x WHERE x.tenant_id = ?1 AND ${matches} AND x.${inScope} AND ${stands}`,
      )
      .bind(tenant, entityType, entityValue, tombstone.category, tombstone.revision, tombstone.updatedAt);
  // One statement reads all its guards before it writes: none of the rows can spoil the guard of another.
  const packed = JSON.stringify([...plan.rows.values()].map((row) => packRow(plan, row).cells));
  const statements = [
    db.prepare(tombstoneSql(table)).bind(tenant, packed, null),
    remove("feature_history", "x.entity_type = ?2 AND x.entity_value = ?3"),
  ];
  if (tombstone.category === WHOLE_ENTITY) {
    // Tombstones of single categories stay: they may be dated after this one.
    statements.push(remove(table.name, `${table.matches("x", "?2", "?3")} AND x.data IS NOT NULL`));
  }
  return statements;
}

/** Rows of history that a deletion removed. @param results The results of its transaction, in order. */
export function historyRemoved([, history]: readonly D1Result[]): number {
  return history?.meta.changes ?? 0;
}

/** The entities of a plan are all different: there is no third case. */
function isBefore(a: EntityRef, b: EntityRef): boolean {
  return a.entityType === b.entityType ? a.entityValue < b.entityValue : a.entityType < b.entityType;
}

function groupByTable(plans: readonly EntityPlan[]): Map<CurrentTable, EntityPlan[]> {
  return Map.groupBy(plans, ({ ref }) => currentTable(ref.entityType));
}

function keyCells({ ref, base }: EntityPlan): Cell[] {
  return [ref.entityType, ref.entityValue, base];
}

function packRow(plan: EntityPlan, { row, proof }: PlannedRow): PackedRow {
  const { data, longData } = packData(row.data === proof?.data ? null : row.data);
  const values: Record<(typeof UPSERT_CELLS)[number], Cell> = {
    category: row.category,
    data,
    event_times: row.eventTimes,
    event_time: row.eventTime,
    floor: row.floor,
    deleted_at: row.deletedAt,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
    revision: row.revision,
    compute_id: row.computeId,
    source: row.source,
    expires_at: row.expiresAt,
    proof_event_time: proof?.eventTime ?? null,
    proof_event_id: proof?.eventId ?? null,
  };
  return { cells: [...keyCells(plan), ...UPSERT_CELLS.map((name) => values[name])], longData };
}

function packHistory(plan: EntityPlan, row: HistoryRow): PackedRow {
  const { data, longData } = packData(row.data);
  const values: Record<(typeof HISTORY_CELLS)[number], Cell> = {
    category: row.category,
    data,
    event_time: row.eventTime,
    revision: row.revision,
    mode: row.mode,
    ingested_at: row.ingestedAt,
    compute_id: row.computeId,
    expires_at: row.expiresAt,
    event_id: row.eventId,
    may_repeat: row.mayRepeat ? 1 : 0,
  };
  return { cells: [...keyCells(plan), ...HISTORY_CELLS.map((name) => values[name])], longData };
}
