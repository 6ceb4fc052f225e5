/** Null in a body is what clients send for what is not set: it says the same as leaving the field out. */
import { beforeAll, expect, test } from "vitest";
import {
  ask,
  type BatchWritten,
  entry,
  expectProblem,
  get,
  itemsBody,
  post,
  readItem,
  secondsAgo,
  upsert,
  WRITER,
} from "../setup/http.ts";

const at = secondsAgo(-60);
const options = { mode: null, event_timestamp: null, compute_id: null, ttl_seconds: null };
const metadata = { ...WRITER, ...options };
const computed = {
  computation_logic: "SELECT user_id, count(*) AS n FROM data GROUP BY user_id",
  entity_key: "user_id",
};

beforeAll(async () => {
  const written = await upsert("nulls", [entry("c", { a: 1 })]);
  expect(written.status, written.text).toBe(200);
});

test("a write takes null for its options, its condition and either name of the metadata", async () => {
  const data = { ...itemsBody("nulls-1", [entry("c", { a: 1 }, options)]).data, if_revision: null };
  expect((await post("/items", { metadata, meta: null, data })).body).toMatchObject({ revision: 1 });
  expect((await post("/items", { metadata: null, meta: metadata, data })).body).toMatchObject({
    revision: 2,
  });
  const bulk = await post<BatchWritten>("/items/batch", { metadata, meta: null, data: [data] });
  expect(bulk.body.results).toMatchObject([{ outcome: "applied", revision: 3 }]);
  expectProblem(await post("/items", { metadata: null, meta: null, data }), 403);
});

test("null beside a category leaves what the metadata say", async () => {
  const event_timestamp = "2025-10-13T09:15:51.358632+00:00";
  const first = { metadata: { event_timestamp } };
  expect((await upsert("nulls-2", [entry("c", { a: 1 }, options)], first)).status).toBe(200);
  const second = { metadata: { mode: "merge", event_timestamp: "2025-10-13T09:15:52Z" } };
  expect((await upsert("nulls-2", [entry("c", { b: 2 }, options)], second)).status).toBe(200);
  expect((await readItem("nulls-2", "c")).body.features.data).toEqual({ a: 1, b: 2 });
});

test.each([
  [
    "/get/items",
    {
      meta: null,
      metadata: null,
      data: { entity_type: null, consistency: null, entity_value: "nulls", feature_list: ["c:a"] },
    },
  ],
  [
    "/features/online",
    {
      entity_id: "nulls",
      entity_ids: null,
      entity_type: null,
      max_age_seconds: null,
      consistency: null,
      feature_names: ["c:a"],
    },
  ],
  ["/features/online", { entity_id: null, entity_ids: ["nulls"], feature_names: ["c:a"] }],
  [
    "/features/batch",
    {
      entity_ids: ["nulls"],
      rows: null,
      timestamp: at,
      entity_type: null,
      known_at: null,
      feature_names: ["c:a"],
    },
  ],
  [
    "/features/batch",
    {
      entity_ids: null,
      timestamp: null,
      rows: [{ entity_id: "nulls", timestamp: at }],
      feature_names: ["c:a"],
    },
  ],
])("POST %s with %j is answered as without its nulls", async (path, body) => {
  const without = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value, (_, part) => (part === null ? undefined : part)));
  const [asked, plain] = [await post(path, body), await post(path, without(body))];
  expect(asked.status, asked.text).toBe(200);
  // Not at the same moment, nor from the same store.
  const steady = ({ text }: { text: string }) =>
    text.replaceAll(
      /"(timestamp|source|freshness_seconds|cache_hit)":("[^"]*"|[\d.]+|true|false)/g,
      '"$1":0',
    );
  expect(steady(asked)).toBe(steady(plain));
});

test("what is needed is needed when it is null, too", async () => {
  const online = await post("/features/online", {
    entity_id: null,
    entity_ids: null,
    feature_names: ["c:a"],
  });
  expect(expectProblem(online, 422).errors).toMatchObject([{ type: "missing" }]);
  const past = { entity_ids: ["nulls"], timestamp: null, feature_names: ["c:a"] };
  expect(expectProblem(await post("/features/batch", past), 422).errors).toMatchObject([
    { loc: ["body", "timestamp"], type: "missing" },
  ]);
});

test("registering takes null for what has a default, and is the same registration as without it", async () => {
  const feature = { name: "null_feature", dtype: "int64", entity_type: "bright_uid" };
  const nulls = {
    category: null,
    tags: null,
    status: null,
    description: null,
    owner: null,
    ttl_hours: null,
    ttl_seconds: null,
    default_value: null,
  };
  expect((await post("/features/register", { ...feature, ...nulls })).status).toBe(201);
  expect((await post("/features/register", feature)).status).toBe(200);
  expect((await get("/features/null_feature")).body).toMatchObject({
    category: "default",
    tags: [],
    versions: [{ status: "active" }],
  });
  const version = { version: 2, dtype: null, status: null, computation_logic: null, default_value: null };
  expect((await post("/features/null_feature/versions", version)).body).toMatchObject({
    dtype: "int64",
    status: "draft",
  });
});

test("a computed feature, a tenant and a subscription take null for what has a default", async () => {
  const table = {
    name: "null_table",
    description: null,
    timestamp_column: null,
    retention_days: null,
    schema_definition: { user_id: "string" },
  };
  const { body } = await post<{ id: number }>("/raw-tables", table);
  const feature = {
    name: "null_computed",
    raw_table_id: body.id,
    ...computed,
    materialize: null,
    tags: null,
    owner: null,
  };
  const created = await post("/features", feature);
  expect(created.body, created.text).toMatchObject({ materialize: "manual", tags: [] });
  expect((await post("/admin/tenants", { name: "Nulls", tenant_id: null })).body).toMatchObject({
    tenant_id: "nulls",
  });
  const subscription = {
    url: "http://127.0.0.1:9/",
    categories: ["none"],
    kind: null,
    format: null,
    topic: null,
    authorization: null,
    has_authorization: null,
  };
  const made = await post<{ subscription_id: string }>("/subscriptions", subscription);
  expect(made.body, made.text).toMatchObject({ kind: "webhook", format: "json" });
  const change = { status: null, url: null, description: "x" };
  const path = `/subscriptions/${made.body.subscription_id}`;
  expect((await ask("PATCH", path, { body: change })).body).toMatchObject({
    status: "active",
    url: subscription.url,
  });
  const replay = {
    delivery_ids: null,
    dead: true,
    from: null,
    to: null,
    entity_type: null,
    entity_id: null,
    category: null,
  };
  expect((await post(`${path}/replay`, replay)).body).toEqual({ queued: 0 });
});

test("in a query null is a text like any other", async () => {
  expectProblem(await readItem("nulls", "c", "?consistency=null"), 422);
  expectProblem(await get("/features?limit=null"), 422);
});
