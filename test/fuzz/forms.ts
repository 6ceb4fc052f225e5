/** Answers in other forms than JSON, which a schema of the document does not describe: rows as lines, and files. */
import { parquetMetadata } from "hyparquet";
import type { FuzzAnswer, FuzzRequest } from "./send.ts";

export const NDJSON = "application/x-ndjson";
export const PARQUET = "application/vnd.apache.parquet";

/** @param isRow Whether a value is one of the rows that the same answer holds as JSON. */
export function faultOfForm(
  type: string,
  request: FuzzRequest,
  answer: FuzzAnswer,
  isRow: (value: unknown) => boolean,
): string | null {
  if (type === NDJSON) return faultOfLines(request, answer.text, isRow);
  if (type === PARQUET) return faultOfFile(request, answer.bytes);
  return null;
}

function faultOfLines(request: FuzzRequest, text: string, isRow: (value: unknown) => boolean): string | null {
  const lines = text.split("\n");
  if (lines.pop() !== "") return "the last line does not end";
  const wrong = lines.find((line) => !isRow(parsed(line)));
  if (wrong !== undefined) return `a line is no row: ${wrong.slice(0, 200)}`;
  return faultOfCount(request, lines.length);
}

function faultOfFile(request: FuzzRequest, bytes: Uint8Array): string | null {
  try {
    const { num_rows: rows } = parquetMetadata(new Uint8Array(bytes).buffer);
    return faultOfCount(request, Number(rows));
  } catch (cause) {
    return `the file is no Parquet: ${cause}`;
  }
}

function faultOfCount({ body }: FuzzRequest, count: number): string | null {
  const { rows } = (parsed(body ?? "") ?? {}) as { rows?: unknown };
  if (!Array.isArray(rows) || rows.length === count) return null;
  return `${rows.length} rows were asked for, ${count} are answered`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch {
    return undefined;
  }
}
