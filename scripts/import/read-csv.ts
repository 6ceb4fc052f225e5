/** CSV files: the first record names the columns. Empty lines are passed over. */
import { CommandFault } from "../service.ts";
import { type Cell, CsvParser, type CsvRecord } from "./csv.ts";
import { type CellKinds, kindOfCell, noteKind } from "./csv-values.ts";
import { BadCell, type FileContents, type FileRecord } from "./records.ts";
import { decode, MAX_RECORD_BYTES, readBytes } from "./text.ts";

export interface CsvFile {
  path: string;
  isGzip: boolean;
  delimiter: string;
}

/** @param toValue What a cell of a column is. @throws BadCell */
export async function* readCsv(
  file: CsvFile,
  toValue: (column: string, cell: Cell) => unknown,
): AsyncGenerator<FileRecord> {
  let columns: string[] | null = null;
  for await (const record of recordsOf(file)) {
    if (columns) yield rowOf(columns, record, toValue);
    else columns = columnsOf(file, record);
  }
}

/** Reads all of it. */
export async function lookAtCsv(file: CsvFile): Promise<FileContents & { kinds: CellKinds }> {
  const kinds: CellKinds = new Map();
  let columns: string[] | null = null;
  let records = 0;
  for await (const record of recordsOf(file)) {
    if (!columns) {
      columns = columnsOf(file, record);
      continue;
    }
    records += 1;
    if (faultOf(columns, record)) continue;
    for (const [position, column] of columns.entries()) {
      const cell = record.cells[position];
      if (cell) noteKind(kinds, column, kindOfCell(cell));
    }
  }
  if (!columns) throw new CommandFault(`${file.path} is empty: its first line must name the columns`);
  return { columns, records, kinds };
}

async function* recordsOf({ path, isGzip, delimiter }: CsvFile): AsyncGenerator<CsvRecord> {
  const parser = new CsvParser(delimiter);
  for await (const piece of readBytes(path, isGzip)) {
    for (const record of parser.push(piece)) if (!isBlank(record)) yield record;
    const { characters, line } = parser.open;
    if (characters <= MAX_RECORD_BYTES) continue;
    const why = `is longer than ${MAX_RECORD_BYTES} bytes; perhaps a quote in it is not closed`;
    throw new CommandFault(`${path}, line ${line}: ${why}`);
  }
  const last = parser.end();
  if (last && !isBlank(last)) yield last;
}

const isBlank = ({ cells }: CsvRecord) => cells.length === 1 && cells[0] === null;

function columnsOf({ path }: CsvFile, { cells, fault }: CsvRecord): string[] {
  if (fault) throw new CommandFault(`${path}: the line that names the columns ${fault}`);
  const columns = cells.map((cell) => decoded(path, cell ?? ""));
  const twice = columns.find((name, position) => columns.indexOf(name) < position);
  if (twice !== undefined) throw new CommandFault(`${path} has two columns \`${twice}\``);
  return columns;
}

function decoded(path: string, name: string): string {
  try {
    return decode(name);
  } catch {
    throw new CommandFault(`${path}: the names of its columns are not UTF-8`);
  }
}

function faultOf(columns: readonly string[], { cells, fault }: CsvRecord): string | null {
  if (fault) return fault;
  if (cells.length === columns.length) return null;
  return `has ${cells.length} cells, and the file ${columns.length} columns`;
}

function rowOf(
  columns: readonly string[],
  record: CsvRecord,
  toValue: (column: string, cell: Cell) => unknown,
): FileRecord {
  const { line, cells } = record;
  const fault = faultOf(columns, record);
  if (fault) return { place: line, fault, raw: cells };
  const row = new Map<string, unknown>();
  for (const [position, column] of columns.entries()) {
    const cell = cells[position] ?? null;
    try {
      row.set(column, toValue(column, cell === null ? null : decode(cell)));
    } catch (cause) {
      if (!(cause instanceof BadCell)) throw cause;
      const raw = Object.fromEntries(columns.map((name, at) => [name, cells[at]]));
      return { place: line, fault: `${column} ${cause.message}`, raw };
    }
  }
  return { place: line, row };
}
