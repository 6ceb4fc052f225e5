/** What one run of the cron does of the retention, over all databases. */
import { eachInTurn } from "../each-in-turn.ts";
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
  let left = most;
  await eachInTurn([...inTurn(databases, nowMs).entries()], async ([turn, db]) => {
    const steps = Math.floor(left / (databases.length - turn));
    // All of them, should it fail.
    left -= steps;
    const run = await removeOldHistory({ db, steps, walks: RETENTION_WALKS_PER_RUN, ...retention });
    left += steps - run.steps;
  });
}

/** In each run another is the first, so that all have their turn, also when runs are cut off. Pure. */
export function inTurn<T>(all: readonly T[], nowMs: number): T[] {
  const first = Math.floor(nowMs / CRON_EVERY_MS) % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}
