/**
 * A request for every endpoint that needs a key, from which the security tests are made. An endpoint without one fails
 * them.
 */
import { assert, vi } from "vitest";
import type { Answer } from "./service.ts";

/** Asks as the owner of what the request is about. */
export type AskOwner = (line: string, body?: unknown) => Promise<Answer>;

export interface Sample {
  /**
   * `not found`: the request names one thing, and who does not own it gets 404. `own`: it reaches only what is the
   * asker's own, so another tenant may well succeed, and must neither see nor change the owner's. `forbidden`: it is
   * of all tenants, and who does not administer them gets 403.
   */
  toAnother: "not found" | "own" | "forbidden";
  /** Who can succeed with it, if not any tenant. */
  owner?: "default";
  /**
   * Makes what the request is about and says how to ask for it.
   *
   * `seenBy` is a request that shows the owner's secret, for those that could overwrite or remove it.
   *
   * @param id New for every request. The owner's values contain it after `secret-`, and no other answer may.
   */
  request: (owner: AskOwner, id: string) => Promise<{ line: string; body?: unknown; seenBy?: string }>;
}

const metadata = { source: "prediction_service" };
const secret = (id: string) => ({ a: `secret-${id}` });

const itemBody = (id: string, features: unknown) => ({
  metadata,
  data: { entity_type: "bright_uid", entity_value: id, feature_list: [{ category: "c", features }] },
});

const itemLine = (id: string) => `GET /api/v1/get/item/${id}/c`;

/** The owner's entity `id` with the category `c`. */
async function entity(owner: AskOwner, id: string): Promise<void> {
  succeeded(await owner("POST /api/v1/items", itemBody(id, secret(id))));
}

const registration = (id: string) => ({
  name: `f_${id}`,
  version: 1,
  dtype: "string",
  description: `secret-${id}`,
  entity_type: "bright_uid",
});

async function feature(owner: AskOwner, id: string): Promise<string> {
  succeeded(await owner("POST /api/v1/features/register", registration(id)));
  return `f_${id}`;
}

async function key(owner: AskOwner, id: string): Promise<{ tenant: string; keyId: string }> {
  const tenant = (await owner("GET /api/v1/admin/tenants")).json.tenants[0]?.tenant_id ?? "";
  const body = { name: `secret-${id}`, scopes: ["read"] };
  const made = succeeded(await owner(`POST /api/v1/admin/tenants/${tenant}/keys`, body));
  return { tenant, keyId: made.json.key_id };
}

/** The owner's raw table with a row that holds its secret. */
async function rawTable(owner: AskOwner, id: string): Promise<number> {
  const schema_definition = { user_id: "string", note: "string" };
  const body = { name: `t_${id}`, description: `secret-${id}`, schema_definition };
  const { json } = succeeded(await owner("POST /api/v1/raw-tables", body));
  const data = [{ user_id: id, note: `secret-${id}` }];
  succeeded(await owner("POST /api/v1/ingest", { raw_table_id: json.id, data }));
  return json.id;
}

const computedFeature = (id: string, raw_table_id: number) => ({
  name: `c_${id}`,
  raw_table_id,
  computation_logic: "SELECT user_id, note FROM data",
  entity_key: "user_id",
});

/** The owner's feature computed from that table. */
async function vectors(owner: AskOwner, id: string): Promise<string> {
  succeeded(await owner("POST /api/v1/features", computedFeature(id, await rawTable(owner, id))));
  succeeded(await owner(`POST /api/v1/features/c_${id}/versions`, { version: 1, status: "active" }));
  succeeded(await owner(`POST /api/v1/features/c_${id}/compute`));
  return `c_${id}`;
}

const subscriptionBody = (id: string) => ({
  url: "https://receiver.example/features",
  authorization: `Bearer secret-${id}`,
  description: `secret-${id}`,
  categories: [`secret-${id}`],
});

/** The path of the owner's training set, when it is written. */
async function trainingSet(owner: AskOwner, id: string): Promise<string> {
  await entity(owner, id);
  const body = { entity_ids: [id], timestamp: "2100-01-01T00:00:00Z", feature_names: [`c:secret-${id}`] };
  const { json } = succeeded(await owner("POST /api/v1/training-sets", body));
  const path = `/api/v1/training-sets/${json.training_set_id}`;
  await vi.waitUntil(async () => (await owner(`GET ${path}`)).text.includes('"done"'), { timeout: 60_000 });
  return path;
}

/** The path of the owner's subscription. */
async function subscription(owner: AskOwner, id: string): Promise<string> {
  const { json } = succeeded(await owner("POST /api/v1/subscriptions", subscriptionBody(id)));
  return `/api/v1/subscriptions/${json.subscription_id}`;
}

function succeeded(answer: Answer): Answer {
  assert(answer.status < 300, `a sample could not be prepared: ${answer.status} ${answer.text}`);
  return answer;
}

export const samples: Record<string, Sample> = {
  "GET /api/v1/get/item/{entity_value}/{category}": {
    toAnother: "not found",
    request: async (owner, id) => {
      await entity(owner, id);
      return { line: itemLine(id) };
    },
  },
  "POST /api/v1/get/items": {
    toAnother: "not found",
    request: async (owner, id) => {
      await entity(owner, id);
      return { line: "POST /api/v1/get/items", body: { data: { entity_value: id, feature_list: ["c:*"] } } };
    },
  },
  "POST /api/v1/get/item/{entity_value}": {
    toAnother: "not found",
    request: async (owner, id) => {
      await entity(owner, id);
      return { line: `POST /api/v1/get/item/${id}`, body: { c: ["a"] } };
    },
  },
  "POST /api/v1/items": {
    toAnother: "own",
    request: async (owner, id) => {
      await entity(owner, id);
      return { line: "POST /api/v1/items", body: itemBody(id, { b: 1 }), seenBy: itemLine(id) };
    },
  },
  "POST /api/v1/items/{entity_value}": {
    toAnother: "own",
    request: async (owner, id) => {
      await entity(owner, id);
      return { line: `POST /api/v1/items/${id}`, body: { c: { b: 1 } }, seenBy: itemLine(id) };
    },
  },
  "POST /api/v1/items/batch": {
    toAnother: "own",
    request: async (owner, id) => {
      await entity(owner, id);
      return {
        line: "POST /api/v1/items/batch",
        body: { metadata, data: [itemBody(id, { b: 1 }).data] },
        seenBy: itemLine(id),
      };
    },
  },
  "GET /api/v1/entities/{entity_type}/{entity_value}": {
    toAnother: "not found",
    request: async (owner, id) => {
      await entity(owner, id);
      return { line: `GET /api/v1/entities/bright_uid/${id}` };
    },
  },
  "DELETE /api/v1/entities/{entity_type}/{entity_value}": {
    toAnother: "not found",
    request: async (owner, id) => {
      await entity(owner, id);
      return { line: `DELETE /api/v1/entities/bright_uid/${id}`, seenBy: itemLine(id) };
    },
  },
  "DELETE /api/v1/entities/{entity_type}/{entity_value}/{category}": {
    toAnother: "not found",
    request: async (owner, id) => {
      await entity(owner, id);
      return { line: `DELETE /api/v1/entities/bright_uid/${id}/c`, seenBy: itemLine(id) };
    },
  },
  "POST /api/v1/features/register": {
    toAnother: "own",
    request: async (_, id) => ({
      line: "POST /api/v1/features/register",
      body: { ...registration(id), description: "" },
    }),
  },
  "GET /api/v1/features": {
    toAnother: "own",
    request: async (owner, id) => {
      await feature(owner, id);
      return { line: "GET /api/v1/features" };
    },
  },
  "GET /api/v1/features/{feature}": {
    toAnother: "not found",
    request: async (owner, id) => ({ line: `GET /api/v1/features/${await feature(owner, id)}` }),
  },
  "PATCH /api/v1/features/{feature}": {
    toAnother: "not found",
    request: async (owner, id) => {
      const line = `/api/v1/features/${await feature(owner, id)}`;
      return { line: `PATCH ${line}`, body: { owner: "me" }, seenBy: `GET ${line}` };
    },
  },
  "DELETE /api/v1/features/{feature}": {
    toAnother: "not found",
    request: async (owner, id) => {
      const line = `/api/v1/features/${await feature(owner, id)}`;
      return { line: `DELETE ${line}?force=true`, seenBy: `GET ${line}` };
    },
  },
  "GET /api/v1/features/{feature}/stats": {
    toAnother: "not found",
    request: async (owner, id) => ({ line: `GET /api/v1/features/${await feature(owner, id)}/stats` }),
  },
  "POST /api/v1/features/{feature}/versions": {
    toAnother: "not found",
    request: async (owner, id) => ({
      line: `POST /api/v1/features/${await feature(owner, id)}/versions`,
      body: { version: 2 },
    }),
  },
  "PATCH /api/v1/features/{feature}/versions/{version}": {
    toAnother: "not found",
    request: async (owner, id) => ({
      line: `PATCH /api/v1/features/${await feature(owner, id)}/versions/1`,
      body: { status: "active" },
    }),
  },
  "POST /api/v1/raw-tables": {
    toAnother: "own",
    request: async (_, id) => ({
      line: "POST /api/v1/raw-tables",
      body: { name: `t_${id}`, schema_definition: { user_id: "string" } },
    }),
  },
  "GET /api/v1/raw-tables": {
    toAnother: "own",
    request: async (owner, id) => {
      await rawTable(owner, id);
      return { line: "GET /api/v1/raw-tables" };
    },
  },
  "GET /api/v1/raw-tables/{table_id}": {
    toAnother: "not found",
    request: async (owner, id) => ({ line: `GET /api/v1/raw-tables/${await rawTable(owner, id)}` }),
  },
  "PATCH /api/v1/raw-tables/{table_id}": {
    toAnother: "not found",
    request: async (owner, id) => {
      const line = `/api/v1/raw-tables/${await rawTable(owner, id)}`;
      return { line: `PATCH ${line}`, body: { retention_days: null }, seenBy: `GET ${line}` };
    },
  },
  "POST /api/v1/raw-tables/{table_id}/columns": {
    toAnother: "not found",
    request: async (owner, id) => {
      const line = `/api/v1/raw-tables/${await rawTable(owner, id)}`;
      const body = { columns: [{ name: "more", type: "string" }] };
      return { line: `POST ${line}/columns`, body, seenBy: `GET ${line}` };
    },
  },
  "DELETE /api/v1/raw-tables/{table_id}": {
    toAnother: "not found",
    request: async (owner, id) => {
      const line = `/api/v1/raw-tables/${await rawTable(owner, id)}`;
      return { line: `DELETE ${line}`, seenBy: `GET ${line}` };
    },
  },
  "GET /api/v1/raw-tables/{table_id}/rows": {
    toAnother: "not found",
    request: async (owner, id) => ({
      line: `GET /api/v1/raw-tables/${await rawTable(owner, id)}/rows?column=user_id&value=${id}`,
    }),
  },
  "DELETE /api/v1/raw-tables/{table_id}/rows": {
    toAnother: "not found",
    request: async (owner, id) => {
      const line = `/api/v1/raw-tables/${await rawTable(owner, id)}/rows`;
      return { line: `DELETE ${line}?column=user_id&value=${id}`, seenBy: `GET ${line}` };
    },
  },
  "POST /api/v1/ingest": {
    toAnother: "not found",
    request: async (owner, id) => ({
      line: "POST /api/v1/ingest",
      body: { raw_table_id: await rawTable(owner, id), data: [{ user_id: id, note: "" }] },
    }),
  },
  "POST /api/v1/features": {
    toAnother: "not found",
    request: async (owner, id) => ({
      line: "POST /api/v1/features",
      body: computedFeature(id, await rawTable(owner, id)),
    }),
  },
  "POST /api/v1/features/{feature}/compute": {
    toAnother: "not found",
    request: async (owner, id) => {
      const feature = await vectors(owner, id);
      return {
        line: `POST /api/v1/features/${feature}/compute`,
        body: [{ user_id: "other", note: "" }],
        seenBy: `GET /api/v1/feature-vectors?entity_id=${id}&feature_name=${feature}`,
      };
    },
  },
  "POST /api/v1/training-sets": {
    toAnother: "own",
    request: async (owner, id) => ({
      line: "POST /api/v1/training-sets",
      body: { entity_ids: [id], timestamp: "2025-10-13T00:00:00Z", feature_names: ["c:a"] },
      seenBy: `GET ${await trainingSet(owner, id)}`,
    }),
  },
  "GET /api/v1/training-sets": {
    toAnother: "own",
    request: async (owner, id) => {
      await trainingSet(owner, id);
      return { line: "GET /api/v1/training-sets" };
    },
  },
  "GET /api/v1/training-sets/{training_set_id}": {
    toAnother: "not found",
    request: async (owner, id) => ({ line: `GET ${await trainingSet(owner, id)}` }),
  },
  "GET /api/v1/training-sets/{training_set_id}/files/{file}": {
    toAnother: "not found",
    request: async (owner, id) => ({ line: `GET ${await trainingSet(owner, id)}/files/0` }),
  },
  "DELETE /api/v1/training-sets/{training_set_id}": {
    toAnother: "not found",
    request: async (owner, id) => {
      const path = await trainingSet(owner, id);
      return { line: `DELETE ${path}`, seenBy: `GET ${path}` };
    },
  },
  "GET /api/v1/jobs/{job_id}": {
    toAnother: "not found",
    request: async (owner, id) => {
      const feature = await vectors(owner, id);
      const rows = Array.from({ length: 2_001 }, (_, i) => ({ user_id: `${id}-${i}`, note: "" }));
      const { json } = succeeded(await owner(`POST /api/v1/features/${feature}/compute`, rows));
      return { line: `GET /api/v1/jobs/${json.job_id}` };
    },
  },
  "GET /api/v1/feature-vectors": {
    toAnother: "not found",
    request: async (owner, id) => {
      const { json } = await owner(`GET /api/v1/features/${await vectors(owner, id)}`);
      const version = json.versions[0]?.feature_version_id;
      return { line: `GET /api/v1/feature-vectors?entity_id=${id}&feature_version_id=${version}` };
    },
  },
  "POST /api/v1/features/online": {
    toAnother: "own",
    request: async (owner, id) => {
      await entity(owner, id);
      return { line: "POST /api/v1/features/online", body: { entity_id: id, feature_names: ["c:a"] } };
    },
  },
  "POST /api/v1/features/batch": {
    toAnother: "own",
    request: async (owner, id) => {
      await entity(owner, id);
      const timestamp = new Date(Date.now() + 60_000).toISOString();
      return {
        line: "POST /api/v1/features/batch",
        body: { entity_ids: [id], feature_names: ["c:a"], entity_type: "bright_uid", timestamp },
      };
    },
  },
  "DELETE /api/v1/cache/invalidate/{entity_id}": {
    toAnother: "own",
    request: async (owner, id) => {
      await entity(owner, id);
      return { line: `DELETE /api/v1/cache/invalidate/${id}`, seenBy: itemLine(id) };
    },
  },
  "GET /metrics": {
    toAnother: "forbidden",
    owner: "default",
    request: async () => ({ line: "GET /metrics" }),
  },
  "GET /api/v1/metrics": {
    toAnother: "forbidden",
    owner: "default",
    request: async () => ({ line: "GET /api/v1/metrics" }),
  },
  "POST /api/v1/admin/tenants": {
    toAnother: "own",
    owner: "default",
    request: async (_, id) => ({ line: "POST /api/v1/admin/tenants", body: { name: id } }),
  },
  "GET /api/v1/admin/tenants": {
    toAnother: "own",
    owner: "default",
    request: async (owner, id) => {
      succeeded(await owner("POST /api/v1/admin/tenants", { name: `secret-${id}` }));
      return { line: "GET /api/v1/admin/tenants" };
    },
  },
  "GET /api/v1/admin/tenants/{tenant_id}": {
    toAnother: "not found",
    owner: "default",
    request: async (owner, id) => {
      succeeded(await owner("POST /api/v1/admin/tenants", { name: `secret-${id}` }));
      return { line: `GET /api/v1/admin/tenants/secret-${id}` };
    },
  },
  "DELETE /api/v1/admin/tenants/{tenant_id}": {
    toAnother: "not found",
    owner: "default",
    request: async (owner, id) => {
      succeeded(await owner("POST /api/v1/admin/tenants", { name: `secret-${id}` }));
      const path = `/api/v1/admin/tenants/secret-${id}`;
      succeeded(await owner(`PATCH ${path}`, { status: "suspended" }));
      return { line: `DELETE ${path}?name=secret-${id}`, seenBy: `GET ${path}` };
    },
  },
  "PATCH /api/v1/admin/tenants/{tenant_id}": {
    toAnother: "not found",
    owner: "default",
    request: async (owner, id) => {
      succeeded(await owner("POST /api/v1/admin/tenants", { name: `secret-${id}` }));
      const seenBy = "GET /api/v1/admin/tenants?limit=1000";
      return { line: `PATCH /api/v1/admin/tenants/secret-${id}`, body: { status: "suspended" }, seenBy };
    },
  },
  "POST /api/v1/admin/tenants/{tenant_id}/keys": {
    toAnother: "not found",
    request: async (owner, id) => {
      const { tenant } = await key(owner, id);
      return { line: `POST /api/v1/admin/tenants/${tenant}/keys`, body: { name: "k", scopes: ["read"] } };
    },
  },
  "GET /api/v1/admin/tenants/{tenant_id}/keys": {
    toAnother: "not found",
    request: async (owner, id) => {
      const { tenant } = await key(owner, id);
      return { line: `GET /api/v1/admin/tenants/${tenant}/keys` };
    },
  },
  "DELETE /api/v1/admin/tenants/{tenant_id}/keys/{key_id}": {
    toAnother: "not found",
    request: async (owner, id) => {
      const { tenant, keyId } = await key(owner, id);
      return { line: `DELETE /api/v1/admin/tenants/${tenant}/keys/${keyId}` };
    },
  },
  "GET /api/v1/admin/tenants/{tenant_id}/spread": {
    toAnother: "not found",
    owner: "default",
    request: async () => ({ line: "GET /api/v1/admin/tenants/acme/spread" }),
  },
  "POST /api/v1/admin/tenants/{tenant_id}/spread": {
    toAnother: "not found",
    owner: "default",
    request: async () => ({ line: "POST /api/v1/admin/tenants/acme/spread", body: {} }),
  },
  "POST /api/v1/subscriptions": {
    toAnother: "own",
    request: async (owner, id) => ({
      line: "POST /api/v1/subscriptions",
      body: { ...subscriptionBody(id), description: "", categories: null },
      seenBy: `GET ${await subscription(owner, id)}`,
    }),
  },
  "GET /api/v1/subscriptions": {
    toAnother: "own",
    request: async (owner, id) => {
      await subscription(owner, id);
      return { line: "GET /api/v1/subscriptions" };
    },
  },
  "GET /api/v1/subscriptions/{subscription_id}": {
    toAnother: "not found",
    request: async (owner, id) => ({ line: `GET ${await subscription(owner, id)}` }),
  },
  "PATCH /api/v1/subscriptions/{subscription_id}": {
    toAnother: "not found",
    request: async (owner, id) => {
      const path = await subscription(owner, id);
      return { line: `PATCH ${path}`, body: { description: "" }, seenBy: `GET ${path}` };
    },
  },
  "DELETE /api/v1/subscriptions/{subscription_id}": {
    toAnother: "not found",
    request: async (owner, id) => {
      const path = await subscription(owner, id);
      return { line: `DELETE ${path}`, seenBy: `GET ${path}` };
    },
  },
  "POST /api/v1/subscriptions/{subscription_id}/test": {
    toAnother: "not found",
    request: async (owner, id) => ({ line: `POST ${await subscription(owner, id)}/test` }),
  },
  "GET /api/v1/subscriptions/{subscription_id}/deliveries": {
    toAnother: "not found",
    request: async (owner, id) => ({ line: `GET ${await subscription(owner, id)}/deliveries` }),
  },
  "POST /api/v1/subscriptions/{subscription_id}/replay": {
    toAnother: "not found",
    request: async (owner, id) => ({
      line: `POST ${await subscription(owner, id)}/replay`,
      body: { dead: true },
    }),
  },
};
