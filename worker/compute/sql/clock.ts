/**
 * Whether a query reads the clock. Pure.
 *
 * SQLite's date functions read it where they are given no time, and where the time that they are given is a text that
 * means now. No other function that may be called has a result that its arguments do not tell.
 */
import type { Level } from "./levels.ts";
import { type ColumnTypes, NowTexts, TIMES_OF } from "./now-texts.ts";
import { expressionsOf } from "./parts.ts";
import { selectsIn } from "./rows.ts";
import type { Expression, Select, Shape } from "./shape.ts";
import type { SqlToken } from "./tokens.ts";

/** True where that cannot be excluded. @param columns All of `data`. */
export function readsClock(
  { tokens, shape }: { tokens: readonly SqlToken[]; shape: Shape },
  columns: ColumnTypes,
): boolean {
  return tokens.some(isClockWord) || isReadIn(shape.select, null, new NowTexts(columns));
}

const CLOCK_WORD = /^current_(?:timestamp|date|time)$/;

/** Unless it is an alias or stands after a table. */
function isClockWord({ kind, name }: SqlToken, i: number, tokens: readonly SqlToken[]): boolean {
  const before = tokens[i - 1];
  return kind === "word" && CLOCK_WORD.test(name) && before?.text !== "." && before?.name !== "as";
}

/** Ends soon: what is written out has at most MAX_SQL_PARTS parts. */
function isReadIn(select: Select, around: Level | null, texts: NowTexts): boolean {
  return select.cores.some((core) => {
    const level = { core, around };
    const expressions = expressionsOf(core, select);
    return (
      isCalledIn(expressions, level, texts) ||
      selectsIn(expressions).some((inner) => isReadIn(inner, level, texts)) ||
      core.sources.some(({ select: source }) => source !== "data" && isReadIn(source, around, texts))
    );
  });
}

function isCalledIn(expressions: readonly Expression[], level: Level, texts: NowTexts): boolean {
  return expressions.flat().some((part) => {
    if (part.kind !== "call") return false;
    const times = TIMES_OF.get(part.name ?? "") ?? [];
    const isNow = times.some((at) => texts.of(part.args[at] ?? [], level) === "perhaps now");
    return isNow || isCalledIn(part.args, level, texts);
  });
}
