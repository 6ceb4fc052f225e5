/** Runs one schedule to its end: users among faults, then no faults, then everything has to come right. */
import { wholeStorage } from "../hosted-storage.ts";
import type { Ran } from "../report.ts";
import { faultOfTenant } from "../tenant.ts";
import type { AnnouncedRow } from "./deliveries.ts";
import { Parts } from "./parts.ts";
import { register } from "./registered.ts";
import { type Action, FEATURES, type Operation, type Schedule } from "./schedule.ts";
import { categoryOf, faultOfVector, SQL_OF_ADDED, USERS, type Version, writtenOfErased } from "./vectors.ts";

const VERSIONS: readonly Version[] = [
  { feature: "stream", version: 1 },
  { feature: "stream", version: 2 },
  { feature: "stream", version: 3 },
  { feature: "manual", version: 1 },
  { feature: "manual", version: 3 },
];
/** Everything that is under way comes to its end within this, an alarm follows an alarm. */
const MOST_ALARMS = 150;
/** Rows that become too old go within about an hour. */
const AGEING_MS = 2 * 3_600_000;

let made = 0;

export async function runSchedule(
  schedule: Schedule,
  state: DurableObjectState,
  spared: ReadonlySet<number> = new Set(),
): Promise<Ran> {
  made += 1;
  await wholeStorage(state).deleteAll();
  const registered = await register(schedule, made);
  const run = new Run(schedule, registered.tenant, new Parts({ schedule, registered, state, spared }));
  await run.toTheEnd();
  return run.result();
}

class Run {
  readonly #schedule: Schedule;
  readonly #tenant: string;
  readonly #parts: Parts;
  #open = 0;

  constructor(schedule: Schedule, tenant: string, parts: Parts) {
    this.#schedule = schedule;
    this.#tenant = tenant;
    this.#parts = parts;
  }

  async toTheEnd(): Promise<void> {
    const { world, objects, owners, truth } = this.#parts;
    try {
      for (const operation of this.#schedule.operations) this.#plan(operation);
      await world.run(() => this.#open === 0);
      world.isHealthy = true;
      world.note("all is well from here on");
      if (world.chance() < 0.5) for (const host of objects.hosts) host.kill("evicted at the end");
      await this.#settle();
      const statuses = await truth.statuses();
      await this.#perform(() => owners.resumeAll(statuses));
      await this.#settle();
      await this.#perform(() => owners.reviveDead());
      await this.#settle();
      await this.#check();
      if (world.chance() < 0.5) await this.#repeat();
      await this.#age();
    } catch (cause) {
      this.#parts.complain(`${cause instanceof Error ? cause.stack : cause}`);
    }
  }

  result(): Ran {
    const { violations, world, layer, rows, objects, queues, receivers, asking, users, owners } = this.#parts;
    const { columnUsers, events, givenUp } = this.#parts;
    const { happened, faulted, calls } = layer;
    const counts = {
      ...asking.counts,
      ...users.counts,
      ...columnUsers.counts,
      dead: owners.dead,
      givenUp,
      calls,
      steps: world.steps,
      moments: rows.now,
      events,
      deliveries: receivers.requests,
      consumers: queues.reduce((total, { consumers }) => total + consumers, 0),
      instances: objects.hosts.reduce((total, { instances }) => total + instances, 0),
      alarms: objects.alarms,
      withSeveralDatabases: this.#schedule.spread ? 1 : 0,
    };
    return { violations, log: world.log, counts, happened, faulted };
  }

  #plan({ id, atMs, action }: Operation): void {
    const { world, objects } = this.#parts;
    const isEviction = action.do === "evict";
    const act = () =>
      isEviction ? objects.evict(action.object) : void this.#act(() => this.#do(id, action));
    world.after(atMs, { label: "operation", actor: world.actor("user"), act });
    this.#open += isEviction ? 0 : 1;
  }

  async #do(id: number, action: Exclude<Action, { do: "evict" }>): Promise<void> {
    const { owners, users, columnUsers } = this.#parts;
    if ("slot" in action) return owners.run(id, action);
    if (action.do !== "add columns") return users.run(id, action);
    const areThere = await columnUsers.add(action);
    const readers = FEATURES.filter((feature) => action.columns.includes(SQL_OF_ADDED[feature].column));
    for (const feature of areThere && action.areRead ? readers : [])
      await users.run(id, { do: "add version", feature });
  }

  async #act(work: () => Promise<void>): Promise<void> {
    await work().catch((cause) => this.#parts.complain(`${cause instanceof Error ? cause.stack : cause}`));
    this.#open -= 1;
  }

  async #perform(work: () => Promise<void>): Promise<void> {
    const { world, complain } = this.#parts;
    this.#open += 1;
    world.after(0, { label: "user", actor: world.actor("user"), act: () => void this.#act(work) });
    await world.run(() => this.#open === 0);
    if (this.#open > 0) complain("a user was never answered");
    this.#open = 0;
  }

  /** Everything under way ends, and what is owed is done by alarms. */
  async #settle(): Promise<void> {
    const { world, complain } = this.#parts;
    for (let alarms = 0; alarms < MOST_ALARMS; alarms++) {
      await world.run(() => world.waitsOnlyFor("alarm"));
      if (this.#owes() === null) return;
      if (!(await this.#nextAlarm())) break;
    }
    complain(`${this.#owes()} still owes something, and no alarm ends that`);
  }

  #owes(): string | null {
    const { rows, objects } = this.#parts;
    return rows.isDropped && !objects.isTableDropped ? "the dropped table" : objects.owes();
  }

  /** @returns whether there was one. */
  async #nextAlarm(): Promise<boolean> {
    const { world, objects } = this.#parts;
    const { alarms } = objects;
    await world.run(() => objects.alarms > alarms);
    return objects.alarms > alarms;
  }

  async #check(): Promise<void> {
    const { rows, users, owners, columnUsers, deliveries, truth, complain } = this.#parts;
    rows.everythingKept();
    if (this.#gainsColumns) await this.#perform(() => columnUsers.lookAtAll());
    await this.#perform(() => users.jobsEnd());
    await this.#perform(() => owners.lookAtAll());
    const announced = await truth.announced();
    deliveries.everythingEnded(announced);
    if (this.#schedule.table.hasFeatures) await this.#checkVectors(announced);
    const { spread } = this.#schedule;
    if (!spread) return;
    for (const text of await truth.misplaced()) complain(text);
    const fault = await faultOfTenant(this.#tenant, spread);
    if (fault) complain(fault);
  }

  get #gainsColumns(): boolean {
    return this.#schedule.operations.some(({ action }) => action.do === "add columns");
  }

  async #checkVectors(announced: readonly AnnouncedRow[]): Promise<void> {
    const { rows, users, objects, truth, complain } = this.#parts;
    const { moments } = rows;
    const { isTimed } = this.#schedule.table;
    const vectors = await truth.vectors();
    for (const version of VERSIONS) {
      const category = categoryOf(version);
      for (const user of USERS) {
        const stored = vectors.get(`${category} ${user}`) ?? null;
        const since = users.dueSince(version, user);
        const fault = faultOfVector({ version, user, stored, moments, isTimed, since });
        if (fault) complain(fault);
      }
      const counted = objects.counted(version.feature, version.version);
      const written = announced.filter((row) => row.category === category).length;
      if (counted !== written) complain(`the statistics of ${category} have ${counted} values of ${written}`);
    }
    const written = await truth.written();
    for (const one of users.erased)
      for (const fault of writtenOfErased(one, { written, moments })) complain(fault);
    if (this.#isEachNoteFollowed())
      for (const fault of await truth.storeFaults()) complain(`a version is all right and says: ${fault}`);
  }

  /** Whether a message has come again after each note of a fault, by which it is noted that all is right. */
  #isEachNoteFollowed(): boolean {
    const { happened } = this.#parts.layer;
    // A note may come late, another consumer may have ended the message, a queue in memory may have forgotten it.
    return this.#schedule.queueStorage === "durable" && !happened.has("lands late") && !happened.has("twice");
  }

  /** Nothing comes of a repetition. */
  async #repeat(): Promise<void> {
    const { rows, objects, asking, truth, complain } = this.#parts;
    const before = [rows.rows.length, (await truth.announced()).length];
    for (const host of objects.hosts) host.kill("evicted for the repetitions");
    await this.#perform(() => asking.repeatAll());
    await this.#settle();
    const after = [rows.rows.length, (await truth.announced()).length];
    if (after.some((count, i) => count > (before[i] ?? 0)))
      complain(`a repetition has brought rows or vectors: ${before} and then ${after}`);
  }

  /** Rows become too old, and go. */
  async #age(): Promise<void> {
    const { world, objects, rows } = this.#parts;
    const endMs = world.nowMs + AGEING_MS;
    while (objects.hosts.some(({ alarmAtMs }) => alarmAtMs !== null && alarmAtMs < endMs)) {
      if (!(await this.#nextAlarm())) break;
      await world.run(() => world.waitsOnlyFor("alarm"));
    }
    world.nowMs = Math.max(world.nowMs, endMs);
    rows.everythingAged(world.nowMs);
  }
}
