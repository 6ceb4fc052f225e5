/** `npm run import` as its user runs it: what was in the files is in the store, once, whatever happened on the way. */
import { execFile, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { below, randomOf } from "../../scripts/random.ts";
import { parquetFile } from "../../worker/history/parquet-file.ts";
import { parseJson } from "../../worker/json.ts";
import { formatTimestamp, MICROS_PER_SECOND, type Micros } from "../../worker/timestamps.ts";
import { ask, endServices, newDirectory, root, type Service, startService } from "../setup/service.ts";

const ENTITIES = 100;
const ROWS = 6_000;
const T0 = Date.UTC(2026, 0) * 1_000;
const MINUTE = 60 * MICROS_PER_SECOND;

/** Row i of the file. The same entity comes again every ENTITIES rows, later. */
const rowAt = (i: number) => ({
  entity: `user-${i % ENTITIES}`,
  time: T0 + i * MINUTE + i,
  n: 2n ** 53n + 1n + BigInt(i),
  score: i / 7,
  city: i % 3 === 0 ? null : `Zürich "${i}"`,
  doc: `{"ids":[${2n ** 60n + BigInt(i)},null],"__proto__":${i}}`,
});
const rows = Array.from({ length: ROWS }, (_, i) => rowAt(i));

const COLUMNS = ["--entity-column", "user_id", "--timestamp-column", "event_timestamp"];
const directory = newDirectory();
let service: Service;

interface Ended {
  exitCode: number;
  printed: string;
  said: string;
}

const argumentsOf = (args: string[]) => ["run", "--silent", "import", "--", ...args];

async function importFiles(...args: string[]): Promise<Ended> {
  return promisify(execFile)("npm", argumentsOf(["--url", service.url, ...args]), { cwd: root }).then(
    ({ stdout, stderr }) => ({ exitCode: 0, printed: stdout, said: stderr }),
    ({ code, stdout, stderr }) => ({ exitCode: code, printed: stdout, said: stderr }),
  );
}

/** Ends a run with `kill -9` when a fifth of the rows are written. */
async function killedImport(...args: string[]): Promise<void> {
  const child = spawn("npm", argumentsOf(["--url", service.url, ...args]), {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.stdout.on("data", (chunk) => {
    if (/^[2-9]\d%/m.test(String(chunk)) && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  });
  expect(await exited).toBe(null);
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

/** The answer, digit for digit. */
async function post<T>(path: string, body: unknown): Promise<T> {
  const response = await fetch(`${service.url}/api/v1${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return parseJson(text) as T;
}

async function historyOf(type: string, entity: string): Promise<number> {
  const deleted = `DELETE /api/v1/entities/${type}/${entity}`;
  return (await ask<{ removed: { history: number } }>(service, deleted)).body.removed.history;
}

beforeAll(async () => {
  service = await startService({ command: "serve", state: newDirectory() });
  const feature = { name: "big", version: 1, dtype: "int64", entity_type: "user", category: "profile" };
  await ask(service, "POST /api/v1/features/register", { body: feature });
});
afterAll(endServices);

describe("a Parquet file, whose import is killed and run again", () => {
  const NAMES = ["big", "profile:score", "profile:city", "profile:doc"] as const;
  const INTO = [...COLUMNS, "--entity-type", "user", "--category", "profile"];
  let path: string;
  /** Of the entity of the first row and of the last one, after the kill. */
  let statuses: string[];
  let again: Ended;

  beforeAll(async () => {
    const columns = parquetFile([
      { name: "user_id", type: "STRING", values: rows.map(({ entity }) => entity) },
      { name: "event_timestamp", type: "TIMESTAMP", values: rows.map(({ time }) => BigInt(time)) },
      { name: "big", type: "INT64", values: rows.map(({ n }) => n) },
      { name: "score", type: "DOUBLE", values: rows.map(({ score }) => score) },
      { name: "city", type: "STRING", values: rows.map(({ city }) => city) },
      { name: "doc", type: "JSON", values: rows.map(({ doc }) => doc) },
    ]);
    path = file("features.parquet", columns);
    await killedImport(...INTO, "--file", path, "--rate", "3000");
    statuses = await statusesNow();
    again = await importFiles(...INTO, "--file", path);
  });

  /** As the service answers it, as JSON. */
  const valuesOf = ({ n, score, city, doc }: (typeof rows)[number]) => [
    String(n),
    JSON.stringify(score),
    JSON.stringify(city),
    doc,
  ];

  /** Of the values of the earliest and of the latest row in training data of its time. */
  async function statusesNow(): Promise<string[]> {
    const asked = [rows[0] ?? rowAt(0), rows.at(-1) ?? rowAt(0)];
    const answer = await post<{ rows: { features: { big: { timestamp: string | null } } }[] }>(
      "/features/batch",
      {
        feature_names: ["big"],
        rows: asked.map(({ entity, time }) => ({ entity_id: entity, timestamp: formatTimestamp(time) })),
      },
    );
    return answer.rows.map(({ features }, i) =>
      features.big.timestamp === formatTimestamp(asked[i]?.time ?? 0) ? "there" : "missing",
    );
  }

  test("the first run was in the midst of it, and the second one writes all", async () => {
    expect(statuses).toEqual(["there", "missing"]);
    expect(await statusesNow()).toEqual(["there", "there"]);
    expect(again).toMatchObject({ exitCode: 0, said: "" });
    const number = (pattern: RegExp) => Number(pattern.exec(again.printed)?.[1]);
    const written = number(/(\d+) became/) + number(/(\d+) were older/) + number(/(\d+) were current/);
    expect(written).toBe(ROWS);
    expect(again.printed).toMatch(/^100% {2}6000\/6000 rows, \d+ a second$/m);
  });

  test("training data are those of the file, value for value", async () => {
    const random = randomOf(7);
    const asked = Array.from({ length: 500 }, () => {
      const { entity, time } = rows[below(random, ROWS)] ?? rowAt(0);
      return { entity, at: time + below(random, 3) - 1 + below(random, 2) * 30 * MINUTE };
    });
    const answer = await post<{
      rows: { features: Record<string, { value: unknown; timestamp: string }> }[];
    }>("/features/batch", {
      feature_names: NAMES,
      rows: asked.map(({ entity, at }) => ({ entity_id: entity, timestamp: formatTimestamp(at) })),
    });
    const newest = (entity: string, at: Micros) =>
      rows.findLast((row) => row.entity === entity && row.time <= at);
    const expected = asked.map(({ entity, at }) => {
      const row = newest(entity, at);
      return row ? [...valuesOf(row), formatTimestamp(row.time)] : ["null", "null", "null", "null", null];
    });
    const found = answer.rows.map(({ features }) => [
      ...NAMES.map((name) => JSON.stringify(features[name]?.value)),
      features.big?.timestamp,
    ]);
    expect(found).toEqual(expected);
    expect(expected.filter(([big]) => big !== "null").length).toBeGreaterThan(400);
  });

  test("online, the newest of each entity", async () => {
    const last = rows.slice(-ENTITIES);
    const { results } = await post<{ results: { features: Record<string, { value: unknown }> }[] }>(
      "/features/online",
      { entity_type: "user", entity_ids: last.map(({ entity }) => entity), feature_names: NAMES },
    );
    const found = results.map(({ features }) => NAMES.map((name) => JSON.stringify(features[name]?.value)));
    expect(found).toEqual(last.map(valuesOf));
  });

  test("training data that this store answers as Parquet can be imported too", async () => {
    const at = formatTimestamp(T0 + ROWS * MINUTE * 2);
    const response = await fetch(`${service.url}/api/v1/features/batch`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/vnd.apache.parquet" },
      body: JSON.stringify({ entity_ids: ["user-1", "user-2"], feature_names: NAMES, timestamp: at }),
    });
    const training = file("training.parquet", new Uint8Array(await response.arrayBuffer()));
    const args = [
      "--entity-column",
      "entity_id",
      "--timestamp-column",
      "timestamp",
      "--category",
      "training",
    ];
    const ended = await importFiles(...args, training);
    expect(ended).toMatchObject({ exitCode: 0, printed: expect.stringContaining("2 became current") });
    const names = ["training:big", "training:profile:doc", "training:big__timestamp"];
    const { results } = await post<{ results: { features: Record<string, { value: unknown }> }[] }>(
      "/features/online",
      { entity_ids: ["user-1", "user-2"], feature_names: names },
    );
    const found = results.map(({ features }) => names.map((name) => JSON.stringify(features[name]?.value)));
    const expected = [1, 2].map((position) => {
      const row = rows[ROWS - ENTITIES + position] ?? rowAt(0);
      return [String(row.n), row.doc, JSON.stringify(formatTimestamp(row.time))];
    });
    expect(found).toEqual(expected);
  });

  test("a third run finds everything, and the history has each row once", async () => {
    const { printed } = await importFiles(...INTO, "--file", path);
    expect(printed).toContain(
      `Written: 0 became current, ${ROWS - ENTITIES} were older than that and are in the history (unless deleted since), ${ENTITIES} were current already.`,
    );
    for (let position = 0; position < ENTITIES; position += 9) {
      expect(await historyOf("user", `user-${position}`)).toBe(ROWS / ENTITIES);
    }
  });
});

describe("text files", () => {
  const times = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"];
  const csv = ["user_id,event_timestamp,a,note", ...times.map((at, i) => `split,${at},${i},"x, ""${i}"""`)];
  const ndjson = times.map((at, i) => `{"user_id":"split","event_timestamp":"${at}","b":{"i":[${i}]}}`);
  const BOTH = [...COLUMNS, "--category", "split"];

  test("the columns of several meet in one category, and further runs double nothing", async () => {
    const files = [file("a.csv.gz", gzipSync(csv.join("\r\n"))), file("b.ndjson", `${ndjson.join("\n")}\n`)];
    for (let run = 0; run < 3; run += 1) {
      const ended = await importFiles(...BOTH, ...files);
      expect(ended).toMatchObject({ exitCode: 0, said: "" });
      expect(ended.printed).toContain(run === 0 ? "2 became current" : "0 became current, 4 were older");
    }
    const { features } = await post<{ features: Record<string, Record<string, { value: unknown }>> }>(
      "/features/batch",
      { entity_ids: ["split"], feature_names: ["split:a", "split:note", "split:b"], timestamp: times[1] },
    );
    expect(Object.values(features.split ?? {}).map(({ value }) => value)).toEqual([1, 'x, "1"', { i: [1] }]);
    expect(await historyOf("bright_uid", "split")).toBe(6);
  });

  test("rows that cannot be written, or are refused, go to a file with the reasons; the others are written", async () => {
    const rejects = join(directory, "rejects.ndjson");
    const path = file(
      "faulty.ndjson",
      [
        '{"user_id":"f","event_timestamp":"2026-01-01T00:00:00Z","big":9007199254740993}',
        '{"user_id":"f","event_timestamp":"2026-01-02T00:00:00Z","big":"many"}',
        '{"user_id":"f","event_timestamp":"2026-01-03T00:00:00","big":3}',
        "{",
      ].join("\n"),
    );
    const into = [...COLUMNS, "--entity-type", "user", "--category", "profile", "--rejects", rejects];
    const { exitCode, printed } = await importFiles(...into, path);
    expect(exitCode).toBe(1);
    expect(printed).toContain("1 became current");
    expect(printed).toContain("Rejected: 3\n  1 × event_timestamp is a time without a zone");
    const told = readFileSync(rejects, "utf8").trim().split("\n");
    expect(told.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ line: 3, reason: expect.stringContaining("--zone") }),
      expect.objectContaining({ line: 4, reason: expect.stringContaining("is not JSON"), row: "{" }),
      {
        file: path,
        line: 2,
        reason: "feature `big` is of type int64, found a string that is no whole number",
        row: { user_id: "f", event_timestamp: "2026-01-02T00:00:00Z", big: "many" },
      },
    ]);
  });

  test("an entity type that is not known is told, and nothing written", async () => {
    const path = file("unknown.csv", csv.join("\n"));
    const ended = await importFiles(...BOTH, "--entity-type", "nobody", path);
    expect(ended).toMatchObject({ exitCode: 1, said: expect.stringContaining("not a known entity type") });
    const feature = { name: "nobodys", version: 1, dtype: "json", entity_type: "nobody" };
    await ask(service, "POST /api/v1/features/register", { body: feature });
    expect(await importFiles(...BOTH, "--entity-type", "nobody", path)).toMatchObject({ exitCode: 0 });
    expect(await historyOf("nobody", "split")).toBe(3);
  });

  test("a column that is not there is told before the first write", async () => {
    const path = file("other.csv", "id,event_timestamp,a\nu,2026-01-01T00:00:00Z,1\n");
    const ended = await importFiles(...BOTH, path);
    expect(ended).toMatchObject({ exitCode: 1, printed: "" });
    expect(ended.said).toContain("has no column user_id; it has: id, event_timestamp, a");
  });

  test("a dry run asks nobody, shows two requests and ends with 1 when a row would be rejected", async () => {
    const lines = Array.from({ length: 1_200 }, (_, i) => `u${i},2026-01-01T00:00:00Z,${i},x`);
    const path = file("dry.csv", [csv[0], ...lines].join("\n"));
    const nowhere = [...BOTH, "--url", "http://127.0.0.1:9", "--dry-run"];
    const dry = await importFiles(...nowhere, path);
    expect(dry).toMatchObject({ exitCode: 0, said: "" });
    expect(dry.printed.match(/^POST /gm)).toHaveLength(2);
    expect(dry.printed).toContain('"features":{"a":0,"note":"x"}');
    expect(dry.printed).toContain("1200 rows read, nothing written: 1200 would be, in 3 requests.");
    const faulty = file("dry-faulty.csv", [csv[0], lines[0], "u,never,1,x"].join("\n"));
    expect(await importFiles(...nowhere, faulty)).toMatchObject({ exitCode: 1 });
  });
});

describe("a service that is busy, and then away", () => {
  interface Seen {
    atMs: number;
    body: string;
  }
  const seen: Seen[] = [];
  let server: Server;
  let url: string;

  const textOf = async (request: IncomingMessage) => (await request.toArray()).join("");

  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const body = await textOf(request);
      if (request.method === "GET") return response.end("{}");
      seen.push({ atMs: performance.now(), body });
      if (seen.length === 1) return response.writeHead(429, { "retry-after": "1" }).end();
      if (seen.length === 2) return response.writeHead(503, { "retry-after": "0" }).end();
      if (seen.length === 3) return request.socket.destroy();
      response.setHeader("content-type", "application/json");
      return response.end(JSON.stringify({ results: [{ entity_value: "u", outcome: "applied" }] }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  test("is asked again, no sooner than it says, with the same request", async () => {
    const path = file("one.csv", "user_id,event_timestamp,a\nu,2026-01-01T00:00:00Z,1\n");
    const ended = await importFiles("--url", url, ...COLUMNS, "--category", "c", path);
    expect(ended).toMatchObject({ exitCode: 0, printed: expect.stringContaining("1 became current") });
    expect(seen).toHaveLength(4);
    expect((seen[1]?.atMs ?? 0) - (seen[0]?.atMs ?? 0)).toBeGreaterThanOrEqual(1_000);
    expect(new Set(seen.map(({ body }) => body)).size).toBe(1);
  });

  test("that is not there at all is told at once", async () => {
    const path = file("two.csv", "user_id,event_timestamp,a\nu,2026-01-01T00:00:00Z,1\n");
    const ended = await importFiles("--url", "http://127.0.0.1:9", ...COLUMNS, "--category", "c", path);
    expect(ended).toMatchObject({ exitCode: 1, printed: "" });
    expect(ended.said).toContain("Nothing answers at http://127.0.0.1:9");
  });
});
