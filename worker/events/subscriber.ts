/**
 * The Durable Object of one subscription: its door. Events that are handed to it stand in its SQLite until their
 * receiver has them; all delivering happens in its alarm, which is set in one transaction with what is to be delivered
 * and again before it begins, so that neither a crash nor a fault ends it.
 *
 * D1 holds the subscription itself; a copy of it is here, renewed by every call and every alarm, the newest version
 * winning. So a change that could not be told to the object is found, as is that the subscription is gone.
 */
import { DurableObject } from "cloudflare:workers";
import type { Idempotency } from "../db/idempotency-record.ts";
import { forgetAll } from "../db/object-sql.ts";
import { ReplyStore } from "../db/reply-store.ts";
import { settings } from "../env.ts";
import { Log } from "../log.ts";
import { nowMicros } from "../timestamps.ts";
import { DELIVERY_RECOVERY_MS, DELIVERY_RUN_MS, PAUSED_CHECK_MS } from "../timings.ts";
import { type BegunReplay, beginReplay, type ReplayRequest } from "./begin-replay.ts";
import { type DeliveryRecord, selectDeliveries } from "./delivery-list.ts";
import { DeliveryLoop } from "./delivery-loop.ts";
import type { FeatureAvailable } from "./feature-available.ts";
import { refill } from "./refill.ts";
import { type MissedRange, type PausedReason, SubscriberState } from "./subscriber-state.ts";
import { type DeliveryStatus, SubscriberStore } from "./subscriber-store.ts";
import { findSubscription, type Subscription, updateSubscription } from "./subscription-store.ts";

export interface SubscriberFacts {
  pending: number;
  delivered: number;
  dead: number;
  pausedReason: PausedReason | null;
  missed: MissedRange | null;
  isReplaying: boolean;
}

type ReplayReply =
  | (BegunReplay & { replayed: boolean })
  | { kind: "busy" }
  | { kind: "dropped" }
  /** The same `Idempotency-Key` came with another request before. */
  | { kind: "key_reused" };

interface Parts {
  store: SubscriberStore;
  state: SubscriberState;
  loop: DeliveryLoop;
  replies: ReplyStore;
}

export class Subscriber extends DurableObject<Env> {
  readonly #log: Log;
  #parts: Parts;
  #isDelivering = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#log = Log.of("subscriber", settings(env));
    this.#parts = this.#newParts();
  }

  /**
   * Takes events that the subscription wants. When it returns they are kept, or counted as missed; never both. Of one that
   * is gone nothing is: who brings them has asked D1 before.
   */
  async accept(subscription: Subscription, events: FeatureAvailable[]): Promise<void> {
    const { store, state } = this.#parts;
    if (state.isDropped) return;
    state.remember(subscription);
    const nowMs = Date.now();
    for (const event of events) {
      if (store.hasSeen(event.event_id)) continue;
      if (store.isFull) state.miss(event);
      else store.add(event, nowMs);
    }
    await this.#look();
  }

  /** The subscription has been changed. */
  async configure(subscription: Subscription): Promise<void> {
    const { state } = this.#parts;
    if (state.isDropped) return;
    // It may have been deleted before this reached the object, which then nobody has told.
    if (!state.subscription) state.lookBy(Date.now() + DELIVERY_RECOVERY_MS);
    state.remember(subscription);
    await this.#look();
  }

  async facts(): Promise<SubscriberFacts> {
    const { store, state } = this.#parts;
    return {
      pending: store.count("pending"),
      delivered: store.count("delivered"),
      dead: store.count("dead"),
      pausedReason: state.pausedReason,
      missed: state.missed,
      isReplaying: state.replay !== null,
    };
  }

  async deliveries(page: {
    status: DeliveryStatus | null;
    before: number;
    limit: number;
  }): Promise<DeliveryRecord[]> {
    return selectDeliveries(this.ctx.storage.sql, page);
  }

  /** Begins once for a request with an `Idempotency-Key`: that, and what was answered, are kept together. */
  async replay(
    subscription: Subscription,
    request: ReplayRequest,
    idempotency: Idempotency | null = null,
  ): Promise<ReplayReply> {
    const { state, replies } = this.#parts;
    if (state.isDropped) return { kind: "dropped" };
    state.remember(subscription);
    const earlier = idempotency && replies.earlier<BegunReplay>(idempotency.key);
    if (earlier && earlier.fingerprint !== idempotency.fingerprint) return { kind: "key_reused" };
    if (earlier) return { ...earlier.reply, replayed: true };
    const begun = beginReplay(this.#parts, request);
    if (begun.kind === "busy") return begun;
    if (idempotency) replies.keep(idempotency, begun);
    await this.#look();
    return { ...begun, replayed: false };
  }

  /** The subscription may be gone in a moment: looks soon, even if nobody says so. */
  async expectDrop(): Promise<void> {
    const { state } = this.#parts;
    // It holds nothing, as after a deletion that came before this one.
    if (!state.subscription) return;
    state.lookBy(Date.now() + DELIVERY_RECOVERY_MS);
    if (!this.#isDelivering) await this.#armNext();
  }

  /** Forgets everything but that: what is on its way here is not kept. What is under way to the receiver may still arrive there. */
  async drop(): Promise<void> {
    this.#parts.loop.stop();
    await forgetAll(this.ctx.storage);
    this.#parts = this.#newParts();
    this.#parts.state.noteDropped();
  }

  override async alarm(): Promise<void> {
    this.#isDelivering = true;
    // The platform gives an alarm up after some tries; this one is there however the run ends.
    await this.ctx.storage.setAlarm(Date.now() + DELIVERY_RECOVERY_MS);
    let notBeforeMs = 0;
    try {
      const { loop, state } = this.#parts;
      const endMs = Date.now() + DELIVERY_RUN_MS;
      // Once D1 must be asked, what is due waits for its answer.
      const untilMs = () => Math.min(endMs, state.lookByMs ?? endMs);
      const end = (await this.#refresh()) ? await loop.run(untilMs) : "idle";
      // It has added what it could for now.
      if (end === "idle" && state.replay) notBeforeMs = Date.now() + DELIVERY_RECOVERY_MS;
    } catch (cause) {
      this.#log.error("a run of deliveries failed", cause);
      notBeforeMs = Date.now() + DELIVERY_RECOVERY_MS;
    } finally {
      this.#isDelivering = false;
      await this.#armNext(notBeforeMs);
    }
  }

  /** Asks D1 for the subscription. When D1 does not answer the copy does. @returns false when there is none. */
  async #refresh(): Promise<boolean> {
    const { state } = this.#parts;
    const known = state.subscription;
    if (!known) {
      state.lookBy(null);
      return false;
    }
    const askedMs = Date.now();
    try {
      const current = await findSubscription(this.env.DB, known);
      if (!current) {
        await this.drop();
        return false;
      }
      const { lookByMs } = state;
      if (lookByMs !== null && lookByMs <= askedMs) state.lookBy(null);
      state.remember(current);
      await this.#pauseInD1(current);
    } catch (cause) {
      if (state.lookByMs !== null) state.lookBy(Date.now() + DELIVERY_RECOVERY_MS);
      this.#log.error("the subscription could not be read", cause, { subscription_id: known.subscriptionId });
    }
    return true;
  }

  /** Only the version that it has paused for: who has changed it since knows better. */
  async #pauseInD1(current: Subscription): Promise<void> {
    const { state } = this.#parts;
    const onlyIf = state.versionToPause;
    if (onlyIf === null) return;
    const change = { status: "paused" } as const;
    const paused = await updateSubscription(this.env.DB, current, { change, now: nowMicros(), onlyIf });
    if (paused) state.remember(paused);
    const { tenantId: tenant_id, subscriptionId: subscription_id } = current;
    this.#log.warning("too many events wait: paused", { tenant_id, subscription_id });
  }

  /** Something has changed: the run that is under way sees it, or there is one at once. */
  async #look(): Promise<void> {
    if (this.#isDelivering) this.#parts.loop.wake();
    else await this.#armNext();
  }

  async #armNext(notBeforeMs = 0): Promise<void> {
    const atMs = this.#nextAlarmMs(notBeforeMs);
    if (atMs === null) await this.ctx.storage.deleteAlarm();
    else await this.ctx.storage.setAlarm(atMs);
  }

  #nextAlarmMs(notBeforeMs: number): number | null {
    const { lookByMs } = this.#parts.state;
    const dueMs = this.#nextDeliveryMs(notBeforeMs);
    return lookByMs === null ? dueMs : Math.min(Math.max(lookByMs, notBeforeMs), dueMs ?? Infinity);
  }

  #nextDeliveryMs(notBeforeMs: number): number | null {
    const { store, state } = this.#parts;
    const nowMs = Math.max(Date.now(), notBeforeMs);
    if (state.versionToPause !== null) return nowMs + DELIVERY_RECOVERY_MS;
    const [head] = store.heads(1);
    if (!head && !state.replay) return null;
    if (state.pausedReason !== null) return nowMs + PAUSED_CHECK_MS;
    return state.replay ? nowMs : Math.max(nowMs, head?.dueAtMs ?? nowMs);
  }

  #newParts(): Parts {
    const store = new SubscriberStore(this.ctx.storage.sql);
    const state = new SubscriberState(store);
    const receiver = () => (state.pausedReason === null ? state.subscription : null);
    const loop = new DeliveryLoop({
      store,
      settings: settings(this.env),
      log: this.#log,
      receiver,
      refill: async () => {
        const { subscription } = state;
        if (subscription) await refill({ env: this.env, log: this.#log, store, state, subscription });
      },
      hasMore: () => state.replay !== null,
    });
    return { store, state, loop, replies: new ReplyStore(this.ctx.storage.sql) };
  }
}
