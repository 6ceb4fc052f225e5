/** Asking until there is an answer, with a key or without one, and holding repetitions against the first answer. */

import type { Asked, Front, Reply } from "../front.ts";
import { actor, type World } from "../world.ts";

interface AskingDependencies {
  world: World;
  front: Front;
  complain: (text: string) => void;
  /** Whether it may have become 404 since. */
  mayBeGone: () => boolean;
}

interface Kept {
  operation: number;
  asked: Asked;
  reply: Reply;
  atMs: number;
}

export const TRIES = 5;
/** Keys are remembered for a day. */
const REPEATED_WITHIN_MS = 20 * 3_600_000;

export class Asking {
  readonly counts = { acknowledged: 0, refused: 0, repeated: 0 };
  readonly #d: AskingDependencies;
  readonly #kept: Kept[] = [];

  constructor(dependencies: AskingDependencies) {
    this.#d = dependencies;
  }

  /** @param allowed Statuses. @returns null where it was not acknowledged. */
  async once(asked: Asked, allowed: readonly number[]): Promise<Reply | null> {
    const { front, complain } = this.#d;
    const reply = await front.ask(asked);
    if (!reply || reply.status === 503) {
      this.counts.refused += 1;
      return null;
    }
    this.counts.acknowledged += 1;
    if (allowed.includes(reply.status)) return reply;
    // What is worse the front complains of.
    if (reply.status < 500) complain(`${asked.method} ${asked.path} is ${reply.status} ${reply.text}`);
    return null;
  }

  /** @param onLost What is done where nobody knows what became of it. */
  async until(asked: Asked, allowed: readonly number[], onLost = () => {}): Promise<Reply | null> {
    for (let tries = 0; tries < TRIES; tries++) {
      const reply = await this.once(asked, allowed);
      if (reply) return reply;
      onLost();
      await this.pause();
    }
    return null;
  }

  /** With a key until it is acknowledged, and now and then once more; else once. */
  async keyed(
    asked: Asked,
    allowed: readonly number[],
    { operation, hasKey }: { operation: number; hasKey: boolean },
  ) {
    if (!hasKey) return this.once(asked, allowed);
    const own = { ...asked, idempotencyKey: `key-${operation}` };
    const { world } = this.#d;
    const atMs = world.nowMs;
    const reply = await this.until(own, allowed);
    if (!reply || reply.status >= 400) return reply;
    const kept = { operation, asked: own, reply, atMs };
    this.#kept.push(kept);
    if (world.chance() < 0.3) {
      await this.pause();
      this.#same(kept, await this.once(own, [...allowed, 404]));
    }
    return reply;
  }

  /** Sends everything with a key again: the answers are the same. */
  async repeatAll(): Promise<void> {
    for (const kept of this.#kept) {
      if (this.#d.world.nowMs - kept.atMs > REPEATED_WITHIN_MS) continue;
      this.#same(kept, await this.#d.front.ask(kept.asked));
    }
  }

  /** What is there, or null. */
  async read(path: string) {
    const reply = await this.once({ method: "GET", path }, [200, 404]);
    return reply?.status === 200 ? JSON.parse(reply.text) : null;
  }

  pause(): Promise<void> {
    const { world } = this.#d;
    const ms = world.someMs(world.chance() < 0.6 ? 200 : 4_000);
    return new Promise((resolve) => world.after(ms, { label: "user", actor: actor(), act: resolve }));
  }

  #same({ operation, reply }: Kept, again: Reply | null): void {
    if (!again || again.status === 503) return;
    if (again.status === 404 && this.#d.mayBeGone()) return;
    this.counts.repeated += 1;
    if (again.text !== reply.text || !again.headers.has("idempotency-replayed"))
      this.#d.complain(`operation ${operation} was told ${reply.text}, and then ${again.text}`);
  }
}
