/**
 * Is there an order of an entity's operations, each at one moment between its call and its answer, in which every
 * answer is what the model says? The search of Wing and Gong with Lowe's memory of where it has been, made short by
 * what the answers tell: the revisions order all applied writes, so that it has to guess only where a revision was
 * told to nobody, because the process died before it answered.
 */
import type { Operation } from "./history.ts";
import { type Entity, NEW_ENTITY } from "./model.ts";
import { isShown, takeEffect } from "./take-effect.ts";

export interface Step {
  /** Null at revision 0. */
  operation: Operation | null;
  state: Entity;
  changed: readonly string[];
}

/** `story`: the entity at each revision; as far as the search came, when nothing fits. */
export type Verdict =
  | { kind: "fits"; story: Step[] }
  | { kind: "impossible"; story: Step[]; waiting: Operation[] }
  | { kind: "undecided"; story: Step[]; waiting: Operation[] };

/** What else is known of an entity. It spares the search most of its guesses. */
export interface Evidence {
  /** Revisions of operations without an answer, as their events tell them, by id. */
  revisions: ReadonlyMap<string, number>;
  /** Reads, old ones too: the state at the revision of each must be what it shows, with one `created_at` a life. */
  witnesses: readonly Operation[];
  /** The events, by revision: category and `compute_id`. What is guessed must agree with them. Null: nobody looked. */
  announced: ReadonlyMap<number, ReadonlyMap<string, string | null>> | null;
}

/** Guesses: each is a write without an answer that is tried at a revision. */
const MAX_GUESSES = 50_000;

interface Search {
  operations: readonly Operation[];
  /** Operations that can only take effect at, or bring about, this revision. */
  pinned: ReadonlyMap<number, number[]>;
  /** Those that leave the entity as it is, at a revision that they were not told. */
  floating: readonly number[];
  guesses: readonly number[];
  byAnswer: readonly number[];
  must: readonly number[];
  witnesses: ReadonlyMap<number, Operation[]>;
  announced: Evidence["announced"];
  /** The entity came at least to this revision. */
  least: number;
}

interface Branch {
  story: Step[];
  state: Entity;
  done: Uint8Array;
  /** In `byAnswer`: all before it are done. */
  first: number;
  /** The `created_at` of each life of a category, as the witnesses say. */
  births: Map<string, string>;
}

/** @param operations Of one entity, no `edge` and no `session` reads, and no repetitions. */
export function linearize(operations: readonly Operation[], evidence: Evidence): Verdict {
  const search = prepare(operations, evidence);
  const start = {
    story: [{ operation: null, state: NEW_ENTITY, changed: [] }],
    state: NEW_ENTITY,
    done: new Uint8Array(operations.length),
    first: 0,
    births: new Map<string, string>(),
  };
  const open: Branch[] = [start];
  const visited = new Set<string>();
  let best: Branch = start;
  let guesses = 0;
  for (let branch = open.pop(); branch; branch = open.pop()) {
    const end = advance(search, branch);
    if (end === "complete") return { kind: "fits", story: branch.story };
    if (branch.story.length > best.story.length) best = branch;
    if (end === "stuck") continue;
    const place = placeOf(search, branch);
    if (visited.has(place)) continue;
    visited.add(place);
    const further = guess(search, branch);
    guesses += further.length;
    if (guesses > MAX_GUESSES)
      return { kind: "undecided", story: best.story, waiting: waitingOf(search, best) };
    open.push(...further.reverse());
  }
  return { kind: "impossible", story: best.story, waiting: waitingOf(search, best) };
}

function prepare(operations: readonly Operation[], { revisions, witnesses, announced }: Evidence): Search {
  const pinned = new Map<number, number[]>();
  const floating: number[] = [];
  const guesses: number[] = [];
  const must: number[] = [];
  operations.forEach(({ id, outcome }, i) => {
    const known = outcome.kind === "unknown" ? revisions.get(id) : undefined;
    const revision = "revision" in outcome ? outcome.revision : (known ?? null);
    if (revision !== null) pinned.set(revision, [...(pinned.get(revision) ?? []), i]);
    else if (outcome.kind === "unknown") guesses.push(i);
    else floating.push(i);
    if (outcome.kind !== "unknown" || known !== undefined) must.push(i);
  });
  const answeredMs = (i: number) => operations[i]?.answeredMs ?? Number.POSITIVE_INFINITY;
  const byAnswer = [...operations.keys()]
    .filter((i) => Number.isFinite(answeredMs(i)))
    .sort((a, b) => answeredMs(a) - answeredMs(b));
  const byCall = (a: number, b: number) => (operations[a]?.calledMs ?? 0) - (operations[b]?.calledMs ?? 0);
  return {
    operations,
    pinned,
    floating,
    guesses: guesses.sort(byCall),
    byAnswer,
    must,
    witnesses: Map.groupBy(witnesses, ({ outcome }) => (outcome.kind === "seen" ? outcome.revision : 0)),
    announced,
    least: Math.max(0, ...(announced?.keys() ?? [])),
  };
}

/** Takes all steps that leave no choice. `gap`: who brought about the next revision has to be guessed. */
function advance(search: Search, branch: Branch): "complete" | "stuck" | "gap" {
  for (;;) {
    placeUnchanging(search, branch);
    const { revision } = branch.state;
    // Who can only be at a revision that is over has no place any more.
    if (search.pinned.get(revision)?.some((i) => !branch.done[i])) return "stuck";
    const next = search.pinned.get(revision + 1)?.find((i) => isWrite(search, i));
    if (next === undefined) {
      const isComplete = revision >= search.least && search.must.every((i) => branch.done[i]);
      return isComplete ? "complete" : "gap";
    }
    if (!isCalled(search, branch, next) || !place(search, branch, next)) return "stuck";
  }
}

/** What leaves the entity as it is goes wherever it fits first: that takes no choice from the others. */
function placeUnchanging(search: Search, branch: Branch): void {
  const candidates = [...(search.pinned.get(branch.state.revision) ?? []), ...search.floating];
  let isAnyPlaced = true;
  while (isAnyPlaced) {
    isAnyPlaced = false;
    for (const i of candidates) {
      if (branch.done[i] || !isCalled(search, branch, i)) continue;
      const operation = search.operations[i];
      const after = operation && takeEffect(branch.state, operation);
      if (!after || after.changed.length > 0) continue;
      branch.done[i] = 1;
      isAnyPlaced = true;
    }
  }
}

function place({ operations, witnesses }: Search, branch: Branch, i: number): boolean {
  const operation = operations[i];
  const after = operation && takeEffect(branch.state, operation);
  if (!after || after.changed.length === 0) return false;
  const own = witnesses.get(after.state.revision) ?? [];
  if (!own.every((witness) => agrees(witness, after.state, branch.births))) return false;
  branch.done[i] = 1;
  branch.state = after.state;
  branch.story.push({ operation, ...after });
  return true;
}

function agrees({ action, outcome }: Operation, state: Entity, births: Map<string, string>): boolean {
  if (action.kind !== "read" || outcome.kind !== "seen") return true;
  if (!isShown(state, action.categories, outcome)) return false;
  return Object.entries(outcome.present).every(([name, { createdAt }]) => {
    const life = `${name} ${state.categories.get(name)?.born}`;
    if (!births.has(life)) births.set(life, createdAt);
    return births.get(life) === createdAt;
  });
}

function guess(search: Search, branch: Branch): Branch[] {
  return search.guesses.flatMap((i) => {
    if (branch.done[i] || !isCalled(search, branch, i)) return [];
    const further = {
      ...branch,
      story: [...branch.story],
      done: branch.done.slice(),
      births: new Map(branch.births),
    };
    return place(search, further, i) && isAnnounced(search, further.story.at(-1)) ? [further] : [];
  });
}

/** A write has an event for each category that it changed, a deletion has none. */
function isAnnounced({ announced }: Search, step: Step | undefined): boolean {
  if (!announced || step?.operation?.action.kind !== "change") return true;
  const { change } = step.operation.action;
  const named = announced.get(step.state.revision) ?? new Map();
  if (change.kind === "delete") return named.size === 0;
  return named.size === step.changed.length && step.changed.every((name) => named.get(name) === change.id);
}

/** Nothing may take effect before an operation that was answered before it was called. */
function isCalled({ operations, byAnswer }: Search, branch: Branch, i: number): boolean {
  while (branch.done[byAnswer[branch.first] ?? -1]) branch.first += 1;
  const answeredMs = operations[byAnswer[branch.first] ?? -1]?.answeredMs ?? Number.POSITIVE_INFINITY;
  return (operations[i]?.calledMs ?? 0) <= answeredMs;
}

function isWrite({ operations }: Search, i: number): boolean {
  const { kind } = operations[i]?.outcome ?? {};
  return kind === "applied" || kind === "unknown";
}

/** Two ways to the same place need be followed once. */
function placeOf({ floating, guesses }: Search, { state, done }: Branch): string {
  const categories = [...state.categories].map(([name, { features, ...rest }]) => [
    name,
    [...features],
    rest,
  ]);
  const tombstones = [state.deletedAt, [...state.categoryDeletedAt]];
  const left = [...floating, ...guesses].filter((i) => !done[i]);
  return JSON.stringify([state.revision, categories.sort(), tombstones, left]);
}

/** The operations for which no place was found, those that had to come next first. */
function waitingOf({ operations, must }: Search, { done, state }: Branch): Operation[] {
  const revisionOf = ({ outcome }: Operation) =>
    ("revision" in outcome ? outcome.revision : null) ?? state.revision;
  return must
    .flatMap((i) => (done[i] ? [] : (operations[i] ?? [])))
    .sort((a, b) => revisionOf(a) - revisionOf(b) || (a.answeredMs ?? 0) - (b.answeredMs ?? 0));
}
