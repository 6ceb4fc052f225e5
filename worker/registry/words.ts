/** What is said about features, which decides about no value: as it is registered, and as it is changed. Pure. */
import * as z from "zod";
import { type Checked, elsewhere, optional, textUpTo } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_DESCRIPTION_CHARACTERS, MAX_NAME_CHARACTERS, MAX_TAGS } from "../limits.ts";
import type { RegisteredVersion, Words } from "./registry-store.ts";

const shortText = textUpTo(MAX_NAME_CHARACTERS).min(1);
const tags = z.array(shortText).max(MAX_TAGS);

export const words = lazily(() => ({
  description: textUpTo(MAX_DESCRIPTION_CHARACTERS)
    .nullish()
    .meta({ example: "Predicted customer lifetime value" }),
  owner: shortText.nullish(),
  tags: optional(tags).meta({ example: ["revenue", "prediction"] }),
}));

type SentWords = { [Name in keyof Words]?: Words[Name] | undefined };

/** What is left out, or empty, is as in the version before, where there is one; else the feature's. */
export function wordsOf({ description, owner, tags }: SentWords, like: RegisteredVersion | null): Words {
  return {
    description: description ?? like?.description ?? null,
    owner: owner ?? like?.owner ?? null,
    tags: tags && tags.length > 0 ? tags : (like?.tags ?? null),
  };
}

export const ofAVersion = elsewhere(
  "decides about values, so it belongs to a version: register a new version",
);
const asRegistered = elsewhere("stays as it was registered: register a feature of another name");

/** What is said about a feature is all that is changed in it. */
export const wordsBody = lazily(() =>
  z.strictObject({
    description: words().description.meta({
      description: "Null takes it away.",
      example: "Predicted customer lifetime value",
    }),
    owner: words().owner.meta({ description: "Null takes it away.", example: "growth" }),
    tags: tags.nullish().meta({
      description: "All of them; null takes them away.",
      example: ["revenue", "prediction"],
    }),
    dtype: ofAVersion,
    ttl_hours: ofAVersion,
    ttl_seconds: ofAVersion,
    default_value: ofAVersion,
    computation_logic: ofAVersion,
    status: elsewhere("is changed by `PATCH /features/{feature}/versions/{version}`"),
    version: elsewhere("stands in the path, as `name@version`"),
    name: asRegistered,
    entity_type: asRegistered,
    category: asRegistered,
    raw_table_id: asRegistered,
    entity_key: asRegistered,
    materialize: asRegistered,
  }),
);

/** Only what is named is changed. */
export function changeOf({ description, owner, tags }: Checked<typeof wordsBody>): Partial<Words> {
  return {
    ...(description !== undefined && { description }),
    ...(owner !== undefined && { owner }),
    ...(tags !== undefined && { tags }),
  };
}
