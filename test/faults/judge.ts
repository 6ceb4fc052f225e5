/** What the store has promised, held against what it answered, sent and cached. */
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import type { EntityDocument } from "../../worker/serving/document.ts";
import type { EntityRead } from "../../worker/serving/read-entities.ts";
import type { ChangeResult } from "../../worker/writing/entity-write.ts";
import type { PastValue } from "./past.ts";
import { nameOf, type PlannedChange } from "./schedule.ts";
import { type Timeline, valuesText } from "./timeline.ts";

export interface Acknowledgement {
  operation: number;
  change: PlannedChange;
  ifRevision: number | null;
  result: ChangeResult;
  /** The moment at which it was first sent. */
  since: number;
}

/** A read of an entity has to show at least this. */
export interface Floor {
  revision: number;
  why: string;
}

/** When a read was asked for, and whether the state that it shows must be one of since then. */
export interface Asked {
  since: number;
  isOfNow: boolean;
}

export interface PastAnswer {
  entity: string;
  /** Microseconds. */
  at: number;
  /** Null: it contradicts itself. */
  shown: PastValue[] | null;
  floor: Floor;
}

export class Judge {
  readonly #timeline: Timeline;
  readonly #taken = new Map<string, FeatureAvailable>();
  /** Operations that were told so, by number of the change. */
  readonly #refused = new Map<number, number>();
  readonly #lastEvent = new Map<string, number>();
  /** By deletion, which operation was told that it is its own. */
  readonly #deletedBy = new Map<string, number>();

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  complain(text: string): void {
    this.#timeline.violations.push(text);
  }

  /** An answer is true: what was applied is in D1, and what was not was refused for what was there. */
  acknowledge({ operation, change, ifRevision, result, since }: Acknowledgement): void {
    const timeline = this.#timeline;
    const entity = nameOf(change.entity);
    const { revision, outcome } = result;
    const what = `operation ${operation}: ${outcome} at revision ${revision} of ${entity}`;
    if (outcome === "applied" || outcome === "deleted") {
      const committed =
        change.kind === "write"
          ? timeline.applied.get(change.n)
          : this.#deletion(operation, change, revision);
      if (committed?.revision !== revision || committed.entity !== entity)
        this.complain(`${what} is not in D1`);
      else if (committed.moment <= since) this.complain(`${what} was there before it was asked for`);
      return;
    }
    if (timeline.applied.has(change.n)) this.complain(`${what} was applied all the same`);
    const moments = this.#momentsSince(since);
    // Of a group that was committed together it may be a revision in between.
    if (
      revision < timeline.revisionAt(entity, since) ||
      revision > timeline.revisionAt(entity, timeline.now)
    ) {
      this.complain(`${what} was not its revision then`);
    }
    if (outcome === "rejected" && ifRevision === revision) this.complain(`${what} is what was insisted on`);
    if (outcome === "rejected" && ifRevision === null) this.complain(`${what} without a condition`);
    if (outcome === "stale" && this.#isOfNow(change, moments))
      this.complain(`${what}, though it is newer than all that was there`);
    const isEmpty = (moment: number) =>
      timeline.isEmptyAt(entity, change.kind === "delete" ? change.category : null, moment);
    if (outcome === "not_found" && !moments.some(isEmpty)) this.complain(`${what}, but it was there`);
  }

  /** Who was told that a row is refused has not written it, now or later: see {@link Judge.everythingEnded}. */
  refuse(operation: number, change: PlannedChange): void {
    this.#refused.set(change.n, operation);
  }

  /** A read shows a state that was; from the primary one that was while it ran; never one older than it may be. */
  read(
    entity: string,
    { document, revision, source }: EntityRead,
    { since, isOfNow }: Asked,
    floor: Floor,
  ): void {
    const timeline = this.#timeline;
    const what = `a read of ${entity} from ${source} shows revision ${revision}`;
    const shown = document ? valuesOf(document) : null;
    const isOfThen = source === "d1" && isOfNow;
    const candidates = this.#momentsSince(isOfThen ? since : 0);
    const isThat = (moment: number) =>
      timeline.revisionAt(entity, moment) === revision && timeline.valuesAt(entity, moment) === shown;
    if (!candidates.some(isThat))
      this.complain(`${what}: ${shown}, which ${isOfThen ? "it was not then" : "never was"}`);
    if (revision < floor.revision) this.complain(`${what}, but ${floor.why} has ${floor.revision}`);
  }

  /** What one database answered of the past is what its history says: all of it at one moment, none older than it may be. */
  past(answers: readonly PastAnswer[], knownAt: number | null, { since, isOfNow }: Asked): void {
    const timeline = this.#timeline;
    const isThat = (moment: number) =>
      answers.every(({ entity, at, shown, floor }) => {
        const held = timeline.pastAt(entity, moment, { at, knownAt });
        return (
          timeline.revisionAt(entity, moment) >= floor.revision &&
          JSON.stringify(held) === JSON.stringify(shown)
        );
      });
    if (this.#momentsSince(isOfNow ? since : 0).some(isThat)) return;
    const told = answers.map(
      ({ entity, at, shown, floor }) =>
        `${entity} at ${at}: ${JSON.stringify(shown)}, where ${floor.why} has ${floor.revision}`,
    );
    this.complain(
      `the past is told as it ${isOfNow ? "was not then" : "may not be told"}: ${told.join("; ")}`,
    );
  }

  /** The queue has taken an event: of what is committed, and the first time in the order of revisions. */
  take(event: FeatureAvailable): void {
    const { event_id: id, revision, resource_name: category } = event;
    const entity = `${event.entity_type}/${event.entity_id}`;
    const row = this.#timeline.announced.get(id);
    const what = `event of ${entity}/${category} ${revision}`;
    if (!row) {
      this.complain(`${what}: of nothing that is committed`);
      return;
    }
    const names = Object.keys(JSON.parse(row.data) as object);
    const isTrue =
      row.entity === entity &&
      row.category === category &&
      row.revision === revision &&
      names.join() === event.features.join();
    if (!isTrue) this.complain(`${what} tells something else than its row`);
    if (this.#taken.has(id)) return;
    this.#taken.set(id, event);
    const last = this.#lastEvent.get(entity) ?? 0;
    if (revision < last) this.complain(`${what} comes after that of revision ${last}`);
    this.#lastEvent.set(entity, Math.max(last, revision));
  }

  /** In the end. */
  everythingEnded(): void {
    for (const [id, row] of this.#timeline.announced) {
      if (!this.#taken.has(id)) this.complain(`no event of ${row.entity}/${row.category} ${row.revision}`);
    }
    for (const [n, operation] of this.#refused) {
      if (this.#timeline.applied.has(n))
        this.complain(`operation ${operation} refused write ${n}, which was applied`);
    }
  }

  /** The cached document is what D1 holds. */
  cached(entity: string, document: EntityDocument): void {
    const { now } = this.#timeline;
    const isThat =
      document.revision === this.#timeline.revisionAt(entity, now) &&
      valuesOf(document) === this.#timeline.valuesAt(entity, now);
    if (!isThat) {
      this.complain(
        `KV shows revision ${document.revision} of ${entity}: ${valuesOf(document)}, D1 ${this.#timeline.revisionAt(entity, now)}: ${this.#timeline.valuesAt(entity, now)}`,
      );
    }
  }

  #deletion(operation: number, change: PlannedChange, revision: number) {
    const key = `${nameOf(change.entity)}@${revision}`;
    const found = this.#timeline.deleted.get(key);
    const isOwn = change.kind === "delete" && found?.category === change.category;
    const owner = this.#deletedBy.get(key) ?? operation;
    if (owner !== operation) this.complain(`operations ${owner} and ${operation} both deleted ${key}`);
    this.#deletedBy.set(key, operation);
    return isOwn ? found : undefined;
  }

  /** A write without event times is later than what was written before, whatever the clocks of the machines say. */
  #isOfNow(change: PlannedChange, moments: readonly number[]): boolean {
    if (change.kind === "delete" || change.categories.some(({ eventSecond }) => eventSecond !== null))
      return false;
    const categories = change.categories.map(({ category }) => category);
    return !moments.some((moment) => this.#timeline.isAheadAt(nameOf(change.entity), categories, moment));
  }

  #momentsSince(since: number): number[] {
    return Array.from({ length: this.#timeline.now - since + 1 }, (_, i) => since + i);
  }
}

function valuesOf({ categories }: EntityDocument): string | null {
  return valuesText(
    [...categories].map(([category, c]) => [
      category,
      c.data,
      c.eventTime,
      c.eventTimes,
      c.createdAt,
      c.updatedAt,
    ]),
  );
}
