/**
 * What a function does beside walking through its text once: searching, and asking for dates. In characters that are
 * handled, measured. Pure.
 */
import type { Expression, Part } from "./shape.ts";
import { SQL_FUNCTIONS } from "./words.ts";

/** What writing one form of strftime costs beside making its characters. */
const DATE_FORM = 60;
/** These take modifiers, such as '+1 month'. To go between UTC and local time the machine's tables are asked. */
const DATES = /^(?:date|time|datetime|julianday|unixepoch|strftime)$/;
const MODIFIER = 130;
const LOCAL_TIME = 1_500;
/** workerd allows LIKE and GLOB patterns of 50 bytes; SQLite compares each place of the text with each of these. */
const MAX_PATTERN = 50;
/** What one such comparison takes. */
const PATTERN = 2.5;
/** instr and replace compare a needle with memcmp, about this many times as fast as a loop. */
const MEMCMP = 64;
/** These look for one character after the other in their second argument, by a loop; what one look takes. */
const SEARCHES_EACH = /^(?:[lr]?trim|unhex)$/;
const EACH = 3.5;
/** `replace` copies each match by itself. */
const REPLACED = 3;

/** Of a call whose first two arguments are so long. */
export function callCost(
  name: string,
  args: readonly Expression[],
  { first, second }: { first: number; second: number },
): number {
  let cost = 0;
  const known = SQL_FUNCTIONS.get(name);
  if (name === "strftime") cost += DATE_FORM * formsIn(args[0], first);
  // The first is the time itself; strftime has its format before it.
  if (DATES.test(name)) for (const arg of args.slice(name === "strftime" ? 2 : 1)) cost += modifierCost(arg);
  if (known?.searches) cost += first * (SEARCHES_EACH.test(name) ? EACH * second : 1 + second / MEMCMP);
  if (known?.effect === "replaces") cost += REPLACED * first;
  return cost;
}

/** How many forms, such as `%Y`, a format of strftime has at most. @param length Its characters, where it is not written out. */
export function formsIn(format: Expression | undefined, length: number): number {
  const [part, ...more] = format ?? [];
  const isLiteral = part?.kind === "token" && part.token.kind === "string" && more.length === 0;
  return isLiteral ? part.token.name.split("%").length - 1 : length / 2;
}

/** For each character of an expression, of all patterns of LIKE and GLOB in it. */
export function patternCost(expression: Expression): number {
  const lengths = expression.map((part, i) => {
    const wildcard = isToken(part, "like") ? "%" : isToken(part, "glob") ? "*" : null;
    if (wildcard === null) return 0;
    const [pattern, after] = expression.slice(i + 1);
    const isLiteral = pattern?.kind === "token" && pattern.token.kind === "string" && !isToken(after, "||");
    return Math.min(
      MAX_PATTERN,
      isLiteral ? patternLength(pattern.token.name, wildcard, after) : MAX_PATTERN,
    );
  });
  return PATTERN * lengths.reduce((a, b) => a + b, 0);
}

/**
 * The longest piece of a pattern between wildcards: what no place of the rest matches is not looked for again with
 * another place before it. A wildcard may be none behind ESCAPE's character, and in a set of GLOB.
 */
function patternLength(pattern: string, wildcard: string, after: Part | undefined): number {
  if (isToken(after, "escape") || (wildcard === "*" && pattern.includes("["))) return pattern.length;
  return 1 + Math.max(...pattern.split(wildcard).map((piece) => piece.length));
}

/** Of a modifier of a date; one that is not written out may be any. */
function modifierCost(expression: Expression): number {
  const [part, ...more] = expression;
  const isPlain = part?.kind === "token" && part.token.kind === "string" && more.length === 0;
  return isPlain && !/localtime|utc/i.test(part.token.name) ? MODIFIER : LOCAL_TIME;
}

/** What `substr(x, from, characters)` and `substr(x, -characters)` leave, in bytes, where plain numbers say it. */
export function cutLength([, from = [], characters]: readonly Expression[]): number {
  const isFromEnd = from[0]?.kind === "token" && from[0].token.text === "-";
  const [part, ...more] = characters ?? (isFromEnd ? from.slice(1) : []);
  const isPlain = part?.kind === "token" && part.token.kind === "number" && more.length === 0;
  const bytes = isPlain ? 4 * Math.ceil(Number(part.token.text)) : Number.NaN;
  return Number.isNaN(bytes) ? Number.POSITIVE_INFINITY : bytes;
}

export function literalLength(expression: Expression | undefined): number {
  const [part, ...more] = expression ?? [];
  const isLiteral = part?.kind === "token" && part.token.kind === "string" && more.length === 0;
  return isLiteral ? Math.max(1, part.token.name.length) : 1;
}

export const isToken = (part: Part | undefined, name: string) =>
  part?.kind === "token" &&
  part.token.kind !== "string" &&
  part.token.kind !== "quoted" &&
  part.token.name === name;
