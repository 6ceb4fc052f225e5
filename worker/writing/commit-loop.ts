/**
 * Commits changes in groups: while one transaction is under way, arriving changes gather, and the next takes them
 * all. A change that comes alone goes at once.
 *
 *   this object                         D1                        elsewhere
 *   load states ----------------------> read
 *   settle intents of unknown outcome > read                      (a transaction that was thought lost may land here:
 *   decide, write intents                                          it moves the revision, and our guard then fails)
 *   batch ----------------------------> all or nothing, each entity guarded by its base revision
 *   answer; effects in the background
 */
import { entityKey } from "../keys.ts";
import { MAX_COMMIT_ATTEMPTS } from "../limits.ts";
import type { Log } from "../log.ts";
import { timed } from "../monitoring/timed.ts";
import type { WriterMetrics } from "../monitoring/writer-metrics.ts";
import { sleep } from "../waits.ts";
import type { EntityState } from "./apply-write.ts";
import { committedKeys } from "./committed-keys.ts";
import { type DecidedGroup, decideGroup } from "./decide-group.ts";
import type { Documents } from "./documents.ts";
import type { Effects } from "./effects.ts";
import type { EntityStates } from "./entity-states.ts";
import type { ChangeResult, EntityChange, Settled } from "./entity-write.ts";
import { Gathering } from "./gathering.ts";
import { committedEntity } from "./group-results.ts";
import { answer, type Pending, withoutRemembered } from "./pending.ts";
import type { GroupPlan } from "./plan-group.ts";
import { groupStatements, historyRemoved } from "./statements.ts";
import { isGroupFull, takeGroup } from "./take-group.ts";
import { Ticks } from "./ticks.ts";
import { UnresolvedIntents } from "./unresolved-intents.ts";
import type { WriterMove } from "./writer-move.ts";
import type { WriterStore } from "./writer-store.ts";

/** Waits before D1 is asked again what became of a transaction that ended in an error. */
const SETTLE_DELAYS_MS = [50, 250, 1_000];

interface CommitDependencies {
  db: D1Database;
  tenant: string;
  /** Writes that a transaction takes at most. */
  groupWrites: number;
  store: WriterStore;
  states: EntityStates;
  documents: Documents;
  effects: Effects;
  move: WriterMove;
  ensureAlarm: () => void;
  log: Log;
  metrics: WriterMetrics | undefined;
}

interface LoadedGroup {
  group: readonly Pending[];
  states: ReadonlyMap<string, EntityState>;
  /** The session that has read the states, and will write. */
  db: D1DatabaseSession;
}

export class CommitLoop {
  readonly #dependencies: CommitDependencies;
  readonly #queue: Pending[] = [];
  readonly #unresolved: UnresolvedIntents;
  readonly #gathering = new Gathering();
  #running: Promise<void> | null = null;
  /** They wait for a group that begins from now on. */
  readonly #awaitingGroup: (() => void)[] = [];
  /** How many changes were answered since the group began. */
  #answered = 0;
  readonly #ticks = new Ticks();

  constructor(dependencies: CommitDependencies) {
    this.#dependencies = dependencies;
    this.#unresolved = new UnresolvedIntents(dependencies);
    if (this.#unresolved.count > 0) dependencies.ensureAlarm();
  }

  get unresolved(): number {
    return this.#unresolved.count;
  }

  /** Whether a change of a request with this `Idempotency-Key` may still be committed by a late transaction. */
  isUnresolved(key: string): boolean {
    return this.#unresolved.holds(key);
  }

  submit(change: EntityChange, remember: Pending["remember"]): Promise<Settled | null> {
    const settled = new Promise<Settled | null>((answer) => {
      const resolve: Pending["resolve"] = (one) => {
        const outcome = one?.result.outcome ?? "unacknowledged";
        if (outcome !== "refused") this.#dependencies.metrics?.settled(outcome);
        this.#answered += 1;
        answer(one);
      };
      this.#queue.push({ change, remember, attempts: 0, resolve });
    });
    this.#gathering.came();
    this.#start();
    return settled;
  }

  /**
   * Finds out about intents of unknown outcome: waits for one whole group, which asks D1 about them first, even if it is
   * empty. Not for the end of the queue, which under load never comes. Never rejects.
   */
  settle(): Promise<void> {
    const settled = new Promise<void>((resolve) => this.#awaitingGroup.push(resolve));
    this.#start();
    return settled;
  }

  get #isAnythingWaiting(): boolean {
    return this.#queue.length > 0 || this.#awaitingGroup.length > 0;
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
      // What came after the last look at the queue found the loop still running.
      if (this.#isAnythingWaiting) this.#start();
    });
  }

  async #run(): Promise<void> {
    // One turn of the event loop's microtasks: the changes of one request go together.
    await Promise.resolve();
    do {
      await this.#gather();
      const startedMs = Date.now();
      this.#answered = 0;
      const awaiting = this.#awaitingGroup.splice(0);
      let group = takeGroup(this.#queue, this.#dependencies.groupWrites);
      const measured = this.#dependencies.metrics?.group(group.length, this.#queue.length);
      try {
        let loaded = await this.#load(group);
        while (!loaded) {
          group = this.#firstHalf(group);
          loaded = await this.#load(group);
        }
        await this.#commit(loaded);
      } catch (cause) {
        this.#dependencies.log.error("group was not committed", cause, { group_size: group.length });
        for (const { resolve } of group) resolve(null);
      } finally {
        measured?.end();
        for (const resolve of awaiting) resolve();
        const endedMs = Date.now();
        const [answered, waiting] = [this.#answered, this.#queue.length];
        this.#gathering.ended({ answered, waiting, tookMs: endedMs - startedMs, endedMs });
      }
    } while (this.#isAnythingWaiting);
  }

  #gather(): Promise<void> {
    const { groupWrites } = this.#dependencies;
    const waiting = () =>
      isGroupFull(this.#queue, groupWrites) ? Number.POSITIVE_INFINITY : this.#queue.length;
    return this.#gathering.wait(waiting, groupWrites, Date.now());
  }

  /** Null where the entities are too large to be read together. */
  async #load(group: readonly Pending[]): Promise<LoadedGroup | null> {
    const { states, tenant } = this.#dependencies;
    const db = this.#dependencies.db.withSession("first-primary");
    const changes = group.map(({ change }) => change);
    const loaded = await states.load(db, tenant, changes);
    return loaded && { group, states: loaded, db };
  }

  /** The rest goes with the next group. One entity is always read, so halving comes to an end. */
  #firstHalf(group: Pending[]): Pending[] {
    const half = Math.ceil(group.length / 2);
    this.#queue.unshift(...group.slice(half));
    return group.slice(0, half);
  }

  async #commit({ group, states, db }: LoadedGroup): Promise<void> {
    const { metrics, store, tenant } = this.#dependencies;
    await this.#unresolved.settle(db);
    const unanswered = withoutRemembered(store, group);
    if (unanswered.length === 0) return;
    const decided = decideGroup(unanswered, states, { ...this.#dependencies, ticks: this.#ticks });
    const { plan } = decided;
    let results: D1Result[];
    try {
      const measured = { operation: "d1.put_item", items: plan.entities.size } as const;
      results = await timed(metrics, measured, () => db.batch(groupStatements(db, tenant, plan)));
    } catch (cause) {
      await this.#afterError(decided, cause);
      return;
    }
    this.#afterCommit(decided, results, db.getBookmark());
  }

  #afterCommit(
    { group, plan, stored }: DecidedGroup,
    results: readonly D1Result[],
    bookmark: string | null,
  ): void {
    const { effects, move, states, store, tenant } = this.#dependencies;
    const committed = committedKeys(plan.entities, results);
    move.noteChanged([...committed]);
    const isAll = committed.size === plan.entities.size;
    for (const [key, entity] of plan.entities) {
      if (committed.has(key)) states.committed(key, entity.next);
      else states.forget(key);
    }
    const isCommitted = ({ change }: Pending) => isAll || committed.has(entityKey(change));
    const doneResults = plan.results
      .filter((_, i) => group[i] && isCommitted(group[i]))
      .map((result) => this.#withCounts(result, plan, results));
    answer(store, group.filter(isCommitted), doneResults, { committedAt: plan.decidedAt, bookmark });
    for (const { seq, intent } of stored) {
      const entities = intent.entities.filter(({ ref }) => isAll || committed.has(entityKey(ref)));
      if (entities.length === 0) store.removeIntent(seq);
      else if (entities.length < intent.entities.length) store.replaceIntent(seq, { entities });
      if (entities.length > 0)
        effects.drive(
          seq,
          entities.map((entity) => committedEntity(tenant, entity, plan)),
        );
    }
    this.#retry(group.filter((pending) => !isCommitted(pending)));
  }

  /** The transaction may or may not have happened. D1 is asked; as long as it does not answer, nobody is told anything. */
  async #afterError({ group, plan, stored }: DecidedGroup, cause: unknown): Promise<void> {
    const { db, states, store, log, tenant } = this.#dependencies;
    log.warning("a transaction ended in an error", { group_size: group.length }, cause);
    for (const key of plan.entities.keys()) states.forget(key);
    const seqs = new Set(stored.map(({ seq }) => seq));
    this.#unresolved.add(stored);
    for (const delayMs of SETTLE_DELAYS_MS) {
      await sleep(delayMs);
      try {
        const committed = await this.#unresolved.settle(db.withSession("first-primary"), seqs);
        const results = group.map(({ change }, i) =>
          committed.has(entityKey(change)) ? plan.results[i] : undefined,
        );
        answer(store, group, results, { committedAt: plan.decidedAt, bookmark: null });
        return;
      } catch (again) {
        log.warning("D1 does not say whether a transaction was committed", { tenant_id: tenant }, again);
      }
    }
    for (const { resolve } of group) resolve(null);
  }

  /** The entity was changed by somebody else since it was loaded: its changes are decided anew, before all others. */
  #retry(moved: readonly Pending[]): void {
    const again: Pending[] = [];
    for (const pending of moved) {
      if (pending.attempts + 1 < MAX_COMMIT_ATTEMPTS)
        again.push({ ...pending, attempts: pending.attempts + 1 });
      else pending.resolve(null);
    }
    this.#queue.unshift(...again);
  }

  #withCounts(result: ChangeResult, plan: GroupPlan, results: readonly D1Result[]): ChangeResult {
    const [only] = plan.entities.values();
    if (result.outcome !== "deleted" || !only?.deletion) return result;
    const cached = this.#dependencies.documents.isCached(only.ref);
    return { ...result, history: historyRemoved(results), cached };
  }
}
