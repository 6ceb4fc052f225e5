/** Tenants in D1. `default` is there from the migrations on. */
import { and, asc, eq, gt, inArray, ne, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { type Inserted, insertOnce, type Once } from "../db/insert-once.ts";
import { primary } from "../db/primary.ts";
import { tenants } from "../db/schema.ts";

export type Tenant = typeof tenants.$inferSelect;

export type NewTenant = Pick<Tenant, "tenantId" | "name" | "createdAt">;

/** Refused where the id is taken, or was. */
export function insertTenant(db: D1Database, made: NewTenant, once: Once | null = null): Promise<Inserted> {
  const tenant: Tenant = { databases: null, status: "active", ...made };
  const may = sql`NOT EXISTS (SELECT 1 FROM ${tenants} WHERE ${eq(tenants.tenantId, tenant.tenantId)})`;
  return insertOnce(db, tenants, { row: tenant, may }, once);
}

export async function findTenant(db: D1Database, tenantId: string): Promise<Tenant | null> {
  const [found] = await primary(db).select().from(tenants).where(eq(tenants.tenantId, tenantId));
  return found ?? null;
}

/** Suspends it, or resumes it. @returns null where it is being deleted. */
export async function changeStatus(
  db: D1Database,
  tenantId: string,
  status: (typeof CHANGEABLE)[number],
): Promise<Tenant | null> {
  const [changed] = await primary(db)
    .update(tenants)
    .set({ status })
    .where(and(eq(tenants.tenantId, tenantId), inArray(tenants.status, CHANGEABLE)))
    .returning();
  return changed ?? null;
}

export const CHANGEABLE = ["active", "suspended"] as const;

/** In the order of their ids, without those that are deleted. @param page.only When given, this tenant alone. */
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
        ne(tenants.status, "deleted"),
        only === null ? undefined : eq(tenants.tenantId, only),
        after === null ? undefined : gt(tenants.tenantId, after),
      ),
    )
    .orderBy(asc(tenants.tenantId))
    .limit(limit);
}
