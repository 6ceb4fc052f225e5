/**
 * Seeded schedules of operations and faults against the real bindings; whatever happens, every promise holds.
 *
 * `npm run test:faults -- --seeds 20000 --from 1` runs others, `-- --world entities --seed 17` one, with all that
 * happened in it.
 */
import { applyD1Migrations } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll } from "vitest";
import { runSchedule } from "./run-schedule.ts";
import { testSeeds } from "./run-seeds.ts";
import { describe, scheduleOf } from "./schedule.ts";

beforeAll(async () => {
  for (const replica of [env.REPLICA, env.REPLICA_1, env.REPLICA_2])
    if (replica) await applyD1Migrations(replica, env.TEST_MIGRATIONS);
});

testSeeds({
  world: "entities",
  seeds: 890,
  scheduleOf,
  describe: ({ queueStorage, memoryTtlMs, rates, spread, operations }) => [
    `queue ${queueStorage}, memory ${memoryTtlMs} ms, rates ${JSON.stringify(rates)}`,
    ...(spread ? [`several databases: ${JSON.stringify(spread)}`] : []),
    ...operations.map(describe),
  ],
  run: runSchedule,
  without: ["bad answer"],
});
