/**
 * JSON that keeps what it was given: an integer beyond 2^53 is carried as its digits, never rounded.
 *
 * `JSON.parse` would read 9007199254740993 as …992. Where the text may hold such a number it is parsed a second
 * way, with each number's source, which is about ten times slower; so a pattern decides first.
 */

/**
 * A number that might not survive a double: sixteen digits in a row, or an exponent of three. Not the digits behind a
 * point: a fraction is a double anyway, and those of seventeen digits are the most common numbers there are.
 */
const MAY_LOSE_DIGITS = /(?<![\d.])\d{16}|\d[eE][+]?\d{3}/;
const INTEGER = /^-?\d+$/;

/** V8's `JSON.parse` and `JSON.rawJSON` as of ES2026, which TypeScript's library does not describe yet. */
const json = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): value is { rawJSON: string };
};

/** A number that no type of ours can hold, such as 1e999. */
export class NumberOutOfRange extends Error {}

/**
 * Parses JSON; integers beyond 2^53 become raw JSON that `JSON.stringify` writes back digit for digit.
 *
 * @throws SyntaxError when it is not JSON, {@link NumberOutOfRange} when a number is beyond a float64.
 */
export function parseJson(text: string): unknown {
  return MAY_LOSE_DIGITS.test(text) ? json.parse(text, keepDigits) : JSON.parse(text);
}

function keepDigits(_key: string, value: unknown, { source }: { source?: string }): unknown {
  if (typeof value !== "number" || source === undefined) return value;
  if (!Number.isFinite(value)) throw new NumberOutOfRange();
  return !Number.isSafeInteger(value) && INTEGER.test(source) ? json.rawJSON(source) : value;
}

/** The digits of a number that {@link parseJson} kept, or null when the value is anything else. */
export function rawDigits(value: unknown): string | null {
  return json.isRawJSON(value) ? value.rawJSON : null;
}

/** A number that `JSON.stringify` writes as these digits. */
export function rawNumber(digits: string): unknown {
  return json.rawJSON(digits);
}

/** A JSON object, not an array, not null and not a kept number. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !json.isRawJSON(value);
}

/** What a value is, without telling it. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (isJsonObject(value)) return "object";
  if (rawDigits(value) !== null) return "integer";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

/** Whether arrays and objects nest deeper than `limit`. Never recurses further than that. */
export function nestsDeeperThan(value: unknown, limit: number): boolean {
  if (typeof value !== "object" || value === null || json.isRawJSON(value)) return false;
  if (limit === 0) return true;
  return Object.values(value).some((inner) => nestsDeeperThan(inner, limit - 1));
}

/** One text for all that say the same: the order of an object's names says nothing. */
export function canonicalJson(text: string): string {
  return JSON.stringify(sorted(parseJson(text)));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).map(([name, inner]) => [name, sorted(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The text of a JSON object as pairs of name and the text of the value; of anything else no pairs. */
export function splitObject(text: string): [name: string, json: string][] {
  const object = parseJson(text);
  if (!isJsonObject(object)) return [];
  return Object.entries(object).map(([name, value]) => [name, JSON.stringify(value)]);
}
