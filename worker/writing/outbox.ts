/**
 * Sends the events of committed groups to the queue, one batch at a time and in the order of the commits, hence in
 * revision order for each entity. What could not be sent is tried again for ever: the intent log holds it.
 *
 * Events that come alone are sent at once. Where they come all the time, those of several groups go together: what a
 * message costs, and a call of the queue, hardly depends on how many events are in it.
 */
import type { AvailabilityMessage, FeatureAvailable } from "../events/feature-available.ts";
import { firstMessages, leastBytes } from "../events/pack-events.ts";
import { MAX_QUEUE_BATCH_BYTES } from "../limits.ts";
import type { Log } from "../log.ts";
import { OUTBOX_FIRST_RETRY_MS, OUTBOX_LONGEST_RETRY_MS, OUTBOX_PAUSE_MS } from "../timings.ts";
import { sleep } from "../waits.ts";

/** The events of one group. */
interface Entry {
  /** How many of them are not sent yet. */
  left: number;
  sinceMs: number;
  sent: () => void;
}

/** What waits in an outbox, and since when; null: nothing does. */
export type Waiting = { events: number; oldestMs: number } | null;

interface OutboxDependencies {
  queue: Pick<Queue<AvailabilityMessage>, "sendBatch">;
  log: Log;
  /** Told of every change, and again while the queue takes nothing. */
  report: (waiting: Waiting) => void;
}

export class Outbox {
  readonly #dependencies: OutboxDependencies;
  /** The events of all entries, in order. */
  readonly #events: FeatureAvailable[] = [];
  /** What these events have at least. */
  #bytes = 0;
  readonly #entries: Entry[] = [];
  #sentAtMs = 0;
  #endPause: (() => void) | null = null;
  #draining = false;

  constructor(dependencies: OutboxDependencies) {
    this.#dependencies = dependencies;
  }

  /** Resolves when the queue has taken all of them. */
  send(events: readonly FeatureAvailable[]): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    const sent = new Promise<void>((resolve) =>
      this.#entries.push({ left: events.length, sinceMs: Date.now(), sent: resolve }),
    );
    for (const event of events) {
      this.#events.push(event);
      this.#bytes += leastBytes(event);
    }
    this.#report();
    if (this.#isBatchFull) this.#endPause?.();
    if (!this.#draining) void this.#drain();
    return sent;
  }

  /** More waits than one call takes. */
  get #isBatchFull(): boolean {
    return this.#bytes >= MAX_QUEUE_BATCH_BYTES;
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    let retryMs = OUTBOX_FIRST_RETRY_MS;
    while (this.#events.length > 0) {
      await this.#pause();
      const messages = firstMessages(this.#events);
      try {
        await this.#dependencies.queue.sendBatch(messages.map((body) => ({ body, contentType: "json" })));
        this.#taken(messages.flat().length);
        retryMs = OUTBOX_FIRST_RETRY_MS;
      } catch (cause) {
        this.#report();
        this.#dependencies.log.warning(
          "queue did not take events, will try again",
          { retry_ms: retryMs },
          cause,
        );
        await sleep(retryMs);
        retryMs = Math.min(retryMs * 2, OUTBOX_LONGEST_RETRY_MS);
      }
    }
    this.#draining = false;
  }

  /** After a batch others may come to fill the next. */
  async #pause(): Promise<void> {
    // The clock may have stepped back since.
    const pauseMs = Math.min(this.#sentAtMs + OUTBOX_PAUSE_MS - Date.now(), OUTBOX_PAUSE_MS);
    if (pauseMs <= 0 || this.#isBatchFull) return;
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
    for (const event of this.#events.splice(0, count)) this.#bytes -= leastBytes(event);
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
    this.#dependencies.report(oldest ? { events: this.#events.length, oldestMs: oldest.sinceMs } : null);
  }
}
