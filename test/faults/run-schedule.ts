/** Runs one schedule to its end: operations among faults, then none, then everything has to come right. */
import { env } from "cloudflare:workers";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import { documentKey } from "../../worker/keys.ts";
import { Log } from "../../worker/log.ts";
import { decodeDocument } from "../../worker/serving/document.ts";
import { settleSpread } from "../../worker/tenants/spread.ts";
import { UNRESOLVED_INTENT_MS } from "../../worker/timings.ts";
import { EntityWriter } from "../../worker/writing/entity-writer.ts";
import { FaultLayer } from "./bindings.ts";
import { Client, type Counts } from "./client.ts";
import { chance, randomOf } from "./decide.ts";
import { wholeStorage } from "./hosted-storage.ts";
import { Judge } from "./judge.ts";
import { namespaceOf, ObjectHost } from "./object-host.ts";
import type { Ran } from "./report.ts";
import { ENTITIES, nameOf, type Schedule } from "./schedule.ts";
import { Stores } from "./stores.ts";
import { Timeline } from "./timeline.ts";
import { World } from "./world.ts";

const ALL = [...new Map(ENTITIES.map((entity) => [nameOf(entity), entity])).values()];
/** Everything that is under way comes to its end within this, an alarm follows an alarm. */
const MOST_ALARMS = 30;

let made = 0;

export async function runSchedule(
  schedule: Schedule,
  state: DurableObjectState,
  spared: ReadonlySet<number> = new Set(),
): Promise<Ran> {
  made += 1;
  await wholeStorage(state).deleteAll();
  const run = new Run(schedule, state, { spared, tenant: `faults-${schedule.seed}-${made}` });
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
  readonly #host: ObjectHost<EntityWriter>;
  readonly #clients: Client[];
  readonly #state: DurableObjectState;
  readonly #tenant: string;
  readonly #counts: Counts = { acknowledged: 0, refused: 0, repeated: 0, reads: 0, failedReads: 0 };
  readonly #stores: Stores;
  #open = 0;

  constructor(
    schedule: Schedule,
    state: DurableObjectState,
    { spared, tenant }: { spared: ReadonlySet<number>; tenant: string },
  ) {
    const { seed } = schedule;
    this.#schedule = schedule;
    this.#state = state;
    this.#tenant = tenant;
    this.#world = new World(randomOf(seed, 11), randomOf(seed, 12));
    this.#layer = new FaultLayer(this.#world, schedule, spared);
    this.#timeline = new Timeline(tenant);
    this.#judge = new Judge(this.#timeline);
    const shared = { layer: this.#layer, timeline: this.#timeline, judge: this.#judge };
    this.#stores = new Stores({ ...shared, schedule, onTaken: (events) => this.#taken(events) });
    const all = this.#stores.env;
    this.#host = new ObjectHost({
      world: this.#world,
      layer: this.#layer,
      name: "writer",
      state,
      storage: wholeStorage(state),
      make: (own) => new EntityWriter(own, all),
    });
    all.ENTITY_WRITER = namespaceOf(env.ENTITY_WRITER, () => this.#host.stub());
    const world = { env: all, tenant, world: this.#world, ...shared, counts: this.#counts };
    const client = () => new Client(world);
    this.#clients = [client(), client()];
  }

  async toTheEnd(): Promise<void> {
    const world = this.#world;
    try {
      // A route has the catalog before it comes to a writer.
      await settleSpread({ env: this.#stores.env, log: SILENT }, this.#tenant, {
        found: 1,
        askedMs: Date.now(),
      });
      for (const operation of this.#schedule.operations) {
        const client = this.#clients[operation.client];
        const isEviction = operation.action.do === "evict";
        const act = () =>
          isEviction ? this.#host.kill("evicted") : client && this.#act(() => client.run(operation));
        world.after(operation.atMs, {
          label: "operation",
          actor: world.actor("client"),
          act: () => void act(),
        });
        this.#open += isEviction ? 0 : 1;
      }
      await world.run(() => this.#open === 0);
      world.isHealthy = true;
      world.note("all is well from here on");
      if (world.chance() < 0.5) this.#host.kill("evicted at the end");
      await this.#settle();
      await this.#check();
      if (chance(this.#schedule.seed, 5) < 0.5) await this.#afterwards();
    } catch (cause) {
      this.#judge.complain(`${cause instanceof Error ? cause.stack : cause}`);
    }
  }

  result(): Ran {
    const { violations } = this.#timeline;
    const { happened, faulted, calls } = this.#layer;
    const counts = {
      ...this.#counts,
      calls,
      transactions: this.#timeline.now,
      events: this.#stores.events,
      instances: this.#host.instances,
    };
    return { violations, log: this.#world.log, counts, happened, faulted };
  }

  /** Once more, with nothing in the way: repetitions, reads, and a write to each, which the caches must follow. */
  async #afterwards(): Promise<void> {
    this.#host.kill("evicted for the repetitions");
    const moment = this.#timeline.now;
    for (const client of this.#clients) await this.#perform(() => client.repeatAll());
    await this.#settle();
    if (this.#timeline.hasMovedSince(moment)) {
      this.#judge.complain("a repetition has changed something");
    }
    const [client] = this.#clients;
    if (!client) return;
    for (const consistency of ["strong", "edge"] as const) {
      await this.#perform(() => client.read({ consistency, entities: ALL }));
    }
    const categories = [{ category: "a", mode: "merge" as const, eventSecond: null, names: ["x"] }];
    const changes = ALL.map((entity, i) => ({
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

  /** Everything under way ends, and what is owed is paid by alarms; late enough that nothing unknown can land. */
  async #settle(): Promise<void> {
    const world = this.#world;
    for (let alarms = 0; alarms < MOST_ALARMS; alarms++) {
      await world.run(() => world.waitsOnlyFor("alarm"));
      if (!this.#owes()) return;
      if (this.#host.alarmAtMs === null) return this.#judge.complain("something is owed and no alarm is set");
      // An alarm may be late. The second one is, so that it need not be asked a dozen times what may still land.
      const lateMs = alarms === 1 ? UNRESOLVED_INTENT_MS : 0;
      world.nowMs = Math.max(world.nowMs, this.#host.alarmAtMs) + lateMs;
      const { alarms: before } = this.#host;
      await world.run(() => this.#host.alarms > before);
    }
    this.#judge.complain("something is still owed after many alarms");
  }

  #owes(): boolean {
    const count = (sql: string) => this.#state.storage.sql.exec<{ n: number }>(sql).one().n;
    if (this.#host.instances === 0) return false;
    return (
      count("SELECT count(*) AS n FROM intents") +
        count("SELECT count(*) AS n FROM documents WHERE dirty = 1") >
      0
    );
  }

  async #check(): Promise<void> {
    this.#judge.everythingEnded();
    for (const entity of ALL) {
      const key = await documentKey(this.#tenant, 1, entity);
      if (!this.#stores.isCurrent(key)) continue;
      const text = await env.HOT.get(key);
      const document = text === null ? null : decodeDocument(text);
      if (document) this.#judge.cached(nameOf(entity), document);
    }
  }

  /** A queue in memory is told by its consumer. */
  #taken(events: readonly FeatureAvailable[]): void {
    if (this.#schedule.queueStorage === "durable") return;
    const ids = events.map(({ event_id: id }) => id);
    const identity = { tenant: this.#tenant, partitions: 1 };
    // It tells whoever lives in the object now.
    const act = () => void this.#host.invoke("confirm", [identity, ids]).catch(() => {});
    const consumer = this.#world.actor("consumer");
    this.#world.after(this.#world.someMs(200), { label: "consumer", actor: consumer, act });
  }
}
