/** Finds out what the feature names of a request mean. Pure. */
import { unprocessable } from "../errors.ts";
import { MICROS_PER_SECOND } from "../timestamps.ts";
import {
  type Catalog,
  type CatalogFeature,
  type CatalogVersion,
  isKnownEntityType,
  UNKNOWN_ENTITY_TYPE,
} from "./catalog.ts";
import { parseReference, type Reference, storedName } from "./versions.ts";

/** Stands for all features of a category: of `category:*`, and of a computed feature's vector. */
export const WHOLE_CATEGORY = "*";

/** Where the values of one thing that was asked for are. */
export interface Resolved {
  /** As the caller wrote it. */
  asked: string;
  /** Null for what is not registered; such a name is found nowhere, a `category:feature` in any entity. */
  feature: CatalogFeature | null;
  version: CatalogVersion | null;
  /** Null: nowhere. */
  category: string | null;
  /** The name under which it is stored; `*`: all of the category. */
  stored: string;
  /** The TTL of what no version says it of: the columns of a computed feature's vector. */
  ttlSeconds: number | null;
}

/** @throws Problem 422 naming the place, for a text that is no reference. */
export function resolveReferences(catalog: Catalog, names: readonly string[], loc: string[]): Resolved[] {
  return [...new Set(names)].map((asked) => {
    const reference = parseReference(asked);
    if (!reference) {
      const msg = "must be a registered name, `name@version`, `category:feature` or `category:*`";
      throw unprocessable({ loc: [...loc, names.indexOf(asked)], msg, type: "invalid_reference" });
    }
    const nothing = { asked, feature: null, version: null, ttlSeconds: null };
    if (reference.kind === "category")
      return { ...nothing, category: reference.category, stored: reference.feature };
    const { feature, version } = findVersion(catalog, reference);
    if (!feature || !version) return { ...nothing, feature, version, category: null, stored: reference.name };
    const { category, feature: stored } = storedPlace(feature, version);
    return { ...nothing, feature, version, category, stored };
  });
}

/** Where the values of a registered name are for an entity type, or why it means nothing there. */
export function placeOf(
  catalog: Catalog,
  entityType: string,
  reference: Extract<Reference, { kind: "registered" }>,
): { category: string; feature: string } | { nowhere: string } {
  const { feature, version } = findVersion(catalog, reference);
  if (feature?.entityType !== entityType)
    return { nowhere: "is not a registered feature of this entity type" };
  if (version) return storedPlace(feature, version);
  return { nowhere: reference.version === null ? "has no active version" : "has no such version" };
}

function findVersion(catalog: Catalog, { name, version }: Extract<Reference, { kind: "registered" }>) {
  const feature = catalog.features.get(name) ?? null;
  const found = version === null ? feature?.active : feature?.versions.get(version);
  return { feature, version: found ?? null };
}

/** A scalar is a value of its category; the vector of a computed feature is a category of its own. */
function storedPlace({ name, kind, category }: CatalogFeature, { version }: CatalogVersion) {
  const stored = storedName(name, version);
  return kind === "computed" ? { category: stored, feature: WHOLE_CATEGORY } : { category, feature: stored };
}

/**
 * The entity type that a request is about: the one asked for, else that of the registered features named, by their names
 * or by the category in which their values are, of which a vector is all.
 *
 * @param fallback of requests that name nothing registered.
 * @throws Problem 422 when the type is unknown, or the features belong to several and none is asked for.
 */
export function entityTypeFor(
  catalog: Catalog,
  resolved: readonly Resolved[],
  { asked, fallback }: { asked: string | undefined; fallback: string },
): string {
  const loc = ["body", "entity_type"];
  if (asked !== undefined) {
    if (isKnownEntityType(asked, catalog)) return asked;
    throw unprocessable({ loc, msg: UNKNOWN_ENTITY_TYPE, type: "unknown_entity_type" });
  }
  const named = resolved.flatMap(({ feature }) => feature?.entityType ?? []);
  // What is registered under the same category and name for several types says nothing.
  const placed = resolved.flatMap(({ feature, category, stored }) => {
    const types = feature || category === null ? [] : catalog.typesOf(category, stored);
    return types.length === 1 ? types : [];
  });
  const types = [...new Set(named.length > 0 ? named : placed)];
  if (types.length > 1) {
    const msg = `is needed: the features named belong to ${types.sort().join(", ")}`;
    throw unprocessable({ loc, msg, type: "missing" });
  }
  return types[0] ?? fallback;
}

/**
 * What is found in entities of `entityType`: a registered feature of another type is not registered for them, and has no
 * default there; a `category:feature` under which a registered one is stored has its TTL, default and version, and one of a computed feature's vector its TTL.
 */
export function ofEntityType(
  catalog: Catalog,
  resolved: readonly Resolved[],
  entityType: string,
): Resolved[] {
  return resolved.map((one) => {
    if (one.feature?.entityType === entityType) return one;
    if (one.feature) return { ...one, feature: null, version: null, category: null };
    if (one.category === null) return one;
    const registered = catalog.storedIn(entityType, one.category)?.get(one.stored);
    return { ...one, ...registered, ttlSeconds: ttlOfVector(catalog, entityType, one.category) };
  });
}

function ttlOfVector(catalog: Catalog, entityType: string, category: string): number | null {
  const others = catalog.ttlsIn(entityType, category)?.others ?? Number.POSITIVE_INFINITY;
  return Number.isFinite(others) ? others / MICROS_PER_SECOND : null;
}
