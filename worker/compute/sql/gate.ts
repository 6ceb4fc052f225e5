/**
 * The gate before a tenant's SQL: what is refused for its words alone, before any engine sees it. Pure.
 *
 * Nothing interrupts a running query, and SQLite in a Durable Object runs several statements of one text, DDL
 * included. So everything is decided here and by the plan (`cost.ts`); the rollback (`run.ts`) is the last
 * barrier, not the first.
 */
import { MAX_SQL_CHARACTERS } from "../../limits.ts";
import type { SqlFault } from "./faults.ts";
import { checkWrittenOut } from "./parts.ts";
import { readShape, type Shape } from "./shape.ts";
import { readTokens, type SqlToken } from "./tokens.ts";
import { FORBIDDEN_WORDS, RESERVED_NAME } from "./words.ts";

export { describeSqlFault, hasRun, type SqlFault } from "./faults.ts";

/**
 * `sql` is the statement without comments and trailing `;`, fit to stand between parentheses; `named` the same with
 * backticks for double quotes.
 */
type SqlCheck =
  | { ok: true; sql: string; named: string; tokens: SqlToken[]; shape: Shape }
  | { ok: false; fault: SqlFault };

/** Judges a text by its words. */
export function checkSql(sql: string): SqlCheck {
  if (sql.length > MAX_SQL_CHARACTERS)
    return refuse({ reason: "too-long", characters: sql.length, limit: MAX_SQL_CHARACTERS });
  // SQLite ends the text at a NUL, this reader would not.
  if (sql.includes("\0") || !sql.isWellFormed()) return refuse({ reason: "null-character" });
  const read = readTokens(sql);
  if (!read.ok) return refuse({ reason: read.reason, text: read.text, at: read.start });
  const tokens = read.tokens.at(-1)?.text === ";" ? read.tokens.slice(0, -1) : read.tokens;
  const fault = faultOfStatement(tokens) ?? faultOfWords(tokens);
  if (fault) return refuse(fault);
  const reading = readShape(tokens);
  if (!reading.ok) return reading;
  const { shape } = reading;
  const tooLarge = checkWrittenOut(shape);
  if (tooLarge) return refuse(tooLarge);
  return { ok: true, sql: withoutEnd(read.bare), named: withoutEnd(read.named), tokens, shape };
}

/** Not by a pattern for all of it, which would be tried from every space of a text full of them. */
const withoutEnd = (statement: string) => statement.trim().replace(/;$/, "").trim();

function refuse(fault: SqlFault): SqlCheck {
  return { ok: false, fault };
}

function faultOfStatement(tokens: readonly SqlToken[]): SqlFault | null {
  const [first] = tokens;
  if (!first) return { reason: "empty" };
  const another = tokens.find(({ text, kind }) => text === ";" && kind === "operator");
  if (another) return { reason: "several-statements", at: another.start };
  const isQuery = first.kind === "word" && (first.name === "select" || first.name === "with");
  return isQuery ? null : { reason: "not-a-query", found: first.text };
}

function faultOfWords(tokens: readonly SqlToken[]): SqlFault | null {
  for (const [i, { kind, name, start }] of tokens.entries()) {
    if (kind !== "word" && kind !== "quoted") continue;
    if (RESERVED_NAME.test(name)) return { reason: "reserved-name", name, at: start };
    if (kind === "quoted") continue;
    const isCall = name === "replace" && tokens[i + 1]?.text === "(";
    if (FORBIDDEN_WORDS.has(name) || (name === "replace" && !isCall))
      return { reason: "forbidden-word", word: name, at: start };
  }
  return null;
}
