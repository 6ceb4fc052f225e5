import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { signatureHeaders, signingSecret } from "../../worker/events/webhook-signature.ts";

const README = join(import.meta.dirname, "../../worker/events/README.md");
const directory = mkdtempSync(join(tmpdir(), "webhook-"));
const nowSeconds = Math.floor(Date.now() / 1000);
const BODY = Buffer.from('{"entity_id":"user-語","features":["__proto__"]}');

interface Attempt {
  rule: string;
  genuine: boolean;
  secret: string;
  headers: Record<string, string>;
  /** Base64. */
  body: string;
}
const attempts: Attempt[] = [];

/** Each program reads attempts as JSON and prints the list of its verdicts. */
const PROGRAMS = {
  ts: {
    file: "verify.mts",
    main: `import { readFileSync } from "node:fs";
      const attempts = JSON.parse(readFileSync(0, "utf8"));
      const verdicts = attempts.map(({ secret, headers, body }: { secret: string; headers: Record<string, string>; body: string }) =>
        isGenuine(secret, new Headers(headers), Buffer.from(body, "base64")));
      console.log(JSON.stringify(await Promise.all(verdicts)));`,
    command: process.execPath,
  },
  python: {
    file: "verify.py",
    main: `
import json, sys
print(json.dumps([is_genuine(a["secret"], a["headers"], base64.b64decode(a["body"])) for a in json.load(sys.stdin)]))
`,
    command: "python3",
  },
};

beforeAll(async () => {
  const secret = await signingSecret("a pepper of thirty-two characters", "sub_1", "nonce");
  const other = await signingSecret("a pepper of thirty-two characters", "sub_2", "nonce");
  const signed = (timestampSeconds: number) =>
    signatureHeaders({ secret, id: "event-1", timestampSeconds, body: new Uint8Array(BODY) });
  const headers = await signed(nowSeconds);
  const signature = headers["webhook-signature"] ?? "";
  const add = (rule: string, genuine: boolean, change: Partial<Attempt> = {}) =>
    attempts.push({ rule, genuine, secret, headers, body: BODY.toString("base64"), ...change });
  const without = (name: string) => ({
    headers: Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name)),
  });
  const having = (change: Record<string, string>) => ({ headers: { ...headers, ...change } });

  add("as it was sent", true);
  add("one of several signatures fits", true, having({ "webhook-signature": `v1a,x v1,AAAA ${signature}` }));
  add("another secret", false, { secret: other });
  add("a changed body", false, { body: Buffer.from("{}").toString("base64") });
  add("another id", false, having({ "webhook-id": "event-2" }));
  add("another time", false, having({ "webhook-timestamp": String(nowSeconds - 1) }));
  add("an old request", false, { headers: await signed(nowSeconds - 3_600) });
  add("a request of the future", false, { headers: await signed(nowSeconds + 3_600) });
  add("a time that is none", false, having({ "webhook-timestamp": "NaN" }));
  add("another version", false, having({ "webhook-signature": signature.replace("v1,", "v2,") }));
  add("a signature that is no base64", false, having({ "webhook-signature": "v1,*" }));
  add("an empty signature", false, having({ "webhook-signature": "v1," }));
  for (const name of Object.keys(headers)) add(`no ${name}`, false, without(name));
});

afterAll(() => rmSync(directory, { recursive: true }));

describe("the README's code takes what is ours and nothing else", () => {
  test("in TypeScript", () => {
    expect(verdictsOf("ts")).toEqual(expected());
  });

  const hasPython = spawnSync("python3", ["--version"]).status === 0;
  if (hasPython) {
    test("in Python", () => {
      expect(verdictsOf("python")).toEqual(expected());
    });
  }
});

function expected(): Record<string, boolean> {
  return Object.fromEntries(attempts.map(({ rule, genuine }) => [rule, genuine]));
}

function verdictsOf(language: keyof typeof PROGRAMS): Record<string, boolean> {
  const { file, main, command } = PROGRAMS[language];
  const path = join(directory, file);
  writeFileSync(path, `${blockOf(language)}\n${main}`);
  const run = spawnSync(command, [path], { input: JSON.stringify(attempts), encoding: "utf8" });
  expect(run.status, run.stderr).toBe(0);
  const verdicts: boolean[] = JSON.parse(run.stdout);
  return Object.fromEntries(attempts.map(({ rule }, index) => [rule, verdicts[index] ?? false]));
}

/** The one fenced block of the language that is about signatures. */
function blockOf(language: string): string {
  const blocks = readFileSync(README, "utf8").matchAll(/^```(\w+)\n(.*?)^```$/gms);
  const found = [...blocks].filter(
    ([, name, code]) => name === language && code?.includes("webhook-signature"),
  );
  expect(found).toHaveLength(1);
  return found[0]?.[2] ?? "";
}
