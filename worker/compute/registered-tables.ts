/** Raw tables in the registry in D1, and what is computed from them. What comes back is parsed. Every query names the tenant. */
import { and, asc, eq, notExists, type SQL, sql } from "drizzle-orm";
import { unionAll } from "drizzle-orm/sqlite-core";
import * as z from "zod";
import { primary } from "../db/primary.ts";
import { features, featureVersions, rawTables } from "../db/schema.ts";
import { MAX_RAW_TABLES_PER_TENANT } from "../limits.ts";
import { hasStamp } from "../registry/registry-store.ts";
import type { Micros } from "../timestamps.ts";
import { COLUMN_TYPES, type Column, type Columns, type RawSchema } from "./raw-columns.ts";

export type RegisteredTable = Pick<
  typeof rawTables.$inferSelect,
  "tableId" | "objectNonce" | "name" | "description" | "retentionDays" | "createdAt"
> & { schema: RawSchema };

const storedColumns = z.array(z.tuple([z.string(), z.enum(COLUMN_TYPES)]));
const storedNames = z.array(z.string());

function toTable(row: typeof rawTables.$inferSelect): RegisteredTable {
  const { columns: stored, optionalColumns, timestampColumn, tenantId: _, ...table } = row;
  const optional = new Set(storedNames.parse(JSON.parse(optionalColumns ?? "[]")));
  const columns = storedColumns
    .parse(JSON.parse(stored))
    .map(([name, type]): Column => (optional.has(name) ? [name, type, "optional"] : [name, type]));
  return { ...table, schema: { columns, timestampColumn } };
}

const columnsText = (columns: Columns) => JSON.stringify(columns.map(([name, type]) => [name, type]));
const optionalText = (columns: Columns) =>
  JSON.stringify(columns.flatMap(([name, , presence]) => (presence ? [name] : [])));

export async function insertRawTable(
  db: D1Database,
  tenant: string,
  {
    name,
    description,
    schema,
    retentionDays,
  }: Omit<RegisteredTable, "tableId" | "objectNonce" | "createdAt">,
  now: Micros,
): Promise<{ added: RegisteredTable } | { namesake: RegisteredTable } | "too many"> {
  const orm = primary(db);
  const isBelow = sql`(SELECT count(*) FROM ${rawTables} AS own WHERE own.tenant_id = ${tenant}) < ${MAX_RAW_TABLES_PER_TENANT}`;
  const values = orm.select({
    tableId: sql<number>`NULL`.as("table_id"),
    tenantId: sql<string>`${tenant}`.as("tenant_id"),
    name: sql<string>`${name}`.as("name"),
    description: sql<string | null>`${description}`.as("description"),
    columns: sql<string>`${columnsText(schema.columns)}`.as("columns"),
    timestampColumn: sql<string | null>`${schema.timestampColumn}`.as("timestamp_column"),
    createdAt: sql<number>`${now}`.as("created_at"),
    retentionDays: sql<number | null>`${retentionDays}`.as("retention_days"),
    objectNonce: sql<string>`lower(hex(randomblob(8)))`.as("object_nonce"),
    optionalColumns: sql<null>`NULL`.as("optional_columns"),
  });
  const [row] = await orm
    .insert(rawTables)
    .select(values.from(sql`(SELECT 1)`).where(isBelow))
    .onConflictDoNothing()
    .returning();
  if (row) return { added: toTable(row) };
  const [namesake] = await orm
    .select()
    .from(rawTables)
    .where(and(eq(rawTables.tenantId, tenant), eq(rawTables.name, name)));
  return namesake ? { namesake: toTable(namesake) } : "too many";
}

export async function selectRawTables(db: D1Database, tenant: string): Promise<RegisteredTable[]> {
  const rows = await primary(db)
    .select()
    .from(rawTables)
    .where(eq(rawTables.tenantId, tenant))
    .orderBy(asc(rawTables.tableId));
  return rows.map(toTable);
}

/** @param table Its id, or its name. */
export async function findRawTable(
  db: D1Database,
  tenant: string,
  table: number | string,
): Promise<RegisteredTable | null> {
  const isAsked = typeof table === "number" ? eq(rawTables.tableId, table) : eq(rawTables.name, table);
  const [row] = await primary(db)
    .select()
    .from(rawTables)
    .where(and(eq(rawTables.tenantId, tenant), isAsked));
  return row ? toTable(row) : null;
}

/**
 * @param was On what a change of columns is based: those of before, and what was registered when all that uses them was read.
 * @returns the table as it is now; null when there is none, or it has other columns, or something was registered since.
 */
export async function changeRawTable(
  db: D1Database,
  { tenant, tableId }: { tenant: string; tableId: number },
  { retentionDays, columns }: { retentionDays?: number | null; columns?: Columns },
  was?: { columns: Columns; registryStamp: string | null },
): Promise<RegisteredTable | null> {
  const [row] = await primary(db)
    .update(rawTables)
    .set({
      ...(retentionDays !== undefined && { retentionDays }),
      ...(columns && { columns: columnsText(columns), optionalColumns: optionalText(columns) }),
    })
    .where(
      and(
        eq(rawTables.tenantId, tenant),
        eq(rawTables.tableId, tableId),
        was && and(hasColumns(was.columns), hasStamp(tenant, was.registryStamp)),
      ),
    )
    .returning();
  return row ? toTable(row) : null;
}

const hasColumns = (columns: Columns) => sql`json(${rawTables.columns}) = ${columnsText(columns)}`;

/** SQL, and the columns of its table with which it was proved. */
export interface Proof {
  tableId: number;
  columns: Columns;
}

/** Whether a proof still holds: part of the statement that relies on it. */
export const holds = (
  tenant: string,
  { tableId, columns }: Proof,
): SQL => sql`EXISTS (SELECT 1 FROM ${rawTables}
  WHERE ${and(eq(rawTables.tenantId, tenant), eq(rawTables.tableId, tableId), hasColumns(columns))})`;

/**
 * Unless features are computed from it: the condition is part of the statement, as the table is of that which inserts
 * such a feature.
 *
 * @returns whether it was there and is gone.
 */
export async function removeRawTable(db: D1Database, tenant: string, tableId: number): Promise<boolean> {
  const orm = primary(db);
  const dependent = orm
    .select({ featureId: features.featureId })
    .from(features)
    .where(and(eq(features.tenantId, tenant), eq(features.rawTableId, tableId)));
  const gone = await orm
    .delete(rawTables)
    .where(and(eq(rawTables.tenantId, tenant), eq(rawTables.tableId, tableId), notExists(dependent)))
    .returning({ tableId: rawTables.tableId });
  return gone.length > 0;
}

/** A version that is recomputed as rows arrive. */
export interface StreamingVersion {
  featureId: number;
  name: string;
  version: number;
  entityKey: string;
  sql: string;
  ttlSeconds: number | null;
}

/** The active versions of features that are recomputed when rows of the table arrive. */
export async function streamingVersions(
  db: D1Database,
  tenant: string,
  tableId: number,
): Promise<StreamingVersion[]> {
  const rows = await primary(db)
    .select({
      featureId: features.featureId,
      name: features.name,
      version: featureVersions.version,
      entityKey: features.entityKey,
      sql: featureVersions.computationLogic,
      ttlSeconds: featureVersions.ttlSeconds,
    })
    .from(features)
    .innerJoin(
      featureVersions,
      and(eq(featureVersions.tenantId, features.tenantId), eq(featureVersions.featureId, features.featureId)),
    )
    .where(
      and(
        eq(features.tenantId, tenant),
        eq(features.rawTableId, tableId),
        eq(features.materialize, "on_ingest"),
        eq(featureVersions.status, "active"),
      ),
    );
  return rows.flatMap(({ entityKey, sql, ...row }) =>
    entityKey === null || sql === null ? [] : { ...row, entityKey, sql },
  );
}

/** The features that are computed from a table, for who wants to drop it. */
export async function featuresOfTable(db: D1Database, tenant: string, tableId: number): Promise<string[]> {
  const rows = await primary(db)
    .select({ name: features.name })
    .from(features)
    .where(and(eq(features.tenantId, tenant), eq(features.rawTableId, tableId)));
  return rows.map(({ name }) => name);
}

/** The entity keys of the features that are computed from a table. */
export async function entityKeysOf(db: D1Database, tenant: string, tableId: number): Promise<string[]> {
  const rows = await primary(db)
    .selectDistinct({ entityKey: features.entityKey })
    .from(features)
    .where(and(eq(features.tenantId, tenant), eq(features.rawTableId, tableId)));
  return rows.flatMap(({ entityKey }) => entityKey ?? []);
}

/**
 * The different statements of the versions that are computed from a table, and of the features for versions to come, where
 * one of these words may stand in them.
 *
 * @param words In lower case.
 * @returns `of`: one of those that have it, as a request names it.
 */
export async function statementsWith(
  db: D1Database,
  { tenant, tableId }: { tenant: string; tableId: number },
  words: readonly string[],
): Promise<{ of: string; statement: string }[]> {
  const orm = primary(db);
  const { featureId, name, rawTableId, tenantId } = features;
  const isOfTable = and(eq(tenantId, tenant), eq(rawTableId, tableId));
  const isOfFeature = and(eq(featureVersions.tenantId, tenantId), eq(featureVersions.featureId, featureId));
  const statementOf = (column: typeof features.computationLogic | typeof featureVersions.computationLogic) =>
    sql<string>`${column}`.as("statement");
  const ofVersions = orm
    .select({
      of: sql<string>`${name} || '@' || ${featureVersions.version}`.as("of"),
      statement: statementOf(featureVersions.computationLogic),
    })
    .from(features)
    .innerJoin(featureVersions, isOfFeature)
    .where(isOfTable);
  const ofFeatures = orm
    .select({ of: sql<string>`${name}`.as("of"), statement: statementOf(features.computationLogic) })
    .from(features)
    .where(isOfTable);
  const all = unionAll(ofVersions, ofFeatures).as("statements");
  return orm
    .select({ of: sql<string>`max(${all.of})`, statement: all.statement })
    .from(all)
    .where(
      sql`EXISTS (SELECT 1 FROM json_each(${JSON.stringify(words)}) WHERE instr(lower(${all.statement}), value) > 0)`,
    )
    .groupBy(sql`${all.statement}`);
}
