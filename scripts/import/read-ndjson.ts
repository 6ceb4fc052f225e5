/** NDJSON: an object on each line. Empty lines are passed over. */
import { isJsonObject, NumberOutOfRange, parseJson } from "../../worker/json.ts";
import { CommandFault } from "../service.ts";
import { BadCell, type FileContents, type FileRecord } from "./records.ts";
import { decode, MAX_RECORD_BYTES, readBytes } from "./text.ts";

export async function* readNdjson(path: string, isGzip: boolean): AsyncGenerator<FileRecord> {
  for await (const { place, line } of linesOf(readBytes(path, isGzip), path)) yield recordOf(place, line);
}

/** Reads all of it. The columns are those of any line. */
export async function lookAtNdjson(path: string, isGzip: boolean): Promise<FileContents> {
  const columns = new Set<string>();
  let records = 0;
  for await (const record of readNdjson(path, isGzip)) {
    records += 1;
    if ("row" in record) for (const name of record.row.keys()) columns.add(name);
  }
  return { columns: [...columns], records };
}

/** Lines that hold something, by their number from 1. @throws CommandFault for one that is too long. */
export async function* linesOf(pieces: AsyncIterable<string>, path: string) {
  let place = 0;
  let rest = "";
  for await (const piece of pieces) {
    // Only the new piece is looked through: a long line comes in many.
    let start = 0;
    for (let end = piece.indexOf("\n"); end !== -1; end = piece.indexOf("\n", start)) {
      place += 1;
      const line = rest + piece.slice(start, end);
      rest = "";
      start = end + 1;
      if (!isBlank(line)) yield { place, line };
    }
    rest += piece.slice(start);
    if (rest.length > MAX_RECORD_BYTES) {
      throw new CommandFault(`${path}, line ${place + 1}: is longer than ${MAX_RECORD_BYTES} bytes`);
    }
  }
  if (!isBlank(rest)) yield { place: place + 1, line: rest };
}

const isBlank = (line: string) => /^[ \t\r]*$/.test(line);

/** @param line As latin1. Pure. */
export function recordOf(place: number, line: string): FileRecord {
  let text = line;
  try {
    text = decode(line);
    const value = parseJson(text);
    if (isJsonObject(value)) return { place, row: new Map(Object.entries(value)) };
    return { place, fault: "is not a JSON object", raw: text };
  } catch (cause) {
    return { place, fault: faultOf(cause), raw: text };
  }
}

function faultOf(cause: unknown): string {
  if (cause instanceof BadCell) return cause.message;
  if (cause instanceof NumberOutOfRange) return "has a number beyond the range of float64";
  return `is not JSON: ${cause instanceof Error ? cause.message : cause}`;
}
