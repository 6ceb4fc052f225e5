/**
 * Seeded schedules of operations and faults against the real bindings; whatever happens, every promise holds.
 *
 * `npm run test:faults -- --seeds 20000 --from 1` runs others, `-- --world entities --seed 17` one, with all that
 * happened in it.
 */
import { runSchedule } from "./run-schedule.ts";
import { testSeeds } from "./run-seeds.ts";
import { describe, scheduleOf } from "./schedule.ts";

testSeeds({
  world: "entities",
  seeds: 750,
  scheduleOf,
  describe: ({ queueStorage, memoryTtlMs, rates, operations }) => [
    `queue ${queueStorage}, memory ${memoryTtlMs} ms, rates ${JSON.stringify(rates)}`,
    ...operations.map(describe),
  ],
  run: runSchedule,
  without: ["bad answer"],
});
