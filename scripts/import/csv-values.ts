/**
 * What the texts of a CSV column are. A column is numbers or booleans where every cell that has something in it is one,
 * in all files of a run; else it is texts. So one column never has both, and `007` stays what it is. Pure.
 */
import type { Dtype } from "../../worker/db/column-values.ts";
import { NumberOutOfRange, parseJson } from "../../worker/json.ts";
import { conform } from "../../worker/registry/dtypes.ts";
import type { Cell } from "./csv.ts";
import { BadCell } from "./records.ts";

export type CellKind = "numbers" | "booleans" | "texts";
/** By column; a column without any value has none. */
export type CellKinds = Map<string, CellKind>;

/** As JSON writes numbers, so that none is taken for one that has zeros in front, a plus or a hexadecimal form. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const BOOLEAN = /^(?:true|false)$/i;

export function kindOfCell(text: string): CellKind {
  if (NUMBER.test(text) && Number.isFinite(Number(text))) return "numbers";
  return BOOLEAN.test(text) ? "booleans" : "texts";
}

/** Notes another cell, or what was found of the column in another file. */
export function noteKind(kinds: CellKinds, column: string, kind: CellKind): void {
  const known = kinds.get(column);
  if (known !== kind) kinds.set(column, known === undefined ? kind : "texts");
}

/**
 * Empty is null, and so is a quoted empty cell of anything but texts, since some programs quote every cell.
 *
 * @param type As it was found, or as the user says.
 * @throws BadCell where it is not of the type that the user says.
 */
export function cellValue(cell: Cell, type: CellKind | Dtype): unknown {
  if (cell === null) return null;
  if (type === "texts" || type === "string") return cell;
  if (cell === "") return null;
  if (type === "numbers") return parseJson(cell);
  if (type === "booleans") return cell.toLowerCase() === "true";
  const conformed = conform(type, parsedFor(type, cell));
  if (!conformed.ok) throw new BadCell(`is of type ${type}, found ${conformed.found}`);
  return conformed.value;
}

function parsedFor(type: Dtype, text: string): unknown {
  switch (type) {
    case "int64":
    case "timestamp":
      return text;
    case "boolean":
      return BOOLEAN.test(text) ? text.toLowerCase() === "true" : text;
    case "float64":
    case "float32":
      if (/^[+-]?nan$/i.test(text)) return null;
      return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    default:
      return parsedJson(text);
  }
}

function parsedJson(text: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    if (cause instanceof NumberOutOfRange) throw new BadCell("has a number beyond the range of float64");
    throw new BadCell("is not JSON");
  }
}
