/** A registered TTL holds on every route that answers values: what is too old for one is too old for all. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { app } from "../../worker/app.ts";
import { settings } from "../../worker/env.ts";
import { documentKey } from "../../worker/keys.ts";
import { forgetCatalog } from "../../worker/registry/catalog.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { CATALOG_MAX_AGE_MS } from "../../worker/timings.ts";
import type { TrainingRows } from "../history/training.ts";
import { addVersion, online, registered, setStatus } from "../registry/features.ts";
import { failBefore, watched } from "../setup/faults.ts";
import {
  entry,
  expectProblem,
  get,
  type Items,
  itemPath,
  ORIGIN,
  post,
  readItem,
  secondsAgo,
  upsert,
} from "../setup/http.ts";
import { sleep, until } from "../setup/waiting.ts";
import { ref } from "../setup/writer.ts";

const HOUR = 3_600;
const user = { entity_type: "bright_uid" };

beforeAll(async () => {
  await registered("brief", { ...user, category: "mixed", ttl_seconds: HOUR });
  await registered("lasting", { ...user, category: "mixed", ttl_hours: 48 });
  await registered("alone", { ...user, category: "single", ttl_seconds: HOUR });
  const mixed = entry("mixed", { brief: 1, lasting: 2, free: 3 }, { event_timestamp: secondsAgo(2 * HOUR) });
  const single = entry("single", { alone: 1 }, { event_timestamp: secondsAgo(2 * HOUR) });
  for (const id of ["old", "partly"]) expect((await upsert(id, [mixed, single])).status).toBe(200);
  const newer = entry("mixed", { brief: 10 }, { mode: "merge" });
  expect((await upsert("partly", [newer])).status).toBe(200);
});
beforeEach(() => isolateMemory.clear());
afterEach(() => void vi.restoreAllMocks());

const items = async (id: string, names: string[], over = {}) => {
  const data = { ...user, entity_value: id, feature_list: names, ...over };
  return post<Items>("/get/items", { meta: { source: "api" }, data });
};
const dataOf = async (asked: Promise<{ body: Items }>) => {
  const { body } = await asked;
  return [body.items.mixed?.features.data, body.unavailable_features];
};

describe("a value that is older than its registered TTL", () => {
  test("is not in a category that is read whole, and what has another TTL or none is", async () => {
    expect((await readItem("old", "mixed")).body.features.data).toEqual({ lasting: 2, free: 3 });
    expect((await readItem("partly", "mixed")).body.features.data).toEqual({
      brief: 10,
      lasting: 2,
      free: 3,
    });
    expect(await dataOf(items("old", ["mixed:*"]))).toEqual([{ lasting: 2, free: 3 }, {}]);
  });

  test.each([
    ["by its category", ["mixed:brief", "mixed:free"]],
    ["by its registered name", ["brief", "mixed:free"]],
  ])("is unavailable %s", async (_, names) => {
    expect(await dataOf(items("old", names))).toEqual([{ free: 3 }, { mixed: ["brief"] }]);
    expect(await dataOf(items("partly", names))).toEqual([{ brief: 10, free: 3 }, {}]);
  });

  test("is unavailable in 001's read too", async () => {
    const body = { mixed: ["brief", "lasting"] };
    const asked = post<Items>("/get/item/old?table_type=bright_uid", body);
    expect(await dataOf(asked)).toEqual([{ lasting: 2 }, { mixed: ["brief"] }]);
  });

  test("leaves nothing of a category that has no other: 404 by itself, unavailable among several", async () => {
    expectProblem(await readItem("old", "single"), 404);
    const { body } = await items("old", ["single:*", "mixed:*"]);
    expect([Object.keys(body.items), body.unavailable_feature_categories]).toEqual([["mixed"], ["single"]]);
  });

  test.each(["edge", "strong"])(
    "is told by no store, with consistency %s, as it is not online",
    async (consistency) => {
      const sources = new Set<string>();
      for (const _ of ["of the database", "of memory"]) {
        const { body } = await items("old", ["mixed:*"], { consistency });
        expect(body.items.mixed?.features.data).toEqual({ lasting: 2, free: 3 });
        sources.add(body.source);
      }
      expect(sources.has("memory")).toBe(consistency === "edge");
      const { body } = await online("old", ["brief", "mixed:lasting"], { consistency });
      expect(Object.values(body.features).map(({ status }) => status)).toEqual([
        "OUTSIDE_MAX_AGE",
        "PRESENT",
      ]);
    },
  );
});

test("of each version its own TTL counts, from the moment that it is known", async () => {
  await registered("versioned", { ...user, category: "versions", ttl_seconds: 60 });
  const values = { versioned: 1, "versioned@2": 2 };
  const event_timestamp = secondsAgo(HOUR);
  await upsert("v", [entry("versions", values, { event_timestamp })]);
  expect((await readItem("v", "versions")).body.features.data).toEqual({ "versioned@2": 2 });
  await addVersion("versioned", { version: 2, ttl_seconds: 2 * HOUR });
  await setStatus("versioned", 2, "active");
  expect((await readItem("v", "versions")).body.features.data).toEqual({ "versioned@2": 2 });
  const { body } = await items("v", ["versioned", "versions:versioned"]);
  expect(body.items.versions?.features.data).toEqual({ "versioned@2": 2 });
});

test("a computed feature's TTL holds for its vector, whoever wrote that, on every route", async () => {
  const columns = { user_id: "string", amount: "float" };
  const table = await post<{ id: number }>("/raw-tables", {
    name: "ttl_rows",
    schema_definition: columns,
  });
  const feature = {
    ...{ name: "brief_vector", raw_table_id: table.body.id, entity_key: "user_id" },
    computation_logic: "SELECT user_id, sum(amount) AS total FROM data GROUP BY user_id",
  };
  expect((await post("/features", feature)).status).toBe(201);
  expect((await addVersion("brief_vector", { version: 1, status: "active", ttl_seconds: HOUR })).status).toBe(
    201,
  );
  const vector = entry("brief_vector", { total: 5 }, { event_timestamp: secondsAgo(2 * HOUR) });
  expect((await upsert("v", [vector], { data: { entity_type: "user_id" } })).status).toBe(200);
  expectProblem(await readItem("v", "brief_vector", "?entity_type=user_id"), 404);
  expectProblem(await get("/feature-vectors?entity_id=v&feature_name=brief_vector"), 404);
  const entity_type = "user_id";
  const tooOld = { value: null, status: "OUTSIDE_MAX_AGE" };
  const { body } = await online("v", ["brief_vector", "brief_vector:*"], { entity_type });
  expect(Object.values(body.features)).toMatchObject([tooOld, tooOld]);
  const names = ["brief_vector", "brief_vector:total"];
  expect(Object.values((await online("v", names, { entity_type })).body.features)).toMatchObject([
    tooOld,
    tooOld,
  ]);
  const rows = [{ entity_id: "v", timestamp: secondsAgo(0) }];
  const past = await post<TrainingRows>("/features/batch", { rows, feature_names: names, entity_type });
  expect(Object.values(past.body.rows[0]?.features ?? {})).toMatchObject([tooOld, tooOld]);
});

test("nobody waits for the registry where an older one is at hand, and D1 is not asked again at once", async () => {
  await upsert("aged", [entry("single", { alone: 5 })]);
  expect((await readItem("aged", "single")).status).toBe(200);
  const key = documentKey("default", settings(env).writerPartitions, ref("aged"));
  await until("it is in KV", async () => (await env.HOT.get(key)) !== null);
  // The consumer of the write's event reads the registry too.
  await sleep(500);
  vi.spyOn(console, "error").mockReturnValue();
  const clock = vi.spyOn(Date, "now").mockReturnValue(Date.now() + 60_000);
  const bindings = watched({ database: () => new Promise(() => {}) });
  const execution = createExecutionContext();
  const ask = async () => {
    const request = new Request(`${ORIGIN}/api/v1${itemPath("aged", "single")}`);
    expect((await app.fetch(request, bindings.env, execution)).status).toBe(200);
  };
  for (const _ of ["first", "second", "third"]) await ask();
  await until("the registry is asked for", () => bindings.database.length > 0);
  expect(bindings.database).toHaveLength(1);
  // It may have been cancelled with its request: after a while another asks.
  clock.mockReturnValue(Date.now() + CATALOG_MAX_AGE_MS);
  await ask();
  await until("the registry is asked for again", () => bindings.database.length > 1);
});

test("where the registry cannot be read, what a cache holds is answered all the same", async () => {
  const path = itemPath("old", "single");
  await upsert("old", [entry("single", { alone: 5 })]);
  expect((await readItem("old", "single")).status).toBe(200);
  forgetCatalog("default");
  vi.spyOn(console, "error").mockReturnValue();
  const bindings = watched();
  bindings.faults = { database: failBefore };
  const execution = createExecutionContext();
  for (const _ of ["asks", "does not ask again at once"]) {
    const response = await app.fetch(new Request(`${ORIGIN}/api/v1${path}`), bindings.env, execution);
    expect([response.status, await response.json()]).toMatchObject([
      200,
      { features: { data: { alone: 5 } } },
    ]);
  }
  expect(bindings.database).toHaveLength(1);
  await waitOnExecutionContext(execution);
});
