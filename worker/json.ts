/**
 * JSON that keeps what it was given: an integer beyond 2^53 is carried as its digits, never rounded.
 *
 * `JSON.parse` would read 9007199254740993 as …992, and with a reviver, which is told each number's source, it is up to
 * fifty times slower. So where the text may hold such integers they are parsed as texts with a mark that nobody can
 * know, and then put back.
 */

/**
 * A number that might not survive a double: sixteen digits in a row, or an exponent of three. Not the digits behind a
 * point: a fraction is a double anyway, and those of seventeen digits are the most common numbers there are.
 */
const MAY_LOSE_DIGITS = /(?<![\d.])\d{16}|\d[eE][+]?\d{3}/;
/** Outside of texts, a value of sixteen digits or more: no part of another number, nor a name, which would be no JSON. */
const LONG_INTEGER = /(?<![\w.+-])-?[1-9]\d{15,}(?![\d.eE]|\s*:)/g;

/** V8's `JSON.rawJSON` as of ES2026, which TypeScript's library does not describe yet. */
const json = JSON as unknown as {
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
  if (!MAY_LOSE_DIGITS.test(text)) return JSON.parse(text);
  // Drawn when it is needed: the platform gives no randomness while a script starts.
  mark ??= crypto.randomUUID();
  return withDigits(JSON.parse(withMarks(text, mark)), mark);
}

let mark: string | undefined;

/** The text with its long integers as marked texts. */
function withMarks(text: string, mark: string): string {
  let marked = "";
  let from = 0;
  let textStart = text.indexOf('"');
  let textEnd = 0;
  for (const found of text.matchAll(LONG_INTEGER)) {
    while (textStart !== -1 && textStart < found.index) {
      textEnd = endOfText(text, textStart);
      textStart = text.indexOf('"', textEnd);
    }
    if (found.index < textEnd) continue;
    marked += `${text.slice(from, found.index)}"${mark}${found[0]}"`;
    from = found.index + found[0].length;
  }
  return marked + text.slice(from);
}

/** The position behind the closing quotation mark, or the end of the input for a string that is not closed. */
function endOfText(text: string, start: number): number {
  for (let at = start + 1; ; ) {
    const quote = text.indexOf('"', at);
    if (quote === -1) return text.length;
    let escapes = quote;
    while (text[escapes - 1] === "\\") escapes -= 1;
    if ((quote - escapes) % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

/** The value with its marked texts as the numbers that they were. Nests as deeply as it may: nothing here recurses. */
function withDigits(value: unknown, mark: string): unknown {
  const root = [value];
  const open: object[] = [root];
  const settled = (inner: unknown) => {
    if (typeof inner === "string") return inner.startsWith(mark) ? integer(inner.slice(mark.length)) : inner;
    if (typeof inner === "object" && inner !== null) open.push(inner);
    return typeof inner === "number" ? finite(inner) : inner;
  };
  for (let at = open.pop(); at; at = open.pop()) {
    if (Array.isArray(at)) {
      for (let i = 0; i < at.length; i++) at[i] = settled(at[i]);
      continue;
    }
    for (const [name, inner] of Object.entries(at)) {
      // Every name is an own property already: setting `__proto__` here changes a value, not the prototype.
      (at as Record<string, unknown>)[name] = settled(inner);
    }
  }
  return root[0];
}

function integer(digits: string): unknown {
  const value = finite(Number(digits));
  return Number.isSafeInteger(value) ? value : json.rawJSON(digits);
}

function finite(value: number): number {
  if (!Number.isFinite(value)) throw new NumberOutOfRange();
  return value;
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

/** One text for all JSON that says the same, whatever the order of names and the white space. */
export function canonicalJson(text: string): string {
  return JSON.stringify(sorted(parseJson(text)));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).map(([name, inner]) => [name, sorted(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Splits a JSON object into its names and the texts of their values. Anything else has no pairs. */
export function splitObject(text: string): [name: string, json: string][] {
  const object = parseJson(text);
  if (!isJsonObject(object)) return [];
  return Object.entries(object).map(([name, value]) => [name, JSON.stringify(value)]);
}
