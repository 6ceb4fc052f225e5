/**
 * 64 clients write, delete and read 20 entities at the same time. Since every write that is applied answers the
 * entity's new revision, the clients together know all of each entity's story, and the checker tells it again.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkHistory, operationsByEntity } from "../crash/check.ts";
import { Clients } from "../crash/clients.ts";
import type { History } from "../crash/history.ts";
import { smallestOffending } from "../crash/offending.ts";
import { endServices, newDirectory, startService } from "../setup/service.ts";

const CLIENTS = 64;
const ENTITIES = 20;
const STEPS = 40;
const SEED = 20261101;

let clients: Clients;
let history: History;
beforeAll(async () => {
  const service = await startService({ command: "serve", state: newDirectory() });
  clients = new Clients({ clients: CLIENTS, entities: ENTITIES, errand: null });
  const life = { service, number: 1, isOver: false };
  const startedMs = Date.now();
  await clients.run(life, { seed: SEED, steps: STEPS });
  const seconds = (Date.now() - startedMs) / 1_000;
  await clients.readEverything(life);
  const nothing = { events: null, deliveries: null, tables: [], kept: null, sightings: [], places: null };
  history = { operations: clients.operations, refusals: clients.refusals, ...nothing };
  console.log(`${clients.operations.length} operations in ${seconds.toFixed(1)} s`);
});
afterAll(endServices);

test("no request of 64 clients is answered with an error, or not at all", () => {
  expect(clients.unexpected.slice(0, 5)).toEqual([]);
  expect(clients.figures.unanswered).toBe(0);
});

test("all writes and reads fit one order for each entity, and no session goes back", () => {
  const shown = checkHistory(history).map(({ rule, entity, detail }) => {
    return [rule, entity, detail, ...(smallestOffending(history, entity) ?? [])].join("\n");
  });
  expect(shown.slice(0, 5)).toEqual([]);
});

test("the revisions of an entity's applied writes are distinct and without a gap", () => {
  const byEntity = operationsByEntity(history);
  expect(byEntity.size).toBe(ENTITIES);
  for (const [entity, operations] of byEntity) {
    const applied = operations.flatMap(({ outcome }) => (outcome.kind === "applied" ? outcome.revision : []));
    const revisions = applied.sort((a, b) => a - b);
    expect(revisions, entity).toEqual(revisions.map((_, i) => i + 1));
    expect(revisions.length, `writes of ${entity}`).toBeGreaterThan(20);
  }
});

test("there was all that can happen", () => {
  const kinds = new Set(
    history.operations.map(({ action, outcome }) => {
      if (action.kind === "read") return `${action.consistency} ${outcome.kind}`;
      return `${action.change.kind}${action.ifRevision === null ? "" : " if_revision"} ${outcome.kind}`;
    }),
  );
  for (const kind of [
    "delete applied",
    "delete unchanged",
    "edge nothing",
    "edge seen",
    "session seen",
    "strong seen",
    "write applied",
    "write if_revision applied",
    "write if_revision refused",
    "write unchanged",
  ]) {
    expect(kinds).toContain(kind);
  }
});
