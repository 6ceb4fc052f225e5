/** Which parts of an expression its value may be. Pure. */
import { isText } from "./columns.ts";
import type { Expression, Part } from "./shape.ts";

const isWord = (part: Part | undefined, word: string) =>
  part?.kind === "token" && part.token.kind === "word" && part.token.name === word;

/** Whether the value of an expression may be that of this part of it. */
export function isValue(expression: Expression, i: number): boolean {
  const [part, before, after] = [expression[i], expression[i - 1], expression[i + 1]];
  // The table of a column; what a window divides and sorts by, or a filter asks.
  if (isText(after, ".") || isWord(before, "over") || isWord(before, "filter")) return false;
  if ((isWord(part, "over") || isWord(part, "filter")) && before?.kind === "call") return false;
  if (isWord(part, "cast") && after?.kind === "call") return false;
  const cases = openCases(expression.slice(0, i));
  // Of a column that is called so there is one more than there are cases.
  if (isWord(part, "end") && cases.length > 0) return false;
  return !cases.includes("condition");
}

/** What the parts before are in, CASE by CASE. */
function openCases(before: Expression): ("condition" | "result")[] {
  const cases: ("condition" | "result")[] = [];
  for (const part of before) {
    if (isWord(part, "case")) cases.push("condition");
    else if (isWord(part, "end")) cases.pop();
    else if (cases.length > 0 && isWord(part, "when")) cases[cases.length - 1] = "condition";
    else if (cases.length > 0 && (isWord(part, "then") || isWord(part, "else")))
      cases[cases.length - 1] = "result";
  }
  return cases;
}
