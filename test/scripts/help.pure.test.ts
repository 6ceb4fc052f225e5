/** What a command says of itself, to who asks for help and to who writes an option that there is not. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

function run(script: string, argument: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script, argument], { cwd: root }, (error, stdout, stderr) => {
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
