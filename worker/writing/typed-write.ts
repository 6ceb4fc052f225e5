/** A write whose values have been checked against the registered features. Pure. */
import type { FeatureValues } from "../http/fields.ts";
import type { Catalog } from "../registry/catalog.ts";
import { enforceTypes, type TypeFault } from "../registry/enforce-types.ts";
import type { CategoryWrite, EntityWrite } from "./entity-write.ts";

/** A write as it was asked for. */
export type UntypedWrite = Omit<EntityWrite, "categories"> & {
  categories: (Omit<CategoryWrite, "data" | "names"> & { features: FeatureValues })[];
};

/** `position`: which of the categories has the fault. */
type TypedWrite = { ok: true; write: EntityWrite } | { ok: false; fault: TypeFault; position: number };

export function typedWrite(catalog: Catalog, asked: UntypedWrite): TypedWrite {
  const categories: CategoryWrite[] = [];
  for (const [position, { features, ...category }] of asked.categories.entries()) {
    const enforced = enforceTypes(catalog.storedIn(asked.entityType, category.category), features);
    if (!enforced.ok) return { ok: false, fault: enforced.fault, position };
    const { data, names } = enforced.features;
    categories.push({ ...category, data, names });
  }
  return { ok: true, write: { ...asked, categories } };
}
