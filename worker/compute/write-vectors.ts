/** Writes the vectors of a computation through the EntityWriters, a bounded number at a time. */

import type { TenantContext } from "../http/context.ts";
import type { RawTableRef } from "../keys.ts";
import { ENTITIES_PER_ROUND } from "../limits.ts";
import { storedName } from "../registry/versions.ts";
import { type Bookmarks, newestOfEach } from "../serving/consistency.ts";
import type { RowResult } from "../writing/entity-write.ts";
import { reasonOf } from "../writing/rejections.ts";
import { rememberWrites } from "../writing/remember-writes.ts";
import { submitChanges } from "../writing/submit-changes.ts";
import { askToCompute } from "./ask-to-compute.ts";
import type { Follower } from "./follower-store.ts";
import { rawTableObject } from "./raw-table-access.ts";
import { type ComputedRow, type Skipped, type VectorTarget, vectorWrite } from "./vectors.ts";

/** The category of a computed feature's version, and who its entities are. */
export function vectorTarget(
  feature: { name: string; entityType: string },
  version: { version: number; ttlSeconds: number | null },
  computeId: string,
): VectorTarget {
  return {
    entityType: feature.entityType,
    category: storedName(feature.name, version.version),
    ttlSeconds: version.ttlSeconds,
    computeId,
  };
}

export interface Written {
  written: number;
  /** Older than what is there, or refused by the store, such as an entity with too many categories. */
  skipped: Skipped[];
  bookmarks: Bookmarks;
  /** It was not to go on. */
  isCutOff: boolean;
}

/**
 * @param mayGoOn Asked before each round but the first, which is for the caller to ask for; see `RawTable.mayGoOn`.
 * @throws Problem 503 when a round could not be committed; those before it stay, and writing again does no harm.
 */
export async function writeVectors(
  context: TenantContext,
  rows: readonly ComputedRow[],
  target: VectorTarget,
  mayGoOn: () => Promise<boolean> = async () => true,
): Promise<Written> {
  const all = { written: 0, skipped: [] as Skipped[] };
  const bookmarks: Bookmarks[] = [];
  let isCutOff = false;
  for (let start = 0; start < rows.length; start += ENTITIES_PER_ROUND) {
    isCutOff = start > 0 && !(await mayGoOn());
    if (isCutOff) break;
    const round = rows.slice(start, start + ENTITIES_PER_ROUND);
    const writes = round.map((row) => vectorWrite(row, target));
    const submitted = await submitChanges(context, writes, null);
    rememberWrites(context, writes, submitted);
    bookmarks.push(submitted.bookmarks);
    for (const [i, result] of submitted.results.entries()) {
      const reason = reasonNotWritten(result);
      if (reason === null) all.written += 1;
      else all.skipped.push({ row: round[i]?.row ?? 0, reason });
    }
  }
  return { ...all, bookmarks: newestOfEach(bookmarks), isCutOff };
}

interface WrittenComputation {
  table: RawTableRef;
  /** Of the request or job. */
  id: string;
  follower: Follower;
  computed: readonly ComputedRow[];
  /** The last ingest that the rows know of; null: they are of no ingested rows. */
  seq: number | null;
}

/**
 * After a computation has been written, or has failed at it, when any of it may be there; see `RawTable.written`.
 *
 * @returns what `writing` comes to.
 */
export async function computeAgainWhereOvertaken<W>(
  { env, log, tenant }: TenantContext,
  { table, id, follower, computed, seq }: WrittenComputation,
  writing: Promise<W>,
): Promise<W> {
  if (seq === null) return writing;
  const isWritten = await writing.then(
    () => true,
    () => false,
  );
  const computation = { follower, entities: computed.map(({ entity }) => entity), seq };
  const isOvertaken = await rawTableObject(env, tenant, table).written(id, computation, isWritten);
  const message = { kind: "ingest", tenant_id: tenant, table_id: table.tableId } as const;
  if (isOvertaken) await askToCompute({ env, log }, message);
  return writing;
}

function reasonNotWritten(result: RowResult): string | null {
  if (result.outcome === "rejected") return reasonOf(result.rejection).detail;
  return result.outcome === "stale" ? "there is a value with a newer event time" : null;
}
