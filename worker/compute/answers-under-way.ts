/** Requests with an `Idempotency-Key` that are being answered, by their keys: one that comes again waits for the first. */
import { FOLLOWER_LEASE_MS } from "../timings.ts";
import { within } from "../waits.ts";

export class AnswersUnderWay {
  readonly #underWay = new Map<string, PromiseWithResolvers<void>>();

  /**
   * Who is told null is to answer, and says {@link end} when it has, or gives up. Who does neither within its time is taken
   * for dead.
   *
   * @param earlier What was answered before; null where nothing was.
   */
  async answerOrBegin<R>(key: string, earlier: () => R | null): Promise<R | null> {
    for (;;) {
      const found = earlier();
      if (found !== null) return found;
      const other = this.#underWay.get(key);
      if (!other) {
        this.#underWay.set(key, Promise.withResolvers());
        return null;
      }
      await within(FOLLOWER_LEASE_MS, other.promise).catch(() => {
        if (this.#underWay.get(key) === other) this.end(key);
      });
    }
  }

  end(key: string): void {
    this.#underWay.get(key)?.resolve();
    this.#underWay.delete(key);
  }
}
