/** From a tenant to the object that holds its statistics. */
import type { FeatureStats } from "./feature-stats.ts";

/** The tenant comes first in the name, as in every key. */
export function statsObject(env: Env, tenant: string): DurableObjectStub<FeatureStats> {
  return env.FEATURE_STATS.getByName(`${encodeURIComponent(tenant)}/stats`);
}
