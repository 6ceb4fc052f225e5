import { readArguments, USAGE } from "./load/arguments.ts";
import { findService } from "./load/ask.ts";
import { writeEntities } from "./load/prepare.ts";
import { run } from "./load/run.ts";
import { progressText, summaryText } from "./load/summary.ts";
import { helpWhenAsked } from "./options.ts";
import { whenAskedToEnd } from "./wrangler.ts";

/** Elsewhere than on a terminal. */
const LINE_EVERY_SECONDS = 5;
const REDRAW_EVERY_SECONDS = 0.25;

helpWhenAsked(USAGE);
const options = readArguments(process.argv.slice(2));
if ("fault" in options) fail(`${options.fault}\n${USAGE}`);
const { url, key, users, rate, durationSeconds, seed, entities } = options;
const target = { url, key, timeoutMs: options.timeoutSeconds * 1_000 };

const missing = await findService(target);
if (missing !== null) {
  fail(
    `${url} does not answer as a service that is ready (${missing}). Start one: npm run serve (or npm run dev).`,
  );
}
const unwritten = await writeEntities(target, { entities, seed });
if (unwritten !== null) fail(`The entities could not be written: ${unwritten}`);
console.log(
  `${entities} entities are there. ${users} users, ${rate} requests a second, ${durationSeconds} s.`,
);

let isStopped = false;
whenAskedToEnd(() => {
  isStopped = true;
});
let shownAt = 0;
const result = await run({
  target,
  users,
  rate,
  durationSeconds,
  seed,
  entities,
  isStopped: () => isStopped,
  onTick: (state) => {
    const isTerminal = process.stdout.isTTY;
    if (state.seconds - shownAt < (isTerminal ? REDRAW_EVERY_SECONDS : LINE_EVERY_SECONDS)) return;
    shownAt = state.seconds;
    const text = progressText(state);
    process.stdout.write(isTerminal ? `\r${text}\x1b[K` : `${text}\n`);
  },
});
if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
console.log(summaryText(result, options));
// At once: connections that are kept alive, and what was given up, would hold the process.
process.exit(result.tally.answered > 0 ? 0 : 1);

function fail(text: string): never {
  console.error(text);
  process.exit(1);
}
