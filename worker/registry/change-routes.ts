/** Changing what is said about registered features, and removing them. */
import * as z from "zod";
import { askToCompute } from "../compute/ask-to-compute.ts";
import { computationsOf } from "../compute/compute-store.ts";
import { Problem } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { audit } from "../http/audit.ts";
import { endpoint } from "../http/endpoint.ts";
import { lazily } from "../lazily.ts";
import { MAX_PAST_ENTITY_TYPES } from "../limits.ts";
import { nowMicros } from "../timestamps.ts";
import { forgetCatalog } from "./catalog.ts";
import { editFeature, editVersion } from "./edit-words.ts";
import {
  existingFeature,
  noSuchFeature,
  oneFeature,
  oneReference,
  referredFeature,
} from "./existing-feature.ts";
import { featureAnswer, featureSchema } from "./feature-answers.ts";
import type { RegisteredFeature } from "./registry-store.ts";
import { removeFeature } from "./remove-feature.ts";
import { FULL } from "./same-definition.ts";
import { statsObject } from "./stats/access.ts";
import { changeOf, wordsBody } from "./words.ts";

const changeFeature = endpoint(
  {
    method: "patch",
    path: "/api/v1/features/{feature}",
    tag: "features",
    summary: "Change what is said about a feature",
    description:
      "Description, owner and tags, of which only those named are changed: of the feature, of the version that its name means, and of every version about which the same was said; of `name@version`, of that version alone, where null stands for what is said about the feature. Registering it again with the words that it had first is still the same registration, and changes nothing.",
    scope: "write",
    request: { param: oneReference, json: wordsBody },
    answers: { 200: { description: "The feature, changed.", schema: featureSchema } },
    problems: [404, 409],
  },
  async (c, { param, json }) => {
    const { tenant } = c.principal;
    const { feature, version } = await referredFeature(c, param.feature);
    const change = changeOf(json);
    const edit = { change, now: nowMicros() };
    const isNothing = Object.keys(change).length === 0;
    const { edited, feature: changed } = isNothing
      ? { edited: true, feature }
      : await (version
          ? editVersion(c.env.DB, tenant, version, edit)
          : editFeature(c.env.DB, tenant, feature, edit));
    forgetCatalog(tenant);
    const shown = changed?.versions.find(({ versionId }) => versionId === version?.versionId) ?? null;
    if (!changed || (version && !shown)) throw noSuchFeature();
    if (!edited) throw new Problem(409, FULL);
    const computations = await computationsOf(c.env.DB, tenant, [changed]);
    return jsonAnswer(featureAnswer(changed, computations, shown));
  },
);

const removedSchema = lazily(() =>
  z
    .object({
      feature_id: z.int().meta({ example: 1 }),
      name: z.string().meta({ example: "user_lifetime_value" }),
      entity_type: z.string().meta({ example: "user" }),
      category: z.string().meta({ description: "Where its values still are.", example: "default" }),
      versions: z.array(z.int()).meta({ description: "Those that went with it.", example: [1, 2] }),
      status: z.literal("deleted"),
    })
    .meta({ id: "RemovedFeature" }),
);

const deleteFeature = endpoint(
  {
    method: "delete",
    path: "/api/v1/features/{feature}",
    tag: "features",
    summary: "Remove a feature from the registry",
    description:
      "Its versions, its statistics and what is being computed of it go too, and its name is unknown to reads. Its values stay, as values of which nothing is registered, until they or their entities are deleted. Registered again, version 1 finds what is stored under the bare name; later versions take higher numbers than it had, so that no old value is taken for a new one.",
    scope: "write",
    request: {
      param: oneFeature,
      query: () =>
        z.object({
          force: z
            .enum(["true", "false"])
            .optional()
            .meta({ description: "`true`: also while a version is active.", example: "false" }),
        }),
    },
    answers: { 200: { description: "What was removed.", schema: removedSchema } },
    problems: [404, 409],
  },
  async (c, { param, query }) => {
    const { tenant } = c.principal;
    const feature = await existingFeature(c, param.feature);
    const { featureId, name, entityType, category } = feature;
    const only = query.force === "true" ? "any" : "idle";
    const removed = await removeFeature(c.env.DB, tenant, feature, { only, now: nowMicros() });
    forgetCatalog(tenant);
    if (!removed) throw whyItStays(await existingFeature(c, String(featureId)), only);
    audit(c, "feature removed", { tenant_id: tenant, feature_id: featureId, forced: only === "any" });
    // Should they be left, nobody is told them: they are of versions that were registered at another time.
    await statsObject(c.env, tenant)
      .forget(removed.map(({ version, createdAt }) => ({ feature: name, version, registeredAt: createdAt })))
      .catch((cause: unknown) => {
        c.log.warning("statistics of a removed feature are left", { request_id: c.requestId }, cause);
      });
    if (feature.materialize === "on_ingest") {
      c.after(askToCompute(c, { kind: "ingest", tenant_id: tenant, table_id: feature.rawTableId }));
    }
    return jsonAnswer({
      feature_id: featureId,
      name,
      entity_type: entityType,
      category,
      versions: removed.map(({ version }) => version),
      status: "deleted",
    });
  },
);

function whyItStays({ versions }: RegisteredFeature, only: "idle" | "any"): Problem {
  const active = versions.filter(({ status }) => status === "active").map(({ version }) => version);
  if (only === "idle" && active.length > 0) {
    const msg = `it has active versions (${active.slice(0, 10).join(", ")}): deprecate them first, or remove it with ?force=true`;
    return new Problem(409, msg);
  }
  return new Problem(409, `the removed features of a tenant may be of ${MAX_PAST_ENTITY_TYPES} entity types`);
}

export const changeEndpoints = [changeFeature, deleteFeature];
