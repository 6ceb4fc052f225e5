/** From a tenant to the object that holds its statistics. */
import { statsName } from "../../keys.ts";
import type { FeatureStats } from "./feature-stats.ts";

export function statsObject(env: Env, tenant: string): DurableObjectStub<FeatureStats> {
  return env.FEATURE_STATS.getByName(statsName(tenant));
}
