/**
 * Sends the events of committed groups to the queue, one batch at a time and in the order of the commits, hence in
 * revision order for each entity. What could not be sent is tried again for ever: the intent log holds it.
 *
 * Events that come alone are sent at once. Where they come all the time, those of several groups go together: what a
 * call of the queue costs hardly depends on how many it takes.
 */
import type { FeatureAvailable } from "../events/feature-available.ts";
import { MAX_QUEUE_BATCH_BYTES, MAX_QUEUE_BATCH_MESSAGES, OUTBOX_PAUSE_MS } from "../limits.ts";
import type { Log } from "../log.ts";

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 30_000;

/** The events of one group. */
interface Entry {
  /** Not sent yet. */
  left: number;
  sinceMs: number;
  sent: () => void;
}

/** What waits in an outbox, and since when; null: nothing does. */
export type Waiting = { events: number; oldestMs: number } | null;

export interface OutboxDependencies {
  queue: Pick<Queue<FeatureAvailable>, "sendBatch">;
  log: Log;
  /** Told of every change, and again while the queue takes nothing. */
  report: (waiting: Waiting) => void;
}

export class Outbox {
  readonly #d: OutboxDependencies;
  /** Of all entries, in order. */
  readonly #events: FeatureAvailable[] = [];
  readonly #entries: Entry[] = [];
  #sentAtMs = 0;
  #endPause: (() => void) | null = null;
  #draining = false;

  constructor(dependencies: OutboxDependencies) {
    this.#d = dependencies;
  }

  /** Resolves when the queue has taken all of them. */
  send(events: readonly FeatureAvailable[]): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    const sent = new Promise<void>((resolve) =>
      this.#entries.push({ left: events.length, sinceMs: Date.now(), sent: resolve }),
    );
    for (const event of events) this.#events.push(event);
    this.#report();
    if (this.#events.length >= MAX_QUEUE_BATCH_MESSAGES) this.#endPause?.();
    if (!this.#draining) void this.#drain();
    return sent;
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    let retryMs = FIRST_RETRY_MS;
    while (this.#events.length > 0) {
      await this.#pause();
      const [batch = []] = eachBatch(this.#events.slice(0, MAX_QUEUE_BATCH_MESSAGES));
      try {
        await this.#d.queue.sendBatch(batch.map((body) => ({ body, contentType: "json" })));
        this.#taken(batch.length);
        retryMs = FIRST_RETRY_MS;
      } catch (cause) {
        this.#report();
        this.#d.log.warning("queue did not take events, will try again", { retry_ms: retryMs }, cause);
        await new Promise((resolve) => setTimeout(resolve, retryMs));
        retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
      }
    }
    this.#draining = false;
  }

  /** After a batch others may come to fill the next. */
  async #pause(): Promise<void> {
    // The clock may have stepped back since.
    const pauseMs = Math.min(this.#sentAtMs + OUTBOX_PAUSE_MS - Date.now(), OUTBOX_PAUSE_MS);
    if (pauseMs <= 0 || this.#events.length >= MAX_QUEUE_BATCH_MESSAGES) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#endPause = resolve;
      timer = setTimeout(resolve, pauseMs);
    });
    clearTimeout(timer);
    this.#endPause = null;
  }

  /** Sent events leave at once: a failure of the next batch must not repeat them. */
  #taken(count: number): void {
    this.#sentAtMs = Date.now();
    this.#events.splice(0, count);
    for (let rest = count; rest > 0; ) {
      const [entry] = this.#entries;
      if (!entry) break;
      const own = Math.min(rest, entry.left);
      rest -= own;
      entry.left -= own;
      if (entry.left > 0) break;
      this.#entries.shift();
      entry.sent();
    }
    this.#report();
  }

  #report(): void {
    const [oldest] = this.#entries;
    this.#d.report(oldest ? { events: this.#events.length, oldestMs: oldest.sinceMs } : null);
  }
}

/** Splits events, in order, into what one `sendBatch` may carry. */
export function batches(events: readonly FeatureAvailable[]): FeatureAvailable[][] {
  return [...eachBatch(events)];
}

function* eachBatch(events: readonly FeatureAvailable[]): Generator<FeatureAvailable[], void> {
  if (events.length === 0) return;
  // Nearly always all of them fit, and that is seen without writing each of them once more.
  const most = events.reduce((total, event) => total + mostBytes(event), 0);
  if (events.length <= MAX_QUEUE_BATCH_MESSAGES && most <= MAX_QUEUE_BATCH_BYTES) {
    yield [...events];
    return;
  }
  let current: FeatureAvailable[] = [];
  let bytes = 0;
  for (const event of events) {
    const size = new TextEncoder().encode(JSON.stringify(event)).length;
    if (
      current.length === MAX_QUEUE_BATCH_MESSAGES ||
      (current.length > 0 && bytes + size > MAX_QUEUE_BATCH_BYTES)
    ) {
      yield current;
      current = [];
      bytes = 0;
    }
    current.push(event);
    bytes += size;
  }
  yield current;
}

/** Names of fields, timestamps, ids and numbers of an event as JSON. */
const FIXED_BYTES = 800;
/** UTF-8 takes at most three bytes for a UTF-16 code unit, and JSON two for a quote. */
const MOST_BYTES_PER_UNIT = 3;

function mostBytes({ features, ...event }: FeatureAvailable): number {
  const named = event.tenant_id + event.entity_type + event.entity_id + event.resource_name;
  const names = features.reduce((units, name) => units + name.length + 1, 0);
  const units = named.length + (event.compute_id?.length ?? 0) + names;
  return FIXED_BYTES + units * MOST_BYTES_PER_UNIT;
}
