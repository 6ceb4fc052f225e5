/** Which rows of a raw table a request names: those that have a value in a column. Pure. */
import { type Problem, unprocessable } from "../errors.ts";
import { rawNumber } from "../json.ts";
import { quoted, type RawSchema } from "./raw-columns.ts";

/** Types of columns whose values are written in one way: of all others two texts may be the same value. */
const TYPES = ["string", "integer"] as const;

export interface RowChoice {
  column: string;
  type: (typeof TYPES)[number];
  /** Of an integer its digits, as they are written in the usual way. */
  value: string;
}

/** @throws Problem 422 for a column or a value by which no rows can be named. */
export function rowChoice({ columns }: RawSchema, column: string, value: string): RowChoice {
  const found = columns.find(([name]) => name === column);
  if (!found)
    throw faulty("column", `is not a column of this table, which has ${namesOf(columns)}`, "unknown_column");
  const type = TYPES.find((one) => one === found[1]);
  if (!type) {
    const allowed = columns.filter(([, other]) => TYPES.some((one) => one === other));
    const names = allowed.length === 0 ? "none" : namesOf(allowed);
    throw faulty(
      "column",
      `is ${found[1]}, and must be string or integer; this table has ${names}`,
      "column_type",
    );
  }
  if (type === "string") return { column, type, value };
  const integer = /^-?\d+$/.test(value) ? BigInt(value) : null;
  if (integer === null || integer !== BigInt.asIntN(64, integer))
    throw faulty("value", "must be a whole number within 64 bits, in digits", "column_type");
  return { column, type, value: String(integer) };
}

const namesOf = (columns: RawSchema["columns"]) => columns.map(([name]) => name).join(", ");

function faulty(parameter: string, msg: string, type: string): Problem {
  return unprocessable({ loc: ["query", parameter], msg, type });
}

/** As a condition of SQL, with the value bound. An integer is bound as its digits, since a number would be a double. */
export function conditionOf({ column, type }: RowChoice): string {
  return `${quoted(column)} = ${type === "integer" ? "CAST(? AS INTEGER)" : "?"}`;
}

/** The value as a row has it. */
export function answeredValue({ type, value }: RowChoice): unknown {
  return type === "integer" ? rawNumber(value) : value;
}
