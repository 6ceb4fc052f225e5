/**
 * The Durable Object that orders the writes of one partition of a tenant's entities: its door. How a group is
 * committed is in `commit-loop.ts`, what follows a commit in `effects.ts` and `documents.ts`.
 *
 * Only the intent log, the idempotency records and the list of documents, all in its SQLite, have to survive; all
 * other state in here is a copy that may be lost at any moment.
 */
import { DurableObject } from "cloudflare:workers";
import { bindingOf, entityDatabase, isBound } from "../db/entity-databases.ts";
import type { Idempotency } from "../db/idempotency-record.ts";
import { forgetAll } from "../db/object-sql.ts";
import { settings } from "../env.ts";
import type { EntityRef } from "../keys.ts";
import { MAX_QUEUED_CHARACTERS } from "../limits.ts";
import { Log } from "../log.ts";
import { WriterMetrics } from "../monitoring/writer-metrics.ts";
import { isGone } from "../tenants/deleting/deletion-store.ts";
import { nowMicros } from "../timestamps.ts";
import { IDEMPOTENCY_TTL_SECONDS, PURGE_ALARM_MS, RECOVERY_ALARM_MS } from "../timings.ts";
import { CommitLoop } from "./commit-loop.ts";
import { Documents } from "./documents.ts";
import { Effects } from "./effects.ts";
import { EntityStates } from "./entity-states.ts";
import type { ChangeReply, ChangeRequest, RequestRow, Settled } from "./entity-write.ts";
import { forgetExpired } from "./forget-expired.ts";
import type { Pending } from "./pending.ts";
import { sizeOfRow } from "./take-group.ts";
import { WriterMove } from "./writer-move.ts";
import { type ChangedEntity, type DocumentRecord, type Identity, WriterStore } from "./writer-store.ts";

const UNAVAILABLE: ChangeReply = { kind: "unavailable" };
const MOVING: ChangeReply = { kind: "moving" };
/** Documents put again by one alarm. */
const DEBTS_PER_ALARM = 100;

interface Parts {
  loop: CommitLoop;
  effects: Effects;
  documents: Documents;
  move: WriterMove;
}

export class EntityWriter extends DurableObject<Env> {
  #store: WriterStore;
  #isDropped: boolean;
  readonly #log: Log;
  #parts: Parts | null = null;
  #alarmAtMs = Number.POSITIVE_INFINITY;
  #queuedCharacters = 0;
  /** Requests for changes that are under way. A deletion has no characters. */
  #changeRequests = 0;
  /** Requests of readers for documents that are under way. */
  #documentRequests = 0;
  /** Requests under way by their `Idempotency-Key`: a repetition waits for the first. */
  readonly #inFlight = new Map<string, Promise<unknown>>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#log = Log.of("entity-writer", settings(env));
    this.#store = new WriterStore(ctx.storage.sql);
    this.#isDropped = this.#store.isDropped();
    const identity = this.#store.identity();
    if (!identity) return;
    void ctx.blockConcurrencyWhile(async () => {
      // An alarm that is due already must not be put off by the one that leftover intents ask for.
      this.#alarmAtMs = (await ctx.storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
      if (isBound(env, identity.database)) this.#open(identity);
    });
  }

  /** Applies the changes of a request in order; answers when all of them are committed, or none of the rest could be. */
  async change(identity: Identity, request: ChangeRequest): Promise<ChangeReply> {
    if (this.#isDropped) return UNAVAILABLE;
    const { loop, effects, move } = this.#open(identity);
    const mayWrite = move.mayWrite(identity);
    if (mayWrite !== true && !(await mayWrite)) return MOVING;
    // From here to where it is counted nothing may come between: whoever pauses asks whether anything is under way.
    if (move.isPaused) return MOVING;
    const size = request.rows.reduce((total, row) => total + sizeOfRow(row), 0);
    const isFull = this.#queuedCharacters > 0 && this.#queuedCharacters + size > MAX_QUEUED_CHARACTERS;
    if (isFull || effects.isFull) return UNAVAILABLE;
    this.#queuedCharacters += size;
    this.#changeRequests += 1;
    try {
      return request.idempotency
        ? await this.#changeOnce(loop, request, request.idempotency)
        : reply(await Promise.all(request.rows.map((row) => this.#settle(loop, row, null))), false);
    } finally {
      this.#queuedCharacters -= size;
      this.#changeRequests -= 1;
    }
  }

  /** Whether a request may use its `Idempotency-Key`: not when another request has used it within its time. */
  async claim(identity: Identity, idempotency: Idempotency): Promise<boolean> {
    this.#open(identity);
    return this.#claim(idempotency);
  }

  /** What became of the one change of this request when it came before; null where it has not, or was not committed. */
  async recall(identity: Identity, { key, fingerprint }: Idempotency): Promise<Settled | null | "unknown"> {
    const { loop } = this.#open(identity);
    if (this.#store.fingerprintOf(key, Date.now()) !== fingerprint) return null;
    for (let other = this.#inFlight.get(key); other; other = this.#inFlight.get(key)) await other;
    if (loop.unresolved > 0) await loop.settle();
    if (loop.isUnresolved(key)) return "unknown";
    return this.#store.rememberedResults(key).get(0) ?? null;
  }

  /** A reader has found these entities in D1 and not in KV. */
  async fill(identity: Identity, refs: EntityRef[]): Promise<void> {
    if (this.#isDropped) return;
    const { documents, move } = this.#open(identity);
    if ((await move.mayWrite(identity)) && !move.isPaused)
      await this.#ofDocuments(() => documents.fill(refs));
  }

  /** Removes an entity's hot-cache document; answers whether there was one. */
  async invalidate(identity: Identity, ref: EntityRef): Promise<boolean> {
    const { documents } = this.#open(identity);
    return this.#ofDocuments(() => documents.invalidate(ref));
  }

  /** The consumer has handled these events; only a queue that lives in memory needs to be told. */
  async confirm(identity: Identity, eventIds: string[]): Promise<void> {
    if (!this.#isDropped) this.#open(identity).effects.confirm(eventIds);
  }

  /** From now on it notes which entities it changes. What was under way is committed when this is answered. */
  async watch(identity: Identity, run: number): Promise<void> {
    const { loop, move } = this.#open(identity);
    move.watch(run);
    await loop.settle();
  }

  /** Entities that were changed since then, those that are longest unchanged first. */
  async changedEntities(identity: Identity, limit: number): Promise<ChangedEntity[]> {
    this.#open(identity);
    return this.#store.changedEntities(limit);
  }

  async forgetChanged(identity: Identity, seqs: number[]): Promise<void> {
    this.#open(identity);
    this.#store.forgetChanged(seqs);
  }

  /** Takes no write for a while. Answers whether nothing is under way or owed any more. */
  async pause(identity: Identity): Promise<boolean> {
    const { documents, effects, move } = this.#open(identity);
    if (!(await move.pause(identity))) return false;
    const isUnderWay = this.#changeRequests > 0 || this.#documentRequests > 0 || !documents.isIdle;
    if (isUnderWay) return false;
    effects.removeDone();
    const owes = this.#owes();
    if (owes) this.#ensureAlarm(RECOVERY_ALARM_MS);
    return !owes;
  }

  /** Its records of documents, in the order of their entities. */
  async documents(identity: Identity, after: string, limit: number): Promise<DocumentRecord[]> {
    this.#open(identity);
    return this.#store.documentsAfter(after, limit);
  }

  /** These documents are this writer's to keep current. */
  async adoptDocuments(identity: Identity, records: DocumentRecord[]): Promise<void> {
    this.#open(identity);
    for (const record of records) this.#store.putDocument(record);
    this.#ensureAlarm(PURGE_ALARM_MS);
  }

  /** The move has come to an end, or to another beginning: D1 tells. */
  async resume(identity: Identity): Promise<void> {
    await this.#open(identity).move.ask(identity);
  }

  /** Its tenant is deleted: forgets everything but that, and takes nothing any more. */
  async drop(): Promise<void> {
    this.#isDropped = true;
    this.#parts = null;
    await forgetAll(this.ctx.storage);
    this.#store = new WriterStore(this.ctx.storage.sql);
    this.#store.noteDropped();
  }

  override async alarm(): Promise<void> {
    this.#alarmAtMs = Number.POSITIVE_INFINITY;
    const identity = this.#store.identity();
    if (!identity) return;
    // Whoever deletes its tenant knows of the writers of today alone.
    const isOfBefore = identity.partitions !== settings(this.env).writerPartitions;
    if (isOfBefore && (await isGone(this.env.DB, identity.tenant).catch(() => false))) return this.drop();
    if (!isBound(this.env, identity.database)) {
      // An alarm that fails is given up after a few tries, and with it what this writer owes.
      const missing = new Error(`the database ${bindingOf(identity.database)} is not bound`);
      this.#log.error("a writer cannot go on", missing, { tenant_id: identity.tenant });
      this.#ensureAlarm(PURGE_ALARM_MS);
      return;
    }
    const { loop, effects, documents } = this.#open(identity);
    try {
      await loop.settle();
      await documents.payDebts(DEBTS_PER_ALARM);
    } finally {
      effects.removeDone();
      const isMore = forgetExpired(this.#store, Date.now());
      if (isMore || this.#owes()) this.#ensureAlarm(RECOVERY_ALARM_MS);
      else if (this.#store.remembersAnything()) this.#ensureAlarm(PURGE_ALARM_MS);
    }
  }

  #owes(): boolean {
    return this.#store.countIntents() > 0 || this.#store.dirtyDocuments(1).length > 0;
  }

  async #ofDocuments<R>(work: () => Promise<R>): Promise<R> {
    this.#documentRequests += 1;
    try {
      return await work();
    } finally {
      this.#documentRequests -= 1;
    }
  }

  async #changeOnce(
    loop: CommitLoop,
    request: ChangeRequest,
    idempotency: Idempotency,
  ): Promise<ChangeReply> {
    if (!this.#claim(idempotency)) return { kind: "key_reused" };
    const { key } = idempotency;
    // Not a step of its own: between its last look and the next line nothing else may run.
    for (let other = this.#inFlight.get(key); other; other = this.#inFlight.get(key)) await other;
    const running = this.#changeMissing(loop, request, key);
    this.#inFlight.set(key, running);
    try {
      return await running;
    } finally {
      this.#inFlight.delete(key);
    }
  }

  #claim(idempotency: Idempotency): boolean {
    const nowMs = Date.now();
    this.#ensureAlarm(PURGE_ALARM_MS);
    const first = this.#store.claimKey(idempotency, nowMs, nowMs + IDEMPOTENCY_TTL_SECONDS * 1_000);
    return first === idempotency.fingerprint;
  }

  /** Settles the rows that have no remembered result; after a crash that may be some of them, or none. */
  async #changeMissing(
    loop: CommitLoop,
    { rows, positions }: ChangeRequest,
    key: string,
  ): Promise<ChangeReply> {
    // An intent of unknown outcome may hold the very results that are asked for.
    if (loop.unresolved > 0) await loop.settle();
    const remembered = this.#store.rememberedResults(key);
    const positionOf = (i: number) => positions[i] ?? i;
    const settled = await Promise.all(
      rows.map(
        (row, i) =>
          remembered.get(positionOf(i)) ?? this.#settle(loop, row, { key, position: positionOf(i) }),
      ),
    );
    return reply(
      settled,
      rows.every((_, i) => remembered.has(positionOf(i))),
    );
  }

  /** A row that is refused and was not when its request first came may still be committed: then nobody can say yet. */
  #settle(
    loop: CommitLoop,
    row: RequestRow,
    remember: Pending["remember"],
  ): Promise<Settled | null> | Settled | null {
    if (row.kind !== "refused") return loop.submit(row, remember);
    if (remember && loop.isUnresolved(remember.key)) return null;
    const { reason } = row;
    const settled: Settled = {
      result: { outcome: "refused", reason },
      committedAt: nowMicros(),
      bookmark: null,
    };
    if (remember) this.#store.rememberResult(remember.key, remember.position, settled);
    return settled;
  }

  #open(identity: Identity): Parts {
    if (this.#parts) return this.#parts;
    if (this.#isDropped) throw new Error("its tenant is deleted");
    if (!this.#store.identity()?.databases) this.#store.setIdentity(identity);
    const { env } = this;
    const db = entityDatabase(env, identity.database);
    const log = this.#log;
    const store = this.#store;
    const states = new EntityStates();
    const ensureAlarm = () => this.#ensureAlarm(RECOVERY_ALARM_MS);
    const own = settings(env);
    const after = (work: Promise<unknown>) => this.ctx.waitUntil(work);
    const metrics =
      own.metrics === "on" ? new WriterMetrics({ env, tenant: identity.tenant, after }) : undefined;
    const shared = { env, db, settings: own, identity, store, log, metrics };
    const documents = new Documents({ ...shared, states, ensureAlarm });
    const effects = new Effects({ ...shared, documents });
    const move = new WriterMove({ db: env.DB, store, log });
    const loop = new CommitLoop({
      db,
      tenant: identity.tenant,
      groupWrites: own.writerGroupWrites,
      store,
      states,
      documents,
      effects,
      move,
      ensureAlarm,
      log,
      metrics,
    });
    this.#parts = { loop, effects, documents, move };
    return this.#parts;
  }

  #ensureAlarm(inMs: number): void {
    const atMs = Date.now() + inMs;
    if (this.#alarmAtMs <= atMs) return;
    this.#alarmAtMs = atMs;
    void this.ctx.storage.setAlarm(atMs);
  }
}

function reply(settled: (Settled | null)[], replayed: boolean): ChangeReply {
  const acknowledged = settled.filter((one) => one !== null);
  return acknowledged.length === settled.length
    ? { kind: "settled", settled: acknowledged, replayed }
    : UNAVAILABLE;
}
