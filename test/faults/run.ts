/**
 * Runs fault schedules by hand:
 *
 *   npm run test:faults -- --seeds 20000 --from 1            that many of each world, from that seed
 *   npm run test:faults -- --world pipeline --seeds 20000    of one world
 *   npm run test:faults -- --world pipeline --seed 17        one schedule, with all that happens in it
 */
import { type ChildProcess, spawn } from "node:child_process";
import { endWith, numbersOf, readOptions } from "../../scripts/options.ts";
import { root, waitForExit, whenAskedToEnd } from "../../scripts/wrangler.ts";

/** Seeds of one process: the local runtime keeps in memory what it stores. */
const SEEDS_AT_ONCE = 2_000;

const USAGE = `
npm run test:faults -- --seeds 20000 --from 1

  --world  entities (reads and writes) or pipeline (ingests, added columns, computations, deliveries); both without it
  --seeds  how many schedules of each; 1000 without it
  --from   the first one's seed
  --seed   one schedule, with all that happens in it`;

const FILES = {
  entities: "test/faults/faults.test.ts",
  pipeline: "test/faults/pipeline/pipeline.test.ts",
};

const values = readOptions(USAGE, {
  world: { type: "string" },
  seeds: { type: "string", default: "1000" },
  from: { type: "string", default: "1" },
  seed: { type: "string" },
});
const { world } = values;
const isKnown = (name: string): name is keyof typeof FILES => name in FILES;
if (world !== undefined && !isKnown(world))
  endWith(USAGE, `--world must be ${Object.keys(FILES).join(" or ")}, not \`${world}\`.`);
const worlds = world === undefined ? (Object.keys(FILES) as (keyof typeof FILES)[]) : [world];
const isOne = values.seed !== undefined;
const number = numbersOf(USAGE, values);
const [from, seeds] = isOne ? [number("seed"), 1] : [number("from"), number("seeds")];

let running: ChildProcess | null = null;
whenAskedToEnd((signal) => {
  running?.kill(signal);
  process.exit(1);
});

let failures = 0;
for (const name of worlds) {
  for (let done = 0; done < seeds; done += SEEDS_AT_ONCE) {
    const asked = { from: from + done, seeds: Math.min(SEEDS_AT_ONCE, seeds - done), isTold: isOne };
    const vitest = spawn(process.execPath, ["node_modules/vitest/vitest.mjs", "run", FILES[name]], {
      cwd: root,
      stdio: "inherit",
      env: { ...process.env, VITE_FAULTS: JSON.stringify(asked) },
    });
    running = vitest;
    if ((await waitForExit(vitest)) !== 0) failures += 1;
  }
}
const what = `${seeds} schedules of ${worlds.join(" and ")} from seed ${from}`;
console.log(`${what}: ${failures === 0 ? "every promise held" : "some failed, see above"}`);
process.exitCode = failures === 0 ? 0 : 1;
