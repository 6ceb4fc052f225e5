/** Parquet files, a piece of a row group at a time: what is in memory does not grow with the file. */
import { type DecodedArray, type FileMetaData, parquetSchema, type SchemaTree } from "hyparquet";
import { CommandFault } from "../service.ts";
import { READABLE } from "./parquet-codecs.ts";
import { faultText, ParquetDecoder, type RowRange, UnreadableBytes } from "./parquet-decoder.ts";
import { toJsonOf, unreadable } from "./parquet-values.ts";
import { BadCell, type FileContents, type FileRecord } from "./records.ts";

/** Rows that are in memory at once, and their bytes as the file counts them: whatever it counts, some rows at a time. */
const PIECE_ROWS = 50_000;
const MIN_PIECE_ROWS = 100;
const PIECE_BYTES = 32 * 1024 * 1024;

const DECODER = new ParquetDecoder();

/** In the metadata of this store's own files: the columns whose texts hold JSON. */
const JSON_COLUMNS = "json_columns";

export class ParquetFile {
  readonly #path: string;
  readonly #decoder: ParquetDecoder;
  readonly #metadata: FileMetaData;
  readonly #columns: readonly SchemaTree[];

  private constructor(path: string, decoder: ParquetDecoder, metadata: FileMetaData) {
    this.#path = path;
    this.#decoder = decoder;
    this.#metadata = metadata;
    this.#columns = parquetSchema(metadata).children;
  }

  /** @throws CommandFault when it is no Parquet file, or what its footer says cannot be. */
  static async open(path: string, decoder: ParquetDecoder = DECODER): Promise<ParquetFile> {
    try {
      const metadata = await decoder.metadata(path);
      const fault = rowsFault(metadata);
      if (fault !== null) throw new UnreadableBytes(fault);
      return new ParquetFile(path, decoder, metadata);
    } catch (cause) {
      throw new CommandFault(`${path} cannot be read as Parquet: ${faultText(cause)}`);
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
   * @throws CommandFault when bytes are not what the file says they are.
   */
  async *records(columns: readonly string[], zone: string | null): AsyncGenerator<FileRecord> {
    const schema = this.#columns.filter(({ element }) => columns.includes(element.name));
    const jsonColumns = jsonColumnsOf(this.#metadata);
    const toJson = schema.map(
      (column) => [column.element.name, toJsonOf(column, { zone, jsonColumns })] as const,
    );
    for (const group of groupsOf(this.#metadata, columns)) {
      for (const rows of piecesOf(group)) {
        const values = new Map<string, DecodedArray>();
        for (const column of schema)
          values.set(column.element.name, await this.#read(schema, column, rows, group));
        for (let at = 0; at < rows.end - rows.start; at += 1) {
          yield this.#record(rows.start + at + 1, toJson, (name) => values.get(name)?.[at]);
        }
      }
    }
  }

  async #read(
    schema: readonly SchemaTree[],
    column: SchemaTree,
    rows: RowRange,
    group: RowRange,
  ): Promise<DecodedArray> {
    const [columns, name] = [schema.map(({ element }) => element.name), column.element.name];
    // A nested column can only be decoded from the beginning of its row group.
    const { start, end } = isFlat(column) ? rows : group;
    try {
      const piece = { path: this.#path, columns, column: name, rows, within: { start, end } };
      const values = await this.#decoder.piece(piece);
      if (values.length === rows.end - rows.start) return values;
      throw new UnreadableBytes(`it has ${values.length} values for them`);
    } catch (cause) {
      throw new CommandFault(
        `${this.#path}, column ${name}, rows ${rows.start + 1} to ${rows.end}: ${faultText(cause)}`,
      );
    }
  }

  #record(place: number, toJson: readonly ToJsonOfColumn[], valueIn: (name: string) => unknown): FileRecord {
    const row = new Map<string, unknown>();
    const faults: string[] = [];
    for (const [name, toJsonOfOne] of toJson) {
      try {
        row.set(name, toJsonOfOne(valueIn(name)));
      } catch (cause) {
        if (!(cause instanceof BadCell)) {
          throw new CommandFault(`${this.#path}, column ${name}, row ${place}: ${faultText(cause)}`);
        }
        faults.push(`${name} ${cause.message}`);
      }
    }
    const [fault] = faults;
    return fault === undefined ? { place, row } : { place, fault, raw: Object.fromEntries(row) };
  }
}

type ToJsonOfColumn = readonly [name: string, toJson: (value: unknown) => unknown];

const isFlat = ({ children, element }: SchemaTree) =>
  children.length === 0 && element.repetition_type !== "REPEATED";

interface RowGroup extends RowRange {
  /** So many are small enough to be held in memory. */
  pieceRows: number;
}

/** What the footer says of rows and cannot be, in words that follow the name of the file; null: nothing. Pure. */
export function rowsFault({
  num_rows,
  row_groups,
}: Pick<FileMetaData, "num_rows" | "row_groups">): string | null {
  const counts = row_groups.map((group) => Number(group.num_rows));
  const odd = counts.find((rows) => !Number.isSafeInteger(rows) || rows < 0);
  if (odd !== undefined) return `its footer says that a row group has ${odd} rows`;
  const sum = counts.reduce((all, rows) => all + rows, 0);
  return sum === Number(num_rows)
    ? null
    : `its footer says that it has ${Number(num_rows)} rows, and its row groups have ${sum}`;
}

/** Pure. */
export function groupsOf(
  { row_groups }: Pick<FileMetaData, "row_groups">,
  columns: readonly string[],
): RowGroup[] {
  let start = 0;
  return row_groups.map(({ num_rows, columns: chunks }) => {
    const range = { start, end: start + Number(num_rows) };
    start = range.end;
    const bytes = chunks
      .filter(({ meta_data }) => columns.includes(meta_data?.path_in_schema[0] ?? ""))
      .reduce((sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0), 0);
    const fitting = Math.floor((PIECE_BYTES * Number(num_rows)) / Math.max(bytes, 1));
    return { ...range, pieceRows: Math.max(MIN_PIECE_ROWS, Math.min(PIECE_ROWS, fitting)) };
  });
}

function* piecesOf({ start, end, pieceRows }: RowGroup): Generator<RowRange> {
  for (let from = start; from < end; from += pieceRows)
    yield { start: from, end: Math.min(from + pieceRows, end) };
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
