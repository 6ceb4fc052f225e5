/**
 * The catalog: what a tenant has registered, as an isolate knows it. A few seconds old at most; requests do not wait
 * for its renewal, which runs behind the answer that finds it ageing.
 */
import { BoundedMap } from "../bounded-map.ts";
import { unavailable } from "../errors.ts";
import type { RequestContext } from "../http/context.ts";
import { CATALOG_FRESH_MS, CATALOG_MAX_AGE_MS, RETRY_AFTER_SECONDS } from "../limits.ts";
import { timed } from "../monitoring/timed.ts";
import { MICROS_PER_SECOND, type Micros } from "../timestamps.ts";
import type { Dtype } from "./dtypes.ts";
import { selectCatalog } from "./registry-store.ts";
import { storedName } from "./versions.ts";

export type VersionStatus = "draft" | "active" | "deprecated";

export interface CatalogVersion {
  version: number;
  /** `vector`: the version of a computed feature. */
  dtype: Dtype | "vector";
  ttlSeconds: number | null;
  /** JSON text of the value that stands in for a missing one. */
  defaultValue: string | null;
  status: VersionStatus;
}

export interface CatalogFeature {
  name: string;
  /** A scalar is a value of its category; the vector of a computed feature is a category of its own. */
  kind: "scalar" | "computed";
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

/** How old registered values of a category may be. */
export interface CategoryTtls {
  shortest: Micros;
  /** By stored name; a value that is not in it may be of any age. */
  byName: ReadonlyMap<string, Micros>;
}

export interface Catalog {
  features: ReadonlyMap<string, CatalogFeature>;
  entityTypes: ReadonlySet<string>;
  /** What is registered of a category, by stored name; undefined when nothing is. */
  storedIn(entityType: string, category: string): ReadonlyMap<string, StoredFeature> | undefined;
  /** The entity types for which something is registered under this category and stored name. */
  typesOf(category: string, stored: string): string[];
  /** Undefined when nothing of the category has a registered TTL. */
  ttlsIn(entityType: string, category: string): CategoryTtls | undefined;
}

export type CatalogEntry = Omit<CatalogFeature, "versions" | "active"> & { versions: CatalogVersion[] };

/** Pure. */
export function buildCatalog(entries: readonly CatalogEntry[]): Catalog {
  const features = new Map<string, CatalogFeature>();
  const stored = new Map<string, Map<string, Map<string, StoredFeature>>>();
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
    if (entry.kind === "computed") continue;
    const ofCategory = ofType.get(entry.category) ?? new Map<string, StoredFeature>();
    for (const version of versions) {
      ofCategory.set(storedName(entry.name, version.version), { feature, version });
    }
    ofType.set(entry.category, ofCategory);
  }
  const ttls = new Map(
    [...stored].map(([entityType, categories]) => [
      entityType,
      new Map([...categories].map(([category, own]) => [category, ttlsOf(own)])),
    ]),
  );
  return {
    features,
    entityTypes: new Set(stored.keys()),
    storedIn: (entityType, category) => stored.get(entityType)?.get(category),
    typesOf: (category, name) =>
      [...stored].flatMap(([entityType, categories]) =>
        categories.get(category)?.has(name) ? entityType : [],
      ),
    ttlsIn: (entityType, category) => ttls.get(entityType)?.get(category),
  };
}

function ttlsOf(stored: ReadonlyMap<string, StoredFeature>): CategoryTtls | undefined {
  const byName = new Map<string, Micros>();
  for (const [name, { version }] of stored) {
    if (version.ttlSeconds !== null) byName.set(name, version.ttlSeconds * MICROS_PER_SECOND);
  }
  return byName.size > 0 ? { shortest: Math.min(...byName.values()), byName } : undefined;
}

interface Known {
  catalog: Catalog;
  loadedMs: number;
  renewing: boolean;
}

const MAX_TENANTS = 1_000;
const known = new BoundedMap<Known>(MAX_TENANTS);
/** Counts changes through this isolate: what was being loaded meanwhile is not kept. */
let changes = 0;

export type CatalogContext = Omit<RequestContext, "settings">;

/** @throws Problem 503 when it is not known and D1 does not answer. */
export async function catalogOf(context: CatalogContext): Promise<Catalog> {
  return catalogAtHand(context) ?? renewed(context);
}

/** For what can be answered without it: null, by a promise or not, where it is not known and D1 does not answer. */
export function catalogIfAny(context: CatalogContext): Catalog | Promise<Catalog | null> {
  return catalogAtHand(context) ?? renewed(context).catch(() => null);
}

/** An old catalog is better than none: features that are registered rarely change. */
function renewed(context: CatalogContext): Promise<Catalog> {
  const entry = known.get(context.tenant);
  return entry ? load(context).catch(() => entry.catalog) : load(context);
}

/** Null when it is too old, or there is none. */
function catalogAtHand(context: CatalogContext): Catalog | null {
  const { tenant, nowMs, log, after } = context;
  const entry = known.get(tenant);
  if (!entry) return null;
  const ageMs = nowMs - entry.loadedMs;
  if (ageMs > CATALOG_MAX_AGE_MS) return null;
  if (ageMs > CATALOG_FRESH_MS && !entry.renewing) {
    entry.renewing = true;
    const renewal = load(context).catch((cause) => {
      entry.renewing = false;
      log.warning("catalog was not renewed", { tenant_id: tenant }, cause);
    });
    after(renewal);
  }
  return entry.catalog;
}

/** After a change through this isolate: its next request sees it. */
export function forgetCatalog(tenant: string): void {
  changes += 1;
  known.delete(tenant);
}

async function load({ env, tenant, nowMs, log, metrics }: CatalogContext): Promise<Catalog> {
  const changesBefore = changes;
  try {
    const select = () => selectCatalog(env.DB, tenant);
    const catalog = buildCatalog(await timed(metrics, { operation: "d1.catalog" }, select));
    if (changes === changesBefore) known.set(tenant, { catalog, loadedMs: nowMs, renewing: false }, 1);
    return catalog;
  } catch (cause) {
    log.error("D1 did not answer for the catalog", cause, { tenant_id: tenant });
    throw unavailable("the database does not answer; try again", RETRY_AFTER_SECONDS);
  }
}
