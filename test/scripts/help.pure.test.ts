/** What a command says of itself, to who asks for help and to who writes what it does not take. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort } from "../../scripts/free-port.ts";

const root = join(import.meta.dirname, "../..");

function run(script: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { cwd: root }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });
}

test.each([
  ["scripts/import.ts", "npm run import"],
  ["scripts/seed.ts", "npm run seed"],
  ["scripts/spread.ts", "npm run spread"],
  ["scripts/sample-ingestion.ts", "npm run sample"],
  ["scripts/load.ts", "npm run load"],
  ["scripts/bench.ts", "npm run bench"],
  ["scripts/cost.ts", "npm run cost"],
  ["scripts/key-create.ts", "npm run key:create"],
  ["scripts/serve.ts", "npm run serve"],
  ["scripts/deploy.ts", "npm run deploy"],
  ["test/crash/main.ts", "npm run test:crash"],
  ["test/fuzz/run.ts", "npm run test:fuzz"],
  ["test/faults/run.ts", "npm run test:faults"],
])(
  "%s",
  async (script, usage) => {
    const [asked, unknown] = await Promise.all([run(script, "--help"), run(script, "--nothing")]);
    expect(asked).toEqual({ code: 0, stdout: expect.stringContaining(usage), stderr: "" });
    expect(unknown).toMatchObject({ code: 1, stdout: "" });
    expect(unknown.stderr).toContain("'--nothing'");
    expect(unknown.stderr).toContain(usage);
    expect(unknown.stderr).not.toMatch(/^ +at /m);
  },
  30_000,
);

test.each([
  ["scripts/dev.ts", ["--port", "abc"], "--port must be a whole number from 1 to 65535, not `abc`."],
  ["scripts/serve.ts", ["--port", "65536"], "--port must be a whole number from 1 to 65535, not `65536`."],
  ["scripts/serve.ts", ["--var", "METRICS_TOKEN=abc"], "--var must be NAME:value, not `METRICS_TOKEN=abc`."],
  ["scripts/serve.ts", ["--no-build", "--state", "/nonexistent"], "Nothing was built in /nonexistent yet"],
])("%s %s says what is wrong, and starts nothing", async (script, args, what) => {
  const { code, stderr } = await run(script, ...args);
  expect(code).toBe(1);
  expect(stderr).toContain(what);
  expect(stderr).not.toMatch(/^ +at /m);
});

test.each(["scripts/sample-ingestion.ts", "scripts/seed.ts", "scripts/spread.ts"])(
  "%s says how to start the service that it does not find",
  async (script) => {
    const { code, stderr } = await run(script, "--url", `http://127.0.0.1:${await freePort()}`);
    expect(code).toBe(1);
    expect(stderr).toContain("Start it: npm run serve (or npm run dev).");
  },
);
