/** Why a tenant's SQL does not run: reasons with their facts, and their one map to words. Pure. */

export type SqlFault =
  // The text.
  | { reason: "too-long"; characters: number; limit: number }
  | { reason: "null-character" }
  | { reason: "unfinished"; text: string; at: number }
  | { reason: "not-a-token"; text: string; at: number }
  | { reason: "not-ascii"; text: string; at: number }
  | { reason: "parameter"; text: string; at: number }
  // The words.
  | { reason: "empty" }
  | { reason: "not-a-query"; found: string }
  | { reason: "several-statements"; at: number }
  | { reason: "parentheses"; at: number }
  | { reason: "too-deep"; limit: number }
  | { reason: "forbidden-word"; word: string; at: number }
  | { reason: "reserved-name"; name: string; at: number }
  // The parts.
  | { reason: "function"; name: string; at: number }
  | { reason: "table-function"; name: string; at: number }
  | { reason: "table"; name: string; at: number }
  | { reason: "name"; name: string; at: number }
  | { reason: "join"; join: string; at: number }
  | { reason: "row-in-list"; at: number }
  | { reason: "recursion"; name: string }
  | { reason: "not-understood"; text: string; at: number }
  /** Something is missing after this; null: somewhere. */
  | { reason: "incomplete"; after: { text: string; at: number } | null }
  /** `parts` is infinite where counting them would take long itself. */
  | { reason: "too-large-when-written-out"; parts: number; limit: number }
  // The plan.
  | { reason: "plan-not-understood"; step: string }
  | { reason: "reads-elsewhere" }
  | { reason: "too-costly"; estimate: number; budget: number }
  | { reason: "too-much-memory"; bytes: number; limit: number }
  | { reason: "row-too-large"; bytes: number; limit: number }
  // The run.
  | { reason: "engine"; message: string; when: "prepare" | "run" }
  | { reason: "duplicate-column"; column: string }
  | { reason: "blob-column"; column: string }
  | { reason: "too-many-columns"; columns: number; limit: number }
  | { reason: "too-many-rows"; limit: number }
  | { reason: "too-many-bytes"; limit: number };

/** A sentence for the caller: their own words and our limits, nothing else. */
export function describeSqlFault(fault: SqlFault): string {
  switch (fault.reason) {
    case "too-long":
      return `the SQL has ${fault.characters} characters; at most ${fault.limit} are allowed`;
    case "null-character":
      return "the SQL holds a NUL or an unpaired surrogate";
    case "unfinished":
      return `a string, name or comment is not closed: ${quote(fault.text)}${at(fault)}`;
    case "not-a-token":
      return `this is not SQL: ${quote(fault.text)}${at(fault)}`;
    case "not-ascii":
      return `a name with characters outside ASCII must be quoted: ${quote(fault.text)}${at(fault)}`;
    case "parameter":
      return `parameters are not allowed: ${quote(fault.text)}${at(fault)}`;
    case "empty":
      return "there is no statement";
    case "not-a-query":
      return `the statement must begin with SELECT or WITH, not with ${quote(fault.found)}`;
    case "several-statements":
      return `only one statement is allowed; another begins after the semicolon${at(fault)}`;
    case "parentheses":
      return `the parentheses do not match${at(fault)}`;
    case "too-deep":
      return `parentheses may nest ${fault.limit} deep`;
    case "forbidden-word":
      return `${fault.word.toUpperCase()} is not allowed${at(fault)}; a column of that name must be quoted`;
    case "reserved-name":
      return `the name ${quote(fault.name)} is reserved${at(fault)}`;
    case "function":
      return `the function ${quote(fault.name)} is not allowed${at(fault)}`;
    case "table-function":
      return `a function cannot be read as a table: ${quote(fault.name)}${at(fault)}`;
    case "table":
      return `only the table data and names of WITH can be read, not ${quote(fault.name)}${at(fault)}`;
    case "name":
      return `a name of WITH or of a table must be letters, digits and _, not "data", and used once: ${quote(fault.name)}${at(fault)}`;
    case "join":
      return `${fault.join.toUpperCase()} JOIN is not allowed${at(fault)}`;
    case "row-in-list":
      return `a row of several values cannot be looked up with IN${at(fault)}; use EXISTS`;
    case "recursion":
      return `${quote(fault.name)} reads itself; recursion is not allowed`;
    case "not-understood":
      return `the SQL is not understood near ${quote(fault.text)}${at(fault)}`;
    case "incomplete": {
      const place = fault.after ? ` after ${quote(fault.after.text)}${at(fault.after)}` : "";
      return `the SQL is not understood: something is missing${place}`;
    }
    case "too-large-when-written-out":
      return `with every WITH and subquery written out the SQL has ${Number.isFinite(fault.parts) ? round(fault.parts) : `far more than ${fault.limit}`} parts; at most ${fault.limit} are allowed`;
    case "plan-not-understood":
      return `the query plan has a step whose cost cannot be bounded: ${quote(fault.step)}`;
    case "reads-elsewhere":
      return "the SQL does something other than reading the table data";
    case "too-costly":
      return `the query may take ${round(fault.estimate)} steps; at most ${fault.budget} are allowed`;
    case "too-much-memory":
      return `the query may need ${round(fault.bytes)} bytes for intermediate results; at most ${fault.limit} are allowed`;
    case "row-too-large":
      return `a row of the query may have ${round(fault.bytes)} bytes; at most ${fault.limit} are allowed`;
    case "engine":
      return fault.message;
    case "duplicate-column":
      return `two columns of the result are called ${quote(fault.column)}`;
    case "blob-column":
      return `the column ${quote(fault.column)} of the result holds a blob; use hex()`;
    case "too-many-columns":
      return `the result has ${fault.columns} columns; at most ${fault.limit} are allowed`;
    case "too-many-rows":
      return `the result has more than ${fault.limit} rows`;
    case "too-many-bytes":
      return `the result has more than ${fault.limit} bytes`;
  }
}

/** Whether rows had been read when it showed. */
export function hasRun(fault: SqlFault): boolean {
  const ofRows: SqlFault["reason"][] = ["blob-column", "too-many-rows", "too-many-bytes"];
  return fault.reason === "engine" ? fault.when === "run" : ofRows.includes(fault.reason);
}

const at = ({ at }: { at: number }) => ` at character ${at}`;
const quote = (text: string) => `"${text.length > 40 ? `${text.slice(0, 40)}…` : text}"`;
/** Estimates may be astronomical, even infinite. */
const round = (estimate: number) => (estimate < 1e15 ? String(Math.ceil(estimate)) : "over 10^15");
