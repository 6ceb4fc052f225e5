/** Tokens nested by their parentheses, and how to look at them. Pure. */
import { MAX_SQL_NESTING } from "../../limits.ts";
import type { SqlFault } from "./faults.ts";
import type { SqlToken } from "./tokens.ts";

/** A token, or what stands between two parentheses. */
export type Piece = SqlToken | Group;
export interface Group {
  kind: "group";
  pieces: Piece[];
  start: number;
}

/** Carries a fault out of the depth of a reading. Caught by `readShape`. */
export class Refusal extends Error {
  readonly fault: SqlFault;
  constructor(fault: SqlFault) {
    super(fault.reason);
    this.fault = fault;
  }
}

/** Nests what parentheses hold. */
export function groupPieces(tokens: readonly SqlToken[]): Piece[] {
  const root: Group = { kind: "group", pieces: [], start: 0 };
  const open = [root];
  for (const token of tokens) {
    const inner = open.at(-1) ?? root;
    if (token.text === "(") {
      const group: Group = { kind: "group", pieces: [], start: token.start };
      inner.pieces.push(group);
      open.push(group);
      if (open.length > MAX_SQL_NESTING) throw new Refusal({ reason: "too-deep", limit: MAX_SQL_NESTING });
    } else if (token.text === ")") {
      open.pop();
      if (open.length === 0) throw new Refusal({ reason: "parentheses", at: token.start });
    } else inner.pieces.push(token);
  }
  if (open.length > 1) throw new Refusal({ reason: "parentheses", at: open.at(-1)?.start ?? 0 });
  return root.pieces;
}

/** Whether this is that bare word. */
export const isWord = (piece: Piece | undefined, ...words: string[]): boolean =>
  piece?.kind === "word" && words.includes(piece.name);
export const isOperator = (piece: Piece | undefined, text: string): boolean =>
  piece?.kind === "operator" && piece.text === text;

/** @param piece Undefined where one is missing. */
export function notUnderstood(piece: Piece | undefined): Refusal {
  if (piece === undefined) return new Refusal({ reason: "incomplete", after: null });
  const text = piece.kind === "group" ? "(" : piece.text;
  return new Refusal({ reason: "not-understood", text, at: piece.start });
}

/** Splits at every piece for which `divides` holds; the dividing pieces are dropped. */
export function splitPieces(
  pieces: readonly Piece[],
  divides: (piece: Piece, position: number) => boolean,
): Piece[][] {
  const parts: Piece[][] = [[]];
  for (const [position, piece] of pieces.entries()) {
    if (divides(piece, position)) parts.push([]);
    else parts.at(-1)?.push(piece);
  }
  return parts;
}
export const splitAtCommas = (pieces: readonly Piece[]) =>
  splitPieces(pieces, (piece) => isOperator(piece, ","));

/** Whether what stands between parentheses may be several values: `a, b`, `SELECT a, b …`. */
export function mayBeRow(pieces: readonly Piece[]): boolean {
  const [only, ...more] = pieces;
  if (only?.kind === "group" && more.length === 0) return mayBeRow(only.pieces);
  if (isWord(only, "values")) return true;
  const isSelect = isWord(only, "select", "with");
  return pieces.some((piece) => isOperator(piece, ",") || (isSelect && isOperator(piece, "*")));
}
