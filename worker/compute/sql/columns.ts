/** What the columns of a select are, and how they are called. Pure. */
import type { Expression, Part } from "./shape.ts";

/** Reserved in SQLite, so never a column. */
const NOT_A_COLUMN = new Set(
  "and or not in is null case when then else between escape as distinct isnull notnull collate".split(" "),
);

/** Whether a part may stand for a column. */
export function isColumn(part: Part): boolean {
  if (part.kind !== "token") return false;
  const { kind, name } = part.token;
  return kind === "quoted" || (kind === "word" && !NOT_A_COLUMN.has(name));
}

/** `x` of `x AS y`. */
export function withoutAlias(expression: Expression): Expression {
  const as = expression.at(-2);
  return as?.kind === "token" && as.token.kind === "word" && as.token.name === "as"
    ? expression.slice(0, -2)
    : expression;
}

/** `*` and `t.*`. */
export function isStar(column: Expression): boolean {
  return (
    isText(column.at(-1), "*") && (column.length === 1 || (column.length === 3 && isText(column[1], ".")))
  );
}

export const isText = (part: Part | undefined, text: string) =>
  part?.kind === "token" && part.token.kind === "operator" && part.token.text === text;

/** How a column is called, of `x`, `t.x`, `… AS x`, `f(…) x`, `(…) x`, `… END x`; null where it is not certain. */
export function certainName(column: Expression): string | null {
  const [before, last] = [column.at(-2), column.at(-1)];
  if (last?.kind !== "token" || isStar(column)) return null;
  const isAlias = withoutAlias(column).length < column.length;
  const isPlain = column.length === 1 || (column.length === 3 && isText(column[1], "."));
  const mayBeAlias = isAlias || ((isPlain || endsExpression(before)) && isColumn(last));
  return mayBeAlias ? last.token.name.toLowerCase() : null;
}

const endsExpression = (part: Part | undefined) =>
  part !== undefined && (part.kind !== "token" || (part.token.kind === "word" && part.token.name === "end"));

/** By which a column may be called: its alias, if it has one. */
export function lastName(column: Expression): string {
  const last = column.at(-1);
  return last?.kind === "token" ? last.token.name.toLowerCase() : "";
}
