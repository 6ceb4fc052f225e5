/** The words of SQL that the gate knows: what may be called and what may not be said. */

/** How a function treats text. */
type TextEffect =
  /** Makes no text of its arguments' length: numbers, dates, types. */
  | "none"
  /** Text as long as its longest argument at most. */
  | "keeps"
  /** As long as its first argument, or as many characters as the third says. */
  | "cuts"
  /** Twice: `hex`, `quote`. */
  | "doubles"
  /** JSON escapes one byte as up to six (`\u0001`). */
  | "escapes"
  /** All arguments one after the other. */
  | "joins"
  /** All arguments one after the other, each escaped. */
  | "joins-escaped"
  /** All arguments over all rows of a group. */
  | "gathers"
  | "gathers-escaped"
  /** Up to the whole first argument once for each of the others. */
  | "extracts"
  | "replaces";

interface SqlFunction {
  /** Steps (of about 2 ns) of one call, without what depends on the length of text. */
  steps: number;
  effect: TextEffect;
  aggregate: boolean;
  /** Compares its first argument with its second at every place: the product of both lengths. */
  searches: boolean;
}

const functions = new Map<string, SqlFunction>();

function allow(
  names: string,
  steps: number,
  effect: TextEffect,
  { aggregate = false, searches = false }: Partial<SqlFunction> = {},
): void {
  for (const name of names.split(" ")) functions.set(name, { steps, effect, aggregate, searches });
}

// Only what is of use in a feature and whose cost is bounded by the lengths of its arguments. Not here on purpose:
// printf, format, randomblob, zeroblob (text of any length out of a few characters), char (a number becomes text that
// no literal shows), json_set, json_insert, json_replace, json_patch (quadratic in the number of keys), json_each,
// json_tree (tables), like(), glob() (the operators are costed), random, changes, last_insert_rowid, load_extension.
allow("abs sign trunc floor ceil mod likely unlikely nullif typeof coalesce ifnull iif", 15, "keeps");
allow("round", 100, "keeps");
allow("pi degrees radians sqrt exp ln log log2 pow sin cos tan asin acos atan atan2", 40, "none");
allow("sinh cosh tanh asinh acosh atanh", 40, "none");
// Those that take text first write a number as text, which alone takes 100 to 200 ns.
allow("length octet_length unicode", 80, "none");
allow("lower upper", 100, "keeps");
allow("substr substring", 100, "cuts");
// Each character is looked for among all those that may be cut off, or left out between the digits.
allow("trim ltrim rtrim unhex", 100, "keeps", { searches: true });
allow("instr", 120, "none", { searches: true });
allow("replace", 150, "replaces", { searches: true });
allow("hex quote", 150, "doubles");
allow("concat concat_ws", 150, "joins");
// A date's text has fewer than 32 characters; strftime's is bounded by its format, see `texts.ts`.
allow("date time datetime julianday unixepoch", 200, "none");
allow("timediff", 400, "none");
allow("strftime", 400, "keeps");
allow("json json_quote", 200, "escapes");
allow("json_extract", 200, "extracts");
allow("json_array_length json_type json_valid", 150, "none");
allow("json_array json_object", 200, "joins-escaped");
allow("json_group_array json_group_object", 200, "gathers-escaped", { aggregate: true });
allow("group_concat string_agg", 120, "gathers", { aggregate: true });
allow("count", 10, "none", { aggregate: true });
allow("sum avg total", 25, "none", { aggregate: true });
// With two or more arguments they are scalar; which one is meant is seen where they are called.
allow("min max", 25, "keeps", { aggregate: true });
allow("row_number rank dense_rank percent_rank cume_dist ntile", 60, "none");
allow("lag lead first_value last_value nth_value", 60, "keeps");

export const SQL_FUNCTIONS: ReadonlyMap<string, SqlFunction> = functions;

/** Operators that take more than the usual 3 steps: they write numbers as text, or search, or compare with a list. */
export const OPERATOR_STEPS: ReadonlyMap<string, number> = new Map([
  ["||", 80],
  ["cast", 80],
  ["->", 200],
  ["->>", 200],
  ["like", 50],
  ["glob", 50],
  ["in", 40],
  ["between", 15],
]);

/** Said bare, they may begin something other than reading, or read what no FROM shows. Quoted, they are names. */
export const FORBIDDEN_WORDS: ReadonlySet<string> = new Set(
  (
    "insert update delete create drop alter attach detach pragma vacuum reindex analyze begin commit rollback " +
    "savepoint release explain recursive returning into set trigger raise indexed match regexp conflict exclude"
  ).split(" "),
);

/** How the platform's, the engine's and the store's own tables are called. No quoting makes them readable. */
export const RESERVED_NAME = /^(?:sqlite_|_cf_|pragma_|fs_)/;

/** Words before `(` that call nothing. All but CAST's are reserved or part of an operator in SQLite's grammar. */
export const WORDS_BEFORE_PARENTHESIS: ReadonlySet<string> = new Set(
  (
    "and or not in as case when then else between is like glob escape distinct all by over filter exists cast limit " +
    "offset having on select where from using isnull notnull preceding following"
  ).split(" "),
);

/** Words that may not stand inside an expression: a clause would begin where the parser does not look for one. */
export const CLAUSE_WORDS: ReadonlySet<string> = new Set(
  "select from where group having window order limit union intersect except values join using on".split(" "),
);
