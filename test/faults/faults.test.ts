/**
 * Seeded schedules of operations and faults against the real bindings; whatever happens, every promise holds.
 *
 * `npm run test:faults -- --seeds 20000 --from 1` runs others, `-- --seed 17` one, with all that happened in it.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, expect, test } from "vitest";
import { FAULT_KINDS } from "./decide.ts";
import { Report } from "./report.ts";
import { runSchedule } from "./run-schedule.ts";
import { scheduleOf } from "./schedule.ts";
import { shrink } from "./shrink.ts";
import { useVirtualTime } from "./world.ts";

interface Asked {
  from: number;
  seeds: number;
  /** Whether to print everything that happened. */
  isTold: boolean;
}

const asked: Asked = JSON.parse(
  (import.meta as ImportMeta & { env: Record<string, string | undefined> }).env.VITE_FAULTS ??
    '{"from":1,"seeds":1000,"isTold":false}',
);
/** Seeds of one test, which has an object of its own. */
const CHUNK = 250;
/** After so many failures the rest would say nothing new. */
const MOST_FAILURES = 3;

const report = new Report(asked.from, asked.seeds);

afterAll(() => console.log(report.text()));

for (let from = asked.from; from < asked.from + asked.seeds; from += CHUNK) {
  const to = Math.min(from + CHUNK, asked.from + asked.seeds) - 1;
  test(`whatever fails, every promise holds: schedules ${from} to ${to}`, { timeout: 600_000 }, async () => {
    const stub = env.ENTITY_WRITER.getByName(`faults-${from}`);
    const failed = await runInDurableObject(stub, async (passive, state) => {
      Object.defineProperty(passive, "alarm", { value: async () => {} });
      const restore = useVirtualTime();
      try {
        return await runSeeds(from, to, state);
      } finally {
        restore();
      }
    });
    expect(failed).toEqual([]);
  });
}

if (asked.seeds >= 1_000) {
  test("over so many schedules every kind of fault happens", () => {
    expect([...report.faults.keys()].sort()).toEqual([...FAULT_KINDS].sort());
  });
}

async function runSeeds(from: number, to: number, state: DurableObjectState): Promise<string[]> {
  if (report.failures >= MOST_FAILURES) return ["not run: enough schedules before these have failed"];
  const failed: string[] = [];
  for (let seed = from; seed <= to && report.failures < MOST_FAILURES; seed++) {
    const schedule = scheduleOf(seed);
    const ran = await runSchedule(schedule, state);
    report.add(ran);
    if (asked.isTold) console.log(ran.log.join("\n"));
    if (ran.violations.length === 0) continue;
    const smallest = await shrink(schedule, ran, (smaller, spared) => runSchedule(smaller, state, spared));
    console.log(report.failure(seed, smallest));
    failed.push(`seed ${seed}: ${ran.violations[0]}`);
  }
  return failed;
}
