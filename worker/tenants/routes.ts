/** Tenants: creating and listing, suspending and resuming them. */
import * as z from "zod";
import { TENANT_STATUSES } from "../db/column-values.ts";
import { Problem, unprocessable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { audit } from "../http/audit.ts";
import type { AppContext } from "../http/context.ts";
import { createOnce } from "../http/create-once.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredTimestamp, nameField, optional } from "../http/fields.ts";
import { idIn, nextCursor, pageOf, pageQuery } from "../http/pages.ts";
import { lazily } from "../lazily.ts";
import { ID_CHARACTERS, newId } from "../new-id.ts";
import { formatTimestamp, nowMicros } from "../timestamps.ts";
import { KEY_MEMORY_MS } from "../timings.ts";
import { replayedHeader, writeRequestHeaders } from "../writing/submit-request.ts";
import {
  ADMINISTRATION,
  administered,
  answeredTenantId,
  assertAdministersAll,
  tenantParam,
} from "./administration.ts";
import { isGone } from "./deleting/deletion-store.ts";
import { keyMemory } from "./key-memory.ts";
import { DEFAULT_TENANT, MAX_TENANT_ID_CHARACTERS, TENANT_ID, tenantIdFrom } from "./tenant-id.ts";
import {
  CHANGEABLE,
  changeStatus,
  insertTenant,
  type NewTenant,
  selectTenants,
  type Tenant,
} from "./tenant-store.ts";

export const tenantFields = lazily(() => ({
  tenant_id: answeredTenantId,
  name: z.string().meta({ example: "Acme" }),
  created_at: answeredTimestamp,
  status: z.enum(TENANT_STATUSES).meta({ example: "active" }),
}));
const tenantSchema = lazily(() => z.object(tenantFields()).meta({ id: "Tenant" }));

const createTenant = endpoint(
  {
    method: "post",
    path: "/api/v1/admin/tenants",
    tag: ADMINISTRATION,
    summary: "Create a tenant",
    description: `For admins of the tenant \`${DEFAULT_TENANT}\`. Without \`tenant_id\` it is made from the name.`,
    scope: "admin",
    request: {
      json: () =>
        z.object({
          name: nameField("What people call the tenant.", "Acme"),
          tenant_id: optional(
            z
              .string()
              .regex(
                TENANT_ID,
                "must be up to 64 lower-case letters, digits, `-` and `_`, a letter or digit first",
              ),
          ).meta({ example: "acme" }),
        }),
    },
    requestHeaders: writeRequestHeaders,
    answers: { 201: { description: "Created.", schema: tenantSchema, headers: replayedHeader } },
    problems: [409],
  },
  async (c, { json }) => {
    assertAdministersAll(c, "create tenants");
    const { name, tenant_id: id } = json;
    const { made, isNew, headers } = await createOnce<NewTenant>(c, {
      make: async () => ({ tenantId: id ?? (await newTenantId(c, name)), name, createdAt: nowMicros() }),
      insert: (tenant, once) => insertTenant(c.env.DB, tenant, once),
      refusal: ({ tenantId }) => new Problem(409, `there is a tenant \`${tenantId}\` already, or there was`),
    });
    if (isNew) c.log.info("tenant created", { request_id: c.requestId, tenant_id: made.tenantId });
    return jsonAnswer(tenantAnswer({ ...made, status: "active" }), 201, headers);
  },
);

const listTenants = endpoint(
  {
    method: "get",
    path: "/api/v1/admin/tenants",
    tag: ADMINISTRATION,
    summary: "List the tenants that the key administers",
    scope: "admin",
    request: { query: pageQuery },
    answers: {
      200: {
        description: "A page of tenants, by their ids.",
        schema: lazily(() =>
          z.object({ tenants: z.array(tenantSchema()), next_cursor: nextCursor }).meta({ id: "Tenants" }),
        ),
      },
    },
  },
  async (c, { query }) => {
    const { tenant } = c.principal;
    const only = tenant === DEFAULT_TENANT ? null : tenant;
    const found = await selectTenants(c.env.DB, {
      only,
      after: idIn(query.cursor, TENANT_ID),
      limit: query.limit + 1,
    });
    const { rows, last } = pageOf(found, query.limit);
    return jsonAnswer({ tenants: rows.map(tenantAnswer), next_cursor: last?.tenantId ?? null });
  },
);

const patchTenant = endpoint(
  {
    method: "patch",
    path: "/api/v1/admin/tenants/{tenant_id}",
    tag: ADMINISTRATION,
    summary: "Suspend a tenant, or resume it",
    description: `For admins of the tenant \`${DEFAULT_TENANT}\`, which stays active. Within ${KEY_MEMORY_MS / 1_000} seconds its keys are refused with 403. Nothing is lost, and what was accepted before comes to its end.`,
    scope: "admin",
    request: {
      param: tenantParam,
      json: () => z.object({ status: z.enum(CHANGEABLE).meta({ example: "suspended" }) }),
    },
    answers: { 200: { description: "Changed, or as it was.", schema: tenantSchema } },
    problems: [404, 409],
  },
  async (c, { param: { tenant_id: tenantId }, json: { status } }) => {
    await administered(c, tenantId);
    assertAdministersAll(c, "suspend tenants");
    // Nobody could resume it.
    if (tenantId === DEFAULT_TENANT) throw new Problem(409, `the tenant \`${tenantId}\` cannot be suspended`);
    const changed = await changeStatus(c.env.DB, tenantId, status);
    if (!changed) throw new Problem(409, "the tenant is deleted: nothing of it can be changed any more");
    keyMemory.clear();
    audit(c, "tenant changed", { tenant_id: tenantId, status });
    return jsonAnswer(tenantAnswer(changed));
  },
);

/** Another than that of a deleted tenant of this name. @throws Problem 422 as {@link derivedId}. */
async function newTenantId({ env }: AppContext, name: string): Promise<string> {
  const id = derivedId(name);
  return (await isGone(env.DB, id))
    ? `${id.slice(0, MAX_TENANT_ID_CHARACTERS - 1 - ID_CHARACTERS)}-${newId("")}`
    : id;
}

/** @throws Problem 422 when nothing of the name can stand in an id. */
function derivedId(name: string): string {
  const id = tenantIdFrom(name);
  if (id !== null) return id;
  const msg = "is needed, because nothing of this name can stand in an id";
  throw unprocessable({ loc: ["body", "tenant_id"], msg, type: "missing" });
}

export function tenantAnswer({ tenantId, name, createdAt, status }: Omit<Tenant, "databases">) {
  return { tenant_id: tenantId, name, created_at: formatTimestamp(createdAt), status };
}

export const tenantEndpoints = [createTenant, listTenants, patchTenant];
