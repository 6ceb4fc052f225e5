/**
 * What is owed after a commit: events to the queue, documents to KV. When both are done the intent goes.
 *
 * When is an event done? In production once `sendBatch` has returned: Queues stores it. Locally the queue lives in
 * the memory of the process that a kill takes with it, so there (`QUEUE_STORAGE = "memory"`) an event is done when
 * the consumer says that it has handled it, and a moment later still, since what it printed may be on its way.
 */

import type { ServiceContext } from "../env.ts";
import type { FeatureAvailable } from "../events/feature-available.ts";
import { type EntityRef, entityKey } from "../keys.ts";
import { MAX_OWED_CHARACTERS } from "../limits.ts";
import { timed } from "../monitoring/timed.ts";
import type { WriterMetrics } from "../monitoring/writer-metrics.ts";
import { sleep } from "../waits.ts";
import type { Documents } from "./documents.ts";
import { Outbox } from "./outbox.ts";
import type { Identity, WriterStore } from "./writer-store.ts";

/** How long a consumer's output may take to leave a local process. */
const CONFIRMATION_GRACE_MS = 2_000;
/** How long an intent that is done stays in the log when none comes after it. */
const DONE_STAYS_MS = 200;
/** What an entry of the outbox and an event take in memory beside the names, in characters, nearly. */
const ENTRY_OVERHEAD = 400;

interface EffectsDependencies extends ServiceContext {
  identity: Identity;
  store: WriterStore;
  documents: Documents;
  metrics: WriterMetrics | undefined;
}

export interface CommittedEntity {
  ref: EntityRef;
  events: FeatureAvailable[];
}

export class Effects {
  readonly #dependencies: EffectsDependencies;
  readonly #outbox: Outbox;
  /** What to call when the local consumer confirms an event, by its id; see above. */
  readonly #unconfirmed = new Map<string, () => void>();
  /** Intents that are being driven. */
  readonly #driven = new Map<number, readonly CommittedEntity[]>();
  /** Intents that are driven to their end and still in the log. */
  readonly #done: number[] = [];
  #doneTimer: ReturnType<typeof setTimeout> | null = null;
  #owedCharacters = 0;

  constructor(dependencies: EffectsDependencies) {
    this.#dependencies = dependencies;
    const { env, log, metrics } = dependencies;
    this.#outbox = new Outbox({
      queue: {
        sendBatch: (messages) => {
          const sent = [...messages];
          const events = sent.reduce((count, { body }) => count + body.length, 0);
          const measured = { operation: "queue.publish", items: events } as const;
          return timed(metrics, measured, () => env.FEATURE_AVAILABILITY.sendBatch(sent));
        },
      },
      log,
      report: (waiting) => metrics?.outbox(waiting),
    });
  }

  /** Whether what is owed to queue and cache is as much as this object may hold in memory. */
  get isFull(): boolean {
    return this.#owedCharacters > MAX_OWED_CHARACTERS;
  }

  /** Drives a committed intent to its end. Returns at once: nobody's answer waits for it. */
  drive(seq: number, entities: readonly CommittedEntity[]): void {
    const events = entities.flatMap((entity) => entity.events);
    const characters = events.reduce((total, event) => total + sizeOfEvent(event), ENTRY_OVERHEAD);
    this.#owedCharacters += characters;
    this.#driven.set(seq, entities);
    const confirmed = this.#confirmed(events);
    const sent = this.#outbox.send(events);
    const cached = this.#dependencies.documents.keepCached(entities.map(({ ref }) => ref));
    const delivered = Promise.all([sent, cached]).then(() => {
      this.#owedCharacters -= characters;
    });
    Promise.all([delivered, confirmed])
      .then(() => {
        this.#driven.delete(seq);
        this.#done.push(seq);
        this.#doneTimer ??= setTimeout(() => this.removeDone(), DONE_STAYS_MS);
      })
      .catch((cause: unknown) => this.#dependencies.log.error("intent was not driven to its end", cause));
  }

  /**
   * Intents that are done leave the log together: with the next ones that enter it, or a moment later. Each on its own
   * would be a write to disk. A crash before that repeats their events.
   */
  removeDone(): void {
    if (this.#doneTimer !== null) clearTimeout(this.#doneTimer);
    this.#doneTimer = null;
    this.#dependencies.store.removeIntents(this.#done.splice(0));
  }

  /**
   * A deletion is about to remove the history of an entity, from which a later instance would make the events that
   * are still owed: from here on the log itself holds them.
   */
  preserve(ref: EntityRef): void {
    const deleted = entityKey(ref);
    for (const [seq, entities] of this.#driven) {
      if (!entities.some((entity) => entityKey(entity.ref) === deleted)) continue;
      const known = entities.map(({ ref: own, events }) => ({
        ref: own,
        proof: { kind: "known" as const, events },
        remembered: [],
      }));
      this.#dependencies.store.replaceIntent(seq, { entities: known });
    }
  }

  /** The local consumer has handled these events. */
  confirm(eventIds: readonly string[]): void {
    for (const id of eventIds) {
      this.#unconfirmed.get(id)?.();
      this.#unconfirmed.delete(id);
    }
  }

  /**
   * Resolves when the local consumer has handled the events; at once where Queues stores them, and where the consumer
   * tells other writers, because there is another number of them now than when this one was made.
   */
  async #confirmed(events: readonly FeatureAvailable[]): Promise<void> {
    const { settings, identity } = this.#dependencies;
    const isTold = settings.queueStorage === "memory" && identity.partitions === settings.writerPartitions;
    if (!isTold || events.length === 0) return;
    await new Promise<void>((resolve) => {
      let left = events.length;
      const confirmed = () => {
        left -= 1;
        if (left === 0) resolve();
      };
      for (const { event_id: id } of events) this.#unconfirmed.set(id, confirmed);
    });
    await sleep(CONFIRMATION_GRACE_MS);
  }
}

function sizeOfEvent({ features }: FeatureAvailable): number {
  return features.reduce((size, name) => size + name.length, ENTRY_OVERHEAD);
}
