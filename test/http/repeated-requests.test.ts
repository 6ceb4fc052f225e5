/** The same request again: it is recognised by its text, and must be answered as if it were not. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findFeature, setVersionStatus } from "../../worker/registry/registry-store.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { nowMicros } from "../../worker/timestamps.ts";
import { CATALOG_FRESH_MS } from "../../worker/timings.ts";
import { addVersion, freshName, registered, setStatus } from "../registry/features.ts";
import { online } from "../serving/online-asks.ts";
import {
  type Answer,
  ask,
  entry,
  expectProblem,
  get,
  type Items,
  itemPath,
  post,
  readItem,
  readItems,
  remove,
  upsert,
} from "../setup/http.ts";
import { storedKey, storedTenant } from "../tenants/service.ts";

beforeEach(() => isolateMemory.clear());
afterEach(() => vi.restoreAllMocks());

const itemsAsked = (value: string, features: string[]) => ({
  meta: { source: "api" },
  data: { entity_type: "bright_uid", entity_value: value, feature_list: features },
});
const onlineAsked = (value: string) => ({
  entity_id: value,
  feature_names: ["c:n", "d:*", "c:none"],
  entity_type: "bright_uid",
});

/** Each way to read that recognises a request. */
const READS: [string, (value: string) => [method: string, path: string, body?: unknown]][] = [
  ["GET /get/item", (value) => ["GET", itemPath(value, "c")]],
  [
    "GET /get/item with a query",
    (value) => ["GET", itemPath(value, "c", "?entity_type=bright_uid&consistency=edge")],
  ],
  [
    "POST /get/items",
    (value) => ["POST", "/get/items", itemsAsked(value, ["c:n", "d:*", "none:*", "c:none"])],
  ],
  [
    "POST /get/item/{entity_value}",
    (value) => ["POST", `/get/item/${value}`, { c: ["n", "none"], d: ["*"] }],
  ],
  ["POST /features/online of one", (value) => ["POST", "/features/online", onlineAsked(value)]],
  [
    "POST /features/online of several",
    (value) => [
      "POST",
      "/features/online",
      { ...onlineAsked(value), entity_id: undefined, entity_ids: [value, "nobody", value] },
    ],
  ],
];

function asking(value: string, of: (typeof READS)[number][1]) {
  const [method, path, body] = of(value);
  return (headers: Record<string, string> = {}) => ask<unknown>(method, path, { body, headers });
}

describe.each(READS)("%s", (name, of) => {
  const id = encodeURIComponent(name).replaceAll(/\W/g, "-").toLowerCase();

  test("answers the same to the same, and what was written to the next", async () => {
    await upsert(id, [entry("c", { n: 1 }), entry("d", { m: "größe" })]);
    const again = asking(id, of);
    await again();
    // An answer of system B says how old its values are, now.
    vi.spyOn(Date, "now").mockReturnValue(Date.now());
    const [first, second, third] = [await again(), await again(), await again()];
    expect(first.status, first.text).toBe(200);
    expect([second.text, third.text]).toEqual([first.text, first.text]);
    expect(first.text).toMatch(/"n":1|"value":1/);
    vi.restoreAllMocks();
    await upsert(id, [entry("c", { n: 2 })]);
    for (const { status, text } of [await again(), await again()]) {
      expect(status, text).toBe(200);
      expect(text).toMatch(/"n":2|"value":2/);
      expect(text).not.toMatch(/"n":1|"value":1,/);
    }
  });

  test("answers each tenant its own, and nobody without a key that may read", async () => {
    const tenants = await Promise.all(
      ["one", "two"].map(async (which) => {
        const tenant = await storedTenant(`${which}-${id}`.slice(0, 30).replace(/-+$/, ""));
        const { key } = await storedKey(tenant, ["read", "write"]);
        const { key: writing } = await storedKey(tenant, ["write"]);
        const headers = { "x-api-key": key };
        const value = `secret-${which}`;
        const written = await upsert(id, [entry("c", { n: value }), entry("d", { m: 1 })], { headers });
        expect(written.status, written.text).toBe(200);
        return { headers, writing: { "x-api-key": writing }, value };
      }),
    );
    const again = asking(id, of);
    for (const { headers, value } of [...tenants, ...tenants, ...tenants.toReversed()]) {
      const { status, text } = await again(headers);
      expect(status, text).toBe(200);
      expect(text).toContain(value);
      for (const other of tenants) if (other.value !== value) expect(text).not.toContain(other.value);
    }
    for (const { writing } of tenants) expectProblem(await again(writing), 403);
    expectProblem(await again({ "x-api-key": "fs_none_none" }), 401);
  });

  test("refuses a token that is none, though the rest is known", async () => {
    await upsert(id, [entry("c", { n: 1 })]);
    const again = asking(id, of);
    for (let i = 0; i < 2; i++) {
      expect((await again()).status).toBe(200);
      expectProblem(await again({ "x-consistency-token": "nonsense" }), 422);
    }
  });
});

/** Behind this isolate's back, as another does it. */
async function activatedElsewhere(name: string): Promise<void> {
  const { featureId = 0 } = (await findFeature(env.DB, "default", name)) ?? {};
  expect(await setVersionStatus(env.DB, "default", { featureId, version: 2 }, "active", nowMicros())).toBe(
    true,
  );
}

/** Without what is of the request alone. */
function refusal(answer: Answer<unknown>, status: number) {
  const { request_id: id, ...problem } = expectProblem(answer, status);
  return { id, problem };
}

describe("what is refused once is refused again, with the same words", () => {
  const body = itemsAsked("refused", ["c:n"]);
  const changed = (over: Record<string, unknown>) => ({ ...body, data: { ...body.data, ...over } });

  test.each<[string, number, () => Promise<Answer<unknown>>]>([
    ["a body that is no JSON", 400, () => post("/get/items", '{"data":')],
    ["an empty body", 400, () => post("/get/items", "")],
    ["bytes that are no UTF-8", 400, () => post("/get/items", new Uint8Array([34, 255, 34]))],
    ["a number that no type can hold", 422, () => post("/get/items", '{"data":1e999}')],
    ["a body without what is needed", 422, () => post("/get/items", {})],
    ["a list that is none", 422, () => post("/get/items", changed({ feature_list: "c:n" }))],
    ["an unknown entity type", 422, () => post("/get/items", changed({ entity_type: "martian" }))],
    ["an unknown consistency", 422, () => post("/get/items", changed({ consistency: "eventual" }))],
    ["a session without a token", 422, () => post("/get/items", changed({ consistency: "session" }))],
    ["an unknown consistency in a URL", 422, () => get(itemPath("refused", "c", "?consistency=eventual"))],
    ["a parameter twice", 422, () => get(itemPath("refused", "c", "?entity_type=a&entity_type=b"))],
    ["an entity type of a URL", 422, () => get(itemPath("refused", "c", "?entity_type=martian"))],
    ["neither one entity nor several", 422, () => online({ feature_names: ["c:n"] })],
    ["a name that is none", 422, () => online({ entity_id: "refused", feature_names: ["a b"] })],
    ["an entity that does not exist", 404, () => get(itemPath("refused", "c"))],
  ])("%s", async (_, status, again) => {
    const [first, second, third] = [await again(), await again(), await again()].map((answer) =>
      refusal(answer, status),
    );
    expect([second?.problem, third?.problem]).toEqual([first?.problem, first?.problem]);
    expect(new Set([first?.id, second?.id, third?.id]).size).toBe(3);
  });

  test("a body that is known is refused with another Content-Type, before and after", async () => {
    await upsert("typed", [entry("c", { n: 1 })]);
    const text = JSON.stringify(itemsAsked("typed", ["c:n"]));
    const length = { "content-length": String(text.length) };
    const as = (type: string) => post<Items>("/get/items", text, { ...length, "content-type": type });
    const textOf = vi.spyOn(Request.prototype, "text");
    for (let i = 0; i < 2; i++) {
      const { status, body: found } = await as("application/json");
      expect([status, found.items.c?.features.data]).toEqual([200, { n: 1 }]);
      expect(textOf).toHaveBeenCalled();
      textOf.mockClear();
      for (const type of ["text/plain", "application/x-www-form-urlencoded"])
        expectProblem(await as(type), 415);
      // The runtime would write a warning of its own into the log.
      expect(textOf).not.toHaveBeenCalled();
    }
    textOf.mockRestore();
  });

  test("a body is of its route: what one has taken another refuses", async () => {
    await upsert("routed", [entry("c", { n: 1 })]);
    const text = JSON.stringify(onlineAsked("routed"));
    for (let i = 0; i < 2; i++) {
      expect((await post("/features/online", text)).status).toBe(200);
      expectProblem(await post("/get/items", text), 422);
    }
  });
});

test("URLs that differ in anything are different requests", async () => {
  for (const [i, value] of ["a/b", "a%2Fb", "größe", "A", "a"].entries()) {
    await upsert(value, [entry("c", { n: i }), entry("C", { n: -i - 1 })]);
  }
  for (let again = 0; again < 2; again++) {
    for (const [i, value] of ["a/b", "a%2Fb", "größe", "A", "a"].entries()) {
      const [lower, upper] = [await readItem(value, "c"), await readItem(value, "C")];
      expect([lower.body.features.data, upper.body.features.data]).toEqual([{ n: i }, { n: -i - 1 }]);
    }
  }
});

test("an entity that is deleted is gone for who asked before, and there again when it is", async () => {
  await upsert("deleted", [entry("c", { n: 1 })]);
  const read = async () => [await readItem("deleted", "c"), await readItems("deleted", ["c:n"])];
  const statuses = async () => [...(await read()), ...(await read())].map(({ status }) => status);
  expect(await statuses()).toEqual([200, 200, 200, 200]);
  expect((await remove("/entities/bright_uid/deleted")).status).toBeLessThan(300);
  expect(await statuses()).toEqual([404, 404, 404, 404]);
  await upsert("deleted", [entry("c", { n: 2 })]);
  expect(await statuses()).toEqual([200, 200, 200, 200]);
  expect((await readItem("deleted", "c")).body.features.data).toEqual({ n: 2 });
});

describe("a registered name", () => {
  /** A feature with an active and a draft version, and an entity with values of both. */
  async function feature() {
    const name = freshName("moving");
    const id = `of-${name}`;
    await registered(name, { category: "model", entity_type: "bright_uid" });
    expect((await addVersion(name, { version: 2, dtype: "string", status: "draft" })).status).toBe(201);
    const written = await upsert(id, [entry("model", { [name]: 0.1, [`${name}@2`]: "high" })]);
    expect(written.status, written.text).toBe(200);
    const byName = { entity_id: id, feature_names: [name] };
    const value = async () => {
      const { value: found, version } = (await online(byName)).body.features[name] ?? {};
      return [found, version];
    };
    const data = async () => (await readItems(id, [name])).body.items.model?.features.data;
    return { name, id, value, data };
  }

  test("is another version in the same body when that is activated", async () => {
    const { name, value, data } = await feature();
    for (let i = 0; i < 2; i++) expect([await value(), await data()]).toEqual([[0.1, 1], { [name]: 0.1 }]);
    expect((await setStatus(name, 2, "active")).status).toBe(200);
    for (let i = 0; i < 2; i++) {
      expect([await value(), await data()]).toEqual([["high", 2], { [`${name}@2`]: "high" }]);
    }
    expect((await setStatus(name, 2, "deprecated")).status).toBe(200);
    expect([await value(), await data()]).toEqual([[0.1, 1], { [name]: 0.1 }]);
  });

  test("is the one that this isolate hears of later, too", async () => {
    const { name, value } = await feature();
    expect([await value(), await value()]).toEqual([
      [0.1, 1],
      [0.1, 1],
    ]);
    await activatedElsewhere(name);
    const laterMs = Date.now() + CATALOG_FRESH_MS + 1_000;
    vi.spyOn(Date, "now").mockReturnValue(laterMs);
    // The answer that finds the catalog ageing has it renewed behind it.
    await vi.waitFor(async () => expect(await value()).toEqual(["high", 2]), { timeout: 5_000 });
  });

  test("that is not registered is refused each time, and read when it is", async () => {
    const name = freshName("later");
    await upsert(`of-${name}`, [entry("model", { [name]: 5 })]);
    const read = () => readItems(`of-${name}`, [name]);
    const statuses = [(await read()).status, (await read()).status];
    expect(statuses[0]).toBe(statuses[1]);
    expect(statuses[0]).toBeGreaterThanOrEqual(400);
    await registered(name, { category: "model", entity_type: "bright_uid" });
    for (let i = 0; i < 2; i++) expect((await read()).body.items.model?.features.data).toEqual({ [name]: 5 });
  });
});

describe("an address that is known", () => {
  const known = async (value: string) => {
    expect((await upsert(value, [entry("c", { n: 1 })])).status).toBe(200);
    const path = itemPath(value, "c");
    for (let i = 0; i < 2; i++) expect((await get(path)).status).toBe(200);
    return path;
  };

  test("is answered to a page with its cross-origin rules", async () => {
    const path = await known("known-page");
    const { status, headers } = await get(path, { origin: "https://example.com" });
    expect([status, headers.get("access-control-allow-origin")]).toEqual([200, "*"]);
    expect((await get(path)).headers.get("access-control-allow-origin")).toBeNull();
  });

  test("is known for its method alone", async () => {
    const path = await known("known-method");
    const head = await ask("HEAD", path);
    expect([head.status, head.text]).toEqual([200, ""]);
    expectProblem(await ask("PUT", path, { body: {} }), 405);
    const preflight = await ask("OPTIONS", path, {
      headers: { origin: "https://example.com", "access-control-request-method": "GET" },
    });
    expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([204, "*"]);
  });

  test("tells the request's own id", async () => {
    const path = await known("known-id");
    const ids = [];
    for (const id of ["one", "two", "no id"]) {
      const { headers } = await get(path, { "x-request-id": id });
      ids.push(headers.get("x-request-id"));
    }
    expect(ids).toEqual(["one", "two", expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  });
});
