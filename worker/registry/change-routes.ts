/** Changing what is said about registered features. */
import { computationsOf } from "../compute/compute-store.ts";
import { Problem } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { endpoint } from "../http/endpoint.ts";
import { nowMicros } from "../timestamps.ts";
import { forgetCatalog } from "./catalog.ts";
import { editFeature, editVersion } from "./edit-words.ts";
import { noSuchFeature, oneReference, referredFeature } from "./existing-feature.ts";
import { featureAnswer, featureSchema } from "./feature-answers.ts";
import { FULL } from "./same-definition.ts";
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

export const changeEndpoints = [changeFeature];
