/**
 * Which windows of a select keep rows. Pure.
 *
 * SQLite puts the rows of a partition into a table of its own, one for each way of dividing and sorting, and takes them
 * out again as it can: for row_number at once, for all else only when a later row has shown that no other is needed.
 */
import { expressionsOf } from "./parts.ts";
import type { Core, Expression, Part, Select } from "./shape.ts";

interface Window {
  /** What stands after OVER. */
  over: string;
  function: string;
}

/** Every call over a window, those in subqueries left out. */
export function windowsOf(core: Core, select: Select): Window[] {
  return expressionsOf(core, select).flatMap(windowsIn);
}

/** How many tables of rows. */
export function rowTables(windows: readonly Window[]): number {
  return new Set(windows.flatMap(({ over, function: name }) => (name === "row_number" ? [] : [over]))).size;
}

/** How many trees of values: those of a frame, of which the least or greatest is asked for. */
export function valueTrees(windows: readonly Window[]): number {
  return windows.filter(({ function: name }) => name === "min" || name === "max").length;
}

function windowsIn(expression: Expression): Window[] {
  return expression.flatMap((part, i) => {
    if (part.kind !== "call") return [];
    const inner = part.args.flatMap(windowsIn);
    if (!part.overWindow || part.name === null) return inner;
    return [{ over: overOf(expression, i), function: part.name }, ...inner];
  });
}

/** What stands after the OVER that comes next, or is there. */
export function overOf(expression: Expression, from: number): string {
  const over = expression.findIndex((one, at) => at >= from && written(one) === "over");
  return written(expression[over + 1]);
}

/** The same for what is the same, but for subqueries. */
function written(part: Part | undefined): string {
  if (part === undefined) return "";
  if (part.kind === "token") return part.token.name;
  if (part.kind === "select") return "(select)";
  return `${part.name ?? ""}(${part.args.map((arg) => arg.map(written).join(" ")).join()})`;
}
