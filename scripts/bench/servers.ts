/** What is measured: the service and its two controls, each in a runtime of its own with the same settings. */
import { join } from "node:path";
import { makeAssets } from "../assets.ts";
import { freePort } from "../free-port.ts";
import { migrateLocally } from "../local-migrations.ts";
import { startRuntime } from "../runtime.ts";
import { buildBundle, root, runWranglerOrExit, waitForAnswer } from "../wrangler.ts";
import { children } from "./processes.ts";

export interface Server {
  port: number;
  url: string;
  /** Of its runtime; null where it cannot be found out. */
  pid: number | null;
}

export type Kind = "service" | "constant" | "naive";

const configOf = (kind: Kind) =>
  kind === "service"
    ? join(root, "wrangler.toml")
    : join(root, `scripts/bench/controls/${kind}/wrangler.toml`);

// Kept between runs, for --no-build.
export const bundleOf = (kind: Kind) => join(root, ".state/bench", kind);

/** As it is run elsewhere, but for what only a local simulator makes slow, and for the lines of its log. */
const SERVICE_VARS = { LOG_LEVEL: "ERROR", RATE_LIMIT: "off" };

/** Builds the service and the controls. */
export async function buildAll(): Promise<void> {
  makeAssets();
  await Promise.all([
    buildBundle(bundleOf("service")),
    ...(["constant", "naive"] as const).map((kind) =>
      runWranglerOrExit(
        ["deploy", "--config", configOf(kind), "--dry-run", "--minify", "--outdir", bundleOf(kind)],
        "Correct what it names in scripts/bench/controls/.",
      ),
    ),
  ]);
}

/** The database of a server; before it starts. @param directory Of all state. */
export async function migrate(
  kind: "service" | "naive",
  directory: string,
  name: string = kind,
): Promise<void> {
  const state = join(directory, name);
  if (kind === "service") await migrateLocally(state, undefined);
  else await migrateNaive(state);
}

/** @param directory Of all state. Each server has its own in it, by `name`. */
export async function startServer(
  kind: Kind,
  directory: string,
  { name = kind, vars = {} }: { name?: string; vars?: Record<string, string> } = {},
): Promise<Server> {
  const port = await freePort();
  const before = new Set(children());
  await startRuntime({
    config: configOf(kind),
    bundle: bundleOf(kind),
    state: join(directory, name),
    port,
    vars: kind === "service" ? { ...SERVICE_VARS, ...vars } : vars,
  });
  const pid = children().find((each) => !before.has(each)) ?? null;
  const url = `http://127.0.0.1:${port}`;
  await waitForAnswer(`${url}/health`);
  return { port, url, pid };
}

/** The control writes to tables of the same form. */
function migrateNaive(state: string): Promise<string> {
  const args = ["d1", "migrations", "apply", "DB", "--local", "--config", configOf("naive")];
  return runWranglerOrExit([...args, "--persist-to", state], "Correct the migration.");
}
