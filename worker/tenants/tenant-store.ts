/** Tenants in D1. `default` is there from the migrations on. */
import { and, asc, eq, gt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { type Inserted, insertOnce, type Once } from "../db/insert-once.ts";
import { tenants } from "../db/schema.ts";

export type Tenant = typeof tenants.$inferSelect;

/** Refused where the id is taken. */
export function insertTenant(db: D1Database, tenant: Tenant, once: Once | null = null): Promise<Inserted> {
  const may = sql`NOT EXISTS (SELECT 1 FROM ${tenants} WHERE ${eq(tenants.tenantId, tenant.tenantId)})`;
  return insertOnce(db, tenants, { row: tenant, may }, once);
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
