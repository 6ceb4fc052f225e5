/** Deleting a tenant with all that it has, and how far that is. */
import * as z from "zod";
import { Problem, unprocessable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { audit } from "../http/audit.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredTimestamp, nameField } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { formatTimestamp } from "../timestamps.ts";
import { ADMINISTRATION, administered, assertAdministersAll, tenantParam } from "./administration.ts";
import { assertAllBound, passOn } from "./deleting/continue-deletion.ts";
import { type Deletion, STEPS } from "./deleting/deletion.ts";
import { beginDeletion, findDeletion } from "./deleting/deletion-store.ts";
import { tenantAnswer, tenantFields } from "./routes.ts";
import { DEFAULT_TENANT } from "./tenant-id.ts";
import type { Tenant } from "./tenant-store.ts";

const schema = lazily(() =>
  z
    .object({
      ...tenantFields(),
      deletion: z
        .object({
          step: z.enum(STEPS).meta({
            description: "What is removed now, or from `next_at` on.",
            example: "rows",
          }),
          removed: z.int().meta({ description: "Rows, documents and files so far.", example: 12_000 }),
          next_at: answeredTimestamp.nullable().meta({ example: null }),
        })
        .nullable(),
    })
    .meta({ id: "TenantState" }),
);

const path = "/api/v1/admin/tenants/{tenant_id}";

const getTenant = endpoint(
  {
    method: "get",
    path,
    tag: ADMINISTRATION,
    summary: "A tenant, and how far its deletion is",
    scope: "admin",
    request: { param: tenantParam },
    answers: { 200: { description: "The tenant.", schema } },
    problems: [404],
  },
  async (c, { param }) => jsonAnswer(await stateOf(c, await administered(c, param.tenant_id))),
);

const deleteTenant = endpoint(
  {
    method: "delete",
    path,
    tag: ADMINISTRATION,
    summary: "Delete a tenant with all that it has",
    description: `For admins of the tenant \`${DEFAULT_TENANT}\`; of a suspended tenant. It takes half an hour or longer, and cannot be undone.`,
    scope: "admin",
    request: {
      param: tenantParam,
      // Not in a body: of a DELETE some clients send none, and some proxies pass none on.
      query: () => z.object({ name: nameField("The tenant's name, to confirm it.", "Acme") }),
    },
    answers: { 202: { description: "Begun, or over.", schema } },
    problems: [404, 409],
  },
  async (c, { param: { tenant_id: id }, query }) => {
    const tenant = await administered(c, id);
    assertAdministersAll(c, "delete tenants");
    assertMayGo(tenant, query.name);
    await assertAllBound({ env: c.env, log: c.log, tenant: id });
    await beginDeletion(c.env.DB, id);
    const found = await findDeletion(c.env.DB, id);
    if (found) {
      audit(c, "tenant is being deleted", { tenant_id: id });
      await passOn({ env: c.env, log: c.log, tenant: id }, found.deletion);
    }
    const now = await administered(c, id);
    if (now.status === "active") throw notSuspended();
    return jsonAnswer(await stateOf(c, now), 202);
  },
);

/** @throws Problem 409, 422 */
function assertMayGo({ tenantId, status, name }: Tenant, confirmed: string): void {
  if (tenantId === DEFAULT_TENANT) throw new Problem(409, `the tenant \`${tenantId}\` cannot be deleted`);
  if (status === "active") throw notSuspended();
  // Of a deleted one the name is gone too.
  if (status === "deleted" || confirmed === name) return;
  throw unprocessable({ loc: ["query", "name"], msg: "must be the name of the tenant", type: "value_error" });
}

/** It may have been resumed in this moment. */
const notSuspended = () => new Problem(409, "the tenant is active: suspend it first");

async function stateOf({ env }: AppContext, tenant: Tenant) {
  const found = tenant.status === "deleting" ? await findDeletion(env.DB, tenant.tenantId) : null;
  return { ...tenantAnswer(tenant), deletion: found && deletionAnswer(found.deletion) };
}

function deletionAnswer({ step, removed, fromMs }: Deletion) {
  return { step, removed, next_at: fromMs > Date.now() ? formatTimestamp(fromMs * 1_000) : null };
}

export const deletionEndpoints = [getTenant, deleteTenant];
