/** Tenants with registered features and a history, without a writer: so that a test decides which events are handed over. */
import { env } from "cloudflare:workers";
import { settings } from "../../../worker/env.ts";
import { eventOf, type FeatureAvailable } from "../../../worker/events/feature-available.ts";
import { Log } from "../../../worker/log.ts";
import { insertVersion } from "../../../worker/registry/insert-feature.ts";
import { statsObject } from "../../../worker/registry/stats/access.ts";
import { recordStats } from "../../../worker/registry/stats/record.ts";
import { type Summary, summaryOf } from "../../../worker/registry/stats/roll-up.ts";
import { hourOf } from "../../../worker/registry/stats/series.ts";
import { nowMicros } from "../../../worker/timestamps.ts";
import { storedTenant } from "../../tenants/service.ts";

const log = new Log("test", { level: "ERROR", readable: false });

export const record = (events: readonly FeatureAvailable[], bindings: Env = env) =>
  recordStats({ env: bindings, settings: settings(bindings), log }, events);

let made = 0;

const REGISTERED_AT = nowMicros();

/** A tenant with a `float64` feature of each name, in the category `default` of `bright_uid`. */
export async function tenantWith(...names: string[]): Promise<string> {
  made += 1;
  const tenant = await storedTenant(`stats-${made}`);
  for (const name of names) await registerIn(tenant, name);
  return tenant;
}

/** As through another isolate: this one's catalog does not hear of it. */
export async function registerIn(tenant: string, name: string): Promise<void> {
  const feature = { name, entityType: "bright_uid", category: "default", kind: "scalar" as const, tags: [] };
  const absent = { rawTableId: null, entityKey: null, materialize: null, description: null, owner: null };
  const version = { version: 1, dtype: "float64" as const, ttlSeconds: null, defaultValue: null };
  await insertVersion(
    env.DB,
    tenant,
    { ...feature, ...absent, computationLogic: null },
    {
      ...version,
      computationLogic: null,
      status: "active",
      words: { description: null, owner: null, tags: null },
    },
    REGISTERED_AT,
  );
}

/** A row of the history, as a writer commits it, and its event, which nobody has been told of. */
export async function announced(
  tenant: string,
  values: Record<string, unknown>,
  category = "default",
): Promise<FeatureAvailable> {
  made += 1;
  const now = nowMicros();
  const entity = `entity-${made}`;
  const eventTime = now - made;
  const eventId = crypto.randomUUID();
  await env.DB.prepare(
    `INSERT INTO feature_history (tenant_id, entity_type, entity_value, category, event_time, revision, mode, data,
       ingested_at, event_id) VALUES (?, 'bright_uid', ?, ?, ?, 1, 'merge', ?, ?, ?)`,
  )
    .bind(tenant, entity, category, eventTime, JSON.stringify(values), now, eventId)
    .run();
  return eventOf(
    tenant,
    { entityType: "bright_uid", entityValue: entity },
    {
      ...{ eventId, category, revision: 1, ingestedAt: now, eventTime },
      ...{ computeId: null, names: Object.keys(values) },
    },
  );
}

/** What is counted of a feature in the hours around now. */
export async function counted(tenant: string, feature: string): Promise<Summary[]> {
  const hour = hourOf(nowMicros());
  const { hours } = await statsObject(env, tenant).read(
    { feature, version: 1, registeredAt: REGISTERED_AT },
    { first: hour - 2, last: hour },
  );
  return hours.map(({ rollUp }) => summaryOf(rollUp));
}
