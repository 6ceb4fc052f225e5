/** Those who own subscriptions: what they ask for, and what an answer promises them. */
import { MAX_DELIVERY_ATTEMPTS } from "../../../worker/limits.ts";
import { really, type World } from "../world.ts";
import { type Asking, TRIES } from "./asking.ts";
import type { AnnouncedRow, Deliveries } from "./deliveries.ts";
import { addressOf, type Receivers } from "./receivers.ts";
import type { Registered } from "./registered.ts";
import { type Action, FILTERS, type Slot } from "./schedule.ts";

interface OwnersWorld {
  world: World;
  asking: Asking;
  registered: Registered;
  deliveries: Deliveries;
  receivers: Receivers;
  complain: (text: string) => void;
  /** All events that the history has. */
  announced: () => Promise<AnnouncedRow[]>;
  /** Whether the object of a subscription has heard that it is gone. */
  isDropped: (subscription: string) => boolean;
  /** How many deliveries its object has. */
  countOf: (subscription: string, status: "pending" | "dead") => number;
}

interface Owned {
  id: string;
  path: string;
  /** Of changes of its status: those under way, whether they meet, and whether some may still land. */
  open: number;
  doMeet: boolean;
  isUnknown: boolean;
}

export type OwnersAction = Extract<Action, { slot: Slot }>;

export class Owners {
  /** Deliveries that were given up. */
  dead = 0;
  /** The last of each slot. */
  readonly #owned = new Map<Slot, Owned>();
  readonly #all: Owned[] = [];
  readonly #w: OwnersWorld;

  constructor(own: OwnersWorld) {
    this.#w = own;
    const { id, path } = own.registered.subscription;
    this.#own(0, id, path);
  }

  async run(operation: number, action: OwnersAction): Promise<void> {
    if (action.do === "subscribe") return this.#subscribe(operation, action.slot);
    const own = this.#owned.get(action.slot);
    if (!own) return;
    switch (action.do) {
      case "receiver":
        if (action.is === "down") this.#w.receivers.down.add(own.path);
        else this.#w.receivers.down.delete(own.path);
        return;
      case "pause":
        return this.#setStatus(own, "paused");
      case "resume":
        return this.#setStatus(own, "active");
      case "unsubscribe":
        return this.#unsubscribe(own);
      case "look":
        await this.#w.asking.until({ method: "GET", path: `/subscriptions/${own.id}` }, [200, 404]);
        return;
      case "replay":
        return this.#replay(own, action.what);
    }
  }

  /**
   * Everything that was asked for has come to its end: now all that gathers is to be delivered.
   *
   * @param statuses By id, of those that are there.
   */
  async resumeAll(statuses: ReadonlyMap<string, string>): Promise<void> {
    for (const own of this.#all) {
      own.isUnknown = false;
      const status = statuses.get(own.id);
      this.#w.deliveries.change(own.path, { deleted: status ? "no" : "yes" });
      if (status === "paused") await this.#setStatus(own, "active");
    }
  }

  /** What was given up is sent again. */
  async reviveDead(): Promise<void> {
    const { asking, countOf, complain } = this.#w;
    for (const own of this.#all) {
      const dead = countOf(own.id, "dead");
      if (dead === 0) continue;
      this.dead += dead;
      const path = `/subscriptions/${own.id}/deliveries?status=dead&limit=1000`;
      const { deliveries } = await asking.read(path);
      const isEarly = deliveries.some(
        ({ attempts }: { attempts: number }) => attempts < MAX_DELIVERY_ATTEMPTS,
      );
      if (isEarly || deliveries.length !== dead)
        complain(`${own.path} has ${dead} dead deliveries: ${JSON.stringify(deliveries)}`);
      await this.#replay(own, "dead");
    }
  }

  /** When all is delivered. */
  async lookAtAll(): Promise<void> {
    const { asking, countOf, complain } = this.#w;
    for (const own of this.#all) {
      const waiting = countOf(own.id, "pending") + countOf(own.id, "dead");
      if (waiting > 0) complain(`${waiting} events still wait for ${own.path}`);
    }
    const [own] = this.#all;
    const facts = own && (await asking.read(`/subscriptions/${own.id}`));
    if (!facts) return;
    const { status, pending, dead, missed, replay } = facts;
    if (status !== "active" || pending + dead > 0 || missed !== null || replay !== null)
      complain(`${own.path} is ${JSON.stringify(facts)}`);
  }

  #own(slot: Slot, id: string, path: string): void {
    const own = { id, path, open: 0, doMeet: false, isUnknown: false };
    this.#owned.set(slot, own);
    this.#all.push(own);
  }

  /** Each try has an address of its own: it may have made a subscription of which nobody has heard. */
  async #subscribe(operation: number, slot: Slot): Promise<void> {
    const { asking, deliveries, world } = this.#w;
    for (let tries = 0; tries < TRIES; tries++) {
      const path = `s${slot}-${operation}-${tries}`;
      const body = { url: addressOf(path), ...FILTERS[slot] };
      const reply = await asking.once({ method: "POST", path: "/subscriptions", body }, [201]);
      if (reply) {
        this.#own(slot, JSON.parse(reply.text).subscription_id, path);
        deliveries.created(path, FILTERS[slot], world.steps);
        return;
      }
      await asking.pause();
    }
  }

  async #setStatus(own: Owned, status: "active" | "paused"): Promise<void> {
    const { asking, deliveries } = this.#w;
    deliveries.change(own.path, { paused: "perhaps" });
    own.doMeet = own.open > 0;
    own.open += 1;
    const asked = { method: "PATCH", path: `/subscriptions/${own.id}`, body: { status } } as const;
    const reply = await asking.until(asked, [200, 404], () => {
      own.isUnknown = true;
    });
    own.open -= 1;
    // Of those that meet the last one to be answered need not be the last one to be made.
    if (own.open > 0 || own.doMeet || own.isUnknown || reply?.status !== 200) return;
    deliveries.change(own.path, { paused: status === "paused" ? "yes" : "no" });
  }

  async #unsubscribe(own: Owned): Promise<void> {
    const { asking, deliveries, isDropped } = this.#w;
    deliveries.change(own.path, { deleted: "perhaps" });
    const asked = { method: "DELETE", path: `/subscriptions/${own.id}` } as const;
    const reply = await asking.until(asked, [200, 404]);
    // Where its object could not be told, that finds out.
    if (reply && isDropped(own.id)) deliveries.change(own.path, { deleted: "yes" });
  }

  async #replay(own: Owned, what: "dead" | "history"): Promise<void> {
    const { asking, announced, deliveries, world } = this.#w;
    const rows = what === "history" ? await really(announced) : [];
    const since = world.steps;
    const range = { from: "2000-01-01T00:00:00Z", to: "2199-01-01T00:00:00Z" };
    const body = what === "dead" ? { dead: true } : range;
    const asked = { method: "POST", path: `/subscriptions/${own.id}/replay`, body } as const;
    const reply = await asking.until(asked, [202, 404, 409]);
    if (reply?.status === 202) deliveries.replayed(own.path, rows, since);
  }
}
