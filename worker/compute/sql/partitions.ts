/** How a window divides and sorts its rows, as far as it does so by columns. Pure. */
import { isWord, type Piece, splitAtCommas } from "./pieces.ts";
import type { Core, Expression, Part } from "./shape.ts";

export interface Partition {
  /** The window of WINDOW that it begins with, and whose PARTITION BY is its own. */
  base: string | null;
  /** The expressions of PARTITION BY and ORDER BY in which nothing stands in parentheses. */
  by: Expression[];
  orderBy: Expression[];
}

const FRAME = ["rows", "range", "groups"];

/** @param pieces What stands between the parentheses after OVER, or in WINDOW. */
export function readPartition(pieces: readonly Piece[]): Partition {
  const placeOf = (word: string) =>
    pieces.findIndex((piece, i) => isWord(piece, word) && isWord(pieces[i + 1], "by"));
  const [partition, order] = [placeOf("partition"), placeOf("order")];
  const [first] = pieces;
  const hasBase = first !== undefined && partition !== 0 && order !== 0 && !isWord(first, ...FRAME);
  const base = hasBase && (first.kind === "word" || first.kind === "quoted") ? first.name : null;
  const by = partition < 0 ? [] : pieces.slice(partition + 2, order < 0 ? pieces.length : order);
  return { base, by: columns(by), orderBy: order < 0 ? [] : columns(pieces.slice(order + 2)) };
}

function columns(pieces: readonly Piece[]): Expression[] {
  return splitAtCommas(pieces).flatMap((expression) => {
    const frame = expression.findIndex((piece, i) => i > 0 && isWord(piece, ...FRAME));
    const parts = (frame < 0 ? expression : expression.slice(0, frame)).map((piece) =>
      piece.kind === "group" ? null : ({ kind: "token", token: piece } as const),
    );
    return parts.includes(null) ? [] : [parts.filter((part) => part !== null)];
  });
}

/** Every call of a function, those in subqueries left out. `window`: what stands after its OVER. */
export function callsIn(expressions: readonly Expression[]): { name: string; window: Part | null }[] {
  return expressions.flatMap((expression) =>
    expression.flatMap((part, i) => {
      if (part.kind !== "call") return [];
      const { name, args, overWindow } = part;
      const inner = callsIn(args);
      const isScalar = (name === "min" || name === "max") && args.length > 1;
      if (name === null || isScalar) return inner;
      const window = overWindow ? (expression[i + (isFilter(expression[i + 1]) ? 4 : 2)] ?? null) : null;
      return [{ name, window }, ...inner];
    }),
  );
}

const isFilter = (part: Part | undefined) => part?.kind === "token" && part.token.name === "filter";

/** @param window What stands after OVER. */
export function partitionOf(core: Core, window: Part): Partition | null {
  if (window.kind === "call") return window.partition;
  return window.kind === "token" ? (core.partitions.get(window.token.name) ?? null) : null;
}
