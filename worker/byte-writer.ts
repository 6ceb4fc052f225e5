/** Joins texts and bytes as UTF-8. */

/** Up to here a loop is faster than a call of the encoder. */
const SHORT_CHARACTERS = 256;
const encoder = new TextEncoder();

export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  /** @param capacity Bytes to begin with; more are made when needed. */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  text(text: string): void {
    const start = text.length <= SHORT_CHARACTERS ? this.#ascii(text) : 0;
    if (start === text.length) return;
    const rest = text.slice(start);
    this.#reserve(rest.length * 3);
    this.#length += encoder.encodeInto(rest, this.#bytes.subarray(this.#length)).written;
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** All that was written. The bytes are valid until the next write. */
  end(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Begins anew in the same buffer. @param capacity Bytes that are expected. */
  clear(capacity: number): void {
    this.#length = 0;
    this.#reserve(capacity);
  }

  /** Writes ASCII, up to the first character that takes more than a byte. @returns how many characters were written. */
  #ascii(text: string): number {
    this.#reserve(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) return i;
      this.#bytes[this.#length] = code;
      this.#length += 1;
    }
    return text.length;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
