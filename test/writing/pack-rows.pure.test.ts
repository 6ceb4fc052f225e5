import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_D1_PARAMETER_CHARACTERS, MAX_PACKED_DATA_CHARACTERS } from "../../worker/limits.ts";
import { type Cell, chunkRows, packData } from "../../worker/writing/pack-rows.ts";

const rowsOf = (json: string): Cell[][] => JSON.parse(json);

test("data travels in its row up to the limit, and one character over it by itself", () => {
  const most = "x".repeat(MAX_PACKED_DATA_CHARACTERS);
  expect(packData(most)).toEqual({ data: most, longData: null });
  expect(packData(`${most}x`)).toEqual({ data: null, longData: `${most}x` });
});

test("a tombstone's data stays null", () => {
  expect(packData(null)).toEqual({ data: null, longData: null });
});

test("rows arrive complete and in order, long data beside its own row alone, in as few parameters as hold them", () => {
  const cell = fc.oneof(fc.string({ unit: "binary", maxLength: 3 }), fc.integer(), fc.constant(null));
  const row = fc.record({
    cells: fc.array(cell, { maxLength: 3 }),
    padding: fc.constantFrom(0, 150_000, 299_000),
    isLong: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 7 }), (drafts) => {
      const rows = drafts.map(({ cells, padding, isLong }, i) => ({
        cells: [i, ...cells, "x".repeat(padding)],
        longData: isLong ? `long ${i}` : null,
      }));
      const chunks = chunkRows(rows);
      const [short, long] = [rows.filter((one) => !one.longData), rows.filter((one) => one.longData)];
      const packed = chunks.filter(({ longData }) => longData === null).map(({ json }) => json.slice(1, -1));
      const texts = short.map(({ cells }) => JSON.stringify(cells));
      // Compared as a whole: a difference of megabytes would not be readable anyway.
      expect(packed.join() === texts.join()).toBe(true);
      const alone = long.map(({ cells, longData }) => ({ json: JSON.stringify([cells]), longData }));
      const apart = chunks.filter(({ longData }) => longData !== null);
      expect(JSON.stringify(apart) === JSON.stringify(alone)).toBe(true);
      packed.forEach((text, i) => {
        expect(text.length).toBeLessThanOrEqual(MAX_D1_PARAMETER_CHARACTERS);
        const [first] = rowsOf(`[${packed[i + 1] ?? ""}]`);
        const withNext = text.length + 1 + JSON.stringify(first ?? "").length;
        if (first) expect(withNext).toBeGreaterThan(MAX_D1_PARAMETER_CHARACTERS);
      });
    }),
    { numRuns: 10 },
  );
});
