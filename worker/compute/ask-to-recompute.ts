/** Has the queue look at a raw table: rows have arrived in it, or what is recomputed from it is no longer the same. */
import type { AppContext } from "../http/context.ts";

/** Never fails: the table's alarm asks for it, too. */
export async function askToRecompute(c: AppContext, tableId: number): Promise<void> {
  const about = { tenant_id: c.principal.tenant, table_id: tableId };
  try {
    await c.env.FEATURE_COMPUTE.send({ kind: "ingest", ...about });
  } catch (cause) {
    c.log.warning("the queue did not take a message", about, cause);
  }
}
