/**
 * From availability events to the statistics of the registered features that they name: what was written is read from
 * the history, one query a tenant, and its numbers go to the tenant's `FeatureStats`.
 *
 * The catalog is two seconds old at most: what is written in the first of a feature that was registered through another
 * isolate may not be counted. A tenant that has registered nothing costs its catalog, and no query or call beside it.
 */
import { askEach, entityDatabase } from "../../db/entity-databases.ts";
import type { ServiceContext } from "../../env.ts";
import type { FeatureAvailable } from "../../events/feature-available.ts";
import type { EntityRef } from "../../keys.ts";
import { spreadOf } from "../../tenants/spread.ts";
import { type Catalog, type CatalogContext, catalogOf } from "../catalog.ts";
import { statsObject } from "./access.ts";
import { callsOf, contributionsOf, type Lookup, lookupsOf } from "./contribution.ts";
import { readAnnounced } from "./lookup.ts";

/**
 * Counts the values that the events announce, each event once however often it is handed over.
 *
 * @returns the tenants of which some could not be recorded: hand their events over again. The others' are counted.
 */
export async function recordStats(
  context: ServiceContext,
  events: readonly FeatureAvailable[],
): Promise<Set<string>> {
  const failed = new Set<string>();
  const byTenant = Map.groupBy(events, ({ tenant_id: tenant }) => tenant);
  const record = async (tenant: string, own: readonly FeatureAvailable[]) => {
    await recordTenant(context, tenant, own).catch((cause: unknown) => {
      context.log.error("statistics could not be recorded", cause, { tenant_id: tenant, events: own.length });
      failed.add(tenant);
    });
  };
  await Promise.all([...byTenant].map(([tenant, own]) => record(tenant, own)));
  return failed;
}

async function recordTenant(
  { env, log }: ServiceContext,
  tenant: string,
  events: readonly FeatureAvailable[],
): Promise<void> {
  const catalog = await freshCatalog({ env, tenant, log });
  if (catalog.features.size === 0) return;
  const each = [...new Map(events.map((event) => [event.event_id, event])).values()];
  const lookups = each.flatMap((event) => lookupsOf(event, catalog));
  if (lookups.length === 0) return;
  const databases = await spreadOf({ env, log }, tenant);
  const found = await askEach(lookups, { databases, refOf: entityOf }, (database, some) =>
    readAnnounced(entityDatabase(env, database), tenant, some),
  );
  const object = statsObject(env, tenant);
  for (const part of callsOf(contributionsOf(lookups, found))) {
    const { leftOut } = await object.record(part);
    if (leftOut > 0)
      log.warning("too many features for statistics", { tenant_id: tenant, left_out: leftOut });
  }
}

const entityOf = ({ event }: Lookup): EntityRef => ({
  entityType: event.entity_type,
  entityValue: event.entity_id,
});

/** Nothing of a batch outlives its handler: the renewal of an ageing catalog is awaited, and what it brought is taken. */
async function freshCatalog(context: Pick<CatalogContext, "env" | "tenant" | "log">): Promise<Catalog> {
  const renewals: Promise<unknown>[] = [];
  const ask = () => catalogOf({ ...context, nowMs: Date.now(), after: (work) => void renewals.push(work) });
  const catalog = await ask();
  if (renewals.length === 0) return catalog;
  await Promise.all(renewals);
  return ask();
}
