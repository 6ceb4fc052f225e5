/** The key of a schedule's tenant. */
import { env } from "cloudflare:workers";
import type { apiKeys } from "../../worker/db/schema.ts";
import { formatApiKey, hashSecret, newApiKey, SCOPES } from "../../worker/tenants/api-key.ts";

/** With the row that makes it valid. */
export function newTenantKey(
  tenantId: string,
  createdAt: number,
): { key: string; row: typeof apiKeys.$inferInsert } {
  const pepper = env.API_KEY_SECRET ?? "";
  const { keyId, secret } = newApiKey(pepper);
  const row = {
    keyId,
    tenantId,
    name: "faults",
    secretHash: hashSecret(secret, pepper),
    scopes: JSON.stringify(SCOPES),
    createdAt,
    expiresAt: null,
    revokedAt: null,
  };
  return { key: formatApiKey({ keyId, secret }), row };
}
