/**
 * Intents of which it is not known whether D1 has committed them: those left by an instance that is gone, and those
 * whose transaction ended in an error.
 */
import { eventOf } from "../events/feature-available.ts";
import { entityKey } from "../keys.ts";
import { UNRESOLVED_INTENT_MS } from "../timings.ts";
import type { Effects } from "./effects.ts";
import type { EntityStates } from "./entity-states.ts";
import { askCommitted } from "./recovery.ts";
import type { WriterMove } from "./writer-move.ts";
import type { StoredIntent, WriterStore } from "./writer-store.ts";

interface UnresolvedDependencies {
  tenant: string;
  store: WriterStore;
  states: EntityStates;
  effects: Effects;
  move: WriterMove;
}

export class UnresolvedIntents {
  readonly #dependencies: UnresolvedDependencies;
  #intents: (StoredIntent & { sinceMs: number })[] = [];

  constructor(dependencies: UnresolvedDependencies) {
    this.#dependencies = dependencies;
    // Whatever is in the log now was left by an instance that is gone.
    this.add(dependencies.store.intents());
  }

  get count(): number {
    return this.#intents.length;
  }

  holds(key: string): boolean {
    return this.#intents.some(({ intent }) =>
      intent.entities.some(({ remembered }) => remembered.some((one) => one.key === key)),
    );
  }

  add(stored: readonly StoredIntent[]): void {
    const sinceMs = Date.now();
    this.#intents.push(...stored.map((intent) => ({ ...intent, sinceMs })));
  }

  /**
   * Asks D1 about intents of unknown outcome. What was committed is driven on; what was not is kept until no late
   * transaction can land any more.
   *
   * @param of Intents whose outcome the caller wants to know.
   * @returns the entities of these intents that were committed.
   */
  async settle(db: D1DatabaseSession, of: ReadonlySet<number> = new Set()): Promise<Set<string>> {
    const found = new Set<string>();
    const asked = this.#intents;
    if (asked.length === 0) return found;
    const { effects, move, store, tenant } = this.#dependencies;
    const outcomes = await askCommitted(
      db,
      tenant,
      asked.flatMap(({ intent }) => intent.entities),
    );
    const outcomeOf = new Map(outcomes.map((outcome) => [outcome.intended, outcome]));
    const open: typeof asked = [];
    for (const { seq, intent, sinceMs } of asked) {
      const committed = intent.entities.filter((entity) => outcomeOf.get(entity)?.committed);
      const others = intent.entities.filter((entity) => !outcomeOf.get(entity)?.committed);
      move.noteChanged(committed.map(({ ref }) => entityKey(ref)));
      for (const { ref, remembered } of committed) {
        // Whoever loaded the entity before it landed has remembered an older state.
        this.#dependencies.states.forget(entityKey(ref));
        if (of.has(seq)) found.add(entityKey(ref));
        for (const { key, position, settled } of remembered) store.rememberResult(key, position, settled);
      }
      const mayStillLand = others.length > 0 && Date.now() - sinceMs < UNRESOLVED_INTENT_MS;
      const driven = committed.map((entity) => {
        const announced = outcomeOf.get(entity)?.announced ?? [];
        const { ref, proof } = entity;
        const events =
          proof.kind === "known" ? proof.events : announced.map((row) => eventOf(tenant, ref, row));
        return { ref, events };
      });
      if (mayStillLand && driven.length > 0) {
        // What may still land comes after all that has landed, so it takes the new place in the log.
        const rest = { entities: others };
        open.push({ seq: store.addIntent(JSON.stringify(rest)), intent: rest, sinceMs });
        store.replaceIntent(seq, { entities: committed });
      } else if (mayStillLand) open.push({ seq, intent, sinceMs });
      if (driven.length > 0) effects.drive(seq, driven);
      else if (!mayStillLand) store.removeIntent(seq);
    }
    this.#intents = open;
    return found;
  }
}
