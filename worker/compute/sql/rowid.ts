/**
 * Whether a query reads the number of a row. Pure.
 *
 * It is the order in which rows came, counted over all entities: of two rows of an entity the later one has the higher
 * number whatever else is there, but what the number is depends on the others. So to sort by it is harmless, and to
 * compare two of them.
 */
import { isText } from "./columns.ts";
import { asComparison, conjuncts } from "./conjuncts.ts";
import { findName, type Level } from "./levels.ts";
import { type ColumnName, exactReference, isThere, nameOf, type Origins } from "./origin.ts";
import type { Partition } from "./partitions.ts";
import { expressionsOf } from "./parts.ts";
import type { Expression, Select } from "./shape.ts";
import type { SqlToken } from "./tokens.ts";

const ROWID = new Set(["rowid", "oid", "_rowid_"]);
const COMPARISONS = ["<=", ">=", "<>", "!=", "==", "<", ">", "="];
const SORTING = new Set(["asc", "desc", "nulls", "first", "last"]);

/** The name by which a core reads one where that matters, or null. Its subqueries are cores of their own. */
export function rowidIn(level: Level, select: Select, origins: Origins): string | null {
  const { core } = level;
  const isRowid = (name: ColumnName) => ROWID.has(name.column) && isNoColumn(name, level, origins);
  const expressions = expressionsOf(core, select);
  const partitions = [...core.partitions.values(), ...partitionsIn(expressions)];
  const sorted = [...select.tail, ...partitions.flatMap(({ orderBy }) => orderBy)].filter((term) =>
    exactReference(withoutSorting(term)),
  );
  const compared = core.conditions
    .flatMap(conjuncts)
    .filter((conjunct) => asComparison(conjunct, COMPARISONS)?.every(isRowid));
  const harmless = new Set([...sorted, ...compared].flatMap(tokensOf));
  const found = namesIn(expressions).find(({ token, name }) => !harmless.has(token) && isRowid(name));
  return found?.name.column ?? null;
}

/** SQLite would take an alias of the core's own for it, which is not looked into. */
function isNoColumn(name: ColumnName, level: Level, origins: Origins): boolean {
  const found = findName(name, level, origins);
  const source = found?.source == null ? undefined : found.level.core.sources[found.source];
  return !source || !isThere(origins.of(source.select, name.column));
}

function withoutSorting(term: Expression): Expression {
  const last = term.at(-1);
  const isSorting = term.length > 1 && last?.kind === "token" && SORTING.has(last.token.name);
  return isSorting && !isText(term.at(-2), ".") ? withoutSorting(term.slice(0, -1)) : term;
}

const tokensOf = (expression: Expression): SqlToken[] =>
  expression.flatMap((part) => (part.kind === "token" ? [part.token] : []));

function partitionsIn(expressions: readonly Expression[]): Partition[] {
  return expressions.flat().flatMap((part) => {
    if (part.kind !== "call") return [];
    return [...(part.partition ? [part.partition] : []), ...partitionsIn(part.args)];
  });
}

/** All that may name a column; a string does after a point. */
function namesIn(expressions: readonly Expression[]): { token: SqlToken; name: ColumnName }[] {
  return expressions.flatMap((expression) =>
    expression.flatMap((part, i) => {
      if (part.kind === "call") return namesIn(part.args);
      if (part.kind === "select") return [];
      const hasTable = isText(expression[i - 1], ".");
      const isAlias = nameOf(expression[i - 1]) === "as";
      if (isAlias || (part.token.kind === "string" && !hasTable)) return [];
      const table = hasTable ? nameOf(expression[i - 2]) : null;
      return [{ token: part.token, name: { table, column: part.token.name.toLowerCase() } }];
    }),
  );
}
