/**
 * Starts the service as a user does, in a process group of its own, and asks it over HTTP. Whatever a test file
 * starts ends with it: call {@link endServices} in `afterAll`; a run that is broken off is cleaned up at the exit.
 */
import { spawn } from "node:child_process";
import {
  closeSync,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { freePort } from "../../scripts/free-port.ts";

export const root = join(import.meta.dirname, "../..");

const START_MS = 60_000;
const END_MS = 15_000;
const MAX_STARTS = 3;

/** The variable that names a state as `npm run serve` leaves it after building and migrating; unset: there is none. */
export const BUILT_STATE = "BUILT_STATE";

export interface Service {
  port: number;
  url: string;
  /** All that it has printed, without colours. */
  output(): string;
  /** `kill -9` of the whole process group; returns when none of it is left. */
  kill(): Promise<void>;
  /** A signal to the whole group, as Ctrl-C in a terminal, or to npm alone. @throws when a process outlives it. */
  end(signal: NodeJS.Signals, to?: "group" | "npm"): Promise<void>;
}

export interface StartOptions {
  command: "serve" | "dev";
  /** What survives a restart; see {@link newDirectory}. */
  state: string;
  args?: string[];
  /** Builds and migrates although that has been done for all tests. */
  build?: boolean;
}

const TEMPORARY = "feature-store-temporary-";
/** Several writers a tenant, where locally there is one. */
const AS_DEPLOYED = "WRITER_PARTITIONS:4";

const running = new Set<number>();
const directories: string[] = [];
/** States that were built for all tests. */
const copies = new Set<string>();
let outputs = 0;

process.once("exit", cleanUp);

/** A new, empty directory that {@link endServices} removes. */
export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "feature-store-"));
  directories.push(directory);
  return directory;
}

/** For all services of a run: what one of them has compiled serves the next. */
function temporary(): string {
  const [known] = directories.filter((directory) => directory.includes(TEMPORARY));
  if (known) return known;
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY));
  directories.push(directory);
  return directory;
}

/** For `afterAll`: kills what still runs and removes what it wrote. */
export async function endServices(): Promise<void> {
  await Promise.all([...running].map(killGroup));
  cleanUp();
}

/** `npm run <command> -- --port <a free one> …`; returns once it says that it is ready. @throws with what it printed. */
export async function startService(options: StartOptions): Promise<Service> {
  for (let tries = 1; ; tries++) {
    try {
      return await startOnce(options);
    } catch (cause) {
      // Beside its port `wrangler dev` listens on one that it finds free, and takes a moment later: others may be faster.
      const isTaken = cause instanceof Error && cause.message.includes("Address already in use");
      if (!isTaken || tries === MAX_STARTS) throw cause;
    }
  }
}

async function startOnce({ command, state, args = [], build }: StartOptions): Promise<Service> {
  const port = await freePort();
  const built = process.env[BUILT_STATE];
  if (built !== undefined && !build && readdirSync(state).length === 0) {
    cpSync(built, state, { recursive: true });
    copies.add(state);
  }
  const options = copies.has(state) && command === "serve" ? [...args, "--no-build"] : args;
  const keeper = command === "dev" ? "--persist-to" : "--state";
  const writers = command === "dev" ? [] : ["--var", AS_DEPLOYED];
  // A file takes every line at once, also one that is written a moment before a kill; a pipe may lose it.
  const file = join(newDirectory(), `output-${outputs++}.log`);
  const output = openSync(file, "a");
  const child = spawn(
    "npm",
    ["run", command, "--", "--port", String(port), keeper, state, ...writers, ...options],
    {
      cwd: root,
      detached: true,
      stdio: ["ignore", output, output],
      // A runtime that is killed leaves what it had there.
      env: { ...process.env, TMPDIR: temporary() },
    },
  );
  closeSync(output);
  const group = child.pid;
  if (group === undefined) throw new Error("npm could not be started");
  running.add(group);
  const printed = () => stripVTControlCharacters(readFileSync(file, "utf8"));
  // `wrangler dev` listens on the name, `serve` on the address.
  const url = command === "dev" ? `http://localhost:${port}` : `http://127.0.0.1:${port}`;
  await waitUntil(() => /^ *ready /m.test(printed()), {
    timeoutMs: START_MS,
    what: () => `\`npm run ${command}\` did not become ready. It printed:\n${printed()}`,
    giveUp: () => child.exitCode !== null,
  });
  return {
    port,
    url,
    output: printed,
    kill: () => killGroup(group),
    async end(signal, to = "group") {
      process.kill(to === "group" ? -group : group, signal);
      await waitUntil(() => processesOf(group).length === 0, {
        timeoutMs: END_MS,
        what: () => `${signal} left processes behind: ${processesOf(group).join("; ")}\n${printed()}`,
      });
      running.delete(group);
    },
  };
}

export interface Answer<T> {
  status: number;
  headers: Headers;
  /** Parsed, when it is JSON. */
  body: T;
}

export interface Asked {
  body?: unknown;
  headers?: Record<string, string>;
}

/** @throws when there is no whole answer. */
export async function ask<T>(
  service: { url: string },
  request: string,
  { body, headers = {} }: Asked = {},
): Promise<Answer<T>> {
  const [method = "GET", path = "/"] = request.split(" ");
  const response = await fetch(`${service.url}${path}`, {
    method,
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = /[/+]json/.test(response.headers.get("content-type") ?? "");
  return {
    status: response.status,
    headers: response.headers,
    body: (isJson ? JSON.parse(text) : text) as T,
  };
}

export interface WaitOptions {
  timeoutMs: number;
  /** Said when the time is over. */
  what: () => string;
  giveUp?: () => boolean;
}

export async function waitUntil(
  isTrue: () => boolean | Promise<boolean>,
  { timeoutMs, what, giveUp = () => false }: WaitOptions,
): Promise<void> {
  const untilMs = Date.now() + timeoutMs;
  while (!(await isTrue())) {
    if (Date.now() > untilMs || giveUp()) throw new Error(what());
    await sleep(50);
  }
}

async function killGroup(group: number): Promise<void> {
  sendKill(group);
  await waitUntil(() => processesOf(group).length === 0, {
    timeoutMs: END_MS,
    what: () => `kill -9 left processes behind: ${processesOf(group).join("; ")}`,
  });
  running.delete(group);
}

function sendKill(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // None of it is left.
  }
}

/** The living processes of a group. Zombies are dead: nobody may be there to reap them in a container. */
function processesOf(group: number): string[] {
  if (!existsSync("/proc/self/stat")) return isAnyAlive(group) ? [`group ${group}`] : [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        // pid (command) state ppid pgrp …; the command may hold spaces and parentheses.
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const [state, , pgrp] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return Number(pgrp) === group && state !== "Z" ? [stat.slice(0, stat.lastIndexOf(")") + 1)] : [];
      } catch {
        return [];
      }
    });
}

function isAnyAlive(group: number): boolean {
  try {
    return process.kill(-group, 0);
  } catch {
    return false;
  }
}

function cleanUp(): void {
  for (const group of running) sendKill(group);
  for (const directory of directories.splice(0)) {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}
