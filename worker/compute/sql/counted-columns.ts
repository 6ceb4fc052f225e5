/** Columns that a query calls by their number, as GROUP BY and ORDER BY may. Pure. */
import { isStar, isText } from "./columns.ts";
import type { Expression, Shape } from "./shape.ts";

/**
 * Whether a number may be that of another column where `data` has more of them: it counts beyond those that `*` has now.
 *
 * @param columns How many `data` has now.
 */
export function countsBehindStar({ selects }: Shape, columns: number): boolean {
  return selects.some(({ cores, orderBy }) =>
    cores.some(({ columns: own, groupBy }) => {
      const star = own.findIndex(isStar);
      return star >= 0 && [...groupBy, ...orderBy].some((one) => numberOf(one) > star + columns);
    }),
  );
}

/** 0 for what is no number; one may stand in parentheses, and have a word behind it, such as DESC. */
function numberOf(expression: Expression): number {
  const [first, then] = isText(expression[0], "+") ? expression.slice(1) : expression;
  const isAlone = then === undefined || (then.kind === "token" && then.token.kind === "word");
  if (!first || !isAlone) return 0;
  if (first.kind === "call" && first.name === null) return numberOf(first.args[0] ?? []);
  return first.kind === "token" && first.token.kind === "number" ? Number(first.token.text) : 0;
}
