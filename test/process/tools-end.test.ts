/** The tools that start services of their own leave nothing behind when they are broken off. */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { endServices, newDirectory, root, waitUntil } from "../setup/service.ts";

afterAll(endServices);

const TOOLS: [name: string, args: string[]][] = [
  ["the cost", ["scripts/cost.ts"]],
  ["the bench", ["scripts/bench.ts", "--only", "hot-one"]],
  ["the fuzz run", ["test/fuzz/run.ts"]],
  ["the crash run", ["test/crash/main.ts"]],
];

test.each(TOOLS)("%s, while it begins", async (_, args) => {
  const directory = newDirectory();
  const own = () => readdirSync(directory).filter((name) => /^(feature-store|miniflare)-/.test(name));
  const { BUILT_STATE: _built, ...env } = process.env;
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...env, TMPDIR: directory },
    stdio: "ignore",
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  await waitUntil(() => own().length > 0, { timeoutMs: 30_000, what: () => "it has not begun" });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  child.kill("SIGINT");
  expect(await ended).not.toBe(0);
  expect(own()).toEqual([]);
});
