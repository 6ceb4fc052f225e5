/** Ids that nobody chooses. */
import { randomBytes } from "node:crypto";

const ID_BYTES = 8;
export const ID_CHARACTERS = 2 * ID_BYTES;

/** @param prefix What kind of thing it is of, such as `sub_`. */
export function newId(prefix: string): string {
  return prefix + randomBytes(ID_BYTES).toString("hex");
}
