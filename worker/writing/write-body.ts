/** The bodies of writes, and the changes that they ask for. Pure. */
import * as z from "zod";
import { Problem, unprocessable } from "../errors.ts";
import {
  type Checked,
  category,
  computeId,
  elsewhere,
  entityType,
  entityValue,
  featureValues,
  ifRevision,
  optional,
  tableTypeInBody,
  timestamp,
  ttlSeconds,
  writeMode,
} from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_CATEGORIES_PER_ENTITY, MAX_ENTITIES_PER_REQUEST } from "../limits.ts";
import type { CategoryWrite } from "./entity-write.ts";
import type { UntypedWrite } from "./typed-write.ts";

/** Names that are often used for the options. They are refused: ignored, they would lose what the caller meant. */
const misspelt = lazily(() => ({
  event_time: elsewhere("is called `event_timestamp`"),
  ttl_hours: elsewhere("is called `ttl_seconds`, and is in seconds"),
}));

/** May stand in the metadata, for all categories, or beside a category, for it alone. */
const writeOptions = lazily(() => ({
  mode: optional(writeMode),
  event_timestamp: optional(timestamp),
  compute_id: computeId.nullish(),
  ttl_seconds: ttlSeconds.nullish(),
}));

const options = lazily(() => z.object(writeOptions()));
type WriteOptions = Checked<typeof options>;

/** `source` is not a schema's matter: a wrong one is 403, not 422. */
const metadata = lazily(() =>
  z.object({
    source: z
      .unknown()
      .optional()
      .meta({ override: { type: "string" }, example: "prediction_service" }),
    ...writeOptions(),
    ...misspelt(),
    if_revision: elsewhere("stands in `data`"),
  }),
);
type Metadata = Checked<typeof metadata>;

/** The options where they are not read. They are refused: a caller who asks for a merge must not get a replacement. */
const optionsElsewhere = (message: string) =>
  ({
    mode: elsewhere(message),
    event_timestamp: elsewhere(message),
    compute_id: elsewhere(message),
    ttl_seconds: elsewhere(message),
  }) satisfies Record<keyof ReturnType<typeof writeOptions>, unknown>;

/** The options in a query, refused there. @param message What to do instead. */
export const optionsOfBody = (message: string) => ({
  ...optionsElsewhere(message),
  if_revision: elsewhere(message),
});

const featureList = lazily(() =>
  z
    .array(
      z.object({
        category,
        features: featureValues,
        ...writeOptions(),
        ...misspelt(),
        ttl: elsewhere("is called `ttl_seconds`"),
        if_revision: elsewhere("stands in `data`"),
      }),
    )
    .min(1)
    .max(MAX_CATEGORIES_PER_ENTITY)
    .superRefine((list, ctx) => {
      const first = new Map<string, number>();
      list.forEach(({ category: name }, position) => {
        const earlier = first.get(name);
        if (earlier === undefined) first.set(name, position);
        else
          ctx.addIssue({
            code: "custom",
            message: `repeats the category at position ${earlier}`,
            path: [position, "category"],
          });
      });
    }),
);

const entityBody = lazily(() =>
  z.object({
    entity_type: entityType,
    entity_value: entityValue,
    feature_list: featureList(),
    if_revision: optional(ifRevision),
    table_type: tableTypeInBody,
    ...optionsElsewhere("stands beside a category of `feature_list`, or in `metadata` for all of them"),
  }),
);

export const writeQuery = lazily(() =>
  z.object({
    ...optionsOfBody("is an option of the body"),
    entity_type: elsewhere("stands in the body, in `data`"),
    table_type: elsewhere("is called `entity_type`, and stands in the body, in `data`"),
  }),
);

const eitherMetadata = lazily(() => ({
  metadata: optional(metadata()),
  meta: optional(metadata()).meta({ description: "Another name of `metadata`." }),
  ...optionsElsewhere("stands in `metadata`, or beside a category of `feature_list`"),
  if_revision: elsewhere("stands in `data`"),
}));

export const itemsBody = lazily(() => z.object({ ...eitherMetadata(), data: entityBody() }));
export const batchBody = lazily(() =>
  z.object({
    ...eitherMetadata(),
    data: z.array(entityBody()).min(1).max(MAX_ENTITIES_PER_REQUEST),
  }),
);

/** The only source that may write, as system A has it. */
const WRITING_SOURCE = "prediction_service";

/**
 * Both names mean the same, and each may hold a part.
 *
 * @throws Problem 403 when the metadata do not name the source that may write, 422 where the two disagree.
 */
export function writingMetadata({
  metadata = {},
  meta = {},
}: {
  metadata?: Metadata | undefined;
  meta?: Metadata | undefined;
}): Metadata {
  const given: Metadata = { ...metadata };
  for (const name of Object.keys(meta) as (keyof Metadata)[]) {
    if (given[name] === undefined) Object.assign(given, { [name]: meta[name] });
    if (meta[name] === undefined || given[name] === meta[name]) continue;
    const msg = "must be the same as in metadata when it is in both";
    throw unprocessable({ loc: ["body", "meta", name], msg, type: "conflicting_parameters" });
  }
  if (given.source !== WRITING_SOURCE) {
    throw new Problem(403, `metadata.source must be \`${WRITING_SOURCE}\`: no other source may write`);
  }
  return given;
}

export function toEntityWrite(body: Checked<typeof entityBody>, defaults: Metadata): UntypedWrite {
  return {
    kind: "write",
    entityType: body.entity_type,
    entityValue: body.entity_value,
    source: WRITING_SOURCE,
    ifRevision: body.if_revision ?? null,
    categories: body.feature_list.map(({ category: name, features, ...own }) => ({
      category: name,
      features,
      ...toCategoryOptions(own, defaults),
    })),
  };
}

/** What stands beside a category wins over what stands in the metadata; null there means: none. */
export function toCategoryOptions(
  own: WriteOptions,
  defaults: WriteOptions,
): Omit<CategoryWrite, "category" | "data" | "names"> {
  const computed = own.compute_id === undefined ? defaults.compute_id : own.compute_id;
  const ttl = own.ttl_seconds === undefined ? defaults.ttl_seconds : own.ttl_seconds;
  return {
    mode: own.mode ?? defaults.mode ?? "replace",
    eventTime: own.event_timestamp ?? defaults.event_timestamp ?? null,
    computeId: computed ?? null,
    ttlSeconds: ttl ?? null,
  };
}
