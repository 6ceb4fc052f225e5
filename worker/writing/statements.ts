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
import { entityKey } from "../keys.ts";
import { type Cell, chunkRows, type PackedRow, packData } from "./pack-rows.ts";
import type { EntityPlan, GroupPlan, HistoryRow, PlannedRow } from "./plan-group.ts";

/** The first cells of every packed row: the entity and the revision on which its plan rests. */
const TYPE = "ref.value ->> 0";
const VALUE = "ref.value ->> 1";
const BASE = "ref.value ->> 2";

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

/** Whether a history row may be what is there already: see {@link historySql}. */
const HISTORY_CELLS = [...HISTORY_COLUMNS, "may_repeat"] as const;

/** A current row is followed by what identifies its proof beside its own category, revision and time of update. */
const UPSERT_CELLS = [...ROW_COLUMNS, "proof_event_time", "proof_event_id"] as const;

const cellOf = <Name extends string>(columns: readonly Name[], name: Name) =>
  `ref.value ->> ${3 + columns.indexOf(name)}`;
/** Data too long to be packed comes as a parameter of its own. */
const cells = (columns: readonly string[], of = columns) =>
  columns
    .map((name) => (name === "data" ? `coalesce(${cellOf(of, name)}, ?3)` : cellOf(of, name)))
    .join(", ");

const isAtBase = (table: CurrentTable) =>
  `(SELECT coalesce(max(g.revision), 0) FROM ${table.name} AS g
    WHERE g.tenant_id = ?1 AND ${table.matches("g", TYPE, VALUE)}) = ${BASE}`;

const history = (name: (typeof HISTORY_CELLS)[number]) => cellOf(HISTORY_CELLS, name);

// A late row that repeats the newest one of the same event time tells nothing new: retries do not fill the history.
const historySql = (table: CurrentTable) => `
  INSERT INTO feature_history (tenant_id, entity_type, entity_value, ${HISTORY_COLUMNS.join(", ")})
  SELECT ?1, ${TYPE}, ${VALUE}, ${cells(HISTORY_COLUMNS, HISTORY_CELLS)} FROM json_each(?2) AS ref
  WHERE ${isAtBase(table)} AND (${history("may_repeat")} = 0 OR coalesce((
    SELECT h.data = coalesce(${history("data")}, ?3) AND h.mode = ${history("mode")} AND h.expires_at IS ${history("expires_at")}
    FROM feature_history AS h
    WHERE h.tenant_id = ?1 AND h.entity_type = ${TYPE} AND h.entity_value = ${VALUE}
      AND h.category = ${history("category")} AND h.event_time = ${history("event_time")}
    ORDER BY h.revision DESC, h.ingested_at DESC LIMIT 1), 0) = 0)`;

const upsert = (name: (typeof UPSERT_CELLS)[number]) => cellOf(UPSERT_CELLS, name);

/** Holds when the history row of the same write is there: the base revision itself is gone after the first row. */
const isProven = `(SELECT h.event_id FROM feature_history AS h
    WHERE h.tenant_id = ?1 AND h.entity_type = ${TYPE} AND h.entity_value = ${VALUE}
      AND h.category = ${upsert("category")} AND h.event_time = ${upsert("proof_event_time")}
      AND h.revision = ${upsert("revision")} AND h.ingested_at = ${upsert("updated_at")}) = ${upsert("proof_event_id")}`;

const upsertSql = (table: CurrentTable, guard: string) => `
  INSERT INTO ${table.name} (tenant_id, ${table.keyColumns.join(", ")}, ${ROW_COLUMNS.join(", ")})
  SELECT ?1, ${table.keyColumns.length === 1 ? VALUE : `${TYPE}, ${VALUE}`}, ${cells(ROW_COLUMNS, UPSERT_CELLS)}
  FROM json_each(?2) AS ref WHERE ${guard}
  ON CONFLICT DO UPDATE SET ${ROW_COLUMNS.slice(1)
    .map((column) => `${column} = excluded.${column}`)
    .join(", ")}
  RETURNING ${table.keyColumns.length === 1 ? `'${table.name}' AS entity_type, ${table.name} AS entity_value` : "entity_type, entity_value"}`;

/** Names the entities that still have their base revision: for those that get no current row. */
const confirmSql = (table: CurrentTable) => `
  SELECT ${TYPE} AS entity_type, ${VALUE} AS entity_value FROM json_each(?2) AS ref WHERE ${isAtBase(table)}`;

/** The transaction of a group: of writes, or of the one deletion that it is. */
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
  for (const [table, entities] of groupByTable([...plan.entities.values()])) {
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
      upsertSql(table, isProven),
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
    db.prepare(upsertSql(table, isAtBase(table))).bind(tenant, packed, null),
    remove("feature_history", "x.entity_type = ?2 AND x.entity_value = ?3"),
  ];
  if (tombstone.category === WHOLE_ENTITY) {
    // Tombstones of single categories stay: they may be dated after this one.
    statements.push(remove(table.name, `${table.matches("x", "?2", "?3")} AND x.data IS NOT NULL`));
  }
  return statements;
}

/** The entities that the transaction changed, or confirmed, as {@link entityKey}s. */
export function committedKeys(results: readonly D1Result[]): Set<string> {
  const keys = new Set<string>();
  for (const { results: rows } of results as D1Result<{ entity_type?: string; entity_value?: string }>[]) {
    for (const { entity_type: entityType, entity_value: entityValue } of rows) {
      if (entityType !== undefined && entityValue !== undefined)
        keys.add(entityKey({ entityType, entityValue }));
    }
  }
  return keys;
}

function groupByTable(plans: readonly EntityPlan[]): Map<CurrentTable, EntityPlan[]> {
  return Map.groupBy(plans, ({ ref }) => currentTable(ref.entityType));
}

function keyCells({ ref, base }: EntityPlan): Cell[] {
  return [ref.entityType, ref.entityValue, base];
}

function packRow(plan: EntityPlan, { row, proof }: PlannedRow): PackedRow {
  const { data, longData } = packData(row.data);
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
