/** Whether the parts that the service stands on answer. */
import { BUILT_IN_ENTITY_TYPES } from "../db/current-rows.ts";
import { entityDatabases } from "../db/entity-databases.ts";
import type { ServiceContext } from "../env.ts";
import type { Log } from "../log.ts";
import { HEALTH_TIMEOUT_MS } from "../timings.ts";
import { within } from "../waits.ts";

interface Check {
  ok: boolean;
  /** Without it no request can be served; the hot cache is not needed, reads go to D1. */
  needed: boolean;
  duration_ms: number;
}

interface Health {
  healthy: boolean;
  tablesAvailable: string[];
  checks: { d1: Check; kv: Check; schema: Check; api_keys: Check };
}

const TABLES = [...BUILT_IN_ENTITY_TYPES, "entities", "feature_history"];

/** Asks D1 and KV at the same time. Never throws. */
export async function checkHealth({ env, settings, log }: ServiceContext): Promise<Health> {
  let tables: string[] = [];
  const [d1, kv] = await Promise.all([
    check("d1", log, async () => {
      const ofEach = await Promise.all(entityDatabases(env).map(existingTables));
      tables = TABLES.filter((table) => ofEach.every((existing) => existing.includes(table)));
    }),
    check("kv", log, () => env.HOT.get("health")),
  ]);
  const hasSchema = TABLES.every((table) => tables.includes(table));
  const schema = { ok: hasSchema, needed: true, duration_ms: d1.duration_ms };
  // Without its secret every request with a key is 503; only in development there are others.
  const apiKeys = { ok: settings.apiKeySecret !== null, needed: !settings.isDevelopment, duration_ms: 0 };
  const checks = { d1: { ...d1, needed: true }, kv: { ...kv, needed: false }, schema, api_keys: apiKeys };
  return {
    healthy: Object.values(checks).every(({ ok, needed }) => ok || !needed),
    tablesAvailable: BUILT_IN_ENTITY_TYPES.filter((table) => tables.includes(table)),
    checks,
  };
}

async function existingTables(db: D1Database): Promise<string[]> {
  const { results } = await db
    .prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN (SELECT value FROM json_each(?))",
    )
    .bind(JSON.stringify(TABLES))
    .all<{ name: string }>();
  return results.map(({ name }) => name);
}

async function check(name: string, log: Log, ask: () => Promise<unknown>): Promise<Omit<Check, "needed">> {
  const startedMs = Date.now();
  try {
    await within(HEALTH_TIMEOUT_MS, ask());
    return { ok: true, duration_ms: Date.now() - startedMs };
  } catch (cause) {
    log.warning("health check failed", { check: name }, cause);
    return { ok: false, duration_ms: Date.now() - startedMs };
  }
}
