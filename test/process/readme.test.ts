/**
 * Every command of README.md that asks the running service is run as it stands there, top to bottom in one shell,
 * against `npm run dev` on a fresh state.
 *
 * A ```bash block that asks it, by `curl` or by a command of ours, is run and must succeed; all answers of `curl` must be
 * 2xx. When a ```json block follows, what the block prints must be that JSON. The Python client is run after them, where `requests` is installed. Commands that are not for the local service stand in ```sh blocks.
 */
import { execFile, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endServices, newDirectory, root, startService } from "../setup/service.ts";
import { differences } from "./documented.ts";
import { hasCurl } from "./has-curl.ts";
import { type Example, examplesOf } from "./readme-examples.ts";

const file = join(root, "README.md");
const examples = existsSync(file) ? examplesOf(readFileSync(file, "utf8")) : [];

interface Run {
  exitCode: string;
  statuses: string[];
  printed: string;
  said: string;
}
const runs = new Map<Example, Run>();

afterAll(async () => {
  await endServices();
  // They are written where the commands are run.
  for (const one of ["orders.csv", "training.parquet", "training-0.parquet"])
    rmSync(join(root, one), { force: true });
});

test("README.md is there and has examples with the answers to them", () => {
  expect(existsSync(file), "README.md is missing: the commands in it are what this test runs").toBe(true);
  expect(examples.length, "README.md has no ```bash block with a curl in it").toBeGreaterThan(0);
  const answered = examples.filter(({ json }) => json !== null);
  expect(answered.length, "no curl in README.md is followed by a ```json block").toBeGreaterThan(0);
});

describe.runIf(examples.length > 0 && hasCurl)("the curl in README.md", () => {
  let port = 0;

  beforeAll(async () => {
    const state = newDirectory();
    ({ port } = await startService({ command: "dev", state }));
    for (const [example, run] of await runAll(examples, { port, state })) runs.set(example, run);
  });

  test.each(examples)("on line $line answers as documented", (example) => {
    const run = runs.get(example);
    const shown = `${example.command}\n${run?.printed}\n${run?.said}`;
    expect(run?.exitCode, shown).toBe("0");
    const asks = /\bcurl\b/.test(example.command);
    expect((run?.statuses.length ?? 0) > 0, `whether an answer of curl was seen\n${shown}`).toBe(asks);
    expect(
      run?.statuses.filter((status) => !/^2\d\d$/.test(status)),
      shown,
    ).toEqual([]);
    if (example.json === null) return;
    const documented = parse(example.json, "the documented answer");
    const answered = parse(bodyOf(run?.printed ?? ""), "the answer");
    expect(differences(documented, answered), shown).toEqual([]);
  });

  if (hasRequests) {
    test("leaves what the Python client reads after its own write", async () => {
      const env = { ...process.env, FEATURE_STORE: `http://localhost:${port}`, KEY: undefined };
      const { stdout } = await promisify(execFile)("python3", ["-c", pythonClient()], { env });
      expect(stdout.trim()).toBe("{'user-123': {'user_features:age': 31, 'user_features:city': 'SF'}}");
    });
  }
});

const hasRequests = spawnSync("python3", ["-c", "import requests"]).status === 0;

/** The one fenced block of Python that writes and reads. */
function pythonClient(): string {
  const blocks = [...readFileSync(file, "utf8").matchAll(/^```python\n(.*?)^```$/gms)];
  const found = blocks.filter(([, code]) => code?.includes("Idempotency-Key"));
  expect(found).toHaveLength(1);
  return found[0]?.[1] ?? "";
}

/** Each takes a second or two. */
const ALL_MS = 90_000;

interface Target {
  port: number;
  state: string;
}

/** All of them in one shell, so that a variable that one block sets is there in the next. */
async function runAll(all: readonly Example[], { port, state }: Target): Promise<[Example, Run][]> {
  const directory = newDirectory();
  const pathOf = (i: number, kind: string) => join(directory, `${i}.${kind}`);
  const script = all.map(({ command }, i) => {
    const local = command
      .replaceAll(/(localhost|127\.0\.0\.1):8787/g, `localhost:${port}`)
      .replaceAll("key:create --", `key:create -- --persist-to '${state}'`);
    writeFileSync(pathOf(i, "sh"), local);
    const [source, out, err, code] = ["sh", "out", "err", "code"].map((kind) => `'${pathOf(i, kind)}'`);
    return `. ${source} >${out} 2>${err}; echo $? >${code}`;
  });
  // The status goes where the answer does not; a `curl` within a pipe tells it too.
  const curl = `curl() { command curl -sS -w '%{stderr}\\nstatus=%{http_code}\\n' "$@"; }\nexport -f curl`;
  const read = (i: number, kind: string) => readFileSync(pathOf(i, kind), "utf8");
  const running = promisify(execFile)("bash", ["-c", [curl, ...script].join("\n")], {
    cwd: root,
    timeout: ALL_MS,
  });
  await running.catch((cause: unknown) => {
    const stuck = all.findIndex((_, i) => !existsSync(pathOf(i, "code")));
    if (stuck === -1) throw cause;
    const [out, err] = [read(stuck, "out"), read(stuck, "err")];
    throw new Error(`it does not end: ${all[stuck]?.command}\n${out.slice(-2_000)}\n${err.slice(-2_000)}`);
  });
  return all.map((example, i) => {
    const said = read(i, "err");
    const statuses = [...said.matchAll(/^status=(\d+)$/gm)].map(([, status = ""]) => status);
    return [example, { exitCode: read(i, "code").trim(), statuses, printed: read(i, "out"), said }];
  });
}

/** Without the head that `curl -i` prints before it. */
function bodyOf(printed: string): string {
  return printed.startsWith("HTTP/") ? printed.slice(printed.search(/\r?\n\r?\n/)) : printed;
}

function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${what} is not JSON: ${text.slice(0, 500)}`);
  }
}
