/** The two commands that run the service on one machine, as a user gives them. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  ask,
  BUILT_STATE,
  endServices,
  newDirectory,
  type Service,
  startService,
  waitUntil,
} from "../setup/service.ts";
import { hasCurl } from "./has-curl.ts";

afterAll(endServices);

const bash = async (command: string) => {
  // -s keeps curl's progress meter out of the way; it changes nothing of the request.
  const { stdout } = await promisify(execFile)("bash", [
    "-c",
    `curl() { command curl -s "$@"; }\n${command}`,
  ]);
  return JSON.parse(stdout) as unknown;
};

/** The commands that the service prints, each up to the end of its paragraph. */
const printedCurls = (output: string) =>
  [...output.matchAll(/^ +(?<label>\w+) +(?<command>curl .*?)\n\s*$/gms)].map(({ groups }) => ({
    label: groups?.label,
    command: groups?.command ?? "",
  }));

test("what is built loads no module of Node when it starts: node:crypto and node:dns alone took a quarter of that time", () => {
  const bundle = readFileSync(join(process.env[BUILT_STATE] ?? "", "bundle/index.js"), "utf8");
  const loaded = [...bundle.matchAll(/\b(?:import|export)\b[^"'()]*["']([\w-]+:[^"']+)["']/g)];
  expect([...new Set(loaded.map(([, name]) => name))].sort()).toEqual([
    "cloudflare:sockets",
    "cloudflare:workers",
  ]);
});

describe("npm run dev, on a fresh state", () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService({ command: "dev", state: newDirectory(), build: true });
  });
  afterAll(() => service?.kill());

  test("it is healthy, with its database migrated", async () => {
    const { status, body } = await ask(service, "GET /health");
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: "healthy",
      database_connection: true,
      tables_available: ["bright_uid", "account_id"],
    });
  });

  test("it prints where its documents are, and they are there", async () => {
    expect(service.output()).toContain(`http://localhost:${service.port}/docs`);
    expect((await ask(service, "GET /docs")).status).toBe(200);
  });

  test.runIf(hasCurl)("the first commands that it prints work as printed", async () => {
    const curls = printedCurls(service.output());
    expect(curls.map(({ label }) => label)).toEqual(["write", "read"]);
    const answers: unknown[] = [];
    for (const { command } of curls) answers.push(await bash(command));
    expect(answers).toEqual([
      expect.objectContaining({
        entity_value: "user-123",
        categories_updated: ["user_features"],
        revision: 1,
        outcome: "applied",
      }),
      expect.objectContaining({
        bright_uid: "user-123",
        category: "user_features",
        features: { data: { age: 30, income: 60000 }, meta: expect.any(Object) },
        revision: 1,
      }),
    ]);
  });

  test("Ctrl-C ends all of its processes", async () => {
    await service.end("SIGINT");
  });
});

describe("npm run dev, with a variable given after --", () => {
  let service: Service;
  beforeAll(async () => {
    const args = ["--var", "ENVIRONMENT:production"];
    service = await startService({ command: "dev", state: newDirectory(), args });
  });
  afterAll(() => service?.kill());

  test("outside development a request without a key is 401, and health still answers", async () => {
    const read = await ask(service, "GET /api/v1/get/item/user-123/user_features");
    expect(read.status).toBe(401);
    const write = await ask(service, "POST /api/v1/items", { body: {} });
    expect(write.status).toBe(401);
    expect((await ask(service, "GET /health")).status).toBe(200);
  });

  test("ending npm alone ends all of its processes", async () => {
    await service.end("SIGTERM", "npm");
  });
});

describe("npm run serve, on a fresh state", () => {
  let service: Service;
  const state = newDirectory();
  afterEach(() => service?.kill());

  const first = {
    metadata: { source: "prediction_service" },
    data: {
      entity_type: "bright_uid",
      entity_value: "kept",
      feature_list: [{ category: "user_features", features: { age: 30 } }],
    },
  };

  test("it is healthy, and Ctrl-C ends all of its processes", async () => {
    service = await startService({ command: "serve", state, build: true });
    const { status, body } = await ask(service, "GET /health");
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: "healthy", database_connection: true });
    expect((await ask(service, "POST /api/v1/items", { body: first })).status).toBe(200);
    await service.end("SIGINT");
  });

  test("started again it still has what was written, its cron runs, and ending npm alone ends all of it", async () => {
    const args = ["--no-build", "--cron-minutes", "0.01"];
    service = await startService({ command: "serve", state, args });
    const { body } = await ask(service, "GET /api/v1/get/item/kept/user_features");
    expect(body).toMatchObject({ features: { data: { age: 30 } }, revision: 1, source: "d1" });
    await waitUntil(() => (service.output().match(/history retention/g)?.length ?? 0) > 1, {
      timeoutMs: 60_000,
      what: () => `its cron does not run again and again:\n${service.output()}`,
    });
    await service.end("SIGTERM", "npm");
  });
});
