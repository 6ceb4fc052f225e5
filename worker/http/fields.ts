/** Schemas of the fields that many endpoints share, each with the limits and the words of its errors. */
import * as z from "zod";
import { charactersIn, exceedsUtf8Bytes, firstCharacters, hasAtMost, utf8Length } from "../characters.ts";
import { WRITE_MODES } from "../db/column-values.ts";
import { isJsonObject, nestsDeeperThan } from "../json.ts";
import {
  MAX_CATEGORY_BYTES,
  MAX_NAME_CHARACTERS,
  MAX_NAMED_FAULTS,
  MAX_TTL_SECONDS,
  MAX_VALUE_DEPTH,
} from "../limits.ts";
import { parseTimestamp, TIMESTAMP_FORM } from "../timestamps.ts";
import { PARSING } from "./faults.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const CONTROL_CHARACTER = /[\u0000-\u001f\u007f-\u009f]/;

/** What a schema that is made when it is asked for makes of a value. */
export type Checked<S extends () => z.ZodType> = z.output<ReturnType<S>>;

/** A field of a body that may be left out. Null says the same: many clients send it for what is not set. */
export function optional<S extends z.ZodType>(schema: S) {
  const given = schema.nullish().transform((value) => value ?? undefined);
  return given as unknown as z.ZodOptional<z.ZodType<z.output<S>, z.input<S> | null>>;
}

/** The same where something else stands for what is left out. */
export function optionalOr<S extends z.ZodType>(schema: S, fallback: z.output<S> & z.util.JSONType) {
  const given = schema.nullish().transform((value): z.output<S> => value ?? fallback);
  return given.meta({ default: fallback });
}

function faultOfLength(text: string, most: number): string | null {
  return hasAtMost(text, most) ? null : `must have at most ${most} characters, has ${charactersIn(text)}`;
}

/** A text of so many characters; zod itself would count an emoji as two. */
export function textUpTo(most: number) {
  return z
    .string()
    .superRefine((text, ctx) => {
      const message = faultOfLength(text, most);
      if (message) ctx.addIssue({ code: "custom", message });
    })
    .meta({ maxLength: most });
}

/** What is wrong with a name, or null. */
function faultOfName(name: string): string | null {
  if (name.length === 0) return "must not be empty";
  const tooLong = faultOfLength(name, MAX_NAME_CHARACTERS);
  if (tooLong) return tooLong;
  if (CONTROL_CHARACTER.test(name)) return "must not contain control characters";
  return name.isWellFormed() ? null : "must be well-formed Unicode text";
}

export function nameField(description: string, example: string) {
  return z
    .string()
    .superRefine((name, ctx) => {
      const message = faultOfName(name);
      if (message) ctx.addIssue({ code: "custom", message });
    })
    .meta({ description, example, minLength: 1, maxLength: MAX_NAME_CHARACTERS });
}

export const entityValue = nameField("The entity: any text without control characters.", "user-123");
export const entityType = nameField("`bright_uid`, `account_id`, or a declared type.", "bright_uid");
export const featureName = nameField("A feature of a category.", "age");
export const computeId = nameField("What computed the values, for those who trace them.", "compute-123");

export const category = nameField("A named group of features; may not contain `:`.", "user_features").refine(
  (name) => !name.includes(":"),
  "must not contain `:`",
);

/** Feature values, with the text in which they are stored and their names. */
export interface FeatureValues {
  values: Record<string, unknown>;
  data: string;
  names: string[];
}

/** An object of feature values; any name is data, `__proto__` too, so it is not checked as a record. */
export const featureValues = z
  .unknown()
  .meta({ override: { type: "object", additionalProperties: true } })
  .transform((value, ctx): FeatureValues => {
    const fail = (message: string, path: string[] = []) => {
      ctx.addIssue({ code: "custom", message, path });
      return z.NEVER;
    };
    if (!isJsonObject(value)) return fail("must be an object of feature names and values");
    const names = Object.keys(value);
    for (const name of names) {
      const message = faultOfName(name);
      if (message) return fail(`the feature name ${message}`, [firstCharacters(name, MAX_NAME_CHARACTERS)]);
      if (nestsDeeperThan(value[name], MAX_VALUE_DEPTH)) {
        return fail(`must not nest arrays and objects deeper than ${MAX_VALUE_DEPTH}`, [name]);
      }
    }
    const data = JSON.stringify(value);
    if (exceedsUtf8Bytes(data, MAX_CATEGORY_BYTES))
      return fail(`must have at most ${MAX_CATEGORY_BYTES} bytes as JSON, has ${utf8Length(data)}`);
    return { values: value, data, names };
  });

/** An ISO 8601 timestamp with a zone, as microseconds since 1970. */
export const timestamp = z
  .string()
  .transform((text, ctx) => {
    const time = parseTimestamp(text);
    if (time !== null) return time;
    ctx.addIssue({ code: "custom", message: `must be ${TIMESTAMP_FORM}` });
    return z.NEVER;
  })
  .meta({
    description: `When the values became true: ${TIMESTAMP_FORM}.`,
    example: "2025-10-13T09:15:51.358632+00:00",
  });

export const ttlSeconds = z.number().positive().max(MAX_TTL_SECONDS).meta({
  description: "How long after its event time the category may be read, in seconds.",
  example: 86400,
});

export const writeMode = z.enum(WRITE_MODES).meta({
  description: "`replace`: the category becomes what is written. `merge`: only the features named change.",
});

export const ifRevision = z.int().min(0).meta({
  description: "Refused with 409 unless the entity has this revision; 0: unless it was never written.",
  example: 1,
});

/**
 * A field that is not read here. It is refused: ignoring it would do something else than the caller meant.
 *
 * @param message What to do instead.
 */
export const elsewhere = (message: string) => z.never({ error: message }).nullish();

/** A query may call the entity type so; in a body it has one name. */
export const tableTypeInBody = elsewhere("is called `entity_type` in a body");

/**
 * The query of a request whose body says what it is about. Passed over there, another entity would be meant, or another time.
 *
 * @param message Where they stand.
 */
export const fieldsOfBody = (message: string) => ({
  entity_type: elsewhere(message),
  table_type: elsewhere(message),
  max_age_seconds: elsewhere(message),
  timestamp: elsewhere(message),
  known_at: elsewhere(message),
});

/** A number of an address, where everything is text. JavaScript would also take `0x1`, `1e0` and ` 1` for one. */
export const digitsInAddress = (written: unknown) =>
  typeof written === "string" && /^\d+$/.test(written) ? Number(written) : written;

/** A whole number in an address. */
export function wholeNumber(least: number, most?: number) {
  const error = `must be a whole number from ${least}${most === undefined ? "" : ` to ${most}`}`;
  const number = z.int(error).min(least, error);
  return z.preprocess(digitsInAddress, most === undefined ? number : number.max(most, error));
}

/** The form of every timestamp in an answer. */
export const answeredTimestamp = z.string().meta({ example: "2025-10-13T09:15:51.358632+00:00" });
export const answeredRevision = z.int().meta({ description: "The entity's revision.", example: 1 });

/**
 * An object of categories, as entries; `z.record` would drop a key called `__proto__`.
 *
 * @param about `most`: of them; `example`: shown in the API documents.
 */
export function categoriesOf<V extends z.ZodType>(
  value: V,
  { most, example }: { most: number; example: Record<string, unknown> },
) {
  return z
    .unknown()
    .meta({ override: { type: "object", additionalProperties: true, minProperties: 1, example } })
    .transform((object, ctx): [string, z.output<V>][] => {
      if (!isJsonObject(object)) {
        ctx.addIssue({ code: "custom", message: "must be an object" });
        return z.NEVER;
      }
      const entries = Object.entries(object);
      if (entries.length === 0) ctx.addIssue({ code: "custom", message: "must name at least one category" });
      if (entries.length > most) {
        const message = `must name at most ${most} categories, names ${entries.length}`;
        ctx.addIssue({ code: "custom", message });
        return z.NEVER;
      }
      const checked: [string, z.output<V>][] = [];
      for (const [name, inner] of entries) {
        const at = firstCharacters(name, MAX_NAME_CHARACTERS);
        const found = [category.safeParse(name, PARSING), value.safeParse(inner, PARSING)] as const;
        const issues = found.flatMap(({ error }) => error?.issues ?? []);
        for (const { message, path } of issues.slice(0, MAX_NAMED_FAULTS)) {
          ctx.addIssue({ code: "custom", message, path: [at, ...path] });
        }
        // No more of them are told.
        if (ctx.issues.length >= MAX_NAMED_FAULTS) return z.NEVER;
        checked.push([name, found[1].data as z.output<V>]);
      }
      return checked;
    });
}
