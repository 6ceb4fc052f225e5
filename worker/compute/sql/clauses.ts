/** Where the clauses of a SELECT begin, and what CAST converts. Pure. */
import { isOperator, isWord, notUnderstood, type Piece } from "./pieces.ts";

/** `IS DISTINCT FROM` and `IS NOT DISTINCT FROM` are operators. */
export function isDistinctFrom(pieces: readonly Piece[], i: number): boolean {
  return isWord(pieces[i], "from") && isWord(pieces[i - 1], "distinct") && isWord(pieces[i - 2], "is", "not");
}

const CLAUSES = ["select", "values", "from", "where", "group", "having", "window", "order", "limit"];

interface Clause {
  word: string;
  pieces: Piece[];
}

/** Splits a core at its clauses, which must come in SQL's order, each once, and be all there is. */
export function splitClauses(pieces: readonly Piece[], isLast: boolean): Clause[] {
  const clauses: Clause[] = [];
  for (const [i, piece] of pieces.entries()) {
    if (piece.kind === "word" && CLAUSES.includes(piece.name) && !isDistinctFrom(pieces, i)) {
      const last = clauses.at(-1);
      const isInOrder = !last || CLAUSES.indexOf(last.word) < CLAUSES.indexOf(piece.name);
      if (!isInOrder || (last && piece.name === "values")) throw notUnderstood(piece);
      clauses.push({ word: piece.name, pieces: [] });
    } else if (clauses.length === 0) throw notUnderstood(piece);
    else if (!(isWord(piece, "by") && isWord(pieces[i - 1], "group", "order")))
      clauses.at(-1)?.pieces.push(piece);
  }
  const [first] = clauses;
  if (!first || (first.word !== "select" && first.word !== "values")) throw notUnderstood(pieces[0]);
  if (first.word === "values" && clauses.length > 1 && !isLast) throw notUnderstood(pieces[0]);
  return clauses;
}

/** The number of `LIMIT 10` and `LIMIT 10 OFFSET …`; null for anything else, such as `LIMIT -1`, which is no limit. */
export function plainLimit(pieces: readonly Piece[]): number | null {
  const [first, then] = pieces;
  if (first?.kind !== "number" || (then !== undefined && !isWord(then, "offset"))) return null;
  return /^\d{1,9}$/.test(first.text) ? Number(first.text) : null;
}

/** `x` of `CAST(x AS DECIMAL(10, 2))`. */
export function castOperand(pieces: readonly Piece[]): Piece[] {
  const as = pieces.findLastIndex((piece) => isWord(piece, "as"));
  const type = pieces.slice(as + 1);
  const isType = type.every((piece) =>
    piece.kind === "group"
      ? piece.pieces.every((p) => p.kind === "number" || isOperator(p, ","))
      : piece.kind === "word",
  );
  if (as < 1 || type.length === 0 || !isType) throw notUnderstood(pieces[0]);
  return pieces.slice(0, as);
}
