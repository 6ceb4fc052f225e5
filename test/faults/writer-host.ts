/**
 * The platform's part for one EntityWriter: makes instances over the real storage, hands them requests and alarms, and
 * takes them away at any moment. The storage and its SQLite are the real object's; its clock is the world's.
 */
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import { EntityWriter } from "../../worker/writing/entity-writer.ts";
import type { FaultLayer } from "./bindings.ts";
import { type Actor, actAs, actor, type World } from "./world.ts";

/** Methods that are called from outside. */
export type Method = "change" | "claim" | "recall" | "fill" | "invalidate" | "confirm";

interface Instance {
  writer: EntityWriter;
  actor: Actor;
  /** What it does before it takes its first request. */
  ready: Promise<unknown>;
}

/** The platform repeats an alarm that failed, or whose object died. */
const ALARM_RETRY_MS = 2_000;
/** Clocks of machines differ by this much, now and then by far more. */
const SKEW_MS = 20;
const LARGE_SKEW_MS = 5_000;
/** Of a hundred alarms that have succeeded: the platform may ring them once more all the same. */
const ALARMS_TWICE = 15;

export class WriterHost {
  readonly #world: World;
  readonly #layer: FaultLayer;
  readonly #state: DurableObjectState;
  readonly #envOf: () => Env;
  readonly #serving = new Set<(cause: Error) => void>();
  #instance: Instance | null = null;
  /** By the world's clock. */
  #alarmAtMs: number | null = null;
  #alarmRuns = false;
  instances = 0;
  /** How often the alarm has rung. */
  alarms = 0;

  constructor(world: World, layer: FaultLayer, state: DurableObjectState, envOf: () => Env) {
    this.#world = world;
    this.#layer = layer;
    this.#state = state;
    this.#envOf = envOf;
    layer.onKill = (reason) => this.kill(reason);
    const replace = (target: object, name: string, value: unknown) =>
      Object.defineProperty(target, name, { value, configurable: true });
    // Set and rung by the clock of the machine that the instance lives on.
    replace(state.storage, "getAlarm", async () => {
      return this.#alarmAtMs === null ? null : this.#alarmAtMs + actor().aheadMs;
    });
    replace(state.storage, "setAlarm", async (atMs: number) => this.#setAlarm(atMs - actor().aheadMs));
  }

  get alarmAtMs(): number | null {
    return this.#alarmAtMs;
  }

  /** The namespace, through which only this one object is asked for. */
  namespace(real: DurableObjectNamespace<EntityWriter>): DurableObjectNamespace<EntityWriter> {
    const methods: Method[] = ["change", "claim", "recall", "fill", "invalidate", "confirm"];
    const ask =
      (method: Method) =>
      (...parameters: unknown[]) =>
        this.#layer.call(
          { store: "object", operation: method, byWriter: false, label: `object.${method}`, isLong: true },
          () => this.invoke(method, structuredClone(parameters)),
        );
    const stub = Object.fromEntries(methods.map((method) => [method, ask(method)]));
    return { ...real, getByName: () => stub } as unknown as DurableObjectNamespace<EntityWriter>;
  }

  /** Runs a request in the instance, or in a new one. Fails when it dies. */
  async invoke(method: Method, parameters: unknown[]): Promise<unknown> {
    const { writer, actor: who, ready } = this.#open();
    return this.#whileAlive(async () => {
      await ready;
      const run = Reflect.get(writer, method) as (...all: unknown[]) => Promise<unknown>;
      return structuredClone(await actAs(who, () => run.apply(writer, parameters)));
    });
  }

  /** The consumer has handled events: it tells whoever lives in the object now. */
  confirm(events: readonly FeatureAvailable[], identity: { tenant: string; partitions: number }): void {
    const ids = events.map(({ event_id: id }) => id);
    const act = () => void this.invoke("confirm", [identity, ids]).catch(() => {});
    this.#world.after(this.#world.someMs(200), {
      label: "consumer",
      actor: this.#world.actor("consumer"),
      act,
    });
  }

  kill(reason: string): void {
    const victim = this.#instance;
    if (!victim) return;
    this.#world.note(`${victim.actor.name} dies: ${reason}`);
    this.#instance = null;
    this.#world.kill(victim.actor);
    if (this.#alarmRuns) this.#repeatAlarm();
    for (const fail of [...this.#serving]) fail(new Error("the object was reset"));
  }

  #open(): Instance {
    if (this.#instance) return this.#instance;
    this.instances += 1;
    const who = this.#world.actor(`writer ${this.instances}`, this.#aheadMs());
    let ready: Promise<unknown> = Promise.resolve();
    Object.defineProperty(this.#state, "blockConcurrencyWhile", {
      value: (start: () => Promise<unknown>) => {
        ready = start();
        return ready;
      },
      configurable: true,
    });
    const writer = actAs(who, () => new EntityWriter(this.#state, this.#envOf()));
    this.#instance = { writer, actor: who, ready };
    return this.#instance;
  }

  /** An instance may live on another machine than the one before it. */
  #aheadMs(): number {
    const world = this.#world;
    const mostMs = world.chance() < 0.8 ? SKEW_MS : LARGE_SKEW_MS;
    return world.someMs(2 * mostMs) - mostMs;
  }

  #whileAlive<R>(work: () => Promise<R>): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#serving.add(reject);
      work()
        .then(resolve, reject)
        .finally(() => this.#serving.delete(reject));
    });
  }

  #setAlarm(atMs: number): void {
    this.#alarmAtMs = atMs;
    const act = () => (this.#alarmAtMs === atMs ? this.#alarm() : undefined);
    const ms = Math.max(0, atMs - this.#world.nowMs);
    this.#world.after(ms, { label: "alarm", actor: this.#world.actor("alarm"), act });
  }

  #alarm(isRepeated = false): void {
    this.#world.note(isRepeated ? "alarm, though it has succeeded" : "alarm");
    this.alarms += 1;
    // The one that was set meanwhile stays.
    if (!isRepeated) this.#alarmAtMs = null;
    this.#alarmRuns = true;
    const { writer, actor: who, ready } = this.#open();
    void this.#whileAlive(async () => {
      await ready;
      await actAs(who, () => writer.alarm());
    })
      .then(() => {
        this.#alarmRuns = false;
        if (!this.#world.isHealthy && this.#world.chance() * 100 < ALARMS_TWICE) this.#ringAgain();
      })
      .catch(() => {
        if (who.isAlive) this.#repeatAlarm();
      });
  }

  #ringAgain(): void {
    const act = () => (this.#alarmRuns ? undefined : this.#alarm(true));
    this.#world.after(this.#world.someMs(500), {
      label: "alarm",
      actor: this.#world.actor("alarm"),
      act,
    });
  }

  #repeatAlarm(): void {
    this.#alarmRuns = false;
    const atMs = this.#world.nowMs + ALARM_RETRY_MS;
    if (this.#alarmAtMs === null || this.#alarmAtMs > atMs) this.#setAlarm(atMs);
  }
}
