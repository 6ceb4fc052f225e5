/** Freshness and quality of registered features: from a write over HTTP through the queue to the answer. */
import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { consumeAvailability } from "../../../worker/events/consumer.ts";
import type { FeatureAvailable } from "../../../worker/events/feature-available.ts";
import { LOOKUP_SQL } from "../../../worker/registry/stats/lookup.ts";
import { CATALOG_FRESH_MS } from "../../../worker/timings.ts";
import { askWith, gate, withStubs } from "../../compute/racing.ts";
import { compute, eventTime, ingest, newFeature, newTable, row } from "../../compute/tables.ts";
import { watched } from "../../setup/faults.ts";
import { type Answer, expectProblem, faultPlaces, get, remove, TIMESTAMP } from "../../setup/http.ts";
import { until } from "../../setup/waiting.ts";
import { addVersion, freshName, registered, removeFeature, setStatus, write } from "../features.ts";
import { announced, counted, record, registerIn, tenantWith } from "./tenants.ts";

interface Totals {
  values: number;
  nulls: number;
  null_rate: number | null;
  min: number | null;
  mean: number | null;
  max: number | null;
}

interface Stats {
  feature_id: number;
  name: string;
  version: number;
  last_write: string | null;
  last_event_time: string | null;
  freshness_seconds: number | null;
  totals: Totals;
  columns?: Record<string, Totals>;
  hours: (Totals & { hour: string })[];
  timestamp: string;
}

const NEVER = { values: 0, nulls: 0, null_rate: null, min: null, mean: null, max: null };

const stats = (feature: string | number, query = "") => get<Stats>(`/features/${feature}/stats${query}`);

/** The statistics once they count so many values: they follow a write by as much as its event takes. */
async function statsOf(feature: string, values: number, query = ""): Promise<Stats> {
  let answer: Answer<Stats> | undefined;
  await until(`${values} values of ${feature} are counted`, async () => {
    answer = await stats(feature, query);
    expect(answer.status, answer.text).toBe(200);
    return answer.body.totals.values >= values;
  });
  return answer?.body as Stats;
}

describe("what is written over HTTP", () => {
  test("is counted within seconds, with its freshness", async () => {
    const name = freshName("counted");
    const { feature_id } = await registered(name, { dtype: "int64" });
    const before = Date.now();
    for (const value of [30, 10, null, 20]) {
      const { status, text } = await write(freshName("user"), { [name]: value, other: 1 });
      expect(status, text).toBe(200);
    }
    const body = await statsOf(name, 4);
    const totals = { values: 4, nulls: 1, null_rate: 0.25, min: 10, mean: 20, max: 30 };
    expect(body).toEqual({
      ...{ feature_id, name, version: 1, entity_type: "user", totals },
      last_write: expect.stringMatching(TIMESTAMP),
      last_event_time: expect.stringMatching(TIMESTAMP),
      freshness_seconds: expect.any(Number),
      hours: expect.any(Array),
      timestamp: expect.stringMatching(TIMESTAMP),
    });
    expect(Date.parse(body.last_write ?? "")).toBeGreaterThanOrEqual(before - 1);
    expect(body.freshness_seconds).toBeCloseTo(
      (Date.parse(body.timestamp) - Date.parse(body.last_event_time ?? "")) / 1_000,
      3,
    );
    // The test may have run through the end of an hour.
    expect(body.hours.reduce((sum, { values }) => sum + values, 0)).toBe(4);
    for (const { hour } of body.hours) expect(hour).toMatch(/:00:00\.000000\+00:00$/);
    const byId = (await stats(feature_id)).body;
    expect({ ...byId, timestamp: "", freshness_seconds: 0 }).toEqual({
      ...{ ...body, timestamp: "", freshness_seconds: 0 },
    });
  });

  test("counts by what the values are: the share of true, digits beyond 2^53, texts without a mean", async () => {
    const [flag, big, text, json] = ["flag", "big", "text", "json"].map(freshName) as [
      ...[string, string, string, string],
    ];
    await registered(flag, { dtype: "boolean" });
    await registered(big, { dtype: "int64" });
    await registered(text, { dtype: "string" });
    await registered(json, { dtype: "json" });
    const all = [true, true, false, true].map((value, i) => ({
      [flag]: value,
      [big]: "9007199254740993",
      [text]: i % 2 ? `text ${i}` : null,
      [json]: 7,
    }));
    for (const values of all) expect((await write(freshName("user"), values)).status).toBe(200);
    expect((await statsOf(flag, 4)).totals).toMatchObject({ min: 0, mean: 0.75, max: 1 });
    // The answer is a float64: near enough for a mean.
    expect((await statsOf(big, 4)).totals).toMatchObject({ min: 2 ** 53, mean: 2 ** 53 });
    expect((await statsOf(text, 4)).totals).toEqual({ ...NEVER, values: 4, nulls: 2, null_rate: 0.5 });
    expect((await statsOf(json, 4)).totals).toEqual({ ...NEVER, values: 4, null_rate: 0 });
  });

  test("counts a draft for itself, and the bare name means the version that is active", async () => {
    const name = freshName("versions");
    await registered(name);
    expect((await addVersion(name, { version: 2, status: "draft" })).status).toBe(201);
    expect((await write("drafted", { [name]: 1, [`${name}@2`]: 100 })).status).toBe(200);
    expect((await statsOf(name, 1, "?version=v2")).totals).toMatchObject({ values: 1, mean: 100 });
    expect((await stats(name)).body).toMatchObject({ version: 1, totals: { values: 1, mean: 1 } });
    expect((await setStatus(name, 2, "active")).status).toBe(200);
    expect((await stats(name)).body).toMatchObject({ version: 2, totals: { mean: 100 } });
  });

  test("is not counted when it came too late to change anything, since nothing is announced", async () => {
    const name = freshName("late");
    await registered(name);
    const at = (second: number) => ({ event_timestamp: eventTime(second) });
    expect((await write("late", { [name]: 1 }, at(30))).body.outcome).toBe("applied");
    expect((await write("late", { [name]: 1_000 }, at(20))).body.outcome).toBe("stale");
    expect((await write("late", { [name]: 3 }, at(40))).body.outcome).toBe("applied");
    const body = await statsOf(name, 2);
    expect(body.totals).toMatchObject({ values: 2, min: 1, mean: 2, max: 3 });
    expect(body.last_event_time).toBe(eventTime(40));
  });

  test("stays counted when the entity is deleted", async () => {
    const name = freshName("deleted");
    await registered(name);
    await write("to-delete", { [name]: 5 });
    await statsOf(name, 1);
    expect((await remove("/entities/user/to-delete")).status).toBe(200);
    expect((await write("to-delete", { [name]: 7 })).status).toBe(200);
    expect((await statsOf(name, 2)).totals).toMatchObject({ values: 2, mean: 6 });
  });

  test("counts the columns of a vector", async () => {
    const table = await newTable();
    const sql = `SELECT user_id, amount AS "a""☃", nullif(amount, 4) AS b, 'x' AS c FROM data`;
    const feature = await newFeature(table, { computation_logic: sql });
    await ingest(table, [row("u1", 2), row("u2", 4)]);
    const { status, text } = await compute(feature.name);
    expect(status, text).toBe(200);
    const body = await statsOf(feature.name, 2);
    expect(body.totals).toEqual({ ...NEVER, values: 2, null_rate: 0 });
    expect(body.columns).toEqual({
      'a"☃': { values: 2, nulls: 0, null_rate: 0, min: 2, mean: 3, max: 4 },
      b: { values: 2, nulls: 1, null_rate: 0.5, min: 2, mean: 2, max: 2 },
      c: { ...NEVER, values: 2, null_rate: 0 },
    });
  });
});

describe("asking", () => {
  test("a feature that was never written answers nulls and no hours", async () => {
    const name = freshName("never");
    await registered(name);
    expect((await stats(name)).body).toMatchObject({
      ...{ last_write: null, last_event_time: null, freshness_seconds: null },
      ...{ totals: NEVER, hours: [] },
    });
  });

  test("what is not there is 404, a window that cannot be is 422, and an hour outside it is not answered", async () => {
    const name = freshName("asked");
    await registered(name);
    expectProblem(await stats("no_such_feature"), 404);
    expectProblem(await stats(name, "?version=9"), 404);
    for (const query of ["hours=0", "hours=745", "hours=x", "version=x", "from=yesterday"]) {
      expect(faultPlaces(expectProblem(await stats(name, `?${query}`), 422))).toEqual([
        `query.${query.split("=")[0]}`,
      ]);
    }
    const past = "from=2026-01-01T00:00:00Z";
    expectProblem(await stats(name, `?${past}&to=2025-12-31T00:00:00Z`), 422);
    await write("asked", { [name]: 1 });
    const { last_write } = await statsOf(name, 1);
    const { body } = await stats(name, `?${past}&to=2026-01-02T00:00:00Z`);
    expect(body).toMatchObject({ last_write, totals: NEVER, hours: [] });
  });
});

describe("handing events over", () => {
  test("again and again, in whatever groups, counts each once", async () => {
    const tenant = await tenantWith("f");
    const events = await Promise.all([1, 2, 3, 4].map((f) => announced(tenant, { f })));
    const [a, b, c, d] = events as [FeatureAvailable, ...FeatureAvailable[]] & FeatureAvailable[];
    for (const group of [[a, a], [c, b, a], events, [d, c], events]) {
      await record(group as FeatureAvailable[]);
    }
    expect(await counted(tenant, "f")).toMatchObject([{ values: 4, min: 1, mean: 2.5, max: 4 }]);
    await Promise.all([record(events), record(events)]);
    expect(await counted(tenant, "f")).toMatchObject([{ values: 4 }]);
  });

  test("of rows that are gone counts nothing of them", async () => {
    const tenant = await tenantWith("f");
    const [gone, there] = [await announced(tenant, { f: 1 }), await announced(tenant, { f: 2 })];
    const remove = "DELETE FROM feature_history WHERE tenant_id = ? AND entity_value = ?";
    await env.DB.prepare(remove).bind(tenant, gone.entity_id).run();
    await record([gone, there]);
    expect(await counted(tenant, "f")).toMatchObject([{ values: 1, mean: 2 }]);
  });

  test("counts for the tenant whose they are, and for no other", async () => {
    const [one, other] = [await tenantWith("f"), await tenantWith("f")];
    const event = await announced(one, { f: 1 });
    await record([event, { ...event, tenant_id: other }]);
    expect(await counted(one, "f")).toMatchObject([{ values: 1 }]);
    expect(await counted(other, "f")).toEqual([]);
  });

  test("costs one query a tenant, whatever their number", async () => {
    const tenant = await tenantWith("f", "g");
    const events = await Promise.all(
      Array.from({ length: 30 }, (_, f) => announced(tenant, { f, g: null, unregistered: "text" })),
    );
    const bindings = watched();
    await record(events.slice(0, 1), bindings.env);
    bindings.forgetCalls();
    await record(events, bindings.env);
    expect(bindings.database.map(({ kind, session }) => [kind, session])).toEqual([
      ["query", "first-primary"],
    ]);
    expect(await counted(tenant, "f")).toMatchObject([{ values: 30, nulls: 0, mean: 14.5 }]);
    expect(await counted(tenant, "g")).toMatchObject([{ values: 30, nulls: 30, mean: null }]);
  });

  test("costs a tenant without registered features no query and no call", async () => {
    const tenant = await tenantWith();
    const event = await announced(tenant, { f: 1 });
    const bindings = watched();
    const bound = { ...bindings.env, FEATURE_STATS: failing };
    await record([event], bound);
    bindings.forgetCalls();
    await record([event], bound);
    expect(bindings.database).toEqual([]);
  });

  test("counts a feature that was registered elsewhere a few seconds ago", async () => {
    const tenant = await tenantWith("f");
    await record([await announced(tenant, { f: 1 })]);
    await registerIn(tenant, "g");
    const event = await announced(tenant, { g: 2 });
    const laterMs = Date.now() + CATALOG_FRESH_MS + 1_000;
    const clock = vi.spyOn(Date, "now").mockReturnValue(laterMs);
    await record([event]);
    clock.mockRestore();
    expect(await counted(tenant, "g")).toMatchObject([{ values: 1, mean: 2 }]);
  });

  test("finds each row by its key", async () => {
    const { results } = await env.DB.prepare(`EXPLAIN QUERY PLAN ${LOOKUP_SQL}`)
      .bind("t", "[]")
      .all<{ detail: string }>();
    const plan = results.map(({ detail }) => detail).filter((detail) => !/VIRTUAL TABLE/.test(detail));
    expect(plan.join("\n")).toMatch(
      /SEARCH h USING INDEX sqlite_autoindex_feature_history_1 \(tenant_id=\? AND entity_type=\? AND entity_value=\? AND category=\? AND event_time=\? AND revision=\?\)/,
    );
    expect(plan.filter((detail) => /^SCAN (?!f\b)/.test(detail))).toEqual([]);
  });
});

describe("a feature that is removed", () => {
  test("has no statistics, nor has the next one of its name; another's stay", async () => {
    const [name, other] = [freshName("removed"), freshName("stays")];
    await registered(name);
    await registered(other);
    await write(freshName("user"), { [name]: 1, [other]: 2 });
    await statsOf(name, 1);
    expect((await removeFeature(name, "?force=true")).status).toBe(200);
    expectProblem(await stats(name), 404);
    await registered(name);
    expect((await stats(name)).body).toMatchObject({ totals: NEVER, last_write: null, hours: [] });
    expect((await stats(other)).body.totals).toMatchObject({ values: 1 });
  });

  test("takes none of what is counted of the next one meanwhile", async () => {
    const name = freshName("removed");
    await registered(name);
    await write(freshName("user"), { [name]: 1 });
    await statsOf(name, 1);
    const { stop, open, reached } = gate();
    const slow = withStubs("FEATURE_STATS", { forget: (real) => stop().then(real) });
    const removing = askWith(slow, "DELETE", `/features/${name}?force=true`);
    await reached;
    await registered(name);
    await write(freshName("user"), { [name]: 2 });
    await statsOf(name, 1);
    open();
    expect((await removing).status).toBe(200);
    expect((await stats(name)).body.totals).toMatchObject({ values: 1, min: 2 });
  });

  test("is removed also where its statistics cannot be; the next one of its name has none of them", async () => {
    const said = vi.spyOn(console, "warn").mockImplementation(() => {});
    const name = freshName("removed");
    await registered(name);
    await write(freshName("user"), { [name]: 1 });
    await statsOf(name, 1);
    const own = { ...env, LOG_LEVEL: "WARNING", FEATURE_STATS: failing } as unknown as Env;
    const { status } = await askWith(own, "DELETE", `/features/${name}?force=true`);
    expect([status, said.mock.calls.length]).toEqual([200, 1]);
    said.mockRestore();
    expectProblem(await get(`/features/${name}`), 404);
    await registered(name);
    expect((await stats(name)).body).toMatchObject({ totals: NEVER, last_write: null, hours: [] });
    await write(freshName("user"), { [name]: 2 });
    expect((await statsOf(name, 1)).totals).toMatchObject({ values: 1, min: 2 });
  });
});

/** An object that does not answer. */
const failing = {
  getByName: () => ({
    record: () => Promise.reject(new Error("the object does not answer")),
    forget: () => Promise.reject(new Error("the object does not answer")),
  }),
} as unknown as Env["FEATURE_STATS"];

describe("an object that does not answer", () => {
  test("makes the consumer take the messages back, and after that they are counted once", async () => {
    const tenant = await tenantWith("f");
    const event = await announced(tenant, { f: 1 });
    const consumed = async (bindings: Env) => {
      const messages = [{ id: "m", timestamp: new Date(), attempts: 1, body: [event] }];
      const batch = createMessageBatch("feature-availability", messages);
      const context = createExecutionContext();
      await consumeAvailability(batch, bindings);
      const { explicitAcks, retryMessages } = await getQueueResult(batch, context);
      return { acks: explicitAcks, retried: retryMessages.map(({ msgId }) => msgId) };
    };
    const said = vi.spyOn(console, "error").mockImplementation(() => {});
    expect(await consumed({ ...env, FEATURE_STATS: failing })).toEqual({ acks: [], retried: ["m"] });
    expect(said).toHaveBeenCalledOnce();
    said.mockRestore();
    expect(await counted(tenant, "f")).toEqual([]);
    expect(await consumed(env)).toEqual({ acks: ["m"], retried: [] });
    expect(await consumed(env)).toEqual({ acks: ["m"], retried: [] });
    expect(await counted(tenant, "f")).toMatchObject([{ values: 1 }]);
  });

  test("is told, and what other tenants wrote is counted all the same", async () => {
    const [ill, well] = [await tenantWith("f"), await tenantWith("f")];
    const events = [await announced(ill, { f: 1 }), await announced(well, { f: 2 })];
    const real = env.FEATURE_STATS;
    const partly = {
      getByName: (name: string) => (name.startsWith(ill) ? failing.getByName(name) : real.getByName(name)),
    } as unknown as Env["FEATURE_STATS"];
    expect(await record(events, { ...env, FEATURE_STATS: partly })).toEqual(new Set([ill]));
    expect(await counted(well, "f")).toMatchObject([{ values: 1 }]);
    await record(events);
    expect(await counted(ill, "f")).toMatchObject([{ values: 1 }]);
    expect(await counted(well, "f")).toMatchObject([{ values: 1 }]);
  });
});
