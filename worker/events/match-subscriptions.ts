/** Which subscriptions want an event. Pure. */
import type { FeatureAvailable } from "./feature-available.ts";

/** What a subscription asks for; null asks for everything. */
export interface Filters {
  entityTypes: readonly string[] | null;
  categories: readonly string[] | null;
  features: readonly string[] | null;
}

type Told = Pick<FeatureAvailable, "entity_type" | "resource_name" | "features" | "features_truncated">;

/** An event whose names were cut matches every filter of features: the one asked for may be among those left out. */
export function matches({ entityTypes, categories, features }: Filters, event: Told): boolean {
  if (entityTypes !== null && !entityTypes.includes(event.entity_type)) return false;
  if (categories !== null && !categories.includes(event.resource_name)) return false;
  return (
    features === null || event.features_truncated || event.features.some((name) => features.includes(name))
  );
}
