/** Rows that are older than their table keeps them. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { AgedRowsStore } from "../../worker/compute/aged-rows-store.ts";
import { Purger } from "../../worker/compute/purger.ts";
import { RawTableStore } from "../../worker/compute/raw-table-store.ts";
import { changeRawTable, findRawTable } from "../../worker/compute/registered-tables.ts";
import {
  MAX_OWN_FAULT_TRIES,
  MAX_RAW_ROWS,
  MAX_RETENTION_DAYS,
  PURGE_BLOCK_ROWS,
  PURGE_BLOCKS_PER_STEP,
} from "../../worker/limits.ts";
import {
  AGED_ROWS_ALARM_MAX_MS,
  AGED_ROWS_ALARM_MS,
  PURGE_RETRY_MS,
  REGISTRY_CHANGE_ALARM_MS,
} from "../../worker/timings.ts";
import { ask, expectProblem, faultPlaces, get, post } from "../setup/http.ts";
import { sleep, until } from "../setup/waiting.ts";
import {
  arrived,
  askWith,
  clockAhead,
  consume,
  ingestUnannounced,
  slowToAnswer,
  withoutQueue,
} from "./racing.ts";
import {
  alarm,
  COLUMNS,
  caughtUp,
  compute,
  evict,
  freshName,
  ingest,
  inside,
  newFeature,
  newTable,
  objectOf,
  streaming,
  type Table,
  TENANT,
  vectorOf,
} from "./tables.ts";

afterEach(() => vi.restoreAllMocks());

const DAY_MS = 86_400_000;
const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString();
const rowOf = (user_id: string, amount: number, days: number | null) => ({
  user_id,
  amount,
  at: days === null ? null : daysAgo(days),
});
const many = (count: number, days: number) =>
  Array.from({ length: count }, (_, i) => rowOf(`u${i % 7}`, i, days));

const kept = async (days: number, columns: Record<string, string> = COLUMNS) =>
  (await newTable(columns, { timestamp_column: "at", retention_days: days })) as Table;
const patch = (table: Pick<Table, "id">, retention_days: unknown) =>
  ask<Table>("PATCH", `/raw-tables/${table.id}`, { body: { retention_days } });
const countOf = async (table: Table) => (await get<Table>(`/raw-tables/${table.id}`)).body.row_count;
/** When a change of the registry must have been decided. */
const onceDecided = () => clockAhead(REGISTRY_CHANGE_ALARM_MS);
const alarmInMs = (table: Table) =>
  runInDurableObject(
    objectOf(table),
    async (_, { storage }) => ((await storage.getAlarm()) ?? 0) - Date.now(),
  );

/** As an object asks for its table. */
const registered = ({ tenant, tableId }: { tenant: string; tableId: number }) =>
  findRawTable(env.DB, tenant, tableId);

/** The table's rows, and what it has counted of them. */
async function numbersOf(table: Table) {
  const [counted] = await inside(table, "SELECT rows, longest_text FROM fs_numbers");
  const [there] = await inside(
    table,
    `SELECT count(*) AS rows, coalesce(max(max(octet_length(coalesce(user_id, '')), octet_length(coalesce(at, '')))), 0)
       AS longest_text FROM fs_rows`,
  );
  if (!counted || !there) throw new Error("impossible: an aggregate without a row");
  return { counted, there };
}

describe("registering", () => {
  test("answers how long rows are kept, null where they stay", async () => {
    const [table, other] = [await kept(1.5), await newTable()];
    expect(table.retention_days).toBe(1.5);
    const { body } = await get<Table>(`/raw-tables/${table.id}`);
    expect(body.retention_days).toBe(1.5);
    expect((await get<Table>(`/raw-tables/${other.id}`)).body.retention_days).toBeNull();
    const listed = await get<{ raw_tables: Table[] }>("/raw-tables");
    expect(listed.body.raw_tables.find(({ id }) => id === table.id)?.retention_days).toBe(1.5);
  });

  test("again with the same, or not named, is the table that is there; with another 409, which names it", async () => {
    const { name, id } = await kept(7);
    const asked = { name, schema_definition: COLUMNS, timestamp_column: "at" };
    for (const same of [{ ...asked, retention_days: 7 }, asked]) {
      const again = await post<Table>("/raw-tables", same);
      expect([again.status, again.body.id, again.body.retention_days]).toEqual([200, id, 7]);
    }
    for (const retention_days of [8, null]) {
      const places = faultPlaces(expectProblem(await post("/raw-tables", { ...asked, retention_days }), 409));
      expect(places).toEqual(["body.retention_days"]);
    }
  });

  test.each([0, -1, MAX_RETENTION_DAYS + 0.1, "7", true])("is 422 for %j days", async (days) => {
    const body = { name: freshName("bad"), schema_definition: COLUMNS, timestamp_column: "at" };
    const places = (answer: Parameters<typeof expectProblem>[0]) => faultPlaces(expectProblem(answer, 422));
    expect(places(await post("/raw-tables", { ...body, retention_days: days }))).toEqual([
      "body.retention_days",
    ]);
    expect(places(await patch(await newTable(), days))).toEqual(["body.retention_days"]);
  });

  test("needs a timestamp column, and says so", async () => {
    const body = { name: freshName("bad"), schema_definition: COLUMNS, retention_days: 7 };
    const timeless = await newTable(COLUMNS, {});
    for (const answer of [await post("/raw-tables", body), await patch(timeless, 7)]) {
      const { errors } = expectProblem(answer, 422);
      expect(errors).toMatchObject([
        { loc: ["body", "retention_days"], msg: expect.stringContaining("timestamp_column") },
      ]);
    }
    expect((await patch(timeless, null)).status).toBe(200);
  });
});

describe("changing it", () => {
  test("is answered with the table, also when it is taken away", async () => {
    const table = await newTable();
    expect((await patch(table, 30)).body).toEqual({ ...table, retention_days: 30 });
    expect((await patch(table, null)).body).toEqual({ ...table, retention_days: null });
    expectProblem(await ask("PATCH", `/raw-tables/${table.id}`, { body: {} }), 422);
    expectProblem(await patch({ id: 999999 }, 30), 404);
  });

  test("changes nothing else, and says so", async () => {
    const { id, name } = await kept(7);
    const more = { retention_days: 30, timestamp_column: "user_id", name: "other" };
    const answer = await ask("PATCH", `/raw-tables/${id}`, { body: more });
    expect(faultPlaces(expectProblem(answer, 422)).sort()).toEqual(["body.name", "body.timestamp_column"]);
    const { body } = await get<Table>(`/raw-tables/${id}`);
    expect([body.name, body.retention_days]).toEqual([name, 7]);
  });

  test("of a table with rows removes the old ones by its next alarm", async () => {
    const table = await newTable();
    await ingest(table, [...many(250, 10), rowOf("young", 1, 1)]);
    expect(await alarm(table)).toBe(false);
    await patch(table, 5);
    expect(await alarm(table)).toBe(true);
    expect(await countOf(table)).toBe(1);
  });

  test("is found out when its object hears no more of it, though an alarm rang before it was decided", async () => {
    const table = await newTable();
    await ingest(table, many(3, 10));
    await runInDurableObject(objectOf(table), (_, { storage }) => storage.setAlarm(Date.now() + 5_000));
    await objectOf(table).retentionChanges({ tenant: TENANT, tableId: table.id });
    expect(await alarm(table)).toBe(true);
    await changeRawTable(env.DB, { tenant: TENANT, tableId: table.id }, { retentionDays: 5 });
    expect(await alarmInMs(table)).toBeGreaterThan(30_000);
    expect(await alarm(table)).toBe(true);
    expect(await countOf(table)).toBe(0);
  });

  test("taking it away keeps what is there, and lets the table sleep", async () => {
    const table = await kept(5);
    await ingest(table, many(3, 10));
    await patch(table, null);
    onceDecided();
    await alarm(table);
    expect(await countOf(table)).toBe(3);
    expect(await alarm(table)).toBe(false);
    await ingest(table, many(1, 10));
    expect(await alarm(table)).toBe(false);
    expect(await inside(table, "SELECT name FROM sqlite_schema WHERE name = 'fs_blocks'")).toEqual([]);
  });

  test("ends a purge that goes by what was set before", async () => {
    const table = await kept(5);
    const purge = vi.fn(() => ({ visited: 1, removed: 1 }));
    const object = { env, registered, rowsHaveGone: () => {}, ensureAlarm: async () => {} };
    const purger = new Purger({ ...object, rows: () => ({ purge }) as never });
    const about = { tenant: TENANT, tableId: table.id };
    let steps = 0;
    for await (const _ of purger.steps(about)) {
      steps += 1;
      if (steps < 3) continue;
      await changeRawTable(env.DB, about, { retentionDays: null });
      purger.retentionChanges();
    }
    expect(steps).toBe(3);
  });
});

describe("the alarm", () => {
  test("removes old rows, those that were old when they came too; one without a time stays", async () => {
    const table = await kept(5);
    const rows = [
      rowOf("old", 1, 10),
      rowOf("young", 2, 4),
      rowOf("timeless", 3, null),
      rowOf("soon", 4, -400),
    ];
    expect((await ingest(table, rows)).body.row_count).toBe(4);
    expect(await alarmInMs(table)).toBeLessThanOrEqual(AGED_ROWS_ALARM_MS);
    expect(await alarm(table)).toBe(true);
    expect(await inside(table, "SELECT user_id FROM fs_rows")).toEqual([
      { user_id: "young" },
      { user_id: "timeless" },
      { user_id: "soon" },
    ]);
  });

  test("finds an old row that came after younger ones, and after one without a time", async () => {
    const table = await kept(5);
    for (const days of [null, 1, 10, null, 4]) {
      await ingest(table, [rowOf(`days_${days}`, 1, days)]);
      if (days === 1) await alarm(table);
    }
    await alarm(table);
    expect(await inside(table, "SELECT user_id FROM fs_rows")).toEqual(
      ["days_null", "days_1", "days_null", "days_4"].map((user_id) => ({ user_id })),
    );
  });

  test("comes for rows whose ingest had read the registry before they had a retention", async () => {
    const table = await newTable();
    await patch(table, 5);
    onceDecided();
    await alarm(table);
    expect(await alarm(table)).toBe(false);
    await ingestUnannounced(table, [], ["u"]);
    expect(await alarm(table)).toBe(true);
    expect(await countOf(table)).toBe(0);
  });

  test("comes again within a day while there are rows, and not without", async () => {
    const table = await kept(5);
    await ingest(table, many(1, 1));
    await alarm(table);
    expect(await alarmInMs(table)).toBeGreaterThan(AGED_ROWS_ALARM_MAX_MS - 60_000);
    const now = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => now() + 6 * DAY_MS);
    await alarm(table);
    expect(await countOf(table)).toBe(0);
    await alarm(table);
    expect(await alarm(table)).toBe(false);
  });

  const pad = (value: number, width = 2) => String(value).padStart(width, "0");
  /** Date and time of a zone, in its parts. */
  function inZone(ms: number, offsetMinutes: number) {
    const local = new Date(ms + offsetMinutes * 60_000);
    const iso = local.toISOString();
    const dayOfYear = Math.floor((local.getTime() - Date.UTC(local.getUTCFullYear(), 0, 1)) / DAY_MS) + 1;
    return { date: iso.slice(0, 10), time: iso.slice(11, 19), year: iso.slice(0, 4), day: pad(dayOfYear, 3) };
  }
  test.each<[string, (ms: number) => string]>([
    ["UTC", (ms) => new Date(ms).toISOString()],
    ["a zone ahead", (ms) => `${inZone(ms, 840).date}T${inZone(ms, 840).time}+14:00`],
    ["a zone behind, with half an hour", (ms) => `${inZone(ms, -570).date} ${inZone(ms, -570).time},5-0930`],
    ["the basic form", (ms) => `${inZone(ms, 120).date}T${inZone(ms, 120).time}+02`.replace(/[-:]/g, "")],
    ["the day by its number", (ms) => `${inZone(ms, 0).year}-${inZone(ms, 0).day}t${inZone(ms, 0).time}z`],
    ["minutes alone", (ms) => `${inZone(ms, 0).date}T${inZone(ms, 0).time.slice(0, 5)}-00:00`],
  ])("knows how old a row is whose time is written in %s", async (_, written) => {
    const table = await kept(1);
    const at = (ms: number) => written(Date.now() - DAY_MS + ms);
    const rows = [
      { user_id: "old", amount: 1, at: at(-120_000) },
      { user_id: "young", amount: 1, at: at(600_000) },
    ];
    expect((await ingest(table, rows)).status).toBe(200);
    await alarm(table);
    expect(await inside(table, "SELECT user_id FROM fs_rows")).toEqual([{ user_id: "young" }]);
  });

  test("keeps the numbers of the table, and they outlast its object", async () => {
    const table = await kept(5);
    const data = [...many(150, 10), rowOf("long".repeat(100), 1, 10), rowOf("middle".repeat(10), 1, 1)];
    await ingest(table, data);
    await ingest(table, many(120, 1));
    await alarm(table);
    for (const look of [async () => {}, evict]) {
      await look(table);
      expect(await countOf(table)).toBe(121);
      const { counted, there } = await numbersOf(table);
      expect(counted).toEqual(there);
      expect(counted).toEqual({ rows: 121, longest_text: 60 });
    }
    const { text } = await ingest(table, many(1, 1));
    expect(text).toContain('"row_count":122');
  });

  test("knows the longest text of a table of as many columns as may be", async () => {
    const names = Array.from({ length: 89 }, (_, i) => `c${i}`);
    const table = await kept(5, {
      ...Object.fromEntries(names.map((name) => [name, "string"])),
      at: "timestamp",
    });
    const wide = (days: number, longest: number) => ({
      ...Object.fromEntries(names.map((name, i) => [name, i === 70 ? "é".repeat(longest) : null])),
      at: daysAgo(days),
    });
    await ingest(table, [wide(10, 300), wide(1, 100)]);
    await alarm(table);
    expect(await inside(table, "SELECT rows, longest_text FROM fs_numbers")).toEqual([
      { rows: 1, longest_text: 200 },
    ]);
  });

  describe("that has removed rows over which a streaming feature failed", () => {
    /** With an entity for which it fails until the older of its two rows is gone, and nobody who has tried. */
    async function failing() {
      const table = await kept(5);
      const computation_logic = "SELECT user_id, amount FROM data";
      const { name } = await streaming(table, { computation_logic });
      const entity = freshName("e");
      const data = [rowOf(entity, 1, 10), rowOf(entity, 2, 1)];
      await askWith(withoutQueue().own, "POST", "/ingest", { raw_table_id: table.id, data });
      return { table, vectorNow: () => vectorOf(entity, name) };
    }
    /** As the queue brings a message for the last time. */
    const lastTry = (table: Table, own: Env = env) => consume([arrived(table)], own, MAX_OWN_FAULT_TRIES);

    test("has it tried once more", async () => {
      const { table, vectorNow } = await failing();
      await lastTry(table);
      expect(await inside(table, "SELECT parked FROM fs_followers")).toEqual([{ parked: 1 }]);
      await alarm(table);
      await until("it is computed", async () => (await vectorNow()) !== null);
      expect(await vectorNow()).toEqual({ amount: 2 });
    });

    test("has it tried once more, though it fails only after them", async () => {
      const { table, vectorNow } = await failing();
      const { slow, reached, open } = slowToAnswer();
      const tried = lastTry(table, slow);
      await reached;
      await alarm(table);
      // Until the message of the alarm has found somebody at it.
      await sleep(1_000);
      open();
      await tried;
      expect(await vectorNow()).toBeNull();
      await alarm(table);
      await until("it is computed", async () => (await vectorNow()) !== null);
    });
  });

  test("has another one set before anything is removed, should it die", async () => {
    const table = await kept(5);
    const purge = vi.fn(() => ({ visited: 0, removed: 0 }));
    const rows = { begin: () => {}, isAnyBefore: () => true, isEmpty: () => true, purge };
    const ensureAlarm = vi.fn(async () => {});
    const purger = new Purger({
      env,
      registered,
      rows: () => rows as never,
      rowsHaveGone: () => {},
      ensureAlarm,
    });
    await purger.byAlarm({ tenant: TENANT, tableId: table.id }, { retentionDays: 5 });
    expect(ensureAlarm).toHaveBeenCalledBefore(purge);
    expect(ensureAlarm).toHaveBeenCalledWith(PURGE_RETRY_MS);
  });

  test("removes all or nothing in a step", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const table = await kept(5);
    await ingest(table, many(3 * PURGE_BLOCK_ROWS, 10));
    await inside(
      table,
      `CREATE TRIGGER broken BEFORE DELETE ON fs_rows WHEN old.amount = ${2 * PURGE_BLOCK_ROWS}
       BEGIN SELECT raise(ABORT, 'the disk is full'); END`,
    );
    await alarm(table);
    const { counted, there } = await numbersOf(table);
    expect([counted, there.rows]).toEqual([there, 3 * PURGE_BLOCK_ROWS]);
    await inside(table, "DROP TRIGGER broken");
    expect(await alarm(table)).toBe(true);
    expect(await countOf(table)).toBe(0);
  });

  const STEP_ROWS = PURGE_BLOCK_ROWS * PURGE_BLOCKS_PER_STEP;
  test("that dies between two steps goes on where it was", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const table = await newTable();
    for (let i = 0; i < 3; i++) await ingest(table, many(STEP_ROWS, i === 1 ? 1 : 10));
    await patch(table, 5);
    const real = AgedRowsStore.prototype.purge;
    let steps = 0;
    const spied = vi.spyOn(AgedRowsStore.prototype, "purge").mockImplementation(function (
      this: AgedRowsStore,
      ...asked
    ) {
      if (++steps > 1) throw new Error("the process is gone");
      return real.apply(this, asked);
    });
    await alarm(table);
    expect(steps).toBe(2);
    await evict(table);
    spied.mockRestore();
    const between = await numbersOf(table);
    expect(between.counted).toEqual(between.there);
    // The first block has no row 0.
    expect(await countOf(table)).toBe(2 * STEP_ROWS + 1);
    expect(await alarm(table)).toBe(true);
    const { counted, there } = await numbersOf(table);
    expect([counted, await countOf(table)]).toEqual([there, STEP_ROWS]);
  });
});

describe("an ingest into a full table", () => {
  /** As if so many rows more were there. */
  const fillUp = (table: Table, room: number) =>
    inside(table, `UPDATE fs_numbers SET rows = ${MAX_RAW_ROWS - room}`);

  test("has the room of old rows, which go first", async () => {
    const table = await newTable();
    await ingest(table, [...many(120, 10), ...many(5, 1)]);
    await fillUp(table, 1);
    const before = await ingest(table, many(2, 1));
    expect(expectProblem(before, 409).detail).toContain("is full");
    await patch(table, 5);
    const after = await ingest(table, many(2, 1));
    expect(after.body.row_count).toBe(MAX_RAW_ROWS - 1 - 120 + 2);
    expect(await inside(table, "SELECT count(*) AS n FROM fs_rows")).toEqual([{ n: 7 }]);
  });

  test("has it in bytes too", async () => {
    const table = await kept(5);
    await ingest(table, many(5_000, 10));
    await ingest(table, many(5, 1));
    const real = RawTableStore.prototype.ingest;
    vi.spyOn(RawTableStore.prototype, "ingest").mockImplementation(function (this: RawTableStore, request) {
      return real.call(this, request, { rows: MAX_RAW_ROWS, bytes: 200_000 });
    });
    expect((await ingest(table, many(1, 1))).body.row_count).toBe(6);
    expect((await get<Table>(`/raw-tables/${table.id}`)).body.size_bytes).toBeLessThan(200_000);
  });

  test("is refused where none is old enough, and removes nothing", async () => {
    const table = await kept(5);
    await ingest(table, many(3, 1));
    await fillUp(table, 0);
    expectProblem(await ingest(table, many(1, 10)), 409);
    expect(await inside(table, "SELECT count(*) AS n FROM fs_rows")).toEqual([{ n: 3 }]);
    // Not by what is to come in either.
    expectProblem(await ingest(table, many(1, 1)), 409);
  });

  test("that comes again with its key is answered as before, though its rows are gone", async () => {
    const table = await kept(5);
    const [key, rows] = [{ "Idempotency-Key": freshName("key") }, many(3, 10)];
    const first = await ingest(table, rows, key);
    await alarm(table);
    expect(await countOf(table)).toBe(0);
    const again = await ingest(table, rows, key);
    expect([again.status, again.body]).toEqual([200, first.body]);
    expect(await countOf(table)).toBe(0);
  });
});

describe("features", () => {
  test("keep their vectors, and are computed from what is left", async () => {
    const table = await kept(5);
    const [{ name }, followed] = [await newFeature(table), await streaming(table)];
    const [both, gone] = [freshName("e"), freshName("e")];
    await ingest(table, [rowOf(both, 1, 10), rowOf(both, 2, 1), rowOf(gone, 4, 10)]);
    await caughtUp(table);
    await compute(name);
    await alarm(table);
    for (const feature of [name, followed.name]) {
      expect(await vectorOf(both, feature)).toEqual({ total: 3, n: 2 });
      expect(await vectorOf(gone, feature)).toEqual({ total: 4, n: 1 });
    }
    expect((await compute(name)).body.computed).toBe(1);
    expect(await vectorOf(both, name)).toEqual({ total: 2, n: 1 });
    await ingest(table, [rowOf(both, 8, 0), rowOf(gone, 16, 0)]);
    await caughtUp(table);
    expect(await vectorOf(both, followed.name)).toEqual({ total: 10, n: 2 });
    expect(await vectorOf(gone, followed.name)).toEqual({ total: 16, n: 1 });
  });

  test("a computation from before a purge does not replace one from after it", async () => {
    const table = await kept(5);
    const { name } = await newFeature(table);
    const entity = freshName("e");
    await ingest(table, [rowOf(entity, 1, 10), rowOf(entity, 2, 1)]);
    const { slow, open, reached } = slowToAnswer();
    const earlier = askWith(slow, "POST", `/features/${name}/compute`);
    await reached;
    await alarm(table);
    expect((await compute(name)).body.computed).toBe(1);
    open();
    expect((await earlier).status).toBe(409);
    expect(await vectorOf(entity, name)).toEqual({ total: 2, n: 1 });
  });
});
