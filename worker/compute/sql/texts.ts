/**
 * How much text a query handles: the cost that no scan shows. Pure.
 *
 * `replace` in `replace` in `replace` makes megabytes of a letter, and every function then walks through them. All
 * lengths are upper bounds, in characters (a character is at most three bytes of UTF-8 per UTF-16 unit), and none is
 * over SQLite's own limit, which refuses longer text when it is made.
 */

import { isColumn, isStar, isText, withoutAlias } from "./columns.ts";
import { isAggregate } from "./kept.ts";
import { isNumber } from "./numbers.ts";
import { outerOf } from "./parts.ts";
import type { Core, Expression, Part, Select } from "./shape.ts";
import { callCost, cutLength, formsIn, isToken, literalLength, patternCost } from "./text-costs.ts";
import { beside, lengthOfRow, ownColumns, SHORT_TEXT, together, widthOf } from "./text-widths.ts";
import type { SqlToken } from "./tokens.ts";
import { NONE, sizeOf, type Width } from "./widths.ts";
import { overOf, windowsOf } from "./windows.ts";
import { SQL_FUNCTIONS } from "./words.ts";

/** A number in a row, with its place there, and the place of anything else. */
const NUMBER_BYTES = 10;
const CELL_BYTES = 10;
/** The longest text that strftime makes of one form: `%f`, `%J`. */
const MAX_DATE_FORM = 20;
/** JSON writes a control character as `\u0001`. */
const JSON_GROWTH = 6;
/** JSON5 is answered as JSON: `\v` becomes `\u000b`. */
const JSON5_GROWTH = 3;
/** Of what `substr` leaves: less than most texts that it is asked for. */
const FEW_BYTES = 256;

interface TextAssumptions {
  /** The longest texts of the columns of `data`, and of a row of those that are read. */
  data: Width;
  /** How many rows `group_concat` and its like may gather from a core. */
  gatheredRows: (core: Core) => number;
  /** The longest that SQLite makes: a longer one is an error. */
  cap: number;
  /** Asked for how it all grows with the lengths in `data`: nothing may grow less than at first. */
  asGrowth: boolean;
}

/** Characters that are handled when every expression of the query is evaluated once. */
export interface TextWork {
  /** Made or walked through by functions and operators. */
  handled: number;
  /** Characters of the columns that are read. */
  carried: number;
  /** Of the longest row of any select: all of it is in memory at once. */
  longestRow: number;
  /** What each select holds and may keep. */
  held: ReadonlyMap<Select, Held>;
}

/** Of one row of a select, or of one group. */
export interface Held {
  /** The row of its result. */
  row: number;
  /** What a sorter may have of it: for ORDER BY the result, for GROUP BY and windows what is read; with the keys. */
  sorted: number;
  /** What it reads, down to the columns of `data`: SQLite may have put the selects between into this one. */
  raw: number;
  /** Arguments of aggregates, which DISTINCT and ORDER BY in them keep. */
  args: number;
  /** Arguments of windows. */
  windowArgs: number;
  /** Made and not yet let go while one expression is evaluated; and all constants, which stay to the end. */
  atOnce: number;
  /** The state of its aggregates. */
  gathered: number;
}

/** Adds up the text of a select and of all that it reads. */
export function textWork(select: Select, assumptions: TextAssumptions): TextWork {
  const texts = new Texts(assumptions);
  texts.visit(select, 0);
  return texts.work;
}

/** The core that is being added, and what its names stand for. */
interface Place {
  core: Core;
  read: Width;
  /** The longest text of the selects around it, whose columns it may name. */
  outer: number;
  /** Columns of its own, by alias and by place. */
  own: ReadonlyMap<string, number>;
  held: Held;
  /** Arguments and keys of windows, by what stands after OVER. */
  windows: Map<string, { args: number; keys: number }>;
}

/** So much text an expression makes at most, and so many bytes its value takes where it is kept. */
interface Length {
  made: number;
  stored: number;
}

const NOTHING: Held = { row: 0, sorted: 0, raw: 0, args: 0, windowArgs: 0, atOnce: 0, gathered: 0 };

class Texts {
  readonly #held = new Map<Select, Held>();
  readonly work = { handled: 0, carried: 0, longestRow: 0, held: this.#held };
  readonly #assumptions: TextAssumptions;
  readonly #known = new Map<Select, { outer: number; width: Width }>();
  readonly #storedByCall = new Map<Part, number>();
  /** By the expression that is being added. */
  #made = 0;

  constructor(assumptions: TextAssumptions) {
    this.#assumptions = assumptions;
  }

  /**
   * Counts a select, once however often it is read, but again where it may name longer columns.
   *
   * @param outer The longest text of the selects around it, whose columns it may name.
   */
  visit(select: Select, outer: number): Width {
    const known = this.#known.get(select);
    if (known && known.outer >= outer) return known.width;
    const made = this.#made;
    const cores = select.cores.map((core) => this.#visitCore(core, select, outer));
    this.#made = made;
    const width = together(
      select,
      cores.map(({ width }) => width),
    );
    this.work.longestRow = Math.max(this.work.longestRow, width.all);
    this.#known.set(select, { outer, width });
    const most = (of: keyof Held) => Math.max(0, ...cores.map(({ held }) => held[of]));
    this.#held.set(select, {
      row: most("row"),
      sorted: most("sorted"),
      raw: most("raw"),
      args: most("args"),
      windowArgs: most("windowArgs"),
      atOnce: most("atOnce"),
      gathered: most("gathered"),
    });
    return width;
  }

  #visitCore(core: Core, select: Select, outer: number): { width: Width; held: Held } {
    const { data } = this.#assumptions;
    const sources = core.sources.map(({ select: source }) =>
      source === "data" ? data : this.visit(source, outerOf(source, outer)),
    );
    const read = beside(sources);
    const held = { ...NOTHING };
    const bare: Place = { core, read, outer, own: NONE, held, windows: new Map() };
    const columns = core.columns.map((column) => this.#top(column, bare));
    const lengths = core.columns.map((column, i) =>
      Math.max(columns[i]?.made ?? 0, isStar(column) ? read.widest : 0),
    );
    const place = { ...bare, own: ownColumns(core, lengths) };
    // Rows that are compared whole are compared to their ends.
    const isCompared = core.distinct || select.cores.length > 1 || select.tail.length > 0;
    if (isCompared) for (const length of lengths) this.#handle(length);
    for (const one of core.conditions) this.#top(one, place);
    const windowClause = core.afterGroups.reduce((sum, one) => sum + this.#top(one, place).stored, 0);
    let keys = 0;
    for (const one of [...core.groupBy, ...select.tail]) {
      const { made, stored } = this.#top(one, place);
      this.#handle(made);
      keys += isPlace(one) ? made : stored;
    }
    const stored = columns.map((one) => one.stored);
    const row = lengthOfRow(core, select, { lengths: stored, read: read.all });
    const isRead = core.groupBy.length > 0 || windowsOf(core, select).length > 0;
    held.row = row;
    // A row goes through one kind of window after the other, and takes along what they have made of it.
    held.windowArgs +=
      windowClause + Math.max(0, ...[...place.windows.values()].map((one) => one.args + one.keys));
    held.raw = core.sources.reduce(
      (sum, { select: source }, i) =>
        sum + Math.max(sources[i]?.all ?? 0, source === "data" ? 0 : (this.#held.get(source)?.raw ?? 0)),
      0,
    );
    held.sorted = keys + Math.max(row, isRead ? held.raw + held.windowArgs : 0);
    return { width: widthOf(core, read, { lengths, row }), held };
  }

  /** Counts an expression that stands by itself. */
  #top(written: Expression, place: Place): Length {
    this.#made = 0;
    const length = this.#sum(written, place);
    place.held.atOnce = Math.max(place.held.atOnce, this.#made);
    return length;
  }

  /** Counts what commas and BY divide, one after the other. */
  #sum(written: Expression, place: Place): Length {
    const sum = { made: 0, stored: 0 };
    let from = 0;
    for (const [i, part] of [...written, null].entries()) {
      if (part !== null && !isToken(part, "by") && !isText(part, ",")) continue;
      const expression = written.slice(from, i);
      const made = this.#add(expression, place);
      sum.made += made;
      sum.stored += this.#stored(expression, place, made);
      from = i + 1;
    }
    return sum;
  }

  #stored(written: Expression, place: Place, made: number): number {
    if (isNumber(written)) return Math.min(made, NUMBER_BYTES);
    const expression = withoutAlias(written);
    const [call, behind] = expression;
    const isCall = call?.kind === "call" && (behind === undefined || isToken(behind, "over"));
    if (isCall && call.name !== null) return this.#storedByCall.get(call) ?? made + CELL_BYTES;
    const isPlain = expression.every((part) => isColumn(part) || isText(part, "."));
    if (!isPlain) return made + CELL_BYTES;
    const lengths = expression.map((part) =>
      part.kind === "token" ? this.#lengthOfName(part.token, place) : 0,
    );
    return CELL_BYTES + Math.max(0, ...lengths);
  }

  /** Counts an expression; answers the longest text that it may make. */
  #add(written: Expression, place: Place): number {
    const expression = withoutAlias(written);
    let longest = 0;
    for (const [i, part] of expression.entries()) {
      // `*` is every column; how many it is does not matter, since carrying is cheap beside handling.
      if (isColumn(part)) this.work.carried += beyondShort(this.#lengthOfPart([part], 0, place));
      else if (isToken(part, "*")) this.work.carried += beyondShort(place.read.widest);
      longest = Math.max(longest, this.#lengthOfPart(expression, i, place));
    }
    const [only] = expression;
    if (only?.kind === "token" && isPlace(expression))
      longest = Math.max(longest, place.own.get(only.token.text) ?? 0);
    if (expression.some((part) => isText(part, "->") || isText(part, "->>"))) longest *= JSON5_GROWTH;
    const joined = expression.filter((part) => isToken(part, "||")).length;
    const made = this.#cap(longest * (joined + 1));
    this.#made += made * (joined + 1);
    // Each operator walks through both its sides once, a pattern through the text for each of its own characters.
    this.#handle(made, expression.filter(isOperator).length);
    this.work.handled += made * patternCost(expression);
    return made;
  }

  #lengthOfPart(expression: Expression, at: number, place: Place): number {
    const { read, outer, own } = place;
    const part = expression[at];
    if (part === undefined) return 0;
    if (part.kind === "select")
      return this.visit(part.select, Math.max(outer, read.widest, ...own.values())).widest;
    if (part.kind === "call") return this.#call(part, { expression, at }, place);
    const { token } = part;
    if (token.kind === "blob") return token.name.length;
    const isQuoted = token.kind === "quoted" || token.kind === "string";
    const written = isQuoted ? Math.max(1, bytesOf(token.name)) : SHORT_TEXT;
    // Behind a point SQLite takes a string for a name.
    const isName = isColumn(part) || (token.kind === "string" && isText(expression[at - 1], "."));
    if (!isName) return written;
    // An unknown name in double quotes is a string to SQLite.
    return Math.max(written, this.#lengthOfName(token, place));
  }

  #lengthOfName(token: SqlToken, { read, outer, own }: Place): number {
    return Math.max(outer, sizeOf(token, read), own.get(token.name.toLowerCase()) ?? 0);
  }

  #call(
    part: Extract<Part, { kind: "call" }>,
    { expression, at }: { expression: Expression; at: number },
    place: Place,
  ): number {
    const { name, args, overWindow } = part;
    const { held } = place;
    const all = args.map((arg) => this.#sum(arg, place));
    const lengths = all.map(({ made }) => made);
    const [first = 0, second = 0, third = 0] = lengths;
    const longest = Math.max(0, ...lengths);
    const sum = lengths.reduce((a, b) => a + b, 0);
    const stored = all.reduce((sum, one) => sum + one.stored, 0);
    if (isToken(expression[at - 1], "over")) windowIn(place, overOf(expression, at - 1)).keys = stored;
    const known = name === null ? undefined : SQL_FUNCTIONS.get(name);
    if (!known) return longest;
    // JSON is parsed, at about twice the price.
    for (const length of lengths) this.#handle(length, name?.startsWith("json") ? 3 : 1);
    this.work.handled += callCost(name ?? "", args, { first, second });
    const rows = this.#assumptions.gatheredRows(place.core);
    const made = {
      none: SHORT_TEXT,
      keeps:
        name === "strftime"
          ? SHORT_TEXT + first + MAX_DATE_FORM * formsIn(args[0], first)
          : Math.max(longest, SHORT_TEXT),
      doubles: 2 * first + 4,
      escapes: JSON_GROWTH * first + 2,
      // concat_ws puts its first argument between all others.
      joins: sum + args.length * first,
      "joins-escaped": JSON_GROWTH * sum + 4 * args.length + 2,
      gathers: rows * (sum + 1),
      "gathers-escaped": rows * (all.reduce((json, one, i) => json + lengthAsJson(one, args[i]), 0) + 4),
      extracts: JSON5_GROWTH * first * Math.max(1, args.length - 1),
      cuts: Math.max(SHORT_TEXT, this.#cut(first, cutLength(args))),
      // Each match is at least one character, or as long as the literal that is looked for.
      replaces: first * Math.max(1, third / literalLength(args[1])),
    }[known.effect];
    const gathers = known.effect === "gathers" || known.effect === "gathers-escaped";
    // Gathering adds one row's text at a time; over a window the whole is made again for every row.
    this.#handle(gathers && !overWindow ? sum : made);
    const length = this.#cap(made);
    const keeps = known.effect === "keeps" && name !== "strftime";
    const most = keeps ? Math.max(0, ...all.map((one) => one.stored)) : length + CELL_BYTES;
    this.#storedByCall.set(part, isNumber([part]) ? NUMBER_BYTES : most);
    if (overWindow) {
      windowIn(place, overOf(expression, at)).args += stored;
      held.windowArgs += this.#storedByCall.get(part) ?? 0;
    }
    if (overWindow || isAggregate({ ...part, args: [] }) || (known.aggregate && args.length === 1)) {
      held.args = Math.max(held.args, stored);
      held.gathered += length;
    }
    if (args.every(isConstant)) held.gathered += length;
    this.#made += length;
    return length;
  }

  /** Of what grows only up to a length, no growth says how much it is: so it is either that, or all of it. */
  #cut(length: number, most: number): number {
    if (!this.#assumptions.asGrowth) return Math.min(length, most);
    return most <= FEW_BYTES ? most : length;
  }

  #handle(length: number, times = 1): void {
    this.work.handled += times * beyondShort(this.#cap(length));
  }

  #cap(length: number): number {
    return Math.min(length, this.#assumptions.cap);
  }
}

/** Whether no row changes it: SQLite computes it once, and keeps it. */
function isConstant(expression: Expression): boolean {
  return expression.every((part) =>
    part.kind === "call" ? part.args.every(isConstant) : part.kind === "token" && !isColumn(part),
  );
}

function windowIn({ windows }: Place, over: string): { args: number; keys: number } {
  const window = windows.get(over) ?? { args: 0, keys: 0 };
  windows.set(over, window);
  return window;
}

/** A number needs no escapes; what is stored of a column is the column. */
function lengthAsJson({ made, stored }: Length, expression: Expression = []): number {
  return isNumber(expression) ? Math.min(made, SHORT_TEXT) : JSON_GROWTH * Math.min(made, stored);
}

const encoder = new TextEncoder();
const bytesOf = (text: string) => encoder.encode(text).length;

const beyondShort = (length: number) => Math.max(0, length - SHORT_TEXT);

/** `1` in ORDER BY and GROUP BY: a column, by its place. */
const isPlace = ([only, ...more]: Expression) =>
  only?.kind === "token" && only.token.kind === "number" && more.length === 0;

/** These only say which value it is. */
const CHOOSING = new Set("then else end null escape".split(" "));
/** Also words that compare, such as IN, BETWEEN, CASE: all of them, to be safe. */
const isOperator = (part: Part) =>
  part.kind === "token" &&
  (part.token.kind === "operator"
    ? part.token.text !== "."
    : part.token.kind === "word" && !isColumn(part) && !CHOOSING.has(part.token.name));
