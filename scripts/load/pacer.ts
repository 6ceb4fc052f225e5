/**
 * When to send, at a fixed rate that is never exceeded. Pure: the time is passed in.
 *
 * Request number k has its slot at k / rate, whatever became of those before it. It is sent at its slot, or as soon
 * after it as a user is free and the rate allows; a slot for which no user was free for a window is missed, not sent in
 * a burst. Nothing is hidden by that: the latency of a late request counts from when it could have been sent, and a
 * missed slot is told to the caller, who counts it too.
 *
 * What the rate itself holds back, because a timer was late and those before it went together, is not the service's to
 * answer for: at the full rate nothing can be caught up, and all after it would be late for ever.
 *
 * So in no window of a tenth of a second (of one request, if that is longer) more than the rate is sent, and none in
 * which the service stalled is spared its requests.
 */

/** Timers are late by a millisecond or two: within so long a late request may still go. */
export const WINDOW_MS = 100;

export interface Due {
  /** From when on the request that is to be sent now could have been sent; null: there is none. */
  slotMs: number | null;
  /** Slots that were missed since the last time. */
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
  /** Slots that were given up for the rate's sake. */
  #heldBack = 0;
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

  /** Slots so far, whatever became of them. */
  get taken(): number {
    return this.#next;
  }

  get heldBack(): number {
    return this.#heldBack;
  }

  /** When {@link take} is worth calling again, if a user is free. */
  get nextMs(): number {
    return Math.max(this.#slotMs(this.#next), this.#allowedMs());
  }

  /** To be called when a user is free: what that user sends now. */
  take(nowMs: number): Due {
    const missedMs = this.#pass(nowMs - this.windowMs, this.windowMs);
    if (this.isOver || nowMs < this.nextMs) return { slotMs: null, missedMs };
    const slotMs = this.nextMs;
    this.#next += 1;
    this.#sentMs[this.#oldest] = nowMs;
    this.#oldest = (this.#oldest + 1) % this.windowRequests;
    return { slotMs, missedMs };
  }

  /** At the end: what is left of the slots, and could have been sent by now, is missed. */
  rest(nowMs: number): number[] {
    return this.#pass(nowMs, Number.NEGATIVE_INFINITY);
  }

  /** @returns the slots that could have been sent before that, and were not. Those held back for longer are given up. */
  #pass(beforeMs: number, heldBackMs: number): number[] {
    const missed: number[] = [];
    for (; !this.isOver; this.#next += 1) {
      const slotMs = this.#slotMs(this.#next);
      if (this.nextMs < beforeMs) missed.push(slotMs);
      else if (this.nextMs - slotMs > heldBackMs) this.#heldBack += 1;
      else break;
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
