/**
 * A text in UTF-8 in which one number stands in many places, and is another each time that the text is asked for: only
 * those places are written again.
 */
import { ByteWriter } from "../byte-writer.ts";

export class TimedBytes {
  #bytes: Uint8Array;
  /** Where each number begins. */
  #places: number[];
  #number = "";

  /** @param parts Between each and the next stands the number. */
  constructor(parts: readonly string[]) {
    const writer = new ByteWriter(parts.reduce((total, part) => total + part.length, 0));
    this.#places = [];
    for (const [i, part] of parts.entries()) {
      if (i > 0) this.#places.push(writer.length);
      writer.text(part);
    }
    this.#bytes = writer.end();
  }

  /** @param number ASCII. @returns bytes that are valid until the next call. */
  with(number: string): Uint8Array {
    if (number === this.#number) return this.#bytes;
    // From one moment to the next only a few of the digits change.
    const known = number.length === this.#number.length ? this.#number : "";
    if (known === "") this.#makeRoom(number.length);
    for (let i = 0; i < number.length; i++) {
      const code = number.charCodeAt(i);
      if (code === known.charCodeAt(i)) continue;
      for (const place of this.#places) this.#bytes[place + i] = code;
    }
    this.#number = number;
    return this.#bytes;
  }

  #makeRoom(width: number): void {
    const before = this.#number.length;
    const bytes = new Uint8Array(this.#bytes.length + (width - before) * this.#places.length);
    let [from, to] = [0, 0];
    this.#places = this.#places.map((place) => {
      bytes.set(this.#bytes.subarray(from, place), to);
      const moved = to + place - from;
      from = place + before;
      to = moved + width;
      return moved;
    });
    bytes.set(this.#bytes.subarray(from), to);
    this.#bytes = bytes;
  }
}
