/**
 * The newest times of rows that were erased, by the entities of features that are computed from the table. Every method is
 * synchronous.
 *
 * A vector is dated by the newest row of its entity. Were it only by those that are left, the vector that was made with an
 * erased row would be newer than every later one, and stand.
 */
import { jsonParts } from "../db/json-parts.ts";
import { rowsOf, run } from "../db/object-sql.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { quoted, type RawSchema } from "./raw-columns.ts";
import type { RowChoice } from "./row-choice.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS fs_erased_times (
    entity_key TEXT NOT NULL, entity TEXT NOT NULL, newest TEXT NOT NULL, PRIMARY KEY (entity_key, entity)) WITHOUT ROWID;`;

/** A row that goes: its time, and its entities in the order of their keys. */
export type ErasedRow = Record<string, SqlStorageValue>;

export class ErasedTimesStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    run(this.#sql, SCHEMA);
  }

  /** @param rows As {@link timesOfErased} has asked for them. */
  note(keys: readonly string[], rows: readonly ErasedRow[]): void {
    for (const [i, key] of keys.entries()) {
      const newest = new Map<string, string>();
      for (const { erased_time: time, [`erased_${i}`]: entity } of rows) {
        if (typeof time !== "string" || entity === null || entity === undefined) continue;
        // A float as a vector has it: SQLite would write 1.0 where it has 1.
        const name = String(entity);
        if (time > (newest.get(name) ?? "")) newest.set(name, time);
      }
      for (const part of jsonParts([...newest])) {
        run(
          this.#sql,
          `INSERT INTO fs_erased_times SELECT ?, ref.value ->> 0, ref.value ->> 1 FROM json_each(?) AS ref WHERE true
           ON CONFLICT DO UPDATE SET newest = max(newest, excluded.newest)`,
          key,
          part,
        );
      }
    }
  }

  /** What is erased by the key of an entity is all of it: nothing of its name stays here. */
  forget({ column, value }: RowChoice): void {
    run(this.#sql, "DELETE FROM fs_erased_times WHERE entity_key = ? AND entity = ?", column, value);
  }

  /** Where an erased row of an entity was newer than all that are left, its time. */
  raise(newest: Map<string, string>, entityKey: string): void {
    for (const part of jsonParts([...newest.keys()])) {
      const erased = rowsOf<{ entity: string; time: string }>(
        this.#sql,
        `SELECT entity, newest AS time FROM fs_erased_times
         WHERE entity_key = ? AND entity IN (SELECT value FROM json_each(?))`,
        entityKey,
        part,
      );
      for (const { entity, time } of erased) if (time > (newest.get(entity) ?? "")) newest.set(entity, time);
    }
  }
}

/** The keys by which the entities of erased rows are known, where those rows have times. Not the one that they are erased by. */
export function keysOfErased(
  { columns, timestampColumn }: RawSchema,
  choice: RowChoice,
  entityKeys: readonly string[],
): string[] {
  if (timestampColumn === null) return [];
  return entityKeys.filter((key) => key !== choice.column && columns.some(([name]) => name === key));
}

/** What a statement that removes rows is to return of them. */
export function timesOfErased({ columns, timestampColumn }: RawSchema, keys: readonly string[]): string {
  if (timestampColumn === null || keys.length === 0) return "";
  const entities = keys.map((key, i) => {
    const isFloat = columns.some(([name, type]) => name === key && type === "float");
    const cell = isFloat ? quoted(key) : `CAST(${quoted(key)} AS TEXT)`;
    // Longer ones are no entity's.
    return `iif(octet_length(${quoted(key)}) <= ${4 * MAX_NAME_CHARACTERS}, ${cell}, NULL) AS erased_${i}`;
  });
  return `, ${quoted(timestampColumn)} AS erased_time, ${entities.join(", ")}`;
}
