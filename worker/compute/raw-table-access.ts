/** From a tenant's raw table to the object that holds its rows. */
import { type RawTableRef, rawTableName } from "../keys.ts";
import type { RawTable } from "./raw-table.ts";

export function rawTableObject(env: Env, tenant: string, table: RawTableRef): DurableObjectStub<RawTable> {
  return env.RAW_TABLE.getByName(rawTableName(tenant, table));
}
