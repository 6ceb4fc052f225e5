/** The sample script of system C, as its user runs it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endServices, newDirectory, root, type Service, startService } from "../setup/service.ts";

let service: Service;

beforeAll(async () => {
  service = await startService({ command: "serve", state: newDirectory() });
});
afterAll(endServices);

const sample = (...args: string[]) =>
  promisify(execFile)("npm", ["run", "sample", "--", ...args], { cwd: root });

test("it registers, ingests, computes and reads, and may be run again", async () => {
  for (let time = 0; time < 2; time++) {
    const { stdout } = await sample("--url", service.url);
    expect(stdout).toMatch(/all as expected\s*$/);
    expect(stdout).toContain('"vector":{"avg_amount":112.875}');
  }
});

test("it ends with 1 and says why at the first surprise", async () => {
  const failed = await sample("--url", service.url, "--key", "fs_of_nobody").catch((error) => error);
  expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining("expected 201, found 401") });
});
