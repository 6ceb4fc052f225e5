/**
 * How long a text is: in characters as people and JSON schemas count them, code points, of which an emoji is one and a
 * JavaScript string two; and in bytes.
 */

/** Whether a text has at most so many characters. For most texts `length` decides it without counting. */
export function hasAtMost(text: string, most: number): boolean {
  return text.length <= most || (text.length <= 2 * most && charactersIn(text) <= most);
}

export function charactersIn(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; count++) i += (text.codePointAt(i) ?? 0) > 0xffff ? 2 : 1;
  return count;
}

/** The first characters of a text; never half of one. */
export function firstCharacters(text: string, most: number): string {
  return hasAtMost(text, most)
    ? text
    : Array.from(text.slice(0, 2 * most))
        .slice(0, most)
        .join("");
}

const encoder = new TextEncoder();

/** What one unit of a JavaScript string takes in UTF-8 at most; a character of two units takes four bytes together. */
export const MAX_UTF8_BYTES_PER_UNIT = 3;

export function utf8Length(text: string): number {
  return encoder.encode(text).length;
}

/** Whether a text has more bytes than that in UTF-8. For most texts `length` decides it without counting. */
export function exceedsUtf8Bytes(text: string, limit: number): boolean {
  if (text.length > limit) return true;
  return text.length * MAX_UTF8_BYTES_PER_UNIT > limit && utf8Length(text) > limit;
}
