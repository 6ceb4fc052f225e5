/**
 * What a Subscriber knows besides its deliveries, each a note in its SQLite: its subscription as last heard of, whether
 * it has paused itself or was dropped, what it could not keep, and the replay under way.
 */
import type { Micros } from "../timestamps.ts";
import type { FeatureAvailable } from "./feature-available.ts";
import type { HistoryRange, Place } from "./replay.ts";
import type { SubscriberStore } from "./subscriber-store.ts";
import type { Subscription } from "./subscription-store.ts";

/** Times of ingestion, as the events of that time have them. */
export interface MissedRange {
  from: string;
  to: string;
}

/** `id` tells a replay from one that came after it. */
export type Replay =
  | { kind: "dead"; id: string; after: number; upTo: number }
  /** `database`: in which of the tenant's the place is, the first where none is named. */
  | { kind: "history"; id: string; range: HistoryRange; place: Place; database?: number };

export type PausedReason = "requested" | "too_many_pending";

export class SubscriberState {
  readonly #store: SubscriberStore;
  #subscription: Subscription | null;

  constructor(store: SubscriberStore) {
    this.#store = store;
    this.#subscription = store.readNote<Subscription>("subscription");
  }

  get subscription(): Subscription | null {
    return this.#subscription;
  }

  /** Versions may come in any order: the newest stays. */
  remember(heard: Subscription): void {
    const known = this.#subscription;
    // An isolate of the code before may have told of this very version without its authorization, which it did not know.
    const isFuller = known?.updatedAt === heard.updatedAt && known.authorization === undefined;
    if (known && known.updatedAt >= heard.updatedAt && !isFuller) return;
    this.#subscription = heard;
    this.#store.writeNote("subscription", heard);
    if (isFuller) return;
    if (this.#overflow() === null) return;
    // Who has resumed it since has answered the pause; any other change leaves it a pause for the same reason.
    if (heard.status === "active") this.#store.removeNote("overflow");
    else this.#store.writeNote("overflow", heard.updatedAt);
  }

  get pausedReason(): PausedReason | null {
    if (this.#overflow() !== null) return "too_many_pending";
    return this.#subscription?.status === "paused" ? "requested" : null;
  }

  /** The version that D1 still shows as active, though it has paused itself. */
  get versionToPause(): Micros | null {
    return this.#subscription?.status === "active" ? this.#overflow() : null;
  }

  /** An event did not fit: the subscription pauses itself, and what is missing can be told from the range. */
  miss({ timestamp }: Pick<FeatureAvailable, "timestamp">): void {
    const { from, to } = this.missed ?? { from: timestamp, to: timestamp };
    // All of one form, so that they order as texts.
    const range: MissedRange = {
      from: timestamp < from ? timestamp : from,
      to: timestamp > to ? timestamp : to,
    };
    this.#store.writeNote("missed", range);
    if (this.#overflow() === null) this.#store.writeNote("overflow", this.#subscription?.updatedAt ?? 0);
  }

  get missed(): MissedRange | null {
    return this.#store.readNote<MissedRange>("missed");
  }

  clearMissed(): void {
    this.#store.removeNote("missed");
  }

  get replay(): Replay | null {
    return this.#store.readNote<Replay>("replay");
  }

  setReplay(replay: Replay | null): void {
    if (replay) this.#store.writeNote("replay", replay);
    else this.#store.removeNote("replay");
  }

  /** By when D1 must have been asked whether the subscription is still there; null: with the next run. */
  get lookByMs(): number | null {
    return this.#store.readNote<number>("look_by");
  }

  lookBy(atMs: number | null): void {
    if (atMs === null) this.#store.removeNote("look_by");
    else this.#store.writeNote("look_by", atMs);
  }

  /** Ids are never given twice: what is dropped stays so. */
  noteDropped(): void {
    this.#store.writeNote("dropped", true);
  }

  get isDropped(): boolean {
    return this.#store.readNote("dropped") !== null;
  }

  #overflow(): Micros | null {
    return this.#store.readNote<Micros>("overflow");
  }
}
