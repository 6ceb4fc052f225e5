/**
 * Subscriptions in D1. What comes back is parsed; a signing secret never is here, only the nonce it is made with, and an
 * authorization only encrypted.
 */
import { and, asc, eq, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import * as z from "zod";
import { type Inserted, insertOnce, isBelow, type Once } from "../db/insert-once.ts";
import { subscriptions } from "../db/schema.ts";
import type { Position } from "../http/pages.ts";
import { MAX_SUBSCRIPTIONS_PER_TENANT } from "../limits.ts";
import type { Micros } from "../timestamps.ts";
import type { Filters } from "./match-subscriptions.ts";

type Row = typeof subscriptions.$inferSelect;

export type Subscription = Omit<Row, keyof Filters> & {
  entityTypes: string[] | null;
  categories: string[] | null;
  features: string[] | null;
};

/** What of a subscription may change. */
type SubscriptionChange = Partial<
  Pick<
    Subscription,
    "status" | "url" | "description" | "entityTypes" | "categories" | "features" | "authorization"
  >
>;

const storedNames = z.array(z.string());

function toSubscription(row: Row): Subscription {
  return {
    ...row,
    entityTypes: readNames(row.entityTypes),
    categories: readNames(row.categories),
    features: readNames(row.features),
  };
}

function readNames(text: string | null): string[] | null {
  return text === null ? null : storedNames.parse(JSON.parse(text));
}

function writeNames(names: readonly string[] | null): string | null {
  return names && JSON.stringify(names);
}

/** Refused where the tenant has as many as it may. */
export function insertSubscription(
  db: D1Database,
  subscription: Subscription,
  once: Once | null = null,
): Promise<Inserted> {
  const row: Row = {
    ...subscription,
    entityTypes: writeNames(subscription.entityTypes),
    categories: writeNames(subscription.categories),
    features: writeNames(subscription.features),
  };
  const may = isBelow(subscriptions, row.tenantId, MAX_SUBSCRIPTIONS_PER_TENANT);
  return insertOnce(db, subscriptions, { row, may }, once);
}

export type SubscriptionKey = Pick<Subscription, "tenantId" | "subscriptionId">;

function isThis({ tenantId, subscriptionId }: SubscriptionKey): SQL | undefined {
  return and(eq(subscriptions.tenantId, tenantId), eq(subscriptions.subscriptionId, subscriptionId));
}

export async function findSubscription(db: D1Database, key: SubscriptionKey): Promise<Subscription | null> {
  const [row] = await drizzle(db).select().from(subscriptions).where(isThis(key));
  return row ? toSubscription(row) : null;
}

/** The subscriptions of several tenants, with one query. */
export async function subscriptionsOf(db: D1Database, tenants: readonly string[]): Promise<Subscription[]> {
  const rows = await drizzle(db)
    .select()
    .from(subscriptions)
    .where(sql`${subscriptions.tenantId} in (select value from json_each(${JSON.stringify(tenants)}))`);
  return rows.map(toSubscription);
}

/** In the order of their creation. */
export async function selectSubscriptions(
  db: D1Database,
  tenantId: string,
  { after, limit }: { after: Position | null; limit: number },
): Promise<Subscription[]> {
  const { createdAt, subscriptionId } = subscriptions;
  const isLater = after && sql`(${createdAt}, ${subscriptionId}) > (${after.createdAt}, ${after.id})`;
  const rows = await drizzle(db)
    .select()
    .from(subscriptions)
    .where(and(eq(subscriptions.tenantId, tenantId), isLater ?? undefined))
    .orderBy(asc(createdAt), asc(subscriptionId))
    .limit(limit);
  return rows.map(toSubscription);
}

/**
 * Every change makes `updated_at` higher, so that of two versions the newer one can be told.
 *
 * @param onlyIf The version that it is a change of; without it, of any.
 * @returns null when there is none, or its version is another.
 */
export async function updateSubscription(
  db: D1Database,
  key: SubscriptionKey,
  { change, now, onlyIf }: { change: SubscriptionChange; now: Micros; onlyIf?: Micros },
): Promise<Subscription | null> {
  const { entityTypes, categories, features, ...plain } = change;
  const [row] = await drizzle(db)
    .update(subscriptions)
    .set({
      ...plain,
      ...(entityTypes !== undefined && { entityTypes: writeNames(entityTypes) }),
      ...(categories !== undefined && { categories: writeNames(categories) }),
      ...(features !== undefined && { features: writeNames(features) }),
      updatedAt: sql`max(${now}, ${subscriptions.updatedAt} + 1)`,
    })
    .where(and(isThis(key), onlyIf === undefined ? undefined : eq(subscriptions.updatedAt, onlyIf)))
    .returning();
  return row ? toSubscription(row) : null;
}

/** @returns whether there was one. */
export async function removeSubscription(db: D1Database, key: SubscriptionKey): Promise<boolean> {
  const gone = await drizzle(db)
    .delete(subscriptions)
    .where(isThis(key))
    .returning({ id: subscriptions.subscriptionId });
  return gone.length > 0;
}
