/** `npm run seed` on a fresh service, point in time against the generator, and the examples of system B on its data. */
import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomOf } from "../../scripts/random.ts";
import { readDefinitions } from "../../scripts/seed/definitions.ts";
import {
  type CategoryValues,
  categoriesOf,
  eventTimeOf,
  lastDays,
  type SampleDay,
  userName,
} from "../../scripts/seed/generate.ts";
import {
  formatTimestamp,
  MICROS_PER_SECOND,
  type Micros,
  nowMicros,
  parseTimestamp,
} from "../../worker/timestamps.ts";
import { pick } from "../setup/random.ts";
import { ask, endServices, newDirectory, root, type Service, startService } from "../setup/service.ts";
import { examples, forService, registered } from "./seed-examples.ts";
import { type ExpectedValue, expectedAt, featureNames } from "./seed-oracle.ts";

const USERS = 200;
const DAYS = 30;
const SEED = 1;
const ROWS = 500;
const HOUR = 3_600 * MICROS_PER_SECOND;
const DAY = 24 * HOUR;

let service: Service;
let key: string;
let output: string;
let days: SampleDay[];

const asTenant = () => ({ headers: { "x-api-key": key } });
const userAt = (position: number) => ({ seed: SEED, user: userName(position), days });

beforeAll(async () => {
  service = await startService({ command: "serve", state: newDirectory() });
  await interruptedSeed();
  output = await seed();
  key = /^export KEY=(fs_\w+)$/m.exec(output)?.[1] ?? "";
  const { body } = await ask<{ created_at: string }>(service, "GET /api/v1/features/user_age", asTenant());
  days = lastDays(parseTimestamp(body.created_at) ?? 0, nowMicros(), DAYS);
});

afterAll(endServices);

describe("npm run seed", () => {
  test("it says how fast it was, and prints a key once, as a line for the shell", () => {
    expect(output.match(/^export KEY=fs_[0-9a-f]{16}_[0-9a-f]{64}$/gm)).toHaveLength(1);
    expect(output).toMatch(/^200 users × 30 days in [\d.]+ s: \d+ users' days a second\.$/m);
    expect(output).toMatch(/^100% {2}6000\/6000 users' days/m);
  });

  test("the command that it prints reads values that are there", async () => {
    const curl = /^curl [\s\S]*?'$/m.exec(output)?.[0] ?? "";
    const { status, body } = await bash(`export KEY=${key}\n${curl}`);
    expect(status).toBe(200);
    const present = expect.objectContaining({ status: "PRESENT" });
    expect(body).toMatchObject({
      entity_id: "user_123",
      features: { user_age: present, user_lifetime_value: present, last_purchase_days: present },
    });
  });

  test("what it wrote last can be read online, of every user", async () => {
    const entity_ids = Array.from({ length: USERS }, (_, position) => userName(position));
    const { body } = await ask<{ results: { entity_id: string; features: object }[]; timestamp: string }>(
      service,
      "POST /api/v1/features/online",
      { ...asTenant(), body: { entity_ids, feature_names: featureNames } },
    );
    const now = parseTimestamp(body.timestamp) ?? 0;
    body.results.forEach((result, position) => {
      expect(result).toMatchObject({
        entity_id: userName(position),
        features: expectedAt(userAt(position), now),
      });
    });
    expect(body.results).toHaveLength(USERS);
  });
});

describe("the sample data", () => {
  test("they are values of the registered features, each in its category", () => {
    const generated = writtenOf(0).flatMap(({ category, features }) =>
      Object.keys(features).map((name) => `${category}:${name}`),
    );
    const defined = readDefinitions().map(({ category, name }) => `${category}:${name}`);
    expect([...new Set(generated)].sort()).toEqual(defined.sort());
  });

  test("a day later there is one day more, and the others are as they were", () => {
    const [newest] = days;
    const later = lastDays(newest?.end ?? 0, (newest?.end ?? 0) + DAY + HOUR, DAYS + 1);
    expect(later.slice(1)).toEqual(days);
  });
});

test("a run that was interrupted is gone on with: what it wrote is there already", () => {
  expect(output).toMatch(/, [1-9]\d* were current already\.$/m);
});

describe("point in time", () => {
  test(`${ROWS} random rows answer what the generator says`, async () => {
    const rows = randomRows();
    const { status, body } = await ask<{
      rows: { entity_id: string; timestamp: string; features: Record<string, ExpectedValue> }[];
    }>(service, "POST /api/v1/features/batch", {
      ...asTenant(),
      body: {
        feature_names: featureNames,
        rows: rows.map(({ position, at }) => ({
          entity_id: userName(position),
          timestamp: formatTimestamp(at),
        })),
      },
    });
    expect(status).toBe(200);
    const expected = rows.map(({ position, at }) => ({
      entity_id: userName(position),
      timestamp: formatTimestamp(at),
      features: expectedAt(userAt(position), at),
    }));
    expect(body.rows).toEqual(expected);
    // Else the rows would show less than they seem to.
    const statuses = expected.flatMap(({ features }) => Object.values(features).map((value) => value.status));
    for (const one of ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"] as const) {
      expect(statuses.filter((status) => status === one).length, one).toBeGreaterThan(20);
    }
  });
});

describe("the examples of system B's documents", () => {
  test.each(examples)("$name", async ({ curl, answer }) => {
    const { status, body } = await bash(forService(curl, { url: service.url, key }));
    expect({ status, body }).toMatchObject({ status: 200, body: answer });
  });

  test("registering for a tenant that has no features yet answers 201", async () => {
    const body = JSON.parse(/-d '([^']+)'/.exec(examples[0]?.curl ?? "")?.[1] ?? "");
    const answer = await ask(service, "POST /api/v1/features/register", { body });
    expect(answer).toMatchObject({ status: 201, body: registered });
  });
});

describe("a second run", () => {
  test("it changes nothing, and with the key of the first creates none", async () => {
    const revisions = () =>
      ask<{ results: { revision: number }[] }>(service, "POST /api/v1/features/online", {
        ...asTenant(),
        body: { entity_ids: ["user_0", "user_7"], feature_names: ["user_age"], consistency: "strong" },
      }).then(({ body }) => body.results.map(({ revision }) => revision));
    const before = await revisions();
    const again = await seed("--key", key);
    expect(again).not.toContain("export KEY=");
    expect(again).toContain("Rows: 0 became current");
    expect(await revisions()).toEqual(before);
  });

  test("the history holds each write once", async () => {
    const { body } = await ask(service, `DELETE /api/v1/entities/user/${userName(7)}`, asTenant());
    expect(body).toMatchObject({ removed: { current: 3, history: writtenOf(7).length } });
  });
});

/** All that is written of a user. */
function writtenOf(position: number): CategoryValues[] {
  return days.flatMap((day) => categoriesOf({ ...userAt(position), day }));
}

/** Times of which every kind of mistake would show in one: an event's own, its neighbours, and where TTLs end. */
function randomRows(): { position: number; at: Micros }[] {
  const random = randomOf(20_261_120);
  return Array.from({ length: ROWS }, () => {
    const position = Math.floor(random() * USERS);
    const timeOf = (day: SampleDay) => eventTimeOf({ ...userAt(position), day });
    const times = days.map(timeOf);
    const [newest, oldest] = [Math.max(...times), Math.min(...times)];
    const event = pick(random, times);
    const at = pick(random, [
      event,
      event - 1,
      event + 1,
      event + 24 * HOUR,
      event + 24 * HOUR + 1,
      oldest - 1,
      oldest - Math.floor(random() * DAY),
      newest + Math.floor(random() * 60 * DAY),
      oldest + Math.floor(random() * (newest - oldest)),
    ]);
    return { position, at };
  });
}

const seedArguments = () => [
  ...["run", "--silent", "seed", "--", "--url", service.url],
  ...["--users", String(USERS), "--days", String(DAYS)],
];

async function seed(...more: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("npm", [...seedArguments(), ...more], { cwd: root });
  return stdout;
}

/** Ends a run, as Ctrl-C or a lost terminal would, when a part of the data is written. */
async function interruptedSeed(): Promise<void> {
  const child = spawn("npm", seedArguments(), {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.stdout.on("data", (chunk) => {
    if (String(chunk).includes("%") && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  });
  await exited;
}

/** Runs a command that is one curl; its answer. */
async function bash(command: string): Promise<{ status: number; body: unknown }> {
  const withStatus = `curl() { command curl -s -w '\\n%{http_code}' "$@"; }`;
  const { stdout } = await promisify(execFile)("bash", ["-c", `${withStatus}\n${command}`]);
  const end = stdout.lastIndexOf("\n");
  return { status: Number(stdout.slice(end)), body: JSON.parse(stdout.slice(0, end)) };
}
