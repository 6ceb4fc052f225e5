/** Which expressions are certainly numbers, or nothing: what is kept of them is short, however long they are as text. Pure. */
import { isColumn, withoutAlias } from "./columns.ts";
import type { Expression, Part } from "./shape.ts";

const ALWAYS = new Set(
  (
    "count sum avg total length octet_length unicode instr round abs sign julianday unixepoch sqrt exp ln log log2 pow " +
    "sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh pi degrees radians trunc floor ceil mod " +
    "row_number rank dense_rank percent_rank cume_dist ntile json_array_length json_valid"
  ).split(" "),
);
/** As all their arguments are. */
const AS_ARGUMENTS = new Set(
  "min max coalesce ifnull nullif likely unlikely lag lead first_value last_value nth_value".split(" "),
);
const ARITHMETIC = new Set("+ - * / %".split(" "));

export function isNumber(written: Expression): boolean {
  const expression = withoutAlias(written);
  const [only, next] = expression;
  if (!only) return false;
  // `sum(x) OVER …`, `sum(x) name`: the word behind changes nothing, an operator might.
  const isAlone =
    next === undefined || (next.kind === "token" && next.token.kind === "word" && isWordBehindCall(next));
  if (isAlone && isNumberPart(only)) return true;
  // An operator with something on both its sides binds looser than those that make text. CASE may hold one within.
  return (
    !expression.some(
      (part) => part.kind === "token" && part.token.kind === "word" && part.token.name === "case",
    ) &&
    expression.some(
      (part, i) => i > 0 && isArithmetic(part) && isOperand(expression[i - 1]) && i + 1 < expression.length,
    )
  );
}

function isNumberPart(part: Part): boolean {
  if (part.kind === "token") return part.token.kind === "number";
  if (part.kind === "select") return false;
  const { name, args } = part;
  if (name === null) return args.length === 1 && args.every(isNumber);
  return ALWAYS.has(name) || (AS_ARGUMENTS.has(name) && args.every(isNumber));
}

const isWordBehindCall = (part: Part) =>
  part.kind === "token" && (part.token.name === "over" || part.token.name === "filter");

const isArithmetic = (part: Part) =>
  part.kind === "token" && part.token.kind === "operator" && ARITHMETIC.has(part.token.text);

/** Behind anything else it may be a sign, and `+` before a text leaves it one. */
const isOperand = (part: Part | undefined) =>
  part !== undefined &&
  (part.kind !== "token" || ["number", "string"].includes(part.token.kind) || isColumn(part));
