/** From a tenant's raw table to the object that holds its rows. */
import type { RawTable } from "./raw-table.ts";

/** The tenant comes first in the name, as in every key. */
export function rawTableObject(env: Env, tenant: string, tableId: number): DurableObjectStub<RawTable> {
  return env.RAW_TABLE.getByName(`${encodeURIComponent(tenant)}/raw/${tableId}`);
}
