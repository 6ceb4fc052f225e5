/**
 * The catalog: what a tenant has registered, as an isolate knows it. It is renewed behind the answer that finds it ageing,
 * so it is a few seconds old at most where there are requests; what needs it waits for a new one when it is older.
 */
import { BoundedMap } from "../bounded-map.ts";
import type { FeatureKind, VersionDtype, VersionStatus } from "../db/column-values.ts";
import { BUILT_IN_ENTITY_TYPES } from "../db/current-rows.ts";
import { unavailable } from "../errors.ts";
import type { RequestContext } from "../http/context.ts";
import { CATALOG_MAX_TENANTS } from "../limits.ts";
import { timed } from "../monitoring/timed.ts";
import { renewSpread, settleSpread, UnboundDatabases } from "../tenants/spread.ts";
import { type Micros, microsOf } from "../timestamps.ts";
import {
  CATALOG_FRESH_MS,
  CATALOG_MAX_AGE_MS,
  CATALOG_RETRY_MS,
  CATALOG_WHOLE_MS,
  RETRY_AFTER_SECONDS,
} from "../timings.ts";
import { isAhead } from "../waits.ts";
import { selectCatalog, selectRegistryStamp } from "./registry-store.ts";
import { storedName } from "./versions.ts";

export interface CatalogVersion {
  version: number;
  dtype: VersionDtype;
  ttlSeconds: number | null;
  /** JSON text of the value that stands in for a missing one. */
  defaultValue: string | null;
  status: VersionStatus;
  /** Tells it from one of the same name and number that was removed. */
  createdAt: Micros;
}

export interface CatalogFeature {
  name: string;
  /** A scalar is a value of its category; the vector of a computed feature is a category of its own. */
  kind: FeatureKind;
  entityType: string;
  category: string;
  /** By number. */
  versions: ReadonlyMap<number, CatalogVersion>;
  /** The newest active one: what the bare name means. */
  active: CatalogVersion | null;
}

/** A registered feature's version, found by where its values are stored. */
export interface StoredFeature {
  feature: CatalogFeature;
  version: CatalogVersion;
}

/** How old registered values of a category may be; infinite where any age will do. */
export interface CategoryTtls {
  shortest: Micros;
  /** By stored name. */
  byName: Map<string, Micros>;
  /** The TTL of all names that are not in `byName`: a computed feature's vector is the whole category. */
  others: Micros;
}

export interface Catalog {
  features: ReadonlyMap<string, CatalogFeature>;
  entityTypes: ReadonlySet<string>;
  /** What is registered of a category, by stored name; undefined when nothing is. */
  storedIn(entityType: string, category: string): ReadonlyMap<string, StoredFeature> | undefined;
  /** The entity types for which something is registered under this category and stored name, or whose vector it is. */
  typesOf(category: string, stored: string): string[];
  /** Undefined when nothing of the category has a registered TTL. */
  ttlsIn(entityType: string, category: string): Readonly<CategoryTtls> | undefined;
}

/** What a caller is told who names another one. */
export const UNKNOWN_ENTITY_TYPE = `is not a known entity type: ${BUILT_IN_ENTITY_TYPES.join(" and ")} are built in, others are declared by registering a feature`;

/** Built in, or declared. Pure. */
export function isKnownEntityType(type: string, { entityTypes }: Catalog): boolean {
  return BUILT_IN_ENTITY_TYPES.includes(type) || entityTypes.has(type);
}

export type CatalogEntry = Omit<CatalogFeature, "versions" | "active"> & { versions: CatalogVersion[] };

/** Pure. @param pastTypes Declared by features that have been removed. */
export function buildCatalog(entries: readonly CatalogEntry[], pastTypes: readonly string[] = []): Catalog {
  const features = new Map<string, CatalogFeature>();
  const stored = new Map<string, Map<string, Map<string, StoredFeature>>>();
  const ttls = new Map<string, Map<string, CategoryTtls>>();
  /** The entity types of vectors, by the category that each is all of. */
  const vectorTypes = new Map<string, string>();
  for (const { versions, ...entry } of entries) {
    const actives = versions.filter(({ status }) => status === "active");
    const active = actives.reduce<CatalogVersion | null>(
      (a, b) => (a && a.version > b.version ? a : b),
      null,
    );
    const feature = {
      ...entry,
      versions: new Map(versions.map((version) => [version.version, version])),
      active,
    };
    features.set(entry.name, feature);
    const ofType = stored.get(entry.entityType) ?? new Map<string, Map<string, StoredFeature>>();
    stored.set(entry.entityType, ofType);
    const ttlsOfType = ttls.get(entry.entityType) ?? new Map<string, CategoryTtls>();
    ttls.set(entry.entityType, ttlsOfType);
    for (const { version, ttlSeconds } of versions) {
      if (ttlSeconds !== null) addTtl(ttlsOfType, entry, storedName(entry.name, version), ttlSeconds);
    }
    if (entry.kind === "computed") {
      for (const { version } of versions) vectorTypes.set(storedName(entry.name, version), entry.entityType);
      continue;
    }
    const ofCategory = ofType.get(entry.category) ?? new Map<string, StoredFeature>();
    for (const version of versions) {
      ofCategory.set(storedName(entry.name, version.version), { feature, version });
    }
    ofType.set(entry.category, ofCategory);
  }
  return {
    features,
    entityTypes: new Set([...stored.keys(), ...pastTypes]),
    storedIn: (entityType, category) => stored.get(entityType)?.get(category),
    typesOf: (category, name) =>
      [...stored].flatMap(([entityType, categories]) =>
        categories.get(category)?.has(name) || vectorTypes.get(category) === entityType ? entityType : [],
      ),
    ttlsIn: (entityType, category) => ttls.get(entityType)?.get(category),
  };
}

/** The TTLs of a category whose values are all of one version. */
export function ttlOfAll(seconds: number | null): CategoryTtls | undefined {
  if (seconds === null) return undefined;
  const others = microsOf(seconds);
  return { byName: new Map(), others, shortest: others };
}

function addTtl(
  ttls: Map<string, CategoryTtls>,
  { kind, category }: Pick<CatalogEntry, "kind" | "category">,
  stored: string,
  seconds: number,
): void {
  const ttl = microsOf(seconds);
  const place = kind === "computed" ? stored : category;
  const own = ttls.get(place) ?? { byName: new Map(), others: ANY_AGE, shortest: ANY_AGE };
  if (kind === "computed") own.others = ttl;
  else own.byName.set(stored, ttl);
  own.shortest = Math.min(own.shortest, ttl);
  ttls.set(place, own);
}

const ANY_AGE = Number.POSITIVE_INFINITY;

interface Known {
  catalog: Catalog;
  /** Of the registry in D1; while that has the same, the catalog stays the same object, with all that goes with it. */
  stamp: string | null;
  /** When all of it was read, and when it was last known to be as D1 has it. */
  readMs: number;
  checkedMs: number;
  /** Whoever renews it may be cancelled: from then on another does. */
  renewingUntilMs: number;
}

/** Until when D1 is not asked again for the catalog of a tenant, because it has just not answered. */
const failed = new BoundedMap<number>(CATALOG_MAX_TENANTS);

const known = new BoundedMap<Known>(CATALOG_MAX_TENANTS);
/** Counts changes through this isolate: what was being loaded meanwhile is not kept. */
let changes = 0;

export type CatalogContext = Omit<RequestContext, "settings">;

/** @throws Problem 503 when it is not known and D1 does not answer. */
export async function catalogOf(context: CatalogContext): Promise<Catalog> {
  const entry = known.get(context.tenant);
  if (!entry) return load(context);
  // An old catalog is better than none: features that are registered rarely change.
  if (isTooOld(entry, context)) return load(context, entry).catch(() => entry.catalog);
  renewBehind(entry, context);
  return entry.catalog;
}

/**
 * For what goes on without it: whatever there is, however old, and nobody waits where there is any. Null, by a promise
 * or not, where there is none and D1 does not answer.
 *
 * @throws UnboundDatabases
 */
export function catalogIfAny(context: CatalogContext): Catalog | Promise<Catalog | null> | null {
  const entry = known.get(context.tenant);
  if (entry) renewBehind(entry, context);
  if (entry) return entry.catalog;
  if (hasFailed(context)) return null;
  return load(context).catch((cause: unknown) => {
    if (cause instanceof UnboundDatabases) throw cause;
    return null;
  });
}

function isTooOld({ checkedMs }: Known, { nowMs }: CatalogContext): boolean {
  return nowMs - checkedMs > CATALOG_MAX_AGE_MS;
}

function hasFailed({ tenant, nowMs }: CatalogContext): boolean {
  return isAhead(failed.get(tenant), nowMs, CATALOG_RETRY_MS);
}

/** Behind the answer, when it has aged. */
function renewBehind(entry: Known, context: CatalogContext): void {
  const { nowMs } = context;
  if (nowMs - entry.checkedMs <= CATALOG_FRESH_MS || hasFailed(context)) return;
  if (isAhead(entry.renewingUntilMs, nowMs, CATALOG_MAX_AGE_MS)) return;
  entry.renewingUntilMs = nowMs + CATALOG_MAX_AGE_MS;
  const renewal = load(context, entry).catch((cause) => {
    entry.renewingUntilMs = 0;
    context.log.warning("catalog was not renewed", { tenant_id: context.tenant }, cause);
  });
  context.after(renewal);
}

/** After a change through this isolate: its next request sees it. */
export function forgetCatalog(tenant: string): void {
  changes += 1;
  known.delete(tenant);
}

/** @param entry What is known already: it stays while nothing has changed. */
async function load(context: CatalogContext, entry?: Known): Promise<Catalog> {
  const { tenant, nowMs, log } = context;
  const changesBefore = changes;
  try {
    const current = await timed(context.metrics, { operation: "d1.catalog" }, () => select(context, entry));
    if (changes === changesBefore) known.set(tenant, { ...current, checkedMs: nowMs, renewingUntilMs: 0 }, 1);
    return current.catalog;
  } catch (cause) {
    if (cause instanceof UnboundDatabases) throw cause;
    failed.set(tenant, Date.now() + CATALOG_RETRY_MS, 1);
    log.error("D1 did not answer for the catalog", cause, { tenant_id: tenant });
    throw unavailable("the database does not answer; try again", RETRY_AFTER_SECONDS);
  }
}

/** Mostly nothing has changed, and then one row tells. */
async function select(
  { env, tenant, nowMs, log }: CatalogContext,
  entry: Known | undefined,
): Promise<Pick<Known, "catalog" | "stamp" | "readMs">> {
  if (entry && nowMs - entry.readMs < CATALOG_WHOLE_MS) {
    const [stamp] = await Promise.all([
      selectRegistryStamp(env.DB, tenant),
      renewSpread({ env, log }, tenant),
    ]);
    if (stamp === entry.stamp) return entry;
  }
  const { stamp, entries, pastTypes, spread } = await selectCatalog(env.DB, tenant);
  await settleSpread({ env, log }, tenant, { found: spread, askedMs: nowMs });
  return { catalog: buildCatalog(entries, pastTypes), stamp, readMs: nowMs };
}
