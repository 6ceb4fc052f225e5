import fc from "fast-check";
import { expect, test } from "vitest";
import {
  charactersIn,
  exceedsUtf8Bytes,
  firstCharacters,
  hasAtMost,
  utf8Length,
} from "../worker/characters.ts";

const texts = fc.string({
  unit: fc.oneof(fc.constantFrom("a", "é", "語", "💥", "\ud83d", "\udca5"), fc.string({ maxLength: 1 })),
  maxLength: 20,
});

test("an emoji is one character", () => {
  expect(charactersIn("a💥語")).toBe(3);
  expect(firstCharacters("a💥語", 2)).toBe("a💥");
  expect([hasAtMost("💥".repeat(512), 512), hasAtMost("💥".repeat(513), 512)]).toEqual([true, false]);
});

test("any text is counted and cut by its code points", () => {
  fc.assert(
    fc.property(texts, fc.nat(20), (text, most) => {
      const characters = Array.from(text);
      expect(charactersIn(text)).toBe(characters.length);
      expect(hasAtMost(text, most)).toBe(characters.length <= most);
      expect(firstCharacters(text, most)).toBe(characters.slice(0, most).join(""));
    }),
  );
});

test("any text is measured by its bytes in UTF-8", () => {
  fc.assert(
    fc.property(texts, fc.nat(60), (text, limit) => {
      const bytes = new TextEncoder().encode(text).length;
      expect(utf8Length(text)).toBe(bytes);
      expect(exceedsUtf8Bytes(text, limit)).toBe(bytes > limit);
      expect([exceedsUtf8Bytes(text, bytes - 1), exceedsUtf8Bytes(text, bytes)]).toEqual([true, false]);
    }),
  );
});
