/** The registered feature that a path names. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import type { AppContext } from "../http/context.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { findFeature, type RegisteredFeature } from "./registry-store.ts";

const nameOrId = z
  .string()
  .max(MAX_NAME_CHARACTERS)
  .meta({ description: "A name, or a `feature_id`.", example: "user_lifetime_value" });
/** Path parameter `feature`. */
export const oneFeature = z.object({ feature: nameOrId });

/** @throws Problem 404 when the tenant has no such feature. */
export async function existingFeature(c: AppContext, nameOrId: string): Promise<RegisteredFeature> {
  const feature = await findFeature(c.env.DB, c.principal.tenant, nameOrId);
  if (!feature) throw noSuchFeature();
  return feature;
}

export function noSuchFeature(): Problem {
  return new Problem(404, "there is no such feature or version");
}
