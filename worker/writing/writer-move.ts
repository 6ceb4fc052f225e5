/**
 * What a writer does while its tenant is spread over more databases (`tenants/moving/`): it notes which entities it
 * changes, so that they are copied once more, and for a moment takes no write, while the last of them are copied and the
 * tenant's new databases are noted.
 *
 * It never takes a write for an entity that is elsewhere by then. A pause that nobody has renewed ends with a question to
 * D1 alone: either the new databases stand there, or they cannot any more, since the end of the pause is noted in the very
 * record that has to be as it was for them to be.
 */
import type { Log } from "../log.ts";
import { endPause, findMove } from "../tenants/moving/move-store.ts";
import { MOVE_PAUSE_MS } from "../timings.ts";
import { isAhead } from "../waits.ts";
import type { Identity, WriterStore } from "./writer-store.ts";

interface WriterMoveDependencies {
  /** Where the tenants are. */
  db: D1Database;
  store: WriterStore;
  log: Log;
}

export class WriterMove {
  readonly #dependencies: WriterMoveDependencies;
  #isWatched: boolean;
  #pausedUntilMs: number | null;
  /** Of the move: the one that has told it last what to watch. */
  #run: number;
  /** Over how many databases the tenant is spread, as this writer has been told; 0: not yet. */
  #databases: number;
  #ending: Promise<void> | null = null;

  constructor(dependencies: WriterMoveDependencies) {
    this.#dependencies = dependencies;
    const move = dependencies.store.move();
    this.#isWatched = move !== null;
    this.#pausedUntilMs = move?.pausedUntilMs ?? null;
    this.#run = move?.run ?? 0;
    this.#databases = dependencies.store.identity()?.databases ?? 0;
  }

  get isPaused(): boolean {
    return this.#pausedUntilMs !== null;
  }

  /** Mostly there is nothing to ask, and then nobody waits. */
  mayWrite(identity: Identity): boolean | Promise<boolean> {
    if (this.#databases === 0) this.#adopt(identity.databases);
    if (!this.isPaused && identity.databases === this.#databases) return true;
    return this.#mayWriteNow(identity);
  }

  async #mayWriteNow(identity: Identity): Promise<boolean> {
    if (isAhead(this.#pausedUntilMs ?? undefined, Date.now(), MOVE_PAUSE_MS)) return false;
    // Whoever knows of another number of databases than this writer may be right.
    await this.ask(identity);
    return !this.isPaused && identity.databases === this.#databases;
  }

  /**
   * From now on changed entities are noted, and nothing of before counts. A run that was overtaken may come late: what is
   * noted by then, and a pause, are another one's.
   */
  watch(run: number): void {
    if (run < this.#run) return;
    this.#run = run;
    this.#dependencies.store.forgetAllChanged();
    this.#note(true, null);
  }

  /** Takes no write for a while. @returns whether its entities had not moved already. */
  async pause(identity: Identity): Promise<boolean> {
    if (this.#databases === 0) this.#adopt(identity.databases);
    // It has not been told how the move before this one ended.
    if (this.#databases !== identity.databases) await this.ask(identity);
    if (this.#databases !== identity.databases) return false;
    this.#note(true, Date.now() + MOVE_PAUSE_MS);
    return true;
  }

  /**
   * Once they are known to be committed: what is copied while a transaction is under way lacks it. Nobody is told before,
   * and what of it a crash leaves is an intent, without which nothing is copied for the last time.
   */
  noteChanged(entities: readonly string[]): void {
    if (this.#isWatched && entities.length > 0) this.#dependencies.store.noteChanged(entities);
  }

  /** Asks D1 where the entities are. While it does not answer all stays as it is. */
  ask({ tenant }: Identity): Promise<void> {
    this.#ending ??= this.#ask(tenant).finally(() => {
      this.#ending = null;
    });
    return this.#ending;
  }

  async #ask(tenant: string): Promise<void> {
    const { db, log } = this.#dependencies;
    const asked = this.#pausedUntilMs;
    try {
      let found = await findMove(db, tenant);
      if (!found) return;
      if (found.move?.phase === "paused") {
        await endPause(db, tenant, found);
        // If it was too late for that, the new databases stand there now.
        found = (await findMove(db, tenant)) ?? found;
        if (found.move?.phase === "paused") return;
      }
      const { databases, move } = found;
      if (move?.phase === "opening" && Date.now() < move.openAtMs) return;
      // Another pause has begun meanwhile: what D1 said was of before it.
      if (this.#pausedUntilMs !== asked) return;
      const hasMoved = databases !== this.#databases;
      if (hasMoved) this.#adopt(databases);
      this.#note(this.#isWatched && !hasMoved, null);
    } catch (cause) {
      log.warning("D1 does not say in which databases a tenant is", { tenant_id: tenant }, cause);
    }
  }

  /** The documents of entities that are elsewhere are their new writers' from now on. */
  #adopt(databases: number): void {
    const { store } = this.#dependencies;
    const identity = store.identity();
    if (!identity) return;
    if (this.#databases !== 0) store.forgetDocumentsOfOthers(databases);
    store.setIdentity({ ...identity, databases });
    this.#databases = databases;
  }

  #note(isWatched: boolean, pausedUntilMs: number | null): void {
    const { store } = this.#dependencies;
    if (!isWatched) store.forgetAllChanged();
    store.setMove(isWatched ? { pausedUntilMs, run: this.#run } : null);
    this.#isWatched = isWatched;
    this.#pausedUntilMs = pausedUntilMs;
  }
}
