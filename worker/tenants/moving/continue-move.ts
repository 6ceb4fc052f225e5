/**
 * Goes on with the move of a tenant for a while. Whoever asks next goes on from there: what is done stands in the record of
 * the move, and what is half done is done again.
 */
import { entityDatabase } from "../../db/entity-databases.ts";
import { eachInTurn } from "../../each-in-turn.ts";
import type { ServiceContext } from "../../env.ts";
import { entityRef } from "../../keys.ts";
import { MOVE_ENTITIES_AT_ONCE, MOVE_FEW_ENTITIES } from "../../limits.ts";
import { partsUpTo } from "../../parts.ts";
import { nowMicros } from "../../timestamps.ts";
import {
  MOST_REST_MS,
  MOVE_CLOCKS_DIFFER_MS,
  MOVE_DRAIN_MS,
  MOVE_LOCAL_DRAIN_MS,
  MOVE_NEXT_PAUSE_MS,
  MOVE_PAUSE_MS,
  MOVED_ROWS_TTL_MS,
} from "../../timings.ts";
import { sleep } from "../../waits.ts";
import { Copier } from "./copier.ts";
import { hasMoved, type Move, newMove, type Phase, parseMove, START, targetsOf } from "./move.ts";
import {
  beginMove,
  endMove,
  type FoundMove,
  findMove,
  movingTenants,
  noteMoved,
  updateMove,
} from "./move-store.ts";
import { fence, Overtaken, removeSome } from "./moved-rows.ts";
import { type Changed, MovingWriters } from "./moving-writers.ts";

export interface MoveContext extends ServiceContext {
  tenant: string;
}

/** Between two looks. */
const LOOK_MS = 100;

/** Null: nothing is under way, or was begun. */
export interface MoveReport {
  databases: number;
  move: Move | null;
}

/**
 * @param untilMs No further piece of work is begun then; but writers that pause are not left to the next one to come.
 * @throws Overtaken when somebody else goes on with it.
 */
export async function continueMove(context: MoveContext, move: Move, untilMs: number): Promise<MoveReport> {
  const run = await Run.begin(context, move, untilMs);
  while ((Date.now() < untilMs || run.isDraining) && (await run.step())) {}
  return run.report;
}

/** @returns the move that is under way or was begun; null where another was begun at the same time. */
export async function startMove(
  { env, settings, tenant }: MoveContext,
  { databases }: FoundMove,
  to: number,
): Promise<Move | null> {
  const move = newMove(databases, to, settings.writerPartitions);
  return (await beginMove(env.DB, tenant, move)) === null ? null : move;
}

/** Those that nobody goes on with, and the end of the others. No failure ends the rest. @throws the first failure. */
export async function continueMoves(context: ServiceContext, untilMs: number): Promise<void> {
  await eachInTurn(await movingTenants(context.env.DB), async (tenant) => {
    try {
      const found = await findMove(context.env.DB, tenant);
      if (found?.move) await continueMove({ ...context, tenant }, found.move, untilMs);
    } catch (cause) {
      if (!(cause instanceof Overtaken)) throw cause;
    }
  });
}

class Run {
  readonly #context: MoveContext;
  readonly #writers: MovingWriters;
  readonly #copier: Copier;
  readonly #untilMs: number;
  #move: Move;
  #text: string;
  #isOver = false;
  /** When the writers were last told to pause. */
  #pausedMs = 0;
  /** Since when they have something under way all the same. */
  #drainingMs: number | null = null;

  private constructor(
    context: MoveContext,
    { move, text, untilMs }: { move: Move; text: string; untilMs: number },
  ) {
    this.#context = context;
    this.#untilMs = untilMs;
    this.#writers = new MovingWriters(context, move);
    this.#copier = new Copier({ ...context, move: () => this.#move, rest: (tookMs) => this.#rest(tookMs) });
    this.#move = move;
    this.#text = text;
  }

  static async begin(context: MoveContext, seen: Move, untilMs: number): Promise<Run> {
    const { env, settings, tenant } = context;
    const found = await findMove(env.DB, tenant);
    if (!found?.move || found.text === null || found.move.run !== seen.run) throw overtaken();
    // Writers of another number have noted nothing of what they changed.
    const isAnew = settings.writerPartitions !== found.move.partitions && !hasMoved(found.move);
    const move: Move = {
      ...found.move,
      run: Math.max(nowMicros(), found.move.run + 1),
      ...(isAnew && { partitions: settings.writerPartitions, phase: "clearing", place: START }),
    };
    const text = await updateMove(env.DB, tenant, { text: found.text, move });
    if (text === null) throw overtaken();
    const run = new Run(context, { move, text, untilMs });
    await Promise.all(targetsOf(move).map((number) => fence(run.#database(number), run.#moveRun)));
    return run;
  }

  get report(): MoveReport {
    const { from, to } = this.#move;
    return { databases: hasMoved(this.#move) ? to : from, move: this.#isOver ? null : this.#move };
  }

  /** Writers pause and have something under way. That ends soon, or is broken off. */
  get isDraining(): boolean {
    return this.#drainingMs !== null;
  }

  get #moveRun() {
    return { tenant: this.#context.tenant, run: this.#move.run };
  }

  #database(number: number): D1Database {
    return entityDatabase(this.#context.env, number);
  }

  /** As long as the work took, since the databases serve others too. Writers that pause wait for its end. */
  async #rest(tookMs: number): Promise<void> {
    if (this.#move.phase === "paused") await this.#renewPause();
    else await sleep(Math.min(tookMs, MOST_REST_MS));
  }

  async #pause(): Promise<boolean> {
    this.#pausedMs = Date.now();
    return this.#writers.pause();
  }

  async #renewPause(): Promise<void> {
    if (Date.now() - this.#pausedMs > MOVE_PAUSE_MS / 3) await this.#pause();
  }

  /** @returns whether there is more to do now. */
  step(): Promise<boolean> {
    const steps: Record<Phase, () => Promise<boolean>> = {
      clearing: () => this.#clear(),
      copying: () => this.#copy(),
      following: () => this.#follow(),
      paused: () => this.#finish(),
      opening: () => this.#open(),
      cleaning: () => this.#clean(),
    };
    return steps[this.#move.phase]();
  }

  async #clear(): Promise<boolean> {
    const startedMs = Date.now();
    const more = await Promise.all(
      targetsOf(this.#move).map((number) => removeSome(this.#database(number), this.#moveRun)),
    );
    await this.#rest(Date.now() - startedMs);
    if (more.some(Boolean)) return true;
    const since = nowMicros() - MOVE_CLOCKS_DIFFER_MS * 1_000;
    await this.#writers.watch(this.#move.run);
    return this.#note({ phase: "copying", place: START, since });
  }

  async #copy(): Promise<boolean> {
    const { rows, next } = await this.#copier.copyPage(this.#move.place);
    const copied = this.#move.copied + rows;
    return this.#note(next ? { place: next, copied } : { phase: "following", copied });
  }

  /** Entities that were changed since they were copied, or since the move began. */
  async #follow(): Promise<boolean> {
    const left = await this.#copyChanged();
    if (Date.now() >= this.#move.pauseFromMs && left <= MOVE_FEW_ENTITIES)
      return this.#note({ phase: "paused" });
    if (left === 0) await sleep(LOOK_MS);
    return true;
  }

  async #finish(): Promise<boolean> {
    if (!(await this.#pause())) return this.#drain();
    this.#drainingMs = null;
    if ((await this.#copyChanged()) > 0) return true;
    await this.#writers.handOverDocuments(() => this.#renewPause());
    // From here on nothing is copied any more, whoever tries.
    const closed = { tenant: this.#context.tenant, run: this.#move.run + 1 };
    await Promise.all(targetsOf(this.#move).map((number) => fence(this.#database(number), closed)));
    return this.#note({ phase: "opening", run: closed.run }, noteMoved);
  }

  /** Something is under way. While it does not come to its end writers take writes again. */
  async #drain(): Promise<true> {
    this.#drainingMs ??= Date.now();
    const isLocal = this.#context.settings.queueStorage === "memory";
    if (Date.now() - this.#drainingMs < (isLocal ? MOVE_LOCAL_DRAIN_MS : MOVE_DRAIN_MS)) {
      await sleep(LOOK_MS);
      return true;
    }
    this.#drainingMs = null;
    await this.#note({ phase: "following", pauseFromMs: Date.now() + MOVE_NEXT_PAUSE_MS });
    await this.#writers.resume();
    return true;
  }

  async #open(): Promise<boolean> {
    const leftMs = this.#move.openAtMs - Date.now();
    if (leftMs > 0) {
      await sleep(Math.min(leftMs, LOOK_MS));
      return true;
    }
    await this.#writers.resume();
    return this.#note({ phase: "cleaning", place: START, cleanAtMs: Date.now() + MOVED_ROWS_TTL_MS });
  }

  async #clean(): Promise<boolean> {
    const { place, cleanAtMs } = this.#move;
    if (Date.now() < cleanAtMs) return false;
    const next = await this.#copier.removePage(place);
    if (next) return this.#note({ place: next });
    await endMove(this.#context.env.DB, this.#context.tenant, this.#text);
    this.#isOver = true;
    return false;
  }

  /** @returns how many entities were changed, up to as many as are copied at once; infinitely many when the time is over. */
  async #copyChanged(): Promise<number> {
    const ofWriters = await this.#writers.changed(MOVE_FEW_ENTITIES);
    const counts = await Promise.all(ofWriters.map((one) => this.#copyChangedOf(one)));
    return counts.reduce((a, b) => a + b, 0);
  }

  async #copyChangedOf({ database, changed, forget }: Changed): Promise<number> {
    for (const { items } of partsUpTo(changed, () => 1, MOVE_ENTITIES_AT_ONCE)) {
      const refs = items.map(({ entity }) => entityRef(entity));
      const rows = await this.#copier.copyEntities(database, refs);
      this.#move = { ...this.#move, copied: this.#move.copied + rows };
      await forget(items);
      if (Date.now() >= this.#untilMs) return Number.POSITIVE_INFINITY;
    }
    return changed.length;
  }

  /** @returns true. @throws Overtaken */
  async #note(changed: Partial<Move>, note: typeof updateMove = updateMove): Promise<true> {
    const { env, tenant } = this.#context;
    const text = await note(env.DB, tenant, { text: this.#text, move: { ...this.#move, ...changed } });
    if (text === null) throw overtaken();
    const move = parseMove(text);
    if (move.phase !== this.#move.phase)
      this.#context.log.info("tenant moves", { tenant_id: tenant, phase: move.phase });
    this.#move = move;
    this.#text = text;
    return true;
  }
}

const overtaken = () => new Overtaken("the move was changed by somebody else");
