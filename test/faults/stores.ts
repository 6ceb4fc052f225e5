/** The stores of one schedule: the real bindings behind the fault layer, and what KV has shown. */
import { env } from "cloudflare:workers";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import { decodeDocument } from "../../worker/serving/document.ts";
import { type CacheCall, type DatabaseCall, type QueueCall, watched } from "../setup/faults.ts";
import type { FaultLayer } from "./bindings.ts";
import type { Brought } from "./brought.ts";
import type { Judge } from "./judge.ts";
import { withReplica } from "./replicas.ts";
import type { Schedule } from "./schedule.ts";
import { rateAt } from "./spread.ts";
import type { Timeline } from "./timeline.ts";
import { START_MS, type World } from "./world.ts";

interface StoreDependencies {
  world: World;
  layer: FaultLayer;
  schedule: Schedule;
  timeline: Timeline;
  judge: Judge;
  brought: Brought;
  /** The entity of a document; null: of none of these. */
  entityOf: (key: string) => string | null;
  /** The queue has taken events. */
  onTaken: (events: readonly FeatureAvailable[]) => void;
}

export class Stores {
  readonly env: Env;
  events = 0;
  readonly #d: StoreDependencies;
  /** Texts that KV has had, by key: what it may still show somewhere. */
  readonly #shown = new Map<string, (string | null)[]>();
  /** Keys whose last put was lost though KV said that it was taken. */
  readonly #lost = new Set<string>();

  constructor(dependencies: StoreDependencies) {
    this.#d = dependencies;
    this.env = this.#env();
  }

  /** Whether KV has something of the key that it was not prevented from keeping current. */
  isCurrent(key: string): boolean {
    return this.#shown.has(key) && !this.#lost.has(key);
  }

  #env(): Env {
    const { queueStorage, memoryTtlMs } = this.#d.schedule;
    const variables = {
      QUEUE_STORAGE: queueStorage,
      MEMORY_TTL_MS: String(memoryTtlMs),
      WRITER_PARTITIONS: "1",
      METRICS: "off",
    } as Parameters<typeof watched>[1];
    const faults = {
      database: (call: DatabaseCall, run: () => Promise<unknown>) => this.#database(call, run),
      cache: (call: CacheCall, run: () => Promise<unknown>) => this.#cache(call, run),
      queue: (call: QueueCall, run: () => Promise<unknown>) => this.#queue(call, run),
    };
    const all = watched(faults, variables, env.QUEUE_WITHOUT_CONSUMER, this.#databases());
    all.alongside = this.#d.timeline;
    return { ...all.env, RATE_LIMIT: "off" } as unknown as Env;
  }

  #databases(): D1Database[] {
    const { schedule, world } = this.#d;
    if (!schedule.spread) return [env.DB];
    const lag = (most: number) => (most === 0 ? 0 : Math.floor(world.chance() * (most + 1)));
    const all = [
      [env.DB, env.REPLICA],
      [env.DB_1, env.REPLICA_1],
      [env.DB_2, env.REPLICA_2],
    ];
    return all.slice(0, schedule.spread.bound).map(([primary, replica]) => {
      if (!primary || !replica) throw new Error("these schedules need all databases of vitest.config.ts");
      return withReplica(primary, replica, lag);
    });
  }

  #database({ database, writes }: DatabaseCall, run: () => Promise<unknown>): Promise<unknown> {
    const { schedule, layer, world } = this.#d;
    const { spread, rates } = schedule;
    const operation = writes ? "write" : "read";
    const label = database === 0 ? `database ${operation}` : `database ${database} ${operation}`;
    const facts = { database, ms: world.nowMs - START_MS, ofFirst: rates.database };
    return layer.call(
      { store: "database", operation, label, ...(spread && { rate: rateAt(spread, facts) }) },
      run,
    );
  }

  async #cache(call: CacheCall, run: () => Promise<unknown>): Promise<unknown> {
    const answer = await this.#ask(call, run);
    const { kind, keys } = call;
    if (kind === "get") this.#bring(keys[0] ?? "", answer);
    else if (answer instanceof Map) for (const [key, text] of answer) this.#bring(key, text);
    return answer;
  }

  #bring(key: string, text: unknown): void {
    const entity = this.#d.entityOf(key);
    const document = typeof text === "string" ? decodeDocument(text) : null;
    if (entity !== null && document) this.#d.brought.note(entity, document.revision, this.#d.world.nowMs);
  }

  #ask(call: CacheCall, run: () => Promise<unknown>): Promise<unknown> {
    const { kind, keys, text } = call;
    const operation = kind === "bulk get" ? "get" : kind;
    const label = `cache ${kind} ${keys.length}`;
    const observed = async () => {
      const answer = await run();
      if (operation !== "get") for (const key of keys) this.#show(key, text);
      return answer;
    };
    return this.#d.layer.call(
      { store: "cache", operation, label },
      observed,
      async ({ kind: fault, pick }) => {
        if (fault === "partial answer") return partOf(await observed(), pick);
        if (fault === "lost") for (const key of keys) this.#lost.add(key);
        const old = (key: string) => {
          const all = [null, ...(this.#shown.get(key) ?? [])];
          return all[Math.floor(pick * all.length)] ?? null;
        };
        return kind === "bulk get" ? new Map(keys.map((key) => [key, old(key)])) : old(keys[0] ?? "");
      },
    );
  }

  #show(key: string, text: string | null): void {
    this.#lost.delete(key);
    this.#shown.set(key, [...(this.#shown.get(key) ?? []), text]);
  }

  #queue({ events }: QueueCall, run: () => Promise<unknown>): Promise<unknown> {
    const label = `queue send ${events.map(({ revision }) => revision).join()}`;
    return this.#d.layer.call({ store: "queue", operation: "send", label }, async () => {
      await run();
      this.events += events.length;
      for (const event of events) this.#d.judge.take(event);
      this.#d.onTaken(events);
    });
  }
}

/** Each key is looked for on its own: here and there one is missed. */
function partOf(answer: unknown, pick: number): unknown {
  if (!(answer instanceof Map)) return null;
  const missed = Math.floor(pick * answer.size);
  return new Map([...answer].map(([key, text], i) => [key, i === missed ? null : text]));
}
