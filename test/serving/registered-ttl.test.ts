/** A registered TTL holds on every route that answers values: what is too old for one is too old for all. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { app } from "../../worker/app.ts";
import { forgetCatalog } from "../../worker/registry/catalog.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { addVersion, online, registered, setStatus } from "../registry/features.ts";
import { failBefore, watched } from "../setup/faults.ts";
import {
  entry,
  expectProblem,
  type Items,
  itemPath,
  ORIGIN,
  post,
  readItem,
  secondsAgo,
  upsert,
} from "../setup/http.ts";

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
      for (const _ of ["d1", "kv, or d1", "memory"]) {
        const { body } = await items("old", ["mixed:*"], { consistency });
        expect(body.items.mixed?.features.data).toEqual({ lasting: 2, free: 3 });
      }
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

test("where the registry cannot be read, what a cache holds is answered all the same", async () => {
  const path = itemPath("old", "single");
  await upsert("old", [entry("single", { alone: 5 })]);
  expect((await readItem("old", "single")).status).toBe(200);
  forgetCatalog("default");
  vi.spyOn(console, "error").mockReturnValue();
  const bindings = watched();
  bindings.faults = { database: failBefore };
  const execution = createExecutionContext();
  const response = await app.fetch(new Request(`${ORIGIN}/api/v1${path}`), bindings.env, execution);
  expect([response.status, await response.json()]).toMatchObject([200, { features: { data: { alone: 5 } } }]);
  await waitOnExecutionContext(execution);
});
