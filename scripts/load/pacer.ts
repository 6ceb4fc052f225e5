/**
 * When to send, at a fixed rate that is never exceeded. Pure: the time is passed in.
 *
 * Request number k has its slot at k / rate, whatever became of those before it. It is sent at its slot, or as soon
 * after it as a user is free and the rate allows; a slot that is late by more than a window is missed, not sent in
 * a burst. Nothing is hidden by that: of a late request the latency counts from its slot, and a missed slot counts
 * as one that waited until somebody could have sent it, which is the least that its caller would have waited.
 *
 * So in no window of a tenth of a second (of one request, if that is longer) more than the rate is sent, and none in
 * which the service stalled is spared its requests.
 */

/** Timers are late by a millisecond or two: within so long a late request may still go. */
export const WINDOW_MS = 100;

export interface Due {
  /** The slot of a request to be sent now; null: none. */
  slotMs: number | null;
  /** Slots that were missed, with how long they had waited by now. */
  missedMs: number[];
}

export class Pacer {
  /** Requests in a window, and its exact length: a whole number of requests. */
  readonly windowRequests: number;
  readonly windowMs: number;
  readonly #intervalMs: number;
  readonly #startMs: number;
  readonly #slots: number;
  #next = 0;
  /** The last sent times, as many as a window may have; the oldest at `#oldest`. */
  readonly #sentMs: number[];
  #oldest = 0;

  /** @param slots How many there are: rate × duration. */
  constructor({ rate, startMs, slots }: { rate: number; startMs: number; slots: number }) {
    this.#intervalMs = 1_000 / rate;
    this.windowRequests = Math.max(1, Math.floor((rate * WINDOW_MS) / 1_000));
    this.windowMs = this.windowRequests * this.#intervalMs;
    this.#startMs = startMs;
    this.#slots = slots;
    this.#sentMs = new Array(this.windowRequests).fill(Number.NEGATIVE_INFINITY);
  }

  get isOver(): boolean {
    return this.#next >= this.#slots;
  }

  /** When {@link take} is worth calling again, if a user is free. */
  get nextMs(): number {
    return Math.max(this.#slotMs(this.#next), this.#allowedMs());
  }

  /** To be called when a user is free: what that user sends now. */
  take(nowMs: number): Due {
    const missedMs = this.#missed(nowMs, nowMs - this.windowMs);
    if (this.isOver || nowMs < this.nextMs) return { slotMs: null, missedMs };
    const slotMs = this.#slotMs(this.#next);
    this.#next += 1;
    this.#sentMs[this.#oldest] = nowMs;
    this.#oldest = (this.#oldest + 1) % this.windowRequests;
    return { slotMs, missedMs };
  }

  /** At the end: what is left of the slots, all missed. */
  rest(nowMs: number): number[] {
    return this.#missed(nowMs, Number.POSITIVE_INFINITY);
  }

  #missed(nowMs: number, beforeMs: number): number[] {
    const missed: number[] = [];
    for (; !this.isOver && this.#slotMs(this.#next) < beforeMs; this.#next += 1) {
      missed.push(Math.max(0, nowMs - this.#slotMs(this.#next)));
    }
    return missed;
  }

  #slotMs(slot: number): number {
    return this.#startMs + slot * this.#intervalMs;
  }

  #allowedMs(): number {
    return (this.#sentMs[this.#oldest] ?? Number.NEGATIVE_INFINITY) + this.windowMs;
  }
}
