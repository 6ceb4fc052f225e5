/**
 * Runs fault schedules by hand:
 *
 *   npm run test:faults -- --seeds 20000 --from 1    that many, from that seed
 *   npm run test:faults -- --seed 17                 one, with all that happens in it
 */
import { type ChildProcess, spawn } from "node:child_process";
import { numbersOf, readOptions } from "../../scripts/options.ts";
import { root, waitForExit, whenAskedToEnd } from "../../scripts/wrangler.ts";

/** Seeds of one process: the local runtime keeps in memory what it stores. */
const SEEDS_AT_ONCE = 2_000;

const USAGE = `
npm run test:faults -- --seeds 20000 --from 1

  --seeds  how many schedules; 1000 without it
  --from   the first one's seed
  --seed   one schedule, with all that happens in it`;

const values = readOptions(USAGE, {
  seeds: { type: "string", default: "1000" },
  from: { type: "string", default: "1" },
  seed: { type: "string" },
});
const isOne = values.seed !== undefined;
const number = numbersOf(USAGE, values);
const [from, seeds] = isOne ? [number("seed"), 1] : [number("from"), number("seeds")];

let running: ChildProcess | null = null;
whenAskedToEnd((signal) => {
  running?.kill(signal);
  process.exit(1);
});

let failures = 0;
for (let done = 0; done < seeds; done += SEEDS_AT_ONCE) {
  const asked = { from: from + done, seeds: Math.min(SEEDS_AT_ONCE, seeds - done), isTold: isOne };
  const vitest = spawn(
    process.execPath,
    ["node_modules/vitest/vitest.mjs", "run", "test/faults/faults.test.ts"],
    { cwd: root, stdio: "inherit", env: { ...process.env, VITE_FAULTS: JSON.stringify(asked) } },
  );
  running = vitest;
  if ((await waitForExit(vitest)) !== 0) failures += 1;
}
console.log(
  `${seeds} schedules from seed ${from}: ${failures === 0 ? "every promise held" : "some failed, see above"}`,
);
process.exitCode = failures === 0 ? 0 : 1;
