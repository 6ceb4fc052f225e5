/**
 * A queue with its consumer: at least once, unordered, a batch at a time. What a consumer has not acknowledged when it
 * dies comes again; but where the queue lives in memory everything dies with it.
 */
import type { FaultLayer } from "../bindings.ts";
import { type Actor, actAs, type World } from "../world.ts";

interface Waiting {
  id: string;
  body: unknown;
  attempts: number;
  /** By the world's clock; infinite while a consumer has it. */
  atMs: number;
}

interface QueueDependencies {
  world: World;
  layer: FaultLayer;
  name: string;
  /** The most messages of a batch. */
  most: number;
  maxTries: number;
  /** Takes everything away that is in the queue's process; null: nothing else is. */
  crash: (() => void) | null;
  consume: (batch: MessageBatch) => Promise<void>;
  /** The queue has taken messages. */
  onTaken: (bodies: readonly unknown[]) => void;
  /** A message has come as often as it may. */
  onGivenUp: () => void;
}

/** What was given to a consumer that says nothing comes again after this. */
const REDELIVERY_MS = 30_000;
const LONGEST_DELAY_MS = 300;

export class VirtualQueue {
  readonly #d: QueueDependencies;
  readonly #network: Actor;
  #waiting: Waiting[] = [];
  #ids = 0;
  consumers = 0;

  constructor(dependencies: QueueDependencies) {
    this.#d = dependencies;
    this.#network = dependencies.world.actor(`queue ${dependencies.name}`);
  }

  get binding(): Queue {
    return {
      send: (body: unknown) => this.#send([body]),
      sendBatch: (messages: Iterable<{ body: unknown }>) => this.#send([...messages].map(({ body }) => body)),
    } as unknown as Queue;
  }

  async #send(bodies: readonly unknown[]): Promise<void> {
    const call = { store: "queue", operation: "send", label: `${this.#d.name} send` } as const;
    await this.#d.layer.call(call, async () => {
      const taken = structuredClone(bodies);
      for (const body of taken) {
        this.#ids += 1;
        const message = { id: `${this.#d.name} ${this.#ids}`, body, attempts: 0, atMs: 0 };
        this.#waiting.push(message);
        this.#comes(message, this.#d.world.someMs(LONGEST_DELAY_MS));
      }
      this.#d.onTaken(taken);
    });
  }

  #comes(message: Waiting, ms: number): void {
    const { world } = this.#d;
    message.atMs = world.nowMs + ms;
    const act = () => actAs(this.#network, () => this.#deliver());
    world.after(ms, { label: "queue", actor: this.#network, act });
  }

  #deliver(): void {
    const { world, layer, name, most } = this.#d;
    const due = this.#waiting.filter(({ atMs }) => atMs <= world.nowMs);
    const batch = due
      .map((message) => ({ message, place: world.chance() }))
      .sort((a, b) => a.place - b.place)
      .slice(0, Math.ceil(world.chance() * most))
      .map(({ message }) => message);
    for (const message of due) if (!batch.includes(message)) this.#comes(message, LONGEST_DELAY_MS);
    if (batch.length === 0) return;
    for (const message of batch) {
      message.attempts += 1;
      message.atMs = Number.POSITIVE_INFINITY;
    }
    const call = { store: "queue", operation: "deliver", label: `${name} delivery` } as const;
    const lost = async () => this.#again(batch, REDELIVERY_MS);
    layer.call(call, async () => this.#consume(batch), lost).catch(lost);
  }

  /** With its process. */
  forgetAll(): void {
    this.#waiting = [];
  }

  #consume(batch: readonly Waiting[]): void {
    const { world, name, consume, crash } = this.#d;
    this.consumers += 1;
    const consumer = world.actor(`${name} consumer ${this.consumers}`, world.someSkewMs(), (reason) => {
      world.note(`${consumer.name} dies: ${reason}`);
      world.kill(consumer);
      if (crash) crash();
      else this.#again(batch, REDELIVERY_MS);
    });
    const told = new Map<Waiting, "ack" | number>();
    const messages = batch.map((message) => ({
      ...message,
      timestamp: new Date(world.nowMs),
      body: structuredClone(message.body),
      ack: () => void told.set(message, "ack"),
      retry: (options?: QueueRetryOptions) => void told.set(message, (options?.delaySeconds ?? 0) * 1_000),
    }));
    const settle = (untold: "ack" | number) => {
      if (!consumer.isAlive) return;
      for (const message of batch) {
        const end = told.get(message) ?? untold;
        if (end === "ack") this.#forget([message]);
        else this.#again([message], end);
      }
    };
    const work = () =>
      consume({ queue: name, messages } as unknown as MessageBatch).then(
        () => settle("ack"),
        (cause) => {
          world.note(`${consumer.name} fails: ${cause}`);
          settle(0);
        },
      );
    world.after(0, { label: "consumer", actor: consumer, act: () => void work() });
  }

  #forget(messages: readonly Waiting[]): void {
    this.#waiting = this.#waiting.filter((message) => !messages.includes(message));
  }

  #again(messages: readonly Waiting[], ms: number): void {
    for (const message of messages) {
      // Of two consumers of one batch the other may have ended with it, or have sent it back.
      if (!this.#waiting.includes(message) || Number.isFinite(message.atMs)) continue;
      if (message.attempts < this.#d.maxTries) {
        this.#comes(message, ms);
        continue;
      }
      this.#forget([message]);
      this.#d.onGivenUp();
    }
  }
}
