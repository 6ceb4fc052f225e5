/**
 * The platform's part for one Durable Object: makes instances over the real storage, hands them requests and alarms, and
 * takes them away at any moment. The storage and its SQLite are a real object's; its clock is the world's.
 */
import type { FaultLayer } from "./bindings.ts";
import { type Actor, actAs, actor, type World } from "./world.ts";

/** Where an object's instances find what they keep. */
export interface HostedStorage {
  sql: SqlStorage;
  transactionSync: DurableObjectStorage["transactionSync"];
  /** Removes all of it. */
  deleteAll: () => Promise<void>;
}

interface Hosted<T> {
  world: World;
  layer: FaultLayer;
  /** In the log. */
  name: string;
  /** The state of the real object in which everything runs. */
  state: DurableObjectState;
  storage: HostedStorage;
  make: (state: DurableObjectState) => T;
}

interface Instance<T> {
  object: T;
  actor: Actor;
  /** What it does before it takes its first request. */
  ready: Promise<unknown>;
}

/** The platform repeats an alarm that failed, or whose object died. */
const ALARM_RETRY_MS = 2_000;
/** After so many failures one after the other it gives an alarm up. */
const ALARM_TRIES = 6;
/** Of a hundred alarms that have succeeded: the platform may ring them once more all the same. */
const ALARMS_TWICE = 15;
/** Of a hundred alarms: they may ring late, by up to so much. */
const ALARMS_LATE = 10;
const LATEST_ALARM_MS = 20_000;

export class ObjectHost<T extends { alarm?(): void | Promise<void> }> {
  readonly name: string;
  readonly #d: Hosted<T>;
  readonly #state: DurableObjectState;
  readonly #serving = new Set<(cause: Error) => void>();
  #instance: Instance<T> | null = null;
  #ready: Promise<unknown> = Promise.resolve();
  /** By the world's clock. */
  #alarmAtMs: number | null = null;
  #cancelAlarm: () => void = () => {};
  #alarmRuns = false;
  #alarmFailures = 0;
  instances = 0;
  /** How often the alarm has rung. */
  alarms = 0;

  constructor(hosted: Hosted<T>) {
    this.#d = hosted;
    this.name = hosted.name;
    this.#state = this.#stateOf(hosted);
  }

  get alarmAtMs(): number | null {
    return this.#alarmAtMs;
  }

  get sql(): SqlStorage {
    return this.#d.storage.sql;
  }

  /** What a namespace gives for this object. @param adapt Changes a request on its way. */
  stub(adapt: (method: string, parameters: unknown[]) => unknown[] = (_, parameters) => parameters): object {
    const call = { store: "object", isLong: true, evict: (reason: string) => this.kill(reason) } as const;
    const ask =
      (method: string) =>
      (...parameters: unknown[]) =>
        this.#d.layer.call({ ...call, operation: method, label: `${this.name}.${method}` }, () =>
          this.invoke(method, adapt(method, structuredClone(parameters))),
        );
    // A stub that has `then` would be awaited.
    return new Proxy({}, { get: (_, name) => (name === "then" ? undefined : ask(String(name))) });
  }

  /** Runs a request in the instance, or in a new one. Fails when it dies. */
  async invoke(method: string, parameters: unknown[]): Promise<unknown> {
    const { object, actor: who, ready } = this.#open();
    return this.#whileAlive(async () => {
      await ready;
      const run = Reflect.get(object, method) as (...all: unknown[]) => Promise<unknown>;
      return structuredClone(await actAs(who, () => run.apply(object, parameters)));
    });
  }

  kill(reason: string): void {
    const victim = this.#instance;
    if (!victim) return;
    const { world } = this.#d;
    world.note(`${victim.actor.name} dies: ${reason}`);
    this.#instance = null;
    world.kill(victim.actor);
    if (this.#alarmRuns) this.#repeatAlarm();
    const cause = Object.assign(new Error("the object was reset"), { durableObjectReset: true });
    for (const fail of [...this.#serving]) fail(cause);
  }

  #open(): Instance<T> {
    if (this.#instance) return this.#instance;
    this.instances += 1;
    const { world, make } = this.#d;
    // It may live on another machine than the one before it.
    const skewMs = world.someSkewMs();
    const who = world.actor(`${this.name} ${this.instances}`, skewMs, (reason) => this.kill(reason));
    this.#ready = Promise.resolve();
    const object = actAs(who, () => make(this.#state));
    this.#instance = { object, actor: who, ready: this.#ready };
    return this.#instance;
  }

  #stateOf({ state, storage }: Hosted<T>): DurableObjectState {
    const alarms = {
      // Set and rung by the clock of the machine that the instance lives on.
      getAlarm: async () => (this.#alarmAtMs === null ? null : this.#alarmAtMs + actor().aheadMs),
      setAlarm: async (atMs: number) => this.#setAlarm(atMs - actor().aheadMs),
      deleteAlarm: async () => this.#setAlarm(null),
    };
    const blockConcurrencyWhile = (start: () => Promise<unknown>) => {
      this.#ready = start();
      return this.#ready;
    };
    const own = { storage: { ...storage, ...alarms }, blockConcurrencyWhile, waitUntil: () => {} };
    const properties = Object.entries(own).map(([name, value]) => [name, { value }]);
    return Object.create(state, Object.fromEntries(properties)) as DurableObjectState;
  }

  #whileAlive<R>(work: () => Promise<R>): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#serving.add(reject);
      work()
        .then(resolve, reject)
        .finally(() => this.#serving.delete(reject));
    });
  }

  #setAlarm(atMs: number | null): void {
    const { world } = this.#d;
    this.#cancelAlarm();
    this.#alarmAtMs = atMs;
    if (atMs === null) return;
    const isLate = !world.isHealthy && world.chance() * 100 < ALARMS_LATE;
    const ms = Math.max(0, atMs - world.nowMs) + (isLate ? world.someMs(LATEST_ALARM_MS) : 0);
    // One at a time: that which becomes due meanwhile follows the one that runs.
    const act = () => (this.#alarmRuns ? undefined : this.#alarm());
    this.#cancelAlarm = world.after(ms, { label: "alarm", actor: world.actor("alarm"), act });
  }

  #alarm(isRepeated = false): void {
    const { world } = this.#d;
    world.note(`alarm of ${this.name}${isRepeated ? ", though it has succeeded" : ""}`);
    this.alarms += 1;
    // The one that was set meanwhile stays.
    if (!isRepeated) this.#setAlarm(null);
    this.#alarmRuns = true;
    const { object, actor: who, ready } = this.#open();
    void this.#whileAlive(async () => {
      await ready;
      await actAs(who, () => object.alarm?.());
    })
      .then(() => {
        this.#alarmFailures = 0;
        this.#alarmEnds();
        if (!world.isHealthy && world.chance() * 100 < ALARMS_TWICE) this.#ringAgain();
      })
      .catch((cause) => {
        if (!who.isAlive) return;
        world.note(`alarm of ${this.name} fails: ${cause}`);
        this.#alarmFailures += 1;
        if (this.#alarmFailures < ALARM_TRIES) this.#repeatAlarm();
        else this.#alarmEnds();
      });
  }

  #alarmEnds(): void {
    this.#alarmRuns = false;
    if (this.#alarmAtMs !== null && this.#alarmAtMs <= this.#d.world.nowMs) this.#setAlarm(this.#alarmAtMs);
  }

  #ringAgain(): void {
    const { world } = this.#d;
    const act = () => (this.#alarmRuns ? undefined : this.#alarm(true));
    world.after(world.someMs(500), { label: "alarm", actor: world.actor("alarm"), act });
  }

  #repeatAlarm(): void {
    this.#alarmRuns = false;
    const atMs = this.#d.world.nowMs + ALARM_RETRY_MS;
    this.#setAlarm(this.#alarmAtMs === null ? atMs : Math.min(this.#alarmAtMs, atMs));
  }
}

/** A namespace in which every object is one of these. @param stubOf By its name. */
export function namespaceOf<N extends { idFromName(name: string): DurableObjectId }>(
  real: N,
  stubOf: (name: string) => object,
): N {
  return { ...real, getByName: stubOf, idFromName: (name: string) => real.idFromName(name) };
}
