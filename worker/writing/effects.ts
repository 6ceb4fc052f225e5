/**
 * What is owed after a commit: events to the queue, documents to KV. When both are done the intent goes.
 *
 * When is an event done? In production once `sendBatch` has returned: Queues stores it. Locally the queue lives in
 * the memory of the process that a kill takes with it, so there (`QUEUE_STORAGE = "memory"`) an event is done when
 * the consumer says that it has handled it, and a moment later still, since what it printed may be on its way.
 */

import { exceedsUtf8Bytes } from "../characters.ts";
import type { Settings } from "../env.ts";
import type { FeatureAvailable } from "../events/feature-available.ts";
import { documentKey, type EntityRef, entityKey, entityRef } from "../keys.ts";
import {
  KV_CACHE_TTL_SECONDS,
  KV_MAX_VALUE_BYTES,
  KV_MIN_EXPIRATION_SECONDS,
  MAX_OWED_CHARACTERS,
} from "../limits.ts";
import type { Log } from "../log.ts";
import { timed } from "../monitoring/timed.ts";
import type { WriterMetrics } from "../monitoring/writer-metrics.ts";
import { documentOf, encodeDocument } from "../serving/document.ts";
import { sleep } from "../waits.ts";
import { DocumentKeeper } from "./document-keeper.ts";
import type { EntityStates } from "./entity-states.ts";
import { Outbox } from "./outbox.ts";
import type { Identity, WriterStore } from "./writer-store.ts";

/** How long a consumer's output may take to leave a local process. */
const CONFIRMATION_GRACE_MS = 2_000;
/** How long an intent that is done stays in the log when none comes after it. */
const DONE_STAYS_MS = 200;
/** What an entry of the outbox and an event take in memory beside the names, in characters, nearly. */
const ENTRY_OVERHEAD = 400;

export interface EffectsDependencies {
  env: Env;
  settings: Settings;
  identity: Identity;
  store: WriterStore;
  states: EntityStates;
  ensureAlarm: () => void;
  log: Log;
  metrics: WriterMetrics | undefined;
}

export interface CommittedEntity {
  ref: EntityRef;
  events: FeatureAvailable[];
}

export class Effects {
  readonly #d: EffectsDependencies;
  readonly #outbox: Outbox;
  readonly #keeper: DocumentKeeper;
  /** Events that the local consumer has not confirmed, with whom to tell of each; see above. */
  readonly #unconfirmed = new Map<string, () => void>();
  /** Entities whose document is to be removed, not put. */
  readonly #invalidated = new Set<string>();
  /** Intents that are being driven. */
  readonly #driven = new Map<number, readonly CommittedEntity[]>();
  /** Intents that are driven to their end and still in the log. */
  readonly #done: number[] = [];
  #doneTimer: ReturnType<typeof setTimeout> | null = null;
  #owedCharacters = 0;

  constructor(dependencies: EffectsDependencies) {
    this.#d = dependencies;
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
    this.#keeper = new DocumentKeeper({
      put: (entity) => this.#putDocument(entity),
      owe: (entity) => this.#oweDocument(entity),
      log,
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
    const cached = this.#d.store.documents(entities.map(({ ref }) => entityKey(ref)));
    const kept = cached.map(({ entity }) => this.#keeper.keep(entity));
    const delivered = Promise.all([sent, ...kept]).then(() => {
      this.#owedCharacters -= characters;
    });
    Promise.all([delivered, confirmed])
      .then(() => {
        this.#driven.delete(seq);
        this.#done.push(seq);
        this.#doneTimer ??= setTimeout(() => this.removeDone(), DONE_STAYS_MS);
      })
      .catch((cause: unknown) => this.#d.log.error("intent was not driven to its end", cause));
  }

  /**
   * Intents that are done leave the log together: with the next ones that enter it, or a moment later. Each on its own
   * would be a write to disk. A crash before that repeats their events.
   */
  removeDone(): void {
    if (this.#doneTimer !== null) clearTimeout(this.#doneTimer);
    this.#doneTimer = null;
    this.#d.store.removeIntents(this.#done.splice(0));
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
      this.#d.store.replaceIntent(seq, { entities: known });
    }
  }

  /** The local consumer has handled these events. */
  confirm(eventIds: readonly string[]): void {
    for (const id of eventIds) {
      this.#unconfirmed.get(id)?.();
      this.#unconfirmed.delete(id);
    }
  }

  /** Documents for entities that somebody has read and not found in KV. Those that do not exist get none. */
  async fill(refs: readonly EntityRef[]): Promise<void> {
    const { env, identity, states, store } = this.#d;
    const wanted = refs.filter((ref) => !this.#isFilled(entityKey(ref)));
    const db = env.DB.withSession("first-primary");
    const found = await states.load(db, identity.tenant, wanted);
    if (!found) {
      const half = Math.ceil(wanted.length / 2);
      await this.fill(wanted.slice(0, half));
      return this.fill(wanted.slice(half));
    }
    const filling: Promise<void>[] = [];
    for (const [entity, state] of found) {
      const document = documentOf(state.revision, state.rows.values());
      if (!document || document.size * 2 > KV_MAX_VALUE_BYTES) continue;
      // The record comes before the put: a commit that looks from now on owes the next put. An old debt stays one.
      const [known] = store.documents([entity]);
      store.putDocument({ entity, expiresAtMs: this.#newExpiryMs(), dirty: known?.dirty ?? false });
      filling.push(this.#keeper.keep(entity));
    }
    this.#d.ensureAlarm();
    await Promise.all(filling);
  }

  /** Removes an entity's document until somebody reads it again. Answers whether there was one. */
  async invalidate(ref: EntityRef): Promise<boolean> {
    const entity = entityKey(ref);
    if (!this.isCached(ref)) return false;
    // A debt until it is done: after a crash the alarm makes the document current again, which does no harm.
    this.#oweDocument(entity);
    this.#invalidated.add(entity);
    await this.#keeper.keep(entity);
    return true;
  }

  isCached(ref: EntityRef): boolean {
    return this.#d.store.documents([entityKey(ref)]).length > 0;
  }

  async payDebts(limit: number): Promise<void> {
    await Promise.all(this.#d.store.dirtyDocuments(limit).map(({ entity }) => this.#keeper.keep(entity)));
  }

  /**
   * Resolves when the local consumer has handled the events; at once where Queues stores them, and where the consumer
   * tells other writers, because there is another number of them now than when this one was made.
   */
  async #confirmed(events: readonly FeatureAvailable[]): Promise<void> {
    const { settings, identity } = this.#d;
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

  #isFilled(entity: string): boolean {
    const [record] = this.#d.store.documents([entity]);
    // KV tells a miss for as long as it caches one, though the document is there: it need not be put again.
    return (
      record !== undefined && !record.dirty && this.#keeper.wasPutWithin(entity, KV_CACHE_TTL_SECONDS * 1_000)
    );
  }

  #newExpiryMs(): number {
    return Date.now() + this.#d.settings.documentTtlSeconds * 1_000;
  }

  #oweDocument(entity: string): void {
    this.#d.store.putDocument({ entity, expiresAtMs: this.#newExpiryMs(), dirty: true });
    this.#d.ensureAlarm();
  }

  /** Makes KV show what the entity is now: its document where one is kept, else nothing. */
  async #putDocument(entity: string): Promise<void> {
    const { env, identity, states, store, metrics } = this.#d;
    const ref = entityRef(entity);
    const key = documentKey(identity.tenant, identity.partitions, ref);
    const loaded = await states.load(env.DB.withSession("first-primary"), identity.tenant, [ref]);
    const state = loaded?.get(entity);
    const document = state && documentOf(state.revision, state.rows.values());
    const text = document && encodeDocument(document);
    const [record] = store.documents([entity]);
    const isInvalidated = this.#invalidated.delete(entity);
    if (!record || isInvalidated || !text || exceedsUtf8Bytes(text, KV_MAX_VALUE_BYTES)) {
      await timed(metrics, { operation: "kv.delete", items: 1 }, () => env.HOT.delete(key));
      store.removeDocument(entity);
      return;
    }
    const lastsMs = record.expiresAtMs - Date.now();
    const expiresAtMs =
      lastsMs > 2 * KV_MIN_EXPIRATION_SECONDS * 1_000 ? record.expiresAtMs : this.#newExpiryMs();
    if (expiresAtMs !== record.expiresAtMs) store.putDocument({ ...record, expiresAtMs });
    const expiration = Math.ceil(expiresAtMs / 1_000);
    await timed(metrics, { operation: "kv.put", items: 1 }, () => env.HOT.put(key, text, { expiration }));
    const isStillWanted = store.documents([entity]).length > 0;
    if (record.dirty && isStillWanted) store.putDocument({ entity, expiresAtMs, dirty: false });
  }
}

function sizeOfEvent({ features }: FeatureAvailable): number {
  return features.reduce((size, name) => size + name.length, ENTRY_OVERHEAD);
}
