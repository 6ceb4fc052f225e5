/**
 * 64 clients write, delete and read 20 entities at the same time. Since every write that is applied answers the
 * entity's new revision, the clients together know all of each entity's story, and a model can tell it again.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { endServices, newDirectory, startService } from "../setup/service.ts";
import { applyChange, type Entity, NEW_ENTITY } from "./model.ts";
import { CATEGORIES, type EntityRef, type Seen, STARTED_MICROS, type Told, Workload } from "./workload.ts";

const CLIENTS = 64;
const STEPS = 40;
const SEED = 20261101;
const ENTITIES: EntityRef[] = Array.from({ length: 20 }, (_, i) => ({
  type: i % 2 === 0 ? "bright_uid" : "account_id",
  value: `entity-${i}`,
}));

let work: Workload;
beforeAll(async () => {
  const service = await startService({ command: "serve", state: newDirectory() });
  work = new Workload(service, ENTITIES);
  const startedMs = Date.now();
  await Promise.all(Array.from({ length: CLIENTS }, (_, i) => work.runClient(SEED + i, STEPS)));
  const seconds = (Date.now() - startedMs) / 1_000;
  for (const entity of ENTITIES) await work.readStrong(entity);
  const { told, seen } = work;
  console.log(
    `${told.length} writes acknowledged, ${told.filter(isApplied).length} of them applied, ${seen.length} reads, in ${seconds.toFixed(1)} s`,
  );
});
afterAll(endServices);

test("no request of 64 clients is answered with an error", () => {
  expect(work.unexpected.slice(0, 5)).toEqual([]);
});

test("the revisions of an entity's acknowledged writes are distinct and without a gap", () => {
  for (const entity of ENTITIES) {
    const revisions = appliedTo(entity).map(({ revision }) => revision);
    expect(revisions, entity.value).toEqual(revisions.map((_, i) => i + 1));
    expect(revisions.length, `writes of ${entity.value}`).toBeGreaterThan(20);
  }
});

test("a write that began after another was acknowledged has the higher revision", () => {
  const early = work.told.filter((one) => isApplied(one) && one.revision <= one.floor);
  expect(early.slice(0, 3)).toEqual([]);
});

test("in the order of the revisions each write did what the contract says", () => {
  const faults = work.told.flatMap((one) => {
    const base = stateOf(one.entity, isApplied(one) ? one.revision - 1 : one.revision);
    const { changed } = applyChange(base, one.change, nowAt(base));
    // What was not applied must not have had anything to change.
    return isApplied(one) === changed.length > 0 && `${changed.sort()}` === `${one.updated.sort()}`
      ? []
      : [{ ...one, changed }];
  });
  expect(faults.slice(0, 3)).toEqual([]);
  const outcomes = new Set(work.told.map(({ outcome }) => outcome));
  expect([...outcomes].sort()).toEqual(["applied", "deleted", "duplicate", "stale"]);
});

test("every read, cached or not, shows exactly the state that the entity had at the revision it names", () => {
  const faults = work.seen.flatMap((read) => {
    if (read.revision === null) return [];
    const state = stateOf(read.entity, read.revision);
    const expected = [...Object.keys(read.present), ...read.absent].flatMap((name) => {
      const category = state.categories.get(name);
      return category ? [[name, { data: valuesOf(category.features), id: category.id }]] : [];
    });
    const shown = Object.entries(read.present).map(([name, { data, id }]) => [name, { data, id }]);
    return isSame(shown, expected) ? [] : [{ ...read, expected }];
  });
  expect(faults.slice(0, 3)).toEqual([]);
});

test("in the end a strong read shows the outcome of all acknowledged writes", () => {
  const final = work.seen.slice(-ENTITIES.length);
  expect(final.map(({ entity, consistency }) => [entity, consistency])).toEqual(
    ENTITIES.map((entity) => [entity, "strong"]),
  );
  for (const { entity, revision } of final) {
    const { categories } = stateOf(entity, work.known(entity));
    expect(revision, entity.value).toBe(categories.size > 0 ? work.known(entity) : null);
  }
});

test("a strong read shows every write acknowledged before it began", () => {
  expect(tooOld("strong")).toEqual([]);
});

test("a read with a write's token is never older than that write", () => {
  expect(tooOld("session")).toEqual([]);
});

test("created_at is that of a category's first write, until it is deleted", () => {
  const times = new Map<string, Set<string>>();
  for (const { entity, revision, present } of work.seen) {
    if (revision === null) continue;
    for (const [name, { createdAt }] of Object.entries(present)) {
      const life = `${entity.value} ${name} since ${stateOf(entity, revision).categories.get(name)?.born}`;
      times.set(life, (times.get(life) ?? new Set()).add(createdAt));
    }
  }
  expect([...times].filter(([, { size }]) => size > 1)).toEqual([]);
  expect(times.size).toBeGreaterThanOrEqual(ENTITIES.length * CATEGORIES.length);
});

test("if_revision lets a write through at that very revision only", () => {
  const taken = work.guarded.filter(({ revision }) => revision !== null);
  expect(taken.filter(({ expected, revision }) => revision !== expected + 1)).toEqual([]);
  expect(taken.length).toBeGreaterThan(0);
  expect(work.guarded.length).toBeGreaterThan(taken.length);
});

function isApplied({ outcome }: Told): boolean {
  return outcome === "applied" || outcome === "deleted";
}

function appliedTo(entity: EntityRef): Told[] {
  return work.told
    .filter((one) => one.entity === entity && isApplied(one))
    .sort((a, b) => a.revision - b.revision);
}

const stories = new Map<EntityRef, Entity[]>();

/** The entity as it was at a revision, by the model. */
function stateOf(entity: EntityRef, revision: number): Entity {
  let story = stories.get(entity);
  if (!story) {
    story = [NEW_ENTITY];
    for (const { change } of appliedTo(entity)) {
      const base = story.at(-1) ?? NEW_ENTITY;
      story.push({ ...applyChange(base, change, nowAt(base)).next, revision: base.revision + 1 });
    }
    stories.set(entity, story);
  }
  const state = story[revision];
  if (!state) throw new Error(`nobody was told of revision ${revision} of ${entity.value}`);
  return state;
}

/** The store's own times follow the revisions, and all lie on the same side of each time that a client names. */
function nowAt({ revision }: Entity): number {
  return STARTED_MICROS + revision + 1;
}

function valuesOf(features: ReadonlyMap<string, { value: string }>): Record<string, string> {
  return Object.fromEntries([...features].map(([name, { value }]) => [name, value]));
}

/** Reads that break their promise. A 404 keeps it where, since then, there was a revision without these categories. */
function tooOld(consistency: Seen["consistency"]): Seen[] {
  const reads = work.seen.filter((read) => read.consistency === consistency);
  expect(reads.length).toBeGreaterThan(50);
  const old = reads.filter(({ entity, revision, atLeast, absent }) => {
    if (revision !== null) return revision < atLeast;
    const count = work.known(entity) - atLeast + 1;
    const since = Array.from({ length: count }, (_, i) => stateOf(entity, atLeast + i));
    return !since.some(({ categories }) => absent.every((name) => !categories.has(name)));
  });
  return old.slice(0, 3);
}

/** Equal, whatever the order of keys and entries. */
function isSame(a: unknown[], b: unknown[]): boolean {
  const canonical = (entries: unknown[]) =>
    entries
      .map((entry) => JSON.stringify(entry, (_, value) => (isObject(value) ? sorted(value) : value)))
      .sort();
  return `${canonical(a)}` === `${canonical(b)}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function sorted(object: Record<string, unknown>) {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));
}
