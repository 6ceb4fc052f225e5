/** Asking the service as it is deployed: nobody is let in without a key. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { app } from "../../worker/app.ts";
import { answerKnownFirst } from "../../worker/http/known-addresses.ts";
import {
  formatApiKey,
  hashSecret,
  type KeyRecord,
  newApiKey,
  SCOPES,
  type Scope,
} from "../../worker/tenants/api-key.ts";
import { insertKey } from "../../worker/tenants/key-store.ts";
import { insertTenant } from "../../worker/tenants/tenant-store.ts";
import { nowMicros } from "../../worker/timestamps.ts";

export const production: Env = { ...env, ENVIRONMENT: "production" };

/** Every field that these tests look into, of whatever answer. */
export interface Body {
  id: number;
  job_id: string;
  versions: { feature_version_id: number }[];
  tenant_id: string;
  key_id: string;
  subscription_id: string;
  training_set_id: string;
  key: string;
  tenants: { tenant_id: string }[];
  keys: { key_id: string }[];
  next_cursor: string | null;
  title: string;
  detail: string;
  errors: { loc: (string | number)[] }[];
}

export interface Answer {
  status: number;
  text: string;
  headers: Headers;
  json: Body;
}

export interface AskOptions {
  key?: string | undefined;
  body?: unknown;
  headers?: Record<string, string>;
  env?: Env;
}

export async function ask(line: string, options: AskOptions = {}): Promise<Answer> {
  const [method = "", path = ""] = line.split(" ");
  const { key, body } = options;
  const request = new Request(`http://store.test${path}`, {
    method,
    headers: {
      ...(key !== undefined && { "x-api-key": key }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...options.headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const context = createExecutionContext();
  const response = await answerKnownFirst(app)(request, options.env ?? production, context);
  const text = await response.text();
  await waitOnExecutionContext(context);
  const isJson = response.headers.get("content-type")?.includes("json") ?? false;
  return { status: response.status, text, headers: response.headers, json: isJson ? JSON.parse(text) : null };
}

export const PEPPER = env.API_KEY_SECRET ?? "";

/** Puts a key straight into the table, in any state. */
export async function storedKey(
  tenantId: string,
  scopes: Scope[],
  over: Partial<KeyRecord> = {},
): Promise<{ key: string; keyId: string }> {
  const apiKey = newApiKey(PEPPER);
  await insertKey(env.DB, {
    keyId: apiKey.keyId,
    tenantId,
    name: "test",
    secretHash: hashSecret(apiKey.secret, PEPPER),
    scopes: new Set(scopes),
    createdAt: nowMicros(),
    expiresAt: null,
    revokedAt: null,
    ...over,
  });
  return { key: formatApiKey(apiKey), keyId: apiKey.keyId };
}

/** A key of ours in all but that the secret is not the one that is stored. */
export async function ofAnotherSecret(tenantId: string): Promise<string> {
  const { key } = await storedKey(tenantId, [...SCOPES], { secretHash: hashSecret("another", PEPPER) });
  return key;
}

/** As if it had been decided when so many databases were bound. */
export const setSpread = (tenantId: string, databases: number) =>
  env.DB.prepare("UPDATE tenants SET databases = ? WHERE tenant_id = ?").bind(databases, tenantId).run();

export async function storedTenant(tenantId: string): Promise<string> {
  await insertTenant(env.DB, { tenantId, name: tenantId, createdAt: nowMicros() });
  return tenantId;
}
