/** What D1 holds of a tenant, asked past the fault layer while everything else stands still. */
import { env } from "cloudflare:workers";
import { STORE_FAULT } from "../../../worker/compute/compute-store.ts";
import type { AnnouncedRow } from "./deliveries.ts";
import type { Registered } from "./registered.ts";
import type { StoredVector, WrittenVector } from "./vectors.ts";

const ANNOUNCED = `SELECT event_id AS eventId, entity_type AS entityType, entity_value AS entityValue, category, revision,
    ingested_at AS ingestedAt, data
  FROM feature_history WHERE tenant_id = ? AND event_id IS NOT NULL ORDER BY revision`;
const VECTORS = `SELECT category || ' ' || entity_value AS name, data, event_time AS eventTime
  FROM entities WHERE tenant_id = ? AND data IS NOT NULL`;
const WRITTEN = `SELECT category || ' ' || entity_value || ' ' || revision || ' ' || event_time || ' ' || ingested_at AS id,
    entity_value AS user, category, data
  FROM feature_history WHERE tenant_id = ? AND entity_type = 'user'`;
const STORE_FAULTS = `SELECT features.name || '@' || version || ': ' || last_error AS text
  FROM computations JOIN features USING (feature_id) WHERE computations.tenant_id = ?1 AND last_error = ?2`;
const STATUSES = "SELECT subscription_id AS id, status FROM subscriptions WHERE tenant_id = ?";
const TABLE = "SELECT retention_days AS retentionDays FROM raw_tables WHERE tenant_id = ?";

export class Truth {
  readonly #tenant: string;

  constructor({ tenant }: Registered) {
    this.#tenant = tenant;
  }

  /** Rows of the history that have an event. */
  async announced(): Promise<AnnouncedRow[]> {
    const rows = await this.#rows<Omit<AnnouncedRow, "names"> & { data: string }>(ANNOUNCED);
    return rows.map(({ data, ...row }) => ({ ...row, names: Object.keys(JSON.parse(data)) }));
  }

  /** By category and user. */
  async vectors(): Promise<Map<string, StoredVector>> {
    const rows = await this.#rows<StoredVector & { name: string }>(VECTORS);
    return new Map(rows.map(({ name, ...vector }) => [name, vector]));
  }

  /** All that was ever written of the users. */
  written(): Promise<WrittenVector[]> {
    return this.#rows<WrittenVector>(WRITTEN);
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
  async table(): Promise<{ retentionDays: number | null } | null> {
    const [table = null] = await this.#rows<{ retentionDays: number | null }>(TABLE);
    return table;
  }

  async #rows<R>(query: string, ...others: string[]): Promise<R[]> {
    return (
      await env.DB.prepare(query)
        .bind(this.#tenant, ...others)
        .all<R>()
    ).results;
  }
}
