/** Says what is wrong with a query of Analytics Engine over the columns of `metric-record.ts`. No database is near that could. */
import { BLOBS, DOUBLES, OPERATIONS, TIERS } from "../../worker/monitoring/metric-record.ts";

/** By column, such as `blob2` → `operation`. */
export const COLUMNS: ReadonlyMap<string, string> = new Map([
  ["index1", "tenant"],
  ...BLOBS.map((name, at): [string, string] => [`blob${at + 1}`, name]),
  ...DOUBLES.map((name, at): [string, string] => [`double${at + 1}`, name]),
]);

/** Documented at https://developers.cloudflare.com/analytics/analytics-engine/sql-reference/ and needed. */
const FUNCTIONS = ["sum", "sumIf", "max", "quantileExactWeighted", "now", "toStartOfInterval"];
/** Columns that every point has. In the others -1 stands for "does not apply", and must not be summed. */
const ALWAYS = ["count", "duration_ms", "longest_ms"];
const LITERALS: Record<string, readonly string[]> = {
  kind: ["request", "operation"],
  operation: OPERATIONS,
  outcome: ["2xx", "3xx", "4xx", "5xx", "ok", "error"],
  cache_tier: ["", ...TIERS],
  entity_type: ["", "bright_uid", "account_id", "other"],
};

/** The statements of a file, each without its comment. */
export function statementsOf(file: string): { comment: string; sql: string }[] {
  return file
    .slice(file.indexOf("\n\n"))
    .split(/;\s*(?:\n|$)/)
    .filter((text) => text.trim() !== "")
    .map((text) => ({
      comment: [...text.matchAll(/^-- (.*)$/gm)].map(([, line]) => line).join(" "),
      sql: text.replaceAll(/^--.*$/gm, "").trim(),
    }));
}

export function checkPointsSql(sql: string): string[] {
  return [
    ...checkWords(sql),
    ...checkNames(sql),
    ...checkSampling(sql),
    ...checkUnknown(sql),
    ...checkLiterals(sql),
  ];
}

function checkWords(sql: string): string[] {
  const used = columnsIn(sql).filter((column) => !COLUMNS.has(column));
  const called = [...sql.matchAll(/\b([a-zA-Z]\w*)\(/g)].map(([, name = ""]) => name);
  return [
    ...used.map((column) => `${column} is no column`),
    ...called.filter((name) => !FUNCTIONS.includes(name)).map((name) => `${name} is no function`),
    ...(/\bFROM feature_store\b/.test(sql) ? [] : ["not of the dataset"]),
  ];
}

/** An alias begins with the name of a column that it is made of: a wrong number of a column is a wrong name. */
function checkNames(sql: string): string[] {
  const [, selected = ""] = /^SELECT\s([\s\S]*?)\sFROM\s/.exec(sql) ?? [];
  return partsOf(selected).flatMap((part) => {
    const [, expression = "", alias = ""] = /^([\s\S]+) AS (\w+)$/.exec(part) ?? [];
    if (alias === "") return [`${part} has no name`];
    const names = columnsIn(expression).map((column) => COLUMNS.get(column) ?? "");
    const isNamed =
      names.length === 0 || names.some((name) => alias === name || alias.startsWith(`${name}_`));
    return isNamed ? [] : [`${alias} is made of ${names.join(", ")}`];
  });
}

function checkSampling(sql: string): string[] {
  const sums = [...sql.matchAll(/\bsum(?:If)?\((?!_sample_interval \* )[^)]*/g)];
  const quantiles = [...sql.matchAll(/\bquantileExactWeighted\([\d.]+\)\((?!\w+, _sample_interval\))[^)]*/g)];
  return [...sums, ...quantiles].map(([text]) => `${text} is blind to sampling`);
}

function checkUnknown(sql: string): string[] {
  return columnsIn(sql)
    .filter((column) => column.startsWith("double") && !ALWAYS.includes(COLUMNS.get(column) ?? ""))
    .filter((column) => !new RegExp(`\\b${column} >=? \\d`).test(sql))
    .map((column) => `${column} may be -1`);
}

function checkLiterals(sql: string): string[] {
  const compared = [...sql.matchAll(/\b(blob\d+) !?= '([^']*)'/g)];
  return compared.flatMap(([, column = "", literal = ""]) => {
    const allowed = LITERALS[COLUMNS.get(column) ?? ""];
    return allowed?.includes(literal) ? [] : [`${column} is never ${literal}`];
  });
}

const columnsIn = (sql: string) => [...new Set(sql.match(/\b(?:index|blob|double)\d+\b/g) ?? [])];

/** Split at the commas that are in no parentheses. */
function partsOf(selected: string): string[] {
  let depth = 0;
  const parts = [""];
  for (const character of selected) {
    if (character === "(") depth += 1;
    if (character === ")") depth -= 1;
    if (character === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += character;
  }
  return parts.map((part) => part.trim());
}
