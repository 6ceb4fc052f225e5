/** Ids and nonces that nobody chooses. */

const ID_BYTES = 8;
export const ID_CHARACTERS = 2 * ID_BYTES;

/** @param prefix What kind of thing it is of, such as `sub_`. */
export function newId(prefix: string): string {
  return prefix + randomHex(ID_BYTES);
}

/** Two digits for each byte. */
export function randomHex(bytes: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");
}
