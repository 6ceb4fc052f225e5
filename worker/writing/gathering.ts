/**
 * Whether the next group waits a moment for more. Clients that write in a loop come back soon after they are answered:
 * a group that leaves just before that finds a few of them, the next one a few others, and so on, which takes several
 * times as many transactions. So a group waits for those just answered; where they do not come back, ever more rarely.
 *
 * A write that comes alone never waits: nobody was answered together with another, or it is long ago.
 */
import { GATHER_MAX_MS } from "../timings.ts";
import { sleep } from "../waits.ts";

/** How the last group ended. */
export interface LastGroup {
  /** Changes that were told their results. */
  answered: number;
  /** Changes that waited meanwhile. */
  waiting: number;
  tookMs: number;
  endedMs: number;
}

/** A wait was in vain unless at least this share of the awaited changes has come. */
const ENOUGH_SHARE = 0.5;
/** A group that ended longer ago tells nothing of what comes now. */
const BUSY_MS = 1_000;
/** However often waiting was in vain, at least one group in so many waits again. */
const MAX_SKIPPED = 64;

export class Gathering {
  #last: LastGroup = { answered: 0, waiting: 0, tookMs: 0, endedMs: 0 };
  /** Groups that leave at once before one waits again, now and after the next wait in vain. */
  #toSkip = 0;
  #skipsNext = 1;
  #came: (() => void) | null = null;

  ended(last: LastGroup): void {
    this.#last = last;
  }

  /** Another change waits. */
  came(): void {
    this.#came?.();
  }

  /**
   * Resolves when there is nothing more to wait for: as many as were answered and waited then, or the time is over,
   * which is no longer than the last group took.
   *
   * @param waiting How many wait now; `Infinity` where the group can take no more.
   * @param most How many changes a group takes.
   */
  async wait(waiting: () => number, most: number, nowMs: number): Promise<void> {
    const { answered, waiting: others, tookMs, endedMs } = this.#last;
    const wanted = Math.min(answered + others, most);
    if (waiting() === 0 || wanted <= 1 || nowMs - endedMs > BUSY_MS) return;
    // In a busy runtime more changes may be on their way, which arrive only after one turn of the event loop.
    await sleep(0);
    const mostMs = Math.min(GATHER_MAX_MS, tookMs);
    // The clock may have stepped back since.
    const leftMs = Math.min(endedMs + mostMs - nowMs, mostMs);
    if (waiting() >= wanted || leftMs <= 0) return;
    if (this.#toSkip > 0) {
      this.#toSkip -= 1;
      return;
    }
    await this.#until(() => waiting() >= wanted, leftMs);
    this.#learn(waiting() - others >= ENOUGH_SHARE * (wanted - others));
  }

  async #until(isEnough: () => boolean, ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
      this.#came = () => {
        if (isEnough()) resolve();
      };
    });
    clearTimeout(timer);
    this.#came = null;
  }

  #learn(wasWorthIt: boolean): void {
    this.#toSkip = wasWorthIt ? 0 : this.#skipsNext;
    this.#skipsNext = wasWorthIt ? 1 : Math.min(2 * this.#skipsNext, MAX_SKIPPED);
  }
}
