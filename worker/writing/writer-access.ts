/** From a tenant's entities to the objects that order their writes. */
import type { TenantContext } from "../http/context.ts";
import { databaseOfPartition, type EntityRef, type Layout, partitionOf, writerName } from "../keys.ts";
import { spreadOf } from "../tenants/spread.ts";
import type { EntityWriter } from "./entity-writer.ts";
import type { Identity } from "./writer-store.ts";

type OfTenant = Pick<TenantContext, "env" | "settings" | "tenant" | "log">;

/** The writer of a partition, and what it must be told of itself. */
export function writerOf(
  { env, settings, tenant }: Omit<OfTenant, "log">,
  partition: number,
  { databases, partitions }: Layout,
): { writer: DurableObjectStub<EntityWriter>; identity: Identity } {
  const { locationHint } = settings;
  const near = locationHint === "" ? {} : { locationHint };
  const writer = env.ENTITY_WRITER.getByName(writerName(tenant, partitions, partition), near);
  const database = databaseOfPartition(partition, partitions);
  return { writer, identity: { tenant, partitions, database, databases } };
}

export async function ownerOf(context: OfTenant, ref: EntityRef) {
  const layout = await layoutOf(context);
  return writerOf(context, partitionOf(ref, layout), layout);
}

/** @throws Problem 503 when D1 is needed for it and does not answer. */
export async function layoutOf(context: OfTenant): Promise<Layout> {
  const databases = await spreadOf(context, context.tenant);
  return { databases, partitions: context.settings.writerPartitions };
}
