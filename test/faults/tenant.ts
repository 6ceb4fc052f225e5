/** The tenant of a schedule with several databases, put into D1 at once, and its key. */
import { env } from "cloudflare:workers";
import { drizzle } from "drizzle-orm/d1";
import { apiKeys, pastEntityTypes, tenants } from "../../worker/db/schema.ts";
import { newTenantKey } from "./key.ts";
import type { Spread } from "./spread.ts";
import { START_MS } from "./world.ts";

const NOW = START_MS * 1_000;

export function tenantOf(tenantId: string, { databases, isDecided }: Spread): typeof tenants.$inferInsert {
  return { tenantId, name: "faults", createdAt: NOW, databases: isDecided ? databases : null };
}

/** @returns its key. */
export async function makeTenant(tenantId: string, spread: Spread): Promise<string> {
  const { key, row } = newTenantKey(tenantId, NOW);
  const all = drizzle(env.DB);
  await all.batch([
    all.insert(tenants).values(tenantOf(tenantId, spread)),
    all.insert(pastEntityTypes).values({ tenantId, entityType: "merchant" }),
    all.insert(apiKeys).values(row),
  ]);
  return key;
}

/** Over how many it is spread was decided once, or not yet. */
export async function faultOfTenant(
  tenantId: string,
  { databases, isDecided }: Spread,
): Promise<string | null> {
  const found = await env.DB.prepare("SELECT databases FROM tenants WHERE tenant_id = ?")
    .bind(tenantId)
    .first<number>("databases");
  return found === databases || (found === null && !isDecided)
    ? null
    : `the tenant is spread over ${found} databases, not ${databases}`;
}
