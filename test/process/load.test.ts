/** `npm run load` against the running service: what it counts is what the service has done. */
import { execFile } from "node:child_process";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, endServices, newDirectory, root, type Service, startService } from "../setup/service.ts";

const ENTITIES = 40;
const RATE = 40;
const SECONDS = 4;

interface Ended {
  exitCode: number;
  printed: string;
  said: string;
}

async function load(...args: string[]): Promise<Ended> {
  const run = promisify(execFile)("npm", ["run", "--silent", "load", "--", ...args], { cwd: root });
  return run.then(
    ({ stdout, stderr }) => ({ exitCode: 0, printed: stdout, said: stderr }),
    ({ code, stdout, stderr }) => ({ exitCode: code, printed: stdout, said: stderr }),
  );
}

const numberIn = (text: string, pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? Number.NaN);

afterAll(endServices);

describe("against a running service", () => {
  let service: Service;
  let ended: Ended;

  beforeAll(async () => {
    service = await startService({ command: "serve", state: newDirectory() });
    const common = ["--url", service.url, "--entities", String(ENTITIES), "--users", "8"];
    ended = await load(...common, "--rate", String(RATE), "--duration", String(SECONDS));
  });

  test("every request that was due is accounted for", () => {
    expect(ended).toMatchObject({ exitCode: 0, said: "" });
    const due = numberIn(ended.printed, /sent of (\d+) due/);
    const [sent, answered, failed, missed] = [
      /^(\d+) sent/m,
      /(\d+) answered,/,
      /(\d+) failed,/,
      /(\d+) missed/,
    ].map((pattern) => numberIn(ended.printed.slice(ended.printed.indexOf(" sent of ") - 9), pattern));
    expect(due).toBe(RATE * SECONDS);
    expect((answered ?? 0) + (failed ?? 0)).toBe(sent);
    const heldBack = numberIn(`${ended.printed}\n0 held back`, /(\d+) held back/);
    expect((sent ?? 0) + (missed ?? 0) + heldBack).toBe(due);
    expect(failed).toBe(0);
    const kinds = ["single", "multi", "online", "upsert"].map((kind) =>
      numberIn(ended.printed, new RegExp(`^${kind} +(\\d+) `, "m")),
    );
    expect(kinds.reduce((a, b) => a + b)).toBe(answered);
    expect(ended.printed).toContain("errors   none");
    expect(ended.printed).toMatch(/^sources {2}.*\b(memory|kv|d1) \d/m);
  });

  test("each upsert that it counts has raised a revision of the service", async () => {
    const entity_ids = Array.from({ length: ENTITIES }, (_, i) => `load-${i}`);
    const { body } = await ask<{ results: { revision: number }[] }>(service, "POST /api/v1/features/online", {
      body: {
        entity_type: "bright_uid",
        entity_ids,
        feature_names: ["load_profile:f00"],
        consistency: "strong",
      },
    });
    const revisions = body.results.reduce((sum, { revision }) => sum + revision, 0);
    const upserts = numberIn(ended.printed, /^upsert +(\d+) /m);
    expect(upserts).toBeGreaterThan(0);
    // Each entity was written once before the clock started.
    expect(revisions - ENTITIES).toBe(upserts);
  });

  test("what the service refuses is counted by status and title, and a run without an answer ends with 1", async () => {
    const refused = await load("--url", service.url, "--key", "fs_made_up", "--entities", "1");
    expect(refused.exitCode).toBe(1);
    expect(refused.said).toMatch(/could not be written: 401 \w+/);
  });
});

test("a service that is not there is said to be so, at once", async () => {
  const { exitCode, said } = await load("--url", "http://127.0.0.1:9", "--duration", "60");
  expect(exitCode).toBe(1);
  expect(said).toContain("http://127.0.0.1:9 does not answer");
});

test("another server, which answers 200 to whatever it is asked, is not taken for the service", async () => {
  const server = createHttpServer((_, response) => response.end("<html>welcome</html>"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  const { exitCode, said } = await load("--url", url, "--duration", "60");
  server.close();
  expect(exitCode).toBe(1);
  expect(said).toContain(`${url} does not answer as a service that is ready`);
});

test("an address that fetch refuses is refused in its words", async () => {
  const { said } = await load("--url", "http://127.0.0.1:1", "--duration", "60");
  expect(said).toContain("network: bad port");
});

describe("a service that takes requests and answers none", () => {
  let server: Server;
  let url: string;
  beforeAll(async () => {
    server = createServer((socket) => {
      socket.once("error", () => socket.destroy());
      socket.on("data", (chunk) => {
        // Before the clock starts it is well: then it hangs.
        const isPrepared = /^(GET \/health|POST \/api\/v1\/items\/batch)/.test(String(chunk));
        const body = `{"tables_available":[],"results":[]}`;
        if (isPrepared) socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  test("the run ends all the same, and says what it waited for", async () => {
    const args = ["--entities", "1", "--users", "2", "--rate", "20", "--duration", "2", "--timeout", "1"];
    const { exitCode, printed } = await load("--url", url, ...args);
    expect(exitCode).toBe(1);
    expect(printed).toMatch(/\d+ × network: no answer in time/);
    expect(numberIn(printed, /(\d+) missed/)).toBeGreaterThan(20);
  });
});
