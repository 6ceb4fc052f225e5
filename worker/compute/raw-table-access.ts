/** From a tenant's raw table to the object that holds its rows. */
import { rawTableName } from "../keys.ts";
import type { RawTable } from "./raw-table.ts";

export function rawTableObject(env: Env, tenant: string, tableId: number): DurableObjectStub<RawTable> {
  return env.RAW_TABLE.getByName(rawTableName(tenant, tableId));
}
