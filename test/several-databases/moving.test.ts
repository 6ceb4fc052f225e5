/** Tenants that are spread over more databases while they are in use. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { below, randomOf } from "../../scripts/random.ts";
import { entityDatabases } from "../../worker/db/entity-databases.ts";
import { settings } from "../../worker/env.ts";
import { writerName } from "../../worker/keys.ts";
import { Log } from "../../worker/log.ts";
import { continueMove } from "../../worker/tenants/moving/continue-move.ts";
import { type Move, newMove } from "../../worker/tenants/moving/move.ts";
import { beginMove, findMove, updateMove } from "../../worker/tenants/moving/move-store.ts";
import { MovingWriters } from "../../worker/tenants/moving/moving-writers.ts";
import { nowMicros } from "../../worker/timestamps.ts";
import { MOVE_DRAIN_MS, MOVE_OPENING_MS } from "../../worker/timings.ts";
import { sleep } from "../../worker/waits.ts";
import { failAfter, failBefore, watched } from "../setup/faults.ts";
import { until } from "../setup/waiting.ts";
import { ask, production } from "../tenants/service.ts";
import {
  type Client,
  cleanNow,
  featureN,
  idsOf,
  LAYOUT,
  moveWhole,
  narrowTenant,
  newPlaceOf,
  placesOf,
  put,
  putAll,
  readAll,
  spread,
  TYPE,
} from "./moves.ts";

/** A move that comes to its last step, and no further, until the pauses of its writers are over; and then another. */
const abandoned = {
  ids: idsOf("given", 20),
  client: { tenant: "", key: "" },
  duringPause: { status: 0, text: "", headers: new Headers() },
  afterIt: 0,
  phase: "" as string | undefined,
};
const [moving = "", deleted = ""] = idsOf("given", 20).filter((id) => newPlaceOf(id) === 1);
/** Several moves at once, on a busy machine. */
const LONG_MS = 60_000;
/** More than are looked at at once. */
const OLD_ROWS = 1_500;

/** As if its time were over: after a restart a writer knows what stands in its own database. */
async function endPause(partition: number): Promise<void> {
  const writer = env.ENTITY_WRITER.getByName(writerName("given-up", LAYOUT.partitions, partition));
  await runInDurableObject(
    writer,
    (_, state) => void state.storage.sql.exec("UPDATE move SET paused_until = 1"),
  );
  await evictDurableObject(writer);
}

async function abandonAndMove(): Promise<void> {
  const client = await narrowTenant("given-up");
  await putAll(client, abandoned.ids, () => ({ n: 1 }));
  const yesterday = (Date.now() - 86_400_000) * 1_000;
  await env.DB.prepare(
    `INSERT INTO feature_history (tenant_id, entity_type, entity_value, category, event_time, revision, mode, data, ingested_at)
     SELECT 'given-up', ?1, ?2, 'c', value, 1, 'replace', '{"n":0}', value FROM json_each(?3)`,
  )
    .bind(TYPE, moving, JSON.stringify(Array.from({ length: OLD_ROWS }, (_, i) => yesterday + i)))
    .run();
  // It comes to its last step, and no further.
  let isPaused = false;
  const dying = watched({
    database: async (call, run) => {
      const isLast = call.sql.some((text) => text.includes("UPDATE tenants SET databases"));
      isPaused ||= isLast;
      return isLast ? failBefore() : run();
    },
  });
  while (!isPaused) await spread("given-up", {}, { ...dying.env, ENVIRONMENT: "production" });
  abandoned.duringPause = await put(client, moving, { n: 2 });
  for (let partition = 0; partition < LAYOUT.partitions; partition++) await endPause(partition);
  abandoned.afterIt = (await put(client, moving, { n: 3 })).status;
  await ask(`DELETE /api/v1/entities/${TYPE}/${deleted}`, { key: client.key });
  abandoned.phase = (await findMove(env.DB, "given-up"))?.move?.phase;
  abandoned.client = client;
  expect(await moveWhole("given-up")).toMatchObject({ databases: 3 });
}

/** Asks for the move until its writers have paused, or could not. @returns in which phase it is then. */
async function moveUntilPause(tenant: string, own: Env = production): Promise<string | undefined> {
  for (;;) {
    const { body } = await spread(tenant, {}, own);
    const move = (await findMove(env.DB, tenant))?.move;
    const isBefore = ["clearing", "copying", "following"].includes(move?.phase ?? "");
    if (!isBefore || (move?.pauseFromMs ?? 0) > 0) return body.move?.phase;
  }
}

/** Whose queue keeps what it has taken. */
const durable: Env = { ...production, QUEUE_STORAGE: "durable" };

/** A move that finds a writer whose events the local queue has not brought to their consumer yet. */
const waiting = { phases: new Set<string | undefined>(), answered: "" as string | undefined };

async function moveWhileWaiting(): Promise<void> {
  const client = await narrowTenant("waiting");
  await putAll(client, abandoned.ids, () => ({ n: 1 }));
  const writer = env.ENTITY_WRITER.getByName(writerName("waiting", LAYOUT.partitions, 0));
  const inStorage = (sql: string) =>
    runInDurableObject(writer, (_, { storage }) => void storage.sql.exec(sql));
  await inStorage(`INSERT INTO intents (seq, body) VALUES (1000000, '{"entities":[]}')`);
  const phase = async () => (await findMove(env.DB, "waiting"))?.move?.phase;
  const isMoving = moveUntilPause("waiting");
  await until("no write is taken", async () => (await phase()) === "paused", LONG_MS);
  for (const untilMs = Date.now() + MOVE_DRAIN_MS + 2_000; Date.now() < untilMs; await sleep(100))
    waiting.phases.add(await phase());
  await inStorage("DELETE FROM intents WHERE seq = 1000000");
  waiting.answered = await isMoving;
}

/** A move that finds a writer which owes something that nobody takes from it. */
const owing = { during: 0, after: 0, phases: [] as (string | undefined)[] };

async function moveWhileOwing(): Promise<void> {
  const client = await narrowTenant("owing");
  await putAll(client, abandoned.ids, () => ({ n: 1 }));
  const writer = env.ENTITY_WRITER.getByName(writerName("owing", LAYOUT.partitions, 0));
  const inStorage = (sql: string) =>
    runInDurableObject(writer, (_, { storage }) => void storage.sql.exec(sql));
  await inStorage(`INSERT INTO intents (seq, body) VALUES (1000000, '{"entities":[]}')`);
  const phase = async () => (await findMove(env.DB, "owing"))?.move?.phase;
  const isMoving = moveUntilPause("owing", durable);
  await until("no write is taken", async () => (await phase()) === "paused", LONG_MS);
  await until("a write is refused", async () => {
    owing.during = (await put(client, moving, { n: 2 })).status;
    return owing.during === 503;
  });
  await isMoving;
  while ((await phase()) === "paused") await spread("owing", {}, durable);
  owing.phases.push(await phase());
  await until("a write is taken", async () => {
    owing.after = (await put(client, moving, { n: 3 })).status;
    return owing.after === 200;
  });
  await inStorage("DELETE FROM intents WHERE seq = 1000000");
  const found = await findMove(env.DB, "owing");
  if (!found?.move || found.text === null) throw new Error("the move is gone");
  await updateMove(env.DB, "owing", { text: found.text, move: { ...found.move, pauseFromMs: 0 } });
  expect(await moveWhole("owing")).toMatchObject({ databases: 3 });
  expect((await readAll(client, [moving])).map(featureN)).toEqual([3]);
}

const QUIET = { level: "ERROR", readable: false } as const;
const CLIENTS = 8;
const ENTITIES = 8;
let client: Client;
let isOver = false;
const refused: number[] = [];
/** By entity: how many writes were acknowledged, the last value, null for a deletion. */
const acknowledged = new Map<string, { value: number | null; revision: number }>();

/** As through an isolate of its own, which knows nothing yet. */
const elsewhere = (): Client => ({ ...client, env: { ...production } });

async function writeUntilOver(number: number): Promise<void> {
  const random = randomOf(number + 1);
  const own = idsOf(`busy-${number}`, ENTITIES);
  for (let n = 1; !isOver; n++) {
    const id = own[below(random, ENTITIES)] ?? "";
    const before = acknowledged.get(id);
    const isDeletion = before !== undefined && before.value !== null && random() < 0.1;
    const answer = isDeletion
      ? await ask(`DELETE /api/v1/entities/${TYPE}/${id}`, { key: client.key })
      : await put(elsewhere(), id, { n });
    if (answer.status === 503) {
      refused.push(Date.now());
      await sleep(100);
      // Not acknowledged is not "did not happen", but while a move is under way nothing fails half way here.
      continue;
    }
    expect(answer.status, answer.text).toBe(200);
    const { revision } = answer.json as unknown as { revision: number };
    // Nothing was lost in between, and nothing happened twice.
    expect(revision, id).toBe((before?.revision ?? 0) + 1);
    acknowledged.set(id, { value: isDeletion ? null : n, revision });
  }
}

async function readUntilOver(number: number): Promise<void> {
  const reader = elsewhere();
  const random = randomOf(number + 100);
  while (!isOver) {
    const ids = idsOf(`busy-${below(random, CLIENTS)}`, ENTITIES);
    const atLeast = ids.map((id) => acknowledged.get(id)?.revision ?? 0);
    const found = await readAll(reader, ids);
    for (const [i, { revision }] of found.entries()) {
      expect(revision, ids[i]).toBeGreaterThanOrEqual(atLeast[i] ?? 0);
    }
    await sleep(20);
  }
}

async function moveWhileBusy(): Promise<void> {
  client = await narrowTenant("busy");
  const load = [
    ...Array.from({ length: CLIENTS }, (_, i) => writeUntilOver(i)),
    ...Array.from({ length: 3 }, (_, i) => readUntilOver(i)),
  ];
  await sleep(500);
  // Every twentieth call of whoever moves the entities fails, before or after it was done.
  const random = randomOf(7);
  const failing = watched({
    database: (call, run) => {
      const isOfMove = call.sql.some((text) =>
        /tenant_moves|maintenance|feature_history|bright_uid/.test(text),
      );
      if (!isOfMove || random() > 0.05) return run();
      return random() < 0.5 ? failBefore() : failAfter(call, run);
    },
  });
  const all = Promise.all(load);
  const own: Env = { ...failing.env, ENVIRONMENT: "production", QUEUE_STORAGE: env.QUEUE_STORAGE };
  const moved = await Promise.race([moveWhole("busy", own), all]);
  expect(moved).toMatchObject({ databases: 3 });
  await sleep(1_000);
  isOver = true;
  await all;
}

// Both at once: each move waits until every isolate would have learnt of it.
beforeAll(async () => {
  await Promise.all([moveWhileBusy(), abandonAndMove(), moveWhileOwing(), moveWhileWaiting()]);
});

describe("a tenant that is written, read and deleted from all the time", () => {
  test("has lost nothing, and did nothing twice", async () => {
    expect(acknowledged.size).toBe(CLIENTS * ENTITIES);
    const ids = [...acknowledged.keys()];
    const found = await readAll(client, ids);
    expect(found.map((read) => ({ value: featureN(read), revision: read.revision }))).toEqual(
      ids.map((id) => acknowledged.get(id)),
    );
  });

  test("has taken writes but for the last seconds", () => {
    expect(refused.length).toBeGreaterThan(0);
    const lasted = Math.max(...refused) - Math.min(...refused);
    expect(lasted).toBeLessThan(30_000);
  });

  test("has all rows where they belong, once what was left behind is removed", async () => {
    await cleanNow("busy");
    const { current, history } = await placesOf("busy");
    for (const [database, ids] of [...current.entries(), ...history.entries()]) {
      expect(ids.filter((id) => newPlaceOf(id) !== database)).toEqual([]);
    }
    expect(current.flat().toSorted()).toEqual([...acknowledged.keys()].toSorted());
    expect(await findMove(env.DB, "busy")).toEqual({ databases: 3, move: null, text: null });
  });
});

test("writers that do not come to an end of what they owe take writes again, and pause later", () => {
  expect(owing).toEqual({ during: 503, after: 200, phases: ["following"] });
});

test("where the queue is local they have longer for it, since their events take seconds to their consumer", () => {
  expect([...waiting.phases]).toEqual(["paused"]);
});

test("who asks for the move waits with them, and no longer", () => {
  expect(waiting.answered).toBe("opening");
});

describe("a move whose pause nobody renews", () => {
  test("does not happen: its writers take writes again", () => {
    const { duringPause, afterIt, phase } = abandoned;
    expect([duringPause.status, duringPause.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(duringPause.text).toContain("being spread over more databases");
    expect({ afterIt, phase }).toEqual({ afterIt: 200, phase: "following" });
  });

  test("is gone on with by the next one, with what was written meanwhile", async () => {
    const { client } = abandoned;
    expect((await readAll(client, [moving, deleted])).map(featureN)).toEqual([3, null]);
    const rowsOf = (id: string) =>
      entityDatabases(env)[1]
        ?.prepare(
          "SELECT count(*) AS n FROM feature_history WHERE tenant_id = 'given-up' AND entity_value = ?",
        )
        .bind(id)
        .first<number>("n");
    expect([await rowsOf(moving), await rowsOf(deleted)]).toEqual([OLD_ROWS + 2, 0]);
    expect((await put(client, moving, { n: 4 })).json).toMatchObject({ revision: 3 });
  });
});

describe("a move whose new databases are noted late", () => {
  test("opens no sooner after that: an isolate may have asked just before", async () => {
    await narrowTenant("late");
    let notedMs = 0;
    const slow = watched({
      database: async (call, run) => {
        if (!call.sql.some((text) => text.includes("UPDATE tenants SET databases"))) return run();
        await sleep(1_000);
        notedMs = Date.now();
        return failAfter(call, run);
      },
    });
    const found = async () => (await findMove(env.DB, "late"))?.move;
    while ((await found())?.phase !== "opening")
      await spread("late", {}, { ...slow.env, ENVIRONMENT: "production" });
    expect((await found())?.openAtMs).toBeGreaterThanOrEqual(notedMs + MOVE_OPENING_MS);
  });
});

describe("a move that has much to copy again", () => {
  test("breaks off when its time is over, and is not taken for done", async () => {
    const client = await narrowTenant("much");
    const slow = watched({
      database: async (call, run) => {
        if (call.sql.some((text) => text.includes("x.deleted_at"))) await sleep(400);
        return run();
      },
    });
    const context = { env: slow.env, settings: settings(env), log: new Log("test", QUIET), tenant: "much" };
    const begun = newMove(1, 3, LAYOUT.partitions);
    const writers = new MovingWriters(context, begun);
    await writers.watch(begun.run);
    await putAll(client, idsOf("much", 900), (i) => ({ n: i }));
    const move: Move = { ...begun, phase: "following", since: nowMicros() - 60_000_000 };
    await beginMove(env.DB, "much", move);
    const { move: after } = await continueMove(context, move, Date.now() + 500);
    expect(after?.phase).toBe("following");
    const left = (await writers.changed(900)).flatMap(({ changed }) => changed).length;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(900);
  });
});
