/** What does not fit a schema, as faults in our words: what was expected and what kind of thing was found. Pure. */
import type * as z from "zod";
import { firstCharacters } from "../characters.ts";
import type { Fault } from "../errors.ts";
import { kindOf, rawDigits } from "../json.ts";
import { MAX_NAME_CHARACTERS, MAX_NAMED_FAULTS } from "../limits.ts";

type Issue = z.core.$ZodIssue;
type Loc = (string | number)[];

const NOUNS: Record<string, string> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "an object",
  array: "an array",
};

/** How a request is parsed, so that {@link faultsOf} can tell what it found. Words of a schema's own come before these. */
export const PARSING: z.core.ParseContext<Issue> = { error: wordsOf, reportInput: true };

/**
 * What is wrong with a part of a request; never a value that was sent. For a union, what is wrong with the alternative
 * that came furthest.
 *
 * @param at Where `value` stands in the request.
 */
export function faultsOf(issues: readonly Issue[], value: unknown, at: Loc): Fault[] {
  const faults = new Map<string, Fault>();
  for (const fault of issues.flatMap((issue) => faultsIn(issue, value, at))) {
    const place = JSON.stringify(fault.loc);
    // Where no object was found, every field of it would be missing: one fault for the place is enough.
    if (!faults.has(place)) faults.set(place, fault);
  }
  return [...faults.values()].slice(0, MAX_NAMED_FAULTS);
}

function faultsIn(issue: Issue, value: unknown, at: Loc): Fault[] {
  const path = issue.path.map((step) => (typeof step === "number" ? step : String(step)));
  const loc = [...at, ...path];
  const odd = oddPlace(value, path, at);
  if (odd) return [odd];
  if (issue.code === "invalid_union") {
    const [closest] = issue.errors.toSorted((a, b) => depth(b) - depth(a));
    if (closest && depth(closest) > 0) return closest.flatMap((inner) => faultsIn(inner, issue.input, loc));
  }
  if (issue.code === "unrecognized_keys") return unknownFields(issue, loc);
  if ("input" in issue && issue.input === undefined) return [{ loc, msg: "is needed", type: "missing" }];
  return [{ loc, msg: issue.message, type: issue.code === "invalid_union" ? "invalid_type" : issue.code }];
}

function unknownFields({ keys, input }: z.core.$ZodIssueUnrecognizedKeys, loc: Loc): Fault[] {
  if (rawDigits(input) !== null) return [{ loc, msg: mustBe("object", input), type: "invalid_type" }];
  return keys.map((key) => {
    const at = firstCharacters(key, MAX_NAME_CHARACTERS);
    return { loc: [...loc, at], msg: "is not known here", type: "unknown_field" };
  });
}

function depth(issues: readonly Issue[]): number {
  return Math.max(0, ...issues.map(({ path }) => path.length));
}

/**
 * What a schema cannot see: a parameter that is given several times, which is an array; and an integer beyond 2^53,
 * which is carried as an object, so that a schema misses fields in it.
 */
function oddPlace(value: unknown, path: Loc, [part]: Loc): Fault | null {
  let found = value;
  for (const [length, step] of path.entries()) {
    if (typeof found !== "object" || found === null) return null;
    if (rawDigits(found) !== null) {
      return {
        loc: [part ?? "", ...path.slice(0, length)],
        msg: mustBe("object", found),
        type: "invalid_type",
      };
    }
    found = (found as Record<string, unknown>)[step];
    if (part === "query" && Array.isArray(found)) {
      const msg = `must be given once, is given ${found.length} times`;
      return { loc: [part, step], msg, type: "given_several_times" };
    }
  }
  return null;
}

function wordsOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return mustBe(issue.expected, issue.input);
    case "invalid_value":
      return `must be one of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      return `must ${amount(issue.origin, issue.minimum, issue.inclusive ? "at least" : "more than")}`;
    case "too_big":
      return `must ${amount(issue.origin, issue.maximum, issue.inclusive ? "at most" : "less than")}`;
    default:
      return undefined;
  }
}

function mustBe(expected: string, input: unknown): string {
  if (/^(number|int)$/.test(expected) && rawDigits(input) !== null) {
    return `must be a number from ${Number.MIN_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER}`;
  }
  return `must be ${NOUNS[expected] ?? expected}, found ${kindOf(input)}`;
}

function amount(origin: string, limit: number | bigint, words: string): string {
  const unit = { string: ["character", "characters"], array: ["entry", "entries"] }[origin];
  return unit ? `have ${words} ${limit} ${unit[limit === 1 ? 0 : 1]}` : `be ${words} ${limit}`;
}
