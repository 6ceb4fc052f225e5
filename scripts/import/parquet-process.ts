/** The process in which Parquet is decoded, for `parquet-decoder.ts`: it is asked over its channel, and ends with it. */
import { Worker } from "node:worker_threads";
import {
  asyncBufferFromFile,
  type DecodedArray,
  type FileMetaData,
  type ParquetScan,
  parquetMetadataAsync,
  parquetScan,
} from "hyparquet";
import { compressors } from "./parquet-codecs.ts";
import { type Answered, type Asked, type ColumnPiece, faultText } from "./parquet-decoder.ts";
import { RAW, rawSchema } from "./parquet-values.ts";

/** Ctrl-C is for the import, which then ends this. */
process.on("SIGINT", () => {});

// A decoder that goes on for ever does not see its channel close: a thread looks whether the import is still there.
const WATCH = `const parent = process.ppid;
setInterval(() => process.ppid === parent || process.kill(process.pid, "SIGKILL"), 1_000);`;
new Worker(WATCH, { eval: true }).unref();

let open: { name: string; scan: ParquetScan } | null = null;

process.on("message", async (asked: Asked) => process.send?.(await answerTo(asked)));

async function answerTo(asked: Asked): Promise<Answered> {
  try {
    return { value: asked.kind === "metadata" ? await metadataOf(asked.path) : await pieceOf(asked) };
  } catch (cause) {
    return { fault: faultText(cause) };
  }
}

async function metadataOf(path: string): Promise<FileMetaData> {
  // Who looks at a file anew must not be answered with what it was.
  open = null;
  return parquetMetadataAsync(await asyncBufferFromFile(path));
}

async function pieceOf({ path, columns, column, rows, within }: ColumnPiece): Promise<DecodedArray> {
  const name = JSON.stringify([path, columns]);
  if (open?.name !== name) open = { name, scan: await scanOf(path, columns) };
  const { scan } = open;
  await scan.readColumn({ column, rowStart: within.start, rowEnd: within.end });
  // hyparquet keeps what it has decoded last of a column.
  return scan.readColumn({ column, rowStart: rows.start, rowEnd: rows.end });
}

async function scanOf(path: string, columns: string[]): Promise<ParquetScan> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  metadata.schema = rawSchema(metadata.schema);
  return parquetScan({ file, metadata, columns, utf8: false, parsers: RAW, compressors });
}
