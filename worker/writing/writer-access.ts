/** From a tenant's entities to the objects that order their writes. */
import type { TenantContext } from "../http/context.ts";
import { type EntityRef, partitionOf, writerName } from "../keys.ts";
import type { EntityWriter } from "./entity-writer.ts";
import type { Identity } from "./writer-store.ts";

type OfTenant = Pick<TenantContext, "env" | "settings" | "tenant">;

/** The writer of a partition, and what it must be told of itself. */
export function writerOf(
  { env, settings, tenant }: OfTenant,
  partition: number,
): { writer: DurableObjectStub<EntityWriter>; identity: Identity } {
  const partitions = settings.writerPartitions;
  const { locationHint } = settings;
  const near = locationHint === "" ? {} : { locationHint };
  const writer = env.ENTITY_WRITER.getByName(writerName(tenant, partitions, partition), near);
  return { writer, identity: { tenant, partitions } };
}

export function ownerOf(context: OfTenant, ref: EntityRef) {
  return writerOf(context, partitionOf(ref, context.settings.writerPartitions));
}
