/** Registering features and their versions: the routes of system B, and versions of system C. */
import * as z from "zod";
import { computationsOf } from "../compute/compute-store.ts";
import { assertComputable } from "../compute/computed-feature.ts";
import { Problem, unprocessable } from "../errors.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredTimestamp, entityType } from "../http/fields.ts";
import { DEFAULT_PAGE_ROWS, MAX_NAME_CHARACTERS, MAX_PAGE_ROWS } from "../limits.ts";
import { formatTimestamp, nowMicros } from "../timestamps.ts";
import { forgetCatalog } from "./catalog.ts";
import {
  assertSameDefinition,
  computedVersionOf,
  featureOf,
  registerBody,
  statusField,
  versionBody,
  versionOf,
} from "./definitions.ts";
import { featureAnswer, featureSchema, versionAnswer, versionSchema } from "./feature-answers.ts";
import {
  findFeature,
  insertVersion,
  listFeatures,
  type NewFeature,
  type RegisteredFeature,
  setVersionStatus,
  type VersionRow,
} from "./registry-store.ts";
import { parseVersion } from "./versions.ts";

const nameOrId = z
  .string()
  .max(MAX_NAME_CHARACTERS)
  .meta({ description: "A name, or a `feature_id`.", example: "user_lifetime_value" });
const oneFeature = z.object({ feature: nameOrId });

const registeredSchema = z
  .object({
    feature_id: z.int().meta({ example: 1 }),
    name: z.string().meta({ example: "user_lifetime_value" }),
    version: z.int().meta({ example: 1 }),
    status: z.literal("registered"),
    created_at: answeredTimestamp,
  })
  .meta({ id: "Registered" });

export const register = endpoint(
  {
    method: "post",
    path: "/api/v1/features/register",
    tag: "features",
    summary: "Register a feature, or a further version of it",
    description:
      "The same registration again changes nothing and answers 200; another one of the same version is 409.",
    scope: "write",
    request: { json: registerBody },
    answers: {
      201: { description: "Registered.", schema: registeredSchema },
      200: { description: "It was registered before, in the same way.", schema: registeredSchema },
    },
    problems: [409],
  },
  async (c, { json }) => {
    const { tenant } = c.var.principal;
    const feature = featureOf(json);
    const existing = await findFeature(c.env.DB, tenant, feature.name);
    const isFirst = !existing || existing.versions.length === 0;
    const version = versionOf(json, null);
    if (!isFirst && json.status === undefined) version.status = "draft";
    const { added, feature: registered } = await insertVersion(
      c.env.DB,
      tenant,
      feature,
      version,
      nowMicros(),
    );
    forgetCatalog(tenant);
    if (!registered) throw new Problem(409, "this feature was removed meanwhile");
    const row = added
      ? registered.versions.find((each) => each.version === version.version)
      : assertSameDefinition(registered, feature, version);
    return c.json(
      {
        feature_id: registered.featureId,
        name: registered.name,
        version: version.version,
        status: "registered",
        created_at: formatTimestamp(row?.createdAt ?? registered.createdAt),
      },
      added ? 201 : 200,
    );
  },
);

const listSchema = z
  .object({ features: z.array(featureSchema), next_cursor: z.string().nullable().meta({ example: null }) })
  .meta({ id: "FeatureList" });

export const list = endpoint(
  {
    method: "get",
    path: "/api/v1/features",
    tag: "features",
    summary: "List registered features",
    scope: "read",
    request: {
      query: z.object({
        entity_type: entityType.optional(),
        tag: z.string().max(MAX_NAME_CHARACTERS).optional(),
        q: z
          .string()
          .max(MAX_NAME_CHARACTERS)
          .optional()
          .meta({ description: "Part of a name or a description." }),
        limit: z.coerce.number().int().min(1).max(MAX_PAGE_ROWS).default(DEFAULT_PAGE_ROWS),
        cursor: z.string().optional().meta({ description: "`next_cursor` of the page before." }),
      }),
    },
    answers: { 200: { description: "A page of features, oldest first.", schema: listSchema } },
  },
  async (c, { query }) => {
    const after = query.cursor === undefined ? 0 : readCursor(query.cursor);
    const filter = {
      entityType: query.entity_type,
      tag: query.tag,
      q: query.q,
      after,
      limit: query.limit + 1,
    };
    const rows = await listFeatures(c.env.DB, c.var.principal.tenant, filter);
    const page = rows.slice(0, query.limit);
    const last = page.at(-1);
    const nextCursor = rows.length > page.length && last ? `f${last.featureId}` : null;
    return c.json({ features: page.map((feature) => featureAnswer(feature)), next_cursor: nextCursor });
  },
);

export const get = endpoint(
  {
    method: "get",
    path: "/api/v1/features/{feature}",
    tag: "features",
    summary: "A registered feature with its versions",
    scope: "read",
    request: { param: oneFeature },
    answers: { 200: { description: "The feature.", schema: featureSchema } },
    problems: [404],
  },
  async (c, { param }) => {
    const feature = await existing(c, param.feature);
    const computations = await computationsOf(c.env.DB, c.var.principal.tenant, feature.featureId);
    return c.json(featureAnswer(feature, computations));
  },
);

export const addVersion = endpoint(
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
    const { tenant } = c.var.principal;
    const feature = await existing(c, param.feature);
    // Asked for again, it is completed from itself: a newer one may have come since.
    const own = feature.versions.find(({ version: number }) => number === json.version);
    const version = await newVersion(c, feature, json, own ?? feature.versions.at(-1) ?? null);
    const same = toNewFeature(feature);
    const { added, feature: registered } = await insertVersion(c.env.DB, tenant, same, version, nowMicros());
    forgetCatalog(tenant);
    if (!registered) throw notFound();
    const row = added
      ? registered.versions.find((each) => each.version === version.version)
      : assertSameDefinition(registered, same, version);
    return row
      ? c.json(versionAnswer(feature.featureId, row), added ? 201 : 200)
      : notFound().toResponse(c.var.requestId);
  },
);

export const setStatus = endpoint(
  {
    method: "patch",
    path: "/api/v1/features/{feature}/versions/{version}",
    tag: "features",
    summary: "Activate or deprecate a version",
    scope: "write",
    request: {
      param: oneFeature.extend({ version: z.string().meta({ example: "2" }) }),
      json: z.object({ status: statusField }),
    },
    answers: { 200: { description: "The version.", schema: versionSchema } },
    problems: [404],
  },
  async (c, { param, json }) => {
    const { tenant } = c.var.principal;
    const feature = await existing(c, param.feature);
    const version = parseVersion(param.version);
    if (version === null) {
      throw unprocessable({
        loc: ["path", "version"],
        msg: 'must be a version, such as 1, "1" or "v1"',
        type: "invalid",
      });
    }
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
    if (!found || !row) throw notFound();
    return c.json(versionAnswer(feature.featureId, { ...row, status: json.status, updatedAt: now }));
  },
);

/** @param like The version from which what is left out is taken. */
async function newVersion(
  c: AppContext,
  feature: RegisteredFeature,
  body: z.output<typeof versionBody>,
  like: VersionRow | null,
) {
  if (feature.kind === "computed") {
    const version = computedVersionOf(body, feature, like);
    const sql = version.computationLogic ?? "";
    await assertComputable(c, { tableId: feature.rawTableId ?? 0, sql, entityKey: feature.entityKey ?? "" });
    return version;
  }
  if (body.computation_logic === undefined) return versionOf(body, like);
  throw unprocessable({
    loc: ["body", "computation_logic"],
    msg: "a scalar feature has none",
    type: "not_computed",
  });
}

async function existing(c: AppContext, feature: string): Promise<RegisteredFeature> {
  const found = await findFeature(c.env.DB, c.var.principal.tenant, feature);
  if (!found) throw notFound();
  return found;
}

function toNewFeature({ tags, ...feature }: RegisteredFeature): NewFeature {
  return { ...feature, tags: JSON.parse(tags) as string[] };
}

function notFound(): Problem {
  return new Problem(404, "there is no such feature or version");
}

function readCursor(cursor: string): number {
  const id = /^f(\d{1,15})$/.exec(cursor)?.[1];
  if (id !== undefined) return Number(id);
  throw unprocessable({
    loc: ["query", "cursor"],
    msg: "must be the next_cursor of a page",
    type: "invalid",
  });
}

export const registryEndpoints = [register, list, get, addVersion, setStatus];
