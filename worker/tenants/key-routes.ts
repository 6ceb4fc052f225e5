/** API keys of tenants: creating, listing and revoking them. */
import * as z from "zod";
import { pepperOf } from "../env.ts";
import { Problem, unprocessable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { audit } from "../http/audit.ts";
import { createOnce } from "../http/create-once.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredTimestamp, nameField, timestamp } from "../http/fields.ts";
import { formatPosition, nextCursor, pageOf, pageQuery, positionIn } from "../http/pages.ts";
import { lazily } from "../lazily.ts";
import { formatTimestamp, type Micros, nowMicros, timestampOrNull } from "../timestamps.ts";
import { KEY_MEMORY_MS } from "../timings.ts";
import { replayedHeader, writeRequestHeaders } from "../writing/submit-request.ts";
import { ADMINISTRATION, answeredTenantId, assertAdministered, tenantParam } from "./administration.ts";
import {
  apiKeyOf,
  formatApiKey,
  hashSecret,
  type KeyRecord,
  type KeySeed,
  newKeySeed,
  SCOPES,
  type Scope,
} from "./api-key.ts";
import { keyMemory } from "./key-memory.ts";
import { insertKey, revokeKey, selectKeys } from "./key-store.ts";
import { administers } from "./tenant-id.ts";

const KEY_ID = /^[0-9a-f]+$/;

const scopes = z
  .array(z.enum(SCOPES))
  .min(1)
  .meta({
    description: "A key may do what it lists; `admin` implies neither `read` nor `write`.",
    example: ["read", "write"],
  });

const key = lazily(() => ({
  key_id: z.string().meta({ example: "5f0c3f0e7e3c4d6b" }),
  tenant_id: answeredTenantId,
  name: z.string().meta({ example: "serving" }),
  scopes,
  created_at: answeredTimestamp,
  expires_at: answeredTimestamp.nullable(),
  revoked_at: answeredTimestamp.nullable().meta({ example: null }),
}));
const keySchema = lazily(() => z.object(key()).meta({ id: "Key" }));
const newKeySchema = lazily(() =>
  z
    .object({
      ...key(),
      key: z.string().meta({
        description: "Shown now and never again, but to a repetition with the same `Idempotency-Key`.",
        example: "fs_<key_id>_<secret>",
      }),
    })
    .meta({ id: "NewKey" }),
);

const createKey = endpoint(
  {
    method: "post",
    path: "/api/v1/admin/tenants/{tenant_id}/keys",
    tag: ADMINISTRATION,
    summary: "Create a key",
    description: "A tenant may have several: to rotate, create the new one, move to it, revoke the old one.",
    scope: "admin",
    request: {
      param: tenantParam,
      json: () =>
        z.object({
          name: nameField("What the key is for.", "serving"),
          scopes,
          expires_at: timestamp.nullable().optional().meta({
            description: "When the key ends: a time to come, with a zone. Never, without it.",
            example: "2030-01-01T00:00:00+00:00",
          }),
        }),
    },
    requestHeaders: writeRequestHeaders,
    answers: { 201: { description: "Created.", schema: newKeySchema, headers: replayedHeader } },
    problems: [404],
  },
  async (c, { param, json }) => {
    await assertAdministered(c, param.tenant_id);
    const pepper = pepperOf(c.settings, "keys cannot be created");
    const { made, isNew, headers } = await createOnce<MadeKey>(c, {
      make: () => {
        const [createdAt, expiresAt] = [nowMicros(), json.expires_at ?? null];
        assertToCome(expiresAt, createdAt);
        const { name, scopes } = json;
        return { ...newKeySeed(), tenantId: param.tenant_id, name, scopes, createdAt, expiresAt };
      },
      insert: (key, once) => insertKey(c.env.DB, recordOf(key, pepper), once),
    });
    audit(c, isNew ? "key created" : "key shown again", namesOf(made));
    const answer = { ...keyAnswer(recordOf(made, pepper)), key: formatApiKey(apiKeyOf(made, pepper)) };
    return jsonAnswer(answer, 201, headers);
  },
);

/** What is remembered of a key's creation. */
type MadeKey = KeySeed &
  Pick<KeyRecord, "tenantId" | "name" | "createdAt" | "expiresAt"> & { scopes: Scope[] };

function recordOf({ nonce, scopes, ...made }: MadeKey, pepper: string): KeyRecord {
  const { secret } = apiKeyOf({ keyId: made.keyId, nonce }, pepper);
  return { ...made, scopes: new Set(scopes), secretHash: hashSecret(secret, pepper), revokedAt: null };
}

const listKeys = endpoint(
  {
    method: "get",
    path: "/api/v1/admin/tenants/{tenant_id}/keys",
    tag: ADMINISTRATION,
    summary: "List a tenant's keys",
    scope: "admin",
    request: { param: tenantParam, query: pageQuery },
    answers: {
      200: {
        description: "A page of keys, oldest first, those that are over too; never their secrets.",
        schema: lazily(() =>
          z.object({ keys: z.array(keySchema()), next_cursor: nextCursor }).meta({ id: "Keys" }),
        ),
      },
    },
    problems: [404],
  },
  async (c, { param, query }) => {
    const after = positionIn(query.cursor, KEY_ID);
    await assertAdministered(c, param.tenant_id);
    const found = await selectKeys(c.env.DB, param.tenant_id, { after, limit: query.limit + 1 });
    const { rows, last } = pageOf(found, query.limit);
    const next_cursor = last ? formatPosition({ createdAt: last.createdAt, id: last.keyId }) : null;
    return jsonAnswer({ keys: rows.map(keyAnswer), next_cursor });
  },
);

const deleteKey = endpoint(
  {
    method: "delete",
    path: "/api/v1/admin/tenants/{tenant_id}/keys/{key_id}",
    tag: ADMINISTRATION,
    summary: "Revoke a key",
    description: `It is refused everywhere within ${KEY_MEMORY_MS / 1_000} seconds. Revoking it again changes nothing.`,
    scope: "admin",
    request: {
      param: () => tenantParam().extend({ key_id: z.string().meta({ example: "5f0c3f0e7e3c4d6b" }) }),
    },
    answers: {
      200: {
        description: "It is revoked.",
        schema: lazily(() =>
          z
            .object({ key_id: key().key_id, tenant_id: answeredTenantId, revoked_at: answeredTimestamp })
            .meta({ id: "RevokedKey" }),
        ),
      },
    },
    problems: [404],
  },
  async (c, { param }) => {
    const revoked = { tenantId: param.tenant_id, keyId: param.key_id };
    const isOurs = administers(c.principal.tenant, param.tenant_id);
    const revokedAt = isOurs ? await revokeKey(c.env.DB, revoked, nowMicros()) : null;
    if (revokedAt === null) throw new Problem(404, "there is no such key");
    keyMemory.clear();
    audit(c, "key revoked", namesOf(revoked));
    return jsonAnswer({ ...param, revoked_at: formatTimestamp(revokedAt) });
  },
);

/** @throws Problem 422 for an expiry that is over already. */
function assertToCome(expiresAt: Micros | null, now: Micros): void {
  if (expiresAt === null || expiresAt > now) return;
  throw unprocessable({ loc: ["body", "expires_at"], msg: "must be in the future", type: "in_the_past" });
}

const namesOf = ({ tenantId, keyId }: Pick<KeyRecord, "tenantId" | "keyId">) => ({
  tenant_id: tenantId,
  key_id: keyId,
});

function keyAnswer(record: KeyRecord) {
  const { expiresAt, revokedAt } = record;
  return {
    key_id: record.keyId,
    tenant_id: record.tenantId,
    name: record.name,
    scopes: SCOPES.filter((scope) => record.scopes.has(scope)),
    created_at: formatTimestamp(record.createdAt),
    expires_at: timestampOrNull(expiresAt),
    revoked_at: timestampOrNull(revokedAt),
  };
}

export const keyEndpoints = [createKey, listKeys, deleteKey];
