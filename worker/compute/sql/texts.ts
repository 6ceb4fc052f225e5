/**
 * How much text a query handles: the cost that no scan shows. Pure.
 *
 * `replace` in `replace` in `replace` makes megabytes of a letter, and every function then walks through them. All
 * lengths are upper bounds, in characters (a character is at most three bytes of UTF-8 per UTF-16 unit), and none is
 * over SQLite's own limit, which refuses longer text when it is made.
 */

import { isColumn, isStar, withoutAlias } from "./columns.ts";
import { readReference } from "./origin.ts";
import { outerOf } from "./parts.ts";
import type { Core, Expression, Part, Select } from "./shape.ts";
import { SQL_FUNCTIONS } from "./words.ts";

/** A number or a date as text. So much text is in the price of every operator; only what is beyond is counted. */
const SHORT_TEXT = 32;
/** The longest form that strftime gives one character of its format: `%f`, `%J`. */
const MAX_DATE_GROWTH = 20;
/** What writing one such form costs beside making its characters. */
const DATE_FORM = 60;
/** JSON writes a control character as `\u0001`. */
const JSON_GROWTH = 6;
/** workerd allows LIKE and GLOB patterns of 50 bytes; SQLite compares each place of the text with each of these. */
const MAX_PATTERN = 50;
/** instr and replace compare a needle with memcmp, about this many times as fast as a loop. */
const MEMCMP = 64;
/** These look for one character after the other in their second argument, by a loop. */
const SEARCHES_EACH = /^(?:[lr]?trim|unhex)$/;

interface TextAssumptions {
  /** The longest text of a column of `data`, and of a row of it. */
  longest: number;
  longestRow: number;
  /** How many rows `group_concat` and its like may gather from a core. */
  gatheredRows: (core: Core) => number;
  /** The longest that SQLite makes: a longer one is an error. */
  cap: number;
}

/** Characters that are handled when every expression of the query is evaluated once. */
interface TextWork {
  /** Made or walked through by functions and operators. */
  handled: number;
  /** Characters of the columns that are read. */
  carried: number;
  /** Of the longest row of any select: all of it is in memory at once. */
  longestRow: number;
}

/** How long the columns of a select may be, each and all together. */
interface Lengths {
  longest: number;
  row: number;
}

/** Adds up the text of a select and of all that it reads. */
export function textWork(select: Select, assumptions: TextAssumptions): TextWork {
  const texts = new Texts(assumptions);
  texts.visit(select, 0);
  return texts.work;
}

/** The core that is being added, and the longest text of a column that it may name. */
interface Place {
  core: Core;
  base: number;
}

class Texts {
  readonly work: TextWork = { handled: 0, carried: 0, longestRow: 0 };
  readonly #assumptions: TextAssumptions;
  readonly #known = new Map<Select, { outer: number; lengths: Lengths }>();

  constructor(assumptions: TextAssumptions) {
    this.#assumptions = assumptions;
  }

  /**
   * Counts a select, once however often it is read, but again where it may name longer columns.
   *
   * @param outer The longest text of the selects around it, whose columns it may name.
   */
  visit(select: Select, outer: number): Lengths {
    const known = this.#known.get(select);
    if (known && known.outer >= outer) return known.lengths;
    const cores = select.cores.map((core) => this.#visitCore(core, select, outer));
    const lengths = {
      longest: Math.max(SHORT_TEXT, ...cores.map(({ longest }) => longest)),
      row: Math.max(0, ...cores.map(({ row }) => row)),
    };
    this.work.longestRow = Math.max(this.work.longestRow, lengths.row);
    this.#known.set(select, { outer, lengths });
    return lengths;
  }

  #visitCore(core: Core, select: Select, outer: number): Lengths {
    const { longest, longestRow } = this.#assumptions;
    const sources = core.sources.map(({ select: source }) =>
      source === "data" ? { longest, row: longestRow } : this.visit(source, outerOf(source, outer)),
    );
    const place = { core, base: Math.max(outer, SHORT_TEXT, ...sources.map((source) => source.longest)) };
    const lengths = core.columns.map((column) =>
      Math.max(this.#add(column, place), isStar(column) ? place.base : 0),
    );
    // Rows that are compared whole are compared to their ends.
    const isCompared = core.distinct || select.cores.length > 1 || select.tail.length > 0;
    if (isCompared) for (const length of lengths) this.#handle(length);
    for (const one of [...core.conditions, ...core.afterGroups]) this.#add(one, place);
    for (const one of [...core.groupBy, ...select.tail]) this.#handle(this.#add(one, place));
    const read = sources.reduce((sum, { row }) => sum + row, 0);
    return { longest: Math.max(0, ...lengths), row: lengthOfRow(core, select, { lengths, read }) };
  }

  /** Counts an expression; answers the longest text that it may make. */
  #add(written: Expression, place: Place): number {
    const expression = withoutAlias(written);
    let longest = 0;
    for (const part of expression) {
      // `*` is every column; how many it is does not matter, since carrying is cheap beside handling.
      if (isColumn(part) || isToken(part, "*")) this.work.carried += beyondShort(place.base);
      longest = Math.max(longest, this.#lengthOfPart(part, place));
    }
    const joined = expression.filter((part) => isToken(part, "||")).length;
    const made = this.#cap(longest * (joined + 1));
    // Each operator walks through both its sides once, a pattern through the text for each of its own characters.
    this.#handle(made, expression.filter(isOperator).length);
    this.work.handled += made * patternLengths(expression);
    return made;
  }

  #lengthOfPart(part: Part, place: Place): number {
    const { base } = place;
    if (part.kind === "select") return this.visit(part.select, base).longest;
    if (part.kind === "call") return this.#call(part, place);
    if (part.token.kind === "quoted" || part.token.kind === "string") {
      // An unknown name in double quotes is a string to SQLite.
      return Math.max(part.token.kind === "quoted" ? base : 0, part.token.name.length, 1);
    }
    if (part.token.kind === "blob") return part.token.name.length;
    return isColumn(part) ? base : SHORT_TEXT;
  }

  #call({ name, args, overWindow }: Extract<Part, { kind: "call" }>, place: Place): number {
    const lengths = args.map((arg) => this.#add(arg, place));
    const [first = 0, second = 0, third = 0] = lengths;
    const longest = Math.max(0, ...lengths);
    const known = name === null ? undefined : SQL_FUNCTIONS.get(name);
    if (!known) return longest;
    const sum = lengths.reduce((a, b) => a + b, 0);
    // JSON is parsed, at about twice the price.
    for (const length of lengths) this.#handle(length, name?.startsWith("json") ? 3 : 1);
    if (name === "strftime") this.work.handled += DATE_FORM * first;
    if (known.searches)
      this.work.handled += first * (SEARCHES_EACH.test(name ?? "") ? 1.5 * second : 1 + second / MEMCMP);
    const rows = this.#assumptions.gatheredRows(place.core);
    const made = {
      none: SHORT_TEXT,
      keeps: name === "strftime" ? SHORT_TEXT + MAX_DATE_GROWTH * first : Math.max(longest, SHORT_TEXT),
      doubles: 2 * first + 4,
      escapes: JSON_GROWTH * first + 2,
      // concat_ws puts its first argument between all others.
      joins: sum + args.length * first,
      "joins-escaped": JSON_GROWTH * sum + 4 * args.length + 2,
      gathers: rows * (sum + 1),
      "gathers-escaped": rows * (JSON_GROWTH * sum + 4),
      extracts: JSON_GROWTH * first * args.length,
      // Each match is at least one character, or as long as the literal that is looked for.
      replaces: first * Math.max(1, third / literalLength(args[1])),
    }[known.effect];
    const gathers = known.effect === "gathers" || known.effect === "gathers-escaped";
    // Gathering adds one row's text at a time; over a window the whole is made again for every row.
    this.#handle(gathers && !overWindow ? sum : made);
    return this.#cap(made);
  }

  #handle(length: number, times = 1): void {
    this.work.handled += times * beyondShort(this.#cap(length));
  }

  #cap(length: number): number {
    return Math.min(length, this.#assumptions.cap);
  }
}

/**
 * What is made in it, and what it reads: all columns together, as often as one of them is named.
 *
 * @param lengths Of its columns. @param read Of the rows that it reads, one of each.
 */
function lengthOfRow(
  core: Core,
  { inExpression }: Select,
  { lengths, read }: { lengths: readonly number[]; read: number },
): number {
  const named = new Map<string, number>();
  let [made, stars] = [0, 0];
  for (const [i, column] of core.columns.entries()) {
    // In an expression it may be a column of a select around it.
    const reference = inExpression ? null : readReference(column);
    if (isStar(column)) stars += 1;
    else if (reference) named.set(reference.column, (named.get(reference.column) ?? 0) + 1);
    else made += lengths[i] ?? 0;
  }
  return made + (stars + Math.max(0, ...named.values())) * read;
}

const beyondShort = (length: number) => Math.max(0, length - SHORT_TEXT);

/** The lengths of all patterns of LIKE and GLOB in an expression, added up. */
function patternLengths(expression: Expression): number {
  const lengths = expression.map((part, i) => {
    if (!isToken(part, "like") && !isToken(part, "glob")) return 0;
    const pattern = expression[i + 1];
    const isLiteral =
      pattern?.kind === "token" && pattern.token.kind === "string" && !isToken(expression[i + 2], "||");
    return Math.min(MAX_PATTERN, isLiteral ? pattern.token.name.length : MAX_PATTERN);
  });
  return lengths.reduce((a, b) => a + b, 0);
}

function literalLength(expression: Expression | undefined): number {
  const [part, ...more] = expression ?? [];
  const isLiteral = part?.kind === "token" && part.token.kind === "string" && more.length === 0;
  return isLiteral ? Math.max(1, part.token.name.length) : 1;
}

const isToken = (part: Part | undefined, name: string) =>
  part?.kind === "token" &&
  part.token.kind !== "string" &&
  part.token.kind !== "quoted" &&
  part.token.name === name;
/** Also words that compare, such as IN, BETWEEN, CASE: all of them, to be safe. */
const isOperator = (part: Part) =>
  part.kind === "token" &&
  (part.token.kind === "operator" ? part.token.text !== "." : !isColumn(part) && part.token.kind === "word");
