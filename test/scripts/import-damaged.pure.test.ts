/** Whatever bytes a Parquet file has, its import ends in time, with one line that names the file and what is wrong. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, describe, expect, test } from "vitest";
import { ParquetDecoder } from "../../scripts/import/parquet-decoder.ts";
import { ParquetFile } from "../../scripts/import/read-parquet.ts";
import { below, randomOf } from "../../scripts/random.ts";
import { CommandFault } from "../../scripts/service.ts";

type Written = Parameters<typeof parquetWriteBuffer>[0];
type Element = NonNullable<Written["schema"]>[number];

const directory = mkdtempSync(join(tmpdir(), "feature-store-damaged-"));
afterAll(() => rmSync(directory, { recursive: true }));

const LIMIT_MS = 2_000;
const decoder = new ParquetDecoder(LIMIT_MS);

const column = (name: string, element: Partial<Element>): Element => ({
  name,
  repetition_type: "OPTIONAL",
  ...element,
});

/** Every way of decoding that this writer has, in two row groups. */
function valid(more: Partial<Written> = {}): Uint8Array {
  const each = <T>(value: (i: number) => T) => Array.from({ length: 200 }, (_, i) => value(i));
  const columns: [Element[], unknown[]][] = [
    [[column("id", { type: "BYTE_ARRAY", converted_type: "UTF8" })], each((i) => `user-${i % 20}`)],
    [[column("at", { type: "INT64", converted_type: "TIMESTAMP_MICROS" })], each((i) => BigInt(i))],
    [[column("n", { type: "INT64" })], each((i) => (i % 7 ? BigInt(i * i) : null))],
    [[column("x", { type: "DOUBLE" })], each((i) => i / 7)],
    [[column("d", { type: "INT32", converted_type: "DATE" })], each((i) => 19_000 + i)],
    [
      [column("c", { type: "INT64", converted_type: "DECIMAL", scale: 2, precision: 9 })],
      each((i) => BigInt(i)),
    ],
    [
      [
        column("l", { num_children: 1, converted_type: "LIST" }),
        column("list", { repetition_type: "REPEATED", num_children: 1 }),
        column("element", { type: "INT64" }),
      ],
      each((i) => (i % 5 ? [BigInt(i), null, 7n] : null)),
    ],
  ];
  const schema = [
    { name: "root", num_children: columns.length },
    ...columns.flatMap(([elements]) => elements),
  ];
  const columnData = columns.map(([[element], data]) => ({ name: element?.name ?? "", data }));
  return new Uint8Array(parquetWriteBuffer({ schema, columnData, rowGroupSize: 120, ...more }));
}

const FILES = [
  valid(),
  valid({ codec: "UNCOMPRESSED" }),
  valid({ codec: "GZIP", compressors: { GZIP: (bytes) => gzipSync(bytes) } }),
];

/** A few bytes are others, as often in the footer as anywhere, or the end is missing. */
function damaged(seed: number): Uint8Array {
  const random = randomOf(seed);
  const bytes = (FILES[seed % FILES.length] ?? valid()).slice();
  const bytesOfInterest = [0, 1, 0x7f, 0x80, 0xff];
  for (let left = 1 + below(random, 4); left > 0; left -= 1) {
    const span = below(random, 2) === 0 ? bytes.length : Math.min(2_500, bytes.length);
    const place = bytes.length - 1 - below(random, span);
    bytes[place] = bytesOfInterest[below(random, 15)] ?? below(random, 256);
  }
  return below(random, 20) === 0 ? bytes.slice(0, below(random, bytes.length)) : bytes;
}

/** How many rows it has, or what is wrong with it. */
async function read(path: string, bytes: Uint8Array): Promise<number | CommandFault> {
  writeFileSync(path, bytes);
  try {
    const file = await ParquetFile.open(path, decoder);
    const { columns } = file.contents;
    const fault = file.faultOf(columns);
    if (fault !== null) return new CommandFault(fault);
    let rows = 0;
    for await (const _ of file.records(columns, null)) rows += 1;
    return rows;
  } catch (cause) {
    if (cause instanceof CommandFault) return cause;
    throw cause;
  }
}

/** Of it a run is said to be so long that hyparquet is at it for minutes. */
const ENDLESS_SEED = 182;

describe("a damaged Parquet file", () => {
  test("is read, or refused by its name, in time", async () => {
    let refused = 0;
    for (let seed = 0; seed < 150; seed += 1) {
      const path = join(directory, `${seed}.parquet`);
      const startMs = performance.now();
      const found = await read(path, damaged(seed));
      expect(performance.now() - startMs, `seed ${seed}`).toBeLessThan(LIMIT_MS + 10_000);
      if (!(found instanceof CommandFault)) continue;
      refused += 1;
      expect(found.message).toContain(path);
    }
    expect(refused).toBeGreaterThan(40);
  });

  test("that would be decoded for ever is given up, and the next one is read", async () => {
    const path = join(directory, "endless.parquet");
    const found = await read(path, damaged(ENDLESS_SEED));
    expect(found).toMatchObject({
      message: `${path}, column id, rows 1 to 120: decoding it takes more than 2 s: it is damaged, or its row groups are too large`,
    });
    expect(await read(path, valid())).toBe(200);
  });
});
