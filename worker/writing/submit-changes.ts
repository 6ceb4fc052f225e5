/** Brings changes to the EntityWriters that own their entities, and their results back in order. */

import type { Idempotency } from "../db/idempotency-record.ts";
import { assert, type Problem, unavailable, unprocessable } from "../errors.ts";
import type { TenantContext } from "../http/context.ts";
import { databaseOfPartition, type EntityRef, fnv1a, type Layout, partitionOf } from "../keys.ts";
import { timed } from "../monitoring/timed.ts";
import { type Bookmarks, newestBookmark, newestOfEach } from "../serving/consistency.ts";
import { type Micros, nowMicros } from "../timestamps.ts";
import { MOVING_RETRY_AFTER_SECONDS, RETRY_AFTER_SECONDS } from "../timings.ts";
import type { ChangeReply, ChangeRequest, RequestRow, RowResult, Settled } from "./entity-write.ts";
import { layoutOf, writerOf } from "./writer-access.ts";

export const IDEMPOTENCY_HEADER = "Idempotency-Key";

export interface Submitted {
  /** In the order of the rows. */
  results: RowResult[];
  committedAt: Micros;
  bookmarks: Bookmarks;
  /** Every result, of a refused row too, is one of an earlier request with the same `Idempotency-Key`. */
  replayed: boolean;
}

/**
 * What became of each row. The rows of a request with an `Idempotency-Key` all go to their writers, refused ones too:
 * each writer knows what its rows became when the request first came, and that they keep.
 *
 * @throws {@link Problem} 422 when the `Idempotency-Key` came with another request before, 503 when a change could
 * not be committed; those of other partitions may have been, and an `Idempotency-Key` makes it safe to try again.
 */
export async function submitChanges(
  context: TenantContext,
  rows: readonly RequestRow[],
  idempotency: Idempotency | null,
): Promise<Submitted> {
  if (idempotency) await claimIdempotencyKey(context, idempotency);
  const asked = rows.flatMap((row, position) =>
    row.kind === "refused" && !idempotency ? [] : { row, position },
  );
  const layout = await layoutOf(context);
  const { settled, bookmarks, replayed } = await askWriters(context, asked, { idempotency, layout });
  const known = [...settled.values()];
  return {
    results: rows.map((row, position) => {
      const one = settled.get(position);
      if (one) return one.result;
      assert(row.kind === "refused", "every change has a result");
      return { outcome: "refused", reason: row.reason };
    }),
    committedAt: known.length > 0 ? Math.max(...known.map(({ committedAt }) => committedAt)) : nowMicros(),
    bookmarks,
    replayed: known.length > 0 && replayed,
  };
}

/** @returns the rows' results by their place in the request. @throws {@link Problem} as {@link submitChanges}. */
async function askWriters(
  context: TenantContext,
  asked: readonly { row: RequestRow; position: number }[],
  { idempotency, layout }: { idempotency: Idempotency | null; layout: Layout },
): Promise<{ settled: Map<number, Settled>; bookmarks: Bookmarks; replayed: boolean }> {
  const settled = new Map<number, Settled>();
  const bookmarks: Bookmarks[] = [];
  let replayed = true;
  const byPartition = Map.groupBy(asked, ({ row }) => partitionOf(row, layout));
  await Promise.all(
    [...byPartition].map(async ([partition, owned]) => {
      const request = {
        rows: owned.map(({ row }) => row),
        positions: owned.map(({ position }) => position),
        idempotency,
      };
      const reply = await askWriter(context, { partition, layout }, request);
      if (reply.kind === "key_reused") throw keyReused();
      if (reply.kind === "unavailable") throw notCommitted();
      if (reply.kind === "moving") throw isMoving();
      owned.forEach(({ position }, i) => {
        const one = reply.settled[i];
        if (one) settled.set(position, one);
      });
      const newest = newestBookmark(reply.settled.map(({ bookmark }) => bookmark));
      bookmarks.push(new Map([[databaseOfPartition(partition, layout.partitions), newest]]));
      replayed &&= reply.replayed;
    }),
  );
  return { settled, bookmarks: newestOfEach(bookmarks), replayed };
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
  const layout = await layoutOf(context);
  const partition = partitionOf(ref, layout);
  const { writer, identity } = writerOf(context, partition, layout);
  const found = await answered(context, partition, async () => writer.recall(identity, idempotency));
  if (found === "unknown") throw notCommitted();
  if (!found) return null;
  const { result, committedAt, bookmark } = found;
  const bookmarks = new Map([[databaseOfPartition(partition, layout.partitions), bookmark]]);
  return { results: [result], committedAt, bookmarks, replayed: true };
}

/**
 * One writer of the tenant knows each key, wherever its requests go: two of them may change different entities.
 *
 * @throws {@link Problem} 422 when the key came with another request before, 503 when that cannot be found out.
 */
export async function claimIdempotencyKey(context: TenantContext, idempotency: Idempotency): Promise<void> {
  const layout = await layoutOf(context);
  const partition = fnv1a(idempotency.key) % layout.partitions;
  const { writer, identity } = writerOf(context, partition, layout);
  const isOurs = await answered(context, partition, async () => writer.claim(identity, idempotency));
  if (!isOurs) throw keyReused();
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
  { partition, layout }: { partition: number; layout: Layout },
  request: ChangeRequest,
): Promise<ChangeReply> {
  const { writer, identity } = writerOf(context, partition, layout);
  try {
    const measured = { operation: "writer.change", items: request.rows.length } as const;
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

function isMoving(): Problem {
  const why = "the tenant is being spread over more databases, and takes no write for some seconds";
  return unavailable(`${why}; it may be sent again`, MOVING_RETRY_AFTER_SECONDS);
}
