/** The times at which one writer decides. */
import { MICROS_PER_MS, type Micros } from "../timestamps.ts";

export class Ticks {
  #last: Micros = 0;

  /**
   * The present, strictly increasing though the clock may stand still or step back.
   *
   * @param after When the entity was last decided on, perhaps by a machine whose clock is ahead of this one's: the result
   * is later.
   */
  next(after: Micros): Micros {
    this.#last = Math.max(Date.now() * MICROS_PER_MS, this.#last + 1);
    return Math.max(this.#last, after + 1);
  }
}
