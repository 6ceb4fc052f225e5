/** API keys in D1. What comes back is parsed; a secret never is here, only its hash. */
import { and, asc, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import * as z from "zod";
import { type Inserted, insertOnce, type Once } from "../db/insert-once.ts";
import { apiKeys, tenants } from "../db/schema.ts";
import type { Position } from "../http/pages.ts";
import type { Micros } from "../timestamps.ts";
import { type FoundKey, type KeyRecord, SCOPES } from "./api-key.ts";

const storedScopes = z.array(z.enum(SCOPES));

function toRecord(row: typeof apiKeys.$inferSelect): KeyRecord {
  return { ...row, scopes: new Set(storedScopes.parse(JSON.parse(row.scopes))) };
}

/** Asks the primary, not a replica: a revocation, or suspension, is seen by the first look-up after it. */
export async function findKey(db: D1Database, keyId: string): Promise<FoundKey | null> {
  const [row] = await drizzle(db)
    .select({ key: apiKeys, status: tenants.status })
    .from(apiKeys)
    .leftJoin(tenants, eq(tenants.tenantId, apiKeys.tenantId))
    .where(eq(apiKeys.keyId, keyId));
  return row ? { ...toRecord(row.key), isSuspended: (row.status ?? "active") !== "active" } : null;
}

export function insertKey(db: D1Database, record: KeyRecord, once: Once | null = null): Promise<Inserted> {
  const row = { ...record, scopes: JSON.stringify([...record.scopes]) };
  return insertOnce(db, apiKeys, { row }, once);
}

/** In the order of their creation. */
export async function selectKeys(
  db: D1Database,
  tenantId: string,
  page: { after: Position | null; limit: number },
): Promise<KeyRecord[]> {
  const { after, limit } = page;
  const isLater = after && sql`(${apiKeys.createdAt}, ${apiKeys.keyId}) > (${after.createdAt}, ${after.id})`;
  const rows = await drizzle(db)
    .select()
    .from(apiKeys)
    .where(and(eq(apiKeys.tenantId, tenantId), isLater ?? undefined))
    .orderBy(asc(apiKeys.createdAt), asc(apiKeys.keyId))
    .limit(limit);
  return rows.map(toRecord);
}

/**
 * Revokes once: a repetition leaves the first time as it is.
 *
 * @returns when it was revoked; null when the tenant has no such key.
 */
export async function revokeKey(
  db: D1Database,
  key: Pick<KeyRecord, "tenantId" | "keyId">,
  now: Micros,
): Promise<Micros | null> {
  const [row] = await drizzle(db)
    .update(apiKeys)
    .set({ revokedAt: sql`coalesce(${apiKeys.revokedAt}, ${now})` })
    .where(and(eq(apiKeys.tenantId, key.tenantId), eq(apiKeys.keyId, key.keyId)))
    .returning({ revokedAt: apiKeys.revokedAt });
  return row?.revokedAt ?? null;
}
