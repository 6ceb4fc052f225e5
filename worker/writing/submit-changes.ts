/** Brings changes to the EntityWriters that own their entities, and their results back in order. */

import { assert, type Problem, unavailable, unprocessable } from "../errors.ts";
import type { TenantContext } from "../http/context.ts";
import { type EntityRef, fnv1a, partitionOf } from "../keys.ts";
import { timed } from "../monitoring/timed.ts";
import { newestBookmark } from "../serving/consistency.ts";
import { MICROS_PER_MS, type Micros, nowMicros } from "../timestamps.ts";
import { RETRY_AFTER_SECONDS } from "../timings.ts";
import type {
  ChangeReply,
  ChangeRequest,
  EntityChange,
  Idempotency,
  RefusedRow,
  RequestRow,
  RowResult,
  Settled,
} from "./entity-write.ts";
import { writerOf } from "./writer-access.ts";

export const IDEMPOTENCY_HEADER = "Idempotency-Key";

export interface Submitted {
  /** In the order of the rows. */
  results: RowResult[];
  committedAt: Micros;
  /** The newest of the transactions' bookmarks; null when there was nothing to write, or one is not known. */
  bookmark: string | null;
  /** Every result, of a refused row too, is one of an earlier request with the same `Idempotency-Key`. */
  replayed: boolean;
}

/**
 * A request that comes again with its `Idempotency-Key` has the same rows refused, though they would be taken by now.
 *
 * @throws {@link Problem} 422 when the `Idempotency-Key` came with another request before, 503 when a change could
 * not be committed; those of other partitions may have been, and an `Idempotency-Key` makes it safe to try again.
 */
export async function submitChanges(
  context: TenantContext,
  rows: readonly RequestRow[],
  idempotency: Idempotency | null,
): Promise<Submitted> {
  const refusedNow = rows.flatMap((row, position) => (row.kind === "refused" ? { ...row, position } : []));
  const claim = idempotency && (await claimIdempotencyKey(context, idempotency, refusedNow));
  const refused = new Map(
    [...refusedNow, ...(claim?.refused ?? [])].map(({ position, reason }) => [position, reason]),
  );
  // Taken the first time, they have a result all the same; or they never were, and are refused for good.
  const taken = claim?.isRepeated
    ? refusedNow.filter(({ position }) => !isAmong(claim.refused, position))
    : [];
  const recalled = idempotency ? await refuseRows(context, taken, idempotency) : [];
  const asked = rows.flatMap((change, position) =>
    change.kind === "refused" || refused.has(position) ? [] : { change, position },
  );
  const { settled, replayed } = await askWriters(context, asked, idempotency);
  for (const { position, one } of recalled) {
    settled.set(position, one);
    refused.delete(position);
  }
  const known = [...settled.values()];
  const claimedAt = claim ? claim.atMs * MICROS_PER_MS : nowMicros();
  return {
    results: rows.map((_, position) => {
      const reason = refused.get(position);
      if (reason) return { outcome: "refused", reason };
      const one = settled.get(position);
      assert(one, "every change has a result");
      return one.result;
    }),
    committedAt: known.length > 0 ? Math.max(...known.map(({ committedAt }) => committedAt)) : claimedAt,
    bookmark: newestBookmark(known.map(({ bookmark }) => bookmark)),
    replayed: asked.length > 0 ? replayed : (claim?.isRepeated ?? false),
  };
}

/** @returns the changes' results by their place in the request. @throws {@link Problem} as {@link submitChanges}. */
async function askWriters(
  context: TenantContext,
  asked: readonly { change: EntityChange; position: number }[],
  idempotency: Idempotency | null,
): Promise<{ settled: Map<number, Settled>; replayed: boolean }> {
  const settled = new Map<number, Settled>();
  let replayed = true;
  const byPartition = Map.groupBy(asked, ({ change }) =>
    partitionOf(change, context.settings.writerPartitions),
  );
  await Promise.all(
    [...byPartition].map(async ([partition, owned]) => {
      const request = {
        changes: owned.map(({ change }) => change),
        positions: owned.map(({ position }) => position),
        idempotency,
      };
      const reply = await askWriter(context, partition, request);
      if (reply.kind === "key_reused") throw keyReused();
      if (reply.kind === "unavailable") throw notCommitted();
      owned.forEach(({ position }, i) => {
        const one = reply.settled[i];
        if (one) settled.set(position, one);
      });
      replayed &&= reply.replayed;
    }),
  );
  return { settled, replayed };
}

const isAmong = (rows: readonly RefusedRow[], position: number) =>
  rows.some((row) => row.position === position);

/**
 * What became of rows that are refused by now and were not when the request first came: see `EntityWriter.refuse`.
 *
 * @throws {@link Problem} 503 when that cannot be found out.
 */
async function refuseRows(
  context: TenantContext,
  rows: readonly (EntityRef & RefusedRow)[],
  idempotency: Idempotency,
): Promise<{ position: number; one: Settled }[]> {
  const byPartition = Map.groupBy(rows, (row) => partitionOf(row, context.settings.writerPartitions));
  const recalled = [...byPartition].map(async ([partition, own]) => {
    const { writer, identity } = writerOf(context, partition);
    const refused = own.map(({ position, reason }) => ({ position, reason }));
    const results = await answered(context, partition, async () =>
      writer.refuse(identity, idempotency, refused),
    );
    if (!results) throw notCommitted();
    return results.map((one, i) => ({ position: refused[i]?.position ?? 0, one }));
  });
  return (await Promise.all(recalled)).flat();
}

/**
 * What this request made of its one change when it came before; null where nothing is known of it. Does not use the key up.
 *
 * @throws {@link Problem} 503 when that cannot be found out.
 */
export async function recallChange(
  context: TenantContext,
  ref: EntityRef,
  idempotency: Idempotency,
): Promise<Submitted | null> {
  const partition = partitionOf(ref, context.settings.writerPartitions);
  const { writer, identity } = writerOf(context, partition);
  const found = await answered(context, partition, async () => writer.recall(identity, idempotency));
  if (found === "unknown") throw notCommitted();
  if (!found) return null;
  const { result, committedAt, bookmark } = found;
  return { results: [result], committedAt, bookmark, replayed: true };
}

/**
 * One writer of the tenant knows each key, wherever its requests go: two of them may change different entities.
 *
 * @param refused Rows of the request that no writer is asked about.
 * @returns whether it has come before, when it first came, and the rows that were refused then.
 * @throws {@link Problem} 422 when the key came with another request before, 503 when that cannot be found out.
 */
export async function claimIdempotencyKey(
  context: TenantContext,
  idempotency: Idempotency,
  refused: readonly RefusedRow[] = [],
): Promise<{ isRepeated: boolean; atMs: number; refused: RefusedRow[] }> {
  const partition = fnv1a(idempotency.key) % context.settings.writerPartitions;
  const { writer, identity } = writerOf(context, partition);
  const rows = refused.map(({ position, reason }) => ({ position, reason }));
  const claim = await answered(context, partition, async () => writer.claim(identity, idempotency, rows));
  if (claim.kind === "key_reused") throw keyReused();
  const { atMs } = claim;
  return claim.kind === "repeated"
    ? { isRepeated: true, atMs, refused: claim.refused }
    : { isRepeated: false, atMs, refused: [] };
}

/** @throws {@link Problem} 503 when the writer does not answer. */
function answered<R>({ log }: TenantContext, partition: number, ask: () => Promise<R>): Promise<R> {
  return ask().catch((cause: unknown) => {
    log.warning("an entity writer did not answer", { partition }, cause);
    throw notCommitted();
  });
}

async function askWriter(
  context: TenantContext,
  partition: number,
  request: ChangeRequest,
): Promise<ChangeReply> {
  const { writer, identity } = writerOf(context, partition);
  try {
    const measured = { operation: "writer.change", items: request.changes.length } as const;
    return await timed(
      context.metrics,
      measured,
      async (): Promise<ChangeReply> => writer.change(identity, request),
    );
  } catch (cause) {
    // Reset, overloaded or moved: whether it had committed is for the caller's next try to find out.
    context.log.warning("an entity writer did not answer", { partition }, cause);
    return { kind: "unavailable" };
  }
}

export function keyReused(): Problem {
  const msg = "was used before with another request";
  return unprocessable(
    { loc: ["header", IDEMPOTENCY_HEADER], msg, type: "idempotency_key_reused" },
    `${IDEMPOTENCY_HEADER} was used before for a different request`,
  );
}

function notCommitted(): Problem {
  return unavailable("the write could not be committed; it may be sent again", RETRY_AFTER_SECONDS);
}
