/** Tenants that are deleted with all that they have, in several databases. */
import {
  createExecutionContext,
  createMessageBatch,
  evictDurableObject,
  getQueueResult,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { rawTableObject } from "../../worker/compute/raw-table-access.ts";
import { entityDatabases } from "../../worker/db/entity-databases.ts";
import { settings } from "../../worker/env.ts";
import { eventOf } from "../../worker/events/feature-available.ts";
import { RETENTION_TASK } from "../../worker/history/retention.ts";
import worker from "../../worker/index.ts";
import { DELETED_AT_ONCE, DELETED_TABLES_AT_ONCE, MOVE_DELETED_ROWS } from "../../worker/limits.ts";
import { Log } from "../../worker/log.ts";
import { deletePiece } from "../../worker/tenants/deleting/continue-deletion.ts";
import { findDeletion } from "../../worker/tenants/deleting/deletion-store.ts";
import { TENANT_TABLES } from "../../worker/tenants/deleting/tenant-rows.ts";
import { newMove } from "../../worker/tenants/moving/move.ts";
import { beginMove } from "../../worker/tenants/moving/move-store.ts";
import { changeStatus } from "../../worker/tenants/tenant-store.ts";
import { writerOf } from "../../worker/writing/writer-access.ts";
import { everyCall, isInjected } from "../setup/every-call.ts";
import { InjectedFault } from "../setup/injected-fault.ts";
import { until } from "../setup/waiting.ts";
import { ask, production, setSpread, storedKey } from "../tenants/service.ts";
import {
  allWith,
  beginToDelete,
  comeLater,
  deleteNow,
  deleteWhole,
  LONG_MS,
  OF_MOST_KINDS,
  onlyTheId,
  rowsInEveryTable,
  rowsWith,
  runAlarmsOfTables,
  tablesOf,
  tenantWithData,
} from "./leaving.ts";

const TENANTS = "/api/v1/admin/tenants";
let root = "";
beforeAll(async () => {
  root = (await storedKey("default", ["admin"])).key;
});

/** Of what is removed by so many at once. */
async function moreThanOnePiece(tenant: string): Promise<void> {
  const upTo = (most: number) => JSON.stringify(Array.from({ length: most }, (_, i) => i));
  await entityDatabases(env)[1]
    ?.prepare(
      `INSERT INTO feature_history (tenant_id, entity_type, entity_value, category, event_time, revision, mode, data, ingested_at)
       SELECT ?1, 'bright_uid', ?1, 'c', value, 1, 'replace', '{}', 1 FROM json_each(?2)`,
    )
    .bind(tenant, upTo(MOVE_DELETED_ROWS + 1))
    .run();
  await env.DB.prepare(
    `INSERT INTO raw_tables (tenant_id, name, columns, created_at) SELECT ?1, ?1 || value, '[]', 1 FROM json_each(?2)`,
  )
    .bind(tenant, upTo(DELETED_TABLES_AT_ONCE + 1))
    .run();
  const documents = Array.from({ length: DELETED_AT_ONCE + 1 }, (_, i) => `${tenant}/doc/4/x/${i}`);
  await Promise.all(documents.map((key) => env.HOT.put(key, tenant)));
}

/** In rows that are nobody's, or of the administrators. */
async function namedElsewhere(tenant: string): Promise<void> {
  const place = [tenant, "bright_uid", `${tenant}_u1`, "c", 1, 1, 1];
  const progress = JSON.stringify({ place, rows: 10, isBegun: false });
  await env.DB.batch([
    env.DB.prepare("INSERT INTO maintenance VALUES ('move/' || ?, '', 1)").bind(tenant),
    env.DB.prepare("INSERT OR REPLACE INTO maintenance VALUES (?, ?, 1)").bind(RETENTION_TASK, progress),
    env.DB.prepare("INSERT INTO idempotency_records VALUES ('default', 'k', '', '', ?, ?)").bind(
      JSON.stringify({ tenantId: tenant, name: tenant }),
      Number.MAX_SAFE_INTEGER,
    ),
  ]);
}

describe("a tenant with data of every kind", () => {
  const leaver = /leaver(?!-2)/;
  let before: Awaited<ReturnType<typeof allWith>>;
  let stays: { rows: unknown[]; documents: string[]; files: string[] };
  let filled: string[];
  let sweeps = 0;

  const ofNeighbour = async () => {
    const { rows, documents, files } = await allWith(/leaver-2/);
    return { rows, documents, files };
  };

  beforeAll(async () => {
    await tenantWithData("leaver");
    // Its id begins with that of the one that goes.
    await tenantWithData("leaver-2", OF_MOST_KINDS);
    await until("documents are there", async () => (await allWith(/leaver-2/)).documents.length > 0);
    filled = await rowsInEveryTable("leaver");
    await moreThanOnePiece("leaver");
    await namedElsewhere("leaver");
    before = await allWith(leaver);
    stays = await ofNeighbour();
    expect(before.documents.length).toBeGreaterThan(DELETED_AT_ONCE + 1);
    await beginToDelete("leaver");
    sweeps = await deleteWhole("leaver");
  }, LONG_MS);

  test("has something everywhere", () => {
    expect(new Set(before.rows.map(({ table }) => table))).toEqual(
      new Set([...filled, "tenants", "maintenance"]),
    );
    expect(before.documents.length).toBeGreaterThan(0);
    expect(before.files.length).toBeGreaterThan(1);
    for (const kind of ["ENTITY_WRITER", "RAW_TABLE", "SUBSCRIBER", "FEATURE_STATS"])
      expect(before.objects.join("\n")).toContain(kind);
  });

  test("has nothing anywhere, in the end, but its id", async () => {
    expect(await allWith(leaver)).toEqual(onlyTheId("leaver"));
    expect(sweeps).toBeGreaterThan(1);
  });

  test("leaves what another tenant has as it is", async () => {
    expect(stays.rows.length).toBeGreaterThan(50);
    expect(await ofNeighbour()).toEqual(stays);
  });

  test("every table that the schema gives to tenants is swept, and no other has something of them", async () => {
    expect([...TENANT_TABLES, "raw_tables", "subscriptions"].toSorted()).toEqual(filled.toSorted());
    const others = (await tablesOf(env.DB)).filter((table) => !filled.includes(table));
    // Whoever adds a table here says in `tenant-rows.ts` what becomes of rows that name a tenant.
    expect(others.toSorted()).toEqual(["maintenance", "tenants"]);
  });

  test("gives its id to nobody, and its name to another", async () => {
    const again = await ask(`POST ${TENANTS}`, { key: root, body: { name: "x", tenant_id: "leaver" } });
    expect(again.status).toBe(409);
    const { status, json } = await ask(`POST ${TENANTS}`, { key: root, body: { name: "Leaver" } });
    expect(status).toBe(201);
    expect(json.tenant_id).toMatch(/^leaver-[0-9a-f]{16}$/);
    const { key } = await storedKey(json.tenant_id, ["read"]);
    const { text } = await ask("GET /api/v1/features", { key });
    expect(JSON.parse(text)).toEqual({ features: [], next_cursor: null });
  });
});

describe.each(["before", "after"] as const)("where each call fails once, %s it has run", (when) => {
  const tenant = `unlucky-${when}`;
  const failed: string[] = [];

  beforeAll(async () => {
    await tenantWithData(tenant, OF_MOST_KINDS);
    await beginToDelete(tenant);
    const faulty = everyCall(async (call, run) => {
      if (failed.includes(call)) return run();
      failed.push(call);
      if (when === "after") await run();
      throw new InjectedFault(call);
    });
    for (let isOver = false; !isOver; ) {
      try {
        await deleteWhole(tenant, faulty);
        isOver = true;
      } catch (cause) {
        expect(isInjected(cause), String(cause)).toBe(true);
      }
    }
    // One that was taken out of the registry, and not told.
    await runAlarmsOfTables();
  }, LONG_MS);

  test("nothing is left of the tenant all the same", async () => {
    expect(await allWith(new RegExp(tenant))).toEqual(onlyTheId(tenant));
  });

  test("each kind of call has failed", () => {
    const kinds = [
      /^drop writer /,
      /^drop subscriber /,
      /^drop stats /,
      /^expectChange table /,
      // One that has gone from the registry is told by its alarm.
      ...(when === "before" ? [/^drop table /] : []),
      /^batch 0/,
      /^batch 2/,
      /^list documents/,
      /^delete .*doc/,
      /^list files/,
      /^delete files/,
      /UPDATE maintenance/,
    ];
    for (const kind of kinds) expect(failed).toContainEqual(expect.stringMatching(kind));
  });
});

describe("what comes late", () => {
  const tenant = "lately";
  let client: Awaited<ReturnType<typeof tenantWithData>>;
  const write = (value: string) => {
    const feature_list = [{ category: "c", features: { n: `lately ${value}` } }];
    return ask("POST /api/v1/items/batch", {
      key: client.key,
      body: {
        metadata: { source: "prediction_service" },
        data: client.ids.map((entity_value) => ({ entity_type: "account_id", entity_value, feature_list })),
      },
    });
  };
  const found = () => allWith(/lately/);
  const statuses: number[] = [];
  let sweeps = 0;

  beforeAll(async () => {
    client = await tenantWithData(tenant, OF_MOST_KINDS);
    const { results } = await env.DB.prepare("SELECT * FROM account_id WHERE tenant_id = ? LIMIT 1")
      .bind(tenant)
      .all<Record<string, string | number | null>>();
    // This isolate has just seen the key, and goes on trusting it.
    statuses.push((await write("before")).status);
    await beginToDelete(tenant);
    statuses.push((await write("suspended")).status);
    expect(await deleteNow(tenant)).not.toBeNull();
    statuses.push((await write("removed")).status);
    // What D1 had been asked for before its writer was told.
    const [row = {}] = results;
    const columns = Object.keys(row);
    await env.DB.prepare(
      `INSERT INTO account_id (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
    )
      .bind(...columns.map((column) => row[column] ?? null))
      .run();
    await env.HOT.put(`${tenant}/doc/4/account_id/late`, "late");
    await env.ARCHIVE?.put(`${tenant}/history/late`, "late");
    await comeLater(tenant);
    sweeps = await deleteWhole(tenant);
  }, LONG_MS);

  test("a write is refused once its writer has been told, whoever trusts the key", () => {
    expect(statuses).toEqual([200, 200, 503]);
  });

  test("whatever a sweep finds, there is another after it", () => {
    expect(sweeps).toBe(2);
  });

  test("nothing of it stays", async () => {
    expect(await found()).toEqual(onlyTheId(tenant));
  });

  test("messages that are still under way find no tenant, and end", async () => {
    const event = eventOf(
      tenant,
      { entityType: "account_id", entityValue: "lately_u1" },
      {
        category: "c",
        eventId: crypto.randomUUID(),
        eventTime: 1,
        ingestedAt: 1,
        revision: 1,
        computeId: null,
        names: ["n"],
      },
    );
    const of = { tenant_id: tenant };
    const bodies = {
      "feature-availability": [[event]],
      "feature-compute": [
        { kind: "ingest", ...of, table_id: 1 },
        { kind: "job", ...of, table_id: 1, job_id: crypto.randomUUID() },
        { kind: "training_set", ...of, training_set_id: "ts_1" },
        { kind: "deletion", ...of, run: 1 },
      ],
    };
    for (const [queue, all] of Object.entries(bodies)) {
      const messages = all.map((body, i) => ({ id: `m${i}`, timestamp: new Date(), attempts: 1, body }));
      const batch = createMessageBatch(queue, messages);
      const ctx = createExecutionContext();
      await worker.queue(batch, { ...env, QUEUE_STORAGE: "memory" }, ctx);
      const { explicitAcks } = await getQueueResult(batch, ctx);
      expect(explicitAcks).toEqual(messages.map(({ id }) => id));
    }
    expect(await found()).toEqual(onlyTheId(tenant));
  });

  test("a sweep comes by each document once, though KV goes on listing it", async () => {
    const { tenantId } = await tenantWithData("listed", []);
    const keys = Array.from({ length: DELETED_AT_ONCE + 1 }, (_, i) => `${tenantId}/doc/4/x/${i}`);
    await Promise.all(keys.map((key) => env.HOT.put(key, "x")));
    const deleted: string[] = [];
    const HOT = new Proxy(env.HOT, {
      get(real, name) {
        if (name === "delete") return async (key: string) => void deleted.push(key);
        const value: unknown = Reflect.get(real, name);
        return typeof value === "function" ? value.bind(real) : value;
      },
    });
    await beginToDelete(tenantId);
    await deleteNow(tenantId, { ...env, HOT }, 5_000);
    expect(deleted.filter((key) => keys.includes(key)).toSorted()).toEqual(keys.toSorted());
    await comeLater(tenantId);
    await deleteWhole(tenantId);
    expect(await allWith(/listed/)).toEqual(onlyTheId(tenantId));
  });

  test("a message whose turn it is not does nothing", async () => {
    const { tenantId } = await tenantWithData("in-turn", []);
    await beginToDelete(tenantId);
    const own = { env, settings: settings(env), log: new Log("test", { level: "ERROR", readable: false }) };
    const before = await findDeletion(env.DB, tenantId);
    await deletePiece(own, { kind: "deletion", tenant_id: tenantId, run: 7 });
    expect(await findDeletion(env.DB, tenantId)).toEqual(before);
  });

  test("a computation that comes late keeps no answer, and no rows for long", async () => {
    const object = rawTableObject(env, tenant, { tableId: 77, objectNonce: null });
    await object.drop();
    await object.keepAnswer({ key: "lately", fingerprint: "f" }, "lately");
    expect(await found()).toEqual(onlyTheId(tenant));
    const kept = await object.compute({
      schema: { columns: [["user_id", "string"]], timestampColumn: null },
      sql: "SELECT user_id, 1 AS n FROM data",
      entityKey: "user_id",
      source: { kind: "given", parts: ['[["lately"]]'], count: 1, longestText: 6 },
      job: { jobId: crypto.randomUUID(), moreThan: 0, table: { tenant, tableId: 77 } },
    });
    expect(kept.kind).toBe("kept");
    await runAlarmsOfTables();
    expect(await found()).toEqual(onlyTheId(tenant));
  });

  test("a writer that is told again, or asked for anything, keeps nothing", async () => {
    const layout = { databases: 3, partitions: settings(env).writerPartitions };
    const { writer, identity } = writerOf({ env, settings: settings(env), tenant }, 0, layout);
    const refs = [{ entityType: "account_id", entityValue: "lately-1" }];
    await writer.fill(identity, refs);
    await writer.confirm(identity, ["lately"]);
    await evictDurableObject(writer);
    expect(await writer.change(identity, { rows: [], positions: [], idempotency: null })).toEqual({
      kind: "unavailable",
    });
    expect(await found()).toEqual(onlyTheId(tenant));
  });
});

describe("where a database of the tenant is not bound", () => {
  /** The first alone. */
  const fewer = Object.fromEntries(
    Object.entries(production).filter(([name]) => !/^DB_\d$/.test(name)),
  ) as unknown as Env;
  const remove = (tenant: string) =>
    ask(`DELETE ${TENANTS}/${tenant}?name=${encodeURIComponent(`Of ${tenant}`)}`, { key: root, env: fewer });

  test.each<[string, number, number | null]>([
    ["that it has", 3, null],
    ["into which it was being moved", 1, 3],
  ])("one %s: its deletion is not begun, does not go on, and says so", async (what, databases, to) => {
    const tenant = `unbound-${databases}`;
    await tenantWithData(tenant, []);
    await setSpread(tenant, databases);
    if (to !== null) await beginMove(env.DB, tenant, newMove(databases, to, 4));
    const found = () => rowsWith(new RegExp(tenant));
    await changeStatus(env.DB, tenant, "suspended");
    const before = await found();
    expect(before.length).toBeGreaterThan(60);
    const refused = await remove(tenant);
    expect([refused.status, refused.json.detail], what).toEqual([
      503,
      "the entities of this tenant are in 3 databases, of which 1 are bound",
    ]);
    expect(await found()).toEqual(before);
    await beginToDelete(tenant);
    const begun = await found();
    await expect(deleteNow(tenant, fewer)).rejects.toMatchObject({ status: 503 });
    expect(await found()).toEqual(begun);
    await deleteWhole(tenant);
    expect(await allWith(new RegExp(tenant))).toEqual(onlyTheId(tenant));
  });
});
