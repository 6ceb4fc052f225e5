/**
 * Histories as a store without faults would have them: each operation takes effect at one moment, its call and its
 * answer lie at random around it, some answers are lost, requests are repeated, and caches lag behind.
 */
import { randomOf } from "../../scripts/random.ts";
import { pick } from "../setup/random.ts";
import type { Action, Announcement, History, Operation, Outcome } from "./history.ts";
import type { Step } from "./linearize.ts";
import { NEW_ENTITY, type Part } from "./model.ts";
import { randomMove } from "./random-move.ts";
import { randomTable } from "./random-table.ts";
import { takeEffect } from "./take-effect.ts";
import { newParts } from "./writes.ts";

export interface RandomHistory extends History {
  events: Announcement[];
  deliveries: Announcement[];
  kept: Announcement[];
  /** The truth: each entity at each revision. */
  stories: Map<string, Step[]>;
}

const CATEGORIES = ["current", "timed", "mixed"];
const LONGEST_MS = 8;

interface Client {
  id: number;
  freeMs: number;
  /** The highest revision that it was told of, by entity. */
  told: Map<string, number>;
}

export function randomHistory(
  seed: number,
  { steps = 150, entities = 2, clients = 8, lost = 0.06 } = {},
): RandomHistory {
  const store = new Store(seed, { entities, clients, lost });
  for (let step = 0; step < steps; step++) store.step();
  store.settle();
  const { operations, events, stories } = store;
  const table = randomTable(randomOf(seed + 7));
  const all = [...withRepetitions(randomOf(seed + 1), events), ...table.events];
  return {
    operations,
    events: all,
    deliveries: withRepetitions(randomOf(seed + 2), all),
    tables: [table.history],
    kept: [...store.kept, ...table.events],
    ...randomMove(randomOf(seed + 3), [...stories.keys()]),
    stories,
  };
}

class Store {
  readonly operations: Operation[] = [];
  readonly events: Announcement[] = [];
  kept: Announcement[] = [];
  readonly stories: Map<string, Step[]>;
  readonly #random: () => number;
  readonly #clients: Client[];
  /** Requests without an answer that have yet to take effect. */
  #late: Operation[] = [];
  readonly #lost: number;
  #nowMs = 0;
  #writes = 0;

  constructor(
    seed: number,
    { entities, clients, lost }: { entities: number; clients: number; lost: number },
  ) {
    this.#lost = lost;
    this.#random = randomOf(seed);
    this.#clients = Array.from({ length: clients }, (_, id) => ({ id, freeMs: 0, told: new Map() }));
    const names = Array.from({ length: entities }, (_, i) => `bright_uid/entity-${i}`);
    this.stories = new Map(
      names.map((name) => [name, [{ operation: null, state: NEW_ENTITY, changed: [] }]]),
    );
  }

  step(): void {
    const random = this.#random;
    const freeMs = Math.min(...this.#clients.map((client) => client.freeMs));
    this.#nowMs = Math.max(this.#nowMs + 1, freeMs);
    if (random() < 0.2) this.#late = this.#late.filter((one) => random() < 0.5 || !this.#apply(one));
    const client = pick(
      random,
      this.#clients.filter((one) => one.freeMs <= this.#nowMs),
    );
    const entity = pick(random, [...this.stories.keys()]);
    const dice = random();
    if (dice < 0.55) this.#change(client, entity);
    else this.#read(client, entity, dice < 0.75 ? "strong" : dice < 0.87 ? "session" : "edge");
  }

  /** In the end everything is read once more. */
  settle(): void {
    for (const entity of this.stories.keys()) {
      this.#nowMs += 100;
      for (const client of this.#clients.slice(0, 2)) this.#read(client, entity, "strong");
      const [client] = this.#clients;
      if (!client) continue;
      const outcome = shownAt(this.stories.get(entity)?.at(-1), CATEGORIES);
      for (const consistency of ["edge", "session"] as const) {
        const action = { kind: "read", consistency, categories: CATEGORIES } as const;
        this.operations.push({ ...this.#operation(client, entity, action), outcome, isAtRest: true });
      }
    }
  }

  #change(client: Client, entity: string): void {
    const action = this.#newChange(entity);
    const operation = this.#operation(client, entity, action);
    const dice = this.#random();
    if (dice < this.#lost) this.#loseAnswer(client, operation);
    else this.#answer(client, operation);
  }

  #loseAnswer(client: Client, operation: Operation): void {
    const lost: Operation = { ...operation, answeredMs: null, outcome: { kind: "unknown" } };
    this.operations.push(lost);
    // Who was not answered is gone.
    this.#clients.splice(this.#clients.indexOf(client), 1, {
      ...client,
      id: client.id + 100,
      told: new Map(),
    });
    const dice = this.#random();
    if (dice < 0.4) this.#apply(lost);
    else if (dice < 0.6) this.#late.push(lost);
    else if (dice < 0.8) {
      if (this.#random() < 0.5) this.#apply(lost);
      this.#repeat(operation);
    }
  }

  #answer(client: Client, operation: Operation): void {
    const outcome = this.#take(operation);
    this.operations.push({ ...operation, outcome });
    this.#tell(client, operation.entity, outcome);
    if (this.#random() < 0.1) this.#repeat(operation);
  }

  /** With its `Idempotency-Key`: it takes effect unless it has done so. */
  #repeat(operation: Operation): void {
    const before = this.operations.findLast(
      ({ id, outcome }) => id === operation.id && outcome.kind !== "unknown",
    );
    const story = this.stories.get(operation.entity) ?? [];
    const applied = story.find((step) => step.operation?.id === operation.id);
    const outcome: Outcome =
      before?.outcome ??
      (applied
        ? { kind: "applied", revision: applied.state.revision, categories: applied.changed }
        : this.#take(operation));
    this.operations.push({ ...operation, outcome, answeredMs: this.#nowMs + 1, client: 999 });
  }

  #take(operation: Operation): Outcome {
    const { action, entity } = operation;
    const state = this.#state(entity);
    if (action.kind === "read") throw new Error("a read is not taken");
    if (action.ifRevision !== null && action.ifRevision !== state.revision) return { kind: "refused" };
    const changed = this.#apply({ ...operation, outcome: { kind: "unknown" } });
    const { revision } = this.#state(entity);
    if (changed) return { kind: "applied", revision, categories: changed };
    return { kind: "unchanged", revision: action.change.kind === "delete" ? null : revision };
  }

  #apply(operation: Operation): readonly string[] | null {
    const story = this.stories.get(operation.entity) ?? [];
    const after = takeEffect(this.#state(operation.entity), operation);
    if (!after || after.changed.length === 0) return null;
    story.push({ operation, ...after });
    const { action, entity } = operation;
    if (action.kind === "change" && action.change.kind === "write") {
      for (const category of after.changed) {
        const { revision } = after.state;
        const eventId = `event ${entity} ${revision} ${category}`;
        const announcement = { eventId, entity, category, revision, computeId: action.change.id };
        this.events.push(announcement);
        this.kept.push(announcement);
      }
    } else {
      const isGone = (one: Announcement) => one.entity === entity && after.changed.includes(one.category);
      this.kept = this.kept.filter((one) => !isGone(one));
    }
    return after.changed;
  }

  #read(client: Client, entity: string, consistency: "edge" | "session" | "strong"): void {
    const story = this.stories.get(entity) ?? [];
    const floor = consistency === "strong" ? story.length - 1 : (client.told.get(entity) ?? 0);
    const revision = floor + Math.floor(this.#random() * (story.length - floor));
    const action = { kind: "read", consistency, categories: CATEGORIES } as const;
    const outcome = shownAt(story[revision], CATEGORIES);
    this.operations.push({ ...this.#operation(client, entity, action), outcome });
    this.#tell(client, entity, outcome);
  }

  #operation(client: Client, entity: string, action: Action): Operation {
    const nowMs = this.#nowMs;
    const calledMs = Math.max(client.freeMs, nowMs - this.#random() * LONGEST_MS);
    const answeredMs = nowMs + this.#random() * LONGEST_MS;
    client.freeMs = answeredMs + 0.001;
    this.#writes += 1;
    const id = action.kind === "change" && action.change.kind === "write" ? action.change.id : null;
    const outcome = { kind: "unknown" } as const;
    return {
      id: id ?? `o${this.#writes}`,
      client: client.id,
      life: 1,
      entity,
      calledMs,
      answeredMs,
      action,
      outcome,
    };
  }

  #newChange(entity: string): Action {
    const random = this.#random;
    const dice = random();
    if (dice < 0.15) {
      const category = dice < 0.03 ? null : pick(random, CATEGORIES);
      return { kind: "change", change: { kind: "delete", category }, ifRevision: null };
    }
    const name = `w${this.#writes + 1}`;
    const parts: Part[] = newParts(random, name);
    const near = this.#state(entity).revision - Math.floor(random() * 2);
    const ifRevision = dice < 0.3 && near >= 0 ? near : null;
    // The short form names no `compute_id`: its events do not tell whose they are.
    const id = random() < 0.2 ? null : name;
    return { kind: "change", change: { kind: "write", id, parts }, ifRevision };
  }

  #tell(client: Client, entity: string, outcome: Outcome): void {
    const revision = "revision" in outcome ? (outcome.revision ?? 0) : 0;
    client.told.set(entity, Math.max(revision, client.told.get(entity) ?? 0));
  }

  #state(entity: string) {
    return this.stories.get(entity)?.at(-1)?.state ?? NEW_ENTITY;
  }
}

/** What a read of these categories answers when it meets the entity like this. */
export function shownAt(step: Step | undefined, categories: readonly string[]): Outcome {
  const state = step?.state ?? NEW_ENTITY;
  const present = categories.flatMap((name) => {
    const category = state.categories.get(name);
    if (!category) return [];
    const data = Object.fromEntries([...category.features].map(([key, { value }]) => [key, value]));
    return [[name, { data, computeId: category.id, createdAt: `since ${category.born}` }] as const];
  });
  if (present.length === 0) return { kind: "nothing" };
  return { kind: "seen", revision: state.revision, present: Object.fromEntries(present) };
}

function withRepetitions(random: () => number, events: readonly Announcement[]): Announcement[] {
  return events.flatMap((event, i) =>
    random() < 0.1 ? [event, events[Math.floor(random() * i)] ?? event] : event,
  );
}
