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
  readonly #entries: Entry[] = [];
  #draining = false;

  constructor(dependencies: OutboxDependencies) {
    this.#d = dependencies;
  }

  /** Resolves when the queue has taken all of them. */
  send(events: FeatureAvailable[]): Promise<void> {
    const sent = new Promise<void>((resolve) =>
      this.#entries.push({ events, sinceMs: Date.now(), sent: resolve }),
    );
    this.#report();
    if (!this.#draining) void this.#drain();
    return sent;
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    let retryMs = FIRST_RETRY_MS;
    for (let entry = this.#entries[0]; entry; entry = this.#entries[0]) {
      try {
        for (const batch of batches(entry.events)) {
          await this.#d.queue.sendBatch(batch.map((body) => ({ body, contentType: "json" })));
          // Sent events leave the entry at once: a failure of the next batch must not repeat them.
          entry.events = entry.events.slice(batch.length);
        }
        this.#entries.shift();
        entry.sent();
        this.#report();
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

  #report(): void {
    const [oldest] = this.#entries;
    const events = this.#entries.reduce((total, entry) => total + entry.events.length, 0);
    this.#d.report(oldest ? { events, oldestMs: oldest.sinceMs } : null);
  }
}

/** Splits events, in order, into what one `sendBatch` may carry. */
export function batches(events: readonly FeatureAvailable[]): FeatureAvailable[][] {
  // Nearly always all of them fit, and that is seen without writing each of them once more.
  const most = events.reduce((total, event) => total + mostBytes(event), 0);
  if (events.length <= MAX_QUEUE_BATCH_MESSAGES && most <= MAX_QUEUE_BATCH_BYTES) {
    return events.length > 0 ? [[...events]] : [];
  }
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
