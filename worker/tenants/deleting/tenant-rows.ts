/** The rows of a tenant, in whatever table, and their removal. */
import { getTableName } from "drizzle-orm";
import * as schema from "../../db/schema.ts";
import { RETENTION_TASK } from "../../history/retention.ts";
import { MOVE_DELETED_ROWS } from "../../limits.ts";
import { DEFAULT_TENANT } from "../tenant-id.ts";

/** Their rows name an object, which has to be told first; and of the tenant itself its id stays. */
const OTHERWISE: readonly unknown[] = [schema.tenants, schema.rawTables, schema.subscriptions];

/** Every other table that has rows of tenants: taken from the schema, so that none is forgotten. */
export const TENANT_TABLES: readonly string[] = Object.values(schema)
  .filter((table) => "tenantId" in table && !OTHERWISE.includes(table))
  .map(getTableName);

/**
 * What names the tenant in rows that are nobody's: the fence of a move, which without its row is up for ever, where the
 * retention goes on, which then begins anew, and what the administrators have made by an `Idempotency-Key`.
 */
const ELSEWHERE = [
  "DELETE FROM maintenance WHERE task = 'move/' || ?1",
  `DELETE FROM maintenance WHERE task = '${RETENTION_TASK}' AND cursor ->> '$.place[0]' = ?1`,
  `DELETE FROM idempotency_records WHERE tenant_id = '${DEFAULT_TENANT}' AND made ->> 'tenantId' = ?1`,
];

/** Some of each table. @returns how many rows; 0: there are no more. */
export async function removeSomeRows(db: D1Database, tenant: string): Promise<number> {
  const some = TENANT_TABLES.map(
    (table) =>
      `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE tenant_id = ?1 LIMIT ${MOVE_DELETED_ROWS})`,
  );
  const results = await db.batch([...some, ...ELSEWHERE].map((sql) => db.prepare(sql).bind(tenant)));
  return results.slice(0, some.length).reduce((sum, { meta }) => sum + meta.changes, 0);
}
