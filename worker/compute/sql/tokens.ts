/**
 * SQLite's lexical grammar, so that the gate sees the words that the engine will see. Pure.
 *
 * Stricter than SQLite where it is lenient: a comment must end, a bare word is ASCII, and what is no token of the
 * grammar ends the reading. A stricter reader can only refuse more.
 */

type SqlTokenKind = "word" | "quoted" | "string" | "blob" | "number" | "operator";

/** A token of a statement. */
export interface SqlToken {
  kind: SqlTokenKind;
  /** As written. */
  text: string;
  /** What it means: a word or quoted name in lower case without its quotes, a string's content, else the text. */
  name: string;
  /** UTF-16 offset in the statement. */
  start: number;
}

type SqlTokens =
  | { ok: true; tokens: SqlToken[]; bare: string; named: string }
  | {
      ok: false;
      reason: "unfinished" | "not-a-token" | "parameter" | "not-ascii";
      text: string;
      start: number;
    };

/** The kinds that have a pattern of their own, in the order in which they are tried. */
const PATTERNS: readonly [kind: SqlTokenKind | "space" | "parameter" | "unfinished", pattern: RegExp][] = [
  // SQLite's white space; a vertical tab and U+FEFF are none here.
  ["space", /[ \t\n\f\r]+|--[^\n]*|\/\*[\s\S]*?\*\//y],
  ["string", /'(?:[^']|'')*'/y],
  ["quoted", /"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]/y],
  ["blob", /[xX]'(?:[0-9a-fA-F]{2})*'/y],
  // What begins like one of the above and is none; else it would be read as the operators or the word it begins with.
  ["unfinished", /['"`[]|[xX]'|\/\*/y],
  ["number", /0[xX][0-9a-fA-F]+|(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+)?/y],
  ["word", /[A-Za-z_][A-Za-z0-9_$]*/y],
  ["parameter", /[?:@#$][A-Za-z0-9_$:]*/y],
  ["operator", /->>|->|\|\||<<|>>|<=|>=|<>|==|!=|[-()+*/%=<>|,&~.;]/y],
];

/** What may follow neither a number nor a word: SQLite would read one longer (illegal) token. */
const WORD_CHARACTER = /[A-Za-z0-9_$\u0080-\uffff]/;

/**
 * Reads all tokens. `bare` is the text with each comment replaced by a space: what may be put inside another
 * statement without swallowing what follows. `named` is the same with backticks for double quotes: SQLite takes a name
 * in double quotes that it does not know for a string, one in backticks never.
 */
export function readTokens(sql: string): SqlTokens {
  const tokens: SqlToken[] = [];
  let bare = "";
  let named = "";
  for (let start = 0; start < sql.length; ) {
    const found = matchAt(sql, start);
    const rest = sql.slice(start, start + 20);
    if (!found) return { ok: false, reason: reasonOf(rest), text: rest, start };
    const { kind, text } = found;
    const next = sql.charAt(start + text.length);
    if ((kind === "number" || kind === "word") && WORD_CHARACTER.test(next)) {
      return { ok: false, reason: reasonOf(next), text: text + next, start };
    }
    if (kind === "parameter") return { ok: false, reason: "parameter", text, start };
    if (kind === "unfinished") return { ok: false, reason: "unfinished", text: rest, start };
    if (kind !== "space") tokens.push({ kind, text, name: meaning(kind, text), start });
    bare += kind === "space" ? " " : text;
    named += kind === "space" ? " " : inBackticks(text);
    start += text.length;
  }
  return { ok: true, tokens, bare, named };
}

/** A name in double quotes; anything else as it is. */
function inBackticks(text: string): string {
  if (!text.startsWith('"')) return text;
  return `\`${text.slice(1, -1).replaceAll('""', '"').replaceAll("`", "``")}\``;
}

function matchAt(sql: string, start: number) {
  for (const [kind, pattern] of PATTERNS) {
    pattern.lastIndex = start;
    const [text] = pattern.exec(sql) ?? [];
    if (text !== undefined) return { kind, text };
  }
  return null;
}

/** A letter outside ASCII may look like one inside it; such a name can be quoted. */
function reasonOf(text: string): "not-ascii" | "not-a-token" {
  return text.charCodeAt(0) > 0x7f ? "not-ascii" : "not-a-token";
}

function meaning(kind: SqlTokenKind, text: string): string {
  switch (kind) {
    case "word":
      return text.toLowerCase();
    case "string":
      return text.slice(1, -1).replaceAll("''", "'");
    case "quoted": {
      const inner = text.slice(1, -1);
      const quote = text.charAt(0);
      return (quote === "[" ? inner : inner.replaceAll(quote + quote, quote)).toLowerCase();
    }
    default:
      return text;
  }
}
