/** What a registration asks for. Pure. */
import * as z from "zod";
import { exceedsUtf8Bytes } from "../characters.ts";
import { DTYPES, type Dtype, VERSION_STATUSES } from "../db/column-values.ts";
import { unprocessable } from "../errors.ts";
import {
  type Checked,
  category,
  elsewhere,
  entityType,
  optional,
  optionalOr,
  ttlSeconds,
} from "../http/fields.ts";
import { nestsDeeperThan } from "../json.ts";
import { lazily } from "../lazily.ts";
import { MAX_DEFAULT_VALUE_BYTES, MAX_TTL_SECONDS, MAX_VALUE_DEPTH } from "../limits.ts";
import { SECONDS_PER_HOUR } from "../timestamps.ts";
import { conform } from "./dtypes.ts";
import type {
  Computed,
  NewFeature,
  NewVersion,
  RegisteredFeature,
  RegisteredVersion,
} from "./registry-store.ts";
import { registeredName, versionField } from "./versions.ts";
import { ofAVersion, words, wordsOf } from "./words.ts";

const DEFAULT_CATEGORY = "default";
/** They are keys of an answer of `GET /get/item`, which names the entity under its type. */
export const RESERVED_TYPES = ["category", "features", "revision", "source"];

const declaredType = entityType
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]*$/, "must be letters, digits, `_`, `.` and `-`")
  .refine((type) => !RESERVED_TYPES.includes(type), `must not be one of ${RESERVED_TYPES.join(", ")}`);

export const statusField = z.enum(VERSION_STATUSES).meta({
  description:
    "`draft`: filled, not yet what the bare name means. `active`: the newest active one is what the bare name means. `deprecated`: read only as `name@version`. Left out: a first version is active, a further one a draft.",
});

const ttl = lazily(() => ({
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
}));

const dtype = z.enum(DTYPES).meta({ example: "float64" });
const defaultValue = z.unknown().meta({
  description:
    "Answered where nothing is found (`NOT_FOUND`), not for a value that is null or too old; of the feature's type.",
});

export const registerBody = lazily(() =>
  z.object({
    name: registeredName,
    version: versionField.default(1),
    dtype,
    entity_type: declaredType.meta({ example: "user" }),
    category: optionalOr(category, DEFAULT_CATEGORY).meta({
      description: "Where its values are written.",
      example: DEFAULT_CATEGORY,
    }),
    ...ttl(),
    ...words(),
    default_value: defaultValue.optional(),
    status: optional(statusField),
  }),
);

/** What is the whole feature's. Whoever has its definition at hand may send it all, as long as it says the same. */
const ofFeature = z
  .string()
  .nullish()
  .meta({ description: "As the feature has it, or left out.", example: null });
const sentOfFeature = {
  name: ofFeature,
  entity_type: ofFeature,
  category: ofFeature,
  entity_key: ofFeature,
  materialize: ofFeature,
};

/** What is left out is as in the newest version. */
export const versionBody = lazily(() =>
  z.object({
    ...sentOfFeature,
    version: versionField,
    dtype: optional(dtype),
    computation_logic: optional(z.string().min(1)).meta({ description: "New SQL of a computed feature." }),
    ...ttl(),
    ...words(),
    default_value: defaultValue.optional(),
    status: optional(statusField),
  }),
);

const saidOfIt = elsewhere("is changed by `PATCH /features/{feature}`, of one version as `name@version`");

/** Its status is all that is changed in a version. */
export const statusBody = lazily(() =>
  z.strictObject({
    status: statusField,
    dtype: ofAVersion,
    ttl_hours: ofAVersion,
    ttl_seconds: ofAVersion,
    default_value: ofAVersion,
    computation_logic: ofAVersion,
    description: saidOfIt,
    owner: saidOfIt,
    tags: saidOfIt,
    version: elsewhere("stands in the path"),
  }),
);

export function featureOf(body: Checked<typeof registerBody>): NewFeature {
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
    tags: body.tags ?? [],
  };
}

/**
 * @param like The version from which an omitted field is taken.
 * @throws Problem 422 when the TTLs disagree or the default is not of the type.
 */
export function versionOf(
  body: Omit<Checked<typeof versionBody>, "dtype"> & { dtype?: Dtype | undefined },
  like: RegisteredVersion | null,
): NewVersion {
  const type = body.dtype ?? (like?.dtype === "vector" ? undefined : like?.dtype);
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
    words: wordsOf(body, like),
  };
}

/**
 * A version of a computed feature: what is left out is as in the newest version, the SQL at first as in the feature.
 *
 * @throws Problem 422 when it brings what only a scalar can have.
 */
export function computedVersionOf(
  body: Checked<typeof versionBody>,
  feature: Computed<RegisteredFeature>,
  like: RegisteredVersion | null,
): NewVersion & { computationLogic: string } {
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
    words: wordsOf(body, like),
  };
}

export interface SentTtl {
  ttl_hours?: number | null | undefined;
  ttl_seconds?: number | null | undefined;
}

function ttlOf({ ttl_hours, ttl_seconds }: SentTtl, like: RegisteredVersion | null): number | null {
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
  if (checked.ok) {
    const json = JSON.stringify(checked.value);
    if (!exceedsUtf8Bytes(json, MAX_DEFAULT_VALUE_BYTES)) return json;
    const msg = `must have at most ${MAX_DEFAULT_VALUE_BYTES} bytes as JSON`;
    throw unprocessable({ loc, msg, type: "too_large" });
  }
  const msg = `must be of type ${type}, found ${checked.found}`;
  throw unprocessable({ loc, msg, type: "type_mismatch" });
}
