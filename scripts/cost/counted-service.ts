/** The service with its counters, running, and the requests whose cost is counted. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeAssets } from "../assets.ts";
import { freePort } from "../free-port.ts";
import { migrateLocally } from "../local-migrations.ts";
import { startRuntime } from "../runtime.ts";
import { root, runWranglerOrExit } from "../wrangler.ts";
import { type Counts, scaled, sum } from "./counts.ts";

export interface Shape {
  categories: number;
  features: number;
  /** Clients that write at a time, for `groupedWrite`. */
  clients: number;
  /** Entities of a request to `/items/batch`. */
  batch: number;
}

const ENDLESS_MS = 60_000;
/** Nothing counted for so long, and no message on its way: all is done that follows from a request. */
export const QUIET_MS = 300;

/** @param state A directory for all that it writes. */
export async function startCounted(state: string, shape: Shape): Promise<CountedService> {
  const bundle = join(state, "bundle");
  mkdirSync(state, { recursive: true });
  makeAssets();
  const main = join("scripts", "cost", "counted", "index.ts");
  const build = ["deploy", main, "--dry-run", "--outdir", bundle, "--env", ""];
  await Promise.all([runWranglerOrExit(build, "Correct what it names."), migrateLocally(state, undefined)]);
  const port = await freePort();
  // As in production: several writers a tenant, Queues keeps its messages, and every request and event is a line.
  const vars = {
    WRITER_PARTITIONS: "4",
    QUEUE_STORAGE: "durable",
    LOG_LEVEL: "INFO",
    MEMORY_TTL_MS: "60000",
  };
  const config = join(root, "wrangler.toml");
  const runtime = await startRuntime({ config, bundle, state, port, vars });
  return new CountedService(`http://127.0.0.1:${port}`, shape, () => runtime.dispose());
}

export class CountedService {
  readonly #url: string;
  readonly #shape: Shape;
  readonly end: () => Promise<void>;

  constructor(url: string, shape: Shape, end: () => Promise<void>) {
    this.#url = url;
    this.#shape = shape;
    this.end = end;
  }

  /** What one request costs, of some that are made in turn. */
  async each(ids: readonly string[], ask: (id: string) => Promise<void>, quietMs: number): Promise<Counts> {
    const counts = await this.counts(async () => {
      for (const id of ids) await ask(id);
    }, quietMs);
    return perRequest(counts, ids.length);
  }

  /** The same, of some that many clients make at a time. */
  async together(ids: readonly string[], ask: (id: string) => Promise<void>): Promise<Counts> {
    const waiting = [...ids];
    const client = async () => {
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) await ask(id);
    };
    const clients = Array.from({ length: this.#shape.clients });
    const counts = await this.counts(async () => void (await Promise.all(clients.map(client))), QUIET_MS);
    return perRequest(counts, ids.length);
  }

  /** What some work has cost, with all that follows from it behind the answers. */
  async counts(work: () => Promise<void>, quietMs: number): Promise<Counts> {
    await work();
    return this.#counted(quietMs);
  }

  /** @param quietMs How long nothing must have been counted. */
  async #counted(quietMs: number): Promise<Counts> {
    const parts: Counts[] = [];
    const endMs = Date.now() + ENDLESS_MS;
    for (let quietSinceMs = Date.now(); ; ) {
      const { counts, underWay } = await this.#counters();
      parts.push(counts);
      const isQuiet =
        underWay === 0 && counts.objectRequests + counts.consumerBatches + counts.kvWrites === 0;
      if (!isQuiet) quietSinceMs = Date.now();
      if (Date.now() - quietSinceMs >= quietMs) break;
      if (Date.now() > endMs) throw new Error("the service does not come to rest");
      await sleep(50);
    }
    return { ...sum(parts), d1Bytes: parts.at(-1)?.d1Bytes ?? 0 };
  }

  async #counters(): Promise<{ counts: Counts; underWay: number }> {
    const response = await fetch(`${this.#url}/__counters`);
    return (await response.json()) as { counts: Counts; underWay: number };
  }

  async write(id: string): Promise<void> {
    await this.#post("/items", { data: this.#entity(id) });
  }

  async writeBatch(ids: readonly string[]): Promise<void> {
    await this.#post("/items/batch", { data: ids.map((id) => this.#entity(id)) });
  }

  /** Of an entity with all its categories. */
  async read(id: string, headers: Record<string, string> = {}): Promise<void> {
    const feature_list = Array.from({ length: this.#shape.categories }, (_, i) => `category_${i}:*`);
    const body = { data: { entity_type: "bright_uid", entity_value: id, feature_list } };
    await this.#post("/get/items", body, headers);
  }

  #entity(id: string) {
    const { categories, features } = this.#shape;
    const values = Object.fromEntries(
      Array.from({ length: features }, (_, i) => [`feature_${i}`, Math.random() * 1_000]),
    );
    const feature_list = Array.from({ length: categories }, (_, i) => ({
      category: `category_${i}`,
      features: values,
    }));
    return { entity_type: "bright_uid", entity_value: id, feature_list };
  }

  async #post(path: string, body: object, headers: Record<string, string> = {}): Promise<void> {
    const response = await fetch(`${this.#url}/api/v1${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ metadata: { source: "prediction_service" }, ...body }),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${text}`);
  }
}

/** All but the database's size, which is no sum. */
const perRequest = (counts: Counts, requests: number): Counts => ({
  ...scaled(counts, 1 / requests),
  d1Bytes: counts.d1Bytes,
});
