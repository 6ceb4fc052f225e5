/**
 * Seeded schedules of ingests, added columns, computations and subscriptions among faults; whatever happens, every promise holds.
 *
 * `npm run test:faults -- --world pipeline --seeds 20000 --from 1` runs others, `-- --seed 17` one, with all that
 * happened in it.
 */
import { testSeeds } from "../run-seeds.ts";
import { runSchedule } from "./run-schedule.ts";
import { describe, scheduleOf } from "./schedule.ts";

testSeeds({
  world: "pipeline",
  seeds: 110,
  scheduleOf,
  describe: ({ queueStorage, table, mostInline, rates, spread, operations }) => [
    `queue ${queueStorage}, table ${JSON.stringify(table)}, jobs above ${mostInline}, rates ${JSON.stringify(rates)}`,
    ...(spread ? [`several databases: ${JSON.stringify(spread)}`] : []),
    ...operations.map(describe),
  ],
  run: runSchedule,
  without: ["stale answer", "partial answer"],
});
