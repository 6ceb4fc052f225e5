/**
 * What a query reads: WITH and FROM. Here every name of a table is resolved, to `data` or to a name of WITH, or the
 * statement is refused. Pure.
 *
 * Names are plain and those of WITH unique in the statement, so that a line of the query plan cannot be made to look
 * like another, and a name of the plan means what it means here.
 */
import {
  type Group,
  isOperator,
  isWord,
  notUnderstood,
  type Piece,
  Refusal,
  splitAtCommas,
} from "./pieces.ts";
import type { Core, Join, Scope, Select, ShapeReader } from "./shape.ts";
import type { SqlToken } from "./tokens.ts";

const PLAIN_NAME = /^[a-z_][a-z0-9_]*$/;
const JOIN_WORDS = ["natural", "left", "outer", "inner", "cross", "join", "right", "full"];

/** Where what is read goes. */
interface Into {
  core: Core;
  scope: Scope;
  inExpression: boolean;
}

export class FromReader {
  readonly #reader: Pick<ShapeReader, "readSelect" | "readExpression">;
  /** Every name of WITH so far; null while its select is being read. */
  readonly #defined = new Map<string, Select | null>();

  constructor(reader: Pick<ShapeReader, "readSelect" | "readExpression">) {
    this.#reader = reader;
  }

  /** Reads `WITH name [(columns)] AS [[NOT] MATERIALIZED] (select), …`, if it is there. */
  readWith(
    pieces: readonly Piece[],
    outer: Scope,
    inExpression: boolean,
  ): { scope: Scope; rest: readonly Piece[] } {
    if (!isWord(pieces[0], "with")) return { scope: outer, rest: pieces };
    const scope = new Map(outer);
    let at = 0;
    do {
      at += 1;
      const name = nameOf(pieces[at]);
      if (this.#defined.has(name) || name === "data") throw badName(pieces[at]);
      const columns = pieces[at + 1];
      const renamed = columns?.kind === "group";
      at += renamed ? 2 : 1;
      if (!isWord(pieces[at], "as")) throw notUnderstood(pieces[at]);
      at += 1;
      const isNot = isWord(pieces[at], "not");
      if (isNot) at += 1;
      const isSaid = isWord(pieces[at], "materialized");
      if (isSaid) at += 1;
      const body = pieces[at];
      if (body?.kind !== "group") throw notUnderstood(body);
      this.#defined.set(name, null);
      const select = this.#reader.readSelect(body.pieces, scope, inExpression);
      select.renamed = renamed;
      select.names = renamed ? plainNames(columns) : null;
      select.materialized = isSaid && !isNot;
      this.#defined.set(name, select);
      scope.set(name, select);
      at += 1;
    } while (isOperator(pieces[at], ","));
    return { scope, rest: pieces.slice(at) };
  }

  /** Reads what follows FROM: sources, joins, ON and USING, all of it or a refusal. */
  readSources(pieces: readonly Piece[], into: Into): void {
    const { scope, core } = into;
    let join: Join = { isLeft: false, on: [], using: [] };
    let at = this.#readSource(pieces, 0, join, into);
    while (at < pieces.length) {
      if (isWord(pieces[at], "on")) {
        const { condition, end } = this.#readOn(pieces, at + 1, scope);
        join.on.push(condition);
        core.conditions.push(condition);
        at = end;
      } else if (isWord(pieces[at], "using") && isGroup(pieces[at + 1])) {
        const columns = this.#columnList(pieces[at + 1], scope);
        join.using.push(...columns);
        core.conditions.push(...columns);
        at += 2;
      } else {
        const end = joinEnd(pieces, at);
        join = { isLeft: pieces.slice(at, end).some((piece) => isWord(piece, "left")), on: [], using: [] };
        at = this.#readSource(pieces, end, join, into);
      }
    }
  }

  #readSource(pieces: readonly Piece[], at: number, join: Join, into: Into): number {
    const piece = pieces[at];
    if (!piece) throw notUnderstood(piece);
    const { alias, end } = readAlias(pieces, at + 1);
    if (isGroup(piece)) {
      // Parentheses around a join would hide its tables' names behind one that the plan makes up.
      if (!isWord(piece.pieces[0], "select", "with", "values")) throw notUnderstood(piece.pieces[0] ?? piece);
      const select = this.#reader.readSelect(piece.pieces, into.scope, into.inExpression);
      into.core.sources.push({ alias, select, cte: null, join });
      return end;
    }
    if (isGroup(pieces[at + 1]))
      throw new Refusal({ reason: "table-function", name: piece.name, at: piece.start });
    const source = resolve(piece, alias, { scope: into.scope, defined: this.#defined });
    if (into.inExpression && source.select !== "data") markInExpression(source.select);
    into.core.sources.push({ ...source, join });
    return end;
  }

  #readOn(pieces: readonly Piece[], from: number, scope: Scope) {
    let end = from;
    while (end < pieces.length && !isOperator(pieces[end], ",") && !isWord(pieces[end], ...JOIN_WORDS))
      end += 1;
    return { condition: this.#reader.readExpression(pieces.slice(from, end), scope), end };
  }

  #columnList(group: Piece | undefined, scope: Scope) {
    if (!isGroup(group)) throw notUnderstood(group);
    return splitAtCommas(group.pieces).map((column) => this.#reader.readExpression(column, scope));
  }
}

function plainNames({ pieces }: Group): string[] | null {
  const names = splitAtCommas(pieces).flatMap(([name, ...more]) =>
    more.length === 0 && (name?.kind === "word" || name?.kind === "quoted") ? [name.name] : [null],
  );
  return names.some((name) => name === null) ? null : names.filter((name) => name !== null);
}

/** SQLite puts a copy of a select of WITH where its name stands, and looks for names in what is around it there. */
function markInExpression(select: Select): void {
  if (select.inExpression) return;
  select.inExpression = true;
  for (const { select: source } of select.cores.flatMap((core) => core.sources))
    if (source !== "data") markInExpression(source);
}

function resolve(
  piece: SqlToken,
  alias: string | null,
  { scope, defined }: { scope: Scope; defined: ReadonlyMap<string, Select | null> },
) {
  const name = nameOf(piece);
  if (name === "data") return { alias: alias ?? name, select: "data", cte: null } as const;
  const select = scope.get(name);
  if (select) return { alias: alias ?? name, select, cte: name };
  // Also without the word RECURSIVE SQLite takes this for recursion.
  if (defined.get(name) === null) throw new Refusal({ reason: "recursion", name });
  throw new Refusal({ reason: "table", name, at: piece.start });
}

/** Past `,` or `[NATURAL] [LEFT [OUTER] | INNER | CROSS] JOIN`. */
function joinEnd(pieces: readonly Piece[], from: number): number {
  if (isOperator(pieces[from], ",")) return from + 1;
  for (let at = from; isWord(pieces[at], ...JOIN_WORDS); at += 1) {
    const word = pieces[at];
    // Their second pass over the right-hand table shows in the plan under a name that fits no alias.
    if (isWord(word, "right", "full") && word?.kind === "word")
      throw new Refusal({ reason: "join", join: word.name, at: word.start });
    if (isWord(word, "join")) return at + 1;
  }
  throw notUnderstood(pieces[from]);
}

function readAlias(pieces: readonly Piece[], at: number): { alias: string | null; end: number } {
  const hasAs = isWord(pieces[at], "as");
  const piece = pieces[hasAs ? at + 1 : at];
  if (!piece || isOperator(piece, ",") || isWord(piece, "on", "using", ...JOIN_WORDS)) {
    if (hasAs) throw notUnderstood(piece);
    return { alias: null, end: at };
  }
  // `data.x` would name a schema; a group is refused where the source is read.
  if (isGroup(piece)) return { alias: null, end: at };
  return { alias: nameOf(piece), end: hasAs ? at + 2 : at + 1 };
}

const isGroup = (piece: Piece | undefined): piece is Group => piece?.kind === "group";

/** A bare or quoted name; a string would be one to SQLite as well. */
function nameOf(piece: Piece | undefined): string {
  if (!piece || isGroup(piece) || piece.kind === "operator") throw notUnderstood(piece);
  const isName = piece.kind === "word" || piece.kind === "quoted";
  if (!isName || !PLAIN_NAME.test(piece.name)) throw badName(piece);
  return piece.name;
}

function badName(piece: Piece | undefined): Refusal {
  if (!piece || isGroup(piece)) return notUnderstood(piece);
  return new Refusal({ reason: "name", name: piece.name, at: piece.start });
}
