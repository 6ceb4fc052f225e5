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

const OWED_VERSIONS = `SELECT count(*) AS n FROM fs_followers AS f WHERE f.parked = 0
  AND EXISTS (SELECT 1 FROM fs_touched AS t WHERE t.entity_key = f.entity_key AND t.seq > f.seq)`;

const END_WAIT = `UPDATE tenant_moves
  SET move = json_set(move, '$.pauseFromMs', 0, '$.cleanAtMs', 0) RETURNING move ->> '$.phase' AS phase`;

/**
 * Stays open while it is asked again and again: to open and to close a file takes locks for a moment, and the runtime,
 * opening it at that moment, would not wait for them.
 */
export class SavedState {
  /** D1's. */
  readonly #databases: DatabaseSync[];
  readonly #writers: DatabaseSync[];
  readonly #rawTables: DatabaseSync[];

  /** @param state The directory given to `npm run serve -- --state`. */
  constructor(state: string) {
    const databases = databasesUnder(join(state, "v3/d1"));
    if (databases.length === 0) throw new Error("there is no D1 database");
    const objects = databasesUnder(join(state, "v3/do"));
    const writers = objects.filter((path) => path.includes("EntityWriter"));
    if (writers.length === 0) throw new Error("there is no writer");
    this.#databases = databases.map((path) => open(path));
    this.#writers = writers.map((path) => open(path));
    this.#rawTables = objects.filter((path) => path.includes("RawTable")).map((path) => open(path));
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

  /** How many versions have yet to be computed from rows that have arrived. */
  owedVersions(): number {
    const counts = this.#rawTables.map((table) => table.prepare(OWED_VERSIONS).get()?.n);
    return counts.reduce<number>((sum, n) => sum + Number(n), 0);
  }

  close(): void {
    for (const database of [...this.#databases, ...this.#writers, ...this.#rawTables]) database.close();
  }
}

/**
 * As if the time had come for which a tenant's move waits: until its writers pause once more, or until what has moved is
 * removed. No process may have the state.
 *
 * @returns in which phase it is; null: none is under way.
 */
export function endWaitOfMove(state: string): string | null {
  for (const path of databasesUnder(join(state, "v3/d1"))) {
    const database = open(path, "to write");
    const [row] = database.prepare(END_WAIT).all();
    database.close();
    if (row) return String(row.phase);
  }
  return null;
}

function databasesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".sqlite") && !path.endsWith("metadata.sqlite"))
    .map((path) => join(directory, path));
}

function open(path: string, use: "to read" | "to write" = "to read"): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly: use === "to read" });
  database.exec("PRAGMA busy_timeout = 5000");
  return database;
}
