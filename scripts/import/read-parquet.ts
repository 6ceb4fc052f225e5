/** Parquet files, a piece of a row group at a time: what is in memory does not grow with the file. */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type Compressors,
  type DecodedArray,
  type FileMetaData,
  type ParquetScan,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type SchemaTree,
} from "hyparquet";
import { CommandFault } from "../service.ts";
import { RAW, rawSchema, toJsonOf, unreadable } from "./parquet-values.ts";
import { BadCell, type FileContents, type FileRecord } from "./records.ts";

/** Rows that are in memory at once, and their bytes as the file counts them. */
const PIECE_ROWS = 50_000;
const PIECE_BYTES = 32 * 1024 * 1024;

/** Beside Snappy, which hyparquet has itself. */
const compressors: Compressors = {
  GZIP: (bytes) => gunzipSync(bytes),
  ZSTD: (bytes) => zstdDecompressSync(bytes),
  BROTLI: (bytes) => brotliDecompressSync(bytes),
};
const READABLE = ["UNCOMPRESSED", "SNAPPY", ...Object.keys(compressors)];

/** In the metadata of this store's own files: the columns whose texts hold JSON. */
const JSON_COLUMNS = "json_columns";

export class ParquetFile {
  readonly #path: string;
  readonly #file: AsyncBuffer;
  readonly #metadata: FileMetaData;
  readonly #columns: readonly SchemaTree[];

  private constructor(path: string, file: AsyncBuffer, metadata: FileMetaData) {
    this.#path = path;
    this.#file = file;
    this.#metadata = metadata;
    this.#columns = parquetSchema(metadata).children;
  }

  /** @throws CommandFault when it is no Parquet file. */
  static async open(path: string): Promise<ParquetFile> {
    try {
      const file = await asyncBufferFromFile(path);
      return new ParquetFile(path, file, await parquetMetadataAsync(file));
    } catch (cause) {
      throw new CommandFault(`${path} cannot be read as Parquet: ${textOf(cause)}`);
    }
  }

  get contents(): FileContents {
    const columns = this.#columns.map(({ element }) => element.name);
    return { columns, records: Number(this.#metadata.num_rows) };
  }

  /** Why the columns cannot be read; null: they can. */
  faultOf(columns: readonly string[]): string | null {
    const twice = columns.find((name, position) => columns.indexOf(name) < position);
    if (twice !== undefined) return `${this.#path} has two columns \`${twice}\``;
    for (const child of this.#columns) {
      const type = columns.includes(child.element.name) ? unreadable(child) : null;
      if (type)
        return `${this.#path}: column ${child.element.name} is of the Parquet type ${type}, which has no JSON`;
    }
    for (const { meta_data: chunk } of this.#metadata.row_groups.flatMap((group) => group.columns)) {
      if (!chunk || !columns.includes(chunk.path_in_schema[0] ?? "")) continue;
      if (READABLE.includes(chunk.codec)) continue;
      return `${this.#path} is compressed with ${chunk.codec}; what can be read is ${READABLE.join(", ")}: write it again with one of these`;
    }
    return null;
  }

  /**
   * @param columns Those that are needed.
   * @param zone Of timestamps that are not in UTC; null: they have none.
   */
  async *records(columns: readonly string[], zone: string | null): AsyncGenerator<FileRecord> {
    const schema = this.#columns.filter(({ element }) => columns.includes(element.name));
    const jsonColumns = jsonColumnsOf(this.#metadata);
    const toJson = schema.map(
      (column) => [column.element.name, toJsonOf(column, { zone, jsonColumns })] as const,
    );
    // A nested column can only be decoded from the beginning of its row group: that is done once, for all of it.
    const [flat, nested] = [namesOf(schema, isFlat), namesOf(schema, (column) => !isFlat(column))];
    const scan = await this.#scan([...flat, ...nested]);
    for (const { pieces, ...group } of groupsOf(this.#metadata, columns)) {
      const whole = await this.#read(scan, nested, group);
      for (const piece of pieces) {
        const part = await this.#read(scan, flat, piece);
        for (let at = piece.start; at < piece.end; at += 1) {
          const valueIn = (name: string) =>
            part.has(name) ? part.get(name)?.[at - piece.start] : whole.get(name)?.[at - group.start];
          yield recordOf(at + 1, toJson, valueIn);
        }
      }
    }
  }

  #scan(columns: string[]): Promise<ParquetScan> {
    const metadata = { ...this.#metadata, schema: rawSchema(this.#metadata.schema) };
    return parquetScan({ file: this.#file, metadata, columns, utf8: false, parsers: RAW, compressors });
  }

  /** The values of columns, by name. */
  async #read(
    scan: ParquetScan,
    columns: readonly string[],
    { start, end }: RowRange,
  ): Promise<Map<string, DecodedArray>> {
    const values = new Map<string, DecodedArray>();
    try {
      for (const column of columns) {
        values.set(column, await scan.readColumn({ column, rowStart: start, rowEnd: end }));
      }
    } catch (cause) {
      throw new CommandFault(`${this.#path}, rows ${start + 1} to ${end}: ${textOf(cause)}`);
    }
    return values;
  }
}

const isFlat = ({ children, element }: SchemaTree) =>
  children.length === 0 && element.repetition_type !== "REPEATED";

const namesOf = (schema: readonly SchemaTree[], which: (column: SchemaTree) => boolean) =>
  schema.filter(which).map(({ element }) => element.name);

/** From 0, without the end. */
interface RowRange {
  start: number;
  end: number;
}

/** The row groups, each with pieces that are small enough to be held in memory. Pure. */
export function groupsOf(
  { row_groups }: Pick<FileMetaData, "row_groups">,
  columns: readonly string[],
): (RowRange & { pieces: RowRange[] })[] {
  let start = 0;
  return row_groups.map(({ num_rows, columns: chunks }) => {
    const range = { start, end: start + Number(num_rows) };
    start = range.end;
    const bytes = chunks
      .filter(({ meta_data }) => columns.includes(meta_data?.path_in_schema[0] ?? ""))
      .reduce((sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0), 0);
    const fitting = Math.floor((PIECE_BYTES * Number(num_rows)) / Math.max(bytes, 1));
    return { ...range, pieces: piecesOf(range, Math.max(1, Math.min(PIECE_ROWS, fitting))) };
  });
}

function piecesOf({ start, end }: RowRange, rows: number): RowRange[] {
  return Array.from({ length: Math.ceil((end - start) / rows) }, (_, i) => ({
    start: start + i * rows,
    end: Math.min(start + (i + 1) * rows, end),
  }));
}

function recordOf(
  place: number,
  columns: readonly (readonly [name: string, toJson: (value: unknown) => unknown])[],
  valueIn: (name: string) => unknown,
): FileRecord {
  const row = new Map<string, unknown>();
  const faults: string[] = [];
  for (const [name, toJson] of columns) {
    try {
      row.set(name, toJson(valueIn(name)));
    } catch (cause) {
      if (!(cause instanceof BadCell)) throw cause;
      faults.push(`${name} ${cause.message}`);
    }
  }
  const [fault] = faults;
  return fault === undefined ? { place, row } : { place, fault, raw: Object.fromEntries(row) };
}

function jsonColumnsOf({ key_value_metadata = [] }: FileMetaData): Set<string> {
  const named = key_value_metadata.find(({ key }) => key === JSON_COLUMNS)?.value;
  try {
    const names: unknown = JSON.parse(named ?? "[]");
    return new Set(Array.isArray(names) ? names.filter((name) => typeof name === "string") : []);
  } catch {
    return new Set();
  }
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
