/** The StatsD server of npm, as somebody else runs it: over TCP, with a backend that says what each interval brought. */
import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { waitUntil } from "../setup/service.ts";

const FLUSH_MS = 200;
const START_MS = 30_000;

/** Its configuration reader calls what Node 23 has removed. */
const BEFORE = `require("util").log ??= () => {};`;

const BACKEND = `
exports.init = (startupTime, config, events) => {
  events.on("flush", (timestamp, { counters, timer_data }) => {
    const counts = Object.fromEntries(Object.entries(timer_data).map(([name, { count }]) => [name, count]));
    console.log("FLUSH " + JSON.stringify({ counters, counts }));
  });
  return true;
};`;

interface Interval {
  counters: Record<string, number>;
  /** Durations: of how many those speak that came, when they were sampled. */
  counts: Record<string, number>;
}

export class StatsdServer {
  readonly port: number;
  readonly #child: ChildProcess;
  #output = "";

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
    const read = (chunk: unknown) => {
      this.#output += String(chunk);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
  }

  /** @param directory Where its configuration is written. */
  static async start(directory: string): Promise<StatsdServer> {
    const [port, managementPort] = [await freePort(), await freePort()];
    const [before, backend, config] = ["before.cjs", "backend.cjs", "config.js"].map((name) =>
      join(directory, name),
    ) as [string, string, string];
    writeFileSync(before, BEFORE);
    writeFileSync(backend, BACKEND);
    writeFileSync(
      config,
      JSON.stringify({
        servers: [{ server: "./servers/tcp", address: "127.0.0.1", port }],
        mgmt_address: "127.0.0.1",
        mgmt_port: managementPort,
        backends: [backend],
        flushInterval: FLUSH_MS,
        deleteIdleStats: true,
      }),
    );
    const main = createRequire(import.meta.url).resolve("statsd/stats.js");
    const child = spawn(process.execPath, ["--require", before, main, config], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const server = new StatsdServer(port, child);
    await waitUntil(() => server.#output.includes("FLUSH "), {
      timeoutMs: START_MS,
      what: () => `StatsD did not start. It printed:\n${server.#output}`,
      giveUp: () => child.exitCode !== null,
    });
    return server;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await exited;
  }

  /** All counters since the start, by name and tags as Graphite writes them. */
  counters(): Record<string, number> {
    return added(this.#intervals.map(({ counters }) => counters));
  }

  /** How many durations came, by name and tags. */
  durations(): Record<string, number> {
    return added(this.#intervals.map(({ counts }) => counts));
  }

  get #intervals(): Interval[] {
    const whole = this.#output.slice(0, this.#output.lastIndexOf("\n") + 1);
    return [...whole.matchAll(/^FLUSH (.*)$/gm)].map(([, json = "{}"]) => JSON.parse(json) as Interval);
  }
}

function added(intervals: Record<string, number>[]): Record<string, number> {
  const totals: Record<string, number> = {};
  for (const interval of intervals) {
    for (const [name, value] of Object.entries(interval)) totals[name] = (totals[name] ?? 0) + value;
  }
  return totals;
}
