/**
 * The columns that the rows of a raw table have in its object. Every method is synchronous.
 *
 * Columns are added in the registry, and nobody tells the object: each request brings the columns that it knows, and
 * what is new of them is added here. A request that has read the registry earlier goes on as if its rows lacked them.
 */
import { rowsOf, run } from "../db/object-sql.ts";
import {
  type Column,
  type Columns,
  type ColumnType,
  columnDefinitions,
  type RawSchema,
  without,
} from "./raw-columns.ts";

/** In the order in which they have come. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS fs_columns (id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL);`;

export class RowColumns {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    run(this.#sql, SCHEMA);
  }

  /** Those that any request has brought. */
  all(): Column[] {
    return rowsOf<{ name: string; type: ColumnType }>(
      this.#sql,
      "SELECT name, type FROM fs_columns ORDER BY id",
    ).map(({ name, type }) => [name, type]);
  }

  /**
   * All that the rows have, those of the request first, so that its cells stay in their places. Afterwards the rows have
   * all of them.
   */
  widened(schema: RawSchema): RawSchema {
    const known = this.all();
    const more = without(schema.columns, known);
    if (more.length > 0) this.#add(more);
    return { ...schema, columns: [...schema.columns, ...without(known, schema.columns)] };
  }

  #add(columns: Columns): void {
    // Rows that are older than this list have those that they were made with; where there are none yet, they will have all.
    const there = rowsOf<{ name: string }>(this.#sql, "SELECT name FROM pragma_table_info('fs_rows')").map(
      ({ name }): [string] => [name],
    );
    for (const column of there.length > 0 ? without(columns, there) : [])
      run(this.#sql, `ALTER TABLE fs_rows ADD COLUMN ${columnDefinitions([column])}`);
    for (const [name, type] of columns)
      run(this.#sql, "INSERT INTO fs_columns (name, type) VALUES (?, ?)", name, type);
  }
}
