/** All that takes part in one schedule, put together. */
import { consumeCompute } from "../../../worker/compute/consumer.ts";
import { consumeAvailability } from "../../../worker/events/consumer.ts";
import type { FeatureAvailable } from "../../../worker/events/feature-available.ts";
import { type DatabaseCall, watched } from "../../setup/faults.ts";
import { FaultLayer } from "../bindings.ts";
import { randomOf } from "../decide.ts";
import { Front } from "../front.ts";
import { rateAt } from "../spread.ts";
import { START_MS, World } from "../world.ts";
import { Asking } from "./asking.ts";
import { ColumnUsers } from "./column-users.ts";
import { TableColumns } from "./columns.ts";
import { Deliveries } from "./deliveries.ts";
import { Objects } from "./objects.ts";
import { Owners } from "./owners.ts";
import { VirtualQueue } from "./queues.ts";
import { Receivers } from "./receivers.ts";
import { boundDatabases, COLUMNS, type Registered } from "./registered.ts";
import { Rows } from "./rows.ts";
import { FILTERS, type Schedule } from "./schedule.ts";
import { Truth } from "./truth.ts";
import { Users } from "./users.ts";

interface Given {
  schedule: Schedule;
  registered: Registered;
  state: DurableObjectState;
  spared: ReadonlySet<number>;
}

export class Parts {
  readonly violations: string[] = [];
  readonly complain = (text: string) => void this.violations.push(text);
  readonly world: World;
  readonly layer: FaultLayer;
  readonly truth: Truth;
  readonly rows: Rows;
  readonly columns = new TableColumns(this.complain, COLUMNS);
  readonly deliveries = new Deliveries(this.complain);
  readonly objects: Objects;
  readonly receivers: Receivers;
  readonly queues: VirtualQueue[];
  readonly asking: Asking;
  readonly users: Users;
  readonly columnUsers: ColumnUsers;
  readonly owners: Owners;
  events = 0;
  /** Messages that came as often as they may. */
  givenUp = 0;
  readonly #front: Front;
  readonly #schedule: Schedule;

  constructor({ schedule, registered, state, spared }: Given) {
    const { complain, deliveries } = this;
    this.#schedule = schedule;
    this.truth = new Truth(registered, schedule.spread);
    this.rows = new Rows(complain, schedule.table.retentionDays);
    const { seed } = schedule;
    const world = new World(randomOf(seed, 111), randomOf(seed, 112));
    const layer = new FaultLayer(world, schedule, spared);
    [this.world, this.layer] = [world, layer];
    world.look = () => this.#look();
    this.objects = new Objects({ world, layer, state, schedule });
    this.receivers = new Receivers({ world, layer, deliveries, sqlOf: (who) => this.objects.sqlOf(who) });
    world.fetch = this.receivers.fetch;
    deliveries.created(registered.subscription.path, FILTERS[0], -1);
    const all = this.#env(schedule);
    this.queues = this.#queuesOf(all, schedule);
    this.objects.bind(all);
    this.#front = new Front({ world, env: all, key: registered.key, complain });
    const { rows, columns } = this;
    this.asking = new Asking({ world, front: this.#front, complain, mayBeGone: () => rows.isDropped });
    const asked = { world, registered, complain, asking: this.asking };
    this.users = new Users({
      ...asked,
      rows,
      columns,
      vectors: () => this.truth.vectors(),
      written: () => this.truth.written(),
    });
    this.columnUsers = new ColumnUsers({ ...asked, rows, columns });
    const keyOf = (subscriptionId: string) => ({ tenantId: registered.tenant, subscriptionId });
    this.owners = new Owners({
      ...asked,
      deliveries,
      receivers: this.receivers,
      announced: () => this.truth.announced(),
      isDropped: (id) => this.objects.isDropped(keyOf(id)),
      countOf: (id, status) => this.objects.countOf(keyOf(id), status),
    });
  }

  #env({ queueStorage, spread }: Schedule): Env {
    const variables = {
      QUEUE_STORAGE: queueStorage,
      MEMORY_TTL_MS: "0",
      WRITER_PARTITIONS: "1",
      METRICS: "off",
    } as const;
    const database = (call: DatabaseCall, run: () => Promise<unknown>) => this.#database(call, run);
    const own = variables as unknown as Parameters<typeof watched>[1];
    const { env } = watched({ database }, own, undefined, boundDatabases(spread));
    return { ...env, RATE_LIMIT: "off" } as unknown as Env;
  }

  #queuesOf(all: Env, { queueStorage }: Schedule): VirtualQueue[] {
    const { world, layer, complain } = this;
    const crash = queueStorage === "memory" ? () => this.#crash() : null;
    const shared = { world, layer, crash };
    // As in `wrangler.toml`, with the first try.
    const compute = new VirtualQueue({
      ...shared,
      name: "feature-compute",
      most: 20,
      maxTries: 21,
      consume: (batch) => consumeCompute(batch, all),
      onTaken: () => {},
      // Where a third of all calls fail, a try that needs ten of them may fail 21 times: the table's alarm asks again.
      onGivenUp: () => {
        this.givenUp += 1;
      },
    });
    const availability = new VirtualQueue({
      ...shared,
      name: "feature-availability",
      most: 5,
      maxTries: 101,
      consume: (batch) => consumeAvailability(batch, all),
      onTaken: (bodies) => this.#taken(bodies as FeatureAvailable[][]),
      onGivenUp: () => complain("a message of feature-availability was given up"),
    });
    all.FEATURE_COMPUTE = compute.binding;
    all.FEATURE_AVAILABILITY = availability.binding;
    return [compute, availability];
  }

  #database({ database, sql, writes }: DatabaseCall, run: () => Promise<unknown>): Promise<unknown> {
    const operation = writes ? "write" : "read";
    const [first = ""] = sql;
    const table = /\b(?:from|into|update) "?(\w+)/i.exec(first)?.[1] ?? "";
    const which = database === 0 ? "database" : `database ${database}`;
    const call = {
      store: "database",
      operation,
      label: `${which} ${operation} ${table}`,
      ...this.#rateOf(database),
    } as const;
    const isOfTable = /^(?:update|delete from) "raw_tables"/.test(first);
    return this.layer.call(call, async () => {
      const answer = await run();
      if (isOfTable) await this.#tableChanges();
      return answer;
    });
  }

  #rateOf(database: number): { rate?: number } {
    const { spread, rates } = this.#schedule;
    const ms = this.world.nowMs - START_MS;
    return spread ? { rate: rateAt(spread, { database, ms, ofFirst: rates.database }) } : {};
  }

  async #tableChanges(): Promise<void> {
    const table = await this.truth.table();
    if (!table) {
      this.rows.isDropped = true;
      return;
    }
    this.rows.retain(table.retentionDays);
    this.columns.see(table.columns);
  }

  #look(): void {
    const changed = this.objects.changedRows();
    if (changed) this.rows.see(changed, this.world.nowMs);
  }

  #taken(messages: readonly FeatureAvailable[][]): void {
    for (const event of messages.flat()) {
      this.events += 1;
      this.deliveries.announce(event, this.world.steps);
    }
  }

  /** Of the one process in which everything is. */
  #crash(): void {
    for (const queue of this.queues) queue.forgetAll();
    for (const host of this.objects.hosts) host.kill("its process dies");
    this.#front.kill("its process dies");
  }
}
