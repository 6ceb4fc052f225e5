/** The rows of a tenant's entities: walked in the order of their keys, copied, and removed. All SQL of a move but that of its record. */
import { BUILT_IN_ENTITY_TYPES } from "../../db/current-rows.ts";
import { jsonParts } from "../../db/json-parts.ts";
import { type EntityRef, entityKey } from "../../keys.ts";
import { MOVE_BATCH_BYTES, MOVE_DELETED_ROWS, MOVE_PAGE_ROWS } from "../../limits.ts";
import { partsUpTo } from "../../parts.ts";
import type { Micros } from "../../timestamps.ts";

type Cell = string | number;
type Key = Cell[];

interface MovedTable {
  name: string;
  /** The primary key, without the tenant. */
  key: readonly string[];
  /** So many of its first columns name the entity. */
  firstCells: number;
  /** Columns that may be large. */
  sizes: readonly string[];
  refOf: (key: Key) => EntityRef;
  /** Null: such an entity is in another table. */
  firstOf: (ref: EntityRef) => Key | null;
}

const builtIn = (name: string): MovedTable => ({
  name,
  key: [name, "category"],
  firstCells: 1,
  sizes: ["data", "event_times"],
  refOf: ([value]) => ({ entityType: name, entityValue: String(value) }),
  firstOf: ({ entityType, entityValue }) => (entityType === name ? [entityValue] : null),
});

const general = (
  table: Pick<MovedTable, "name" | "sizes"> & { rest: readonly string[] },
  holds: (type: string) => boolean,
): MovedTable => ({
  ...table,
  key: ["entity_type", "entity_value", "category", ...table.rest],
  firstCells: 2,
  refOf: ([type, value]) => ({ entityType: String(type), entityValue: String(value) }),
  firstOf: ({ entityType, entityValue }) => (holds(entityType) ? [entityType, entityValue] : null),
});

/** The history first: a current row is removed when all else of its entity is. */
export const MOVED_TABLES: readonly MovedTable[] = [
  general(
    { name: "feature_history", sizes: ["data"], rest: ["event_time", "revision", "ingested_at"] },
    () => true,
  ),
  ...BUILT_IN_ENTITY_TYPES.map(builtIn),
  general(
    { name: "entities", sizes: ["data", "event_times"], rest: [] },
    (type) => !BUILT_IN_ENTITY_TYPES.includes(type),
  ),
];

const isHistory = ({ name }: MovedTable) => name === "feature_history";

/** A run of the move, and the tenant. Once another run has begun, this one changes nothing in a new database any more. */
export interface MoveRun {
  tenant: string;
  run: number;
}

/** Another run has begun. */
export class Overtaken extends Error {}

export interface SizedKey {
  key: Key;
  bytes: number;
}

const fenceTask = (tenant: string) => `move/${tenant}`;
const IS_OURS = "(SELECT updated_at FROM maintenance WHERE task = ?1) = ?2";

/** This run alone may write to a new database from now on, and none that began before it. */
export async function fence(db: D1Database, { tenant, run }: MoveRun): Promise<void> {
  await db
    .prepare(
      `INSERT INTO maintenance (task, cursor, updated_at) VALUES (?1, '', ?2) ON CONFLICT (task)
       DO UPDATE SET updated_at = excluded.updated_at WHERE updated_at < excluded.updated_at`,
    )
    .bind(fenceTask(tenant), run)
    .run();
}

/** The next keys of a tenant, in their order. */
export async function keysAfter(
  db: D1Database,
  tenant: string,
  { table, after }: { table: MovedTable; after: Key | null },
): Promise<SizedKey[]> {
  return sizedKeys(
    db.prepare(
      `${sizedKeysSql(table)} FROM ${table.name} AS x WHERE x.tenant_id = ? ${following(table, after)}`,
    ),
    [tenant, ...(after ?? [])],
  );
}

interface OfEntities {
  table: MovedTable;
  after: Key | null;
  refs: readonly EntityRef[];
  /** Of the history what was ingested from then on; null: all of it. */
  since: Micros | null;
}

/** The same of some entities alone. */
export async function keysOf(
  db: D1Database,
  tenant: string,
  { table, after, refs, since }: OfEntities,
): Promise<SizedKey[]> {
  const own = entitiesIn(table, refs);
  if (own.length === 0) return [];
  const isNew = isHistory(table) && since !== null ? `AND x.ingested_at >= ${since}` : "";
  return sizedKeys(
    db.prepare(
      `${sizedKeysSql(table)} FROM json_each(?) AS ref CROSS JOIN ${table.name} AS x
       WHERE x.tenant_id = ? AND ${ofRef(table)} ${isNew} ${following(table, after)}`,
    ),
    [JSON.stringify(own), tenant, ...(after ?? [])],
  );
}

/** How a key of the table begins, for each of these entities that can be in it. */
const entitiesIn = (table: MovedTable, refs: readonly EntityRef[]) =>
  refs.flatMap((ref) => {
    const first = table.firstOf(ref);
    return first ? [first] : [];
  });

const ofRef = ({ key, firstCells }: MovedTable) =>
  key
    .slice(0, firstCells)
    .map((column, i) => `x.${column} = ref.value ->> ${i}`)
    .join(" AND ");

const keyColumns = ({ key }: MovedTable) => key.map((column) => `x.${column}`).join(", ");

const sizedKeysSql = (table: MovedTable) =>
  `SELECT ${keyColumns(table)}, ${table.sizes.map((column) => `ifnull(octet_length(x.${column}), 0)`).join(" + ")} AS bytes`;

const following = (table: MovedTable, after: Key | null) => {
  const isAfter = after ? `AND (${keyColumns(table)}) > (${after.map(() => "?").join(", ")})` : "";
  return `${isAfter} ORDER BY ${keyColumns(table)} LIMIT ${MOVE_PAGE_ROWS}`;
};

async function sizedKeys(statement: D1PreparedStatement, values: readonly Cell[]): Promise<SizedKey[]> {
  const { results } = await statement.bind(...values).all<Record<string, Cell>>();
  return results.map((row) => {
    const cells = Object.values(row);
    return { key: cells.slice(0, -1), bytes: ROW_BYTES + Number(cells.at(-1)) };
  });
}

/** What a row has beside its data, nearly. */
const ROW_BYTES = 500;

interface Copied {
  source: D1Database;
  target: D1Database;
  table: MovedTable;
  keys: readonly SizedKey[];
  /** Called after each part of the work, with how long it took: the databases serve others too. */
  rest: (tookMs: number) => Promise<void>;
}

/** @throws Overtaken */
export async function copyRows(
  { tenant, run }: MoveRun,
  { source, target, table, keys, rest }: Copied,
): Promise<void> {
  for (const { items } of partsUpTo(keys, ({ bytes }) => bytes, MOVE_BATCH_BYTES)) {
    const startedMs = Date.now();
    const named = jsonParts(items.map(({ key }) => key));
    const found = await source.batch<Record<string, Cell | null>>(
      named.map((json) => source.prepare(`SELECT * ${fromNamed(table)}`).bind(tenant, json)),
    );
    const rows = found.flatMap(({ results }) => results);
    await inTarget(target, { tenant, run }, insertStatements(target, { tenant, run }, { table, rows }));
    await rest(Date.now() - startedMs);
  }
}

/** A statement binds at most 100 values; two of them are the run's. */
const MOST_CELLS = 98;

function insertStatements(
  db: D1Database,
  { tenant, run }: MoveRun,
  { table, rows }: { table: MovedTable; rows: readonly Record<string, Cell | null>[] },
): D1PreparedStatement[] {
  const columns = Object.keys(rows[0] ?? {});
  const perStatement = Math.floor(MOST_CELLS / columns.length);
  const one = `(${columns.map(() => "?").join(", ")})`;
  return Array.from({ length: Math.ceil(rows.length / perStatement) }, (_, i) => {
    const some = rows.slice(i * perStatement, (i + 1) * perStatement);
    return db
      .prepare(
        `WITH is_ours AS (SELECT ${IS_OURS} AS yes)
         INSERT OR REPLACE INTO ${table.name} (${columns.join(", ")})
         SELECT * FROM (VALUES ${some.map(() => one).join(", ")}) WHERE (SELECT yes FROM is_ours)`,
      )
      .bind(fenceTask(tenant), run, ...some.flatMap((row) => columns.map((column) => row[column] ?? null)));
  });
}

/** Those of the entities of which something was deleted from then on, by `entityKey`. */
export async function deletedSince(
  db: D1Database,
  tenant: string,
  { refs, since }: { refs: readonly EntityRef[]; since: Micros },
): Promise<Set<string>> {
  const deleted = new Set<string>();
  for (const table of MOVED_TABLES.filter((one) => !isHistory(one))) {
    const own = entitiesIn(table, refs);
    if (own.length === 0) continue;
    const { results } = await db
      .prepare(
        `SELECT DISTINCT ref.value AS first FROM json_each(?) AS ref CROSS JOIN ${table.name} AS x
         WHERE x.tenant_id = ? AND ${ofRef(table)} AND x.deleted_at >= ?`,
      )
      .bind(JSON.stringify(own), tenant, since)
      .all<{ first: string }>();
    for (const { first } of results) deleted.add(entityKey(table.refOf(JSON.parse(first) as Key)));
  }
  return deleted;
}

/** What a new database has of some entities, before they are copied once more. @throws Overtaken */
export async function removeEntities(
  db: D1Database,
  move: MoveRun,
  { refs, isWhole }: { refs: readonly EntityRef[]; isWhole: boolean },
): Promise<void> {
  const statements = MOVED_TABLES.flatMap((table) => {
    const own = entitiesIn(table, refs);
    if (own.length === 0 || (isHistory(table) && !isWhole)) return [];
    return db
      .prepare(
        `DELETE FROM ${table.name} WHERE ${IS_OURS} AND rowid IN (
           SELECT x.rowid FROM json_each(?4) AS ref CROSS JOIN ${table.name} AS x WHERE x.tenant_id = ?3 AND ${ofRef(table)})`,
      )
      .bind(fenceTask(move.tenant), move.run, move.tenant, JSON.stringify(own));
  });
  await inTarget(db, move, statements);
}

/** Some of what a new database has of the tenant. @returns whether there may be more. @throws Overtaken */
export async function removeSome(db: D1Database, move: MoveRun): Promise<boolean> {
  const statements = MOVED_TABLES.map(({ name }) =>
    db
      .prepare(
        `DELETE FROM ${name} WHERE ${IS_OURS}
         AND rowid IN (SELECT rowid FROM ${name} WHERE tenant_id = ?3 LIMIT ${MOVE_DELETED_ROWS})`,
      )
      .bind(fenceTask(move.tenant), move.run, move.tenant),
  );
  const removed = await inTarget(db, move, statements);
  return removed.some(({ meta }) => meta.changes > 0);
}

/** Of where they were. They are elsewhere for ever: nothing can come between. */
export async function removeRows(
  db: D1Database,
  tenant: string,
  { table, keys }: { table: MovedTable; keys: readonly SizedKey[] },
): Promise<void> {
  const named = jsonParts(keys.map(({ key }) => key));
  if (named.length === 0) return;
  await db.batch(named.map((json) => db.prepare(`DELETE ${fromNamed(table)}`).bind(tenant, json)));
}

const fromNamed = ({ name, key }: MovedTable) => `FROM ${name} WHERE tenant_id = ?1
  AND (${key.join(", ")}) IN (SELECT ${key.map((_, i) => `value ->> ${i}`).join(", ")} FROM json_each(?2))`;

/** Together with a look at whose turn it is. */
async function inTarget(
  db: D1Database,
  { tenant, run }: MoveRun,
  statements: readonly D1PreparedStatement[],
): Promise<D1Result[]> {
  const isOurs = db.prepare(`SELECT ${IS_OURS} AS yes`).bind(fenceTask(tenant), run);
  const results = await db.batch<{ yes: number | null }>([...statements, isOurs]);
  if (results.at(-1)?.results[0]?.yes !== 1) throw new Overtaken("another run of the move has begun");
  return results;
}
