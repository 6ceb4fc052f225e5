/** Versions of registered features and their status. */
import * as z from "zod";
import { computationsOf } from "../compute/compute-store.ts";
import { assertComputable, isOutdated } from "../compute/computed-feature.ts";
import type { Proof } from "../compute/registered-tables.ts";
import { Problem, unprocessable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import type { Checked } from "../http/fields.ts";
import { nowMicros } from "../timestamps.ts";
import { forgetCatalog } from "./catalog.ts";
import { computedVersionOf, statusBody, versionBody, versionOf } from "./definitions.ts";
import { existingFeature, noSuchFeature, oneFeature } from "./existing-feature.ts";
import { versionAnswer, versionSchema } from "./feature-answers.ts";
import { insertFurtherVersion } from "./insert-feature.ts";
import { whyNotAdded } from "./may-be-added.ts";
import {
  type NewVersion,
  type RegisteredFeature,
  type RegisteredVersion,
  setVersionStatus,
} from "./registry-store.ts";
import { assertOfFeature, assertSameDefinition, notAdded, TOO_MANY_ACTIVE } from "./same-definition.ts";
import { versionAt } from "./versions.ts";

const addVersion = endpoint(
  {
    method: "post",
    path: "/api/v1/features/{feature}/versions",
    tag: "features",
    summary: "Add a version to a feature",
    description:
      "What is left out is as in the newest version. The same version again changes nothing and answers 200.",
    scope: "write",
    request: { param: oneFeature, json: versionBody },
    answers: {
      201: { description: "Added.", schema: versionSchema },
      200: { description: "It was there before, in the same way.", schema: versionSchema },
    },
    problems: [404, 409],
  },
  async (c, { param, json }) => {
    const { tenant } = c.principal;
    for (;;) {
      const feature = await existingFeature(c, param.feature);
      assertOfFeature(feature, json);
      // Asked for again, it is completed from itself: a newer one may have come since.
      const own = feature.versions.find(({ version: number }) => number === json.version);
      const proved = await newVersion(c, feature, json, own ?? feature.versions.at(-1) ?? null);
      const { version, proof } = proved;
      const inserted = await insertFurtherVersion(c.env.DB, tenant, feature, proved, nowMicros());
      forgetCatalog(tenant);
      const { added, feature: registered } = inserted;
      if (!registered) throw noSuchFeature();
      const row = added
        ? registered.versions.find((each) => each.version === version.version)
        : assertSameDefinition(registered, { feature, version }, json);
      // No more often than a table has columns.
      if (!row && proof && (await isOutdated(c, proof))) continue;
      if (!row) throw notAdded(registered, await whyNotAdded(c.env.DB, tenant, registered, version));
      const computations = await computationsOf(c.env.DB, tenant, [feature]);
      return jsonAnswer(versionAnswer(feature, row, computations), added ? 201 : 200);
    }
  },
);

const setStatus = endpoint(
  {
    method: "patch",
    path: "/api/v1/features/{feature}/versions/{version}",
    tag: "features",
    summary: "Activate or deprecate a version",
    scope: "write",
    request: {
      param: () => oneFeature().extend({ version: z.string().meta({ example: "2" }) }),
      json: statusBody,
    },
    answers: { 200: { description: "The version.", schema: versionSchema } },
    problems: [404, 409],
  },
  async (c, { param, json }) => {
    const { tenant } = c.principal;
    const feature = await existingFeature(c, param.feature);
    const version = versionAt(["path", "version"], param.version);
    const now = nowMicros();
    const found = await setVersionStatus(
      c.env.DB,
      tenant,
      { featureId: feature.featureId, version },
      json.status,
      now,
    );
    forgetCatalog(tenant);
    const row = feature.versions.find((each) => each.version === version);
    if (!row) throw noSuchFeature();
    if (!found) {
      // Unless it has been removed meanwhile.
      await existingFeature(c, String(feature.featureId));
      throw new Problem(409, TOO_MANY_ACTIVE);
    }
    const computations = await computationsOf(c.env.DB, tenant, [feature]);
    const changed = { ...row, status: json.status, updatedAt: now };
    return jsonAnswer(versionAnswer(feature, changed, computations));
  },
);

/** @param like The version from which what is left out is taken. */
async function newVersion(
  c: AppContext,
  feature: RegisteredFeature,
  body: Checked<typeof versionBody>,
  like: RegisteredVersion | null,
): Promise<{ version: NewVersion; proof: Proof | null }> {
  if (feature.kind === "computed") {
    const version = computedVersionOf(body, feature, like);
    const proof = await assertComputable(c, {
      tableId: feature.rawTableId,
      sql: version.computationLogic,
      entityKey: feature.entityKey,
      materialize: feature.materialize,
    });
    return { version, proof };
  }
  if (body.computation_logic === undefined) return { version: versionOf(body, like), proof: null };
  throw unprocessable({
    loc: ["body", "computation_logic"],
    msg: "a scalar feature has none",
    type: "not_computed",
  });
}

export const versionEndpoints = [addVersion, setStatus];
