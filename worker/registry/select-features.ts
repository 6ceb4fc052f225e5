/** Lists registered features, filtered and in pages. */
import { and, asc, eq, gt, inArray, or, type SQL, sql } from "drizzle-orm";
import { primary } from "../db/primary.ts";
import { features, featureVersions } from "../db/schema.ts";
import { type RegisteredFeature, toFeature } from "./registry-store.ts";

interface ListFilter {
  entityType?: string | undefined;
  tag?: string | undefined;
  /** Part of a name or a description. */
  q?: string | undefined;
  /** Only features after this id. */
  after: number;
  limit: number;
}

/** In the order of their ids. */
export async function selectFeatures(
  db: D1Database,
  tenant: string,
  filter: ListFilter,
): Promise<RegisteredFeature[]> {
  const orm = primary(db);
  const conditions: (SQL | undefined)[] = [
    eq(features.tenantId, tenant),
    gt(features.featureId, filter.after),
  ];
  if (filter.entityType !== undefined) conditions.push(eq(features.entityType, filter.entityType));
  if (filter.tag !== undefined) {
    conditions.push(
      sql`(EXISTS (SELECT 1 FROM json_each(${features.tags}) AS tag WHERE tag.value = ${filter.tag}) OR EXISTS (
        SELECT 1 FROM feature_versions AS v CROSS JOIN json_each(v.tags) AS tag
        WHERE v.tenant_id = ${tenant} AND v.feature_id = ${features.featureId} AND tag.value = ${filter.tag}))`,
    );
  }
  if (filter.q !== undefined) {
    // Not LIKE: D1 takes patterns of 50 bytes at most.
    const contains = (column: typeof features.name | typeof features.description) =>
      sql`instr(lower(${column}), lower(${filter.q})) > 0`;
    const inVersions = sql`EXISTS (SELECT 1 FROM feature_versions AS v
      WHERE v.tenant_id = ${tenant} AND v.feature_id = ${features.featureId} AND instr(lower(v.description), lower(${filter.q})) > 0)`;
    conditions.push(or(contains(features.name), contains(features.description), inVersions));
  }
  const rows = await orm
    .select()
    .from(features)
    .where(and(...conditions))
    .orderBy(asc(features.featureId))
    .limit(filter.limit);
  if (rows.length === 0) return [];
  const ids = JSON.stringify(rows.map(({ featureId }) => featureId));
  const versions = await orm
    .select()
    .from(featureVersions)
    .where(
      and(
        eq(featureVersions.tenantId, tenant),
        inArray(featureVersions.featureId, sql`(SELECT value FROM json_each(${ids}))`),
      ),
    )
    .orderBy(asc(featureVersions.version));
  const byFeature = Map.groupBy(versions, ({ featureId }) => featureId);
  return rows.map((row) => toFeature(row, byFeature.get(row.featureId) ?? []));
}
