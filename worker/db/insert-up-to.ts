/** Inserts a tenant's row unless it has as many as it may. The limit is part of the statement: two at once cannot pass it together. */
import { eq, getTableColumns, type InferSelectModel, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { SQLiteColumn, SQLiteTable } from "drizzle-orm/sqlite-core";

export async function insertUpTo<T extends SQLiteTable & { tenantId: SQLiteColumn }>(
  db: D1Database,
  table: T,
  { row, most }: { row: InferSelectModel<T> & { tenantId: string }; most: number },
): Promise<"inserted" | "too many"> {
  const columns = Object.entries(getTableColumns(table));
  const names = sql.join(
    columns.map(([, { name }]) => sql.identifier(name)),
    sql`, `,
  );
  const values = sql.join(
    columns.map(([key]) => sql`${row[key as keyof typeof row]}`),
    sql`, `,
  );
  const { meta } = await drizzle(db).run(sql`
    insert into ${table} (${names}) select ${values}
    where (select count(*) from ${table} where ${eq(table.tenantId, row.tenantId)}) < ${most}`);
  return meta.changes === 1 ? "inserted" : "too many";
}
