/**
 * Whether a value may be one of the texts that SQLite's date functions take for now. Pure.
 *
 * It may come from anywhere: so one whose origin does not show that it is another counts as that.
 */
import type { ColumnType } from "../raw-columns.ts";
import { certainName, isColumn, isStar, isText, withoutAlias } from "./columns.ts";
import { findName, type Level } from "./levels.ts";
import { type ColumnName, exactReference, isThere, nameOf, Origins } from "./origin.ts";
import type { Core, Expression, Part, Select } from "./shape.ts";
import { isValue } from "./values.ts";
import { SQL_FUNCTIONS } from "./words.ts";

/** Which arguments of the date functions are times; where one is left out it is now. */
export const TIMES_OF: ReadonlyMap<string, readonly number[]> = new Map([
  ["date", [0]],
  ["time", [0]],
  ["datetime", [0]],
  ["julianday", [0]],
  ["unixepoch", [0]],
  ["strftime", [1]],
  ["timediff", [0, 1]],
]);

/** What a value may be as a text. Of several together it may be what the last of them may be. */
const TEXTS = [
  /** Without any of the letters that `now`, `subsec` and `subsecond` need, so that no cutting and joining makes them. */
  "harmless",
  "not now",
  "perhaps now",
] as const;
export type Text = (typeof TEXTS)[number];

const NOW = new Set(["now", "subsec", "subsecond"]);
const NEEDED_LETTER = /[ns]/i;
/** Their result is one of their arguments, or null. */
const CHOOSING = new Set(
  "likely unlikely nullif coalesce ifnull iif min max lag lead first_value last_value nth_value".split(" "),
);
/** They cut their arguments and join them. */
const CUTTING = new Set("trim ltrim rtrim lower upper concat concat_ws replace".split(" "));
const NUMBERS = new Set("abs sign trunc floor ceil mod round".split(" "));

/** By name, all of `data`. */
export type ColumnTypes = readonly (readonly [name: string, type: ColumnType, ...unknown[]])[];

export class NowTexts {
  readonly #types: ReadonlyMap<string, ColumnType>;
  readonly #origins: Origins;
  /** By select and column: a select may be read from many places. */
  readonly #known = new Map<Select, Map<string, Text>>();

  constructor(columns: ColumnTypes) {
    this.#types = new Map(columns.map(([name, type]) => [name.toLowerCase(), type]));
    this.#origins = new Origins([...this.#types.keys()]);
  }

  /** Of nothing it is now. */
  of(expression: Expression, level: Level): Text {
    const bare = withoutAlias(expression);
    if (bare.length === 0) return "perhaps now";
    const name = exactReference(bare);
    if (name) return this.#textOfName(name, level);
    const texts = bare.map((part, i) =>
      isValue(bare, i) ? this.#textOfPart(part, { expression: bare, i, level }) : "harmless",
    );
    const operators = bare.flatMap((part) =>
      part.kind === "token" && part.token.kind === "operator" && part.token.text !== "."
        ? [part.token.text]
        : [],
    );
    const isJoining = operators.includes("||");
    const isOther = operators.some((operator) => operator !== "||");
    if (isJoining && isOther) return "perhaps now";
    if (isJoining && worst(texts) !== "harmless")
      return bare.every(isOperand) && bare.some(isOtherText) ? "not now" : "perhaps now";
    // A number may be infinite, and `Inf` has such a letter.
    const isNumber = isOther || bare.some((part) => part.kind === "token" && part.token.name === "cast");
    return worst(isNumber ? [...texts, "not now"] : texts);
  }

  #textOfPart(
    part: Part,
    { expression, i, level }: { expression: Expression; i: number; level: Level },
  ): Text {
    if (part.kind === "select") return this.#textOfSelect(part.select, 0, level);
    if (part.kind === "call") return this.#textOfCall(part.name, part.args, level);
    const { kind, name, text } = part.token;
    const table = isText(expression[i - 1], ".") ? nameOf(expression[i - 2]) : null;
    if (table !== null) return this.#textOfName({ table, column: name.toLowerCase() }, level);
    switch (kind) {
      case "number":
        return /^\d{1,9}$/.test(text) ? "harmless" : "not now";
      case "string":
        return textOfString(name);
      case "operator":
        return text.startsWith("->") ? "perhaps now" : "harmless";
      case "blob":
        return "perhaps now";
      default:
        return isColumn(part) ? this.#textOfName({ table, column: name }, level) : "harmless";
    }
  }

  #textOfCall(name: string | null, args: readonly Expression[], level: Level): Text {
    // Its first argument is a condition.
    const chosen = name === "iif" && args.length <= 3 ? args.slice(1) : args;
    if (name === null || CHOOSING.has(name)) return worst(chosen.map((arg) => this.of(arg, level)));
    // From where, and how much, is nothing of the text.
    if (name.startsWith("substr")) return this.#cut(args.slice(0, 1), level);
    if (CUTTING.has(name)) return this.#cut(args, level);
    if (name === "strftime") {
      const [format] = args[0] ?? [];
      const isPlain = args[0]?.length === 1 && format?.kind === "token" && format.token.kind === "string";
      return isPlain && textOfString(format.token.name) !== "perhaps now" ? "not now" : "perhaps now";
    }
    if (TIMES_OF.has(name)) return name === "julianday" || name === "unixepoch" ? "not now" : "harmless";
    const isNumber = NUMBERS.has(name) || SQL_FUNCTIONS.get(name)?.effect === "none";
    return isNumber ? "not now" : "perhaps now";
  }

  #cut(args: readonly Expression[], level: Level): Text {
    return args.every((arg) => this.of(arg, level) === "harmless") ? "harmless" : "perhaps now";
  }

  #textOfName(name: ColumnName, level: Level): Text {
    const found = findName(name, level, this.#origins);
    if (!found || found.source === null) return "perhaps now";
    const source = found.level.core.sources[found.source];
    const isCertain = source && isThere(this.#origins.of(source.select, name.column));
    return isCertain ? this.#textOfColumn(source.select, name.column) : "perhaps now";
  }

  #textOfColumn(source: Select | "data", column: string): Text {
    if (source === "data") return textOfType(this.#types.get(column));
    const known = this.#known.get(source) ?? new Map<string, Text>();
    this.#known.set(source, known);
    const text = known.get(column) ?? this.#findColumn(source, column);
    known.set(column, text);
    return text;
  }

  #findColumn(source: Select, column: string): Text {
    const [first] = source.cores;
    if (!first || source.renamed || first.valuesRows !== null) return "perhaps now";
    const places = [...first.columns.keys()].filter((at) => {
      const one = first.columns[at] ?? [];
      if (isStar(one)) return this.#isInStar(first, one, column);
      return (certainName(one) ?? (isWrapped(one) ? column : null)) === column;
    });
    const [at] = places;
    if (at === undefined || places.length > 1) return "perhaps now";
    const star = first.columns[at] ?? [];
    // What UNION adds goes by its place.
    if (!isStar(star)) return this.#textOfSelect(source, at, null);
    if (source.cores.length > 1) return "perhaps now";
    const table = star.length === 3 ? nameOf(star[0]) : null;
    return this.#textOfName({ table, column }, { core: first, around: null });
  }

  #isInStar({ sources }: Core, star: Expression, column: string): boolean {
    const table = star.length === 3 ? nameOf(star[0]) : null;
    return sources.some(
      ({ alias, select }) =>
        (table === null || alias === table) && this.#origins.of(select, column).kind !== "absent",
    );
  }

  #textOfSelect({ cores }: Select, at: number, around: Level | null): Text {
    return worst(
      cores.map((core) => {
        // Of several, places behind a star are not the same.
        const hasPlaces = core.valuesRows === null && (cores.length === 1 || !core.columns.some(isStar));
        const column = hasPlaces ? core.columns[at] : undefined;
        return column && !isStar(column) ? this.of(withoutName(column), { core, around }) : "perhaps now";
      }),
    );
  }
}

/** Parentheses and hints are nothing to SQLite when it looks for a name. */
function isWrapped([only, ...more]: Expression): boolean {
  return more.length === 0 && only?.kind === "call" && [null, "likely", "unlikely"].includes(only.name);
}

/** `x` of `x y` too. */
function withoutName(column: Expression): Expression {
  const bare = withoutAlias(column);
  const isNamed = bare.length === column.length && certainName(column) !== null && !exactReference(column);
  return isNamed ? bare.slice(0, -1) : bare;
}

/** Of `||`: no word of CASE and the like. */
const isOperand = (part: Part) =>
  part.kind !== "token" || part.token.kind !== "word" || part.token.name === "cast" || isColumn(part);

/** A text with a character that is in none of those that mean now, nor is space around them. */
const isOtherText = (part: Part) =>
  part.kind === "token" && part.token.kind === "string" && /[^nowsubecd\s]/i.test(part.token.name);

function textOfString(text: string): Text {
  if (NOW.has(text.trim().toLowerCase())) return "perhaps now";
  return NEEDED_LETTER.test(text) ? "not now" : "harmless";
}

function textOfType(type: ColumnType | undefined): Text {
  switch (type) {
    case "timestamp":
    case "integer":
    case "boolean":
      return "harmless";
    case "float":
    case "json":
      return "not now";
    default:
      return "perhaps now";
  }
}

const worst = (texts: readonly Text[]): Text =>
  TEXTS[Math.max(0, ...texts.map((text) => TEXTS.indexOf(text)))] ?? "perhaps now";
