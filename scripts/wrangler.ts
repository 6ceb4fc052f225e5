import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "node:net";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The repository's directory; wrangler.toml is there. */
export const root = join(import.meta.dirname, "..");

// The module itself, not bin/wrangler.js, which would put one more process between a signal and wrangler.
const wranglerModule = fileURLToPath(import.meta.resolve("wrangler"));

/** Wrangler takes a moment to end, and workerd with it. */
const END_MS = 5_000;

// Each of them would else ask the network for something before anything starts.
const quietEnvironment = {
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_HIDE_BANNER: "true",
};

/** Starts wrangler in this process group, so that whatever ends the group ends wrangler and workerd too. */
export function startWrangler(args: string[], stdio: "inherit" | "pipe" = "inherit"): ChildProcess {
  return spawn(process.execPath, ["--no-warnings", wranglerModule, ...args], {
    cwd: root,
    env: { ...process.env, ...quietEnvironment },
    // Without a terminal wrangler never asks; it takes the default answer.
    stdio: ["ignore", stdio, stdio],
  });
}

/** What {@link runWrangler} has started and not seen the end of. */
const running = new Map<ChildProcess, Promise<number>>();
let isEnding = false;

/** Runs wrangler to its end without asking or printing; `output` is what it said on both streams. */
export async function runWrangler(args: string[]): Promise<{ exitCode: number; output: string }> {
  const child = startWrangler(args, "pipe");
  let output = "";
  child.stdout?.on("data", (chunk) => (output += chunk));
  child.stderr?.on("data", (chunk) => (output += chunk));
  const exit = waitForExit(child);
  running.set(child, exit);
  const exitCode = await exit.finally(() => running.delete(child));
  // Nobody is told that it failed when it was asked to end.
  if (isEnding) await new Promise(() => {});
  return { exitCode, output };
}

/** Ends this process, and before it what wrangler does for it, which would go on to write into a directory that is removed. */
export async function endWithWrangler(exitCode: number): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  for (const child of running.keys()) child.kill();
  await Promise.race([Promise.allSettled(running.values()), sleep(END_MS)]);
  process.exit(exitCode);
}

/** Runs wrangler; when it fails, prints all it said and `advice`, and ends this process with its exit code. */
export async function runWranglerOrExit(args: string[], advice: string): Promise<string> {
  const { exitCode, output } = await runWrangler(args);
  if (exitCode !== 0) {
    console.error(`${output}\nwrangler ${args.join(" ")} failed. ${advice}`);
    process.exit(exitCode);
  }
  return output;
}

export function waitForExit(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? "SIGKILL"]));
  });
}

/**
 * Calls `stop` at every signal that asks this process to end. npm passes signals to the shell between it and
 * the script only, and that shell dies without a word: its death counts as a request to end.
 */
export function whenAskedToEnd(stop: (signal: NodeJS.Signals) => void): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, stop);
  }
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event) {
    setInterval(() => process.ppid !== parent && stop("SIGTERM"), 250).unref();
  }
}

/** Writes the bundle that `deploy` would upload to `directory`; returns what wrangler said of it. */
export function buildBundle(directory: string, env = ""): Promise<string> {
  return runWranglerOrExit(
    ["deploy", "--dry-run", "--minify", "--outdir", directory, "--env", env],
    "Correct what it names in worker/ or wrangler.toml.",
  );
}

/** Ends this process when something listens on the port already; its answers would pass for the service's. */
export async function exitIfTaken(port: number): Promise<void> {
  const socket = connect(port, "localhost");
  const isTaken = await new Promise((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  });
  socket.destroy();
  if (isTaken) {
    console.error(`Port ${port} is in use. End what listens there, or choose another: -- --port ${port + 1}`);
    process.exit(1);
  }
}

/** True once the address answers at all; false when `isOver` says that nothing will answer any more. */
export async function waitForAnswer(url: string, isOver = () => false): Promise<boolean> {
  while (!isOver()) {
    const answered = await fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
      (response) => response.arrayBuffer().then(() => true),
      () => false,
    );
    if (answered) {
      return true;
    }
    await sleep(50);
  }
  return false;
}
