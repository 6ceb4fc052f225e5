/** What the service has on disk, read past the service: the SQLite files of the local D1 and Durable Objects. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";

type Row = Record<string, SQLOutputValue>;

/** `isKnown`: the intent itself says that it was committed, since a deletion has removed the history. */
const INTENDED_EVENTS = `
  SELECT coalesce(row.value ->> 'eventId', row.value ->> 'event_id') AS id,
    (entity.value ->> '$.proof.kind') = 'known' AS isKnown
  FROM intents, json_each(body, '$.entities') AS entity,
    json_each(coalesce(entity.value -> '$.proof.rows', entity.value -> '$.proof.events', '[]')) AS row`;

/**
 * Stays open while it is asked again and again: to open and to close a file takes locks for a moment, and the runtime,
 * opening it at that moment, would not wait for them.
 */
export class SavedState {
  /** D1's. */
  readonly #databases: DatabaseSync[];
  readonly #writers: DatabaseSync[];

  /** @param state The directory given to `npm run serve -- --state`. */
  constructor(state: string) {
    const databases = databasesUnder(join(state, "v3/d1"));
    if (databases.length === 0) throw new Error("there is no D1 database");
    const writers = databasesUnder(join(state, "v3/do")).filter((path) => path.includes("EntityWriter"));
    if (writers.length === 0) throw new Error("there is no writer");
    this.#databases = databases.map(open);
    this.#writers = writers.map(open);
  }

  /** The rows of all databases. */
  queryD1<T extends Row>(sql: string): T[] {
    return this.queryEach<T>(sql).flat();
  }

  /** Those of each database, in no order. */
  queryEach<T extends Row>(sql: string): T[][] {
    return this.#databases.map((database) => database.prepare(sql).all() as T[]);
  }

  /** The event ids in the intents of all writers that are of committed writes: what is still owed. */
  owedEventIds(): string[] {
    const committed = this.#databases.map((database) =>
      database.prepare("SELECT 1 FROM feature_history WHERE event_id = ?"),
    );
    return this.#writers.flatMap((writer) =>
      writer
        .prepare(INTENDED_EVENTS)
        .all()
        .flatMap(({ id, isKnown }) => {
          const eventId = String(id);
          return isKnown || committed.some((statement) => statement.get(eventId)) ? eventId : [];
        }),
    );
  }

  /** Entities whose document in KV is not what the entity is. */
  owedDocuments(): string[] {
    return this.#writers.flatMap((writer) =>
      writer
        .prepare("SELECT entity FROM documents WHERE dirty = 1")
        .all()
        .map(({ entity }) => String(entity)),
    );
  }

  close(): void {
    for (const database of [...this.#databases, ...this.#writers]) database.close();
  }
}

function databasesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".sqlite") && !path.endsWith("metadata.sqlite"))
    .map((path) => join(directory, path));
}

function open(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly: true });
  database.exec("PRAGMA busy_timeout = 5000");
  return database;
}
