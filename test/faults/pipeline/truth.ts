/** What D1 holds of a tenant, asked past the fault layer while everything else stands still. */
import { env } from "cloudflare:workers";
import { STORE_FAULT } from "../../../worker/compute/compute-store.ts";
import { bindingOf } from "../../../worker/db/entity-databases.ts";
import { placeOf, type Spread } from "../spread.ts";
import type { TableColumn } from "./columns.ts";
import type { AnnouncedRow } from "./deliveries.ts";
import { boundDatabases, type Registered } from "./registered.ts";
import type { StoredVector, WrittenVector } from "./vectors.ts";

const ANNOUNCED = `SELECT event_id AS eventId, entity_type AS entityType, entity_value AS entityValue, category, revision,
    ingested_at AS ingestedAt, data
  FROM feature_history WHERE tenant_id = ? AND event_id IS NOT NULL ORDER BY revision`;
const VECTORS = `SELECT category || ' ' || entity_value AS name, data, event_time AS eventTime
  FROM entities WHERE tenant_id = ? AND data IS NOT NULL`;
const WRITTEN = `SELECT category || ' ' || entity_value || ' ' || revision || ' ' || event_time || ' ' || ingested_at AS id,
    entity_value AS user, category, data
  FROM feature_history WHERE tenant_id = ? AND entity_type = 'user'`;
const PLACED = `SELECT entity_type || '/' || entity_value AS entity FROM entities WHERE tenant_id = ?1
  UNION SELECT 'bright_uid/' || bright_uid FROM bright_uid WHERE tenant_id = ?1
  UNION SELECT entity_type || '/' || entity_value FROM feature_history WHERE tenant_id = ?1`;
const STORE_FAULTS = `SELECT features.name || '@' || version || ': ' || last_error AS text
  FROM computations JOIN features USING (feature_id) WHERE computations.tenant_id = ?1 AND last_error = ?2`;
const STATUSES = "SELECT subscription_id AS id, status FROM subscriptions WHERE tenant_id = ?";
const TABLE = "SELECT retention_days AS retentionDays, columns FROM raw_tables WHERE tenant_id = ?";

export class Truth {
  readonly #tenant: string;
  readonly #spread: Spread | null;
  readonly #databases: readonly D1Database[];

  constructor({ tenant }: Registered, spread: Spread | null) {
    this.#tenant = tenant;
    this.#spread = spread;
    this.#databases = boundDatabases(spread);
  }

  /** Rows of the history that have an event. */
  async announced(): Promise<AnnouncedRow[]> {
    const rows = await this.#rowsOfAll<Omit<AnnouncedRow, "names"> & { data: string }>(ANNOUNCED);
    return rows.map(({ data, ...row }) => ({ ...row, names: Object.keys(JSON.parse(data)) }));
  }

  /** By category and user. */
  async vectors(): Promise<Map<string, StoredVector>> {
    const rows = await this.#rowsOfAll<StoredVector & { name: string }>(VECTORS);
    return new Map(rows.map(({ name, ...vector }) => [name, vector]));
  }

  /** All that was ever written of the users. */
  written(): Promise<WrittenVector[]> {
    return this.#rowsOfAll<WrittenVector>(WRITTEN);
  }

  /** Entities that are where they do not belong, of all databases that are bound. */
  async misplaced(): Promise<string[]> {
    const spread = this.#spread?.databases ?? 1;
    const all = await Promise.all(
      this.#databases.map((database) => this.#rowsIn<{ entity: string }>(database, PLACED)),
    );
    return all.flatMap((rows, number) =>
      rows.flatMap(({ entity }) => {
        const place = placeOf(entity, spread);
        return place === number ? [] : `${entity} is in ${bindingOf(number)}, not in ${bindingOf(place)}`;
      }),
    );
  }

  /** Versions that say that a store has not answered. */
  async storeFaults(): Promise<string[]> {
    return (await this.#rows<{ text: string }>(STORE_FAULTS, STORE_FAULT)).map(({ text }) => text);
  }

  /** Of subscriptions, by id. */
  async statuses(): Promise<Map<string, string>> {
    const rows = await this.#rows<{ id: string; status: string }>(STATUSES);
    return new Map(rows.map(({ id, status }) => [id, status]));
  }

  /** Null: it is gone. */
  async table(): Promise<{ retentionDays: number | null; columns: TableColumn[] } | null> {
    const [table] = await this.#rows<{ retentionDays: number | null; columns: string }>(TABLE);
    return table ? { ...table, columns: JSON.parse(table.columns) } : null;
  }

  async #rowsOfAll<R>(query: string): Promise<R[]> {
    return (await Promise.all(this.#databases.map((database) => this.#rowsIn<R>(database, query)))).flat();
  }

  #rows<R>(query: string, ...others: string[]): Promise<R[]> {
    return this.#rowsIn(env.DB, query, ...others);
  }

  async #rowsIn<R>(database: D1Database, query: string, ...others: string[]): Promise<R[]> {
    const statement = database.prepare(query).bind(this.#tenant, ...others);
    return (await statement.all<R>()).results;
  }
}
