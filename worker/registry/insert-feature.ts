/** Adding features and versions to the registry in D1: what may be added is decided within the statement. */
import { and, eq, getTableColumns, type SQL, sql } from "drizzle-orm";
import type { SQLiteColumn } from "drizzle-orm/sqlite-core";
import { holds, type Proof } from "../compute/registered-tables.ts";
import type { VersionDtype, VersionStatus } from "../db/column-values.ts";
import { primary } from "../db/primary.ts";
import { features, featureVersions } from "../db/schema.ts";
import type { Micros } from "../timestamps.ts";
import { mayAddFeature, mayAddVersion } from "./may-be-added.ts";
import {
  type Computed,
  isFeature,
  isNamed,
  mayBeActive,
  type NewFeature,
  type NewVersion,
  type Orm,
  type RegisteredFeature,
  selectVersionsOf,
  stamp,
  toFeature,
} from "./registry-store.ts";

const usualStatus = sql`CASE WHEN EXISTS (
  SELECT 1 FROM ${featureVersions} AS other WHERE other.feature_id = features.feature_id) THEN 'draft' ELSE 'active' END`;

/** Whether the version was added; the feature as it is now. */
interface Inserted {
  added: boolean;
  feature: RegisteredFeature | null;
}

/**
 * Adds a feature, where there is none of its name, and a version of it, where there is none of its number, in one
 * transaction. Two at once: the second adds nothing.
 */
export async function insertVersion(
  db: D1Database,
  tenant: string,
  feature: NewFeature,
  version: NewVersion,
  now: Micros,
): Promise<Inserted> {
  const orm = primary(db);
  const { name, entityType, category, kind } = feature;
  const isOfName = isNamed(tenant, name);
  const isSame = and(
    isOfName,
    eq(features.entityType, entityType),
    eq(features.category, category),
    eq(features.kind, kind),
  );
  const [, added, [found], versions] = await orm.batch([
    insertFeature(orm, tenant, { feature, version, now }),
    insertVersionOf(orm, tenant, isSame, { version, now }),
    orm.select().from(features).where(isOfName),
    selectVersionsOf(orm, tenant, isOfName),
    stamp(orm, tenant),
  ]);
  return { added: added.length > 0, feature: found ? toFeature(found, versions) : null };
}

/**
 * Adds a version, where there is none of its number, to a feature that is there: once removed it does not come back.
 *
 * @param proof Of its SQL; null: it has none.
 */
export async function insertFurtherVersion(
  db: D1Database,
  tenant: string,
  { featureId }: RegisteredFeature,
  { version, proof }: { version: NewVersion; proof: Proof | null },
  now: Micros,
): Promise<Inserted> {
  const orm = primary(db);
  const isThis = isFeature(tenant, featureId);
  const [added, [found], versions] = await orm.batch([
    insertVersionOf(orm, tenant, and(isThis, proof ? holds(tenant, proof) : undefined), { version, now }),
    orm.select().from(features).where(isThis),
    selectVersionsOf(orm, tenant, isThis),
    stamp(orm, tenant),
  ]);
  return { added: added.length > 0, feature: found ? toFeature(found, versions) : null };
}

/** @param matches The feature. */
function insertVersionOf(
  orm: Orm,
  tenant: string,
  matches: SQL | undefined,
  { version, now }: { version: NewVersion; now: Micros },
) {
  const { tags } = version.words;
  const status = sql`coalesce(${version.status}, ${usualStatus})`;
  return orm
    .insert(featureVersions)
    .select(
      orm
        .select({
          versionId: sql<number>`NULL`.as("version_id"),
          tenantId: features.tenantId,
          featureId: features.featureId,
          version: sql<number>`${version.version}`.as("version"),
          dtype: sql<VersionDtype>`${version.dtype}`.as("dtype"),
          computationLogic: sql<string | null>`${version.computationLogic}`.as("computation_logic"),
          ttlSeconds: sql<number | null>`${version.ttlSeconds}`.as("ttl_seconds"),
          defaultValue: sql<string | null>`${version.defaultValue}`.as("default_value"),
          // Within the statement: of two that are the first at once, one is.
          status: sql<VersionStatus>`${status}`.as("status"),
          description: sql<string | null>`${version.words.description}`.as("description"),
          owner: sql<string | null>`${version.words.owner}`.as("owner"),
          tags: sql<string | null>`${tags && JSON.stringify(tags)}`.as("tags"),
          createdAt: sql<number>`${now}`.as("created_at"),
          updatedAt: sql<number>`${now}`.as("updated_at"),
          registeredWords: sql<null>`NULL`.as("registered_words"),
        })
        .from(features)
        .where(
          and(
            matches,
            mayAddVersion(tenant, sql`features.name`, version),
            sql`(${status} <> 'active' OR ${mayBeActive(tenant, sql`features.feature_id`)})`,
          ),
        ),
    )
    .onConflictDoNothing()
    .returning({ versionId: featureVersions.versionId });
}

/**
 * A feature without versions. Its raw table is part of the statement, as its features are of that which deletes it.
 *
 * @param proof Of its SQL.
 * @returns null when it could not be added, or is there already.
 */
export async function insertComputedFeature(
  db: D1Database,
  tenant: string,
  { feature, proof }: { feature: Computed<NewFeature>; proof: Proof },
  now: Micros,
): Promise<RegisteredFeature | null> {
  const orm = primary(db);
  const [[inserted]] = await orm.batch([
    insertFeature(orm, tenant, { feature, version: null, now }, holds(tenant, proof)),
    stamp(orm, tenant),
  ]);
  return inserted ? toFeature(inserted, []) : null;
}

type Column = keyof typeof features.$inferSelect;

function insertFeature(
  orm: Orm,
  tenant: string,
  { feature, version, now }: { feature: NewFeature; version: NewVersion | null; now: Micros },
  proved?: SQL,
) {
  const row: Record<Column, unknown> = {
    ...feature,
    featureId: null,
    tags: JSON.stringify(feature.tags),
    tenantId: tenant,
    createdAt: now,
    updatedAt: now,
    registeredWords: null,
  };
  const columns = Object.entries(getTableColumns(features)) as [Column, SQLiteColumn][];
  const values = columns.map(([key, { name }]) => [key, sql`${row[key]}`.as(name)]);
  return orm
    .insert(features)
    .select(
      orm
        .select(Object.fromEntries(values))
        .from(sql`(SELECT 1)`)
        .where(and(proved, mayAddFeature(tenant, feature, version))),
    )
    .onConflictDoNothing()
    .returning();
}
