/**
 * Removing a feature from the registry in D1: with its versions, how they were computed and what is being computed of
 * them. Its values are not the registry's, and stay.
 */
import { and, eq, gt, inArray, or, type SQL, sql } from "drizzle-orm";
import { FEATURE_REMOVED } from "../compute/compute-store.ts";
import { BUILT_IN_ENTITY_TYPES } from "../db/current-rows.ts";
import { isBelow } from "../db/insert-once.ts";
import { primary } from "../db/primary.ts";
import {
  computations,
  features,
  featureVersions,
  jobs,
  pastEntityTypes,
  removedFeatures,
} from "../db/schema.ts";
import { MAX_PAST_ENTITY_TYPES } from "../limits.ts";
import type { Micros } from "../timestamps.ts";
import { isFeature, type RegisteredFeature, type RegisteredVersion, stamp } from "./registry-store.ts";

interface Removal {
  /** `idle`: none of its versions is active. */
  only: "idle" | "any";
  now: Micros;
}

type RemovedVersion = Pick<RegisteredVersion, "version" | "createdAt">;

/**
 * One transaction, in which the conditions are part of every statement: a version that is activated at the same time
 * comes before it or after it.
 *
 * @returns its versions, in ascending order; null when it is gone already, or stays.
 */
export async function removeFeature(
  db: D1Database,
  tenant: string,
  { featureId, entityType }: RegisteredFeature,
  { only, now }: Removal,
): Promise<RemovedVersion[] | null> {
  const orm = primary(db);
  const isBuiltIn = BUILT_IN_ENTITY_TYPES.includes(entityType);
  const mayGo = and(
    only === "idle" ? hasNoActive(tenant, featureId) : undefined,
    isBuiltIn ? undefined : mayStayKnown(tenant, entityType),
  );
  const isOfFeature = (table: typeof featureVersions | typeof computations | typeof jobs) =>
    and(eq(table.tenantId, tenant), eq(table.featureId, featureId), mayGo);
  const [, , , , versions, removed] = await orm.batch([
    orm
      .insert(pastEntityTypes)
      .select(
        orm
          .select({ tenantId: features.tenantId, entityType: features.entityType })
          .from(features)
          .where(and(isFeature(tenant, featureId), mayGo, isBuiltIn ? sql`false` : undefined)),
      )
      .onConflictDoNothing(),
    orm
      .insert(removedFeatures)
      .select(
        orm
          .select({
            tenantId: features.tenantId,
            name: features.name,
            highestVersion: sql<number>`max(${featureVersions.version})`.as("highest_version"),
          })
          .from(features)
          .innerJoin(featureVersions, isOfFeature(featureVersions))
          .where(and(isFeature(tenant, featureId), gt(featureVersions.version, 1)))
          .groupBy(features.featureId),
      )
      .onConflictDoUpdate({
        target: [removedFeatures.tenantId, removedFeatures.name],
        set: { highestVersion: sql`excluded.highest_version` },
      }),
    orm
      .update(jobs)
      .set({ status: "failed", error: FEATURE_REMOVED, updatedAt: now })
      .where(and(isOfFeature(jobs), inArray(jobs.status, ["queued", "running"]))),
    orm.delete(computations).where(isOfFeature(computations)),
    orm
      .delete(featureVersions)
      .where(isOfFeature(featureVersions))
      .returning({ version: featureVersions.version, createdAt: featureVersions.createdAt }),
    orm
      .delete(features)
      .where(and(isFeature(tenant, featureId), mayGo))
      .returning({ featureId: features.featureId }),
    stamp(orm, tenant),
  ]);
  return removed.length === 0 ? null : versions.sort((a, b) => a.version - b.version);
}

const hasNoActive = (tenant: string, featureId: number): SQL =>
  sql`NOT EXISTS (SELECT 1 FROM ${featureVersions} AS own
    WHERE own.tenant_id = ${tenant} AND own.feature_id = ${featureId} AND own.status = 'active')`;

/** Its entities are still there. */
const mayStayKnown = (tenant: string, entityType: string): SQL | undefined =>
  or(
    sql`EXISTS (SELECT 1 FROM ${pastEntityTypes} AS past
      WHERE past.tenant_id = ${tenant} AND past.entity_type = ${entityType})`,
    isBelow(pastEntityTypes, tenant, MAX_PAST_ENTITY_TYPES),
  );
