/**
 * What an EntityWriter knows of entities: a bounded copy of D1 that may be lost at any moment.
 *
 * The platform puts several objects into one isolate, whose 128 MB they share: the bound is of all of them together. What
 * an object leaves behind when it goes is nobody's, and is dropped in its turn.
 */
import { BoundedMap, Budget } from "../bounded-map.ts";
import { type CategoryRow, selectEntities } from "../db/current-rows.ts";
import { type EntityRef, entityKey } from "../keys.ts";
import { WRITER_STATE_MAX_CHARACTERS } from "../limits.ts";
import type { EntityState } from "./apply-write.ts";

/** The fields of a row beside its texts, in characters, nearly. */
const ROW_OVERHEAD = 300;

const shared = new Budget(WRITER_STATE_MAX_CHARACTERS);

export class EntityStates {
  readonly #known = new BoundedMap<EntityState>(shared);
  /** For each load under way, the entities that were committed or forgotten since it began: what it reads may be too old. */
  readonly #loads = new Set<Set<string>>();

  /** States by `entityKey`; those not at hand in one round trip to D1. Null: too large to be read together. */
  async load(
    db: D1DatabaseSession,
    tenant: string,
    refs: readonly EntityRef[],
  ): Promise<Map<string, EntityState> | null> {
    const states = new Map<string, EntityState>();
    const missing = new Map<string, EntityRef>();
    for (const ref of refs) {
      const key = entityKey(ref);
      const state = this.#known.get(key);
      if (state) states.set(key, state);
      else missing.set(key, ref);
    }
    const overtaken = new Set<string>();
    this.#loads.add(overtaken);
    const loaded = await selectEntities(db, tenant, [...missing.values()]).finally(() =>
      this.#loads.delete(overtaken),
    );
    if (!loaded) return null;
    [...missing.keys()].forEach((key, position) => {
      const { revision = 0, rows = [] } = loaded[position] ?? {};
      const state = { revision, rows: new Map(rows.map((row) => [row.category, row])) };
      if (!overtaken.has(key)) this.#remember(key, state);
      // A commit may have been faster than this answer: what it remembered is newer.
      states.set(key, this.#known.get(key) ?? state);
    });
    return states;
  }

  committed(key: string, state: EntityState): void {
    this.#overtake(key);
    this.#remember(key, state);
  }

  /** Keeps the newer of two states. */
  #remember(key: string, state: EntityState): void {
    const other = this.#known.get(key);
    if (other && other.revision > state.revision) return;
    this.#known.set(key, state, sizeOf(state.rows.values()));
  }

  forget(key: string): void {
    this.#known.delete(key);
    this.#overtake(key);
  }

  #overtake(key: string): void {
    for (const overtaken of this.#loads) overtaken.add(key);
  }
}

function sizeOf(rows: Iterable<CategoryRow>): number {
  let size = ROW_OVERHEAD;
  for (const { category, data, eventTimes } of rows) {
    size += ROW_OVERHEAD + category.length + (data?.length ?? 0) + (eventTimes?.length ?? 0);
  }
  return size;
}
