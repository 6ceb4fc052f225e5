/**
 * Sends the events of committed groups to the queue, one batch at a time and in the order of the commits, hence in
 * revision order for each entity. What could not be sent is tried again for ever: the intent log holds it.
 */
import type { FeatureAvailable } from "../events/feature-available.ts";
import { MAX_QUEUE_BATCH_BYTES, MAX_QUEUE_BATCH_MESSAGES } from "../limits.ts";
import type { Log } from "../log.ts";

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 30_000;

interface Entry {
  events: FeatureAvailable[];
  sent: () => void;
}

export class Outbox {
  readonly #queue: Queue<FeatureAvailable>;
  readonly #log: Log;
  readonly #entries: Entry[] = [];
  #draining = false;

  constructor(queue: Queue<FeatureAvailable>, log: Log) {
    this.#queue = queue;
    this.#log = log;
  }

  /** Resolves when the queue has taken all of them. */
  send(events: FeatureAvailable[]): Promise<void> {
    const sent = new Promise<void>((resolve) => this.#entries.push({ events, sent: resolve }));
    if (!this.#draining) void this.#drain();
    return sent;
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    let retryMs = FIRST_RETRY_MS;
    for (let entry = this.#entries[0]; entry; entry = this.#entries[0]) {
      try {
        for (const batch of batches(entry.events)) {
          await this.#queue.sendBatch(batch.map((body) => ({ body, contentType: "json" })));
          // Sent events leave the entry at once: a failure of the next batch must not repeat them.
          entry.events = entry.events.slice(batch.length);
        }
        this.#entries.shift();
        entry.sent();
        retryMs = FIRST_RETRY_MS;
      } catch (cause) {
        this.#log.warning("queue did not take events, will try again", { retry_ms: retryMs }, cause);
        await new Promise((resolve) => setTimeout(resolve, retryMs));
        retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
      }
    }
    this.#draining = false;
  }
}

/** Splits events, in order, into what one `sendBatch` may carry. */
export function batches(events: readonly FeatureAvailable[]): FeatureAvailable[][] {
  const result: FeatureAvailable[][] = [];
  let current: FeatureAvailable[] = [];
  let bytes = 0;
  for (const event of events) {
    const size = new TextEncoder().encode(JSON.stringify(event)).length;
    if (
      current.length === MAX_QUEUE_BATCH_MESSAGES ||
      (current.length > 0 && bytes + size > MAX_QUEUE_BATCH_BYTES)
    ) {
      result.push(current);
      current = [];
      bytes = 0;
    }
    current.push(event);
    bytes += size;
  }
  if (current.length > 0) result.push(current);
  return result;
}
