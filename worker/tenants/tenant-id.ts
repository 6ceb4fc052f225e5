/** A tenant's id: the first part of every key of its data. No I/O in here. */

/** The tenant of development, and of the keys that administer all others. */
export const DEFAULT_TENANT = "default";

export const MAX_TENANT_ID_CHARACTERS = 64;

/** What an id may be; it stands in KV keys and object names, and is typed by people. */
export const TENANT_ID = new RegExp(`^[a-z0-9][a-z0-9_-]{0,${MAX_TENANT_ID_CHARACTERS - 1}}$`);

/**
 * `"Große Bank, Inc."` → `"gro-e-bank-inc"`, `"Crédit"` → `"credit"`.
 *
 * @returns null when nothing of the name is left, as of one in another script.
 */
export function tenantIdFrom(name: string): string | null {
  const id = name
    .normalize("NFKD")
    .replaceAll(/\p{Mark}/gu, "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]+/g, "-")
    .replaceAll(/^[_-]+/g, "")
    .slice(0, MAX_TENANT_ID_CHARACTERS)
    .replaceAll(/[_-]+$/g, "");
  return id === "" ? null : id;
}

/** An admin of the default tenant administers all tenants, any other its own alone. */
export function administers(ownTenant: string, tenantId: string): boolean {
  return ownTenant === DEFAULT_TENANT || ownTenant === tenantId;
}
