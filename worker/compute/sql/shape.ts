/**
 * The parts of a query: its selects, what each reads, and the expressions in them.
 *
 * Not a parser of all SQL. It is strict where tables are named and clauses begin, so that nothing is read that it
 * does not see, and lenient inside expressions, where SQLite itself refuses nonsense. What it does not understand is
 * refused. Pure.
 */
import { castOperand, isDistinctFrom, plainLimit, splitClauses } from "./clauses.ts";
import type { SqlFault } from "./faults.ts";
import { FromReader } from "./from.ts";
import { gapAfter } from "./gaps.ts";
import { type Partition, readPartition } from "./partitions.ts";
import {
  groupPieces,
  isOperator,
  isWord,
  mayBeRow,
  notUnderstood,
  type Piece,
  Refusal,
  splitAtCommas,
  splitPieces,
} from "./pieces.ts";
import type { SqlToken } from "./tokens.ts";
import { CLAUSE_WORDS, SQL_FUNCTIONS, WORDS_BEFORE_PARENTHESIS } from "./words.ts";

/** A part of an expression. */
export type Part =
  | { kind: "token"; token: SqlToken }
  /** `name` is null for mere parentheses. `partition`: of those after OVER. */
  | {
      kind: "call";
      name: string | null;
      args: Expression[];
      overWindow: boolean;
      partition: Partition | null;
    }
  | { kind: "select"; select: Select };
export type Expression = Part[];

interface Source {
  /** By which the plan may call it; null for a subquery without an alias. */
  alias: string | null;
  /** `data`, a select of its own, or one of WITH. */
  select: Select | "data";
  /** The name of WITH. */
  cte: string | null;
  join: Join;
}

/** How a source is joined to those before it. */
export interface Join {
  /** Its columns may be null where nothing fits. */
  isLeft: boolean;
  /** What stands in ON and in USING. Both are among the conditions of the core too. */
  on: Expression[];
  using: Expression[];
}

/** One SELECT without what UNION joins to it. */
export interface Core {
  sources: Source[];
  columns: Expression[];
  /** WHERE, ON, USING. SQLite may copy them into the selects that they are about. */
  conditions: Expression[];
  /** HAVING, which SQLite may take for WHERE, and WINDOW. */
  afterGroups: Expression[];
  /** Those of WINDOW by name. */
  partitions: Map<string, Partition>;
  groupBy: Expression[];
  /** Compares whole rows: DISTINCT. */
  distinct: boolean;
  /** VALUES: how many rows; else null. */
  valuesRows: number | null;
}

export interface Select {
  cores: Core[];
  /** ORDER BY, LIMIT. */
  tail: Expression[];
  orderBy: Expression[];
  hasLimit: boolean;
  /** LIMIT with a plain number. */
  limit: number | null;
  /** By `WITH name (columns)`: its columns are not called what they say. */
  renamed: boolean;
  /** What they are called there; null where they are not, or it is not plain. */
  names: string[] | null;
  /** WITH … AS MATERIALIZED. */
  materialized: boolean;
  /** UNION, INTERSECT or EXCEPT between its cores, not UNION ALL alone. */
  comparesRows: boolean;
  /** Read inside an expression, wherever it is defined: its names and aggregates may be those of a select around it. */
  inExpression: boolean;
}

export interface Shape {
  select: Select;
  /** Every select of the statement. */
  selects: Select[];
}

export type Scope = ReadonlyMap<string, Select>;

export function readShape(
  tokens: readonly SqlToken[],
): { ok: true; shape: Shape } | { ok: false; fault: SqlFault } {
  try {
    const reader = new ShapeReader();
    const select = reader.readSelect(groupPieces(tokens), new Map(), false);
    return { ok: true, shape: { select, selects: reader.selects } };
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    const { fault } = refusal;
    if (fault.reason !== "incomplete") return { ok: false, fault };
    const gap = gapAfter(tokens);
    return { ok: false, fault: { ...fault, after: gap && { text: gap.text, at: gap.start } } };
  }
}

export class ShapeReader {
  readonly selects: Select[] = [];
  readonly #from = new FromReader(this);

  /** Reads `[WITH …] SELECT … [UNION …] [ORDER BY …] [LIMIT …]`, all of it or a refusal. */
  readSelect(pieces: readonly Piece[], outer: Scope, inExpression: boolean): Select {
    const { scope, rest } = this.#from.readWith(pieces, outer, inExpression);
    const select: Select = {
      cores: [],
      tail: [],
      orderBy: [],
      hasLimit: false,
      limit: null,
      renamed: false,
      names: null,
      materialized: false,
      comparesRows: false,
      inExpression,
    };
    this.selects.push(select);
    const terms = splitPieces(rest, (piece) => isWord(piece, "union", "intersect", "except"));
    for (const [i, term] of terms.entries()) {
      const isAll = isWord(term[0], "all");
      if (i > 0 && !isAll) select.comparesRows = true;
      const core = i > 0 && isAll ? term.slice(1) : term;
      select.cores.push(this.#readCore(core, scope, { select, isLast: i === terms.length - 1 }));
    }
    return select;
  }

  #readCore(
    pieces: readonly Piece[],
    scope: Scope,
    { select, isLast }: { select: Select; isLast: boolean },
  ): Core {
    const clauses = splitClauses(pieces, isLast);
    const core: Core = {
      sources: [],
      columns: [],
      conditions: [],
      afterGroups: [],
      partitions: new Map(),
      groupBy: [],
      distinct: false,
      valuesRows: null,
    };
    const expressions = (list: readonly Piece[]) =>
      splitAtCommas(list).map((item) => this.readExpression(item, scope));
    for (const { word, pieces: body } of clauses) {
      switch (word) {
        case "select":
          core.distinct = isWord(body[0], "distinct");
          core.columns.push(...expressions(isWord(body[0], "distinct", "all") ? body.slice(1) : body));
          break;
        case "values":
          core.valuesRows = splitAtCommas(body).length;
          core.columns.push(...expressions(body));
          break;
        case "from":
          this.#from.readSources(body, { core, scope, inExpression: select.inExpression });
          break;
        case "group":
          core.groupBy.push(...expressions(body));
          break;
        case "window":
          core.afterGroups.push(...this.#readWindows(body, core, scope));
          break;
        case "order":
          select.orderBy.push(...expressions(body));
          select.tail.push(...select.orderBy);
          break;
        case "limit":
          select.tail.push(...expressions(splitPieces(body, (piece) => isWord(piece, "offset")).flat()));
          select.hasLimit = true;
          select.limit = plainLimit(body);
          break;
        case "having":
          core.afterGroups.push(this.readExpression(body, scope));
          break;
        default:
          core.conditions.push(this.readExpression(body, scope));
      }
    }
    return core;
  }

  /** `name AS (…), …`, and nothing else: elsewhere `window` could be an alias with more tables after it. */
  #readWindows(pieces: readonly Piece[], { partitions }: Core, scope: Scope): Expression[] {
    return splitAtCommas(pieces).map(([name, as, group, ...rest]) => {
      if (!name || name.kind === "group" || !isWord(as, "as") || group?.kind !== "group" || rest.length > 0)
        throw notUnderstood(name);
      partitions.set(name.name, readPartition(group.pieces));
      return this.readExpression(windowless(group.pieces), scope);
    });
  }

  readExpression(pieces: readonly Piece[], scope: Scope): Expression {
    const last = pieces.at(-1);
    if (!last || (last.kind === "operator" && last.text !== "*")) throw notUnderstood(undefined);
    const parts: Expression = [];
    for (const [i, piece] of pieces.entries()) {
      const [before, after] = [pieces[i - 1], pieces[i + 1]];
      if (piece.kind === "group") parts.push(this.#readGroup(pieces, i, scope));
      else if (isWord(piece, ...CLAUSE_WORDS) && !isDistinctFrom(pieces, i)) throw notUnderstood(piece);
      // `x IN name` would read a table that no FROM shows.
      else if (isWord(piece, "in") && after?.kind !== "group") throw notUnderstood(after);
      // For each row that it does not find SQLite goes through the whole list, in case of NULLs, and no plan shows it.
      else if (isWord(piece, "in") && isRowBefore(pieces, i))
        throw new Refusal({ reason: "row-in-list", at: piece.start });
      else if (after?.kind !== "group" || isOperator(before, ".") || !isCalled(piece))
        parts.push({ kind: "token", token: piece });
    }
    return parts;
  }

  #readGroup(pieces: readonly Piece[], i: number, scope: Scope): Part {
    const [group, before] = [pieces[i], pieces[i - 1]];
    if (group?.kind !== "group") throw notUnderstood(group);
    if (isWord(group.pieces[0], "select", "with", "values")) {
      if (before && before.kind !== "group" && isCalled(before)) throw notUnderstood(group);
      return { kind: "select", select: this.readSelect(group.pieces, scope, true) };
    }
    // `f(…) FILTER (WHERE …) OVER …` is over a window, with FILTER alone it is an aggregate.
    const over = isWord(pieces[i + 1], "filter") ? i + 3 : i + 1;
    // With nothing after it `over` is an alias.
    const overWindow = isWord(pieces[over], "over") && pieces[over + 1] !== undefined;
    if (!before || before.kind === "group" || !isCalled(before)) {
      // `FILTER (WHERE …)`
      const inner =
        isWord(before, "filter") && isWord(group.pieces[0], "where") ? group.pieces.slice(1) : group.pieces;
      const args = isWord(before, "cast") ? [castOperand(inner)] : splitAtCommas(inner);
      // With two arguments it is the function, not the operator.
      if (isWord(before, "like", "glob") && args.length > 1) throw refusedFunction(before);
      const empty = inner.length === 0 && isWord(before, "over", "in");
      return {
        kind: "call",
        name: null,
        args: empty ? [] : args.map((arg) => this.readExpression(windowless(arg), scope)),
        overWindow,
        partition: isWord(before, "over") ? readPartition(inner) : null,
      };
    }
    if (!SQL_FUNCTIONS.has(before.name)) throw refusedFunction(before);
    const args = this.#readArguments(group.pieces, scope);
    return { kind: "call", name: before.name, args, overWindow, partition: null };
  }

  #readArguments(pieces: readonly Piece[], scope: Scope): Expression[] {
    if (pieces.length === 0) return [];
    const from = isWord(pieces[0], "distinct") ? 1 : 0;
    return splitAtCommas(pieces.slice(from)).map((arg) => this.readExpression(windowless(arg), scope));
  }
}

function refusedFunction(piece: Piece | undefined): Refusal {
  if (!piece || piece.kind === "group") return notUnderstood(piece);
  return new Refusal({ reason: "function", name: piece.name, at: piece.start });
}

/** Whether a `(` after this calls it. */
function isCalled(piece: SqlToken): boolean {
  if (piece.kind === "quoted") return true;
  return piece.kind === "word" && !WORDS_BEFORE_PARENTHESIS.has(piece.name);
}

/** Whether what stands before IN, or NOT IN, may be a row of several values: `(a, b)`, `(SELECT a, b …)`. */
function isRowBefore(pieces: readonly Piece[], at: number): boolean {
  const end = isWord(pieces[at - 1], "not") ? at - 2 : at - 1;
  const [group, called] = [pieces[end], pieces[end - 1]];
  if (group?.kind !== "group" || (called && called.kind !== "group" && isCalled(called))) return false;
  return mayBeRow(group.pieces);
}

/** What is sorted by in a window or an aggregate, as parts of the same expression. */
function windowless(pieces: readonly Piece[]): Piece[] {
  return pieces.filter((piece, i) => !(isWord(piece, "order") && isWord(pieces[i + 1], "by")));
}
