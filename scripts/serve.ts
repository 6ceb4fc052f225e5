import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { MAX_ENTITY_DATABASES } from "../worker/limits.ts";
import { CRON_EVERY_MS } from "../worker/timings.ts";
import { makeAssets } from "./assets.ts";
import { migrateLocally } from "./local-migrations.ts";
import { endWith, MAX_PORT, numbersOf, readOptions } from "./options.ts";
import { runCron } from "./run-cron.ts";
import { startRuntime } from "./runtime.ts";
import { printStraightFromRuntime } from "./runtime-output.ts";
import { buildBundle, exitIfTaken, root, waitForAnswer, whenAskedToEnd } from "./wrangler.ts";

const USAGE = `
npm run serve -- --port 8787

  --port          on which it listens
  --state         a directory for all that must survive a restart, and the bundle; .state/serve without it
  --var           NAME:value, a variable of wrangler.toml; may come several times
  --env           the environment of wrangler.toml
  --databases     how many D1 databases it has, though wrangler.toml names fewer
  --cron-minutes  how often the cron runs (retention, moves of tenants); ${CRON_EVERY_MS / 60_000} without it
  --no-build      starts what the last run in this state has built and migrated`;

const values = readOptions(USAGE, {
  port: { type: "string", default: "8787" },
  // All that must survive a restart, and the bundle: servers with states of their own share nothing.
  state: { type: "string", default: ".state/serve" },
  // NAME:value, as wrangler takes it.
  var: { type: "string", multiple: true, default: [] },
  env: { type: "string" },
  databases: { type: "string", default: "1" },
  "cron-minutes": { type: "string", default: String(CRON_EVERY_MS / 60_000) },
  // Starts what the last run in this state built and migrated, in half a second.
  "no-build": { type: "boolean", default: false },
});
const numberOf = numbersOf(USAGE, values);
const databases = numberOf("databases", { least: 1, most: MAX_ENTITY_DATABASES });
const cronMinutes = numberOf("cron-minutes", { least: 0.01, most: 1_440, isWhole: false });
const port = numberOf("port", { least: 1, most: MAX_PORT });
const vars = Object.fromEntries(values.var.map(splitAtColon));
const address = `http://127.0.0.1:${port}`;
const state = resolve(values.state);
const bundle = join(state, "bundle");
if (values["no-build"] && !existsSync(bundle)) {
  endWith(USAGE, `Nothing was built in ${state} yet: leave out --no-build the first time.`);
}

// Before Miniflare's own handlers, which would end with 143. On exit it kills workerd, at any moment safely:
// every answer waits until its writes are on disk.
whenAskedToEnd(() => process.exit(0));

await exitIfTaken(port);
makeAssets();
if (!values["no-build"]) {
  await Promise.all([buildBundle(bundle, values.env), migrateLocally(state, values.env, databases)]);
}

printStraightFromRuntime();
const miniflare = await startRuntime({
  config: join(root, "wrangler.toml"),
  env: values.env,
  bundle,
  state,
  port,
  vars,
  databases,
});
await waitForAnswer(`${address}/health`);
runCron(miniflare, cronMinutes * 60_000);
console.log(`ready on ${address}`);

function splitAtColon(variable: string): [string, string] {
  const colon = variable.indexOf(":");
  if (colon < 1) return endWith(USAGE, `--var must be NAME:value, not \`${variable}\`.`);
  return [variable.slice(0, colon), variable.slice(colon + 1)];
}
