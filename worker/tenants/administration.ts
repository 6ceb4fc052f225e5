/** What the endpoints of the administration share. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import type { AppContext } from "../http/context.ts";
import { lazily } from "../lazily.ts";
import { administers, DEFAULT_TENANT } from "./tenant-id.ts";
import { findTenant, type Tenant } from "./tenant-store.ts";

export const ADMINISTRATION = "administration";

export const tenantParam = lazily(() => z.object({ tenant_id: z.string().meta({ example: "acme" }) }));
export const answeredTenantId = z.string().meta({ example: "acme" });

/**
 * One that is being deleted, or was, too.
 *
 * @throws Problem 404 for another's tenant as for none: who may not administer it does not learn that it exists.
 */
export async function administered(c: AppContext, tenantId: string): Promise<Tenant> {
  const tenant = administers(c.principal.tenant, tenantId) ? await findTenant(c.env.DB, tenantId) : null;
  if (!tenant) throw noSuchTenant();
  return tenant;
}

/** @throws Problem 404 as {@link administered}, and for one that is being deleted. */
export async function assertAdministered(c: AppContext, tenantId: string): Promise<void> {
  const { status } = await administered(c, tenantId);
  if (status === "deleting" || status === "deleted") throw noSuchTenant();
}

/** @param what They do. @throws Problem 403 */
export function assertAdministersAll(c: AppContext, what: string): void {
  if (c.principal.tenant === DEFAULT_TENANT) return;
  throw new Problem(403, `only admins of the tenant \`${DEFAULT_TENANT}\` ${what}`);
}

const noSuchTenant = () => new Problem(404, "there is no such tenant");
