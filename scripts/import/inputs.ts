/** The files of an import: their formats, what is in them, and whether it can be written. */
import { statSync } from "node:fs";
import type { Dtype } from "../../worker/db/column-values.ts";
import { CommandFault } from "../service.ts";
import { type CellKinds, cellValue, noteKind } from "./csv-values.ts";
import { lookAtCsv, readCsv } from "./read-csv.ts";
import { lookAtNdjson, readNdjson } from "./read-ndjson.ts";
import { ParquetFile } from "./read-parquet.ts";
import type { FileContents, FileRecord } from "./records.ts";
import { type Mapping, neededColumns } from "./row-to-write.ts";

export const FORMATS = ["parquet", "ndjson", "csv"] as const;
export type Format = (typeof FORMATS)[number];

export interface Input {
  path: string;
  format: Format;
  contents: FileContents;
  /** Once all files are looked at. */
  records: () => AsyncGenerator<FileRecord>;
}

interface InputOptions {
  files: readonly string[];
  format: Format | null;
  delimiter: string;
  types: ReadonlyMap<string, Dtype>;
  zone: string | null;
  mapping: Mapping;
}

const EXTENSIONS: Record<string, Format> = {
  parquet: "parquet",
  pq: "parquet",
  ndjson: "ndjson",
  jsonl: "ndjson",
  csv: "csv",
};

/** By the name of a file; null: it does not say. Pure. */
export function formatOf(path: string): { format: Format | null; isGzip: boolean } {
  const [, extension = "", gzip] = /\.([a-z]+)(\.gz)?$/.exec(path.toLowerCase()) ?? [];
  return { format: EXTENSIONS[extension] ?? null, isGzip: gzip !== undefined || extension === "gz" };
}

/**
 * Opens all files and looks at them: text files from end to end, of Parquet files what their footer says.
 *
 * @returns them, with what the columns of CSV files were found to be.
 * @throws CommandFault when one cannot be read, or lacks a column.
 */
export async function openInputs(options: InputOptions): Promise<{ inputs: Input[]; kinds: CellKinds }> {
  const kinds: CellKinds = new Map();
  const inputs: Input[] = [];
  for (const path of options.files) inputs.push(await openInput(path, options, kinds));
  const fault = columnFault(inputs, options);
  if (fault !== null) throw new CommandFault(fault);
  return { inputs, kinds };
}

async function openInput(path: string, options: InputOptions, kinds: CellKinds): Promise<Input> {
  assertFile(path);
  const { format: named, isGzip } = formatOf(path);
  const format = options.format ?? named;
  if (!format)
    throw new CommandFault(
      `${path}: its name does not say what it is; --format does (${FORMATS.join(", ")})`,
    );
  if (format === "parquet") {
    if (isGzip) throw new CommandFault(`${path}: a Parquet file is compressed inside; unpack it first`);
    return openParquet(path, options);
  }
  if (format === "ndjson") {
    const contents = await lookAtNdjson(path, isGzip);
    return { path, format, contents, records: () => readNdjson(path, isGzip) };
  }
  const file = { path, isGzip, delimiter: options.delimiter };
  const { kinds: own, ...contents } = await lookAtCsv(file);
  for (const [column, kind] of own) noteKind(kinds, column, kind);
  const needed = new Set(neededColumns(options.mapping));
  const typeOf = (column: string) =>
    needed.has(column) ? "texts" : (options.types.get(column) ?? kinds.get(column) ?? "texts");
  return {
    path,
    format,
    contents,
    records: () => readCsv(file, (column, cell) => cellValue(cell, typeOf(column))),
  };
}

async function openParquet(path: string, { mapping, zone }: InputOptions): Promise<Input> {
  const file = await ParquetFile.open(path);
  const { contents } = file;
  const wanted = mapping.features && new Set([...neededColumns(mapping), ...mapping.features]);
  const columns = contents.columns.filter((name) => wanted?.has(name) ?? true);
  const fault = file.faultOf(columns);
  if (fault !== null) throw new CommandFault(fault);
  return { path, format: "parquet", contents, records: () => file.records(columns, zone) };
}

function assertFile(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) throw new CommandFault(`There is no file ${path}.`);
  if (!found.isFile())
    throw new CommandFault(`${path} is no file; name the files in it, such as ${path}/*.parquet.`);
}

/** What is missing, as a sentence; null: nothing. A file may lack features that another one has. Pure. */
export function columnFault(
  inputs: readonly Pick<Input, "path" | "contents" | "format">[],
  { mapping, types }: Pick<InputOptions, "mapping" | "types">,
): string | null {
  const needed = neededColumns(mapping);
  for (const { path, contents } of inputs) {
    // A file without rows may be without columns too.
    if (contents.records === 0 && contents.columns.length === 0) continue;
    const { columns } = contents;
    if (columns.length === 0) return `${path}: no line of it is a JSON object`;
    const missing = needed.find((name) => !columns.includes(name));
    if (missing !== undefined) return `${path} has no column ${missing}; it has: ${columns.join(", ")}`;
    const features = mapping.features ?? columns.filter((name) => !needed.includes(name));
    if (!features.some((name) => columns.includes(name))) {
      return `${path} has none of the features; it has: ${columns.join(", ")}`;
    }
  }
  const all = new Set(inputs.flatMap(({ contents }) => contents.columns));
  const isEmpty = inputs.every(({ contents }) => contents.records === 0);
  const unknown = isEmpty ? undefined : mapping.features?.find((name) => !all.has(name));
  if (unknown !== undefined) return `there is no column ${unknown}; there are: ${[...all].join(", ")}`;
  const csv = new Set(inputs.flatMap(({ format, contents }) => (format === "csv" ? contents.columns : [])));
  const untyped = [...types.keys()].find((name) => !csv.has(name));
  return untyped === undefined ? null : `--types names ${untyped}, which is no column of a CSV file`;
}
