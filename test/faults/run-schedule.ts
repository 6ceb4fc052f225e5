/** Runs one schedule to its end: operations among faults, then none, then everything has to come right. */
import { env } from "cloudflare:workers";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import { documentKey } from "../../worker/keys.ts";
import { Log } from "../../worker/log.ts";
import { decodeDocument } from "../../worker/serving/document.ts";
import { settleSpread } from "../../worker/tenants/spread.ts";
import { FaultLayer } from "./bindings.ts";
import { Brought } from "./brought.ts";
import { Client, type Counts } from "./client.ts";
import { chance, randomOf } from "./decide.ts";
import { Front } from "./front.ts";
import { wholeStorage } from "./hosted-storage.ts";
import { Judge } from "./judge.ts";
import type { Ran } from "./report.ts";
import { nameOf, type Operation, type Schedule } from "./schedule.ts";
import { ENTITIES, type Entity, MORE_ENTITIES, placeOf } from "./spread.ts";
import { Stores } from "./stores.ts";
import { faultOfTenant, makeTenant } from "./tenant.ts";
import { Timeline } from "./timeline.ts";
import { World } from "./world.ts";
import { Writers } from "./writers.ts";

let made = 0;

export async function runSchedule(
  schedule: Schedule,
  state: DurableObjectState,
  spared: ReadonlySet<number> = new Set(),
): Promise<Ran> {
  made += 1;
  await wholeStorage(state).deleteAll();
  const tenant = `faults-${schedule.seed}-${made}`;
  const key = schedule.spread && (await makeTenant(tenant, schedule.spread));
  const run = new Run(schedule, state, { spared, tenant, key });
  await run.toTheEnd();
  return run.result();
}

const SILENT = new Log("test", { level: "ERROR", readable: false });

class Run {
  readonly #schedule: Schedule;
  readonly #world: World;
  readonly #layer: FaultLayer;
  readonly #timeline: Timeline;
  readonly #judge: Judge;
  readonly #writers: Writers;
  readonly #clients: Client[];
  readonly #tenant: string;
  readonly #counts: Counts = {
    acknowledged: 0,
    refused: 0,
    repeated: 0,
    reads: 0,
    pastReads: 0,
    failedReads: 0,
  };
  readonly #stores: Stores;
  readonly #entities: readonly Entity[];
  readonly #placeOf: (entity: string) => number;
  /** By the keys of their documents. */
  readonly #entityOf = new Map<string, string>();
  #open = 0;

  constructor(
    schedule: Schedule,
    state: DurableObjectState,
    { spared, tenant, key }: { spared: ReadonlySet<number>; tenant: string; key: string | null },
  ) {
    const { seed, spread } = schedule;
    const databases = spread?.databases ?? 1;
    this.#schedule = schedule;
    const entities = spread ? MORE_ENTITIES : ENTITIES;
    this.#entities = [...new Map(entities.map((entity) => [nameOf(entity), entity])).values()];
    this.#tenant = tenant;
    this.#world = new World(randomOf(seed, 11), randomOf(seed, 12));
    this.#layer = new FaultLayer(this.#world, schedule, spared);
    this.#placeOf = (entity) => placeOf(entity, databases);
    this.#timeline = new Timeline(tenant, this.#placeOf);
    this.#judge = new Judge(this.#timeline);
    const [world, layer] = [this.#world, this.#layer];
    const shared = { world, layer, timeline: this.#timeline, judge: this.#judge };
    const brought = new Brought();
    this.#stores = new Stores({
      ...shared,
      schedule,
      brought,
      entityOf: (key) => this.#entityOf.get(key) ?? null,
      onTaken: (events) => this.#taken(events),
    });
    const all = this.#stores.env;
    this.#writers = new Writers({ world, layer, state, tenant, databases, env: all });
    all.ENTITY_WRITER = this.#writers.namespace;
    const front =
      key === null
        ? null
        : new Front({ world, env: all, key, complain: (text) => this.#judge.complain(text) });
    const { memoryTtlMs } = schedule;
    const counts = this.#counts;
    const own = { env: all, tenant, counts, placeOf: this.#placeOf, front, brought, memoryTtlMs };
    const client = () => new Client({ ...shared, ...own });
    this.#clients = [client(), client()];
  }

  async toTheEnd(): Promise<void> {
    const world = this.#world;
    try {
      for (const entity of this.#entities)
        this.#entityOf.set(await documentKey(this.#tenant, 1, entity), nameOf(entity));
      // A route has the catalog before it comes to a writer; of several databases it is asked for as all else is.
      if (!this.#schedule.spread)
        await settleSpread({ env: this.#stores.env, log: SILENT }, this.#tenant, {
          found: 1,
          askedMs: Date.now(),
        });
      for (const operation of this.#schedule.operations) this.#plan(operation);
      await world.run(() => this.#open === 0);
      world.isHealthy = true;
      world.note("all is well from here on");
      if (world.chance() < 0.5) this.#writers.kill("evicted at the end");
      await this.#settle();
      await this.#check();
      if (chance(this.#schedule.seed, 5) < 0.5) await this.#afterwards();
    } catch (cause) {
      this.#judge.complain(`${cause instanceof Error ? cause.stack : cause}`);
    }
  }

  #plan(operation: Operation): void {
    const { action, atMs } = operation;
    const world = this.#world;
    const client = this.#clients[operation.client];
    const act = () => {
      if (action.do === "evict") this.#writers.kill("evicted", action.writer);
      else if (client) void this.#act(() => client.run(operation));
    };
    world.after(atMs, { label: "operation", actor: world.actor("client"), act });
    this.#open += action.do === "evict" ? 0 : 1;
  }

  result(): Ran {
    const { violations } = this.#timeline;
    const { happened, faulted, calls } = this.#layer;
    const counts = {
      ...this.#counts,
      calls,
      transactions: this.#timeline.now,
      events: this.#stores.events,
      instances: this.#writers.instances,
      withSeveralDatabases: this.#schedule.spread ? 1 : 0,
    };
    return { violations, log: this.#world.log, counts, happened, faulted };
  }

  /** Once more, with nothing in the way: repetitions, reads, and a write to each, which the caches must follow. */
  async #afterwards(): Promise<void> {
    this.#writers.kill("evicted for the repetitions");
    const moment = this.#timeline.now;
    for (const client of this.#clients) await this.#perform(() => client.repeatAll());
    await this.#settle();
    if (this.#timeline.hasMovedSince(moment)) {
      this.#judge.complain("a repetition has changed something");
    }
    const [client] = this.#clients;
    if (!client) return;
    for (const consistency of ["strong", "edge"] as const) {
      await this.#perform(() => client.read({ consistency, entities: this.#entities }));
    }
    const categories = [{ category: "a", mode: "merge" as const, eventSecond: null, names: ["x"] }];
    const changes = this.#entities.map((entity, i) => ({
      kind: "write" as const,
      n: 1_000 + i,
      entity,
      isConditional: false,
      categories,
    }));
    const action = { do: "change" as const, changes, hasKey: false, through: "another" as const };
    await this.#perform(() => client.run({ id: 1_000, atMs: 0, client: 0, action }));
    await this.#settle();
    await this.#check();
  }

  async #act(work: () => Promise<void>): Promise<void> {
    await work();
    this.#open -= 1;
  }

  async #perform(work: () => Promise<void>): Promise<void> {
    this.#open += 1;
    const act = () => void this.#act(work).catch((cause) => this.#judge.complain(`${cause}`));
    this.#world.after(0, { label: "client", actor: this.#world.actor("client"), act });
    await this.#world.run(() => this.#open === 0);
    if (this.#open > 0) this.#judge.complain("a client was never answered");
    this.#open = 0;
  }

  async #settle(): Promise<void> {
    const fault = await this.#writers.settle();
    if (fault !== null) this.#judge.complain(fault);
  }

  async #check(): Promise<void> {
    this.#judge.everythingEnded();
    const { spread } = this.#schedule;
    const fault = spread && (await faultOfTenant(this.#tenant, spread));
    if (fault) this.#judge.complain(fault);
    for (const [key, entity] of this.#entityOf) {
      if (!this.#stores.isCurrent(key)) continue;
      const text = await env.HOT.get(key);
      const document = text === null ? null : decodeDocument(text);
      if (document) this.#judge.cached(entity, document);
    }
  }

  /** A queue in memory is told by its consumer. */
  #taken(events: readonly FeatureAvailable[]): void {
    if (this.#schedule.queueStorage === "durable") return;
    const byPlace = Map.groupBy(events, ({ entity_type: type, entity_id: id }) =>
      this.#placeOf(`${type}/${id}`),
    );
    for (const [place, own] of byPlace) {
      const ids = own.map(({ event_id: id }) => id);
      const act = () => this.#writers.confirm(place, ids);
      const consumer = this.#world.actor("consumer");
      this.#world.after(this.#world.someMs(200), { label: "consumer", actor: consumer, act });
    }
  }
}
