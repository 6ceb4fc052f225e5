/**
 * What subscriptions were promised, held against what their receivers got: every event at least once, those of one entity
 * one at a time and by revision, nothing while a subscription is paused or once it is deleted. Pure.
 */
import type { FeatureAvailable } from "../../../worker/events/feature-available.ts";
import type { FILTERS } from "./schedule.ts";

/** A row of the history that has an event. */
export interface AnnouncedRow {
  eventId: string;
  entityType: string;
  entityValue: string;
  category: string;
  revision: number;
  ingestedAt: number;
  names: string[];
}

type Filter = (typeof FILTERS)[number];

/** A subscription, as its owner knows it. Moments are numbers of steps. */
interface Known {
  filter: Filter;
  /** From then on every event is its own. */
  since: number;
  deleted: "no" | "perhaps" | "yes";
  /** `perhaps`: somebody has asked for a change and not heard what became of it. */
  paused: "no" | "perhaps" | "yes";
}

/** Of one event at one receiver: when its sender knew, or gave it up. */
interface Accepted {
  delivery: Delivery;
  knownAt: number;
}

export interface Delivery {
  /** By the path of its receiver. */
  subscription: string;
  /** The instance that delivers. */
  sender: { isAlive: boolean };
  event: FeatureAvailable;
  /** Of its entity, those that wait with a lower revision, as the sender has noted them. */
  waitingBefore: number;
  isOver: boolean;
}

export class Deliveries {
  readonly subscriptions = new Map<string, Known>();
  readonly #complain: (text: string) => void;
  /** By id: the event, and when the queue took it first. */
  readonly #announced = new Map<string, { event: FeatureAvailable; at: number }>();
  readonly #accepted = new Map<string, Accepted[]>();
  readonly #underWay = new Map<string, Set<Delivery>>();
  readonly #replays: { subscription: string; rows: readonly AnnouncedRow[]; since: number }[] = [];

  constructor(complain: (text: string) => void) {
    this.#complain = complain;
  }

  created(subscription: string, filter: Filter, since: number): void {
    this.subscriptions.set(subscription, { filter, since, deleted: "no", paused: "no" });
  }

  /** Somebody asks for a change, or has heard that it is made. */
  change(subscription: string, change: Partial<Pick<Known, "deleted" | "paused">>): void {
    const known = this.subscriptions.get(subscription);
    if (known) Object.assign(known, change);
  }

  /** The queue has taken an event. */
  announce(event: FeatureAvailable, at: number): void {
    if (!this.#announced.has(event.event_id)) this.#announced.set(event.event_id, { event, at });
  }

  /** A replay was acknowledged. @param since When it was asked for. */
  replayed(subscription: string, rows: readonly AnnouncedRow[], since: number): void {
    this.#replays.push({ subscription, rows, since });
  }

  begin(delivery: Delivery): void {
    const { subscription, event, waitingBefore } = delivery;
    const known = this.subscriptions.get(subscription);
    const what = nameOf(event);
    if (known?.deleted === "yes") this.#complain(`${what} goes to ${subscription}, which is deleted`);
    if (known?.paused === "yes") this.#complain(`${what} goes to ${subscription}, which is paused`);
    if (known && !wants(known.filter, event)) this.#complain(`${what} is nothing for ${subscription}`);
    if (waitingBefore > 0) this.#complain(`${what} goes to ${subscription} before a lower revision`);
    const key = `${subscription} ${event.entity_type}/${event.entity_id}`;
    const others = this.#underWay.get(key) ?? new Set();
    this.#underWay.set(key, others);
    if ([...others].some(({ sender }) => sender.isAlive && sender === delivery.sender))
      this.#complain(`${what} goes to ${subscription} while another of its entity does`);
    others.add(delivery);
  }

  /** The receiver has taken it. */
  accept(delivery: Delivery, at: number): void {
    const key = `${delivery.subscription} ${delivery.event.event_id}`;
    const accepted = { delivery, knownAt: delivery.isOver ? at : Number.POSITIVE_INFINITY };
    this.#accepted.set(key, [...(this.#accepted.get(key) ?? []), accepted]);
  }

  /** The sender waits no longer. */
  end(delivery: Delivery, at: number): void {
    delivery.isOver = true;
    const { subscription, event } = delivery;
    for (const accepted of this.#accepted.get(`${subscription} ${event.event_id}`) ?? [])
      if (accepted.delivery === delivery) accepted.knownAt = at;
    this.#underWay.get(`${subscription} ${event.entity_type}/${event.entity_id}`)?.delete(delivery);
  }

  /** How often a receiver has taken an event, from a moment on. */
  timesAccepted(subscription: string, eventId: string, since = 0): number {
    const all = this.#accepted.get(`${subscription} ${eventId}`) ?? [];
    return all.filter(({ knownAt }) => knownAt >= since).length;
  }

  /** In the end. @param rows All of the history that have an event. */
  everythingEnded(rows: readonly AnnouncedRow[]): void {
    const byId = new Map(rows.map((row) => [row.eventId, row]));
    for (const { event } of this.#announced.values()) {
      const row = byId.get(event.event_id);
      if (!row || !isOf(event, row)) this.#complain(`${nameOf(event)} is of no row of the history`);
    }
    for (const { eventId, ...row } of rows) {
      if (!this.#announced.has(eventId))
        this.#complain(`no event of ${row.entityType}/${row.entityValue}/${row.category} ${row.revision}`);
    }
    for (const [id, { filter, since, deleted }] of this.subscriptions) {
      if (deleted !== "no") continue;
      for (const { event, at } of this.#announced.values()) {
        if (at > since && wants(filter, event) && this.timesAccepted(id, event.event_id) === 0)
          this.#complain(`${id} never got ${nameOf(event)}`);
      }
    }
    for (const replay of this.#replays) this.#checkReplay(replay);
  }

  #checkReplay({
    subscription,
    rows,
    since,
  }: {
    subscription: string;
    rows: readonly AnnouncedRow[];
    since: number;
  }) {
    const known = this.subscriptions.get(subscription);
    if (known?.deleted !== "no") return;
    for (const row of rows) {
      const told = { entity_type: row.entityType, resource_name: row.category };
      if (wants(known.filter, told) && this.timesAccepted(subscription, row.eventId, since) === 0)
        this.#complain(`a replay has not sent ${row.category} ${row.revision} to ${subscription}`);
    }
  }
}

function wants(
  { entity_types: types, categories }: Filter,
  event: Pick<FeatureAvailable, "entity_type" | "resource_name">,
): boolean {
  const isIn = (all: readonly string[] | null, one: string) => all === null || all.includes(one);
  return isIn(types, event.entity_type) && isIn(categories, event.resource_name);
}

function isOf(event: FeatureAvailable, row: AnnouncedRow): boolean {
  return (
    event.entity_type === row.entityType &&
    event.entity_id === row.entityValue &&
    event.resource_name === row.category &&
    event.revision === row.revision &&
    event.features.join() === row.names.join()
  );
}

const nameOf = (event: FeatureAvailable) =>
  `event of ${event.entity_type}/${event.entity_id}/${event.resource_name} ${event.revision}`;
