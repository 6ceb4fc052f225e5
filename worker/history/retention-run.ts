/** What one run of the cron does of the retention, over all databases. */
import { RETENTION_STEPS_PER_RUN, RETENTION_WALKS_PER_RUN } from "../limits.ts";
import { CRON_EVERY_MS } from "../timings.ts";
import { removeOldHistory } from "./retention.ts";

type Retention = Omit<Parameters<typeof removeOldHistory>[0], "db" | "steps" | "walks"> & {
  /** Of all databases together. */
  steps?: number;
};

/**
 * One database after the other: what is archived stands in memory. Those that come later have what the ones before leave
 * of their steps. No failure ends the others.
 *
 * @throws the first failure.
 */
export async function retainHistory(
  databases: readonly D1Database[],
  nowMs: number,
  { steps: most = RETENTION_STEPS_PER_RUN, ...retention }: Retention,
): Promise<void> {
  const failures: unknown[] = [];
  let left = most;
  for (const [turn, db] of inTurn(databases, nowMs).entries()) {
    const steps = Math.floor(left / (databases.length - turn));
    const walks = RETENTION_WALKS_PER_RUN;
    const run = await removeOldHistory({ db, steps, walks, ...retention }).catch((cause: unknown) => {
      failures.push(cause);
      return { steps };
    });
    left -= run.steps;
  }
  if (failures.length > 0) throw failures[0];
}

/** In each run another is the first, so that all have their turn, also when runs are cut off. Pure. */
export function inTurn<T>(all: readonly T[], nowMs: number): T[] {
  const first = Math.floor(nowMs / CRON_EVERY_MS) % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}
