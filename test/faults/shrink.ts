/** Makes a failing schedule smaller: without each operation and each fault that it does not need to fail. */
import type { Ran } from "./report.ts";

export interface Failure<S> {
  schedule: S;
  ran: Ran;
}

interface Attempts<S> {
  run: (schedule: S, spared: ReadonlySet<number>) => Promise<Ran>;
  /** Whether there is no time for another: the smallest one found is as good as it gets. */
  isOver: () => boolean;
}

export async function shrink<S extends { operations: readonly unknown[] }>(
  schedule: S,
  ran: Ran,
  { run, isOver }: Attempts<S>,
): Promise<Failure<S>> {
  let smallest: Failure<S> = { schedule, ran };
  for (const operation of schedule.operations) {
    if (isOver()) return smallest;
    const operations = smallest.schedule.operations.filter((one) => one !== operation);
    const smaller = { ...schedule, operations };
    const again = await run(smaller, new Set());
    if (again.violations.length > 0) smallest = { schedule: smaller, ran: again };
  }
  let spared = new Set<number>();
  for (const call of smallest.ran.faulted) {
    if (isOver()) break;
    const more = new Set([...spared, call]);
    const again = await run(smallest.schedule, more);
    if (again.violations.length === 0) continue;
    spared = more;
    smallest = { ...smallest, ran: again };
  }
  return smallest;
}
