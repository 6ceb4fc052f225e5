/** What clients ask for: the same few entities all the time, and others seldom. */
import { pick } from "../setup/random.ts";
import type { Action } from "./history.ts";
import type { Change } from "./model.ts";
import {
  batchRequest,
  deleteRequest,
  type EntityRef,
  type Entry,
  type Request,
  shortRequest,
  writeRequest,
} from "./requests.ts";
import { CATEGORIES, largeParts, newParts } from "./writes.ts";

const ROWS_PER_BATCH = 6;
const LARGE_ROWS_PER_BATCH = 20;
/** Of a hundred picks: one that is seldom written, so that no later write hides what became of it. */
const QUIET = 10;
/** Of all that is asked, from 0 to 1. */
export const WRITES_UNTIL = 0.48;

export class Workload {
  readonly entities: readonly EntityRef[];
  readonly quiet: readonly EntityRef[];
  readonly #known = new Map<EntityRef, number>();
  #count = 0;

  constructor({ entities, quiet }: { entities: number; quiet: number }) {
    this.entities = newEntities("entity", entities);
    this.quiet = newEntities("quiet", quiet);
  }

  pick(random: () => number): EntityRef {
    const isQuiet = this.quiet.length > 0 && random() * 100 < QUIET;
    return pick(random, isQuiet ? this.quiet : this.entities);
  }

  /** Writes all that are seldom written once, and large. */
  fill(random: () => number): Request[] {
    const batches = Array.from({ length: Math.ceil(this.quiet.length / LARGE_ROWS_PER_BATCH) }, (_, i) =>
      this.quiet.slice(i * LARGE_ROWS_PER_BATCH, (i + 1) * LARGE_ROWS_PER_BATCH),
    );
    return batches.map((rows) =>
      batchRequest(rows.map((row) => this.entry(row, this.#write(random, null, largeParts)))),
    );
  }

  /** @param dice Up to {@link WRITES_UNTIL}: what it is. */
  write(random: () => number, dice: number, earlier: Entry | null): Request {
    const entity = this.pick(random);
    if (dice < 0.24) return writeRequest(this.entry(entity, this.#write(random, null)));
    if (dice < 0.27 && earlier) {
      // Once more, as of somebody who does not know that it was done: it must change nothing.
      const { entity: same, action } = earlier;
      return writeRequest({ id: `again-${this.newNumber()}`, entity: same, action });
    }
    if (dice < 0.33)
      return writeRequest(this.entry(entity, this.#write(random, this.#known.get(entity) ?? 0)));
    if (dice < 0.4) {
      const rows = Array.from({ length: ROWS_PER_BATCH }, () => this.pick(random));
      return batchRequest(rows.map((row) => this.entry(row, this.#write(random, null))));
    }
    if (dice < 0.44) return shortRequest(this.entry(entity, this.#write(random, null)));
    const category = dice < 0.475 ? pick(random, CATEGORIES) : null;
    const change: Change = { kind: "delete", category };
    return deleteRequest(this.entry(entity, { kind: "change", change, ifRevision: null }), category);
  }

  /** A write's is called by its `compute_id`, by which its events tell of it. */
  entry<A extends Action>(entity: EntityRef, action: A): Entry & { action: A } {
    const number = this.newNumber();
    const computeId = action.kind === "change" && action.change.kind === "write" ? action.change.id : null;
    return { id: computeId ?? `o${number}`, entity, action };
  }

  newNumber(): number {
    this.#count += 1;
    return this.#count;
  }

  /** An answer has named a revision of the entity. */
  told(entity: EntityRef, revision: number): void {
    this.#known.set(entity, Math.max(revision, this.#known.get(entity) ?? 0));
  }

  #write(random: () => number, ifRevision: number | null, parts = newParts): Action {
    const id = `w${this.newNumber()}`;
    return { kind: "change", change: { kind: "write", id, parts: parts(random, id) }, ifRevision };
  }
}

function newEntities(prefix: string, count: number): EntityRef[] {
  return Array.from({ length: count }, (_, i) => ({
    type: i % 2 === 0 ? "bright_uid" : "account_id",
    value: `${prefix}-${i}`,
  }));
}
