/**
 * Text files as they stream. They are read byte by byte, a character each (latin1), since all that separates rows and
 * cells is ASCII; what has other bytes is decoded where it is taken out, so that one row that is no UTF-8 is one bad row.
 */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { CommandFault } from "../service.ts";
import { BadCell } from "./records.ts";

/** A row that is longer could not be written: a request takes so much. It also bounds what is held in memory. */
export const MAX_RECORD_BYTES = 10 * 1024 * 1024;

const PIECE_BYTES = 256 * 1024;

const BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf";

/** The bytes of a file in pieces, as latin1, without a mark of byte order. @throws CommandFault when it cannot be read. */
export async function* readBytes(path: string, isGzip: boolean): AsyncGenerator<string> {
  const file = createReadStream(path, { highWaterMark: PIECE_BYTES });
  const unpack = () => pipeline(file, createGunzip({ chunkSize: PIECE_BYTES }), () => {});
  const stream = (isGzip ? unpack() : file).setEncoding("latin1");
  let isFirst = true;
  try {
    for await (const piece of stream as AsyncIterable<string>) {
      yield isFirst && piece.startsWith(BYTE_ORDER_MARK) ? piece.slice(BYTE_ORDER_MARK.length) : piece;
      isFirst = false;
    }
  } catch (cause) {
    throw new CommandFault(`${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`);
  } finally {
    file.destroy();
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @throws BadCell for what is no UTF-8. */
export function decode(bytes: string | Uint8Array): string {
  if (typeof bytes === "string" && !/[\x80-\xff]/.test(bytes)) return bytes;
  try {
    return utf8.decode(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  } catch {
    throw new BadCell("is not UTF-8");
  }
}
