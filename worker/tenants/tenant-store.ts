/** Tenants in D1. `default` is there from the migrations on. */
import { and, asc, eq, gt } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { tenants } from "../db/schema.ts";

export type Tenant = typeof tenants.$inferSelect;

export async function insertTenant(db: D1Database, tenant: Tenant): Promise<"inserted" | "taken"> {
  const rows = await drizzle(db)
    .insert(tenants)
    .values(tenant)
    .onConflictDoNothing()
    .returning({ tenantId: tenants.tenantId });
  return rows.length > 0 ? "inserted" : "taken";
}

export async function hasTenant(db: D1Database, tenantId: string): Promise<boolean> {
  const rows = await drizzle(db)
    .select({ tenantId: tenants.tenantId })
    .from(tenants)
    .where(eq(tenants.tenantId, tenantId));
  return rows.length > 0;
}

/** In the order of their ids. @param page.only When given, this tenant alone. */
export function selectTenants(
  db: D1Database,
  page: { only: string | null; after: string | null; limit: number },
): Promise<Tenant[]> {
  const { only, after, limit } = page;
  return drizzle(db)
    .select()
    .from(tenants)
    .where(
      and(
        only === null ? undefined : eq(tenants.tenantId, only),
        after === null ? undefined : gt(tenants.tenantId, after),
      ),
    )
    .orderBy(asc(tenants.tenantId))
    .limit(limit);
}
