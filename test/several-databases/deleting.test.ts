/** Tenants that are deleted with all that they have, in several databases. */
import {
  createExecutionContext,
  createMessageBatch,
  evictDurableObject,
  getQueueResult,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { bindingOf, entityDatabases } from "../../worker/db/entity-databases.ts";
import { settings } from "../../worker/env.ts";
import { eventOf } from "../../worker/events/feature-available.ts";
import worker from "../../worker/index.ts";
import { TENANT_TABLES } from "../../worker/tenants/deleting/tenant-rows.ts";
import { writerOf } from "../../worker/writing/writer-access.ts";
import { InjectedFault } from "../setup/injected-fault.ts";
import { until } from "../setup/waiting.ts";
import { ask, storedKey } from "../tenants/service.ts";
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
  runAlarmsOfTables,
  tablesOf,
  tenantWithData,
} from "./leaving.ts";

const TENANTS = "/api/v1/admin/tenants";
let root = "";
beforeAll(async () => {
  root = (await storedKey("default", ["admin"])).key;
});

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
    await env.DB.prepare("INSERT INTO maintenance VALUES ('move/leaver', '', 1)").run();
    before = await allWith(leaver);
    stays = await ofNeighbour();
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

/** By itself, or as what has failed a query. */
const isInjected = (cause: unknown) =>
  cause instanceof InjectedFault || (cause instanceof Error && cause.cause instanceof InjectedFault);

/** Every call to a store or an object, by what it asks, so that each can go wrong once. */
function everyCall(around: (call: string, run: () => Promise<unknown>) => Promise<unknown>): Env {
  const real = new WeakMap<object, D1PreparedStatement>();
  const asking = <T extends object>(
    target: T,
    methods: readonly string[],
    about: (args: unknown[]) => string,
  ): T =>
    new Proxy(target, {
      get(_, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        if (!methods.includes(String(name))) return value.bind(target);
        return (...args: unknown[]) =>
          around(`${String(name)} ${about(args)}`, () => Reflect.apply(value, target, args));
      },
    });
  const statement = (one: D1PreparedStatement, about: string): D1PreparedStatement => {
    const asked = asking(one, ["run", "all", "first", "raw"], () => about);
    const bound = new Proxy(asked, {
      get: (_, name) =>
        name === "bind"
          ? (...values: unknown[]) => statement(one.bind(...values), about)
          : Reflect.get(asked, name),
    });
    real.set(bound, one);
    return bound;
  };
  const session = <T extends D1Database | D1DatabaseSession>(db: T, number: number): T =>
    new Proxy(db, {
      get(_, name) {
        if (name === "prepare") return (sql: string) => statement(db.prepare(sql), `${number} ${sql}`);
        if (name === "batch")
          return (all: D1PreparedStatement[]) =>
            around(`batch ${number} ${all.length}`, () => db.batch(all.map((one) => real.get(one) ?? one)));
        if (name === "withSession" && "withSession" in db)
          return (start: string) => session(db.withSession(start), number);
        return Reflect.get(db, name);
      },
    });
  const objects = <T extends DurableObjectNamespace>(namespace: T, kind: string): T =>
    new Proxy(namespace, {
      get(_, name) {
        const value: unknown = Reflect.get(namespace, name);
        if (name === "getByName")
          return (id: string) =>
            asking(namespace.getByName(id), ["drop", "expectChange"], () => `${kind} ${id}`);
        return typeof value === "function" ? value.bind(namespace) : value;
      },
    });
  const databases = entityDatabases(env).map((db, number) => [bindingOf(number), session(db, number)]);
  return {
    ...env,
    ...Object.fromEntries(databases),
    HOT: asking(env.HOT, ["list", "delete"], ([of]) => (typeof of === "string" ? of : "documents")),
    ...(env.ARCHIVE && { ARCHIVE: asking(env.ARCHIVE, ["list", "delete"], () => "files") }),
    ENTITY_WRITER: objects(env.ENTITY_WRITER, "writer"),
    RAW_TABLE: objects(env.RAW_TABLE, "table"),
    SUBSCRIBER: objects(env.SUBSCRIBER, "subscriber"),
    FEATURE_STATS: objects(env.FEATURE_STATS, "stats"),
  };
}

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
