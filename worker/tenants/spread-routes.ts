/** Spreading the entities of a tenant over more databases, while it is in use. */
import * as z from "zod";
import { entityDatabases } from "../db/entity-databases.ts";
import { Problem, unavailable, unprocessable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { audit } from "../http/audit.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredTimestamp, optional } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { formatTimestamp } from "../timestamps.ts";
import { MOVE_REQUEST_MS, RETRY_AFTER_SECONDS } from "../timings.ts";
import {
  ADMINISTRATION,
  answeredTenantId,
  assertAdministered,
  assertAdministersAll,
  tenantParam as param,
} from "./administration.ts";
import { continueMove, type MoveReport, startMove } from "./moving/continue-move.ts";
import { PHASES } from "./moving/move.ts";
import { type FoundMove, findMove } from "./moving/move-store.ts";
import { Overtaken } from "./moving/moved-rows.ts";
import { spreadOf } from "./spread.ts";
import { DEFAULT_TENANT } from "./tenant-id.ts";

const path = "/api/v1/admin/tenants/{tenant_id}/spread";

const spreadSchema = lazily(() =>
  z
    .object({
      tenant_id: answeredTenantId,
      databases: z.int().meta({ description: "Over how many its entities are spread.", example: 1 }),
      bound: z.int().meta({ description: "How many databases are bound.", example: 3 }),
      move: z
        .object({
          databases: z.int().meta({ description: "Over how many they are to be spread.", example: 3 }),
          phase: z.enum(PHASES).meta({
            description:
              "In this order. In `paused` and `opening` writes of the tenant are 503; from `opening` on its entities are read in their new databases; `cleaning` removes what is left in the old ones, once nobody can still look there.",
            example: "copying",
          }),
          rows_copied: z
            .int()
            .meta({ description: "Those that were copied again count again.", example: 12_000 }),
          cleaning_from: answeredTimestamp
            .nullable()
            .meta({ description: "Null before `cleaning`.", example: null }),
        })
        .nullable()
        .meta({ description: "Null where none is under way." }),
    })
    .meta({ id: "Spread" }),
);

const answers = { 200: { description: "How it is spread.", schema: spreadSchema } };

const readSpread = endpoint(
  {
    method: "get",
    path,
    tag: ADMINISTRATION,
    summary: "Over how many databases a tenant's entities are spread",
    description: `For admins of the tenant \`${DEFAULT_TENANT}\`.`,
    scope: "admin",
    request: { param },
    answers,
    problems: [404],
  },
  async (c, { param }) => {
    const found = await foundOf(c, param.tenant_id);
    return spreadAnswer(c, param.tenant_id, { databases: found.databases, move: found.move });
  },
);

const spreadTenant = endpoint(
  {
    method: "post",
    path,
    tag: ADMINISTRATION,
    summary: "Spread a tenant's entities over more databases",
    description: `For admins of the tenant \`${DEFAULT_TENANT}\`. Begins the move or goes on with it for some seconds: send it again until the phase is \`cleaning\`. The tenant can be read all the time and, but for a moment near the end, written.`,
    scope: "admin",
    request: {
      param,
      json: () =>
        z.object({
          databases: optional(z.int().min(1)).meta({
            description:
              "Over how many: more than now, at most as many as are bound, which is meant without it.",
            example: 1,
          }),
        }),
    },
    bodyOptional: true,
    answers,
    problems: [404, 409],
  },
  async (c, { param, json }) => {
    const { tenant_id: tenant } = param;
    const found = await foundOf(c, tenant);
    const to = json?.databases ?? found.move?.to ?? entityDatabases(c.env).length;
    assertPossible(c, found, to);
    if (!found.move && to === found.databases) return spreadAnswer(c, tenant, found);
    const context = { env: c.env, settings: c.settings, log: c.log, tenant };
    try {
      const move = found.move ?? (await startMove(context, found, to));
      if (!found.move) audit(c, "tenant is spread over more databases", { tenant_id: tenant, databases: to });
      if (!move) throw new Overtaken();
      return spreadAnswer(c, tenant, await continueMove(context, move, c.startedMs + MOVE_REQUEST_MS));
    } catch (cause) {
      if (cause instanceof Overtaken) throw new Problem(409, "somebody else goes on with this move");
      c.log.error("a tenant was not moved", cause, { request_id: c.requestId, tenant_id: tenant });
      throw unavailable("the move did not go on; try again", RETRY_AFTER_SECONDS);
    }
  },
);

/** @throws Problem 403, 404, 503 */
async function foundOf(c: AppContext, tenant: string): Promise<FoundMove> {
  await assertAdministered(c, tenant);
  assertAdministersAll(c, "see how tenants are spread");
  // It is decided now for one that was never used.
  const databases = await spreadOf(c, tenant);
  return (await findMove(c.env.DB, tenant)) ?? { databases, move: null, text: null };
}

/** @throws Problem 409, 422 */
function assertPossible(c: AppContext, { databases, move }: FoundMove, to: number): void {
  if (move && move.to !== to) {
    throw new Problem(409, `a move to ${move.to} databases is not over yet`);
  }
  const bound = entityDatabases(c.env).length;
  const fault = (msg: string) => unprocessable({ loc: ["body", "databases"], msg, type: "value_error" });
  if (to > bound) throw fault(`must be at most ${bound}, as many as are bound`);
  if (to < databases) throw fault(`must be at least ${databases}, over which the tenant is spread already`);
}

function spreadAnswer(c: AppContext, tenant: string, { databases, move }: MoveReport) {
  return jsonAnswer({
    tenant_id: tenant,
    databases,
    bound: entityDatabases(c.env).length,
    move: move && {
      databases: move.to,
      phase: move.phase,
      rows_copied: move.copied,
      cleaning_from: move.phase === "cleaning" ? formatTimestamp(move.cleanAtMs * 1_000) : null,
    },
  });
}

export const spreadEndpoints = [readSpread, spreadTenant];
