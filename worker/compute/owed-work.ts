/**
 * What a raw table asks the queue for again: a message may be lost with a local queue, or the crash came before it was
 * sent.
 */
import { FOLLOWER_LEASE_MS, RECOMPUTE_ALARM_MAX_MS, RECOMPUTE_ALARM_MS } from "../timings.ts";
import type { ComputeMessage } from "./compute-message.ts";
import type { JobStore } from "./job-store.ts";
import type { RawTableStore } from "./raw-table-store.ts";

interface OwedWork {
  messages: ComputeMessage[];
  versions: number;
  jobs: number;
  /** When the table looks again, ever later while nothing comes of it. */
  nextInMs: number;
}

/** Null: nothing is owed, or under way. Counts as asking once more. */
export function owedWork(
  store: RawTableStore,
  jobs: JobStore,
  table: { tenant: string; tableId: number },
): OwedWork | null {
  const about = { tenant_id: table.tenant, table_id: table.tableId };
  const { followers, computations } = store;
  for (const silent of computations.endOlderThan(FOLLOWER_LEASE_MS)) store.computeAgain(silent);
  const isAnyUnderWay = computations.isAnyUnderWay();
  const versions = followers.countBehind() + computations.debts().length;
  if (versions === 0 && jobs.count() === 0 && !isAnyUnderWay) return null;
  const stalled = jobs.stalled();
  const messages: ComputeMessage[] = stalled.map((jobId) => ({ kind: "job", ...about, job_id: jobId }));
  if (versions > 0) messages.push({ kind: "ingest", ...about });
  const waitMs = Math.min(RECOMPUTE_ALARM_MS * 2 ** store.countAsking(), RECOMPUTE_ALARM_MAX_MS);
  const nextInMs = isAnyUnderWay ? Math.min(waitMs, FOLLOWER_LEASE_MS) : waitMs;
  return { messages, versions, jobs: stalled.length, nextInMs };
}
