/** The rows of a RawTable in its SQLite. All its SQL is here but the tenant's; every method is synchronous. */
import type { Idempotency } from "../db/idempotency-record.ts";
import { jsonParts } from "../db/json-parts.ts";
import { rowOf, rowsOf, run } from "../db/object-sql.ts";
import { ReplyStore } from "../db/reply-store.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import type { Micros } from "../timestamps.ts";
import { AgedRowsStore } from "./aged-rows-store.ts";
import { ChosenRowsStore } from "./chosen-rows-store.ts";
import { type Computation, ComputationStore } from "./computation-store.ts";
import { ErasedTimesStore } from "./erased-times-store.ts";
import { type Follower, FollowerStore } from "./follower-store.ts";
import { columnDefinitions, quoted, type RawSchema } from "./raw-columns.ts";
import { RegistryEntryStore } from "./registry-entry-store.ts";
import { RowColumns } from "./row-columns.ts";
import type { TableStatistics } from "./sql/cost.ts";

export interface TableNumbers {
  rows: number;
  bytes: number;
}

/** Over which rows a query runs. */
export type ComputeSource =
  | { kind: "ingested" }
  /** Rows of a request, as {@link IngestRequest} has them. */
  | { kind: "given"; parts: string[]; count: number; longestText: number }
  /** The ingested rows of these entities. */
  | { kind: "entities"; entities: string[] };

export interface IngestRequest {
  schema: RawSchema;
  /** JSON arrays of rows, cells in the order of the columns; each of a size that SQLite takes as a parameter. */
  parts: string[];
  count: number;
  /** Bytes of the longest text. */
  longestText: number;
  followers: Follower[];
  /** Old rows are removed; see {@link AgedRowsStore}. */
  isRetained: boolean;
  /** For the alarm, which pokes the queue when a recomputation was lost. */
  table: { tenant: string; tableId: number };
  idempotency: Idempotency | null;
}

export type IngestReply =
  | { kind: "ingested"; rows: number; total: number; replayed: boolean }
  | { kind: "full"; limit: "rows" | "bytes"; most: number; there: number }
  | { kind: "key_reused" };

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS fs_numbers (
    id INTEGER PRIMARY KEY CHECK (id = 1), rows INTEGER NOT NULL, longest_text INTEGER NOT NULL, seq INTEGER NOT NULL,
    asked INTEGER NOT NULL, tenant TEXT, table_id INTEGER);
  INSERT OR IGNORE INTO fs_numbers VALUES (1, 0, 0, 0, 0, NULL, NULL);
  CREATE TABLE IF NOT EXISTS fs_last_tick (id INTEGER PRIMARY KEY CHECK (id = 1), tick INTEGER NOT NULL);`;

export class RawTableStore {
  readonly followers: FollowerStore;
  readonly computations: ComputationStore;
  readonly replies: ReplyStore;
  readonly agedRows: AgedRowsStore;
  readonly erasedTimes: ErasedTimesStore;
  readonly chosenRows: ChosenRowsStore;
  readonly entry: RegistryEntryStore;
  readonly columns: RowColumns;
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    run(this.#sql, SCHEMA);
    this.followers = new FollowerStore(storage.sql);
    this.computations = new ComputationStore(storage.sql);
    this.replies = new ReplyStore(storage.sql);
    this.columns = new RowColumns(storage.sql);
    this.agedRows = new AgedRowsStore(storage, this.columns);
    this.erasedTimes = new ErasedTimesStore(storage.sql);
    this.chosenRows = new ChosenRowsStore(storage, this);
    this.entry = new RegistryEntryStore(storage.sql);
  }

  numbers(): TableNumbers {
    return { rows: this.#numbers().rows, bytes: this.#sql.databaseSize };
  }

  /** The number of the last ingest. */
  lastIngest(): number {
    return this.#numbers().seq;
  }

  /** A number as of an ingest that brought nothing new. */
  countIngest(): number {
    return rowOf<{ seq: number }>(this.#sql, "UPDATE fs_numbers SET seq = seq + 1 RETURNING seq").seq;
  }

  /** Now, and later than every time before, also when the clock has stepped back or the object lives on another machine. */
  tick(now: Micros): Micros {
    const later =
      "INSERT INTO fs_last_tick VALUES (1, ?) ON CONFLICT DO UPDATE SET tick = max(tick + 1, excluded.tick) RETURNING tick";
    return rowOf<{ tick: number }>(this.#sql, later, now).tick;
  }

  /**
   * The computation has been written, or may have been. What came after its rows another one may have computed, and
   * written before it: so its entities are computed once more, by the stream where it follows the table, else all of the
   * version as by hand.
   *
   * @returns whether something is to be computed.
   */
  computeAgain({ follower, entities, seq }: Computation): boolean {
    if (entities.length === 0 || this.lastIngest() === seq) return false;
    if (this.followers.has(follower)) {
      this.followers.retouch(follower, entities, this.countIngest());
      return true;
    }
    const { computations } = this;
    if (!computations.isOvertaken(follower, seq) && !computations.isErasedSince(seq)) return false;
    this.computeWhole(follower);
    return true;
  }

  /** The version is computed once more over all rows. A number of its own: what was given out before this does not pay it. */
  computeWhole({ featureId, version }: Pick<Follower, "featureId" | "version">): void {
    this.computations.owe({ featureId, version, seq: this.countIngest() });
  }

  table(): { tenant: string; tableId: number } | null {
    const { tenant, table_id: tableId } = this.#numbers();
    return tenant === null || tableId === null ? null : { tenant, tableId };
  }

  /** So that the alarm finds its way back here, and soon: there is something new to ask for. An ingest does it too. */
  noteTable({ tenant, tableId }: { tenant: string; tableId: number }): void {
    run(this.#sql, "UPDATE fs_numbers SET tenant = ?, table_id = ?, asked = 0", tenant, tableId);
  }

  /** How often the alarm has asked since the last ingest or job, this time included. */
  countAsking(): number {
    return rowOf<{ asked: number }>(this.#sql, "UPDATE fs_numbers SET asked = asked + 1 RETURNING asked")
      .asked;
  }

  /** Keeps the rows, what they touch, and the answer to the caller's key, or nothing of it. */
  ingest(request: IngestRequest, most: { rows: number; bytes: number }): IngestReply {
    const { parts, count, longestText, followers, isRetained, table, idempotency } = request;
    return this.#storage.transactionSync((): IngestReply => {
      const earlier =
        idempotency && this.replies.earlier<Extract<IngestReply, { kind: "ingested" }>>(idempotency.key);
      if (idempotency && earlier) {
        return earlier.fingerprint === idempotency.fingerprint
          ? { ...earlier.reply, replayed: true }
          : { kind: "key_reused" };
      }
      const { rows, seq } = this.#numbers();
      if (rows + count > most.rows) return { kind: "full", limit: "rows", most: most.rows, there: rows };
      const bytes = this.#sql.databaseSize;
      if (bytes > most.bytes) return { kind: "full", limit: "bytes", most: most.bytes, there: bytes };
      const schema = this.columns.widened(request.schema);
      this.#createRows(schema);
      if (isRetained) this.agedRows.begin();
      for (const part of parts) this.#insert("fs_rows", schema, part);
      this.agedRows.note(schema, count);
      run(
        this.#sql,
        "UPDATE fs_numbers SET rows = rows + ?, longest_text = max(longest_text, ?), seq = seq + 1",
        count,
        longestText,
      );
      this.noteTable(table);
      this.followers.touch(schema, parts, followers, seq + 1);
      const reply = { kind: "ingested", rows: count, total: rows + count, replayed: false } as const;
      if (idempotency) this.replies.keep(idempotency, reply);
      return reply;
    });
  }

  /** Statistics of the rows over which a query would run, without making them. */
  statistics(schema: RawSchema, source: ComputeSource, entityKey: string): TableStatistics {
    if (source.kind === "given") return { rows: source.count, longestText: source.longestText };
    const { rows, longest_text: longestText } = this.#numbers();
    if (source.kind === "ingested") return { rows, longestText };
    this.#createRows(schema);
    let touched = 0;
    for (const part of jsonParts(source.entities)) {
      touched += rowOf<{ rows: number }>(
        this.#sql,
        `SELECT count(*) AS rows FROM fs_rows
           WHERE CAST(${quoted(entityKey)} AS TEXT) IN (SELECT value FROM json_each(?))`,
        part,
      ).rows;
    }
    return { rows: touched, longestText };
  }

  /** Makes the table `data` of a query; called inside the transaction that is rolled back. */
  createData(schema: RawSchema, source: ComputeSource, entityKey: string): void {
    if (source.kind === "ingested") {
      this.#createRows(schema);
      // Not a view: `data` has a rowid, the order of arrival, whatever it is made of.
      run(this.#sql, "ALTER TABLE fs_rows RENAME TO data");
      this.followers.dropIndexes("data");
      return;
    }
    run(this.#sql, `CREATE TABLE data (${columnDefinitions(schema.columns)})`);
    if (source.kind === "given") {
      for (const part of source.parts) this.#insert("data", schema, part);
      return;
    }
    this.#createRows(schema);
    run(this.#sql, "CREATE TABLE fs_wanted (entity TEXT PRIMARY KEY) WITHOUT ROWID");
    for (const part of jsonParts(source.entities)) {
      run(this.#sql, "INSERT OR IGNORE INTO fs_wanted SELECT value FROM json_each(?)", part);
    }
    // In the order of arrival: sums of floats would else depend on how rows are found.
    run(
      this.#sql,
      `INSERT INTO data SELECT ${names(schema)} FROM fs_rows
       WHERE CAST(${quoted(entityKey)} AS TEXT) IN (SELECT entity FROM fs_wanted) ORDER BY rowid`,
    );
  }

  /**
   * Of these entities in `data`, where the table has both columns: what is in memory is bounded by them, however many
   * others there are. Called inside the transaction that is rolled back.
   */
  newestTimestamps(
    { columns, timestampColumn }: RawSchema,
    entityKey: string,
    entities: readonly string[],
  ): Map<string, string> {
    const type = columns.find(([name]) => name === entityKey)?.[1];
    if (timestampColumn === null || type === undefined || entities.length === 0) return new Map();
    // A float as it is, since SQLite would write 1.0 where a vector has 1; all else as text, an integer for its digits.
    const isFloat = type === "float";
    run(this.#sql, `CREATE TABLE fs_named (entity ${isFloat ? "REAL" : "TEXT"} PRIMARY KEY)`);
    for (const part of jsonParts(isFloat ? entities.map(Number) : entities)) {
      run(this.#sql, "INSERT OR IGNORE INTO fs_named SELECT value FROM json_each(?)", part);
    }
    // The table's columns may have any name, those of `fs_named` too.
    const [key, time] = [`data.${quoted(entityKey)}`, `data.${quoted(timestampColumn)}`];
    const rows = rowsOf<{ entity: string | number; newest: string }>(
      this.#sql,
      // By number, so that no sorter holds their texts. Longer keys are no entity's, and are not even read.
      `SELECT fs_named.entity, newest FROM fs_named JOIN (
           SELECT named.rowid AS id, max(${time}) AS newest
           FROM data CROSS JOIN fs_named AS named ON named.entity = ${isFloat ? key : `CAST(${key} AS TEXT)`}
           WHERE octet_length(${key}) <= ${4 * MAX_NAME_CHARACTERS} GROUP BY 1
         ) ON id = fs_named.rowid WHERE newest IS NOT NULL`,
    );
    return new Map(rows.map(({ entity, newest }) => [String(entity), newest]));
  }

  #numbers() {
    return rowOf<{
      rows: number;
      longest_text: number;
      seq: number;
      tenant: string | null;
      table_id: number | null;
    }>(this.#sql, "SELECT rows, longest_text, seq, tenant, table_id FROM fs_numbers");
  }

  #createRows(schema: RawSchema): void {
    run(this.#sql, `CREATE TABLE IF NOT EXISTS fs_rows (${columnDefinitions(schema.columns)})`);
  }

  /**
   * @param part JSON array of rows; integers keep their digits, since SQLite reads them itself. Of columns that have no
   * cells there, as of those that its request did not know, the rows have none.
   */
  #insert(table: "fs_rows" | "data", schema: RawSchema, part: string): void {
    const cells = schema.columns.map((_, i) => `ref.value ->> ${i}`).join(", ");
    run(this.#sql, `INSERT INTO ${table} (${names(schema)}) SELECT ${cells} FROM json_each(?) AS ref`, part);
  }
}

const names = ({ columns }: RawSchema) => columns.map(([name]) => quoted(name)).join(", ");
