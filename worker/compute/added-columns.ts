/** Which columns a raw table gains where some are asked for. Pure. */
import { type Fault, Problem } from "../errors.ts";
import { MAX_RAW_COLUMNS } from "../limits.ts";
import { type Column, type Columns, without } from "./raw-columns.ts";

export interface KnownColumns {
  registered: Columns;
  /** Those of the rows that are there: more than are registered where D1 was put back to an earlier time. */
  ofRows: Columns;
}

/**
 * @returns those that the table has not, which rows may lack; none: it has all of them already.
 * @throws Problem 409 where one of the name is of another type, or the table would have too many.
 */
export function addedColumns({ registered, ofRows }: KnownColumns, asked: Columns): Column[] {
  const there = [...registered, ...without(ofRows, registered)];
  const faults = asked.flatMap((column, i) => {
    const fault = conflict(column, there);
    return fault ? [{ ...fault, loc: ["body", "columns", i, ...fault.loc] }] : [];
  });
  const [first] = faults;
  if (first) throw new Problem(409, `${first.msg}; nothing was added`, { errors: faults });
  const count = there.length + without(asked, there).length;
  if (count > MAX_RAW_COLUMNS) {
    const detail = `a raw table may have ${MAX_RAW_COLUMNS} columns: this one has ${there.length}, and would have ${count}`;
    throw new Problem(409, `${detail}; nothing was added`);
  }
  return without(asked, registered).map(([name, type]) => [name, type, "optional"]);
}

function conflict([name, type]: Column, there: Columns): Fault | null {
  const own = there.find(([known]) => known.toLowerCase() === name.toLowerCase());
  if (!own || (own[0] === name && own[1] === type)) return null;
  if (own[0] !== name)
    return {
      loc: ["name"],
      msg: `the table has a column \`${own[0]}\`, which differs only in case`,
      type: "conflict",
    };
  return {
    loc: ["type"],
    msg: `the table has a column \`${name}\` of type ${own[1]}, not ${type}`,
    type: "conflict",
  };
}
