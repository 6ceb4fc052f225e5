/** The registry in D1: features and their versions. Every query names the tenant. */
import { and, asc, eq, getTableColumns, inArray, type SQL, sql } from "drizzle-orm";
import type { SQLiteColumn } from "drizzle-orm/sqlite-core";
import { primary } from "../db/primary.ts";
import { features, featureVersions, rawTables } from "../db/schema.ts";
import type { Micros } from "../timestamps.ts";
import type { CatalogEntry, VersionStatus } from "./catalog.ts";
import type { Dtype } from "./dtypes.ts";

export type FeatureRow = typeof features.$inferSelect;
export type VersionRow = typeof featureVersions.$inferSelect;

/** A feature with its versions in ascending order. */
export interface RegisteredFeature extends FeatureRow {
  versions: VersionRow[];
}

export interface NewFeature {
  name: string;
  entityType: string;
  category: string;
  kind: "scalar" | "computed";
  rawTableId: number | null;
  entityKey: string | null;
  materialize: "manual" | "on_ingest" | null;
  computationLogic: string | null;
  description: string | null;
  owner: string | null;
  tags: string[];
}

export interface NewVersion {
  version: number;
  dtype: Dtype | "vector";
  computationLogic: string | null;
  ttlSeconds: number | null;
  defaultValue: string | null;
  /** Null: active if it is the feature's first, which is there to be used; else a draft, to be filled before reads switch to it. */
  status: VersionStatus | null;
}

export async function selectCatalog(db: D1Database, tenant: string): Promise<CatalogEntry[]> {
  const orm = primary(db);
  const [entries, versions] = await orm.batch([
    orm.select().from(features).where(eq(features.tenantId, tenant)),
    orm.select().from(featureVersions).where(eq(featureVersions.tenantId, tenant)),
  ]);
  const byFeature = Map.groupBy(versions, ({ featureId }) => featureId);
  return entries.map(({ featureId, name, kind, entityType, category }) => ({
    name,
    kind,
    entityType,
    category,
    versions: (byFeature.get(featureId) ?? []).map((version) => ({
      ...version,
      dtype: version.dtype as Dtype | "vector",
    })),
  }));
}

const usualStatus = sql`CASE WHEN EXISTS (
  SELECT 1 FROM ${featureVersions} AS other WHERE other.feature_id = features.feature_id) THEN 'draft' ELSE 'active' END`;

/**
 * Adds a feature, where there is none of its name, and a version of it, where there is none of its number, in one
 * transaction. Two at once: the second adds nothing.
 *
 * @returns whether the version was added; the feature as it is now.
 */
export async function insertVersion(
  db: D1Database,
  tenant: string,
  feature: NewFeature,
  version: NewVersion,
  now: Micros,
): Promise<{ added: boolean; feature: RegisteredFeature | null }> {
  const orm = primary(db);
  const { name, entityType, category, kind } = feature;
  const [, added, rows, versions] = await orm.batch([
    orm
      .insert(features)
      .values({
        ...feature,
        tags: JSON.stringify(feature.tags),
        tenantId: tenant,
        createdAt: now,
        updatedAt: now,
      })
      .onConflictDoNothing(),
    orm
      .insert(featureVersions)
      .select(
        orm
          .select({
            versionId: sql<number>`NULL`.as("version_id"),
            tenantId: features.tenantId,
            featureId: features.featureId,
            version: sql<number>`${version.version}`.as("version"),
            dtype: sql<string>`${version.dtype}`.as("dtype"),
            computationLogic: sql<string | null>`${version.computationLogic}`.as("computation_logic"),
            ttlSeconds: sql<number | null>`${version.ttlSeconds}`.as("ttl_seconds"),
            defaultValue: sql<string | null>`${version.defaultValue}`.as("default_value"),
            // Within the statement: of two that are the first at once, one is.
            status: sql<VersionStatus>`coalesce(${version.status}, ${usualStatus})`.as("status"),
            createdAt: sql<number>`${now}`.as("created_at"),
            updatedAt: sql<number>`${now}`.as("updated_at"),
          })
          .from(features)
          .where(
            and(
              eq(features.tenantId, tenant),
              eq(features.name, name),
              eq(features.entityType, entityType),
              eq(features.category, category),
              eq(features.kind, kind),
            ),
          ),
      )
      .onConflictDoNothing()
      .returning({ versionId: featureVersions.versionId }),
    orm.select().from(features).where(isNamed(tenant, name)),
    selectVersionsOf(orm, tenant, isNamed(tenant, name)),
  ]);
  const [found] = rows;
  return { added: added.length > 0, feature: found ? { ...found, versions } : null };
}

/**
 * A feature without versions, if its raw table is there: the table is part of the statement, as its features are of that
 * which deletes it.
 *
 * @returns null when there is a feature of its name, or no such table.
 */
export async function insertComputedFeature(
  db: D1Database,
  tenant: string,
  feature: NewFeature & { kind: "computed"; rawTableId: number },
  now: Micros,
): Promise<FeatureRow | null> {
  const orm = primary(db);
  const row: Record<keyof FeatureRow, unknown> = {
    ...feature,
    featureId: null,
    tags: JSON.stringify(feature.tags),
    tenantId: tenant,
    createdAt: now,
    updatedAt: now,
  };
  const columns = Object.entries(getTableColumns(features)) as [keyof FeatureRow, SQLiteColumn][];
  const values = columns.map(([key, { name }]) => [key, sql`${row[key]}`.as(name)]);
  const [inserted] = await orm
    .insert(features)
    .select(
      orm
        .select(Object.fromEntries(values))
        .from(rawTables)
        .where(and(eq(rawTables.tenantId, tenant), eq(rawTables.tableId, feature.rawTableId))),
    )
    .onConflictDoNothing()
    .returning();
  return inserted ?? null;
}

/** The feature of which this is the id of a version. */
export async function findFeatureOfVersion(
  db: D1Database,
  tenant: string,
  versionId: number,
): Promise<RegisteredFeature | null> {
  const [row] = await primary(db)
    .select({ featureId: featureVersions.featureId })
    .from(featureVersions)
    .where(and(eq(featureVersions.tenantId, tenant), eq(featureVersions.versionId, versionId)));
  return row ? findFeature(db, tenant, String(row.featureId)) : null;
}

/** By its name or, when the text is a number, by its id: names never begin with a digit. */
export async function findFeature(
  db: D1Database,
  tenant: string,
  nameOrId: string,
): Promise<RegisteredFeature | null> {
  const orm = primary(db);
  const matches = isNamedOrNumbered(tenant, nameOrId);
  const [[found], versions] = await orm.batch([
    orm.select().from(features).where(matches),
    selectVersionsOf(orm, tenant, matches),
  ]);
  return found ? { ...found, versions } : null;
}

/** @returns whether there is such a version. */
export async function setVersionStatus(
  db: D1Database,
  tenant: string,
  { featureId, version }: { featureId: number; version: number },
  status: VersionStatus,
  now: Micros,
): Promise<boolean> {
  const changed = await primary(db)
    .update(featureVersions)
    .set({ status, updatedAt: now })
    .where(
      and(
        eq(featureVersions.tenantId, tenant),
        eq(featureVersions.featureId, featureId),
        eq(featureVersions.version, version),
      ),
    )
    .returning({ version: featureVersions.version });
  return changed.length > 0;
}

const isNamed = (tenant: string, name: string) => and(eq(features.tenantId, tenant), eq(features.name, name));

function isNamedOrNumbered(tenant: string, nameOrId: string): SQL | undefined {
  const id = /^\d{1,15}$/.test(nameOrId) ? Number(nameOrId) : null;
  return id === null
    ? isNamed(tenant, nameOrId)
    : and(eq(features.tenantId, tenant), eq(features.featureId, id));
}

function selectVersionsOf(orm: ReturnType<typeof primary>, tenant: string, matches: SQL | undefined) {
  const ids = orm.select({ featureId: features.featureId }).from(features).where(matches);
  return orm
    .select()
    .from(featureVersions)
    .where(and(eq(featureVersions.tenantId, tenant), inArray(featureVersions.featureId, ids)))
    .orderBy(asc(featureVersions.version));
}
