/** The registered feature that a path names. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import type { AppContext } from "../http/context.ts";
import { textUpTo } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { findFeature, type RegisteredFeature, type RegisteredVersion } from "./registry-store.ts";
import { parseReference } from "./versions.ts";

const nameOrId = textUpTo(MAX_NAME_CHARACTERS).meta({
  description: "A name, or a `feature_id`.",
  example: "user_lifetime_value",
});
/** Path parameter `feature`. */
export const oneFeature = lazily(() => z.object({ feature: nameOrId }));
/** The same, where `name@version` is understood too. */
export const oneReference = lazily(() =>
  z.object({
    feature: nameOrId.meta({
      description: "A name, `name@version`, or a `feature_id`.",
      example: "user_lifetime_value",
    }),
  }),
);

/** @throws Problem 404 when the tenant has no such feature. */
export async function existingFeature(c: AppContext, nameOrId: string): Promise<RegisteredFeature> {
  const feature = await findFeature(c.env.DB, c.principal.tenant, nameOrId);
  if (!feature) throw noSuchFeature();
  return feature;
}

/**
 * The feature that a reference names, `name@2` too, and the version in it; null when it names none.
 *
 * @throws Problem 404 when the tenant has no such feature, or it has no such version.
 */
export async function referredFeature(
  c: AppContext,
  reference: string,
): Promise<{ feature: RegisteredFeature; version: RegisteredVersion | null }> {
  const parsed = parseReference(reference);
  if (parsed?.kind !== "registered" || parsed.version === null) {
    return { feature: await existingFeature(c, reference), version: null };
  }
  const feature = await existingFeature(c, parsed.name);
  const version = feature.versions.find((row) => row.version === parsed.version);
  if (!version) throw noSuchFeature();
  return { feature, version };
}

export function noSuchFeature(): Problem {
  return new Problem(404, "there is no such feature or version");
}
