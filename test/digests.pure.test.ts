import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { hmacSha256Of, isSameDigest, sha256Of } from "../worker/digests.ts";

/** Of UTF-16 code units: halves of a character too. */
const anyText = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)), maxLength: 200 });

test("digests are those of node:crypto, whatever the text", () => {
  fc.assert(
    fc.property(anyText, anyText, (text, key) => {
      expect(sha256Of(text)).toBe(createHash("sha256").update(text).digest("hex"));
      expect(hmacSha256Of(key, text)).toBe(createHmac("sha256", key).update(text).digest("hex"));
    }),
  );
});

test("digests are the same when all of them is, and only then", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (one, other) => {
      expect(isSameDigest(one, other)).toBe(one === other);
      expect(isSameDigest(one, one)).toBe(true);
    }),
  );
});

test.each([
  ["the first character", "5f0c", "4f0c"],
  ["the last one", "5f0c", "5f0d"],
  ["one more", "5f0c", "5f0c0"],
  ["one less", "5f0c", "5f0"],
])("a digest that differs in %s is another", (_, one, other) => {
  expect(isSameDigest(one, other)).toBe(false);
});
