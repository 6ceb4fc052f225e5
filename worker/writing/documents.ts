/**
 * The hot-cache documents of a writer's entities: that KV shows what an entity is now, or nothing.
 *
 * The object's SQLite has a record of each document that may be in KV. Only an entity with a record is put again when it
 * changes; it gets its first document when somebody has read it, and keeps it until that expires or, if it changes
 * shortly before, is removed: what nobody reads any more is not put for ever. A put that failed is a debt in the record,
 * paid by the alarm.
 */
import { exceedsUtf8Bytes } from "../characters.ts";
import type { ServiceContext } from "../env.ts";
import { documentKey, type EntityRef, entityKey, entityRef } from "../keys.ts";
import { KV_CACHE_TTL_SECONDS, KV_MAX_VALUE_BYTES, KV_MIN_EXPIRATION_SECONDS } from "../limits.ts";
import { timed } from "../monitoring/timed.ts";
import type { WriterMetrics } from "../monitoring/writer-metrics.ts";
import { documentOf, encodeDocument } from "../serving/document.ts";
import { DocumentKeeper } from "./document-keeper.ts";
import type { EntityStates } from "./entity-states.ts";
import type { DocumentRecord, Identity, WriterStore } from "./writer-store.ts";

/** What a document must have left of its time to be put again: KV takes none that has less, and its clock may be ahead. */
const LEAST_LEFT_MS = (KV_MIN_EXPIRATION_SECONDS + 30) * 1_000;

interface DocumentsDependencies extends ServiceContext {
  /** That of the writer's entities. */
  db: D1Database;
  identity: Identity;
  store: WriterStore;
  states: EntityStates;
  ensureAlarm: () => void;
  metrics: WriterMetrics | undefined;
}

export class Documents {
  readonly #dependencies: DocumentsDependencies;
  readonly #keeper: DocumentKeeper;
  /** Entities whose document is to be removed, not put. */
  readonly #invalidated = new Set<string>();

  constructor(dependencies: DocumentsDependencies) {
    this.#dependencies = dependencies;
    this.#keeper = new DocumentKeeper({
      put: (entity) => this.#put(entity),
      owe: (entity) => this.#owe(entity),
      log: dependencies.log,
    });
  }

  /** Entities have changed. Resolves when the documents of those that have one show it, or are owed. Never rejects. */
  keepCached(refs: readonly EntityRef[]): Promise<unknown> {
    const cached = this.#dependencies.store.documents(refs.map(entityKey), Date.now());
    return Promise.all(cached.map(({ entity }) => this.#keeper.keep(entity)));
  }

  /** Documents for entities that somebody has read and not found in KV. Those that do not exist get none. */
  async fill(refs: readonly EntityRef[]): Promise<void> {
    const { db, identity, states, store } = this.#dependencies;
    const wanted = refs.filter((ref) => !this.#isFilled(entityKey(ref)));
    const found = await states.load(db.withSession("first-primary"), identity.tenant, wanted);
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
      const known = this.#recordOf(entity);
      store.putDocument({ entity, expiresAtMs: this.#newExpiryMs(), dirty: known?.dirty ?? false });
      filling.push(this.#keeper.keep(entity));
    }
    this.#dependencies.ensureAlarm();
    await Promise.all(filling);
  }

  /** Removes an entity's document until somebody reads it again. Answers whether there was one. */
  async invalidate(ref: EntityRef): Promise<boolean> {
    const entity = entityKey(ref);
    if (!this.isCached(ref)) return false;
    // A debt until it is done: after a crash the alarm makes the document current again, which does no harm.
    this.#owe(entity);
    this.#invalidated.add(entity);
    await this.#keeper.keep(entity);
    return true;
  }

  /** Whether no put is under way, or to come by itself. */
  get isIdle(): boolean {
    return this.#keeper.isIdle;
  }

  isCached(ref: EntityRef): boolean {
    return this.#recordOf(entityKey(ref)) !== null;
  }

  async payDebts(limit: number): Promise<void> {
    await Promise.all(
      this.#dependencies.store.dirtyDocuments(limit).map(({ entity }) => this.#keeper.keep(entity)),
    );
  }

  #isFilled(entity: string): boolean {
    const record = this.#recordOf(entity);
    // KV tells a miss for as long as it caches one, though the document is there: it need not be put again.
    return (
      record !== null && !record.dirty && this.#keeper.wasPutWithin(entity, KV_CACHE_TTL_SECONDS * 1_000)
    );
  }

  #recordOf(entity: string): DocumentRecord | null {
    return this.#dependencies.store.documents([entity], Date.now())[0] ?? null;
  }

  #newExpiryMs(): number {
    return Date.now() + this.#dependencies.settings.documentTtlSeconds * 1_000;
  }

  #owe(entity: string): void {
    const expiresAtMs = this.#recordOf(entity)?.expiresAtMs ?? this.#newExpiryMs();
    this.#dependencies.store.putDocument({ entity, expiresAtMs, dirty: true });
    this.#dependencies.ensureAlarm();
  }

  /** Makes KV show what the entity is now: its document where one is kept, else nothing. */
  async #put(entity: string): Promise<void> {
    const { env, db, identity, states, store, metrics } = this.#dependencies;
    const ref = entityRef(entity);
    const key = documentKey(identity.tenant, identity.partitions, ref);
    const loaded = await states.load(db.withSession("first-primary"), identity.tenant, [ref]);
    const state = loaded?.get(entity);
    const document = state && documentOf(state.revision, state.rows.values());
    const text = document && encodeDocument(document);
    const record = this.#recordOf(entity);
    const isInvalidated = this.#invalidated.delete(entity);
    const isOver = !record || record.expiresAtMs < Date.now() + LEAST_LEFT_MS;
    if (isOver || isInvalidated || !text || exceedsUtf8Bytes(text, KV_MAX_VALUE_BYTES)) {
      await timed(metrics, { operation: "kv.delete", items: 1 }, () => env.HOT.delete(key));
      store.removeDocument(entity);
      return;
    }
    const { expiresAtMs } = record;
    const expiration = Math.ceil(expiresAtMs / 1_000);
    await timed(metrics, { operation: "kv.put", items: 1 }, () => env.HOT.put(key, text, { expiration }));
    if (record.dirty && this.#recordOf(entity)) store.putDocument({ entity, expiresAtMs, dirty: false });
  }
}
