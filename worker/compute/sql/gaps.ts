/** Where something is missing in a statement that was not understood for want of it. Pure. */
import type { SqlToken } from "./tokens.ts";

/** Words after which something must follow. */
const OPENING = new Set(
  (
    "select from where group order by having window limit offset with as on using join union all intersect except " +
    "values and or not in is like glob between escape case when then else"
  ).split(" "),
);
/** Words that end what stands before them. */
const NEXT_CLAUSE = new Set(
  "from where group having window order limit offset union intersect except on using join".split(" "),
);

/** The token after which it is missing; null when that does not show. */
export function gapAfter(tokens: readonly SqlToken[]): SqlToken | null {
  return tokens.find((token, i) => isOpening(token) && isEnd(tokens[i + 1], token)) ?? null;
}

function isOpening({ kind, name, text }: SqlToken): boolean {
  // `*` may be an end too.
  return kind === "word" ? OPENING.has(name) : kind === "operator" && text !== ")" && text !== "*";
}

function isEnd(token: SqlToken | undefined, before: SqlToken): boolean {
  if (!token) return true;
  if (token.kind === "word") return NEXT_CLAUSE.has(token.name);
  // `()` is complete in most places.
  return token.text === "," || (token.text === ")" && before.text !== "(");
}
