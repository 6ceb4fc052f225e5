/** Brings changes to the EntityWriters that own their entities, and their results back in order. */

import type { Settings } from "../env.ts";
import { Problem, unavailable } from "../errors.ts";
import { fnv1a, partitionOf } from "../keys.ts";
import { RETRY_AFTER_SECONDS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { RequestMetrics } from "../monitoring/request-metrics.ts";
import { timed } from "../monitoring/timed.ts";
import { newestBookmark } from "../serving/consistency.ts";
import { type Micros, nowMicros } from "../timestamps.ts";
import type { ChangeReply, ChangeRequest, ChangeResult, EntityChange, Settled } from "./entity-write.ts";
import { writerOf } from "./writer-access.ts";

export interface WriterContext {
  env: Env;
  settings: Settings;
  tenant: string;
  log: Log;
  metrics?: RequestMetrics | undefined;
}

export interface Submitted {
  /** In the order of the changes. */
  results: ChangeResult[];
  committedAt: Micros;
  /** The newest of the transactions' bookmarks; null when there was nothing to write. */
  bookmark: string | null;
  /** Every result is one of an earlier request with the same `Idempotency-Key`. */
  replayed: boolean;
}

/**
 * @throws {@link Problem} 422 when the `Idempotency-Key` came with another request before, 503 when a change could
 * not be committed; those of other partitions may have been, and an `Idempotency-Key` makes it safe to try again.
 */
export async function submitChanges(
  context: WriterContext,
  changes: readonly EntityChange[],
  idempotency: ChangeRequest["idempotency"],
): Promise<Submitted> {
  const { settings } = context;
  const positions = changes.map((_, position) => position);
  const byPartition = Map.groupBy(positions, (position) => {
    const change = changes[position];
    return change ? partitionOf(change, settings.writerPartitions) : 0;
  });
  if (idempotency) await claimIdempotencyKey(context, idempotency);
  if (changes.length === 0) return { results: [], committedAt: nowMicros(), bookmark: null, replayed: false };
  const settled: Settled[] = [];
  let replayed = true;
  await Promise.all(
    [...byPartition].map(async ([partition, owned]) => {
      const own = owned.flatMap((position) => changes[position] ?? []);
      const reply = await askWriter(context, partition, { changes: own, idempotency });
      if (reply.kind === "key_reused") throw keyReused();
      if (reply.kind === "unavailable") throw notCommitted();
      owned.forEach((position, i) => {
        const one = reply.settled[i];
        if (one) settled[position] = one;
      });
      replayed &&= reply.replayed;
    }),
  );
  return {
    results: settled.map(({ result }) => result),
    committedAt: Math.max(...settled.map(({ committedAt }) => committedAt)),
    bookmark: newestBookmark(settled.map(({ bookmark }) => bookmark)),
    replayed,
  };
}

/** One writer of the tenant knows each key, wherever its requests go: two of them may change different entities. */
async function claimKey(
  context: WriterContext,
  idempotency: NonNullable<ChangeRequest["idempotency"]>,
): Promise<boolean> {
  const partition = fnv1a(idempotency.key) % context.settings.writerPartitions;
  const { writer, identity } = writerOf(context, partition);
  try {
    return await writer.claim(identity, idempotency);
  } catch (cause) {
    context.log.warning("an entity writer did not answer", { partition }, cause);
    throw notCommitted();
  }
}

async function askWriter(
  context: WriterContext,
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

/** @throws {@link Problem} 422 when the key came with another request before, 503 when that cannot be found out. */
export async function claimIdempotencyKey(
  context: WriterContext,
  idempotency: NonNullable<ChangeRequest["idempotency"]>,
): Promise<void> {
  if (!(await claimKey(context, idempotency))) throw keyReused();
}

export function keyReused(): Problem {
  const msg = "was used before with another request";
  return new Problem(422, "Idempotency-Key was used before for a different request", {
    errors: [{ loc: ["header", "Idempotency-Key"], msg, type: "idempotency_key_reused" }],
  });
}

function notCommitted(): Problem {
  return unavailable("the write could not be committed; it may be sent again", RETRY_AFTER_SECONDS);
}
