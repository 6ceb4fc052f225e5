/** The raw table that a request names. */
import { Problem } from "../errors.ts";
import type { AppContext } from "../http/context.ts";
import { findRawTable, type RegisteredTable } from "./registered-tables.ts";

/**
 * @param table Its id, or its name.
 * @throws Problem 404 when the tenant has no such table.
 */
export async function existingTable(c: AppContext, table: number | string): Promise<RegisteredTable> {
  const row = await findRawTable(c.env.DB, c.principal.tenant, table);
  if (!row) throw noSuchTable();
  return row;
}

export const noSuchTable = () => new Problem(404, "there is no such raw table");
