/**
 * Inserts a row, once for a request with an `Idempotency-Key`. Whether there may be one more is part of the statement, so
 * that two at once cannot pass a limit together; that the request is the first of its key is part of the transaction.
 */
import { and, eq, getTableColumns, type InferSelectModel, lte, type SQL, sql } from "drizzle-orm";
import type { SQLiteColumn, SQLiteTable } from "drizzle-orm/sqlite-core";
import type { Micros } from "../timestamps.ts";
import { compareRequest, type IdempotencyRecord } from "./idempotency-record.ts";
import { primary } from "./primary.ts";
import { idempotencyRecords } from "./schema.ts";

interface NewRow<T extends SQLiteTable> {
  row: InferSelectModel<T>;
  /** Whether it may be there; without it, in any case. */
  may?: SQL;
}

/** A request that is to be remembered, with what it makes. */
export interface Once {
  record: Omit<IdempotencyRecord, "attempt">;
  now: Micros;
}

/** A record: an earlier request with the key has made something, and this one nothing. */
export type Inserted = "inserted" | "refused" | IdempotencyRecord;

type Orm = ReturnType<typeof primary>;

/** @param once Null: the request is not remembered. */
export async function insertOnce<T extends SQLiteTable>(
  db: D1Database,
  table: T,
  { row, may }: NewRow<T>,
  once: Once | null,
): Promise<Inserted> {
  const orm = primary(db);
  if (!once) {
    const rows = await insertIf(orm, table, row, may).returning({ one: sql`1` });
    return rows.length > 0 ? "inserted" : "refused";
  }
  const record = { ...once.record, attempt: crypto.randomUUID() };
  const isOurs = sql`EXISTS (SELECT 1 FROM ${idempotencyRecords}
    WHERE ${isOf(record)} AND ${eq(idempotencyRecords.attempt, record.attempt)})`;
  const { fingerprint, attempt, made, expiresAt } = record;
  const [, , [found = null]] = await orm.batch([
    insertIf(orm, idempotencyRecords, record, may).onConflictDoUpdate({
      target: [idempotencyRecords.tenantId, idempotencyRecords.key],
      set: { fingerprint, attempt, made, expiresAt },
      // Nobody is answered from it any more.
      setWhere: lte(idempotencyRecords.expiresAt, once.now),
    }),
    insertIf(orm, table, row, isOurs),
    orm.select().from(idempotencyRecords).where(isOf(record)),
  ]);
  if (found === null || compareRequest(found, fingerprint, once.now) === "first") return "refused";
  return found.attempt === attempt ? "inserted" : found;
}

function insertIf<T extends SQLiteTable>(orm: Orm, table: T, row: InferSelectModel<T>, condition?: SQL) {
  const columns = Object.keys(getTableColumns(table)) as (keyof typeof row)[];
  const values = sql.join(
    columns.map((name) => sql`${row[name]}`),
    sql`, `,
  );
  return orm.insert(table).select(sql`SELECT ${values} WHERE ${condition ?? sql`true`}`);
}

const isOf = ({ tenantId, key }: Pick<IdempotencyRecord, "tenantId" | "key">) =>
  and(eq(idempotencyRecords.tenantId, tenantId), eq(idempotencyRecords.key, key));

/** Whether a tenant has fewer rows in a table than it may. */
export function isBelow(
  table: SQLiteTable & { tenantId: SQLiteColumn },
  tenantId: string,
  most: number,
): SQL {
  return sql`(SELECT count(*) FROM ${table} WHERE ${eq(table.tenantId, tenantId)}) < ${most}`;
}

/** @returns null when there is none; one whose time is over may still be there. */
export async function findRecord(
  db: D1Database,
  of: Pick<IdempotencyRecord, "tenantId" | "key">,
): Promise<IdempotencyRecord | null> {
  const [found] = await primary(db).select().from(idempotencyRecords).where(isOf(of));
  return found ?? null;
}

/** For all tenants. */
export async function removeOldRecords(db: D1Database, now: Micros): Promise<void> {
  await primary(db).delete(idempotencyRecords).where(lte(idempotencyRecords.expiresAt, now));
}
