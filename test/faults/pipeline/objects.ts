/** The Durable Objects of one tenant: its writers, its raw table, its statistics, and one for each subscription. */
import { env } from "cloudflare:workers";
import { RawTable } from "../../../worker/compute/raw-table.ts";
import { bindingOf } from "../../../worker/db/entity-databases.ts";
import { rowOf, rowsOf } from "../../../worker/db/object-sql.ts";
import { Subscriber } from "../../../worker/events/subscriber.ts";
import type { SubscriptionKey } from "../../../worker/events/subscription-store.ts";
import { subscriberName } from "../../../worker/keys.ts";
import { FeatureStats } from "../../../worker/registry/stats/feature-stats.ts";
import { EntityWriter } from "../../../worker/writing/entity-writer.ts";
import type { FaultLayer } from "../bindings.ts";
import { prefixedStorage, storageOfTables } from "../hosted-storage.ts";
import { type HostedStorage, namespaceOf, ObjectHost } from "../object-host.ts";
import type { Actor, World } from "../world.ts";
import type { StoredRow } from "./rows.ts";
import { ADDED_COLUMNS, type OBJECTS, type Schedule } from "./schedule.ts";

interface ObjectDependencies {
  world: World;
  layer: FaultLayer;
  state: DurableObjectState;
  schedule: Schedule;
}

type Host = ObjectHost<{ alarm?(): void | Promise<void> }>;

const JOB_PAGE = 2;

export class Objects {
  readonly #d: ObjectDependencies;
  readonly #hosts = new Map<string, Host>();
  /** One of each database. */
  readonly #writers: Host[];
  readonly #table: Host;
  readonly #stats: Host;
  /** Of the name by which the table is first asked for. */
  #tableId: DurableObjectId | null = null;
  #env: Env | null = null;
  #seenIngests = 0;

  constructor(dependencies: ObjectDependencies) {
    this.#d = dependencies;
    const { state } = dependencies;
    const { spread } = dependencies.schedule;
    this.#writers = Array.from({ length: spread?.databases ?? 1 }, (_, number) =>
      this.#host(spread ? `writer of ${bindingOf(number)}` : "writer", {
        storage: prefixedStorage(state, `w${number}_`),
        make: (own) => new EntityWriter(own, this.#given()),
      }),
    );
    this.#table = this.#host("table", {
      storage: storageOfTables(state, "fs\\_%"),
      make: (own) => new RawTable(Object.create(own, { id: { get: () => this.#tableId } }), this.#given()),
    });
    this.#stats = this.#host("stats", {
      storage: prefixedStorage(state, "f_"),
      make: (own) => new FeatureStats(own, this.#given()),
    });
  }

  /** Puts them in the place of the real ones. */
  bind(all: Env): void {
    this.#env = all;
    all.ENTITY_WRITER = namespaceOf(env.ENTITY_WRITER, (name) => this.#writerNamed(name).stub());
    all.RAW_TABLE = namespaceOf(env.RAW_TABLE, (name) => {
      this.#tableId ??= env.RAW_TABLE.idFromName(name);
      return this.#table.stub((...call) => this.#smaller(...call));
    });
    all.FEATURE_STATS = namespaceOf(env.FEATURE_STATS, () => this.#stats.stub());
    all.SUBSCRIBER = namespaceOf(env.SUBSCRIBER, (name) => this.#subscriber(name).stub());
  }

  get hosts(): Host[] {
    return [...this.#hosts.values()];
  }

  get subscribers(): Host[] {
    return this.hosts.filter(({ name }) => name.startsWith("subscriber"));
  }

  get alarms(): number {
    return this.hosts.reduce((total, { alarms }) => total + alarms, 0);
  }

  sqlOf(who: Actor): SqlStorage {
    const own = this.hosts.find(({ name }) => who.name.startsWith(`${name} `));
    if (!own) throw new Error(`${who.name} keeps nothing`);
    return own.sql;
  }

  evict(object: (typeof OBJECTS)[number]): void {
    const groups = { subscribers: this.subscribers, writer: this.#writers };
    const evicted = object === "table" || object === "stats" ? [this.#hosts.get(object)] : groups[object];
    for (const host of evicted) host?.kill("evicted");
  }

  /** The rows of the table, if it has changed since this was last asked; else null. */
  changedRows(): StoredRow[] | null {
    if (this.#table.instances === 0) return null;
    const { seq } = rowOf<{ seq: number }>(this.#table.sql, "SELECT seq FROM fs_numbers");
    if (seq === this.#seenIngests) return null;
    this.#seenIngests = seq;
    return this.rows();
  }

  rows(): StoredRow[] {
    const { sql } = this.#table;
    const columns = rowsOf<{ name: string }>(sql, "SELECT name FROM pragma_table_info('fs_rows')");
    if (columns.length === 0) return [];
    const names = new Set(columns.map(({ name }) => name));
    const added = ADDED_COLUMNS.map((name) => (names.has(name) ? `"${name}"` : `NULL AS "${name}"`));
    const query = `SELECT "user", amount, "at", ${added.join(", ")} FROM fs_rows ORDER BY rowid`;
    return rowsOf(sql, query) as unknown as StoredRow[];
  }

  /** What somebody still has to do, in words; null when all is done. */
  owes(): string | null {
    const owed = [
      ...this.#writers.map((host) => [`the ${host.name}`, host, OWED_BY_WRITER] as const),
      ["the table", this.#table, OWED_BY_TABLE],
      ...this.subscribers.map((host) => [host.name, host, OWED_BY_SUBSCRIBER] as const),
    ] as const;
    const debtors = owed.filter(
      ([, host, query]) => host.instances > 0 && rowOf<{ n: number }>(host.sql, query).n > 0,
    );
    return debtors.length === 0 ? null : debtors.map(([name]) => name).join(" and ");
  }

  /** Whether the table holds nothing, and has heard that it is gone, if it has heard of anything. */
  get isTableDropped(): boolean {
    if (this.#table.instances === 0) return true;
    return rowsOf(this.#table.sql, "SELECT 1 FROM sqlite_schema WHERE name = 'fs_dropped'").length > 0;
  }

  /** How many values of a version the statistics have counted. */
  counted(feature: string, version: number): number {
    if (this.#stats.instances === 0) return 0;
    const query = `SELECT coalesce(sum(value_count), 0) AS n FROM hours WHERE series_id IN
      (SELECT series_id FROM series WHERE feature = ? AND version = ? AND slot = '')`;
    return rowOf<{ n: number }>(this.#stats.sql, query, feature, version).n;
  }

  /** Whether the object of a subscription has heard that it is gone. */
  isDropped(key: SubscriptionKey): boolean {
    const sql = this.#keptOf(key);
    return sql !== null && rowsOf(sql, "SELECT 1 FROM notes WHERE name = 'dropped'").length > 0;
  }

  countOf(key: SubscriptionKey, status: "pending" | "dead"): number {
    const sql = this.#keptOf(key);
    const count = "SELECT deliveries AS n FROM totals WHERE status = ?";
    return sql === null ? 0 : rowOf<{ n: number }>(sql, count, status).n;
  }

  #keptOf({ tenantId, subscriptionId }: SubscriptionKey): SqlStorage | null {
    const host = this.#hosts.get(subscriberName(tenantId, subscriptionId));
    return host && host.instances > 0 ? host.sql : null;
  }

  /** @param name Such as `<tenant>/1/0`. */
  #writerNamed(name: string): Host {
    const host = this.#writers[Number(name.split("/").at(-1))];
    if (!host) throw new Error(`there is no writer ${name}`);
    return host;
  }

  #given(): Env {
    if (!this.#env) throw new Error("nothing is bound yet");
    return this.#env;
  }

  #subscriber(name: string): Host {
    const known = this.#hosts.get(name);
    if (known) return known;
    const number = this.subscribers.length + 1;
    return this.#host(`subscriber ${number}`, {
      storage: prefixedStorage(this.#d.state, `s${number}_`),
      make: (own) => new Subscriber(own, this.#given()),
      key: name,
    });
  }

  #host(
    name: string,
    hosted: { storage: HostedStorage; make: (state: DurableObjectState) => object; key?: string },
  ): Host {
    const { world, layer, state } = this.#d;
    const { storage, make, key = name } = hosted;
    const host: Host = new ObjectHost({ world, layer, name, state, storage, make });
    this.#hosts.set(key, host);
    return host;
  }

  /** So that jobs have several pages, though there are few entities. */
  #smaller(method: string, parameters: unknown[]): unknown[] {
    const [first, second, ...others] = parameters;
    if (method === "compute") {
      const { job, ...request } = first as { job: { moreThan: number } | null };
      const smaller = job && { ...job, moreThan: this.#d.schedule.mostInline };
      return [{ ...request, job: smaller }];
    }
    if (method === "jobPage") return [first, { ...(second as object), limit: JOB_PAGE }];
    return [first, second, ...others];
  }
}

const OWED_BY_WRITER = `SELECT (SELECT count(*) FROM intents) AS n`;
const OWED_BY_TABLE = `SELECT (SELECT count(*) FROM fs_followers AS f WHERE EXISTS (
    SELECT 1 FROM fs_touched AS t WHERE t.entity_key = f.entity_key AND t.seq > f.seq))
  + (SELECT count(*) FROM fs_debts) + (SELECT count(*) FROM fs_under_way) + (SELECT count(*) FROM fs_jobs) AS n`;
/** One that is paused may wait for as long as it likes; one that is gone must have heard so. */
const OWED_BY_SUBSCRIBER = `SELECT (SELECT count(*) FROM notes WHERE name = 'look_by')
  + iif((SELECT body ->> 'status' FROM notes WHERE name = 'subscription') = 'paused', 0,
      (SELECT count(*) FROM heads) + (SELECT count(*) FROM notes WHERE name = 'replay')) AS n`;
