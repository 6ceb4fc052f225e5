/** Changing in D1 what is said about a feature or one of its versions. With which words it was registered is kept. */
import { and, eq, isNotNull, or, type SQL, sql } from "drizzle-orm";
import { primary } from "../db/primary.ts";
import { features, featureVersions } from "../db/schema.ts";
import type { Micros } from "../timestamps.ts";
import { hasRoomFor, textsOfWords } from "./may-be-added.ts";
import {
  isFeature,
  type Orm,
  type RegisteredFeature,
  type RegisteredVersion,
  selectVersionsOf,
  stamp,
  toFeature,
  type Words,
} from "./registry-store.ts";

interface Edit {
  /** At least one of them. */
  change: Partial<Words>;
  now: Micros;
}

/** The feature as it is now, null when it is gone; `edited`: unless the words had no room. */
interface Edited {
  edited: boolean;
  feature: RegisteredFeature | null;
}

/**
 * Changes the words of a feature, and with them those of the version that its name means and of every version of which
 * the same was said: from now on these say nothing of their own. What is said of any other version stays.
 */
export async function editFeature(
  db: D1Database,
  tenant: string,
  before: RegisteredFeature,
  { change, now }: Edit,
): Promise<Edited> {
  const orm = primary(db);
  const { featureId } = before;
  const set = columnsOf(change);
  const [edited, , rows, versions] = await orm.batch([
    orm
      .update(features)
      .set({ ...set, registeredWords: registeredWords(features), updatedAt: now })
      .where(and(isFeature(tenant, featureId), hasRoomFor(tenant, textsOfWords(change))))
      .returning({ featureId: features.featureId }),
    dropFromVersions(orm, tenant, before, { set, now }),
    ...selectWhole(orm, tenant, featureId),
    stamp(orm, tenant),
  ]);
  return whole(edited.length > 0, rows, versions);
}

/** Changes the words of one version; where they are null, the feature's are said of it. */
export async function editVersion(
  db: D1Database,
  tenant: string,
  { featureId, versionId }: RegisteredVersion,
  { change, now }: Edit,
): Promise<Edited> {
  const orm = primary(db);
  const { tags, ...texts } = change;
  const set = { ...texts, ...(tags !== undefined && { tags: tags && JSON.stringify(tags) }) };
  const [edited, rows, versions] = await orm.batch([
    orm
      .update(featureVersions)
      .set({ ...set, registeredWords: registeredWords(featureVersions), updatedAt: now })
      .where(
        and(
          eq(featureVersions.tenantId, tenant),
          eq(featureVersions.versionId, versionId),
          hasRoomFor(tenant, textsOfWords(change)),
        ),
      )
      .returning({ versionId: featureVersions.versionId }),
    ...selectWhole(orm, tenant, featureId),
    stamp(orm, tenant),
  ]);
  return whole(edited.length > 0, rows, versions);
}

type Columns = { description?: string | null; owner?: string | null; tags?: string };

/** Of a feature, which has tags, if none. */
function columnsOf({ description, owner, tags }: Partial<Words>): Columns {
  return {
    ...(description !== undefined && { description }),
    ...(owner !== undefined && { owner }),
    ...(tags !== undefined && { tags: JSON.stringify(tags ?? []) }),
  };
}

/** Takes words from versions that are to follow the feature; only once it has been changed, now, and says what is set. */
function dropFromVersions(
  orm: Orm,
  tenant: string,
  before: RegisteredFeature,
  { set, now }: { set: Columns; now: Micros },
) {
  const { featureId } = before;
  const columns = Object.keys(set) as (keyof Columns)[];
  const said = columnsOf(before);
  const isSet = and(
    eq(features.updatedAt, now),
    ...columns.map((column) => sql`${features[column]} IS ${set[column]}`),
  );
  const isMeant = sql`${featureVersions.version} = (SELECT max(v.version) FROM ${featureVersions} AS v
    WHERE v.tenant_id = ${tenant} AND v.feature_id = ${featureId} AND v.status = 'active')`;
  const follows = (column: keyof Columns) =>
    sql`(${isMeant} OR ${featureVersions[column]} IS ${said[column]})`;
  const left = columns.map((column) => {
    const own = featureVersions[column];
    return [column, sql`CASE WHEN ${follows(column)} THEN NULL ELSE ${own} END`];
  });
  return orm
    .update(featureVersions)
    .set({
      ...Object.fromEntries(left),
      registeredWords: registeredWords(featureVersions),
      updatedAt: now,
    })
    .where(
      and(
        eq(featureVersions.tenantId, tenant),
        eq(featureVersions.featureId, featureId),
        sql`EXISTS (SELECT 1 FROM ${features} WHERE ${and(isFeature(tenant, featureId), isSet)})`,
        or(...columns.map((column) => and(isNotNull(featureVersions[column]), follows(column)))),
      ),
    );
}

function selectWhole(orm: Orm, tenant: string, featureId: number) {
  const isThis = isFeature(tenant, featureId);
  return [orm.select().from(features).where(isThis), selectVersionsOf(orm, tenant, isThis)] as const;
}

function whole(
  edited: boolean,
  [found]: (typeof features.$inferSelect)[],
  versions: (typeof featureVersions.$inferSelect)[],
): Edited {
  return { edited, feature: found ? toFeature(found, versions) : null };
}

/** Those from before the first change stay. */
function registeredWords(table: typeof features | typeof featureVersions): SQL<string> {
  return sql`coalesce(${table.registeredWords}, json_object('description', ${table.description},
    'owner', ${table.owner}, 'tags', json(${table.tags})))`;
}
