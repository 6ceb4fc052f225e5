import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import {
  unstable_readConfig as readConfig,
  unstable_getMiniflareWorkerOptions as readWorkerOptions,
} from "wrangler";
import { copyAssets } from "./assets.ts";
import { printStraightFromRuntime } from "./runtime-output.ts";
import { buildBundle, exitIfTaken, migrateLocally, root, waitForAnswer, whenAskedToEnd } from "./wrangler.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8787" },
    // All that must survive a restart, and the bundle: servers with states of their own share nothing.
    state: { type: "string", default: ".state/serve" },
    // NAME:value, as wrangler takes it.
    var: { type: "string", multiple: true, default: [] },
    env: { type: "string" },
    // Starts what the last run in this state built and migrated, in half a second.
    "no-build": { type: "boolean", default: false },
  },
});
const address = `http://127.0.0.1:${values.port}`;
const state = resolve(values.state);
const bundle = join(state, "bundle");

// A Worker with static assets gets Miniflare's assets proxy in front of its default entrypoint, on a direct
// socket too, at a quarter of the speed. A second name for the same handlers has none.
const entryModule = `export * from "./index.js"; export { default, default as direct } from "./index.js";`;

// Before Miniflare's own handlers, which would end with 143. On exit it kills workerd, at any moment safely:
// every answer waits until its writes are on disk.
whenAskedToEnd(() => process.exit(0));

await exitIfTaken(values.port);
copyAssets();
if (!values["no-build"]) {
  await Promise.all([buildBundle(bundle, values.env), migrateLocally(state, values.env)]);
}

// The young generation's default of 16 MiB stalls requests for 100-250 ms every few seconds under load; with 4
// the p99 at 2,000 requests a second is a quarter of that, at the same throughput.
process.env.MINIFLARE_WORKERD_V8_FLAGS ??= "--max-semi-space-size=4";
printStraightFromRuntime();
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    // Where `wrangler d1 migrations apply --persist-to` has its databases.
    resourcePersistencePath: join(state, "v3"),
    cf: false,
    logRequests: false,
    workers: [readWorker()],
  }),
);
await miniflare.ready;
await waitForAnswer(`${address}/health`);
console.log(`ready on ${address}`);

function readWorker() {
  const config = join(root, "wrangler.toml");
  const { modulesRules: _bundledAlready, ...options } = readWorkerOptions(config, values.env).workerOptions;
  return {
    ...options,
    // Durable Objects are kept under the Worker's name.
    name: readConfig({ config, env: values.env ?? "" }).name ?? "worker",
    bindings: Object.assign({}, options.bindings, Object.fromEntries(values.var.map(splitAtColon))),
    modulesRoot: bundle,
    modules: [
      { type: "ESModule" as const, path: join(bundle, "entry.js"), contents: entryModule },
      { type: "ESModule" as const, path: join(bundle, "index.js") },
    ],
    unsafeDirectSockets: [{ host: "127.0.0.1", port: Number(values.port), entrypoint: "direct" }],
  };
}

function splitAtColon(variable: string): [string, string] {
  const colon = variable.indexOf(":");
  return [variable.slice(0, colon), variable.slice(colon + 1)];
}
