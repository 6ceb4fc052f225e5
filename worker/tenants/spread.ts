/**
 * Over how many of the bound databases the entities of a tenant are spread. Decided when the tenant is first used; a move
 * (`moving/`) spreads it over more. A database takes 10 GB.
 */
import { eq } from "drizzle-orm";
import { BoundedMap } from "../bounded-map.ts";
import { BUILT_IN_ENTITY_TYPES } from "../db/current-rows.ts";
import { entityDatabases } from "../db/entity-databases.ts";
import { primary } from "../db/primary.ts";
import { tenants } from "../db/schema.ts";
import { Problem, unavailable } from "../errors.ts";
import { CATALOG_MAX_TENANTS } from "../limits.ts";
import type { Log } from "../log.ts";
import { RETRY_AFTER_SECONDS, SPREAD_MAX_AGE_MS } from "../timings.ts";
import { isAhead } from "../waits.ts";

interface Context {
  env: Env;
  log: Log;
}

interface Known {
  spread: number;
  /** Where one database is bound alone it is all that there is. */
  untilMs: number;
}

const known = new WeakMap<Env, BoundedMap<Known>>();

/**
 * Asks D1 when it is not known, or not of late; whoever renews the catalog renews it too.
 *
 * @throws Problem as {@link settleSpread}.
 */
export async function spreadOf(context: Context, tenant: string): Promise<number> {
  const { env, log } = context;
  const there = known.get(env)?.get(tenant);
  if (there && isStillTrusted(there, Date.now())) return there.spread;
  try {
    return await ask(context, tenant);
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    log.error("D1 did not answer where a tenant's entities are", cause, { tenant_id: tenant });
    throw unavailable("the database does not answer; try again", RETRY_AFTER_SECONDS);
  }
}

/** Before it is no longer trusted. Of one database alone nothing changes. @throws when D1 does not answer. */
export async function renewSpread(context: Context, tenant: string): Promise<void> {
  if (entityDatabases(context.env).length > 1) await ask(context, tenant);
}

async function ask(context: Context, tenant: string): Promise<number> {
  const askedMs = Date.now();
  return settleSpread(context, tenant, { found: await find(context.env.DB, tenant), askedMs });
}

function isStillTrusted({ untilMs }: Known, nowMs: number): boolean {
  return untilMs === Number.POSITIVE_INFINITY || isAhead(untilMs, nowMs, SPREAD_MAX_AGE_MS);
}

/**
 * For reads, whose tenant's catalog is loaded at the same time: where one database is bound they need not wait for D1 twice.
 * That the tenant has more ends them with the catalog.
 */
export async function spreadBesideCatalog(context: Context, tenant: string): Promise<number> {
  return entityDatabases(context.env).length === 1 ? 1 : spreadOf(context, tenant);
}

/** Databases of a tenant are not bound. What is asked of it cannot be answered, however much else is known of it. */
export class UnboundDatabases extends Problem {}

/** What D1 answered. */
interface Found {
  /**
   * As the tenant's row has it; null: it is decided now. Undefined: there is no such tenant, and nobody can write or read as
   * it. That is not remembered: where D1 is put back and forward again, the tenant is there again.
   */
  found: number | null | undefined;
  /** Before D1 answered: what has changed since then is not known. */
  askedMs: number;
}

/** @throws Problem 503 when D1 does not answer, or databases of the tenant are not bound. */
export async function settleSpread(
  { env, log }: Context,
  tenant: string,
  { found, askedMs }: Found,
): Promise<number> {
  if (found === undefined) return 1;
  const bound = entityDatabases(env).length;
  const spread = found ?? (await decide({ env, log }, tenant, bound));
  assertBound({ env, log }, tenant, spread);
  const own = known.get(env) ?? new BoundedMap<Known>(CATALOG_MAX_TENANTS);
  known.set(env, own);
  const untilMs = bound === 1 ? Number.POSITIVE_INFINITY : askedMs + SPREAD_MAX_AGE_MS;
  own.set(tenant, { spread, untilMs }, 1);
  return spread;
}

/** @throws UnboundDatabases */
export function assertBound({ env, log }: Context, tenant: string, databases: number): void {
  const bound = entityDatabases(env).length;
  if (databases <= bound) return;
  const msg = `the entities of this tenant are in ${databases} databases, of which ${bound} are bound`;
  log.error("databases are missing in wrangler.toml", new Error(msg), { tenant_id: tenant });
  throw new UnboundDatabases(503, msg);
}

const HAS_ENTITIES = [...BUILT_IN_ENTITY_TYPES, "entities", "feature_history"]
  .map((table) => `EXISTS (SELECT 1 FROM ${table} WHERE tenant_id = ?1)`)
  .join(" OR ");

/** A tenant of before there were several has all that it has in the first. */
const DECIDE_SQL = `
  UPDATE tenants SET databases = iif(${HAS_ENTITIES}, 1, ?2) WHERE tenant_id = ?1 AND databases IS NULL`;

async function decide({ env, log }: Context, tenant: string, bound: number): Promise<number> {
  try {
    await env.DB.prepare(DECIDE_SQL).bind(tenant, bound).run();
    return (await find(env.DB, tenant)) ?? 1;
  } catch (cause) {
    if (bound > 1) throw cause;
    // Where D1 takes no write, reads go on all the same.
    log.warning("how a tenant is spread was not noted", { tenant_id: tenant }, cause);
    return 1;
  }
}

/** Undefined: there is no such tenant. */
async function find(db: D1Database, tenant: string): Promise<number | null | undefined> {
  const [row] = await primary(db)
    .select({ databases: tenants.databases })
    .from(tenants)
    .where(eq(tenants.tenantId, tenant));
  return row?.databases;
}
