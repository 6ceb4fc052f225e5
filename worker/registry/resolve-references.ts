/** Finds out what the feature names of a request mean. Pure. */
import { BUILT_IN_ENTITY_TYPES } from "../db/current-rows.ts";
import { unprocessable } from "../errors.ts";
import type { Catalog, CatalogFeature, CatalogVersion } from "./catalog.ts";
import { parseReference, storedName } from "./versions.ts";

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
}

/** @throws Problem 422 naming the place, for a text that is no reference. */
export function resolveReferences(catalog: Catalog, names: readonly string[], loc: string[]): Resolved[] {
  return [...new Set(names)].map((asked) => {
    const reference = parseReference(asked);
    if (!reference) {
      const msg = "must be a registered name, `name@version`, `category:feature` or `category:*`";
      throw unprocessable({ loc: [...loc, names.indexOf(asked)], msg, type: "invalid_reference" });
    }
    if (reference.kind === "category") {
      return { asked, feature: null, version: null, category: reference.category, stored: reference.feature };
    }
    const feature = catalog.features.get(reference.name) ?? null;
    const wanted = reference.version === null ? feature?.active : feature?.versions.get(reference.version);
    const version = wanted ?? null;
    const category = feature && version ? feature.category : null;
    const stored = version ? storedName(reference.name, version.version) : reference.name;
    return { asked, feature, version, category, stored };
  });
}

/**
 * The entity type that a request is about: the one asked for, else that of the registered features named.
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
    if (BUILT_IN_ENTITY_TYPES.includes(asked) || catalog.entityTypes.has(asked)) return asked;
    throw unprocessable({ loc, msg: "is not a known entity type", type: "unknown_entity_type" });
  }
  const types = [...new Set(resolved.flatMap(({ feature }) => feature?.entityType ?? []))];
  if (types.length > 1) {
    const msg = `is needed: the features named belong to ${types.sort().join(", ")}`;
    throw unprocessable({ loc, msg, type: "missing" });
  }
  return types[0] ?? fallback;
}

/** What is found in entities of `entityType`: a registered feature of another type is not. */
export function ofEntityType(resolved: readonly Resolved[], entityType: string): Resolved[] {
  return resolved.map((one) =>
    one.feature && one.feature.entityType !== entityType ? { ...one, category: null } : one,
  );
}
