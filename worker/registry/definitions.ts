/** What a registration asks for, and whether it is what is there already. Pure. */
import * as z from "zod";
import { Problem, unprocessable } from "../errors.ts";
import { category, entityType, optional, optionalOr, textUpTo, ttlSeconds } from "../http/fields.ts";
import { canonicalJson, nestsDeeperThan } from "../json.ts";
import {
  MAX_DESCRIPTION_CHARACTERS,
  MAX_NAME_CHARACTERS,
  MAX_TAGS,
  MAX_TTL_SECONDS,
  MAX_VALUE_DEPTH,
} from "../limits.ts";
import { SECONDS_PER_HOUR } from "../timestamps.ts";
import { conform, DTYPES, type Dtype } from "./dtypes.ts";
import type { NewFeature, NewVersion, RegisteredFeature, VersionRow } from "./registry-store.ts";
import { registeredName, versionField } from "./versions.ts";

const DEFAULT_CATEGORY = "default";
/** They are keys of an answer of `GET /get/item`, which names the entity under its type. */
const RESERVED_TYPES = ["category", "features", "revision", "source"];

const declaredType = entityType
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]*$/, "must be letters, digits, `_`, `.` and `-`")
  .refine((type) => !RESERVED_TYPES.includes(type), `must not be one of ${RESERVED_TYPES.join(", ")}`);

export const statusField = z.enum(["draft", "active", "deprecated"]).meta({
  description:
    "`draft`: filled, not yet what the bare name means. `active`: the newest active one is what the bare name means. `deprecated`: read only as `name@version`. Left out: a first version is active, a further one a draft.",
});

const shortText = textUpTo(MAX_NAME_CHARACTERS).min(1);

const ttl = {
  ttl_hours: z
    .number()
    .positive()
    .max(MAX_TTL_SECONDS / SECONDS_PER_HOUR)
    .nullish()
    .meta({
      description: "How long a value may be read after its event time; may be a fraction.",
      example: 24,
    }),
  ttl_seconds: ttlSeconds.nullish(),
};

const dtype = z.enum(DTYPES as [Dtype, ...Dtype[]]).meta({ example: "float64" });
const defaultValue = z.unknown().meta({
  description:
    "Answered where nothing is found (`NOT_FOUND`), not for a value that is null or too old; of the feature's type.",
});

export const registerBody = z.object({
  name: registeredName,
  version: versionField.default(1),
  dtype,
  entity_type: declaredType.meta({ example: "user" }),
  category: optionalOr(category, DEFAULT_CATEGORY).meta({
    description: "Where its values are written.",
    example: DEFAULT_CATEGORY,
  }),
  ...ttl,
  description: textUpTo(MAX_DESCRIPTION_CHARACTERS)
    .nullish()
    .meta({ example: "Predicted customer lifetime value" }),
  owner: shortText.nullish(),
  tags: optionalOr(z.array(shortText).max(MAX_TAGS), []).meta({ example: ["revenue", "prediction"] }),
  default_value: defaultValue.optional(),
  status: optional(statusField),
});

/** What is left out is as in the newest version. */
export const versionBody = z.object({
  version: versionField,
  dtype: optional(dtype),
  computation_logic: optional(z.string().min(1)).meta({ description: "New SQL of a computed feature." }),
  ...ttl,
  default_value: defaultValue.optional(),
  status: optional(statusField),
});

export function featureOf(body: z.output<typeof registerBody>): NewFeature {
  return {
    name: body.name,
    entityType: body.entity_type,
    category: body.category,
    kind: "scalar",
    rawTableId: null,
    entityKey: null,
    materialize: null,
    computationLogic: null,
    description: body.description ?? null,
    owner: body.owner ?? null,
    tags: body.tags,
  };
}

/**
 * @param like The version from which an omitted field is taken.
 * @throws Problem 422 when the TTLs disagree or the default is not of the type.
 */
export function versionOf(
  body: Omit<z.output<typeof versionBody>, "dtype"> & { dtype?: Dtype | undefined },
  like: VersionRow | null,
): NewVersion {
  const type = body.dtype ?? (like?.dtype as Dtype | undefined);
  if (!type)
    throw unprocessable({
      loc: ["body", "dtype"],
      msg: "is needed: there is no version to take it from",
      type: "missing",
    });
  const isDefaultGiven = body.default_value !== undefined;
  return {
    version: body.version,
    dtype: type,
    computationLogic: null,
    ttlSeconds: ttlOf(body, like),
    defaultValue: isDefaultGiven ? defaultOf(type, body.default_value) : (like?.defaultValue ?? null),
    status: body.status ?? null,
  };
}

/**
 * A version of a computed feature: what is left out is as in the newest version, the SQL at first as in the feature.
 *
 * @throws Problem 422 when it brings what only a scalar can have.
 */
export function computedVersionOf(
  body: z.output<typeof versionBody>,
  feature: RegisteredFeature,
  like: VersionRow | null,
): NewVersion {
  for (const field of ["dtype", "default_value"] as const) {
    if (body[field] !== undefined) {
      throw unprocessable({ loc: ["body", field], msg: "a computed feature has none", type: "not_scalar" });
    }
  }
  return {
    version: body.version,
    dtype: "vector",
    computationLogic: body.computation_logic ?? like?.computationLogic ?? feature.computationLogic,
    ttlSeconds: ttlOf(body, like),
    defaultValue: null,
    status: body.status ?? null,
  };
}

interface SentTtl {
  ttl_hours?: number | null | undefined;
  ttl_seconds?: number | null | undefined;
}

function sentTtlField({ ttl_hours, ttl_seconds }: SentTtl): keyof SentTtl {
  return ttl_seconds == null && ttl_hours !== undefined ? "ttl_hours" : "ttl_seconds";
}

function ttlOf({ ttl_hours, ttl_seconds }: SentTtl, like: VersionRow | null): number | null {
  const ofHours = typeof ttl_hours === "number" ? ttl_hours * SECONDS_PER_HOUR : ttl_hours;
  if (
    typeof ofHours === "number" &&
    typeof ttl_seconds === "number" &&
    Math.abs(ofHours - ttl_seconds) > 1e-6
  ) {
    const msg = "must say the same as ttl_hours when both are given";
    throw unprocessable({ loc: ["body", "ttl_seconds"], msg, type: "conflicting_fields" });
  }
  // Null in either says that there is none; only what is left out is as in the version before.
  const given = ttl_seconds ?? (ofHours === undefined ? ttl_seconds : ofHours);
  return given === undefined ? (like?.ttlSeconds ?? null) : given;
}

function defaultOf(type: Dtype, value: unknown): string | null {
  if (value === null) return null;
  const loc = ["body", "default_value"];
  if (nestsDeeperThan(value, MAX_VALUE_DEPTH)) {
    const msg = `must not nest arrays and objects deeper than ${MAX_VALUE_DEPTH}`;
    throw unprocessable({ loc, msg, type: "too_deep" });
  }
  const checked = conform(type, value);
  if (checked.ok) return JSON.stringify(checked.value);
  const msg = `must be of type ${type}, found ${checked.found}`;
  throw unprocessable({ loc, msg, type: "type_mismatch" });
}

/** A field, what is registered, and what is asked for. */
type Pair = [field: string, there: unknown, asked: unknown];

/**
 * @param body As it was sent: of two fields that mean the same, the one that stands in it is named.
 * @throws Problem 409 naming every field in which the registration differs from what is registered.
 */
export function assertSameDefinition(
  registered: RegisteredFeature,
  { feature, version }: { feature: NewFeature; version: NewVersion },
  body: SentTtl,
): VersionRow {
  const own = registered.versions.find((row) => row.version === version.version);
  const pairs = pairsOfFeature(registered, feature);
  if (own) {
    pairs.push(
      ["dtype", own.dtype, version.dtype],
      ["computation_logic", own.computationLogic, version.computationLogic],
      [sentTtlField(body), own.ttlSeconds, version.ttlSeconds],
      ["default_value", sameText(own.defaultValue), sameText(version.defaultValue)],
    );
  }
  // They are the feature's, as its first registration gave them: those of a later one are not kept.
  if (own && registered.versions.every(({ versionId }) => own.versionId <= versionId)) {
    pairs.push(...pairsOfWords(registered, feature));
  }
  const differing = differingFields(pairs);
  if (own && differing.length === 0) return own;
  throw conflict(differing);
}

/** @throws Problem 409 naming every field in which a computed feature differs from what is registered. */
export function assertSameFeature(registered: RegisteredFeature, feature: NewFeature): void {
  const differing = differingFields([
    ...pairsOfFeature(registered, feature),
    ["entity_key", registered.entityKey, feature.entityKey],
    ["computation_logic", registered.computationLogic, feature.computationLogic],
    ...pairsOfWords(registered, feature),
  ]);
  if (differing.length > 0) throw conflict(differing);
}

function pairsOfFeature(registered: RegisteredFeature, feature: NewFeature): Pair[] {
  return [
    ["kind", registered.kind, feature.kind],
    ["raw_table_id", registered.rawTableId, feature.rawTableId],
    ["materialize", registered.materialize, feature.materialize],
    ["entity_type", registered.entityType, feature.entityType],
    ["category", registered.category, feature.category],
  ];
}

const sameText = (json: string | null) => json && canonicalJson(json);

/** Words about a feature that are left out are as they were. */
function pairsOfWords(registered: RegisteredFeature, { description, owner, tags }: NewFeature): Pair[] {
  return [
    ["description", registered.description, description ?? registered.description],
    ["owner", registered.owner, owner ?? registered.owner],
    ["tags", registered.tags, tags.length > 0 ? JSON.stringify(tags) : registered.tags],
  ];
}

function differingFields(pairs: readonly Pair[]): string[] {
  return pairs.filter(([, there, asked]) => there !== asked).map(([field]) => field);
}

function conflict(differing: readonly string[]): Problem {
  return new Problem(409, `this feature is registered already, with another ${differing.join(", ")}`, {
    errors: differing.map((field) => ({
      loc: ["body", field],
      msg: "differs from what is registered",
      type: "conflict",
    })),
  });
}
