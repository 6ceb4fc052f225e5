/** Runs the schedules of some seeds inside one real object, as tests; those that fail are made smaller and told of. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, expect, test } from "vitest";
import { parseJson } from "../../worker/json.ts";
import { FAULT_KINDS, type FaultKind } from "./decide.ts";
import { type Ran, Report } from "./report.ts";
import { shrink } from "./shrink.ts";
import { useVirtualGlobals } from "./virtual-globals.ts";

interface Asked {
  from: number;
  seeds: number;
  /** Whether to print everything that happened. */
  isTold: boolean;
}

/** One of the worlds in which schedules run. */
export interface Kind<S extends { operations: readonly unknown[] }> {
  world: string;
  /** How many schedules, where nobody says so; so many meet every kind of fault. */
  seeds: number;
  scheduleOf: (seed: number) => S;
  describe: (schedule: S) => string[];
  run: (schedule: S, state: DurableObjectState, spared?: ReadonlySet<number>) => Promise<Ran>;
  /** What never happens there. */
  without: readonly FaultKind[];
}

/** Seeds of one test, which has an object of its own. */
const CHUNK = 250;
/** After so many failures the rest would say nothing new. */
const MOST_FAILURES = 3;
/** A schedule that fails by never coming to its end takes long each time. */
const SHRINK_MS = 60_000;

export function testSeeds<S extends { operations: readonly unknown[] }>(kind: Kind<S>): void {
  const asked: Asked = JSON.parse(
    (import.meta as ImportMeta & { env: Record<string, string | undefined> }).env.VITE_FAULTS ??
      JSON.stringify({ from: 1, seeds: kind.seeds, isTold: false }),
  );
  const report = new Report<S>({ world: kind.world, ...asked }, kind.describe);
  afterAll(() => console.log(report.text()));
  for (let from = asked.from; from < asked.from + asked.seeds; from += CHUNK) {
    const to = Math.min(from + CHUNK, asked.from + asked.seeds) - 1;
    test(`whatever fails, every promise holds: schedules ${from} to ${to}`, {
      timeout: 600_000,
    }, async () => {
      const stub = env.ENTITY_WRITER.getByName(`faults-${kind.world}-${from}`);
      const failed = await runInDurableObject(stub, async (passive, state) => {
        Object.defineProperty(passive, "alarm", { value: async () => {} });
        // Makes what an isolate makes once, with its first long number.
        parseJson("[12345678901234567890]");
        const restore = useVirtualGlobals();
        try {
          return await runSeeds(kind, { from, to, state, report, isTold: asked.isTold });
        } finally {
          restore();
        }
      });
      expect(failed).toEqual([]);
    });
  }
  if (asked.seeds < kind.seeds) return;
  test("over so many schedules every kind of fault happens", () => {
    const expected = FAULT_KINDS.filter((fault) => !kind.without.includes(fault));
    expect([...report.faults.keys()].sort()).toEqual([...expected].sort());
  });
}

interface Seeds<S extends { operations: readonly unknown[] }> {
  from: number;
  to: number;
  state: DurableObjectState;
  report: Report<S>;
  isTold: boolean;
}

async function runSeeds<S extends { operations: readonly unknown[] }>(
  { scheduleOf, run }: Kind<S>,
  { from, to, state, report, isTold }: Seeds<S>,
): Promise<string[]> {
  if (report.failures >= MOST_FAILURES) return ["not run: enough schedules before these have failed"];
  const failed: string[] = [];
  for (let seed = from; seed <= to && report.failures < MOST_FAILURES; seed++) {
    const schedule = scheduleOf(seed);
    const ran = await run(schedule, state);
    report.add(ran);
    if (isTold) console.log(ran.log.join("\n"));
    if (ran.violations.length === 0) continue;
    console.log(report.failed(seed, ran));
    const untilMs = Date.now() + SHRINK_MS;
    const smallest = await shrink(schedule, ran, {
      run: (smaller, spared) => run(smaller, state, spared),
      isOver: () => Date.now() >= untilMs,
    });
    console.log(report.smallest(seed, smallest));
    failed.push(`seed ${seed}: ${ran.violations[0]}`);
  }
  return failed;
}
