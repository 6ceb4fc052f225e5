/**
 * The current rows of entities: which table an entity type lives in, how a row looks in code, and the one query
 * that reads all rows of any number of entities. The reader and the writer share it.
 */
import type { EntityRef } from "../keys.ts";
import { MAX_ENTITIES_BYTES } from "../limits.ts";
import type { Micros } from "../timestamps.ts";
import type { brightUid } from "./schema.ts";

/** A current row without its entity: one category. See `schema.ts` for what each field means. */
export type CategoryRow = Omit<typeof brightUid.$inferSelect, "tenantId" | "brightUid">;

/** The category under which the tombstone of a whole entity is kept. No category can be called so. */
export const WHOLE_ENTITY = "";

/** All that D1 holds of one entity. A revision of 0 and no rows: it was never written. */
export interface EntityRows {
  revision: number;
  rows: CategoryRow[];
}

export interface CurrentTable {
  name: "bright_uid" | "account_id" | "entities";
  keyColumns: readonly string[];
  /** SQL that holds for the rows of one entity in the table `alias`; `type` and `value` are SQL expressions. */
  matches(alias: string, type: string, value: string): string;
}

const GENERAL: CurrentTable = {
  name: "entities",
  keyColumns: ["entity_type", "entity_value"],
  matches: (alias, type, value) => `${alias}.entity_type = ${type} AND ${alias}.entity_value = ${value}`,
};

const builtIn = (name: "bright_uid" | "account_id"): CurrentTable => ({
  name,
  keyColumns: [name],
  matches: (alias, _type, value) => `${alias}.${name} = ${value}`,
});

const BUILT_IN: ReadonlyMap<string, CurrentTable> = new Map([
  ["bright_uid", builtIn("bright_uid")],
  ["account_id", builtIn("account_id")],
]);

/** Entity types that need no declaration, each with a table of its own. */
export const BUILT_IN_ENTITY_TYPES: readonly string[] = [...BUILT_IN.keys()];

export function currentTable(entityType: string): CurrentTable {
  return BUILT_IN.get(entityType) ?? GENERAL;
}

/** The columns of a {@link CategoryRow} in the order in which statements pass them. */
export const ROW_COLUMNS = [
  "category",
  "data",
  "event_times",
  "event_time",
  "floor",
  "deleted_at",
  "created_at",
  "updated_at",
  "revision",
  "compute_id",
  "source",
  "expires_at",
] as const;

/** A row as D1 returns it; `position` says of which entity that was asked for. */
interface RawRow {
  position: number;
  category: string;
  data: string | null;
  event_times: string | null;
  event_time: Micros;
  floor: Micros | null;
  deleted_at: Micros | null;
  created_at: Micros;
  updated_at: Micros;
  revision: number;
  compute_id: string | null;
  source: string | null;
  expires_at: Micros | null;
}

/**
 * Reads every row of `refs` in one round trip: one indexed query per table that they live in (one, as a rule).
 *
 * @param db A session of D1, so that the caller decides how fresh the answer must be.
 * @param mostBytes What the rows of one table may have together; of one entity alone, unless it is given, any number.
 * @returns in the order of `refs`; null when it is more: then none of them has left the database.
 */
export async function selectEntities(
  db: D1DatabaseSession,
  tenant: string,
  refs: readonly EntityRef[],
  mostBytes?: number,
): Promise<EntityRows[] | null> {
  const found: EntityRows[] = refs.map(() => ({ revision: 0, rows: [] }));
  const results = await runTogether(db, selectStatements(db, tenant, refs, mostBytes));
  for (const { results: rows } of results) {
    for (const row of rows) {
      if (row.position === TOO_LARGE) return null;
      const entity = found[row.position];
      if (!entity) continue;
      entity.rows.push(toCategoryRow(row));
      entity.revision = Math.max(entity.revision, row.revision);
    }
  }
  return found;
}

function selectStatements(
  db: D1DatabaseSession,
  tenant: string,
  refs: readonly EntityRef[],
  mostBytes: number | undefined,
): D1PreparedStatement[] {
  const byTable = new Map<CurrentTable, [string, string, number][]>();
  refs.forEach(({ entityType, entityValue }, position) => {
    const table = currentTable(entityType);
    const wanted = byTable.get(table);
    if (wanted) wanted.push([entityType, entityValue, position]);
    else byTable.set(table, [[entityType, entityValue, position]]);
  });
  return [...byTable].map(([table, wanted]) => {
    const list = JSON.stringify(wanted);
    if (wanted.length === 1 && mostBytes === undefined)
      return db.prepare(selectSql(table)).bind(tenant, list);
    return db.prepare(boundedSql(table)).bind(tenant, list, mostBytes ?? MAX_ENTITIES_BYTES);
  });
}

/** Stands in place of a position where nothing is read, because it would be too much. */
const TOO_LARGE = -1;

// CROSS JOIN: SQLite keeps the order, the short list outside and the table found by its key inside.
const fromWanted = (table: CurrentTable) => `
  FROM json_each(?2) AS ref CROSS JOIN ${table.name} AS t
  WHERE t.tenant_id = ?1 AND ${table.matches("t", "ref.value ->> 0", "ref.value ->> 1")}`;
const selectSql = (table: CurrentTable) =>
  `SELECT ref.value ->> 2 AS position, ${ROW_COLUMNS.map((column) => `t.${column}`).join(", ")} ${fromWanted(table)}`;

/** A size is read from the head of a row, without its values. */
const boundedSql = (table: CurrentTable) => `
  WITH size AS MATERIALIZED (
    SELECT sum(octet_length(t.data) + ifnull(octet_length(t.event_times), 0)) AS bytes ${fromWanted(table)}
  )
  ${selectSql(table)} AND (SELECT ifnull(bytes, 0) FROM size) <= ?3
  UNION ALL
  SELECT ${TOO_LARGE}, ${ROW_COLUMNS.map(() => "NULL").join(", ")} FROM size WHERE bytes > ?3`;

async function runTogether(
  db: D1DatabaseSession,
  statements: D1PreparedStatement[],
): Promise<D1Result<RawRow>[]> {
  const [only] = statements;
  if (!only) return [];
  return statements.length === 1 ? [await only.all<RawRow>()] : db.batch<RawRow>(statements);
}

function toCategoryRow(row: RawRow): CategoryRow {
  return {
    category: row.category,
    data: row.data,
    eventTimes: row.event_times,
    eventTime: row.event_time,
    floor: row.floor,
    deletedAt: row.deleted_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
    computeId: row.compute_id,
    source: row.source,
    expiresAt: row.expires_at,
  };
}
