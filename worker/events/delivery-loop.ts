/**
 * Delivers what is due, several entities at once and of each entity one event at a time, in the order of their
 * revisions. An event that failed holds up its own entity and no other.
 *
 * What is under way is known in memory alone: after a crash it is due as it was, and delivered once more.
 */
import type { Settings } from "../env.ts";
import {
  DELIVERIES_AT_ONCE,
  MAX_KAFKA_EVENTS,
  MAX_KAFKA_REQUEST_BYTES,
  MAX_REFILLS_PER_RUN,
  MAX_REQUESTS_PER_RUN,
  REPLAY_LOW_WATER,
} from "../limits.ts";
import type { Log } from "../log.ts";
import { DELIVERY_RECOVERY_MS } from "../timings.ts";
import { sleep } from "../waits.ts";
import { type Attempt, deliver } from "./deliver.ts";
import { afterFailure, type NextAttempt } from "./delivery-schedule.ts";
import type { Due, SubscriberStore } from "./subscriber-store.ts";
import type { Subscription } from "./subscription-store.ts";

interface LoopDependencies {
  store: SubscriberStore;
  settings: Settings;
  log: Log;
  /** Null when nothing is to be delivered now. */
  receiver: () => Subscription | null;
  /** Adds what is to be sent again, as much as one step brings. */
  refill: () => Promise<void>;
  hasMore: () => boolean;
}

export class DeliveryLoop {
  readonly #dependencies: LoopDependencies;
  readonly #claimed = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  #refilling: Promise<void> | null = null;
  #refillFailed = false;
  /** Requests and refills of the run under way. */
  #requests = 0;
  #refills = 0;
  #stopped = false;
  #wake: () => void = () => {};

  constructor(dependencies: LoopDependencies) {
    this.#dependencies = dependencies;
  }

  /** Something has changed: look again. */
  wake(): void {
    this.#wake();
  }

  /** The subscription is no more: nothing that is under way is noted. */
  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  /**
   * Runs until nothing is due any more, `idle`, or this run has had its share, `more`; then nothing is under way.
   *
   * @param untilMs Asked again and again: the end of its time may come nearer.
   */
  async run(untilMs: () => number): Promise<"idle" | "more"> {
    this.#refillFailed = false;
    this.#requests = 0;
    this.#refills = 0;
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const hadItsShare = this.#requests >= MAX_REQUESTS_PER_RUN || this.#refills >= MAX_REFILLS_PER_RUN;
      const isOver = !this.#stopped && (hadItsShare || Date.now() >= untilMs());
      const receiver = isOver || this.#stopped ? null : this.#dependencies.receiver();
      const nextMs = receiver ? this.#startDue(receiver) : null;
      if (receiver) this.#startRefill();
      const tasks = [...this.#running, ...(this.#refilling ? [this.#refilling] : [])];
      if (tasks.length === 0) return isOver ? "more" : "idle";
      await raceFor(nextMs === null ? null : nextMs - Date.now(), [...tasks, woken]);
    }
  }

  /** @returns when the first of those that are not due yet will be, or could be if there were a connection. */
  #startDue(receiver: Subscription): number | null {
    const { store } = this.#dependencies;
    const size = receiver.kind === "kafka-rest" ? MAX_KAFKA_EVENTS : 1;
    for (;;) {
      const heads = store.heads(this.#claimed.size + size);
      const free = heads.filter(({ entity }) => !this.#claimed.has(entity));
      if (this.#running.size >= DELIVERIES_AT_ONCE || this.#requests >= MAX_REQUESTS_PER_RUN) return null;
      const due = free.filter(({ dueAtMs }) => dueAtMs <= Date.now()).slice(0, size);
      if (due.length === 0) return free[0]?.dueAtMs ?? null;
      this.#start(receiver, fitting(due.flatMap(({ entity }) => store.firstOf(entity) ?? [])));
    }
  }

  #start(receiver: Subscription, batch: readonly Due[]): void {
    if (batch.length === 0) return;
    this.#requests += 1;
    for (const { entity } of batch) this.#claimed.add(entity);
    const running = this.#deliver(receiver, batch)
      .catch(async (cause: unknown) => {
        this.#dependencies.log.error("a delivery was not noted", cause, named(receiver));
        // It is still due: a receiver must not get it over and over as fast as it can answer.
        await sleep(DELIVERY_RECOVERY_MS);
      })
      .finally(() => {
        this.#running.delete(running);
        for (const { entity } of batch) this.#claimed.delete(entity);
      });
    this.#running.add(running);
  }

  async #deliver(receiver: Subscription, batch: readonly Due[]): Promise<void> {
    const attempt = await deliver(
      batch.map(({ event }) => event),
      receiver,
      this.#dependencies.settings,
    );
    if (this.#stopped) return;
    const failed = new Set(attempt.failed);
    for (const [i, due] of batch.entries()) {
      if (failed.has(i)) this.#noteFailure(receiver, due, attempt);
      else this.#dependencies.store.settleDelivered(due, attempt.status, Date.now());
    }
  }

  #noteFailure(receiver: Subscription, due: Due, attempt: Attempt): void {
    const { store, settings, log } = this.#dependencies;
    const attempts = due.attempts + 1;
    const nowMs = Date.now();
    const { status, error, retryAfterMs } = attempt;
    const { deliveryFirstRetryMs: firstRetryMs } = settings;
    const next: NextAttempt = attempt.isPermanent
      ? { kind: "dead" }
      : afterFailure({ attempts, nowMs, firstRetryMs, retryAfterMs, random: Math.random() });
    store.settleFailed(due, { status, error: error ?? "failed" }, next, nowMs);
    const fields = { ...named(receiver), event_id: due.event.event_id, attempts, status, reason: error };
    if (next.kind === "dead") log.warning("delivery given up", fields);
    else log.info("delivery failed, will be tried again", fields);
  }

  #startRefill(): void {
    const { hasMore, refill, store, log } = this.#dependencies;
    if (this.#refilling || this.#refillFailed || !hasMore()) return;
    if (store.count("pending") >= REPLAY_LOW_WATER) return;
    this.#refills += 1;
    this.#refilling = refill()
      .catch((cause: unknown) => {
        // The next alarm goes on from where this one has come.
        this.#refillFailed = true;
        log.error("a replay could not go on", cause);
      })
      .finally(() => {
        this.#refilling = null;
      });
  }
}

/** As many as fit one request, at least one. */
function fitting(batch: Due[]): Due[] {
  let bytes = 0;
  return batch.filter((due, i) => {
    bytes += due.bytes;
    return i === 0 || bytes <= MAX_KAFKA_REQUEST_BYTES;
  });
}

/** Resolves with the first of `work`, or after `waitMs`. */
async function raceFor(waitMs: number | null, work: Promise<void>[]): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const slept = new Promise<void>((resolve) => {
    if (waitMs !== null) timer = setTimeout(resolve, Math.max(0, waitMs));
  });
  await Promise.race([...work, slept]);
  clearTimeout(timer);
}

function named({ tenantId, subscriptionId }: Subscription) {
  return { tenant_id: tenantId, subscription_id: subscriptionId };
}
