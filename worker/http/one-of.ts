/** Fields of which a request gives exactly one. Pure. */
import { unprocessable } from "../errors.ts";

/**
 * @param loc Where a fault is said to be.
 * @param fields By name; undefined where it is not given.
 * @throws Problem 422 when none of them is given, or more than one.
 */
export function assertOneOf(loc: (string | number)[], fields: Record<string, unknown>): void {
  const names = Object.keys(fields);
  const given = names.filter((name) => fields[name] !== undefined);
  if (given.length === 1) return;
  if (given.length === 0) {
    throw unprocessable({ loc, msg: `either ${names.join(" or ")} is needed`, type: "missing" });
  }
  const msg = `give one of ${names.join(", ")}, not several`;
  throw unprocessable({ loc, msg, type: "conflicting_fields" });
}
