/** What must be there before the first value is written: a tenant with a key, and the registered features. */
import * as z from "zod";
import { type Micros, parseTimestamp } from "../../worker/timestamps.ts";
import { CommandFault, expectStatus, type Service } from "../service.ts";
import type { FeatureDefinition } from "./definitions.ts";

const keyAnswer = z.object({ key: z.string() });
const registeredAnswer = z.object({ created_at: z.string() });

/**
 * Creates the tenant, unless it is there already, and a further key of it.
 *
 * @returns null when the service's own key may not do so: then it is a tenant's key itself.
 */
export async function createTenantKey(service: Service, tenant: string): Promise<string | null> {
  const tenants = "/api/v1/admin/tenants";
  const created = await service.post(tenants, { tenant_id: tenant, name: tenant });
  if (created.status === 403) return null;
  // 409: it is there already.
  expectStatus(created, tenants, 201, 409);
  const keys = `${tenants}/${tenant}/keys`;
  const answer = await service.post(keys, { name: "seed", scopes: ["read", "write"] });
  expectStatus(answer, keys, 201);
  return keyAnswer.parse(answer.body).key;
}

/** @returns when the first of them was registered, which no later registration changes. */
export async function registerFeatures(
  service: Service,
  definitions: readonly FeatureDefinition[],
): Promise<Micros> {
  const path = "/api/v1/features/register";
  const times: (Micros | null)[] = [];
  for (const definition of definitions) {
    const answer = await service.post(path, definition);
    expectStatus(answer, `${path} (${definition.name})`, 200, 201);
    times.push(parseTimestamp(registeredAnswer.parse(answer.body).created_at));
  }
  const [first] = times;
  if (first == null) throw new CommandFault(`POST ${path}: the answer has no created_at.`);
  return first;
}
