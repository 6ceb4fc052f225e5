/**
 * Whether a feature, a version or words may be added to the registry in D1: conditions that are part of the statement
 * which adds them, so that of two at once one sees the other; and why one could not be added.
 */
import { and, eq, inArray, ne, or, type SQL, sql } from "drizzle-orm";
import { utf8Length } from "../characters.ts";
import { isBelow } from "../db/insert-once.ts";
import { primary } from "../db/primary.ts";
import { features, featureVersions, removedFeatures } from "../db/schema.ts";
import { MAX_DEFINITIONS_BYTES, MAX_FEATURES_PER_TENANT, MAX_VERSIONS_PER_TENANT } from "../limits.ts";
import {
  isNamed,
  type NewFeature,
  type NewVersion,
  type RegisteredFeature,
  type Words,
} from "./registry-store.ts";

/** With its first version, if any: there is none of its name, and its category is nobody's. */
export function mayAddFeature(
  tenant: string,
  feature: NewFeature,
  version: NewVersion | null,
): SQL | undefined {
  const { name } = feature;
  return and(
    // One that is there would take an id with it that nobody has.
    sql`NOT EXISTS (SELECT 1 FROM ${features} WHERE ${or(isNamed(tenant, name), sharesCategory(tenant, feature))})`,
    hasRoomForFeature(tenant, feature, version),
    version ? isFree(tenant, name, version) : undefined,
  );
}

/** @param name Of its feature. */
export const mayAddVersion = (tenant: string, name: SQL, version: NewVersion): SQL | undefined =>
  and(isFree(tenant, name, version), hasRoomForVersion(tenant, textsOfVersion(version)));

/** Whether no removed feature of that name had a version of this number, other than 1: its values may still be there. */
function isFree(tenant: string, name: SQL | string, { version }: NewVersion): SQL | undefined {
  if (version === 1) return undefined;
  return sql`NOT EXISTS (SELECT 1 FROM ${removedFeatures} AS gone
    WHERE gone.tenant_id = ${tenant} AND gone.name = ${name} AND gone.highest_version >= ${version})`;
}

const hasRoomForFeature = (tenant: string, feature: NewFeature, version: NewVersion | null) =>
  and(
    isBelow(features, tenant, MAX_FEATURES_PER_TENANT),
    hasRoomForVersion(tenant, textsOf(feature, version)),
  );

/** For a version more, and these texts. */
const hasRoomForVersion = (tenant: string, texts: readonly string[]) =>
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

export interface WhyNotAdded {
  /** The feature in whose values its own would stand. */
  sharing: string | null;
  /** Up to which number versions were those of a removed feature, where this is one of them. */
  goneUpTo: number | null;
  isFull: boolean;
}

/** What kept a feature out, or a version of one that is there. */
export async function whyNotAdded(
  db: D1Database,
  tenant: string,
  feature: NewFeature | RegisteredFeature,
  version: NewVersion | null,
): Promise<WhyNotAdded> {
  const orm = primary(db);
  const isThere = "featureId" in feature;
  const hasRoom =
    isThere && version
      ? hasRoomForVersion(tenant, textsOfVersion(version))
      : hasRoomForFeature(tenant, feature, version);
  const isGone = and(eq(removedFeatures.tenantId, tenant), eq(removedFeatures.name, feature.name));
  const [[other], [gone], [room]] = await orm.batch([
    orm.select().from(features).where(sharesCategory(tenant, feature)).limit(1),
    orm.select({ highest: removedFeatures.highestVersion }).from(removedFeatures).where(isGone),
    orm.select({ hasRoom: sql<number>`${hasRoom}` }).from(sql`(SELECT 1)`),
  ]);
  const isOneOfThem = gone && version && version.version > 1 && version.version <= gone.highest;
  return {
    sharing: other?.name ?? null,
    goneUpTo: isOneOfThem ? gone.highest : null,
    isFull: room?.hasRoom !== 1,
  };
}
