/**
 * Five times the service dies of `kill -9` while 16 clients write, and is started again on the same state. The local
 * queue dies with it, so every event that was on its way has to come out of an intent again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endServices, newDirectory, type Service, startService } from "../setup/service.ts";
import { CATEGORIES, CrashWriters, ENTITIES, readCategory, valuesOf } from "./crash-writers.ts";
import { SavedState } from "./state-files.ts";

const ROUNDS = 5;
const OWED_MS = 60_000;

type HistoryRow = { entity: string; category: string; revision: number; data: string; event_id: string };
type CurrentRow = Omit<HistoryRow, "event_id">;

const state = newDirectory();
const writers = new CrashWriters();
const { acknowledged, faults, figures } = writers;
const services: Service[] = [];

let copies: { entity: string; source: string | undefined; shown: unknown; stored: unknown }[];
let current: CurrentRow[];
let history: HistoryRow[];
let historyByEvent: Map<string, HistoryRow>;
let deliveries: { id: string; said: string }[];
/** Events still owed: when the process after the last kill had its time, and in the end. */
let owed: { afterKill: string[]; inTheEnd: string[] };

beforeAll(async () => {
  let service = await start([]);
  let afterKill: string[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    await writers.writeUntilKilled(service, { round, afterMs: 400 + 200 * round });
    service = await start(["--no-build"]);
    // After the last kill nobody writes for a while: what is owed must come without being asked for.
    if (round === ROUNDS) {
      afterKill = await waitForOwed();
      copies = await readCopies(service);
    }
    await writers.checkTokens(service);
    await writers.checkEverything(service);
    await writers.sendAgain(service);
  }
  owed = { afterKill, inTheEnd: await waitForOwed() };
  await service.kill();
  const columns = "category, revision, data";
  const saved = new SavedState(state);
  history = saved.queryD1(`SELECT entity_value AS entity, ${columns}, event_id FROM feature_history`);
  current = saved.queryD1(`SELECT bright_uid AS entity, ${columns} FROM bright_uid`);
  saved.close();
  historyByEvent = new Map(history.map((row) => [row.event_id, row]));
  deliveries = readDeliveries();
  const { unanswered, sentAgain, replayed, seconds } = figures;
  console.log(
    `${ROUNDS} rounds: ${acknowledged.size} writes acknowledged (${Math.round(acknowledged.size / seconds)}/s), ${unanswered} requests without an answer, ${sentAgain} of them sent again, ${replayed} answers replayed, ${history.length} events, ${deliveries.length} deliveries`,
  );
}, 240_000);
afterAll(endServices);

test("while it lives the service refuses no write, also soon after a kill", () => {
  expect(faults.refused.slice(0, 5)).toEqual([]);
  expect(figures.unanswered).toBeGreaterThan(ROUNDS);
});

test("after a kill no acknowledged write is lost", () => {
  expect(faults.lost.slice(0, 5)).toEqual([]);
  const keyOf = (entity: string, category: string, revision: number) => `${entity} ${category} ${revision}`;
  const kept = new Map(
    history.map(({ entity, category, revision, data }) => [keyOf(entity, category, revision), data]),
  );
  const lost = [...acknowledged.values()].filter(({ id, entity, revision }) =>
    CATEGORIES.some(
      (category) => kept.get(keyOf(entity, category, revision)) !== JSON.stringify(valuesOf(id, category)),
    ),
  );
  expect(lost.slice(0, 5)).toEqual([]);
});

test("a read with a write's token is never older than that write, in a process that has not seen it either", () => {
  expect(faults.stale.slice(0, 5)).toEqual([]);
});

test("no write is half done: its categories share one revision, in every read and in the database", () => {
  expect(faults.halfDone.slice(0, 5)).toEqual([]);
  const isWhole = (rows: CurrentRow[]) =>
    `${rows.map(({ category }) => category).sort()}` === `${[...CATEGORIES].sort()}` &&
    new Set(rows.map(idOf)).size === 1;
  const writes = Map.groupBy(history, ({ entity, revision }) => `${entity} ${revision}`);
  expect([...writes].filter(([, rows]) => !isWhole(rows)).slice(0, 5)).toEqual([]);
  for (const entity of ENTITIES) {
    const rows = current.filter((row) => row.entity === entity);
    const newest = revisionsOf(entity).at(-1);
    expect(
      rows.map(({ revision }) => revision),
      entity,
    ).toEqual(CATEGORIES.map(() => newest));
    expect(isWhole(rows), entity).toBe(true);
  }
});

test("the revisions of an entity have no gap, and none is acknowledged twice", () => {
  for (const entity of ENTITIES) {
    expect(revisionsOf(entity), entity).toEqual(revisionsOf(entity).map((_, i) => i + 1));
  }
  const taken = new Set([...acknowledged.values()].map(({ entity, revision }) => `${entity} ${revision}`));
  expect(taken.size).toBe(acknowledged.size);
});

test("no request is applied twice: sent again with its Idempotency-Key, it has the first answer", () => {
  expect(faults.repeated.slice(0, 5)).toEqual([]);
  expect(figures.sentAgain).toBeGreaterThan(0);
  expect(figures.replayed).toBeGreaterThan(figures.sentAgain);
  const byWrite = Map.groupBy(history, idOf);
  const twice = [...byWrite].filter(([, rows]) => new Set(rows.map(({ revision }) => revision)).size > 1);
  expect(twice.slice(0, 5)).toEqual([]);
});

test("the event of every committed write is delivered, and no other", () => {
  const delivered = new Set(deliveries.map(({ id }) => id));
  expect(historyByEvent.size, "event ids").toBe(history.length);
  expect(history.filter(({ event_id: id }) => !delivered.has(id)).slice(0, 5)).toEqual([]);
  expect([...delivered].filter((id) => !historyByEvent.has(id)).slice(0, 5)).toEqual([]);
});

test("an event that is delivered again is the same event", () => {
  const different = deliveries.filter(({ id, said }) => {
    const { category, revision } = historyByEvent.get(id) ?? {};
    const fields = `entity_type=bright_uid resource_name=${category} revision=${revision} feature_count=3`;
    return said !== `tenant_id=default ${fields}`;
  });
  expect(different.slice(0, 5)).toEqual([]);
  expect(deliveries.length).toBeGreaterThan(historyByEvent.size);
});

// The local queue keeps the order in which it was given the events; the platform's does not.
test("the events of an entity are first sent in the order of its revisions", () => {
  const reached = new Map<string, number>();
  const late: string[] = [];
  for (const id of new Set(deliveries.map((delivery) => delivery.id))) {
    const { entity = "", revision = 0 } = historyByEvent.get(id) ?? {};
    const highest = reached.get(entity) ?? 0;
    if (revision < highest) late.push(`${entity}: ${revision} after ${highest}`);
    reached.set(entity, Math.max(revision, highest));
  }
  expect(late.slice(0, 5)).toEqual([]);
});

test("a new process pays what the dead one owed without being asked, and then no committed write has an intent", () => {
  expect(owed.afterKill.slice(0, 5)).toEqual([]);
  expect(owed.inTheEnd.slice(0, 5)).toEqual([]);
});

test("after a kill the hot cache comes to show what the database holds", () => {
  expect(copies.filter(({ shown, stored }) => JSON.stringify(shown) !== JSON.stringify(stored))).toEqual([]);
  expect(new Set(copies.map(({ source }) => source))).toContain("kv");
});

async function start(args: string[]): Promise<Service> {
  const service = await startService({ command: "serve", state, args });
  services.push(service);
  return service;
}

/**
 * Waits until no committed write has an intent; returns the events of those that still have one when time is over.
 * The intents of writes that never happened stay for a minute, in case the database is late; so long no test should
 * take.
 */
async function waitForOwed(): Promise<string[]> {
  const saved = new SavedState(state);
  const giveUpMs = Date.now() + OWED_MS;
  try {
    for (;;) {
      const rows = saved.queryD1<{ id: string }>("SELECT event_id AS id FROM feature_history");
      const committed = new Set(rows.map(({ id }) => id));
      const left = saved.intendedEventIds().filter((id) => committed.has(id));
      if (left.length === 0 || Date.now() > giveUpMs) return left;
      await sleep(100);
    }
  } finally {
    saved.close();
  }
}

/** What a new process, which remembers nothing, reads from its caches, and what the database has. */
function readCopies(service: Service): Promise<typeof copies> {
  return Promise.all(
    ENTITIES.map(async (entity) => {
      const edge = await readCategory(service, entity, "profile");
      const strong = await readCategory(service, entity, "profile", { consistency: "strong" });
      const shown = [edge?.revision, edge?.features];
      return { entity, source: edge?.source, shown, stored: [strong?.revision, strong?.features] };
    }),
  );
}

/** What the consumers of all processes have said of events, in the order in which they did. */
function readDeliveries(): typeof deliveries {
  const line = /feature available event_id=(\S+) (.*) attempts=\d+$/gm;
  return services.flatMap((service) =>
    [...service.output().matchAll(line)].map(([, id = "", said = ""]) => ({ id, said })),
  );
}

function revisionsOf(entity: string): number[] {
  const rows = history.filter((row) => row.entity === entity);
  return [...new Set(rows.map(({ revision }) => revision))].sort((a, b) => a - b);
}

function idOf({ data }: { data: string }): string {
  return (JSON.parse(data) as { id: string }).id;
}
