/** Feature names and versions: how they are written, and under which name a version's values are stored. Pure. */
import * as z from "zod";
import { unprocessable } from "../errors.ts";
import { textUpTo } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";

const NAME = "[A-Za-z_][A-Za-z0-9_.-]*";
export const MAX_VERSION = 1_000_000;

export const registeredName = textUpTo(MAX_NAME_CHARACTERS)
  .regex(new RegExp(`^${NAME}$`), "must be letters, digits, `_`, `.` and `-`, beginning with a letter or `_`")
  .meta({ description: "Unique within the tenant.", example: "user_lifetime_value" });

/** `1`, `"1"` and `"v1"` are the same version. Null when it is none. */
export function parseVersion(text: string | number): number | null {
  const digits = /^v?(\d{1,7})$/.exec(String(text))?.[1];
  const version = digits === undefined ? 0 : Number(digits);
  return version >= 1 && version <= MAX_VERSION ? version : null;
}

const MUST_BE_VERSION = `must be a version: a whole number from 1 to ${MAX_VERSION}, as 1, "1" or "v1"`;

/** @throws Problem 422 naming the place, for what is no version. */
export function versionAt(loc: string[], written: string): number {
  const version = parseVersion(written);
  if (version === null) throw unprocessable({ loc, msg: MUST_BE_VERSION, type: "invalid" });
  return version;
}

export const versionField = z
  .union([z.int(MUST_BE_VERSION), z.string()], MUST_BE_VERSION)
  .transform((written, ctx) => {
    const version = parseVersion(written);
    if (version !== null) return version;
    ctx.addIssue({ code: "custom", message: MUST_BE_VERSION });
    return z.NEVER;
  })
  .meta({
    override: { type: ["integer", "string"] },
    description: `From 1 to ${MAX_VERSION}, as \`1\`, \`"1"\` or \`"v1"\`.`,
    example: 1,
  });

/** The one that the bare name means. @param versions Of one feature, from the oldest to the newest. */
export function newestActive<V extends { status: string }>(versions: readonly V[]): V | undefined {
  return versions.findLast(({ status }) => status === "active");
}

/** The one that is asked for; else the newest active one, else the newest. @param versions As in {@link newestActive}. */
export function askedVersion<V extends { version: number; status: string }>(
  versions: readonly V[],
  asked: number | undefined,
): V | undefined {
  return asked === undefined
    ? (newestActive(versions) ?? versions.at(-1))
    : versions.find(({ version }) => version === asked);
}

/** Version 1 lives under the bare name, a later one under `name@N`: it can be filled before reads switch to it. */
export function storedName(name: string, version: number): string {
  return version === 1 ? name : `${name}@${version}`;
}

/** What a caller may ask for by one text. */
export type Reference =
  /** `category:feature`, or `category:*` for all of them. */
  | { kind: "category"; category: string; feature: string }
  /** A registered name, of its newest active version or of the one given. */
  | { kind: "registered"; name: string; version: number | null };

const REGISTERED = new RegExp(`^(${NAME})(?:@(v?\\d+))?$`);

/** Null when the text has none of the forms. The category ends at the first colon. */
export function parseReference(text: string): Reference | null {
  const colon = text.indexOf(":");
  if (colon > 0 && colon < text.length - 1) {
    return { kind: "category", category: text.slice(0, colon), feature: text.slice(colon + 1) };
  }
  const [, name, written] = REGISTERED.exec(text) ?? [];
  if (name === undefined) return null;
  const version = written === undefined ? null : parseVersion(written);
  return written !== undefined && version === null ? null : { kind: "registered", name, version };
}

/** References as a body has them; how many of them, each route says for itself. */
export const featureNames = lazily(() =>
  z
    .array(textUpTo(2 * MAX_NAME_CHARACTERS + 1))
    .min(1)
    .meta({
      description: "Registered names, `name@version`, `category:feature` or `category:*`.",
      example: ["user_age", "user_lifetime_value", "last_purchase_days"],
    }),
);
