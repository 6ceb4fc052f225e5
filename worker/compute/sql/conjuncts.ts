/** What a condition demands, part by part. Pure. */
import { isText } from "./columns.ts";
import { type ColumnName, exactReference } from "./origin.ts";
import type { Core, Expression, Part } from "./shape.ts";

const isWord = (part: Part | undefined, word: string) =>
  part?.kind === "token" && part.token.kind === "word" && part.token.name === word;

/** Those of a core, each with the source of the left join that it is of, by its place; null: no row is there without it. */
export function conditionsOf({ conditions, sources }: Core): { condition: Expression; of: number | null }[] {
  const joins = sources.flatMap(({ join }) => [...join.on, ...join.using]);
  const ons = sources.flatMap(({ join }, i) =>
    join.on.map((condition) => ({ condition, of: join.isLeft ? i : null })),
  );
  const where = conditions.filter((condition) => !joins.includes(condition));
  return [...where.map((condition) => ({ condition, of: null })), ...ons];
}

/** Expressions all of which are true wherever the condition is. */
export function conjuncts(condition: Expression): Expression[] {
  const [only, ...more] = condition;
  if (only?.kind === "call" && only.name === null && only.args.length === 1 && more.length === 0)
    return only.args.flatMap(conjuncts);
  const parts: Expression[] = [[]];
  let [cases, betweens] = [0, 0];
  for (const part of condition) {
    if (isWord(part, "case")) cases += 1;
    if (isWord(part, "end")) cases -= 1;
    // A column may be called so.
    if (cases < 0) return [condition];
    if (cases === 0 && isWord(part, "or")) return [condition];
    if (cases === 0 && isWord(part, "between")) betweens += 1;
    const isAnd = cases === 0 && isWord(part, "and");
    if (isAnd && betweens === 0) parts.push([]);
    else parts.at(-1)?.push(part);
    if (isAnd && betweens > 0) betweens -= 1;
  }
  if (cases !== 0 || betweens !== 0) return [condition];
  return parts.length === 1 ? parts : parts.flatMap(conjuncts);
}

/** `a.x = b.y`. */
export function asEquality(conjunct: Expression): [ColumnName, ColumnName] | null {
  return asComparison(conjunct, ["=", "=="]);
}

/** `a.x < b.y`, with one of these operators. */
export function asComparison(
  conjunct: Expression,
  operators: readonly string[],
): [ColumnName, ColumnName] | null {
  const at = conjunct.findIndex((part) => operators.some((operator) => isText(part, operator)));
  if (at < 0) return null;
  const [left, right] = [exactReference(conjunct.slice(0, at)), exactReference(conjunct.slice(at + 1))];
  return left && right ? [left, right] : null;
}
