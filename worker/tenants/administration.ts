/** What the endpoints of the administration share. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import type { AppContext } from "../http/context.ts";
import { administers } from "./tenant-id.ts";
import { hasTenant } from "./tenant-store.ts";

export const ADMINISTRATION = "administration";

export const answeredTenantId = z.string().meta({ example: "acme" });

/** @throws Problem 404 for another's tenant as for none: who may not administer it does not learn that it exists. */
export async function assertAdministered(c: AppContext, tenantId: string): Promise<void> {
  if (administers(c.principal.tenant, tenantId) && (await hasTenant(c.env.DB, tenantId))) return;
  throw new Problem(404, "there is no such tenant");
}
