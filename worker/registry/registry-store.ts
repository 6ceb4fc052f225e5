/** The registry in D1: features and their versions. What comes back is parsed. Every query names the tenant. */
import { and, asc, eq, inArray, or, type SQL, sql } from "drizzle-orm";
import * as z from "zod";
import type { Materialization, VersionDtype, VersionStatus } from "../db/column-values.ts";
import { primary } from "../db/primary.ts";
import { features, featureVersions, pastEntityTypes, registryStamps, tenants } from "../db/schema.ts";
import { assert } from "../errors.ts";
import { MAX_STREAMING_VERSIONS_PER_TABLE } from "../limits.ts";
import type { Micros } from "../timestamps.ts";
import type { CatalogEntry } from "./catalog.ts";

export type Orm = ReturnType<typeof primary>;

type FeatureRow = typeof features.$inferSelect;
type VersionRow = typeof featureVersions.$inferSelect;

/** Default values stay the text that they are. */
export type RegisteredVersion = Omit<VersionRow, "tags" | "registeredWords"> & Words & Edited;

/** How the values of a feature come to be. A scalar has nothing of what computes a vector. */
type Origin =
  | { kind: "scalar"; rawTableId: null; entityKey: null; materialize: null; computationLogic: null }
  | {
      kind: "computed";
      rawTableId: number;
      /** The column of the SQL's result that names the entity. */
      entityKey: string;
      materialize: Materialization;
      /** The SQL that a new version has, unless it brings its own. */
      computationLogic: string;
    };

export type NewFeature = Origin & {
  name: string;
  entityType: string;
  category: string;
  description: string | null;
  owner: string | null;
  tags: string[];
};

/** A feature with its versions in ascending order. */
export type RegisteredFeature = NewFeature & {
  featureId: number;
  createdAt: Micros;
  updatedAt: Micros;
  versions: RegisteredVersion[];
} & Edited;

export type Computed<F extends NewFeature> = Extract<F, { kind: "computed" }>;

const storedTags = z.array(z.string());
const readTags = (text: string) => storedTags.parse(JSON.parse(text));
const storedWords = z.object({
  description: z.string().nullable(),
  owner: z.string().nullable(),
  tags: storedTags.nullable(),
});
const editedOf = ({ registeredWords: text }: { registeredWords: string | null }): Edited => ({
  registeredWords: text === null ? null : storedWords.parse(JSON.parse(text)),
});

export function toFeature(row: FeatureRow, versions: readonly VersionRow[]): RegisteredFeature {
  const read = { ...originOf(row), tags: readTags(row.tags), ...editedOf(row) };
  return { ...row, ...read, versions: versions.map(toVersion) };
}

function originOf({ kind, rawTableId, entityKey, materialize, computationLogic }: FeatureRow): Origin {
  if (kind === "scalar") {
    return { kind, rawTableId: null, entityKey: null, materialize: null, computationLogic: null };
  }
  assert(
    rawTableId !== null && entityKey !== null && materialize !== null && computationLogic !== null,
    "a computed feature is inserted with all that computes it",
  );
  return { kind, rawTableId, entityKey, materialize, computationLogic };
}

function toVersion(row: VersionRow): RegisteredVersion {
  return { ...row, tags: row.tags === null ? null : readTags(row.tags), ...editedOf(row) };
}

export interface NewVersion {
  version: number;
  dtype: VersionDtype;
  computationLogic: string | null;
  ttlSeconds: number | null;
  defaultValue: string | null;
  /** Null: active if it is the feature's first, which is there to be used; else a draft, to be filled before reads switch to it. */
  status: VersionStatus | null;
  words: Words;
}

/** What is said about a version; null where it is what is said about the feature. */
export interface Words {
  description: string | null;
  owner: string | null;
  tags: string[] | null;
}

/** Of a feature or a version: the words with which it was registered; null while nobody has changed any. */
interface Edited {
  registeredWords: Words | null;
}

/** What is said about a version: its own words, else the feature's. */
export function wordsOfVersion(feature: Words, version: Words | undefined): Words & { tags: string[] } {
  return {
    description: version?.description ?? feature.description,
    owner: version?.owner ?? feature.owner,
    tags: version?.tags ?? feature.tags ?? [],
  };
}

/** Another text after every change of what is registered; null before the first. */
export async function selectRegistryStamp(db: D1Database, tenant: string): Promise<string | null> {
  const [row] = await stampOf(primary(db), tenant);
  return row?.stamp ?? null;
}

/** Belongs to every transaction that changes features or versions. It may be made for nothing. */
export function stamp(orm: Orm, tenantId: string) {
  const another = sql<string>`hex(randomblob(16))`;
  return orm
    .insert(registryStamps)
    .values({ tenantId, stamp: another })
    .onConflictDoUpdate({ target: registryStamps.tenantId, set: { stamp: another } });
}

/** Whether nothing has been registered, changed or removed since the stamp was read. */
export const hasStamp = (tenant: string, stamp: string | null) => sql`(
  SELECT ${registryStamps.stamp} FROM ${registryStamps} WHERE ${eq(registryStamps.tenantId, tenant)}) IS ${stamp}`;

const stampOf = (orm: Orm, tenant: string) =>
  orm.select({ stamp: registryStamps.stamp }).from(registryStamps).where(eq(registryStamps.tenantId, tenant));

/** All that is registered, and the stamp under which it is. */
export async function selectCatalog(
  db: D1Database,
  tenant: string,
): Promise<{
  stamp: string | null;
  entries: CatalogEntry[];
  pastTypes: string[];
  /** See `settleSpread`. */
  spread: number | null | undefined;
}> {
  const orm = primary(db);
  const { featureId, name, kind, entityType, category } = features;
  const { version, dtype, ttlSeconds, defaultValue, status, createdAt } = featureVersions;
  // One transaction: all of it is of the same moment.
  const [[stamped], entries, versions, past, [owner]] = await orm.batch([
    stampOf(orm, tenant),
    orm
      .select({ featureId, name, kind, entityType, category })
      .from(features)
      .where(eq(features.tenantId, tenant)),
    orm
      .select({
        featureId: featureVersions.featureId,
        version,
        dtype,
        ttlSeconds,
        defaultValue,
        status,
        createdAt,
      })
      .from(featureVersions)
      .where(eq(featureVersions.tenantId, tenant)),
    orm.select().from(pastEntityTypes).where(eq(pastEntityTypes.tenantId, tenant)),
    orm.select({ databases: tenants.databases }).from(tenants).where(eq(tenants.tenantId, tenant)),
  ]);
  const byFeature = Map.groupBy(versions, ({ featureId }) => featureId);
  return {
    stamp: stamped?.stamp ?? null,
    entries: entries.map(({ featureId: id, ...entry }) => ({ ...entry, versions: byFeature.get(id) ?? [] })),
    pastTypes: past.map(({ entityType }) => entityType),
    spread: owner?.databases,
  };
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
  return found ? toFeature(found, versions) : null;
}

/** Whether one more version of a feature may be active: of a raw table so many are recomputed as its rows arrive. */
export const mayBeActive = (tenant: string, featureId: SQL | number) => sql`(
  SELECT count(*) FROM ${featureVersions} AS v JOIN ${features} AS f ON f.feature_id = v.feature_id
  WHERE v.tenant_id = ${tenant} AND v.status = 'active' AND f.materialize = 'on_ingest'
    AND f.raw_table_id = (SELECT own.raw_table_id FROM ${features} AS own
      WHERE own.feature_id = ${featureId} AND own.materialize = 'on_ingest')) < ${MAX_STREAMING_VERSIONS_PER_TABLE}`;

/** @returns whether there is such a version, and it may be so. */
export async function setVersionStatus(
  db: D1Database,
  tenant: string,
  { featureId, version }: { featureId: number; version: number },
  status: VersionStatus,
  now: Micros,
): Promise<boolean> {
  const orm = primary(db);
  const [changed] = await orm.batch([
    orm
      .update(featureVersions)
      .set({ status, updatedAt: now })
      .where(
        and(
          eq(featureVersions.tenantId, tenant),
          eq(featureVersions.featureId, featureId),
          eq(featureVersions.version, version),
          // Within the statement: of two at once one sees the other.
          status === "active"
            ? or(eq(featureVersions.status, "active"), mayBeActive(tenant, featureId))
            : undefined,
        ),
      )
      .returning({ version: featureVersions.version }),
    stamp(orm, tenant),
  ]);
  return changed.length > 0;
}

/** Asked by who is about to write what it has computed: of a removed feature nothing is. */
export async function isRegistered(
  db: D1Database,
  { tenant, featureId, version }: { tenant: string; featureId: number; version: number },
): Promise<boolean> {
  const { tenantId, featureId: id, version: number } = featureVersions;
  const found = await primary(db)
    .select({ version: number })
    .from(featureVersions)
    .where(and(eq(tenantId, tenant), eq(id, featureId), eq(number, version)));
  return found.length > 0;
}

export const isFeature = (tenant: string, featureId: number) =>
  and(eq(features.tenantId, tenant), eq(features.featureId, featureId));

export const isNamed = (tenant: string, name: string) =>
  and(eq(features.tenantId, tenant), eq(features.name, name));

function isNamedOrNumbered(tenant: string, nameOrId: string): SQL | undefined {
  const id = /^\d{1,15}$/.test(nameOrId) ? Number(nameOrId) : null;
  return id === null ? isNamed(tenant, nameOrId) : isFeature(tenant, id);
}

export function selectVersionsOf(orm: Orm, tenant: string, matches: SQL | undefined) {
  const ids = orm.select({ featureId: features.featureId }).from(features).where(matches);
  return orm
    .select()
    .from(featureVersions)
    .where(and(eq(featureVersions.tenantId, tenant), inArray(featureVersions.featureId, ids)))
    .orderBy(asc(featureVersions.version));
}
