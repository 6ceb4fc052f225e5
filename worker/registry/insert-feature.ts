/** Adding features and versions to the registry in D1: what may be added is decided within the statement. */
import { and, eq, getTableColumns, inArray, ne, or, type SQL, sql } from "drizzle-orm";
import type { SQLiteColumn } from "drizzle-orm/sqlite-core";
import { utf8Length } from "../characters.ts";
import type { VersionDtype, VersionStatus } from "../db/column-values.ts";
import { primary } from "../db/primary.ts";
import { features, featureVersions, rawTables } from "../db/schema.ts";
import { MAX_DEFINITIONS_BYTES, MAX_FEATURES_PER_TENANT, MAX_VERSIONS_PER_TENANT } from "../limits.ts";
import type { Micros } from "../timestamps.ts";
import {
  type Computed,
  isNamed,
  mayBeActive,
  type NewFeature,
  type NewVersion,
  type Orm,
  type RegisteredFeature,
  selectVersionsOf,
  stamp,
  toFeature,
  type Words,
} from "./registry-store.ts";

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
  const { tags } = version.words;
  const status = sql`coalesce(${version.status}, ${usualStatus})`;
  const [, added, rows, versions] = await orm.batch([
    insertFeature(orm, tenant, { feature, version, now }),
    orm
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
              eq(features.tenantId, tenant),
              eq(features.name, name),
              eq(features.entityType, entityType),
              eq(features.category, category),
              eq(features.kind, kind),
              mayHaveVersion(tenant, textsOfVersion(version)),
              sql`(${status} <> 'active' OR ${mayBeActive(tenant, sql`features.feature_id`)})`,
            ),
          ),
      )
      .onConflictDoNothing()
      .returning({ versionId: featureVersions.versionId }),
    orm.select().from(features).where(isNamed(tenant, name)),
    selectVersionsOf(orm, tenant, isNamed(tenant, name)),
    stamp(orm, tenant),
  ]);
  const [found] = rows;
  return { added: added.length > 0, feature: found ? toFeature(found, versions) : null };
}

/**
 * A feature without versions. Its raw table is part of the statement, as its features are of that which deletes it.
 *
 * @returns null when it could not be added, or is there already.
 */
export async function insertComputedFeature(
  db: D1Database,
  tenant: string,
  feature: Computed<NewFeature>,
  now: Micros,
): Promise<RegisteredFeature | null> {
  const orm = primary(db);
  const [[inserted]] = await orm.batch([
    insertFeature(orm, tenant, { feature, version: null, now }),
    stamp(orm, tenant),
  ]);
  return inserted ? toFeature(inserted, []) : null;
}

type Column = keyof typeof features.$inferSelect;

/**
 * Adds a feature where there is none of its name, its raw table is there, its category is nobody's, and the tenant may
 * have one more: all of it is part of the statement, so that of two at once one sees the other.
 */
function insertFeature(
  orm: Orm,
  tenant: string,
  { feature, version, now }: { feature: NewFeature; version: NewVersion | null; now: Micros },
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
  const isTableThere =
    feature.kind === "computed"
      ? sql`EXISTS (SELECT 1 FROM ${rawTables}
          WHERE ${and(eq(rawTables.tenantId, tenant), eq(rawTables.tableId, feature.rawTableId))})`
      : undefined;
  return orm
    .insert(features)
    .select(
      orm
        .select(Object.fromEntries(values))
        .from(sql`(SELECT 1)`)
        .where(
          and(
            isTableThere,
            // One that is there would take an id with it that nobody has.
            sql`NOT EXISTS (SELECT 1 FROM ${features} WHERE ${or(isNamed(tenant, feature.name), sharesCategory(tenant, feature))})`,
            isBelow(features, tenant, MAX_FEATURES_PER_TENANT),
            mayHaveVersion(tenant, textsOf(feature, version)),
          ),
        ),
    )
    .onConflictDoNothing()
    .returning();
}

const isBelow = (table: typeof features | typeof featureVersions, tenant: string, most: number) =>
  sql`(SELECT count(*) FROM ${table} AS own WHERE own.tenant_id = ${tenant}) < ${most}`;

/** Whether the tenant may have a version more, and these texts. */
const mayHaveVersion = (tenant: string, texts: readonly string[]) =>
  and(isBelow(featureVersions, tenant, MAX_VERSIONS_PER_TENANT), hasRoomFor(tenant, texts));

const TEXTS = ["description", "owner", "tags", "registered_words", "computation_logic"];

/** Whether the tenant may have these texts beside all that its registry holds. */
export const hasRoomFor = (tenant: string, texts: readonly string[]) =>
  sql`${bytesIn(features, tenant, TEXTS)} + ${bytesIn(featureVersions, tenant, [...TEXTS, "default_value"])}
      + ${texts.reduce((bytes, text) => bytes + utf8Length(text), 0)} <= ${MAX_DEFINITIONS_BYTES}`;

function bytesIn(
  table: typeof features | typeof featureVersions,
  tenant: string,
  columns: readonly string[],
): SQL {
  const lengths = columns.map((name) => sql`coalesce(octet_length(own.${sql.identifier(name)}), 0)`);
  return sql`(SELECT total(${sql.join(lengths, sql` + `)}) FROM ${table} AS own WHERE own.tenant_id = ${tenant})`;
}

export const textsOfWords = ({ description, owner, tags }: Partial<Words>): string[] =>
  [description, owner, tags && JSON.stringify(tags)].filter((text) => text != null);

const textsOfVersion = ({ words, computationLogic, defaultValue }: NewVersion) => [
  ...textsOfWords(words),
  ...[computationLogic, defaultValue].filter((text) => text !== null),
];

function textsOf(feature: NewFeature, version: NewVersion | null): string[] {
  const { computationLogic } = feature;
  const own = [...textsOfWords(feature), ...(computationLogic === null ? [] : [computationLogic])];
  return version ? [...own, ...textsOfVersion(version)] : own;
}

/** Features of the other kind whose values would stand in the category of this one: a vector is all of its category. */
function sharesCategory(tenant: string, { name, kind, entityType, category }: NewFeature): SQL | undefined {
  // The vectors of version 2 are in the category `name@2`.
  const isInVector =
    kind === "computed"
      ? sql`(${features.category} = ${name} OR (substr(${features.category}, 1, ${name.length + 1}) = ${`${name}@`}
          AND substr(${features.category}, ${name.length + 2}) NOT GLOB '*[^0-9]*'))`
      : inArray(features.category, [category, category.replace(/@\d+$/, "")]);
  return and(
    eq(features.tenantId, tenant),
    eq(features.entityType, entityType),
    eq(features.kind, kind === "computed" ? "scalar" : "computed"),
    ne(features.name, name),
    isInVector,
  );
}

/** What kept a feature out that is not there: one in whose values its own would stand; else there may be too many. */
export async function whyNotAdded(
  db: D1Database,
  tenant: string,
  feature: NewFeature,
  version: NewVersion | null,
): Promise<{ sharing: string | null; isFull: boolean }> {
  const orm = primary(db);
  const hasRoom = and(
    isBelow(features, tenant, MAX_FEATURES_PER_TENANT),
    mayHaveVersion(tenant, textsOf(feature, version)),
  );
  const [[other], [room]] = await orm.batch([
    orm.select().from(features).where(sharesCategory(tenant, feature)).limit(1),
    orm.select({ hasRoom: sql<number>`${hasRoom}` }).from(sql`(SELECT 1)`),
  ]);
  return { sharing: other?.name ?? null, isFull: room?.hasRoom !== 1 };
}
