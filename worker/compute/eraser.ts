/**
 * Removes the rows of a raw table that have a value in a column, in steps between which others have their turn, and makes
 * sure that what was computed of them is not written afterwards.
 *
 * A computation asks its table before it is written, and is refused where rows were erased since. One that was allowed
 * before may still be on its way to the writers: an erasure is done once those have said that they are written, or so long
 * after that nothing comes of them any more.
 */
import { ERASURE_LOOK_MS, ERASURE_WAIT_MS, FOLLOWER_LEASE_MS } from "../timings.ts";
import { sleep } from "../waits.ts";
import type { Erasure } from "./chosen-rows-store.ts";
import type { JobStore } from "./job-store.ts";
import type { RawSchema } from "./raw-columns.ts";
import type { RawTableStore } from "./raw-table-store.ts";
import type { RowRange } from "./row-blocks.ts";

export interface Erased {
  removed: number;
  /** Rows that are left. */
  rows: number;
  /** False: something that was computed of erased rows may still be written; the same erasure again waits for it. */
  isSettled: boolean;
}

interface ErasedTable {
  /** As they are now: those of a table that is dropped meanwhile are empty. */
  store: () => RawTableStore;
  jobs: () => JobStore;
  ensureAlarm: () => Promise<void>;
}

export class Eraser {
  readonly #object: ErasedTable;
  /** Of the erasures that are under way: the rows before `end` were there when they began. */
  readonly #underWay = new Set<RowRange>();
  /** By which something was computed here: who erases has asked for those of all features before it came. */
  readonly #entityKeys = new Set<string>();

  constructor(object: ErasedTable) {
    this.#object = object;
  }

  /** A feature may have been made since, of which vectors are dated by rows that go. */
  computes(entityKey: string): void {
    this.#entityKeys.add(entityKey);
  }

  /** Rows are about to come, maybe with numbers of some that are gone: no erasure takes some of them and leaves others. */
  rowsCome(): void {
    if (this.#underWay.size === 0) return;
    const next = this.#object.store().chosenRows.nextRow();
    for (const walk of this.#underWay) walk.end = Math.min(walk.end, next);
  }

  /** All rows that are there now. Should this die on the way, the same again goes on. */
  async erase(schema: RawSchema, erasure: Erasure): Promise<Erased> {
    const removed = await this.#removeRows(schema, erasure);
    this.#object.store().erasedTimes.forget(erasure.choice);
    // Those of later erasures are for them to wait for.
    const seq = this.#object.store().computations.lastErased();
    while (this.#object.jobs().forgetRowsBefore(seq)) await sleep(0);
    const isSettled = await this.#settle(seq);
    return { removed, rows: this.#object.store().numbers().rows, isSettled };
  }

  async #removeRows(schema: RawSchema, erasure: Erasure): Promise<number> {
    const { store, ensureAlarm } = this.#object;
    // First, since what has failed over these rows is asked for again, and this may die on the way.
    await ensureAlarm();
    const walk: RowRange = { from: 0, end: store().chosenRows.nextRow() };
    this.#underWay.add(walk);
    try {
      for (let removed = 0; ; ) {
        const entityKeys = [...new Set([...erasure.entityKeys, ...this.#entityKeys])];
        const step = store().chosenRows.erase(schema, { ...erasure, entityKeys }, walk);
        removed += step.removed;
        if (step.removed > 0) await ensureAlarm();
        if (step.next === null) return removed;
        walk.from = step.next;
        // A timer, since a promise alone lets nobody in.
        await sleep(0);
      }
    } finally {
      this.#underWay.delete(walk);
    }
  }

  async #settle(seq: number): Promise<boolean> {
    const giveUpMs = Date.now() + ERASURE_WAIT_MS;
    while (this.#object.store().computations.isAnyBefore(seq, FOLLOWER_LEASE_MS)) {
      if (Date.now() >= giveUpMs) return false;
      await sleep(ERASURE_LOOK_MS);
    }
    return true;
  }
}
