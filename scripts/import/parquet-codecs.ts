/** How Parquet files may be compressed. */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import type { Compressors } from "hyparquet";

/** More than the page is said to have is not unpacked: hyparquet refuses it. */
const atMost = (length: number) => ({ maxOutputLength: length + 1 });

/** Beside Snappy, which hyparquet has itself. */
export const compressors: Compressors = {
  GZIP: (bytes, length) => gunzipSync(bytes, atMost(length)),
  ZSTD: (bytes, length) => zstdDecompressSync(bytes, atMost(length)),
  BROTLI: (bytes, length) => brotliDecompressSync(bytes, atMost(length)),
};

export const READABLE = ["UNCOMPRESSED", "SNAPPY", ...Object.keys(compressors)];
