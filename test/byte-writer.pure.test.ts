import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteWriter } from "../worker/byte-writer.ts";

const encoder = new TextEncoder();

/** @param pieces Written one after the other. */
function written(pieces: readonly (string | Uint8Array)[], capacity: number): Uint8Array {
  const writer = new ByteWriter(capacity);
  for (const piece of pieces) {
    if (typeof piece === "string") writer.text(piece);
    else writer.bytes(piece);
  }
  expect(writer.end()).toHaveLength(writer.length);
  return writer.end();
}

/** A piece is encoded by itself: half a surrogate pair at its end is not the other half's of the next. */
const encoded = (pieces: readonly (string | Uint8Array)[]) =>
  pieces.flatMap((piece) => [...(typeof piece === "string" ? encoder.encode(piece) : piece)]);

const character = fc.constantFrom(
  "a",
  '"',
  "\u0000",
  "\u007f",
  "\u0080",
  "é",
  "\u07ff",
  "\u0800",
  "語",
  "😀",
);
const long = fc.tuple(character, fc.integer({ min: 250, max: 260 }), character);
const wellFormed = fc.oneof(
  fc.string({ unit: character, maxLength: 12 }),
  fc.string({ unit: "grapheme-ascii", maxLength: 300 }),
  long.map(([fill, count, end]) => fill.repeat(count) + end),
);
const lone = fc.constantFrom("\ud83d", "\ude00", "a\ud83d", "\ude00\ud83d", `${"a".repeat(255)}\ud83d`);
const bytes = fc.uint8Array({ maxLength: 300 });
const capacity = fc.integer({ min: 0, max: 700 });

test("texts are those of the encoder, however they are cut into pieces and whatever room there is", () => {
  fc.assert(
    fc.property(fc.array(wellFormed, { maxLength: 8 }), capacity, (pieces, room) => {
      expect([...written(pieces, room)]).toEqual([...encoder.encode(pieces.join(""))]);
    }),
    { numRuns: 500 },
  );
});

test("one that begins anew has what was written since, whatever room it had", () => {
  fc.assert(
    fc.property(fc.array(wellFormed, { maxLength: 4 }), capacity, capacity, (texts, first, later) => {
      const writer = new ByteWriter(first);
      writer.text("before".repeat(20));
      writer.clear(later);
      for (const text of texts) writer.text(text);
      expect([...writer.end()]).toEqual([...encoder.encode(texts.join(""))]);
    }),
  );
});

test("texts and bytes stand one behind the other, and half a surrogate pair becomes U+FFFD", () => {
  const piece = fc.oneof(wellFormed, lone, bytes);
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), capacity, (pieces, room) => {
      expect([...written(pieces, room)]).toEqual(encoded(pieces));
    }),
    { numRuns: 500 },
  );
});

describe.each([255, 256, 257])("%i characters", (count) => {
  const before = "a".repeat(count - 1);
  test.each([
    ["all ASCII", `${before}b`],
    ["the last of two bytes", `${before}é`],
    ["the last of three bytes", `${before}語`],
    ["ending in a surrogate pair", `${"a".repeat(count - 2)}😀`],
    ["and a surrogate pair across the end", `${before}😀`],
    ["the last half a pair", `${before}\ud83d`],
    ["the first of three bytes", `語${before}`],
    ["all of three bytes", "語".repeat(count)],
    ["all of four bytes", "😀".repeat(count)],
  ])("%s", (_, text) => {
    for (const room of [0, 1, count, 4 * count]) {
      expect([...written([text, "é", text], room)]).toEqual(encoded([text, "é", text]));
    }
  });
});

test("nothing written is nothing, and the length is that of the bytes so far", () => {
  const writer = new ByteWriter(0);
  expect(writer.end()).toEqual(new Uint8Array(0));
  const lengths = ["", "a", "é", "語", "😀"].map((text) => {
    writer.text(text);
    return writer.length;
  });
  writer.bytes(new Uint8Array([255, 0]));
  expect([...lengths, writer.length]).toEqual([0, 1, 3, 6, 10, 12]);
});

test("bytes are taken as they are when they are written", () => {
  const own = new Uint8Array([1, 2, 3]);
  const writer = new ByteWriter(3);
  writer.bytes(own);
  own.fill(9);
  expect([...writer.end()]).toEqual([1, 2, 3]);
});
